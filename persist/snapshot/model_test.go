package snapshot

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/persist/rdb"
)

func (w *world) key() string { return fmt.Sprint("key:", w.rnd.IntN(w.keys)) }

// stream is the name of a stream, of few.
func (w *world) stream() string { return fmt.Sprint("stream:", w.rnd.IntN(6)) }

func (w *world) member() string {
	if w.rnd.IntN(3) == 0 {
		return strconv.Itoa(w.rnd.IntN(500))
	}
	return fmt.Sprint("member:", w.rnd.IntN(500))
}

func (w *world) text() string {
	n := w.rnd.IntN(40)
	switch w.rnd.IntN(40) {
	case 0:
		n = w.rnd.IntN(w.long)
	case 1, 2:
		n = 3900 + w.rnd.IntN(400)
	}
	return strings.Repeat(string(rune('a'+w.rnd.IntN(26)))+strconv.Itoa(w.rnd.IntN(1000)), n/2+1)[:n]
}

// writes are commands that change something, by what they do it with: a key, a member or number, a text.
var writes = [][]string{
	{"SET", "key", "text"}, {"SET", "key", "text", "PX", "1000"}, {"APPEND", "key", "text"}, {"INCR", "key"},
	{"SETRANGE", "key", "number", "text"}, {"SETBIT", "key", "number", "1"}, {"GETDEL", "key"}, {"DEL", "key", "key"},
	{"UNLINK", "key"}, {"PEXPIRE", "key", "number"}, {"PERSIST", "key"}, {"MSET", "key", "text", "key", "text"},
	{"PFADD", "key", "member", "text"}, {"PFCOUNT", "key"},
	{"RPUSH", "key", "text", "member"}, {"LPUSH", "key", "member"}, {"LPOP", "key"}, {"RPOP", "key", "3"},
	{"LSET", "key", "0", "text"}, {"LINSERT", "key", "BEFORE", "member", "text"}, {"LREM", "key", "1", "member"},
	{"LTRIM", "key", "1", "-2"}, {"LMOVE", "key", "key", "LEFT", "RIGHT"},
	{"SADD", "key", "member", "member"}, {"SREM", "key", "member"}, {"SPOP", "key"}, {"SMOVE", "key", "key", "member"},
	{"SUNIONSTORE", "key", "key", "key"}, {"SDIFFSTORE", "key", "key", "key"},
	{"ZADD", "key", "number", "member", "number", "member"}, {"ZINCRBY", "key", "-1.5", "member"},
	{"GEOADD", "key", "1.5", "2.5", "member"},
	{"ZREM", "key", "member"}, {"ZPOPMIN", "key", "2"}, {"ZREMRANGEBYRANK", "key", "0", "2"},
	{"ZRANGESTORE", "key", "key", "0", "20"},
	{"HSET", "key", "member", "text", "member", "number"}, {"HDEL", "key", "member"}, {"HINCRBY", "key", "member", "7"},
	{"HPEXPIRE", "key", "1000", "FIELDS", "1", "member"}, {"HPERSIST", "key", "FIELDS", "1", "member"},
	{"XADD", "stream", "*", "member", "text", "member", "number"},
	{"XADD", "stream", "MAXLEN", "~", "9", "*", "f", "text"},
	{"XTRIM", "stream", "MAXLEN", "20"}, {"XDEL", "stream", "id", "id", "id"}, {"XSETID", "stream", "9000000000000-1"},
	{"XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM"}, {"XGROUP", "DESTROY", "stream", "group"},
	{"XGROUP", "SETID", "stream", "group", "id"}, {"XGROUP", "DELCONSUMER", "stream", "group", "consumer"},
	{"XREADGROUP", "GROUP", "group", "consumer", "COUNT", "3", "STREAMS", "stream", ">"},
	{"XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "stream", ">"},
	{"XACK", "stream", "group", "id", "id", "id"},
	{"XCLAIM", "stream", "group", "consumer", "0", "id", "id"}, {"XAUTOCLAIM", "stream", "group", "consumer", "0", "0"},
	{"RENAME", "stream", "stream"}, {"COPY", "stream", "stream", "DB", "db", "REPLACE"}, {"UNLINK", "stream"},
	{"RENAME", "key", "key"}, {"RENAMENX", "key", "key"}, {"COPY", "key", "key", "REPLACE"},
	{"COPY", "key", "key", "DB", "db", "REPLACE"}, {"MOVE", "key", "db"}, {"SORT", "key", "ALPHA", "STORE", "key"},
	{"GET", "key"}, {"HGETALL", "key"}, {"TOUCH", "key"},
}

// rare are those that would leave little to be walked if they came often.
var rare = [][]string{{"FLUSHDB", "ASYNC"}, {"SWAPDB", "db", "db"}, {"FLUSHALL", "ASYNC"}}

func (w *world) write(list [][]string) {
	args := slices.Clone(list[w.rnd.IntN(len(list))])
	for i := range args {
		switch args[i] {
		case "key":
			args[i] = w.key()
		case "stream":
			args[i] = w.stream()
		case "member":
			args[i] = w.member()
		case "number":
			args[i] = strconv.Itoa(w.rnd.IntN(10_000))
		case "text":
			args[i] = w.text()
		case "id":
			args[i] = fmt.Sprint(w.now.NowMs()-w.rnd.Int64N(2)*w.rnd.Int64N(2000), "-", w.rnd.IntN(40))
		case "group", "consumer":
			args[i] += strconv.Itoa(w.rnd.IntN(3))
		case "db":
			args[i] = strconv.Itoa(w.rnd.IntN(testDatabases))
		}
	}
	w.do(w.rnd.IntN(testDatabases), args...)
}

// grow has values come up or become bigger.
func (w *world) grow() {
	n := 1 + w.rnd.IntN(40)
	args := []string{"SADD", w.key()}
	switch w.rnd.IntN(6) {
	case 0:
		w.do(w.rnd.IntN(testDatabases), "SET", w.key(), w.text())
		return
	case 4:
		db, key := w.rnd.IntN(testDatabases), w.stream()
		for range n {
			w.do(db, "XADD", key, "*", w.member(), w.member(), "field", w.member())
		}
		return
	case 1:
		args[0] = "RPUSH"
	case 2:
		args[0] = "HSET"
		n *= 2
	case 3:
		args[0] = "ZADD"
	}
	for range n {
		if args[0] == "ZADD" {
			args = append(args, strconv.Itoa(w.rnd.IntN(1000)))
		}
		args = append(args, w.member())
	}
	w.do(w.rnd.IntN(testDatabases), args...)
}

// background does a little of what is done in the background.
func (w *world) background() {
	w.held(func() {
		s := w.set.Shards[w.rnd.IntN(len(w.set.Shards))]
		switch w.rnd.IntN(6) {
		case 0:
			s.ExpireSome(w.now.NowMs(), 1+w.rnd.IntN(40))
		case 1:
			s.FreeSome(1 + w.rnd.IntN(100))
		case 2:
			s.ShrinkSome(1 + w.rnd.IntN(200))
		case 3:
			s.EvictSome(&w.w, w.now.NowMs(), int64(1+w.rnd.IntN(100)), 0, w.w.NowNs)
		default:
			s.DefragSome(1+w.rnd.IntN(400), 1+w.rnd.IntN(40))
		}
	})
}

// step does something at random.
func (w *world) step() {
	switch n := w.rnd.IntN(4000); {
	case n < 4:
		w.write(rare)
	case n < 800:
		w.background()
	case n < 830:
		w.pass()
	case n < 1800:
		w.grow()
	default:
		w.write(writes)
	}
}

// walkSome has some shard go on with its part in the save.
func (w *world) walkSome() {
	w.held(func() {
		s := w.set.Shards[w.rnd.IntN(len(w.set.Shards))]
		w.w.NowNs = w.set.Clock.NowNs()
		w.sv.Step(s, w.w.NowNs) // a step is over as soon as it has begun: the clock stands still
	})
}

// rounds saves so many times, at random moments, while the world goes on, and compares.
func (w *world) rounds(n int) error {
	for range 4000 {
		w.grow()
	}
	for round := range n {
		for range 50 + w.rnd.IntN(300) {
			w.step()
		}
		a := &memSink{form: Form{WriteOptions: rdb.WriteOptions{Checksum: true}}, gate: make(chan struct{})}
		sinks := []Sink{a}
		if w.rnd.IntN(3) == 0 {
			sinks = append(sinks, &memSink{form: Form{Streams: 1 + w.rnd.IntN(3)}})
		}
		v, sh := w.cut(sinks...)
		steps := w.rnd.IntN(1000)
		opens := w.rnd.IntN(steps + 1)
		for i := range steps {
			if i == opens {
				close(a.gate)
			}
			if w.step(); w.rnd.IntN(20) == 0 {
				w.walkSome()
			}
		}
		if opens == steps {
			close(a.gate)
		}
		w.copied += v.Progress().CopiedBytes
		w.saved += v.Progress().Keys
		if err := w.finish(v, sh); err != nil {
			return fmt.Errorf("save %d: %w", round, err)
		}
	}
	return nil
}

// TestSavesAreTheCut: whatever happens during a save, it has what was there at the cut, and everything of that.
func TestSavesAreTheCut(t *testing.T) {
	for _, c := range []struct{ shards, packed int }{{1, 0}, {1, 60}, {8, 0}, {8, 60}} {
		t.Run(fmt.Sprintf("%d shards, packed up to %d", c.shards, c.packed), func(t *testing.T) {
			w := newWorld(t, c.shards, c.packed, uint64(c.shards+c.packed))
			if err := w.rounds(60 / share); err != nil {
				t.Error(err)
			}
			_, kept := w.set.KeptBytes()
			if share == 1 && (kept < 5000 || w.saved < 20_000 || w.copied < 100_000) {
				t.Error("too little has happened")
			}
			t.Logf("%d keys saved, %d bytes copied by writers, %d kept for pins", w.saved, w.copied, kept)
		})
	}
}

// TestSaveWhileMemoryMoves: defragmentation and the shrinking of indexes move what the walk has not come to, and what
// is pinned.
func TestSaveWhileMemoryMoves(t *testing.T) {
	w := newWorld(t, 2, 60, 1)
	w.keys = 30_000 / share
	for range 60_000 / share {
		w.grow()
	}
	for i := range w.keys {
		if i%3 > 0 {
			for db := range testDatabases {
				w.do(db, "DEL", fmt.Sprint("key:", i))
			}
		}
	}
	for range 4 {
		sink := &memSink{gate: make(chan struct{})}
		v, sh := w.cut(sink)
		for range 3000 {
			w.background()
			if w.rnd.IntN(20) == 0 {
				w.walkSome()
			}
		}
		close(sink.gate)
		if err := w.finish(v, sh); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range w.set.Shards {
		if s.Stats.DefragHits < 1000/share {
			t.Errorf("only %d blocks moved", s.Stats.DefragHits)
		}
	}
}

// TestSaveOfMillions: values of a million items are saved as they were, while they change everywhere, are renamed,
// copied and deleted; what their writers pay is not much more than what they write.
func TestSaveOfMillions(t *testing.T) {
	if testing.Short() {
		t.Skip("millions of items")
	}
	items := 1_000_000
	if share > 1 {
		items = 50_000
	}
	w := newWorld(t, 2, 0, 1)
	for _, c := range []string{"ZADD", "RPUSH", "SADD", "HSET"} {
		for i := 0; i < items; i += 1000 {
			args := []string{c, "big:" + c}
			for j := i; j < i+1000; j++ {
				switch c {
				case "ZADD":
					args = append(args, strconv.Itoa(j*7919%items), fmt.Sprint("member:", j))
				case "HSET":
					args = append(args, fmt.Sprint("field:", j), fmt.Sprint("value:", j))
				default:
					args = append(args, fmt.Sprint("member:", j))
				}
			}
			w.do(0, args...)
		}
	}
	sink := &memSink{gate: make(chan struct{})}
	v, sh := w.cut(sink)
	w.stepAll()
	change := func() {
		n := w.rnd.IntN(items)
		i := strconv.Itoa(n)
		w.do(0, "ZADD", "big:ZADD", "1.5", "member:"+i)
		w.do(0, "LSET", "big:RPUSH", i, "changed")
		w.do(0, "SREM", "big:SADD", "member:"+i)
		w.do(0, "SADD", "big:SADD", "new:"+i)
		w.do(0, "HSET", "big:HSET", "field:"+i, "changed", "new:"+i, "new")
	}
	for range 300 {
		change()
	}
	if _, kept := w.set.KeptBytes(); kept < 300*4096 || kept > 300*4096*40 {
		t.Errorf("300 changes of each value have had %d bytes kept", kept)
	}
	close(sink.gate) // from here on workers read what goes on changing
	for range 300 {
		change()
	}
	w.do(0, "RENAME", "big:ZADD", "elsewhere")
	w.do(0, "COPY", "big:HSET", "copy")
	w.do(0, "DEL", "big:RPUSH", "big:HSET")
	w.do(0, "ZREMRANGEBYRANK", "elsewhere", "0", "-2")
	w.do(0, "FLUSHDB", "ASYNC")
	for range 1000 {
		w.background()
	}
	if err := w.finish(v, sh); err != nil {
		t.Error(err)
	}
}

// TestWalkingAllocatesNothing: what the walk allocates has nothing to do with the number of entries.
func TestWalkingAllocatesNothing(t *testing.T) {
	w := newWorld(t, 1, 0, 1)
	w.fill(30_000, 20)
	sink := &memSink{gate: make(chan struct{})}
	v, sh := w.cut(sink)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w.sv.Step(w.set.Shards[0], 1<<62)
	runtime.ReadMemStats(&after)
	if n, walked := after.Mallocs-before.Mallocs, v.Progress().Walked; walked < 30_000 || n > 100 {
		t.Errorf("%d allocations for %d entries", n, walked)
	}
	close(sink.gate)
	if err := w.finish(v, sh); err != nil {
		t.Error(err)
	}
}
