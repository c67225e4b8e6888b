package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// setting is one parameter's value. text decides whether two settings are equal.
type setting struct {
	text   string   // what CONFIG GET answers
	n      int64    // bool: 0 or 1; numbers; memory in bytes; enum: index in row.words
	words  []string // lists: the words of text; never changed once made
	given  bool     // by a line of a file
	limits OutputLimits
}

// kind says how the values of a sort of parameter are read and written.
type kind struct {
	multi bool // takes several words in a file; CONFIG SET's one value is split at blanks
	// parse makes a setting of the words. old is the present setting, for kinds that change a part of it.
	parse func(r *row, args []string, old setting, env *Env) (setting, error)
	// join adds a line of a file to the lines of the same parameter before it; nil: the last line counts.
	join func(old, s setting) setting
	// lines gives what CONFIG REWRITE writes behind the name; no line at all takes the parameter out of the file.
	lines func(r *row, s setting) []line
}

// line is one line of a rewritten file without its name.
type line struct {
	value string
	force bool // written even if the file has no line to replace
}

const (
	errWords   = reason("wrong number of arguments")
	errInteger = reason("argument couldn't be parsed into an integer")
	errOctal   = reason("argument couldn't be parsed as an octal number")
	errMemory  = reason("argument must be a memory value")
	errShare   = reason("argument must be a memory or percent value")
	errYesNo   = reason("argument must be 'yes' or 'no'")
)

// The sorts of parameters.
var (
	boolean        = &kind{parse: parseBool, lines: plainLine}
	integer        = &kind{parse: parseInteger, lines: plainLine}
	octal          = &kind{parse: parseOctal, lines: plainLine}
	memory         = &kind{parse: parseMemorySetting, lines: memoryLine}
	share          = &kind{parse: parseShare, lines: plainLine} // memory or a percentage of maxmemory
	enum           = &kind{parse: parseEnum, lines: plainLine}
	flags          = &kind{multi: true, parse: parseFlags, lines: plainLine} // words of an enum; the first one: none
	text           = &kind{parse: parseText, lines: textLine}
	events         = &kind{parse: parseEvents, lines: eventsLine} // letters of classes of keyspace events
	path           = &kind{parse: parseDir, lines: dirLine}       // an existing directory, made absolute
	list           = &kind{multi: true, parse: parseList, lines: listLine}
	percentileList = &kind{multi: true, parse: parsePercentiles, lines: listLine}
	savePoints     = &kind{multi: true, parse: parseSave, join: joinSave, lines: saveLine}
	outputLimit    = &kind{multi: true, parse: parseOutputLimits, lines: outputLimitLines}
)

func parseBool(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	switch strings.ToLower(args[0]) {
	case "yes":
		return setting{text: "yes", n: 1}, nil
	case "no":
		return setting{text: "no"}, nil
	}
	return setting{}, errYesNo
}

func parseInteger(r *row, args []string, _ setting, _ *Env) (setting, error) {
	n, ok := parseInt(args[0])
	if !ok {
		return setting{}, errInteger
	}
	if err := r.inRange(n); err != nil {
		return setting{}, err
	}
	if r.clamp[1] != 0 {
		n = min(max(n, r.clamp[0]), r.clamp[1])
	}
	return setting{text: strconv.FormatInt(n, 10), n: n}, nil
}

// parseOctal's range is given as octal digits in the error text, as its values are.
func parseOctal(r *row, args []string, _ setting, _ *Env) (setting, error) {
	n, err := strconv.ParseInt(args[0], 8, 64)
	if err != nil {
		return setting{}, errOctal
	}
	if n < r.min || n > r.max {
		return setting{}, fmt.Errorf("argument must be between %o and %o inclusive", r.min, r.max)
	}
	return setting{text: strconv.FormatInt(n, 8), n: n}, nil
}

func parseMemorySetting(r *row, args []string, _ setting, _ *Env) (setting, error) {
	n, ok := parseMemory(args[0])
	if !ok {
		return setting{}, errMemory
	}
	return setting{text: strconv.FormatInt(n, 10), n: n}, r.inRange(n)
}

// parseShare gives a percentage as a negative number.
func parseShare(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	if digits, ok := strings.CutSuffix(args[0], "%"); ok {
		n, ok := parseInt(digits)
		switch {
		case !ok || n < 0:
			return setting{}, errShare
		case n > 100:
			return setting{}, reason("percentage argument must be less or equal to 100")
		}
		return setting{text: args[0], n: -n}, nil
	}
	n, ok := parseMemory(args[0])
	if !ok {
		return setting{}, errShare
	}
	return setting{text: strconv.FormatInt(n, 10), n: n}, nil
}

func (r *row) inRange(n int64) error {
	lo, hi := r.min, r.max
	if lo == 0 && hi == 0 {
		hi = math.MaxInt64
	}
	if n < lo || n > hi {
		return fmt.Errorf("argument must be between %d and %d inclusive", lo, hi)
	}
	return nil
}

func parseEnum(r *row, args []string, _ setting, _ *Env) (setting, error) {
	for i, word := range r.words {
		if strings.EqualFold(word, args[0]) {
			return setting{text: word, n: int64(i)}, nil
		}
	}
	return setting{}, r.wordError()
}

func (r *row) wordError() error {
	listed := r.words[:len(r.words)-r.newer]
	return fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(listed, ", "))
}

// parseFlags gives the words in the order of the row. There must be one.
func parseFlags(r *row, args []string, _ setting, _ *Env) (setting, error) {
	if len(args) == 0 {
		return setting{}, r.wordError()
	}
	given := make([]bool, len(r.words))
	for _, a := range args {
		i := slices.IndexFunc(r.words, func(w string) bool { return strings.EqualFold(w, a) })
		if i < 0 {
			return setting{}, r.wordError()
		}
		given[i] = true
	}
	var words []string
	for i, word := range r.words[1:] {
		if given[i+1] {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		words = r.words[:1]
	}
	return setting{text: strings.Join(words, " "), words: words}, nil
}

func parseText(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	return setting{text: args[0]}, nil
}

// eventClasses are the letters of the classes that A stands for, in Redis's order.
const eventClasses = "g$lshzxetd"

// parseEvents puts letters in Redis's order, each once, and A for all that it stands for. As in Redis n isn't shown
// behind A; then the setting's n is 1.
func parseEvents(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	given := args[0]
	if strings.Trim(given, eventClasses+"AKEmn") != "" {
		return setting{}, reason("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
	}
	if strings.Contains(given, "A") {
		given += eventClasses
	}
	pick := func(letters string) (picked string) {
		for _, c := range letters {
			if strings.ContainsRune(given, c) {
				picked += string(c)
			}
		}
		return picked
	}
	types, hidden := pick(eventClasses+"n"), int64(0)
	if all, more := strings.CutPrefix(types, eventClasses); more {
		types, hidden = "A", int64(len(all))
	}
	return setting{text: types + pick("KEm"), n: hidden}, nil
}

// eventLetters are the letters of all classes, also of one that isn't shown.
func eventLetters(s setting) string {
	if s.n == 1 {
		return s.text + "n"
	}
	return s.text
}

func eventsLine(r *row, s setting) []line {
	s.text = eventLetters(s)
	return textLine(r, s)
}

// parseDir makes the path absolute, so that it keeps its meaning wherever the process stands later.
func parseDir(_ *row, args []string, _ setting, env *Env) (setting, error) {
	dir := env.absolute(args[0])
	return setting{text: dir}, env.checkDir(dir)
}

// parseList takes words, as many as the row's range says.
func parseList(r *row, args []string, _ setting, _ *Env) (setting, error) {
	words := strings.Fields(strings.Join(args, " "))
	if r.max > 0 && int64(len(words)) > r.max || int64(len(words)) < r.min {
		return setting{}, r.wordsError()
	}
	return setting{text: strings.Join(words, " "), words: words}, nil
}

func (r *row) wordsError() error {
	if r.tooMany != "" {
		return reason(r.tooMany)
	}
	return errWords
}

// parseOutputLimits takes groups of class, hard limit, soft limit and seconds; classes not named keep their limits.
func parseOutputLimits(_ *row, args []string, old setting, _ *Env) (setting, error) {
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	if len(args)%4 != 0 {
		return setting{}, reason("Wrong number of arguments in buffer limit configuration.")
	}
	limits := old.limits
	for ; len(args) > 0; args = args[4:] {
		class, ok := clientClass(args[0])
		if !ok {
			return setting{}, reason("Invalid client class specified in buffer limit configuration.")
		}
		hard, ok := parseMemory(args[1])
		soft, ok2 := parseMemory(args[2])
		seconds, err := strconv.ParseInt(args[3], 10, 32)
		if !ok || !ok2 || err != nil || seconds < 0 {
			return setting{}, reason("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		limits[class] = OutputLimit{HardBytes: hard, SoftBytes: soft, SoftSeconds: seconds}
	}
	return setting{text: limits.String(), limits: limits}, nil
}

func clientClass(name string) (ClientClass, bool) {
	switch strings.ToLower(name) {
	case "normal":
		return ClassNormal, true
	case "slave", "replica":
		return ClassReplica, true
	case "pubsub":
		return ClassPubSub, true
	}
	return 0, false
}

func plainLine(r *row, s setting) []line {
	return []line{{value: s.text, force: s.text != r.initial().text}}
}

func memoryLine(r *row, s setting) []line {
	return []line{{value: formatMemory(s.n), force: s.text != r.initial().text}}
}

// textLine drops a parameter that is empty by default from the file when it becomes empty, if the row says so.
func textLine(r *row, s setting) []line {
	if s.text == "" && r.dropEmpty {
		return nil
	}
	return []line{{value: quote(s.text), force: s.text != r.initial().text}}
}

// dirLine always writes the absolute path: a default relative to where the server was started would not be the same
// directory next time.
func dirLine(_ *row, s setting) []line {
	return []line{{value: quote(s.text), force: true}}
}

func listLine(r *row, s setting) []line {
	standard := s.text == r.initial().text
	if standard && r.dropDefault {
		return nil
	}
	words := make([]string, 0, len(s.words))
	for _, w := range s.words {
		words = append(words, quoteWord(w))
	}
	if len(words) == 0 {
		words = append(words, `""`)
	}
	return []line{{value: strings.Join(words, " "), force: !standard}}
}

// saveLine writes a line for each point, and `save ""` where there are none.
func saveLine(r *row, s setting) []line {
	if len(s.words) == 0 {
		return []line{{value: `""`, force: r.initial().text != ""}}
	}
	var lines []line
	for i := 0; i+1 < len(s.words); i += 2 {
		lines = append(lines, line{value: s.words[i] + " " + s.words[i+1], force: true})
	}
	return lines
}

func outputLimitLines(r *row, s setting) []line {
	standard := r.initial().limits
	lines := make([]line, 0, len(s.limits))
	for class, l := range s.limits {
		value := fmt.Sprintf("%s %s %s %d", replicaWord(ClientClass(class)), formatMemory(l.HardBytes),
			formatMemory(l.SoftBytes), l.SoftSeconds)
		lines = append(lines, line{value: value, force: l != standard[class]})
	}
	return lines
}

// replicaWord names the class for a file, where Redis writes "replica"; CONFIG GET's answer says "slave".
func replicaWord(c ClientClass) string {
	if c == ClassReplica {
		return "replica"
	}
	return c.String()
}
