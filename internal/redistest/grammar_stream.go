package redistest

import "strconv"

// Streams are the commands of streams. They don't wait for long, and what they reply depends on the clock only where
// that is tolerated: IDs are given.
func Streams() Grammar {
	grammar := Grammar{
		{Name: "xadd", Weight: 60, Args: argsXAdd},
		{Name: "xtrim", Weight: 6, Args: func(g *Gen) []string {
			return append([]string{g.streamKey()}, g.trim()...)
		}},
		{Name: "xlen", Weight: 4, Args: func(g *Gen) []string { return []string{g.streamKey()} }},
		{Name: "xdel", Weight: 10, Args: keyAndIDs},
		{Name: "xsetid", Weight: 3, Args: func(g *Gen) []string {
			added := g.Pick("0", "1", "5", "100", "-1", g.NoInt())
			return append([]string{g.streamKey(), g.StreamID()},
				g.options(3, []string{"entriesadded", added}, []string{"maxdeletedid", g.StreamID()})...)
		}},
		{Name: "xrange", Weight: 12, Args: func(g *Gen) []string {
			return append([]string{g.streamKey(), g.IDEdge(), g.IDEdge()}, g.options(3, []string{"count", g.Int()})...)
		}},
		{Name: "xrevrange", Weight: 10, Args: func(g *Gen) []string {
			return append([]string{g.streamKey(), g.IDEdge(), g.IDEdge()}, g.options(3, []string{"count", g.Int()})...)
		}},
		{Name: "xread", Weight: 12, Args: func(g *Gen) []string {
			return append(g.options(3, []string{"count", g.Int()}, []string{"block", "1"}),
				g.streams("$", (*Gen).StreamID)...)
		}},
		{Name: "xinfo", Weight: 8, Args: func(g *Gen) []string {
			return append([]string{g.anyCase("groups"), g.streamKey()}, g.options(20, []string{"nope"})...)
		}, rigid: true, tol: seen},
		{Name: "xinfo", Weight: 8, Args: func(g *Gen) []string {
			return append([]string{g.anyCase("stream"), g.streamKey()}, g.options(12, []string{"nope"})...)
		}, rigid: true, tol: seen},
	}
	return append(grammar, streamGroups()...)
}

// What XPENDING and XINFO CONSUMERS say about time.
var (
	idle = tolerance{idle: idleItem{3, 4}}
	seen = tolerance{idle: idleItem{6, 6}}
)

// streamGroups are the commands of consumer groups.
func streamGroups() Grammar {
	groupOptions := func(g *Gen) []string {
		return g.options(3, []string{"mkstream"}, []string{"entriesread", strconv.Itoa(g.rnd.IntN(8) - 1)})
	}
	group := func(sub string, weight int, more ...func(*Gen) string) Command {
		return Command{Name: "xgroup", Weight: weight, Args: func(g *Gen) []string {
			args := []string{g.anyCase(sub), g.streamKey(), g.Group()}
			for _, arg := range more {
				args = append(args, arg(g))
			}
			if sub == "create" || sub == "setid" {
				args = append(args, groupOptions(g)...)
			}
			return args
		}}
	}
	idOrLast := func(g *Gen) string {
		if g.Chance(4) {
			return "$"
		}
		return g.StreamID()
	}
	return Grammar{
		group("create", 14, idOrLast), group("setid", 6, idOrLast), group("destroy", 2),
		group("createconsumer", 4, (*Gen).Consumer), group("delconsumer", 3, (*Gen).Consumer),
		{Name: "xreadgroup", Weight: 40, Args: func(g *Gen) []string {
			args := append([]string{"group", g.Group(), g.Consumer()},
				g.options(3, []string{"count", g.Int()}, []string{"noack"})...)
			return append(args, g.streams(">", (*Gen).StreamID)...)
		}},
		{Name: "xack", Weight: 12, Args: func(g *Gen) []string {
			return append([]string{g.streamKey(), g.Group()}, g.ids()...)
		}},
		{Name: "xpending", Weight: 8, Args: func(g *Gen) []string {
			return []string{g.streamKey(), g.Group()}
		}, tol: idle},
		{Name: "xpending", Weight: 8, Args: argsXPending, tol: idle},
		{Name: "xclaim", Weight: 16, Args: argsXClaim},
		{Name: "xautoclaim", Weight: 12, Args: func(g *Gen) []string {
			idle := g.Pick("0", "0", "100000000", "-1", g.NoInt())
			return append([]string{g.streamKey(), g.Group(), g.Consumer(), idle, g.IDEdge()},
				g.options(3, []string{"count", g.Pick("1", "2", "3", g.Int())}, []string{"justid"})...)
		}},
		{Name: "xinfo", Weight: 4, Args: func(g *Gen) []string {
			return []string{g.anyCase("consumers"), g.streamKey(), g.Group()}
		}, tol: seen, rigid: true},
	}
}

// streamKey gives a key, mostly one of those that hold streams.
func (g *Gen) streamKey() string {
	if g.Chance(20) {
		return g.Key()
	}
	return "stream" + strconv.Itoa(g.rnd.IntN(4))
}

// Group gives the name of a consumer group, one of few.
func (g *Gen) Group() string { return g.Pick("g1", "g1", "g2", "g3", "") }

// Consumer gives the name of a consumer, one of few.
func (g *Gen) Consumer() string { return g.Pick("alice", "bob", "bob", "carol", "") }

// StreamID gives an ID of an entry: mostly one that is there or near one that is, at times one at an edge, or none.
func (g *Gen) StreamID() string {
	switch g.rnd.IntN(24) {
	case 0:
		return g.Pick("18446744073709551615-18446744073709551615", "18446744073709551615", "0-0", "0", "0-1",
			"0-18446744073709551615", "9223372036854775808-9223372036854775807")
	case 1:
		return g.Pick("", "-", "+", "$", ">", "1-*", "x", "-1", "1-", "1--1", " 1", "+1", "1-+1", "01-02", "1-x",
			"18446744073709551616", "(1", "1-1\x00z")
	default:
		id := strconv.FormatInt(g.ids64(), 10)
		if g.Chance(3) {
			id += "-" + strconv.Itoa(g.rnd.IntN(4))
		}
		return id
	}
}

// ids64 gives the first part of an ID: IDs grow with the stream of commands, so that most can be added.
func (g *Gen) ids64() int64 { return max(g.times/2-int64(g.rnd.IntN(24)), 1) }

// newID gives an ID to be added.
func (g *Gen) newID() string {
	g.times++
	if g.Chance(12) {
		return g.StreamID()
	}
	return strconv.FormatInt(1+g.times/2, 10) + g.Pick("", "-*", "-*", "-1", "-2")
}

// ids gives some IDs.
func (g *Gen) ids() (ids []string) {
	for range 1 + g.rnd.IntN(4) {
		ids = append(ids, g.StreamID())
	}
	return ids
}

// IDEdge gives an edge of an interval of IDs.
func (g *Gen) IDEdge() string {
	switch g.rnd.IntN(8) {
	case 0, 1:
		return "-"
	case 2, 3:
		return "+"
	case 4:
		return "(" + g.StreamID()
	default:
		return g.StreamID()
	}
}

func keyAndIDs(g *Gen) []string { return append([]string{g.streamKey()}, g.ids()...) }

// trim gives options that trim.
func (g *Gen) trim() []string {
	how := []string{g.anyCase("maxlen")}
	edge := strconv.Itoa(g.rnd.IntN(120))
	if g.Chance(2) {
		how, edge = []string{g.anyCase("minid")}, g.StreamID()
	}
	switch g.rnd.IntN(6) {
	case 0:
		how = append(how, "=")
	case 1, 2, 3:
		how = append(how, "~")
	}
	how = append(how, edge)
	if g.Chance(4) {
		how = append(how, g.anyCase("limit"), g.Pick("0", "1", "10", "100", g.Int()))
	}
	return how
}

func argsXAdd(g *Gen) []string {
	args := append([]string{g.streamKey()}, g.options(12, []string{"nomkstream"})...)
	if g.Chance(12) {
		args = append(args, g.trim()...)
	}
	args = append(args, g.newID())
	if g.Chance(2) {
		return append(args, "f", g.Value(), "g", g.Value())
	}
	for range 1 + g.rnd.IntN(3) {
		args = append(args, g.Field(), g.Value())
	}
	if g.Chance(40) {
		args = append(args, "one more")
	}
	return args
}

// streams gives STREAMS, keys and IDs, half of which are the special one.
func (g *Gen) streams(special string, id func(*Gen) string) []string {
	keys := make([]string, 1+g.rnd.IntN(2))
	for i := range keys {
		keys[i] = g.streamKey()
	}
	args := append([]string{g.anyCase("streams")}, keys...)
	for range keys {
		if g.Chance(2) {
			args = append(args, special)
		} else {
			args = append(args, id(g))
		}
	}
	return args
}

func argsXPending(g *Gen) []string {
	args := []string{g.streamKey(), g.Group()}
	if g.Chance(3) {
		args = append(args, g.anyCase("idle"), g.Pick("0", "-1", "100000000", g.NoInt()))
	}
	args = append(args, g.IDEdge(), g.IDEdge(), g.Int())
	if g.Chance(2) {
		args = append(args, g.Consumer())
	}
	return args
}

func argsXClaim(g *Gen) []string {
	args := []string{g.streamKey(), g.Group(), g.Consumer(), g.Pick("0", "0", "0", "100000000", "-1", g.NoInt())}
	args = append(args, g.ids()...)
	return append(args, g.options(4,
		[]string{"idle", g.Pick("0", "200000000", "-5", g.NoInt())},
		[]string{"time", g.Pick("1000000", "-5", "9223372036854775807", g.NoInt())},
		[]string{"retrycount", g.Int()}, []string{"force"}, []string{"force"}, []string{"justid"},
		[]string{"lastid", g.StreamID()}, g.rarely([]string{"nope"}))...)
}
