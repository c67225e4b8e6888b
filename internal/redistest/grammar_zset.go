package redistest

import "strconv"

// SortedSets are the commands of sorted sets but those that wait. Ranges by member are asked of sets whose scores are
// all the same, which have keys of their own: of others any reply is right.
func SortedSets() Grammar {
	grammar := Grammar{
		{Name: "zadd", Weight: 60, Args: argsZAdd},
		{Name: "zadd", Weight: 25, Args: argsLexAdd, rigid: true},
		{Name: "zincrby", Weight: 15, Args: keyAnd((*Gen).Score, (*Gen).Scored)},
		{Name: "zrem", Weight: 16, Args: scoredMembers},
		{Name: "zrem", Weight: 4, Args: func(g *Gen) []string { return []string{g.lexKey(), g.Scored()} }},
		{Name: "zscore", Weight: 15, Args: keyAnd((*Gen).Scored)},
		{Name: "zmscore", Weight: 8, Args: scoredMembers},
		{Name: "zcard", Weight: 6, Args: oneKey},
		{Name: "zrank", Weight: 12, Args: keyAnd((*Gen).Scored), rigid: true},
		{Name: "zrevrank", Weight: 12, Args: keyAnd((*Gen).Scored), rigid: true},
		{Name: "zcount", Weight: 10, Args: keyAnd((*Gen).ScoreEdge, (*Gen).ScoreEdge)},
		{Name: "zlexcount", Weight: 8, Args: lexAnd((*Gen).LexEdge, (*Gen).LexEdge), rigid: true},
		{Name: "zpopmin", Weight: 8, Args: argsPop},
		{Name: "zpopmax", Weight: 8, Args: argsPop},
		{Name: "zmpop", Weight: 8, Args: func(g *Gen) []string {
			args := append(g.numKeys(4), g.anyCase(g.Pick("min", "max", "min", "max", "mid")))
			return append(args, g.options(3, []string{"count", g.Int()}, []string{"nope"})...)
		}},
		{Name: "zremrangebyrank", Weight: 6, Args: keyAnd((*Gen).Rank, (*Gen).Rank)},
		{Name: "zremrangebyscore", Weight: 6, Args: keyAnd((*Gen).ScoreEdge, (*Gen).ScoreEdge)},
		{Name: "zremrangebylex", Weight: 4, Args: lexAnd((*Gen).LexEdge, (*Gen).LexEdge), rigid: true},
		{Name: "zrandmember", Weight: 5, Args: func(g *Gen) []string {
			count := g.Pick("10000", "1000000", "9223372036854775807", "0", "-9223372036854775808", g.NoInt())
			return append([]string{g.Key(), count}, g.options(3, []string{"withscores"})...)
		}, tol: tolerance{any: true}},
		// All at once: cursors differ.
		{Name: "zscan", Weight: 6, Args: func(g *Gen) []string {
			return append([]string{g.Key(), "0", "count", "1000000"},
				g.options(3, []string{"match", g.Pick("*", "m*", "1*", "", "[")})...)
		}, tol: tolerance{unordered: 2}},
	}
	grammar = append(grammar, zRanges()...)
	return append(grammar, zCombinations()...)
}

// Overflows are scores that are too big, or too small to be exact. They don't go together with Sorting.
func Overflows() Grammar {
	score := func(g *Gen) string {
		return g.Pick("", "", "-", "(", "(-") +
			g.Pick("1e400", "1e309", "5e-324", "1e-310", "1e-400", "0x1p-1074", "0x1p1024")
	}
	return Grammar{
		{Name: "zadd", Weight: 4, Args: keyAnd(score, (*Gen).Scored)},
		{Name: "zincrby", Weight: 4, Args: keyAnd(score, (*Gen).Scored)},
		{Name: "zcount", Weight: 4, Args: keyAnd(score, (*Gen).ScoreEdge)},
		{Name: "zrangebyscore", Weight: 4, Args: keyAnd((*Gen).ScoreEdge, score)},
	}
}

// zRanges are ZRANGE and the commands like it.
func zRanges() Grammar {
	limit := func(g *Gen) []string { return []string{"limit", g.Int(), g.Int()} }
	withScores := []string{"withscores"}
	byLex := func(g *Gen) []string {
		return append(lexAnd((*Gen).LexEdge, (*Gen).LexEdge)(g), g.options(3, limit(g))...)
	}
	byScore := func(g *Gen) []string {
		return append(keyAnd((*Gen).ScoreEdge, (*Gen).ScoreEdge)(g), g.options(3, limit(g), withScores)...)
	}
	return Grammar{
		{Name: "zrange", Weight: 14, Args: func(g *Gen) []string {
			return append(keyAnd((*Gen).Rank, (*Gen).Rank)(g),
				g.options(3, withScores, []string{"rev"}, g.rarely(limit(g)))...)
		}},
		{Name: "zrange", Weight: 14, Args: func(g *Gen) []string {
			return append(append(keyAnd((*Gen).ScoreEdge, (*Gen).ScoreEdge)(g), g.anyCase("byscore")),
				g.options(3, withScores, []string{"rev"}, limit(g))...)
		}},
		{Name: "zrange", Weight: 10, rigid: true, Args: func(g *Gen) []string {
			return append(append(lexAnd((*Gen).LexEdge, (*Gen).LexEdge)(g), g.anyCase("bylex")),
				g.options(3, []string{"rev"}, limit(g), g.rarely(withScores))...)
		}},
		{Name: "zrangestore", Weight: 12, Args: func(g *Gen) []string {
			args := append([]string{g.Key()}, keyAnd((*Gen).ScoreEdge, (*Gen).ScoreEdge)(g)...)
			return append(append(args, "byscore"), g.options(3, []string{"rev"}, limit(g), g.rarely(withScores))...)
		}},
		{Name: "zrangestore", Weight: 6, Args: func(g *Gen) []string {
			args := append([]string{g.Key()}, keyAnd((*Gen).Rank, (*Gen).Rank)(g)...)
			return append(args, g.options(4, []string{"rev"}, limit(g))...)
		}},
		{Name: "zrevrange", Weight: 8, Args: func(g *Gen) []string {
			return append(keyAnd((*Gen).Rank, (*Gen).Rank)(g), g.options(3, withScores, g.rarely(limit(g)))...)
		}},
		{Name: "zrangebyscore", Weight: 12, Args: byScore},
		{Name: "zrevrangebyscore", Weight: 10, Args: byScore},
		{Name: "zrangebylex", Weight: 8, Args: byLex, rigid: true},
		{Name: "zrevrangebylex", Weight: 8, Args: byLex, rigid: true},
	}
}

// zCombinations are the commands of several sorted sets.
func zCombinations() Grammar {
	var grammar Grammar
	add := func(name string, weight int, stores bool, options func(g *Gen, keys int) []string) {
		grammar = append(grammar, Command{Name: name, Weight: weight, Args: func(g *Gen) []string {
			args := g.numKeys(3)
			keys := len(args) - 1
			if stores {
				args = append([]string{g.Key()}, args...)
			}
			return append(args, options(g, keys)...)
		}})
	}
	scores := func(g *Gen, keys int) []string {
		weights := []string{"weights"}
		for range keys {
			weights = append(weights, g.Score())
		}
		how := g.Pick("sum", "min", "max", "sum", "min", "max", "avg")
		return g.options(3, weights, []string{"aggregate", g.anyCase(how)})
	}
	withScores := func(g *Gen, keys int) []string {
		return append(scores(g, keys), g.options(2, []string{"withscores"})...)
	}
	none := func(g *Gen, _ int) []string { return g.options(20, []string{"withscores"}) }
	add("zunion", 8, false, withScores)
	add("zinter", 8, false, withScores)
	add("zdiff", 8, false, func(g *Gen, _ int) []string { return g.options(2, []string{"withscores"}) })
	add("zunionstore", 10, true, scores)
	add("zinterstore", 8, true, scores)
	add("zdiffstore", 8, true, none)
	add("zintercard", 8, false, func(g *Gen, _ int) []string { return g.options(2, []string{"limit", g.Int()}) })
	return grammar
}

// rarely gives an option once in five times, and another time one that is there anyhow.
func (g *Gen) rarely(option []string) []string {
	if g.Chance(5) {
		return option
	}
	return []string{"rev"}
}

// numKeys gives a number of keys, rarely a wrong one, and the keys.
func (g *Gen) numKeys(n int) []string {
	keys := g.Keys(n)
	count := strconv.Itoa(len(keys))
	if g.Chance(10) {
		count = g.Int()
	}
	return append([]string{count}, keys...)
}

// Score gives a score: mostly one of few, at times one at an edge, or none.
func (g *Gen) Score() string {
	switch g.rnd.IntN(16) {
	case 0:
		if f := g.Float(); f != "1e5000" { // see Overflows
			return f
		}
		return "1e-5"
	case 1:
		return g.Pick("inf", "-inf", "+inf", "nan", "-0", "0", "1.7976931348623157e308", "-1.7976931348623157e308",
			"9007199254740993", "9223372036854775807", "-9223372036854775808", "0.1", "0x10", "infinity", "1e300")
	case 2:
		return g.Int()
	default:
		return strconv.Itoa(g.rnd.IntN(9) - 2)
	}
}

// ScoreEdge gives an edge of a range of scores, at times one that is none.
func (g *Gen) ScoreEdge() string {
	edge := g.Score()
	switch g.rnd.IntN(8) {
	case 0:
		edge = g.Pick("-inf", "+inf", "inf")
	case 1:
		edge = g.Pick("", "(", " 1", "1 ", "[1", "1_0", "1\x00x", "+", "-", "0x1p3", "0xA", "1e", "nan", "-nan",
			"NaN(1)")
	}
	if g.Chance(3) {
		edge = "(" + edge
	}
	return edge
}

// LexEdge gives an edge of a range of members, at times one that is none.
func (g *Gen) LexEdge() string {
	switch g.rnd.IntN(8) {
	case 0:
		return "-"
	case 1:
		return "+"
	case 2:
		return g.Pick("", "[", "(", "m1", "+x", "-x", "-\x00", "(\xff", "[\xff\xff", "((", "[[", "inf", "\x00")
	}
	return g.Pick("[", "(") + g.Scored()
}

// Scored gives a member of sorted sets: mostly one of a few.
func (g *Gen) Scored() string {
	switch g.rnd.IntN(10) {
	case 0:
		return g.Value()
	case 1:
		return "m" + strconv.Itoa(g.rnd.IntN(1000))
	default:
		return "m" + strconv.Itoa(g.rnd.IntN(14))
	}
}

func scoredMembers(g *Gen) []string {
	args := []string{g.Key()}
	for range 1 + g.rnd.IntN(4) {
		args = append(args, g.Scored())
	}
	return args
}

// argsZAdd makes ZADD with any of its options, contradictory ones too, and some pairs, at times very many.
func argsZAdd(g *Gen) []string {
	args := []string{g.Key()}
	if g.Chance(2) {
		args = append(args, g.options(6, []string{"nx"}, []string{"xx"}, []string{"gt"}, []string{"lt"},
			[]string{"ch"}, []string{"incr"})...)
	}
	n := 1 + g.rnd.IntN(4)
	if g.Chance(30) {
		n = 100 + g.rnd.IntN(100)
	}
	for range n {
		if n > 4 {
			args = append(args, strconv.Itoa(g.rnd.IntN(50)), "m"+strconv.Itoa(g.rnd.IntN(1000)))
		} else {
			args = append(args, g.Score(), g.Scored())
		}
	}
	return args
}

// lexKey gives the key of a set whose scores are all the same.
func (g *Gen) lexKey() string { return "x" + strconv.Itoa(g.rnd.IntN(4)) }

func argsLexAdd(g *Gen) []string {
	args := []string{g.lexKey()}
	for range 1 + g.rnd.IntN(6) {
		args = append(args, "0", g.Scored())
	}
	return args
}

// lexAnd makes such a key and one argument from each of the functions.
func lexAnd(parts ...func(*Gen) string) func(*Gen) []string {
	return func(g *Gen) []string {
		args := keyAnd(parts...)(g)
		args[0] = g.lexKey()
		return args
	}
}
