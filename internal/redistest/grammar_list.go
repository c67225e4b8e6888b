package redistest

import "strconv"

// Lists are the commands of lists but those that wait.
func Lists() Grammar {
	ends := func(g *Gen) string { return g.anyCase(g.Pick("left", "right", "left", "right", "up")) }
	grammar := Grammar{
		{Name: "lpushx", Weight: 6, Args: keyAndItems},
		{Name: "rpushx", Weight: 6, Args: keyAndItems},
		{Name: "lpop", Weight: 14, Args: argsPop},
		{Name: "rpop", Weight: 14, Args: argsPop},
		{Name: "llen", Weight: 6, Args: oneKey},
		{Name: "lindex", Weight: 10, Args: keyAnd((*Gen).Rank)},
		{Name: "lset", Weight: 10, Args: keyAnd((*Gen).Rank, (*Gen).Item)},
		{Name: "linsert", Weight: 12, Args: func(g *Gen) []string {
			where := g.anyCase(g.Pick("before", "after", "before", "after", "around"))
			return []string{g.Key(), where, g.Item(), g.Item()}
		}},
		{Name: "lrange", Weight: 20, Args: keyAnd((*Gen).Rank, (*Gen).Rank)},
		{Name: "ltrim", Weight: 6, Args: keyAnd((*Gen).Rank, (*Gen).Rank)},
		{Name: "lrem", Weight: 12, Args: keyAnd((*Gen).Int, (*Gen).Item)},
		{Name: "lpos", Weight: 14, Args: func(g *Gen) []string {
			return append([]string{g.Key(), g.Item()}, g.options(3, []string{"rank", g.Int()},
				[]string{"count", g.Int()}, []string{"maxlen", g.Int()}, []string{"nope"})...)
		}},
		{Name: "lmove", Weight: 16, Args: func(g *Gen) []string {
			return append(twoKeys(g), ends(g), ends(g))
		}},
		{Name: "rpoplpush", Weight: 8, Args: twoKeys},
		{Name: "lmpop", Weight: 10, Args: func(g *Gen) []string {
			keys := g.Keys(4)
			n := strconv.Itoa(len(keys))
			if g.Chance(8) {
				n = g.Int()
			}
			args := append([]string{n}, keys...)
			return append(append(args, ends(g)), g.options(3, []string{"count", g.Int()}, []string{"nope"})...)
		}},
	}
	for _, name := range []string{"lpush", "rpush"} {
		grammar = append(grammar, Command{Name: name, Weight: 30, Args: keyAndItems})
	}
	return grammar
}

// Item gives what a list holds: mostly one of few, so that what is looked for is found.
func (g *Gen) Item() string {
	if g.Chance(6) {
		return g.Value()
	}
	return strconv.Itoa(g.rnd.IntN(12))
}

// Rank gives an index of an item, mostly one that is there.
func (g *Gen) Rank() string {
	switch g.rnd.IntN(8) {
	case 0:
		return g.Int()
	case 1:
		return strconv.Itoa(g.rnd.IntN(400) - 200)
	default:
		return strconv.Itoa(g.rnd.IntN(20) - 10)
	}
}

// keyAndItems makes a push of a few items, or of many.
func keyAndItems(g *Gen) []string {
	args := []string{g.Key()}
	n := 1 + g.rnd.IntN(6)
	if g.Chance(10) {
		n = 150
	}
	for range n {
		args = append(args, g.Item())
	}
	return args
}

func argsPop(g *Gen) []string {
	args := []string{g.Key()}
	if g.Chance(2) {
		args = append(args, g.Int())
	}
	return args
}
