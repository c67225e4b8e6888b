package server

import "strconv"

// typed is a key that mostly holds the type that its prefix stands for.
func (s *stream) typed(prefix string) string {
	if s.rnd.IntN(40) == 0 {
		return s.key()
	}
	if s.big > 0 && s.rnd.IntN(2) == 0 {
		return "big:" + prefix + strconv.Itoa(s.rnd.IntN(s.big))
	}
	return "key:" + prefix + strconv.Itoa(s.rnd.IntN(12))
}

func (s *stream) member() string {
	if s.rnd.IntN(3) == 0 {
		return strconv.Itoa(s.rnd.IntN(300))
	}
	return "member:" + strconv.Itoa(s.rnd.IntN(300))
}

func (s *stream) score() string { return strconv.Itoa(s.rnd.IntN(50)) }

// many is one to five times what each gives.
func (s *stream) many(each ...func() string) (args []string) {
	for range 1 + s.rnd.IntN(5) {
		for _, f := range each {
			args = append(args, f())
		}
	}
	return args
}

func (s *stream) pick(words ...string) string { return words[s.rnd.IntN(len(words))] }

func (s *stream) int(n int) string { return strconv.Itoa(s.rnd.IntN(n)) }

// keyed is a form of a command: a key of one type, then what rest makes.
func keyed(prefix string, rest func(s *stream) []string) func(*stream) []string {
	return func(s *stream) []string { return append([]string{s.typed(prefix)}, rest(s)...) }
}

func noRest(*stream) []string       { return nil }
func members(s *stream) []string    { return s.many(s.member) }
func values(s *stream) []string     { return s.many(s.value) }
func pairsOf(s *stream) []string    { return s.many(s.member, s.value) }
func scored(s *stream) []string     { return s.many(s.score, s.member) }
func countOf(s *stream) []string    { return []string{s.int(4)} }
func twoRanks(s *stream) []string   { return []string{s.int(9), s.pick("-1", "-3", "7")} }
func scoreRange(s *stream) []string { return []string{"(" + s.score(), s.score()} }

// fromMany is a form with a destination and several sources of one type.
func fromMany(prefix string) func(*stream) []string {
	return func(s *stream) []string { return []string{s.typed(prefix), s.typed(prefix), s.typed(prefix)} }
}

// zsources is fromMany with the sources counted.
func zsources(s *stream) []string {
	return []string{s.typed("z"), "2", s.typed("z"), s.typed("z")}
}

// collectionWrites makes the arguments of the commands that write collections.
var collectionWrites = joined(streamWrites, map[string]func(s *stream) []string{
	"hset": keyed("h", pairsOf), "hmset": keyed("h", pairsOf), "hdel": keyed("h", members),
	"hsetnx":       keyed("h", func(s *stream) []string { return []string{s.member(), s.value()} }),
	"hincrby":      keyed("h", func(s *stream) []string { return []string{s.member(), s.int(100)} }),
	"hincrbyfloat": keyed("h", func(s *stream) []string { return []string{s.member(), "0.1"} }),

	"hexpire":    keyed("h", func(s *stream) []string { return []string{"1", "FIELDS", "1", s.member()} }),
	"hpexpire":   keyed("h", func(s *stream) []string { return []string{s.int(300), "FIELDS", "1", s.member()} }),
	"hexpireat":  keyed("h", func(s *stream) []string { return []string{"4000000000", "FIELDS", "1", s.member()} }),
	"hpexpireat": keyed("h", func(s *stream) []string { return []string{"4000000000000", "FIELDS", "1", s.member()} }),
	"hpersist":   keyed("h", func(s *stream) []string { return []string{"FIELDS", "1", s.member()} }),
	"hgetex":     keyed("h", func(s *stream) []string { return []string{"PX", "100", "FIELDS", "1", s.member()} }),
	"hsetex": keyed("h", func(s *stream) []string {
		return []string{"EX", "1", "FIELDS", "1", s.member(), s.value()}
	}),
	"hgetdel": keyed("h", func(s *stream) []string { return []string{"FIELDS", "1", s.member()} }),

	"lpush": keyed("l", values), "rpush": keyed("l", values),
	"lpushx": keyed("l", values), "rpushx": keyed("l", values),
	"lpop": keyed("l", countOf), "rpop": keyed("l", noRest),
	"lset": keyed("l", func(s *stream) []string { return []string{s.int(5), s.value()} }),
	"linsert": keyed("l", func(s *stream) []string {
		return []string{s.pick("BEFORE", "AFTER"), s.value(), s.value()}
	}),
	"lrem":  keyed("l", func(s *stream) []string { return []string{s.pick("-1", "0", "2"), s.value()} }),
	"ltrim": keyed("l", twoRanks),
	"lmove": func(s *stream) []string {
		return []string{s.typed("l"), s.typed("l"), s.pick("LEFT", "RIGHT"), s.pick("LEFT", "RIGHT")}
	},
	"rpoplpush": func(s *stream) []string { return []string{s.typed("l"), s.typed("l")} },
	"lmpop":     func(s *stream) []string { return []string{"2", s.typed("l"), s.typed("l"), "LEFT", "COUNT", "2"} },
	"sort": func(s *stream) []string {
		return []string{s.typed(s.pick("l", "s", "z")), "ALPHA", "STORE", s.typed("l")}
	},
	// Only in transactions, where nobody waits.
	"blpop":      func(s *stream) []string { return []string{s.typed("l"), s.typed("l"), "0.001"} },
	"brpop":      func(s *stream) []string { return []string{s.typed("l"), s.typed("l"), "0.001"} },
	"brpoplpush": func(s *stream) []string { return []string{s.typed("l"), s.typed("l"), "0.001"} },
	"blmove":     func(s *stream) []string { return []string{s.typed("l"), s.typed("l"), "LEFT", "RIGHT", "0.001"} },
	"blmpop":     func(s *stream) []string { return []string{"0.001", "2", s.typed("l"), s.typed("l"), "RIGHT"} },
	"bzpopmin":   func(s *stream) []string { return []string{s.typed("z"), s.typed("z"), "0.001"} },
	"bzpopmax":   func(s *stream) []string { return []string{s.typed("z"), s.typed("z"), "0.001"} },
	"bzmpop":     func(s *stream) []string { return []string{"0.001", "2", s.typed("z"), s.typed("z"), "MAX"} },

	"sadd": keyed("s", members), "srem": keyed("s", members), "spop": keyed("s", countOf),
	"smove":       func(s *stream) []string { return []string{s.typed("s"), s.typed("s"), s.member()} },
	"sinterstore": fromMany("s"), "sunionstore": fromMany("s"), "sdiffstore": fromMany("s"),

	"pfadd": keyed("p", func(s *stream) []string {
		if s.rnd.IntN(10) > 0 {
			return members(s)
		}
		var many []string
		for range 500 {
			many = append(many, s.int(1_000_000))
		}
		return many
	}),
	"pfcount": keyed("p", noRest), "pfmerge": fromMany("p"),
	"pfdebug": func(s *stream) []string { return []string{s.pick("TODENSE", "GETREG"), s.typed("p")} },

	"geoadd": keyed("g", func(s *stream) []string {
		return s.many(func() string { return s.int(180) }, func() string { return s.int(85) }, s.member)
	}),
	"geosearchstore": func(s *stream) []string {
		return append([]string{s.typed("z"), s.typed("g"), "FROMLONLAT", s.int(180), s.int(85), "BYRADIUS", s.int(3000),
			"km"}, s.options("STOREDIST")...)
	},
	"georadius": keyed("g", func(s *stream) []string {
		return []string{s.int(180), s.int(85), s.int(3000), "km", s.pick("STORE", "STOREDIST"), s.typed("g")}
	}),
	"georadiusbymember": keyed("g", func(s *stream) []string {
		return []string{s.member(), s.int(3000), "km", "COUNT", "3", "STORE", s.typed("z")}
	}),

	"zadd": keyed("z", scored), "zrem": keyed("z", members),
	"zincrby":          keyed("z", func(s *stream) []string { return []string{"1.5", s.member()} }),
	"zpopmin":          keyed("z", countOf),
	"zpopmax":          keyed("z", noRest),
	"zremrangebyrank":  keyed("z", twoRanks),
	"zremrangebyscore": keyed("z", scoreRange),
	"zremrangebylex":   keyed("z", func(s *stream) []string { return []string{"[member:1", "(member:2"} }),
	"zrangestore":      func(s *stream) []string { return []string{s.typed("z"), s.typed("z"), s.int(5), "-1"} },
	"zmpop": func(s *stream) []string {
		return []string{"2", s.typed("z"), s.typed("z"), "MIN", "COUNT", "2"}
	},
	"zunionstore": zsources, "zinterstore": zsources, "zdiffstore": zsources,
})
