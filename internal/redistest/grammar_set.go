package redistest

import "strconv"

// Sets are the commands of sets but for SPOP, after which two servers hold different sets.
func Sets() Grammar {
	members := func(g *Gen) []string {
		args := []string{g.Key()}
		for range 1 + g.rnd.IntN(6) {
			args = append(args, g.Member())
		}
		return args
	}
	unordered := tolerance{unordered: 1}
	destination := func(g *Gen) []string { return append([]string{g.Key()}, g.Keys(3)...) }
	return Grammar{
		{Name: "sadd", Weight: 60, Args: members},
		{Name: "srem", Weight: 20, Args: members},
		{Name: "sismember", Weight: 15, Args: keyAnd((*Gen).Member)},
		{Name: "smismember", Weight: 10, Args: members},
		{Name: "smembers", Weight: 20, Args: oneKey, tol: unordered},
		{Name: "scard", Weight: 10, Args: oneKey},
		{Name: "smove", Weight: 20, Args: func(g *Gen) []string { return append(twoKeys(g), g.Member()) }},
		{Name: "srandmember", Weight: 4, Args: func(g *Gen) []string {
			return []string{g.Key(), g.Pick("0", "100000", "-9223372036854775808", g.NoInt())}
		}, tol: tolerance{any: true}}, // without its count it gives any member
		{Name: "sinter", Weight: 12, Args: func(g *Gen) []string { return g.Keys(3) }, tol: unordered},
		{Name: "sunion", Weight: 12, Args: func(g *Gen) []string { return g.Keys(3) }, tol: unordered},
		{Name: "sdiff", Weight: 12, Args: func(g *Gen) []string { return g.Keys(3) }, tol: unordered},
		{Name: "sinterstore", Weight: 12, Args: destination},
		{Name: "sunionstore", Weight: 12, Args: destination},
		{Name: "sdiffstore", Weight: 12, Args: destination},
		{Name: "sintercard", Weight: 10, Args: func(g *Gen) []string {
			keys := g.Keys(3)
			n := strconv.Itoa(len(keys))
			if g.Chance(10) {
				n = g.Pick("0", "-1", "4", "100", g.NoInt())
			}
			args := append([]string{n}, keys...)
			return append(args, g.options(3, []string{"limit", g.Pick("0", "1", "2", "-1", "x")})...)
		}},
		// All at once: cursors differ.
		{Name: "sscan", Weight: 8, Args: func(g *Gen) []string {
			args := []string{g.Key(), "0", "count", "1000000"}
			return append(args, g.options(3, []string{"match", g.Pick("*", "v*", "1*", "", "[")})...)
		}, tol: unordered},
	}
}

// Member gives a member of sets: mostly one of a few.
func (g *Gen) Member() string {
	switch g.rnd.IntN(8) {
	case 0:
		return g.Value()
	case 1, 2:
		return "m" + strconv.Itoa(g.rnd.IntN(12))
	default:
		return strconv.Itoa(g.rnd.IntN(16) - 3)
	}
}
