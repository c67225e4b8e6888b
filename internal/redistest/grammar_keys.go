package redistest

import "strconv"

// Moving are the commands that give a value another name or another database.
func Moving() Grammar {
	return Grammar{
		{Name: "rename", Weight: 14, Args: twoKeys},
		{Name: "renamenx", Weight: 10, Args: twoKeys},
		{Name: "copy", Weight: 14, Args: argsCopy},
		{Name: "move", Weight: 10, Args: func(g *Gen) []string { return []string{g.Key(), g.DB()} }},
		{Name: "swapdb", Weight: 4, Args: func(g *Gen) []string { return []string{g.DB(), g.DB()} }},
		// A value of several pages: what hangs on its entry moves with it.
		{Name: "setrange", Weight: 6, Args: func(g *Gen) []string {
			return []string{g.Key(), strconv.Itoa(g.rnd.IntN(30) * 1000), g.Value()}
		}},
		{Name: "append", Weight: 4, Args: keyAnd((*Gen).Value)},
		{Name: "getrange", Weight: 4, Args: func(g *Gen) []string {
			start := g.rnd.IntN(30_000)
			return []string{g.Key(), strconv.Itoa(start), strconv.Itoa(start + 20)}
		}},
	}
}

// DB gives the number of a database, mostly of one that streams use.
func (g *Gen) DB() string {
	switch g.rnd.IntN(12) {
	case 0:
		return g.Pick("15", "16", "-1", "2147483648", "-2147483649")
	case 1:
		return g.NoInt()
	default:
		return strconv.Itoa(g.rnd.IntN(3))
	}
}

// twoKeys makes two keys; at times the same, or two beside each other.
func twoKeys(g *Gen) []string {
	switch g.rnd.IntN(8) {
	case 0:
		key := g.Key()
		return []string{key, key}
	case 1:
		return []string{"k1", "{k1}:" + strconv.Itoa(g.rnd.IntN(3))}
	}
	return []string{g.Key(), g.Key()}
}

func argsCopy(g *Gen) []string {
	return append(twoKeys(g), g.options(3, []string{"replace"}, []string{"db", g.DB()})...)
}
