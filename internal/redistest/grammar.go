package redistest

import "strconv"

// Both servers are asked within this time, which matters to replies that say how long something still lives.
const (
	nearSec = 40
	nearMs  = nearSec * 1000
)

// Strings are the commands of strings.
func Strings() Grammar {
	return Grammar{
		{Name: "set", Weight: 60, Args: argsSet},
		{Name: "get", Weight: 60, Args: oneKey},
		{Name: "getset", Weight: 8, Args: keyAnd((*Gen).Value)},
		{Name: "setnx", Weight: 8, Args: keyAnd((*Gen).Value)},
		{Name: "setex", Weight: 8, Args: keyAnd(func(g *Gen) string { return g.TTL(false, false) }, (*Gen).Value)},
		{Name: "psetex", Weight: 8, Args: keyAnd(func(g *Gen) string { return g.TTL(false, true) }, (*Gen).Value)},
		{Name: "mget", Weight: 15, Args: func(g *Gen) []string { return g.Keys(6) }},
		{Name: "mset", Weight: 10, Args: keysAndValues},
		{Name: "msetnx", Weight: 8, Args: keysAndValues},
		{Name: "incr", Weight: 15, Args: oneKey},
		{Name: "decr", Weight: 15, Args: oneKey},
		{Name: "incrby", Weight: 15, Args: keyAnd((*Gen).Int)},
		{Name: "decrby", Weight: 15, Args: keyAnd((*Gen).Int)},
		{Name: "incrbyfloat", Weight: 15, Args: keyAnd((*Gen).Float)},
		{Name: "append", Weight: 15, Args: keyAnd((*Gen).Value)},
		{Name: "strlen", Weight: 10, Args: oneKey},
		{Name: "getrange", Weight: 15, Args: keyAnd((*Gen).Offset, (*Gen).Offset)},
		{Name: "substr", Weight: 2, Args: keyAnd((*Gen).Offset, (*Gen).Offset)},
		{Name: "setrange", Weight: 15, Args: keyAnd((*Gen).Offset, (*Gen).Value)},
		{Name: "getdel", Weight: 10, Args: oneKey},
		{Name: "getex", Weight: 15, Args: argsGetex},
	}
}

// Keyspace are the commands of keys of any type.
func Keyspace() Grammar {
	grammar := Grammar{
		{Name: "del", Weight: 15, Args: func(g *Gen) []string { return g.Keys(3) }},
		{Name: "unlink", Weight: 8, Args: func(g *Gen) []string { return g.Keys(3) }},
		{Name: "exists", Weight: 10, Args: func(g *Gen) []string { return g.Keys(4) }},
		{Name: "type", Weight: 8, Args: oneKey},
		{Name: "persist", Weight: 8, Args: oneKey},
		{Name: "ttl", Weight: 8, Args: oneKey, tol: tolerance{near: nearSec}},
		{Name: "pttl", Weight: 8, Args: oneKey, tol: tolerance{near: nearMs}},
		{Name: "expiretime", Weight: 8, Args: oneKey, tol: tolerance{near: nearSec}},
		{Name: "pexpiretime", Weight: 8, Args: oneKey, tol: tolerance{near: nearMs}},
		// Keys that are past their time count until someone has noticed. The digest looks at all of them.
		{Name: "dbsize", Weight: 4, Args: noArgs, tol: tolerance{any: true}},
		{Name: "flushdb", Weight: 1, Args: argsFlush},
		{Name: "flushall", Weight: 1, Args: argsFlush},
	}
	for _, form := range []struct {
		name         string
		absolute, ms bool
	}{{"expire", false, false}, {"pexpire", false, true}, {"expireat", true, false}, {"pexpireat", true, true}} {
		grammar = append(grammar, Command{Name: form.name, Weight: 10, Args: func(g *Gen) []string {
			args := []string{g.Key(), g.TTL(form.absolute, form.ms)}
			return append(args, g.options(5, []string{"nx"}, []string{"xx"}, []string{"gt"}, []string{"lt"})...)
		}})
	}
	return grammar
}

// Connection are the commands of a connection and its transactions.
func Connection() Grammar {
	return Grammar{
		{Name: "select", Weight: 8, Args: func(g *Gen) []string {
			if g.Chance(6) {
				return []string{g.Pick("15", "16", "-1", g.NoInt())}
			}
			return []string{strconv.Itoa(g.rnd.IntN(3))}
		}},
		{Name: "multi", Weight: 10, Args: noArgs},
		{Name: "exec", Weight: 12, Args: noArgs},
		{Name: "discard", Weight: 3, Args: noArgs},
		{Name: "watch", Weight: 8, Args: func(g *Gen) []string { return g.Keys(2) }},
		{Name: "unwatch", Weight: 2, Args: noArgs},
		{Name: "ping", Weight: 3, Args: func(g *Gen) []string { return g.options(2, []string{"hello"}) }},
		{Name: "echo", Weight: 3, Args: func(g *Gen) []string { return []string{g.Value()} }},
	}
}

// Changes asks for the number of changes, as INFO has it, among the commands of other grammars. Both servers must be
// able to save.
func Changes() Grammar {
	return Grammar{{
		Name: "info", Weight: 60, Args: func(*Gen) []string { return []string{"persistence"} }, rigid: true,
		tol: tolerance{field: "rdb_changes_since_last_save"},
	}}
}

// Everything is all commands of this package's grammars.
func Everything() Grammar {
	all := Strings()
	all = append(all, Keyspace()...)
	all = append(all, Moving()...)
	all = append(all, Bitmaps()...)
	all = append(all, Streams()...)
	all = append(all, HyperLogLogs()...)
	all = append(all, Hashes()...)
	all = append(all, Lists()...)
	all = append(all, Sets()...)
	all = append(all, SortedSets()...)
	all = append(all, Positions()...)
	all = append(all, Sorting()...)
	all = append(all, Dumps()...)
	return append(all, Connection()...)
}

func noArgs(*Gen) []string { return nil }

func oneKey(g *Gen) []string { return []string{g.Key()} }

// keyAnd makes a key and one argument from each of the functions.
func keyAnd(parts ...func(*Gen) string) func(*Gen) []string {
	return func(g *Gen) []string {
		args := []string{g.Key()}
		for _, part := range parts {
			args = append(args, part(g))
		}
		return args
	}
}

func keysAndValues(g *Gen) []string {
	var args []string
	for _, key := range g.Keys(4) {
		args = append(args, key, g.Value())
	}
	return args
}

// argsSet makes SET key value with any of its options, contradictory ones too.
func argsSet(g *Gen) []string {
	args := []string{g.Key(), g.Value()}
	if g.Chance(2) {
		return args
	}
	return append(args, g.options(6, []string{"nx"}, []string{"xx"}, []string{"get"}, []string{"keepttl"},
		[]string{"ex", g.TTL(false, false)}, []string{"px", g.TTL(false, true)},
		[]string{"exat", g.TTL(true, false)}, []string{"pxat", g.TTL(true, true)})...)
}

func argsGetex(g *Gen) []string {
	return append([]string{g.Key()}, g.options(6, []string{"persist"},
		[]string{"ex", g.TTL(false, false)}, []string{"px", g.TTL(false, true)},
		[]string{"exat", g.TTL(true, false)}, []string{"pxat", g.TTL(true, true)})...)
}

func argsFlush(g *Gen) []string {
	return g.options(4, []string{"async"}, []string{"sync"}, []string{"later"})
}
