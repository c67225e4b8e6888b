package server

import (
	"maps"
	"strconv"
)

// id gives the ID of an entry of a stream that may be there: random streams add most entries in one millisecond.
func (s *stream) id() string { return "39-" + s.int(300) }

func (s *stream) group() string { return s.pick("g", "g", "h") }

func (s *stream) consumer() string { return s.pick("alice", "bob", "carol") }

// ofGroup is a form with a stream, a group of it, and what rest makes.
func ofGroup(rest func(s *stream) []string) func(*stream) []string {
	return func(s *stream) []string { return append([]string{s.typed("x"), s.group()}, rest(s)...) }
}

func ids(s *stream) []string { return s.many(s.id) }

// streamWrites makes the arguments of the commands that write streams.
var streamWrites = map[string]func(s *stream) []string{
	"xadd": keyed("x", func(s *stream) []string {
		var args []string
		switch s.rnd.IntN(12) {
		case 0:
			args = []string{"MAXLEN", "~", s.int(300)}
		case 1:
			args = []string{"MINID", s.id()}
		case 2:
			args = []string{"NOMKSTREAM"}
		}
		args = append(args, s.pick("39-*", "39-*", "39-*", strconv.Itoa(s.rnd.IntN(39))+"-1"))
		if s.rnd.IntN(100) == 0 {
			args[len(args)-1] = "*"
		}
		return append(args, pairsOf(s)...)
	}),
	"xtrim": keyed("x", func(s *stream) []string {
		return []string{s.pick("MAXLEN", "MAXLEN", "MINID"), s.pick("=", "~"), s.int(200)}
	}),
	"xdel":   keyed("x", ids),
	"xsetid": keyed("x", func(s *stream) []string { return []string{s.id(), "ENTRIESADDED", "1000"} }),
	"xgroup": func(s *stream) []string {
		args := []string{"CREATE", s.typed("x"), s.group()}
		switch s.rnd.IntN(12) {
		case 0:
			args[0] = "DESTROY"
			return args
		case 1, 2:
			args[0] = "SETID"
			return append(args, s.id())
		case 3:
			args[0] = "DELCONSUMER"
			return append(args, s.consumer())
		case 4:
			args[0] = "CREATECONSUMER"
			return append(args, s.consumer())
		}
		return append(args, "0", "MKSTREAM")
	},
	"xreadgroup": func(s *stream) []string {
		args := []string{"GROUP", s.group(), s.consumer(), "COUNT", s.int(20)}
		if s.rnd.IntN(8) == 0 {
			args = append(args, "NOACK")
		}
		return append(args, "STREAMS", s.typed("x"), s.typed("x"), s.pick(">", ">", "0", s.id()), ">")
	},
	"xack": ofGroup(ids),
	"xclaim": ofGroup(func(s *stream) []string {
		return append(append([]string{s.consumer(), "0"}, ids(s)...), s.pick("FORCE", "JUSTID"))
	}),
	"xautoclaim": ofGroup(func(s *stream) []string { return []string{s.consumer(), "0", s.id(), "COUNT", "5"} }),
}

// joined puts the entries of both maps into a new one.
func joined(a, b map[string]func(s *stream) []string) map[string]func(s *stream) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
