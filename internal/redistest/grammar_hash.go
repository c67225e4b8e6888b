package redistest

import "strconv"

// Hashes are the commands of hashes.
func Hashes() Grammar {
	return Grammar{
		{Name: "hset", Weight: 40, Args: fieldsAndValues},
		{Name: "hmset", Weight: 5, Args: fieldsAndValues},
		{Name: "hsetnx", Weight: 10, Args: keyAnd((*Gen).Field, (*Gen).Value)},
		{Name: "hget", Weight: 25, Args: keyAnd((*Gen).Field)},
		{Name: "hmget", Weight: 10, Args: fields},
		{Name: "hdel", Weight: 20, Args: fields},
		{Name: "hexists", Weight: 6, Args: keyAnd((*Gen).Field)},
		{Name: "hlen", Weight: 8, Args: oneKey},
		{Name: "hstrlen", Weight: 6, Args: keyAnd((*Gen).Field)},
		{Name: "hincrby", Weight: 15, Args: keyAnd((*Gen).Field, (*Gen).Int)},
		{Name: "hincrbyfloat", Weight: 12, Args: keyAnd((*Gen).Field, (*Gen).Float)},
		{Name: "hgetall", Weight: 12, Args: oneKey, tol: tolerance{unordered: 2}},
		{Name: "hkeys", Weight: 6, Args: oneKey, tol: tolerance{unordered: 1}},
		{Name: "hvals", Weight: 6, Args: oneKey, tol: tolerance{unordered: 1}},
		// What is random or left to the server: only kinds are compared.
		{Name: "hrandfield", Weight: 8, Args: argsHRandField, tol: tolerance{any: true}},
		{Name: "hscan", Weight: 8, Args: argsHScan, tol: tolerance{any: true}},
		{Name: "del", Weight: 3, Args: oneKey},
		{Name: "set", Weight: 2, Args: keyAnd((*Gen).Value)},
		{Name: "copy", Weight: 3, Args: argsCopy},
	}
}

// Field gives one of a few names of fields and members, among them long ones and odd ones.
func (g *Gen) Field() string {
	switch g.rnd.IntN(10) {
	case 0:
		return g.Value()
	case 1:
		return "f" + strconv.Itoa(g.rnd.IntN(1000))
	default:
		return "f" + strconv.Itoa(g.rnd.IntN(12))
	}
}

func fields(g *Gen) []string {
	args := []string{g.Key()}
	for range 1 + g.rnd.IntN(4) {
		args = append(args, g.Field())
	}
	return args
}

// fieldsAndValues makes some pairs, at times very many, as a hash that changes its form has.
func fieldsAndValues(g *Gen) []string {
	n := 1 + g.rnd.IntN(4)
	if g.Chance(30) {
		n = 100 + g.rnd.IntN(100)
	}
	args := []string{g.Key()}
	for range n {
		field := g.Field()
		if n > 4 {
			field = "f" + strconv.Itoa(g.rnd.IntN(1000))
		}
		args = append(args, field, g.Value())
	}
	return args
}

// argsHRandField asks for all, none or what can't be.
func argsHRandField(g *Gen) []string {
	args := []string{g.Key(), g.Pick("10000", "1000000", "9223372036854775807", "0", "-9223372036854775808", g.NoInt())}
	return append(args, g.options(3, []string{"withvalues"})...)
}

func argsHScan(g *Gen) []string {
	args := []string{g.Key(), g.Pick("0", "0", "0", "1", g.NoInt())}
	return append(args, g.options(3, []string{"count", g.Pick("100000", "1", "0", g.Int())},
		[]string{"match", g.Pick("*", "f1*", "f?", "[^f]*", "")})...)
}

// Encodings asks for the names of encodings. They are compared where servers have the same limits, by default.
func Encodings() Grammar {
	return Grammar{{Name: "object", Weight: 30, Args: func(g *Gen) []string { return []string{"encoding", g.Key()} }}}
}
