package command

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// follow attaches a reader to the harness's log; each call of next gives the records since the last, as text.
func (h *harness) follow() (next func() []string) {
	h.t.Helper()
	hold := h.set.Log.Attach()
	reader, err := hold.Merged(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { reader.Close(); hold.Close() })
	return func() []string {
		records := []string{}
		err := log.ForEachIn(reader.Append(nil, 1<<30), func(args [][]byte) error {
			words := make([]string, len(args))
			for i, a := range args {
				words[i] = string(a)
			}
			records = append(records, strings.Join(words, "\x1f"))
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		return records
	}
}

// effectCases are commands and what they put into the log. Keys in one case are in different shards of eight; in a
// record NOW+1000 is that absolute time.
var effectCases = []struct {
	before, command string
	one, eight      []string // records with one shard; with eight if they differ
}{
	{"", "SET k v", []string{"SET k v"}, nil},
	{"", "SET k v EX 100", []string{"SET k v PXAT NOW+100000"}, nil},
	{"", "SET k v PX 1 NX GET", []string{"SET k v PXAT NOW+1"}, nil},
	{"", "set k v EXAT 5000000000", []string{"SET k v PXAT 5000000000000"}, nil},
	{"", "SET k v NX GET", []string{"SET k v"}, nil},
	{"SET k v EX 9", "SET k w XX KEEPTTL", []string{"SET k w KEEPTTL"}, nil},
	{"SET k v", "SET k w NX", nil, nil},
	{"", "SET k w XX GET", nil, nil},
	{"", "SETNX k v", []string{"SET k v"}, nil},
	{"SET k v", "SETNX k v", nil, nil},
	{"", "SETEX k 100 v", []string{"SET k v PXAT NOW+100000"}, nil},
	{"", "PSETEX k 100 v", []string{"SET k v PXAT NOW+100"}, nil},
	{"SET k v", "GETSET k w", []string{"SET k w"}, nil},
	{"SET k v", "GETDEL k", []string{"DEL k"}, nil},
	{"", "GETDEL k", nil, nil},
	{"SET k v", "GETEX k", nil, nil},
	{"SET k v", "GETEX k EX 10", []string{"PEXPIREAT k NOW+10000"}, nil},
	{"SET k v", "GETEX k PXAT 1", []string{"DEL k"}, nil},
	{"SET k v", "GETEX k PERSIST", nil, nil},
	{"SET k v EX 9", "GETEX k PERSIST", []string{"PERSIST k"}, nil},
	{"", "GETEX k EX 10", nil, nil},
	{"", "MSET a 1 b 2 c 3", []string{"MSET a 1 b 2 c 3"}, []string{"SET a 1", "SET b 2", "SET c 3"}},
	{"", "MSETNX a 1 b 2", []string{"MSETNX a 1 b 2"}, []string{"SET a 1", "SET b 2"}},
	{"", "MSET {t}a 1 {t}b 2", []string{"MSET {t}a 1 {t}b 2"}, nil},
	{"SET b 1", "MSETNX a 1 b 2", nil, nil},
	{"", "INCR n", []string{"INCR n"}, nil},
	{"", "INCRBY n 5", []string{"INCRBY n 5"}, nil},
	{"SET n 1.5", "INCRBYFLOAT n 1e1", []string{"SET n 11.5 KEEPTTL"}, nil},
	{"SET n x", "INCR n", nil, nil},
	{"", "APPEND k v", []string{"APPEND k v"}, nil},
	{"SET k v", "APPEND k w", []string{"APPEND k w"}, nil},
	{"", "SETRANGE k 3 v", []string{"SETRANGE k 3 v"}, nil},
	{"MSET a 1 b 2", "DEL a b x", []string{"DEL a b x"}, []string{"DEL a", "DEL b"}},
	{"MSET a 1 b 2", "UNLINK b a", []string{"UNLINK b a"}, []string{"UNLINK a", "UNLINK b"}},
	{"", "DEL a b", nil, nil},
	{"SET k v", "EXPIRE k 10 NX", []string{"PEXPIREAT k NOW+10000"}, nil},
	{"SET k v", "PEXPIRE k 10", []string{"PEXPIREAT k NOW+10"}, nil},
	{"SET k v", "EXPIREAT k 5000000000", []string{"PEXPIREAT k 5000000000000"}, nil},
	{"SET k v", "PEXPIREAT k 5000000000000 LT", []string{"PEXPIREAT k 5000000000000"}, nil},
	{"SET k v", "EXPIRE k 0", []string{"DEL k"}, nil},
	{"SET k v", "EXPIRE k 10 XX", nil, nil},
	{"SET k v EX 9", "PERSIST k", []string{"PERSIST k"}, nil},
	{"SET k v", "PERSIST k", nil, nil},
	{"SET k v", "FLUSHDB", []string{"FLUSHDB"}, nil},
	{"SET k v", "FLUSHALL ASYNC", []string{"FLUSHALL"}, nil},

	{"SET a v EX 9", "RENAME a b", []string{"RENAME a b"}, nil},
	{"SET a v", "RENAME a a", nil, nil},
	{"", "RENAME a b", nil, nil},
	{"MSET a 1 b 2", "RENAMENX a b", nil, nil},
	{"SET a v", "renamenx a b", []string{"renamenx a b"}, nil},
	{"SET a v", "COPY a b", []string{"COPY a b"}, nil},
	{"MSET a 1 b 2", "COPY a b", nil, nil},
	{"MSET a 1 b 2", "COPY a b DB 1 REPLACE", []string{"COPY a b DB 1 REPLACE"}, nil},
	{"SET a v", "MOVE a 1", []string{"MOVE a 1"}, nil},
	{"", "MOVE a 1", nil, nil},
	{"", "SWAPDB 0 1", []string{"SWAPDB 0 1"}, nil},
	{"", "SWAPDB 2 2", []string{"SWAPDB 2 2"}, nil},
	{"SET a v PXAT 1", "COPY a b", []string{"DEL a"}, nil},

	{"", "SETBIT k 9 1", []string{"SETBIT k 9 1"}, nil},
	{"", "SETBIT k 9 0", []string{"SETBIT k 9 0"}, nil},
	{"SETBIT k 9 1", "SETBIT k 9 1", nil, nil},
	{"SET k v", "BITFIELD k GET u8 0", nil, nil},
	{"", "BITFIELD k GET u8 0", nil, nil},
	{"", "BITFIELD k SET u8 0 0", []string{"BITFIELD k SET u8 0 0"}, nil},
	{"SET k v", "BITFIELD k SET u8 0 118 INCRBY u8 0 0", nil, nil},
	{"SET k v", "BITFIELD k INCRBY u8 0 1 GET u8 0", []string{"BITFIELD k INCRBY u8 0 1 GET u8 0"}, nil},
	{"SET k v", "BITFIELD k OVERFLOW FAIL SET u2 0 9", nil, nil},
	{"", "BITFIELD k OVERFLOW FAIL SET u2 0 9", []string{"BITFIELD k OVERFLOW FAIL SET u2 0 9"}, nil},
	{"MSET a 1 b 2", "BITOP OR c a b", []string{"BITOP OR c a b"}, nil},
	{"MSET a 1 b 2", "BITOP AND b x y", []string{"DEL b"}, nil},
	{"", "BITOP AND b x y", nil, nil},

	{"SET k v EX 9", "SET k w IFEQ v", []string{"SET k w"}, nil},
	{"SET k v", "SET k w IFNE x EX 100 GET", []string{"SET k w PXAT NOW+100000"}, nil},
	{"SET k v EX 9", "SET k w IFNE x KEEPTTL", []string{"SET k w KEEPTTL"}, nil},
	{"SET k v", "SET k w IFEQ x", nil, nil},
	{"", "SET k w IFDNE x", []string{"SET k w"}, nil},
	{"SET k v", "DELEX k IFEQ v", []string{"DEL k"}, nil},
	{"SET k v", "DELEX k", []string{"DEL k"}, nil},
	{"SET k v", "DELEX k IFNE v", nil, nil},
	{"", "MSETEX 2 a 1 b 2", []string{"MSETEX 2 a 1 b 2"}, []string{"SET a 1", "SET b 2"}},
	{"", "MSETEX 2 a 1 b 2 NX", []string{"MSETEX 2 a 1 b 2"}, []string{"SET a 1", "SET b 2"}},
	{"", "MSETEX 2 a 1 b 2 EX 9", []string{"MSETEX 2 a 1 b 2 PXAT NOW+9000"},
		[]string{"SET a 1 PXAT NOW+9000", "SET b 2 PXAT NOW+9000"}},
	{"SET a 1 EX 9", "MSETEX 2 a 1 b 2 KEEPTTL", []string{"MSETEX 2 a 1 b 2 KEEPTTL"},
		[]string{"SET a 1 KEEPTTL", "SET b 2 KEEPTTL"}},
	{"MSET a 1 b 2", "MSETEX 2 a 1 b 2 XX PXAT 5000000000000", []string{"MSETEX 2 a 1 b 2 PXAT 5000000000000"},
		[]string{"SET a 1 PXAT 5000000000000", "SET b 2 PXAT 5000000000000"}},
	{"SET a 1", "MSETEX 2 a 1 b 2 NX", nil, nil},

	{"SET a 9", "TAKE a 2", []string{"DECRBY a 2"}, nil},
	{"SET a 9", "TAKE a -2", []string{"INCRBY a 2"}, nil},
	{"SET a 9 EX 9", "TAKE a 20 PARTIAL", []string{"DECRBY a 9"}, nil},
	{"SET a 9", "TAKE a 10", nil, nil},
	{"", "TAKE a 1", nil, nil},
	{"SET a v PXAT 1", "TAKE a 1", []string{"DEL a"}, nil},
	{"SET a 9", "TAKE a 2 TOKEN b EX 9",
		[]string{"DECRBY a 2", "SET b 2 7 cb3ca21263463987 PXAT NOW+9000"}, nil},
	{"SET a 9", "TAKE a 10 TOKEN b PXAT 5000000000000",
		[]string{"SET b 0 9 1928bcad7be4b5df PXAT 5000000000000"}, nil},

	{"", "PFADD k", []string{"PFADD k"}, nil},
	{"PFADD k a", "PFADD k b c", []string{"PFADD k b c"}, nil},
	{"PFADD k a", "PFADD k a", nil, nil},
	{"PFADD k a", "PFCOUNT k", []string{"PFCOUNT k"}, nil},
	{"PFADD k a", "PFCOUNT k other", nil, nil},
	{"PFADD a x", "PFMERGE b a", []string{"PFMERGE b a"}, nil},
	{"PFADD k a", "PFDEBUG TODENSE k", []string{"PFDEBUG TODENSE k"}, nil},
	{"PFADD k a", "PFDEBUG DECODE k", nil, nil},

	{"", "GEOADD k CH 0 0 a 13.361389 38.115556 b", []string{"ZADD k CH 3377699720527872 a 3479099956230698 b"}, nil},
	{"", "GEOADD k 180 85.05112878 a", []string{"ZADD k 13510798882111488 a"}, nil},
	{"GEOADD k 0 0 a", "GEOADD k NX 1 1 a", nil, nil},
	{"GEOADD k 0 0 a 1 0 b", "GEOSEARCHSTORE d k FROMLONLAT 0 0 BYRADIUS 1 km",
		[]string{"ZADD d 3377699720527872 a"}, nil},
	{"GEOADD d 0 0 a 1 0 b", "GEOSEARCHSTORE d d FROMMEMBER b BYRADIUS 1 km STOREDIST",
		[]string{"DEL d", "ZADD d 0 b"}, nil},
	{"GEOADD k 0 0 a", "GEORADIUS k 0 0 1 m STORE d", []string{"ZADD d 3377699720527872 a"}, nil},
	{"SET d v", "GEORADIUS k 0 0 1 m STOREDIST d", []string{"DEL d"}, nil},
	{"GEOADD k 0 0 a", "GEORADIUS k 1 1 1 m STORE d", nil, nil},

	// A key that is past its time is deleted by whoever comes across it.
	{"SET k v PXAT 1", "GET k", []string{"DEL k"}, nil},
	{"SET k v PXAT 1", "INCR k", []string{"DEL k", "INCR k"}, nil},
	{"SET k v PXAT 1", "SET k w NX", []string{"DEL k", "SET k w"}, nil},
	{"SET k v PXAT 1", "DEL k", []string{"DEL k"}, nil},
	{"SET k v PXAT 1", "RANDOMKEY", []string{"DEL k"}, nil},
	{"SET k v PXAT 1", "KEYS *", nil, nil},
	{"RPUSH k 2 3 1", "SORT k STORE other", []string{"RPUSH other 1 2 3"}, nil},
	{"RPUSH k 2 3 1", "SORT k BY none* GET # GET none* LIMIT 0 1 STORE k", []string{"DEL k", "RPUSH k 1"}, nil},
	{"RPUSH k 2 1", "SORT k LIMIT 0 0 STORE k", []string{"DEL k"}, nil},
	{"RPUSH k 2 1", "SORT k LIMIT 0 0 STORE other", nil, nil},
	{"SET k v", "SORT none STORE k", []string{"DEL k"}, nil},
	{"RPUSH k a", "SORT k STORE k", nil, nil},

	{"", "RESTORE k 0 " + dumped, []string{"RESTORE k 0 " + dumped}, nil},
	{"", "RESTORE k 5000 " + dumped + " FREQ 7", []string{"RESTORE k NOW+5000 " + dumped + " FREQ 7 ABSTTL"}, nil},
	{"SET k v", "RESTORE k 1700000009000 " + dumped + " ABSTTL REPLACE",
		[]string{"RESTORE k NOW+9000 " + dumped + " ABSTTL REPLACE"}, nil},
	{"SET k v", "RESTORE k 1 " + dumped + " ABSTTL REPLACE", []string{"DEL k"}, nil},
	{"", "RESTORE k 1 " + dumped + " ABSTTL REPLACE", nil, nil},
	{"SET k v", "RESTORE k 0 " + dumped, nil, nil},
}

// dumped is what DUMP replies of 7, of a version that has no blank in it.
const dumped = "\x00\xc0\x07\x08\x00\xcd\xe0\xa4\x1d*\xb2D\xaa"

func TestEffects(t *testing.T) {
	for _, shards := range []int{1, 8} {
		h := newHarness(t, shards)
		next := h.follow()
		for _, c := range effectCases {
			h.do("FLUSHALL")
			if c.before != "" {
				h.do(strings.Fields(c.before)...)
			}
			next()
			if v := h.do(strings.Fields(c.command)...); v.Err() != nil && c.one != nil {
				t.Errorf("%s: %v", c.command, v.Err())
			}
			want := c.one
			if shards > 1 && c.eight != nil {
				want = c.eight
			}
			var got []string
			for _, r := range next() {
				if r = strings.ReplaceAll(r, "\x1f", " "); r != "MULTI" && r != "EXEC" {
					got = append(got, relative(r))
				}
			}
			if shards > 1 {
				slices.Sort(got) // the pieces of several shards come in the shards' order
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d shards: %s, then %s: logs %q, want %q", shards, c.before, c.command, got, want)
			}
		}
	}
}

// relative writes times near the harness's clock as NOW+ms.
func relative(record string) string {
	words := strings.Fields(record)
	for i, w := range words {
		if n, err := strconv.ParseInt(w, 10, 64); err == nil && n >= testNowMs && n < testNowMs+1e9 {
			words[i] = fmt.Sprintf("NOW+%d", n-testNowMs)
		}
	}
	return strings.Join(words, " ")
}

// TestReplayGivesTheSameKeys executes random commands, databases and times changing, and replays their log into an
// empty set of shards whose clock shows another time.
func TestReplayGivesTheSameKeys(t *testing.T) {
	for seed, shards := range []int{1, 2, 8} {
		h, replica := newHarness(t, shards), newHarness(t, 8/shards)
		next := h.follow()
		g := commandGen{rand.New(rand.NewPCG(uint64(seed), 5))}
		for round := range 500 / RaceShare {
			for range 12 {
				h.ctx.DBID = g.IntN(2)
				if payload := h.do("DUMP", g.key()); g.IntN(20) == 0 && !payload.Null {
					h.call(bytesOf(g.restore(string(payload.Str))))
				}
				h.call(bytesOf(g.command()))
				if g.IntN(4) == 0 {
					h.now.Advance(time.Duration(g.IntN(3000)) * time.Millisecond)
				}
			}
			for _, r := range next() {
				switch words := strings.Split(r, "\x1f"); words[0] {
				case "SELECT":
					replica.ctx.DBID, _ = strconv.Atoi(words[1])
				case "MULTI", "EXEC":
				default:
					if reply := replica.call(bytesOf(words)); reply[0] == '-' {
						t.Fatalf("%q: %s", words, reply)
					}
				}
			}
			for db := range 2 {
				want, got := h.dump(db), replica.dump(db)
				if !maps.Equal(got, want) {
					t.Fatalf("%d shards, round %d, db %d: replayed\n%q\nwant\n%q", shards, round, db, got, want)
				}
			}
		}
	}
}

// dump copies a database, keys that are past their time included: key → expiry and value.
func (h *harness) dump(id int) map[string]string {
	all := map[string]string{}
	for _, s := range h.set.Shards {
		db := s.DB(id)
		for cursor := uint64(0); ; {
			cursor = db.Scan(cursor, 1000, 0, func(e index.Entry) {
				all[string(e.Key())] = fmt.Sprint(e.ExpireAt(), " ", h.content(db, e))
			})
			if cursor == 0 {
				break
			}
		}
	}
	return all
}

// content is what a key of a type that random commands make holds.
func (h *harness) content(db *shard.DB, e index.Entry) string {
	if db.Type(e) != object.Hash {
		return string(db.AppendString(nil, e))
	}
	hash := db.LookValue(h.set.Key(e.Key()), 0).LookHash(0)
	fields := map[string]string{}
	var f shard.Fields
	for hash.From(&f, 0); f.Next(); {
		fields[string(f.Field.AppendTo(nil))] = fmt.Sprint(f.ExpireAtMs, " ", string(f.Value.AppendTo(nil)))
	}
	return fmt.Sprint(fields)
}

// commandGen makes random commands, most of them valid.
type commandGen struct{ *rand.Rand }

func (g commandGen) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g commandGen) key() string { return "k" + strconv.Itoa(g.IntN(12)) }

func (g commandGen) number() string {
	return g.pick("0", "1", "-1", "7", "1000", "9223372036854775807", "-9223372036854775808", "1.5", "1e3", "x", "")
}

func (g commandGen) value() string {
	if g.IntN(20) == 0 {
		return strings.Repeat("v", 3000+g.IntN(3000))
	}
	return g.pick("v", g.number(), strconv.Itoa(g.IntN(100)))
}

func (g commandGen) seconds() string { return strconv.Itoa(g.IntN(12) - 1) }

func (g commandGen) ms() string { return strconv.Itoa(g.IntN(12000) - 1000) }

func (g commandGen) atMs() string { return strconv.Itoa(testNowMs + g.IntN(4_000_000)) }

func (g commandGen) options(words ...[]string) (all []string) {
	for _, w := range words {
		if g.IntN(4) == 0 {
			all = append(all, w...)
		}
	}
	return all
}

// fieldTTL makes a command on expiries of fields.
func (g commandGen) fieldTTL(expiry []string) []string {
	switch g.IntN(7) {
	case 0, 1:
		return []string{g.pick("HPEXPIRE", "HPEXPIRE", "HEXPIRE"), g.key(), g.pick(g.ms(), g.seconds()),
			"FIELDS", "2", g.pick("f", "g"), g.value()}
	case 2:
		at := strconv.Itoa(testNowMs/1000 + g.IntN(4000))
		return []string{"HEXPIREAT", g.key(), at, g.pick("NX", "XX", "GT", "LT"), "FIELDS", "2", g.pick("f", "g"), "f"}
	case 3:
		return append(append([]string{"HGETEX", g.key()}, g.options(expiry)...), "FIELDS", "2", g.pick("f", "g"), "f")
	case 4:
		return []string{g.pick("HGETDEL", "HPERSIST"), g.key(), "FIELDS", "2", g.pick("f", "g"), g.value()}
	case 5:
		return append(append([]string{"HSETEX", g.key()}, g.options(expiry, []string{g.pick("FNX", "FXX")})...),
			"FIELDS", "2", g.pick("f", "g"), g.value(), g.pick("f", "g"), g.value())
	}
	return []string{"HGETEX", g.key(), "PERSIST", "FIELDS", "1", g.pick("f", "g")}
}

// restore makes a RESTORE of a payload, or of one that is none: the log is read as words with \x1f between them.
func (g commandGen) restore(payload string) []string {
	if strings.Contains(payload, "\x1f") {
		payload = dumped
	}
	if g.IntN(8) == 0 {
		payload = payload[:g.IntN(len(payload))]
	}
	args := []string{"RESTORE", g.key(), g.pick("0", g.ms(), g.atMs()), payload}
	return append(args, g.options([]string{"REPLACE"}, []string{"REPLACE", "ABSTTL"},
		[]string{g.pick("IDLETIME", "FREQ"), g.seconds()})...)
}

// take makes a TAKE.
func (g commandGen) take(expiry []string) []string {
	token := append([]string{"TOKEN", g.key()}, expiry...)
	return append([]string{"TAKE", g.key(), g.number()},
		g.options([]string{"PARTIAL"}, []string{"FLOOR", g.number()}, token)...)
}

func (g commandGen) command() []string {
	expiry := [][]string{{"EX", g.seconds()}, {"PX", g.ms()}, {"PXAT", g.atMs()}}[g.IntN(3)]
	switch g.IntN(50) {
	case 48, 49:
		return g.take(expiry)
	case 44, 45:
		return []string{"PFADD", g.key(), g.value(), strconv.Itoa(g.IntN(1000))}
	case 46:
		return []string{"PFCOUNT", g.key()}
	case 47:
		return []string{"PFMERGE", g.key(), g.key(), g.key()}
	case 33, 34:
		return []string{g.pick("HSET", "HMSET"), g.key(), g.value(), g.value(), g.pick("f", "g"), g.value()}
	case 35:
		return []string{g.pick("HINCRBY", "HINCRBYFLOAT", "HSETNX"), g.key(), g.pick("f", "g"), g.number()}
	case 37, 38, 39, 40, 41, 42, 43:
		return g.fieldTTL(expiry)
	case 36:
		return []string{"HDEL", g.key(), g.pick("f", "g"), g.value(), g.value()}
	case 30:
		return append([]string{"SET", g.key(), g.value(), g.pick("IFEQ", "IFNE"), g.value()}, expiry...)
	case 31:
		return []string{"DELEX", g.key(), g.pick("IFEQ", "IFNE"), g.value()}
	case 32:
		return append([]string{"MSETEX", "2", g.key(), g.value(), g.key(), g.value()},
			g.options(expiry, []string{g.pick("NX", "XX")}, []string{"KEEPTTL"})...)
	case 26:
		return []string{"SETBIT", g.key(), strconv.Itoa(g.IntN(70_000)), g.pick("0", "1")}
	case 27:
		return []string{"BITOP", g.pick("AND", "OR", "XOR"), g.key(), g.key(), g.key(), g.key()}
	case 28:
		return []string{"BITOP", "NOT", g.key(), g.key()}
	case 29:
		return []string{"BITFIELD", g.key(), "OVERFLOW", g.pick("WRAP", "SAT", "FAIL"),
			g.pick("SET", "INCRBY"), g.pick("u8", "i13", "i64"), strconv.Itoa(g.IntN(40_000)), g.number()}
	case 22, 23:
		return []string{g.pick("RENAME", "RENAMENX"), g.key(), g.key()}
	case 24:
		return append([]string{"COPY", g.key(), g.key()},
			g.options([]string{"REPLACE"}, []string{"DB", strconv.Itoa(g.IntN(2))})...)
	case 25:
		if g.IntN(4) == 0 {
			return []string{"SWAPDB", strconv.Itoa(g.IntN(2)), strconv.Itoa(g.IntN(2))}
		}
		return []string{"MOVE", g.key(), strconv.Itoa(g.IntN(2))}
	case 0, 1:
		return append([]string{"SET", g.key(), g.value()},
			g.options([]string{g.pick("NX", "XX")}, expiry, []string{"KEEPTTL"}, []string{"GET"})...)
	case 2:
		return append([]string{"GETEX", g.key()}, g.options(expiry, []string{"PERSIST"})...)
	case 3:
		return []string{g.pick("GETSET", "SETNX", "APPEND"), g.key(), g.value()}
	case 4:
		return []string{g.pick("SETEX", "PSETEX"), g.key(), g.ms(), g.value()}
	case 5, 6:
		return []string{g.pick("MSET", "MSETNX"), g.key(), g.value(), g.key(), g.value(), g.key(), g.value()}
	case 7:
		return []string{g.pick("INCR", "DECR", "GETDEL", "PERSIST", "TYPE", "GET"), g.key()}
	case 8:
		return []string{g.pick("INCRBY", "DECRBY", "INCRBYFLOAT"), g.key(), g.number()}
	case 9:
		return []string{"SETRANGE", g.key(), strconv.Itoa(g.IntN(6000)), g.value()}
	case 10, 11:
		return []string{g.pick("DEL", "UNLINK", "EXISTS", "MGET"), g.key(), g.key(), g.key()}
	case 12, 13:
		return append([]string{g.pick("EXPIRE", "PEXPIRE"), g.key(), g.ms()},
			g.options([]string{g.pick("NX", "XX", "GT", "LT")})...)
	case 14:
		return append([]string{"PEXPIREAT", g.key(), g.atMs()}, g.options([]string{g.pick("NX", "XX", "GT", "LT")})...)
	case 15:
		if g.IntN(20) == 0 {
			return []string{g.pick("FLUSHDB", "FLUSHALL")}
		}
		return []string{g.pick("RANDOMKEY", "DBSIZE")}
	case 16:
		return []string{g.pick("SCAN", "KEYS"), g.pick("0", "5")}
	}
	return []string{"SET", g.key(), strconv.Itoa(g.IntN(50))}
}
