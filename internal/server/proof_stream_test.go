package server

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/crc"
	"fulmen/shard/command"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// flood says how many random commands come from where.
type flood struct {
	seed              uint64
	connections, each int  // each connection sends so many
	keys              int  // in use
	flush             int  // of the FLUSHALLs and FLUSHDBs one in so many; 0: none
	plain             bool // strings only
	big               int  // how many keys of big values of each type are in use beside the others
}

// stream makes random commands of one connection: every command that writes, in several databases, with short times
// to live, in transactions and outside.
type stream struct {
	rnd *rand.Rand
	flood
	multi int // commands to come before EXEC
}

func (s *stream) key() string {
	if s.big > 0 && s.rnd.IntN(3) == 0 {
		return bigKey(s.rnd.IntN(len(bigValues)), s.rnd.IntN(s.big))
	}
	return "key:" + strconv.Itoa(s.rnd.IntN(s.keys))
}

func (s *stream) value() string {
	switch n := s.rnd.IntN(100); {
	case n < 50:
		return strconv.Itoa(s.rnd.IntN(1000))
	case n < 97:
		return strings.Repeat("v", s.rnd.IntN(150)) + strconv.Itoa(n)
	default: // too long to be kept in one piece
		return strings.Repeat("long ", s.rnd.IntN(4000)) + strconv.Itoa(n)
	}
}

// payload is what DUMP gives for a string.
func (s *stream) payload() string {
	p := append([]byte("\x00\x04"+strconv.Itoa(1000+s.rnd.IntN(1000))), 10, 0)
	return string(binary.LittleEndian.AppendUint64(p, crc.Sum64(p)))
}

// ms gives a time to live, which may have passed.
func (s *stream) ms() int64 { return int64(s.rnd.IntN(300)) - 5 }

func (s *stream) options(words ...string) []string {
	if s.rnd.IntN(3) > 0 {
		return nil
	}
	return words[:1+s.rnd.IntN(len(words))][:1]
}

// writes makes the arguments of each command that writes; nowMs is the server's time.
var writes = map[string]func(s *stream, nowMs int64) []string{
	"set": func(s *stream, nowMs int64) []string {
		args := []string{s.key(), s.value()}
		switch s.rnd.IntN(9) {
		case 0:
			args = append(args, "PX", strconv.FormatInt(max(s.ms(), 1), 10))
		case 1:
			args = append(args, "PXAT", strconv.FormatInt(nowMs+s.ms(), 10), "GET")
		case 2:
			args = append(args, "KEEPTTL")
		case 3:
			args = append(args, "NX", "EX", "1")
		case 4:
			args = append(args, "XX")
		}
		return args
	},
	"restore": func(s *stream, nowMs int64) []string {
		args := []string{s.key(), "0", s.payload(), "REPLACE"}
		switch s.rnd.IntN(3) {
		case 0:
			args[1] = strconv.FormatInt(max(s.ms(), 1), 10)
		case 1:
			args[1] = strconv.FormatInt(nowMs+s.ms(), 10)
			args = append(args, "ABSTTL")
		}
		return args
	},
	"getset":      func(s *stream, _ int64) []string { return []string{s.key(), s.value()} },
	"getdel":      func(s *stream, _ int64) []string { return []string{s.key()} },
	"getex":       func(s *stream, _ int64) []string { return []string{s.key(), "PX", "100"} },
	"setnx":       func(s *stream, _ int64) []string { return []string{s.key(), s.value()} },
	"setex":       func(s *stream, _ int64) []string { return []string{s.key(), "1", s.value()} },
	"psetex":      func(s *stream, _ int64) []string { return []string{s.key(), "50", s.value()} },
	"mset":        func(s *stream, _ int64) []string { return s.pairs() },
	"msetnx":      func(s *stream, _ int64) []string { return s.pairs()[:2] },
	"incr":        func(s *stream, _ int64) []string { return []string{s.key()} },
	"decr":        func(s *stream, _ int64) []string { return []string{s.key()} },
	"incrby":      func(s *stream, _ int64) []string { return []string{s.key(), "17"} },
	"decrby":      func(s *stream, _ int64) []string { return []string{s.key(), "18"} },
	"incrbyfloat": func(s *stream, _ int64) []string { return []string{s.key(), "0.1"} },
	"append":      func(s *stream, _ int64) []string { return []string{s.key(), s.value()} },
	"setrange": func(s *stream, _ int64) []string {
		return []string{s.key(), strconv.Itoa(s.rnd.IntN(200)), s.value()}
	},
	"del":    func(s *stream, _ int64) []string { return []string{s.key(), s.key(), s.key()} },
	"unlink": func(s *stream, _ int64) []string { return []string{s.key(), s.key()} },
	"expire": func(s *stream, _ int64) []string { return append([]string{s.key(), "1"}, s.options("NX", "GT")...) },
	"pexpire": func(s *stream, _ int64) []string {
		return append([]string{s.key(), strconv.FormatInt(s.ms(), 10)}, s.options("LT", "XX")...)
	},
	"expireat": func(s *stream, nowMs int64) []string {
		return []string{s.key(), strconv.FormatInt(nowMs/1000+int64(s.rnd.IntN(3)), 10)}
	},
	"pexpireat": func(s *stream, nowMs int64) []string {
		return []string{s.key(), strconv.FormatInt(nowMs+s.ms(), 10)}
	},
	"rename":   func(s *stream, _ int64) []string { return []string{s.key(), s.key()} },
	"renamenx": func(s *stream, _ int64) []string { return []string{s.key(), s.key()} },
	"copy": func(s *stream, _ int64) []string {
		args := []string{s.key(), s.key()}
		if s.rnd.IntN(2) == 0 {
			args = append(args, "REPLACE")
		}
		if s.rnd.IntN(3) == 0 {
			args = append(args, "DB", strconv.Itoa(s.rnd.IntN(3)))
		}
		return args
	},
	"move": func(s *stream, _ int64) []string { return []string{s.key(), strconv.Itoa(s.rnd.IntN(3))} },
	"swapdb": func(s *stream, _ int64) []string {
		return []string{strconv.Itoa(s.rnd.IntN(3)), strconv.Itoa(s.rnd.IntN(3))}
	},
	"setbit": func(s *stream, _ int64) []string {
		return []string{s.key(), strconv.Itoa(s.rnd.IntN(40_000)), strconv.Itoa(s.rnd.IntN(2))}
	},
	"bitfield": func(s *stream, _ int64) []string {
		offset := strconv.Itoa(s.rnd.IntN(40_000))
		return []string{s.key(), "SET", "u8", offset, "77", "INCRBY", "i16", "#3", "1000"}
	},
	"bitop": func(s *stream, _ int64) []string {
		if s.rnd.IntN(4) == 0 {
			return []string{"NOT", s.key(), s.key()}
		}
		return []string{[]string{"AND", "OR", "XOR"}[s.rnd.IntN(3)], s.key(), s.key(), s.key()}
	},
	"delex": func(s *stream, _ int64) []string { return []string{s.key(), "IFNE", s.value()} },
	"msetex": func(s *stream, nowMs int64) []string {
		pairs := s.pairs()
		args := append([]string{strconv.Itoa(len(pairs) / 2)}, pairs...)
		switch s.rnd.IntN(4) {
		case 0:
			args = append(args, "PXAT", strconv.FormatInt(nowMs+s.ms(), 10))
		case 1:
			args = append(args, "EX", "1", "NX")
		case 2:
			args = append(args, "KEEPTTL")
		}
		return args
	},
	"take": func(s *stream, _ int64) []string {
		args := []string{s.key(), strconv.Itoa(1 + s.rnd.IntN(9)), "FLOOR", "-1000"}
		if s.rnd.IntN(2) == 0 {
			args = append(args, "TOKEN", strconv.Itoa(s.rnd.IntN(9)), "PX", "100")
		}
		return args
	},
	"persist":  func(s *stream, _ int64) []string { return []string{s.key()} },
	"flushdb":  func(*stream, int64) []string { return nil },
	"flushall": func(s *stream, _ int64) []string { return s.options("ASYNC", "SYNC") },
}

func (s *stream) pairs() (args []string) {
	for range 1 + s.rnd.IntN(5) {
		args = append(args, s.key(), s.value())
	}
	return args
}

// writeNames are the commands that write, by their rows.
func writeNames(t testing.TB) (names []string) {
	for _, row := range command.Rows() {
		flags := row.Flags
		for _, sub := range row.Subs {
			flags |= sub.Flags
		}
		if flags&(command.Write|command.MayReplicate) == 0 {
			continue
		}
		if writes[row.Name] == nil && collectionWrites[row.Name] == nil {
			t.Errorf("%s writes and is in no random stream: add it to writes", row.Name)
			continue
		}
		names = append(names, row.Name)
	}
	return names
}

// next makes the next command.
func (s *stream) next(names []string, nowMs int64) []string {
	if s.multi > 0 {
		if s.multi--; s.multi == 0 {
			return []string{"EXEC"}
		}
	}
	switch n := s.rnd.IntN(100); {
	case n == 0:
		return []string{"SELECT", strconv.Itoa(s.rnd.IntN(3))}
	case n < 4 && s.multi == 0:
		s.multi = 1 + s.rnd.IntN(6)
		return []string{"MULTI"}
	case n < 6 && s.multi == 0:
		return []string{"WATCH", s.key(), s.key()}
	case n < 12:
		return []string{"GET", s.key()}
	}
	name := names[s.rnd.IntN(len(names))]
	if strings.HasPrefix(name, "flush") && (s.flush == 0 || s.rnd.IntN(s.flush) > 0) {
		name = "set"
	}
	if name[0] == 'b' && collectionWrites[name] != nil && s.multi == 0 {
		return []string{"GET", s.key()} // it might wait, and the clock stands still: only in transactions
	}
	return s.inScript(s.write(name, nowMs), nowMs)
}

// write makes a command that writes.
func (s *stream) write(name string, nowMs int64) []string {
	if make := collectionWrites[name]; make != nil {
		return append([]string{name}, make(s)...)
	}
	return append([]string{name}, writes[name](s, nowMs)...)
}

// Scripts that write. The first says which keys it touches; the others execute what they are given, and go on at what
// fails.
const (
	declaredScript = "redis.call('SET',KEYS[1],ARGV[1],'PX',1+#ARGV[1]) redis.call('APPEND',KEYS[2],ARGV[1]) " +
		"redis.call('DEL',KEYS[3]) return redis.call('SETRANGE',KEYS[3],3,ARGV[1])"
	givenScript = "local i=1 while i<=#ARGV do redis.pcall(unpack(ARGV,i+1,i+ARGV[i])) i=i+1+ARGV[i] end"
	failsScript = givenScript + " error('in the end')"
)

// inScript makes a command part of a script, sometimes.
func (s *stream) inScript(args []string, nowMs int64) []string {
	given := func(args []string) []string { return append([]string{strconv.Itoa(len(args))}, args...) }
	switch s.rnd.IntN(16) {
	case 0:
		return []string{"EVAL", declaredScript, "3", s.key(), s.key(), s.key(), s.value()}
	case 1:
		return append([]string{"EVAL", givenScript, "0"}, given(args)...)
	case 2:
		args = append(given(args), given(s.write("rename", nowMs))...)
		return append([]string{"EVAL", failsScript, "0"}, append(args, given(s.write("incr", nowMs))...)...)
	}
	return args
}

// pour sends random commands over several connections, while time goes on.
func (p *proof) pour(f flood) {
	names := writeNames(p.t)
	if f.plain {
		names = slices.DeleteFunc(names, func(name string) bool { return collectionWrites[name] != nil })
	}
	var wg sync.WaitGroup
	for i := range f.connections {
		c := p.dial()
		s := &stream{rnd: rand.New(rand.NewPCG(f.seed, uint64(i))), flood: f}
		wg.Go(func() {
			for n := 0; n < f.each; {
				for range 1 + s.rnd.IntN(20) {
					c.add(s.next(names, p.clock.NowMs())...)
					n++
				}
				c.all()
				p.clock.wall.Advance(time.Duration(s.rnd.IntN(3)) * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

// fill gives about n keys values.
func (p *proof) fill(n int) {
	c := p.dial()
	for i := range n {
		c.add("SET", "key:"+strconv.Itoa(i), strings.Repeat("x", i%100))
		if c.n == 1000 {
			c.all()
		}
	}
	c.all()
}

// entry is what a key holds.
type entry struct {
	val  string
	atMs int64
}

// dump copies what is in all databases, expired keys that are still there included, under all batons.
func (p *proof) dump() (all map[string]entry) {
	p.outsider().all(func() { all = p.dumpHeld() })
	return all
}

// dumpHeld is dump for who holds all batons.
func (p *proof) dumpHeld() map[string]entry { return p.dumpAs(p.entryOf) }

// dumpAs is dumpHeld with what content says of each entry.
func (p *proof) dumpAs(content func(e index.Entry) entry) map[string]entry {
	all := map[string]entry{}
	for _, s := range p.srv.set.Shards {
		for id := range p.srv.set.Databases() {
			for key, e := range dumpIndex(s.DB(id).Index(), content) {
				all[fmt.Sprintf("%d:%s", id, key)] = e
			}
		}
	}
	return all
}

func dumpIndex(x *index.Index, content func(e index.Entry) entry) map[string]entry {
	all := make(map[string]entry, x.Len())
	for cursor := uint64(0); ; {
		if cursor = x.Scan(cursor, 1000, func(e index.Entry) { all[string(e.Key())] = content(e) }); cursor == 0 {
			return all
		}
	}
}

// entryOf is what a string holds; of a collection it is the type: DEBUG DIGEST looks at the rest.
func (p *proof) entryOf(e index.Entry) entry {
	if t := object.TypeOf(e.Tag()); t != object.String {
		return entry{t.String(), e.ExpireAt()}
	}
	return entry{string(object.AppendString(nil, p.srv.space, e)), e.ExpireAt()}
}

// difference describes the first difference between two sets of keys, "" if there is none.
func difference(got, want map[string]entry) string {
	for key, w := range want {
		if g, ok := got[key]; !ok {
			return fmt.Sprintf("%s is missing", key)
		} else if g != w {
			return fmt.Sprintf("%s has %d bytes (%.30q) expiring at %d, want %d (%.30q) at %d",
				key, len(g.val), g.val, g.atMs, len(w.val), w.val, w.atMs)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			return fmt.Sprintf("%s should not be there", key)
		}
	}
	return ""
}
