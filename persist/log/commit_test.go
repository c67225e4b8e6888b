package log

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fulmen/internal/invariant"
)

// chunksOf drains r.
func chunksOf(r *ChunkReader, limit int) []byte {
	var got []byte
	for {
		p := r.Next(limit)
		if p == nil {
			return got
		}
		got = append(got, p...)
	}
}

// noticed runs two commits, the first of which stops at a step until the second is done and everything
// was checked there, and returns what the checks found wrong.
func noticed(t *testing.T, p plant, stop step, pieces bool) error {
	t.Helper()
	l := New(3, Limits{})
	h := l.Attach()
	defer h.Close()
	f, err := newFlowCheck(h)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	reached, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	first.Store(true)
	p.at = func(s step) {
		if s == stop && first.CompareAndSwap(true, false) {
			close(reached)
			<-goOn
		}
	}
	l.plant = &p
	var done sync.WaitGroup
	done.Go(func() {
		l.Shard(0).Stage(0, setName, benchKey, benchData)
		if pieces {
			l.Shard(2).Stage(0, setName, benchKey, benchData)
		}
		l.Commit([]*ShardLog{l.Shard(0), l.Shard(2)}, true)
	})
	<-reached
	l.Shard(1).Stage(0, setName, benchKey, benchData)
	l.Shard(1).Commit(false)
	found := f.pass()
	close(goOn)
	done.Wait()
	if found == nil {
		found = f.pass()
	}
	return found
}

// TestPlantedFaults breaks Commit on purpose: the checks that TestModel makes all the time must notice.
func TestPlantedFaults(t *testing.T) {
	for _, pieces := range []bool{false, true} {
		for _, s := range []step{stepAdded, stepSealed, stepPublished} {
			if err := noticed(t, plant{}, s, pieces); err != nil {
				t.Errorf("sound, stopped at step %d: %v", s, err)
			}
		}
		if err := noticed(t, plant{pendingLate: true}, stepAdded, pieces); err == nil {
			t.Error("pending set after the addition was not noticed")
		} else {
			t.Log(err)
		}
	}
	if err := noticed(t, plant{tailEarly: true}, stepPublished, false); err == nil {
		t.Error("a tail before its frame was not noticed")
	} else {
		t.Log(err)
	}
}

// TestHole has a merged reader stand before a commit that has taken its range and not published it.
func TestHole(t *testing.T) {
	l := New(3, Limits{})
	h := l.Attach()
	defer h.Close()
	rung := make(chan struct{}, 1)
	m, err := h.Merged(func() { rung <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	start := h.LSN()
	l.plant = &plant{at: func(s step) {
		if s != stepAdded || l.LSN() != start+uint64(len(encode("SET", "a", "1"))) {
			return
		}
		l.Shard(1).Stage(0, bytesOf([]string{"SET", "b", "2"})...)
		l.Shard(1).Commit(false)
		if c := l.Contiguous(); c != start {
			t.Errorf("contiguous LSN %d beyond the hole at %d", c, start)
		}
		if p := m.Next(1000); p != nil {
			t.Errorf("read %q beyond the hole", p)
		}
		if !m.Park() {
			t.Error("nothing to read, but not parked")
		}
	}}
	l.Shard(0).Stage(0, bytesOf([]string{"SET", "a", "1"})...)
	l.Shard(0).Commit(false)
	select {
	case <-rung:
	default:
		t.Error("not rung when the hole was filled")
	}
	if got, want := string(m.Append(nil, 1000)), encode("SET", "a", "1")+encode("SET", "b", "2"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestBarrierOrder has a record of two shards between records of one, which pieces in the order of
// shards would tear apart.
func TestBarrierOrder(t *testing.T) {
	l := New(4, Limits{})
	h := l.Attach()
	defer h.Close()
	m, err := h.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	held := []*ShardLog{l.Shard(0), l.Shard(1), l.Shard(2), l.Shard(3)}
	set := func(s, db int, k, v string) { l.Shard(s).Stage(db, []byte("SET"), []byte(k), []byte(v)) }
	set(3, 1, "d", "0")
	set(1, 0, "b", "0")
	l.StageBarrier([]*ShardLog{held[1], held[3]}, 1, []byte("RENAME"), []byte("d"), []byte("b"))
	set(3, 0, "d", "1")
	set(1, 1, "b", "1")
	set(0, 0, "a", "0")
	l.StageBarrier([]*ShardLog{held[0], held[3]}, 0, []byte("RENAME"), []byte("d"), []byte("a"))
	set(1, 0, "b", "2")
	lsn := l.Commit(held, true)
	want := encode("MULTI") +
		encode("SET", "a", "0") + // shard 0's, which the second barrier joins with what follows
		encode("SET", "b", "0") +
		encode("SELECT", "1") + encode("SET", "d", "0") + encode("RENAME", "d", "b") +
		encode("SELECT", "0") + encode("SET", "d", "1") +
		encode("SELECT", "1") + encode("SET", "b", "1") +
		encode("SELECT", "0") + encode("RENAME", "d", "a") + encode("SET", "b", "2") +
		encode("EXEC")
	if got := string(m.Append(nil, 1<<20)); got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
	for i, s := range held {
		f, err := h.Flow(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		frame, ok := f.Next()
		if ok != (i != 2) || ok && (frame.TxStart != h.LSN() || frame.TxEnd != lsn) {
			t.Errorf("shard %d: %v %+v", i, ok, frame)
		}
		if ok && s.LastLSN() != lsn {
			t.Errorf("shard %d: last commit ends at %d, want %d", i, s.LastLSN(), lsn)
		}
		f.Close()
	}
}

func TestCommitWithoutRecords(t *testing.T) {
	l := New(2, Limits{})
	h := l.Attach()
	defer h.Close()
	both := []*ShardLog{l.Shard(0), l.Shard(1)}
	l.Shard(1).Stage(-1, []byte("PING"))
	lsn := l.Commit(both, true)
	if lsn != h.LSN()+uint64(len(encode("PING"))) {
		t.Fatalf("LSN %d after %d", lsn, h.LSN())
	}
	if got := l.Commit(both, true); got != lsn {
		t.Errorf("empty commit waits for %d, want %d", got, lsn)
	}
	if got := l.Shard(0).Commit(false); got != h.LSN() {
		t.Errorf("empty commit waits for %d, want %d", got, h.LSN())
	}
}

func TestOwnFaultsPanic(t *testing.T) {
	for name, fn := range map[string]func(l *Log){
		"never attached": func(l *Log) { New(1, Limits{}).Shard(0).Stage(0, setName) },
		"order": func(l *Log) {
			l.Shard(0).Stage(0, setName)
			l.Commit([]*ShardLog{l.Shard(1), l.Shard(0)}, true)
		},
		"barrier alone": func(l *Log) {
			l.StageBarrier([]*ShardLog{l.Shard(0), l.Shard(1)}, 0, setName)
			l.Shard(0).Commit(true)
		},
		"attached in between": func(l *Log) {
			l.Shard(1).Stage(0, setName)
			l.Attach()
		},
		"LSN set while active": func(l *Log) { l.SetLSN(5) },
		"shards":               func(*Log) { New(257, Limits{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, _ := recover().(string); !strings.HasPrefix(p, "BUG: ") {
					t.Errorf("%q", p)
				}
			}()
			l := New(2, Limits{})
			l.Attach()
			fn(l)
		})
	}
}

// TestStraddle puts frames of all kinds across the end of a block, byte by byte.
func TestStraddle(t *testing.T) {
	filler := strings.Repeat("f", blockBytes)
	for room := 0; room < 260; room += 1 + room/60*3 {
		l := New(3, Limits{BacklogBytes: 1 << 30, MemoryBytes: 1 << 30})
		h := l.Attach()
		filler := filler[:blockBytes-room-plainLine-len(encode("SET", "f", ""))-6]
		var want [2]string
		both := []*ShardLog{l.Shard(0), l.Shard(1), l.Shard(2)}
		for i := range 2 {
			l.Shard(i).Stage(0, bytesOf([]string{"SET", "f", filler})...)
			l.Shard(i).Commit(false)
			if got := blockBytes - l.Shard(i).off; got != room {
				t.Fatalf("%d bytes left, want %d", got, room)
			}
		}
		from := l.LSN()
		l.Shard(0).Stage(0, bytesOf([]string{"SET", "a", "1"})...)
		l.Shard(0).Stage(2, bytesOf([]string{"SET", "a", "2"})...)
		want[0] = encode("MULTI") + encode("SET", "a", "1") + encode("SELECT", "2") + encode("SET", "a", "2") +
			encode("SELECT", "0")
		l.Shard(1).Stage(0, bytesOf([]string{"SET", "b", "1"})...)
		want[1] = encode("SET", "b", "1") + encode("EXEC")
		l.Commit(both, true)
		for i := range 2 {
			r, err := h.Flow(i, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Next()
			f, _ := r.Next()
			d, _, err := DecodeFrame(f.Append(nil))
			if err != nil || string(d.Records) != want[i] {
				t.Fatalf("%d bytes left: %v\n%q, want\n%q", room, err, d.Records, want[i])
			}
			r.Close()
		}
		m, err := l.Merged(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.Append(nil, 1<<20)); got != want[0]+want[1] {
			t.Fatalf("%d bytes left: merged stream is %q", room, got)
		}
		m.Close()
		h.Close()
	}
}

// TestChunksAreFrames reads the log as the AOF writer does, and decodes it as a loader does.
func TestChunksAreFrames(t *testing.T) {
	s := newStageSet(4, Limits{MemoryBytes: 1 << 30})
	h := s.log.Attach()
	defer h.Close()
	s.work(rand.New(rand.NewPCG(5, 6)), 100, true)
	for i := range s.batons {
		r, err := h.Chunks(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		data := chunksOf(r, 1000+i*100000)
		r.Close()
		f, err := h.Flow(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(data); {
			d, n, err := DecodeFrame(data[at:])
			frame, ok := f.Next()
			if err != nil || n == 0 || !ok || !bytes.Equal(frame.Append(nil), data[at:at+n]) || d.Start != frame.Start {
				t.Fatalf("shard %d at %d of %d: %d bytes, %v", i, at, len(data), n, err)
			}
			at += n
		}
		if _, ok := f.Next(); ok {
			t.Fatalf("shard %d: more frames than chunks", i)
		}
		f.Close()
	}
}

func TestAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("costly checks allocate")
	}
	l := New(8, Limits{BacklogBytes: 2 << 20, MemoryBytes: 64 << 20})
	h := l.Attach()
	defer h.Close()
	h.Unpin()
	m, err := l.Merged(l.LSN(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := l.Flow(2, l.LSN(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	held := []*ShardLog{l.Shard(1), l.Shard(2), l.Shard(6)}
	big := make([]byte, 300000)
	round := func() {
		for range 100 {
			l.Shard(2).Stage(0, setName, benchKey, benchData)
			l.Shard(2).Commit(false)
		}
		l.Shard(2).Stage(3, setName, benchKey, big)
		for _, s := range held {
			s.Stage(0, setName, benchKey, benchData)
		}
		l.Commit(held, true)
		l.Shard(1).Stage(1, setName, benchKey, benchData)
		l.StageBarrier(held, 0, setName, benchKey, benchData)
		l.Commit(held, true)
		for m.Next(1<<20) != nil {
		}
		m.Park()
		for ok := true; ok; _, ok = r.Next() {
		}
		r.Park()
		l.Contiguous()
	}
	for range 50 {
		round()
	}
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
