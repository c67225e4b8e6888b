package redistest

import (
	"slices"
	"strconv"
)

// Sorting are SORT and SORT_RO, of elements and by values that are these commands' own: once redis-server has met a
// score that overflows, it finds the same error in others. Members of sets come in the order of a hash table, and so do
// elements whose strings found by a pattern are equal: only SORT_RO is asked for those that are not sorted, and only
// lists, in keys of their own, are sorted by strings found.
func Sorting() Grammar {
	sorts := func(name string, weight int, tol tolerance, options int, more ...string) Command {
		return Command{Name: name, Weight: weight, tol: tol, Args: func(g *Gen) []string {
			return append(argsSort(g, options), more...)
		}}
	}
	anyOrder := tolerance{unordered: 1}
	return Grammar{
		sorts("sort", 10, tolerance{}, sortBy|sortGet|sortLimit),
		sorts("sort", 6, tolerance{}, sortAlpha|sortGet|sortLimit),
		sorts("sort", 4, tolerance{}, sortBy|sortGet|sortLimit|sortStore),
		sorts("sort", 4, tolerance{}, sortAlpha|sortGet|sortLimit|sortStore),
		sorts("sort", 3, tolerance{}, sortGet|sortLimit|sortStore, "by", "nosort", "store", "k3"),
		sorts("sort_ro", 4, anyOrder, sortAlpha|sortBy),
		sorts("sort_ro", 4, anyOrder, sortAlpha, "by", "nosort"),
		sorts("sort_ro", 1, anyOrder, sortBy|sortGet|sortStore),
		{Name: "sort", Weight: 6, Args: func(g *Gen) []string {
			args := append(argsSort(g, sortAlpha|sortGet|sortLimit|sortStore), "by", g.Pick("*", "w*", "w*", "nosuch*"))
			args[0] = g.Pick("sl0", "sl1")
			return args
		}},
		{Name: "rpush", Weight: 2, Args: sortTied},
		{Name: "rpush", Weight: 6, Args: sortElements(false)},
		{Name: "zadd", Weight: 3, Args: sortElements(true)},
		{Name: "mset", Weight: 3, Args: func(g *Gen) []string {
			return []string{"w" + strconv.Itoa(g.rnd.IntN(14)), g.sortScore(), "w" + g.sortScore(), g.sortScore()}
		}},
		{Name: "del", Weight: 1, Args: func(g *Gen) []string { return []string{g.sortKey()} }},
	}
}

const (
	sortBy = 1 << iota
	sortGet
	sortLimit
	sortAlpha
	sortStore
)

func (g *Gen) sortKey() string { return "s" + strconv.Itoa(g.rnd.IntN(8)) }

// sortScore gives an element that is a number, mostly. None but itself equals it up to a NUL: in which order a server
// has such elements, which ALPHA doesn't tell apart, is its own affair.
func (g *Gen) sortScore() string {
	if g.Chance(12) {
		return g.Pick("", "x", "1.5", "-0.25", " 3", "3 ", "0x1F", "inf", "-inf", "nan", "1e3", "007", "+4", "15\x00a")
	}
	return strconv.Itoa(g.rnd.IntN(14))
}

// sortElements makes a key and elements, each after a score if scored.
func sortElements(scored bool) func(g *Gen) []string {
	return func(g *Gen) []string {
		args := []string{g.sortKey()}
		for range 1 + g.rnd.IntN(6) {
			if scored {
				args = append(args, strconv.Itoa(g.rnd.IntN(5)))
			}
			args = append(args, g.sortScore())
		}
		return args
	}
}

// sortTied makes a list's key and up to 60 integers, most of which have no value to be sorted by.
func sortTied(g *Gen) []string {
	args := []string{g.Pick("sl0", "sl1")}
	for range 1 + g.rnd.IntN(60) {
		args = append(args, strconv.Itoa(g.rnd.IntN(200)))
	}
	return args
}

// argsSort makes arguments with some of the given options.
func argsSort(g *Gen, options int) []string {
	var all [][]string
	with := func(option int, words ...string) {
		if options&option != 0 && !g.Chance(3) {
			all = append(all, words)
		}
	}
	with(sortBy, "by", g.Pick("w*", "w*", "w*", "*", "w*->f1", "w**", "nosuch*"))
	with(sortGet, "get", g.sortPattern())
	with(sortGet, "get", g.sortPattern())
	with(sortLimit, "limit", g.Offset(), g.Offset())
	with(sortStore, "store", g.Key())
	if g.Chance(3) {
		all = append(all, []string{g.Pick("asc", "desc", "DESC")})
	}
	if options&sortAlpha != 0 {
		all = append(all, []string{"alpha"})
	}
	if g.Chance(20) {
		all = append(all, []string{g.Pick("limit", "get", "by", "store", "up")})
	}
	g.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return append([]string{g.sortKey()}, slices.Concat(all...)...)
}

// sortPattern gives a pattern of GET.
func (g *Gen) sortPattern() string {
	return g.Pick("#", "#", "k*", "w*", "k*->f1", "k*->", "*->f2", "{k1}:*", "k", "", "k*\x00->f1", "#\x00", "k*->f*")
}
