package check

import (
	"fmt"
	"strconv"
	"strings"
)

// option is one that a subcommand takes.
type option struct {
	name  string
	value string // what its value is called; empty: it takes none
	help  string
}

// commonOptions are those of all subcommands.
var commonOptions = [...]option{
	{"dbfilename", "NAME", "what the snapshot in a directory is called (dump.rdb)"},
	{"quiet", "", "no progress on standard error"},
	{"help", "", "this text"},
}

// run is one run of a subcommand.
type run struct {
	Env
	sub      *subcommand
	args     []string          // that are no options
	options  map[string]string // given, by name
	help     bool
	progress progress
}

// parse takes the arguments of the subcommand apart. Options may stand anywhere; after -- there are none.
func (r *run) parse(args []string) error {
	r.options = map[string]string{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			r.args = append(r.args, args...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			r.args = append(r.args, arg)
			continue
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "h" {
			name = "help"
		}
		o := r.option(name)
		switch {
		case o == nil:
			return usageError("unknown option " + arg)
		case o.value == "" && given:
			return usageError("option --" + name + " takes no value")
		case o.value != "" && !given:
			if len(args) == 0 {
				return usageError("option --" + name + " needs a value")
			}
			value, args = args[0], args[1:]
		}
		r.options[name] = value
	}
	_, r.help = r.options["help"]
	return nil
}

// option finds an option of the subcommand.
func (r *run) option(name string) *option {
	for _, list := range [][]option{r.sub.options, commonOptions[:]} {
		for i := range list {
			if list[i].name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// has tells whether an option was given.
func (r *run) has(name string) bool {
	_, ok := r.options[name]
	return ok
}

// text returns an option's value, or what it is if it was not given.
func (r *run) text(name, otherwise string) string {
	if v, ok := r.options[name]; ok {
		return v
	}
	return otherwise
}

// word returns an option's value, which is one of the words.
func (r *run) word(name string, words ...string) (string, error) {
	v := r.text(name, words[0])
	for _, w := range words {
		if v == w {
			return v, nil
		}
	}
	return "", usageError(fmt.Sprintf("--%s is %q; it can be %s", name, v, strings.Join(words, ", ")))
}

// number returns an option's value, a number between lo and hi, or what it is if it was not given.
func (r *run) number(name string, otherwise, lo, hi int) (int, error) {
	v, ok := r.options[name]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		return 0, usageError(fmt.Sprintf("--%s is %q; it must be a number from %d to %d", name, v, lo, hi))
	}
	return n, nil
}
