package config

import (
	"fmt"
	"strings"
)

// row is everything that is known about one parameter.
type row struct {
	name     string
	aliases  []string // other names of the same parameter
	kind     *kind
	standard string // the default, in the form of a file's line

	min, max int64    // range of numbers (both 0: any from 0 on) or of the count of words (max 0: any)
	clamp    [2]int64 // a number outside becomes the nearest inside (both 0: none does)
	words    []string // what an enum may be
	newer    int      // of these, so many at the end Redis 7 does not have, and its error text does not list
	tooMany  string   // error text for a wrong count of words, where Redis has one of its own
	check    func(s setting) error

	immutable   bool // can't be set while running
	protected   bool // can be set while running only as enable-protected-configs allows
	sensitive   bool // must not be shown in logs, MONITOR or the slow log
	hidden      bool // CONFIG GET shows it only by its full name
	dropEmpty   bool // CONFIG REWRITE takes an empty value out of the file
	dropDefault bool // CONFIG REWRITE takes the default out of the file

	later string // not built yet: what has to arrive before any value but the default is accepted
	inert string // why it has no effect here, whatever its value

	store func(v *Values, s setting) // puts the value where Values shows it
}

// initial is the row's default. It needs no Env: the one row whose setting depends on it (dir) has no use for it.
func (r *row) initial() setting {
	s, err := r.parse(r.defaultWords(), setting{}, &Env{})
	if err != nil {
		panic("BUG: config: default of " + r.name + ": " + err.Error())
	}
	return s
}

func (r *row) defaultWords() []string {
	words, err := splitArgs(r.standard)
	if err != nil {
		panic("BUG: config: default of " + r.name + ": " + err.Error())
	}
	return words
}

// parse makes a setting of the words of a line and checks all but whether the parameter's effect is built.
func (r *row) parse(args []string, old setting, env *Env) (setting, error) {
	if !r.kind.multi && len(args) != 1 {
		return setting{}, errWords
	}
	s, err := r.kind.parse(r, args, old, env)
	if err == nil && r.check != nil {
		err = r.check(s)
	}
	return s, err
}

// accept is parse for values given by a user: it refuses what is not built yet and notes what has no effect.
func (r *row) accept(args []string, old setting, env *Env) (setting, error) {
	s, err := r.parse(args, old, env)
	if err != nil || (r.later == "" && r.inert == "") || s.text == r.initial().text {
		return s, err
	}
	if r.later != "" {
		return setting{}, fmt.Errorf("not supported yet: '%s' must be %s until there is %s",
			r.name, quoteWord(r.initial().text), r.later)
	}
	env.notice(fmt.Sprintf("Parameter '%s %s' is accepted but has no effect: %s", r.name, s.text, r.inert))
	return s, nil
}

// ofLine gives the words of a line behind the name: as in Redis one word may be several in quotes.
func (r *row) ofLine(args []string) []string {
	if len(args) == 1 {
		return r.split(args[0])
	}
	return args
}

// add is the setting of a parameter that was old when a line of a file gave it s.
func (r *row) add(old, s setting) setting {
	if r.kind.join != nil {
		s = r.kind.join(old, s)
	}
	s.given = true
	return s
}

// split makes the words of CONFIG SET's one value. As in Redis every blank parts two words.
func (r *row) split(value string) []string {
	if !r.kind.multi {
		return []string{value}
	}
	return strings.Split(value, " ")
}

// lines gives what CONFIG REWRITE writes behind the name.
func (r *row) lines(s setting) []line { return r.kind.lines(r, s) }

// named is a name and the row it belongs to.
type named struct {
	name string
	row  int
}

// names has every name and alias, in the order of the table; nameIndex finds them. Both are made once.
var (
	names = func() []named {
		var all []named
		for i := range rows {
			all = append(all, named{rows[i].name, i})
			for _, alias := range rows[i].aliases {
				all = append(all, named{alias, i})
			}
		}
		return all
	}()
	nameIndex = func() map[string]int {
		index := make(map[string]int, len(names))
		for _, n := range names {
			if _, twice := index[n.name]; twice {
				panic("BUG: config: two rows are called " + n.name)
			}
			index[n.name] = n.row
		}
		return index
	}()
)

// lookup finds a parameter by name or alias in any case; -1 if there is none.
func lookup(name string) int {
	if i, ok := nameIndex[strings.ToLower(name)]; ok {
		return i
	}
	return -1
}
