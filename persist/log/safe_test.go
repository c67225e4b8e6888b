package log

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fulmen/persist/vfs/vfstest"
)

// safeWorld is a log with a small ring, a writer of files that lags, and readers that keep blocks.
type safeWorld struct {
	*ringLog
	t      *testing.T
	m      *vfstest.Mem
	ring   *Ring
	random *rand.Rand
	files  []*ChunkReader
	filed  []uint64 // position up to which each shard's file is written
	frames [][]placed
	safe   uint64 // greatest SafeLSN seen
}

// placed is where a frame is.
type placed struct {
	start uint64 // its LSN
	from  uint64 // its position
	to    uint64
}

func newSafeWorld(t *testing.T, shards, blocks int, seed uint64) *safeWorld {
	m, r := memRing(t, shards, blocks)
	w := &safeWorld{
		ringLog: newRingLog(t, r, shards), t: t, m: m, ring: r, random: rand.New(rand.NewPCG(seed, 9)),
		filed: make([]uint64, shards), frames: make([][]placed, shards),
	}
	for i := range shards {
		c, err := w.hold.Chunks(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.files = append(w.files, c)
	}
	w.hold.Unpin()
	w.bigIn = 6
	w.pool.poison = make([]byte, blockBytes)
	return w
}

// note remembers where frames are that were published since.
func (w *safeWorld) note() {
	for i, f := range w.flows {
		pos := f.Pos()
		for frame, ok := f.Next(); ok; frame, ok = f.Next() {
			w.frames[i] = append(w.frames[i], placed{frame.Start, pos, f.Pos()})
			pos = f.Pos()
		}
	}
}

// write has the writer of files go on, in all shards or only in some.
func (w *safeWorld) write(all bool) {
	lsn := w.Contiguous()
	for i, f := range w.files {
		for all || w.random.IntN(4) > 0 {
			p := f.Next(1 + w.random.IntN(1<<20))
			if p == nil {
				break
			}
			w.filed[i] += uint64(len(p))
		}
	}
	if all {
		w.SetWritten(lsn)
		if got := w.SafeLSN(); got < lsn {
			w.t.Fatalf("written up to %d, safe up to %d", lsn, got)
		}
		if !w.AllSafe() {
			w.t.Fatalf("all is written up to %d, and the log is still said to be beside the ring", lsn)
		}
	}
}

// check holds SafeLSN against what a process that ends now leaves.
func (w *safeWorld) check() {
	w.t.Helper()
	safe := w.SafeLSN()
	if safe < w.safe {
		w.t.Fatalf("safe up to %d, and before up to %d", safe, w.safe)
	}
	w.safe = safe
	if w.AllSafe() {
		safe = w.LSN()
	}
	c, err := ReadRing(w.m.Kill(), w.ring.Name(), ringIdentity(w.Shards()))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range c.Shards {
		for _, f := range w.frames[i] {
			if f.start >= safe {
				break
			}
			from := max(f.from, w.filed[i])
			if data, _ := c.Shards[i].From(from); from < f.to && uint64(len(data)) < f.to-from {
				w.t.Fatalf("shard %d: the frame at LSN %d, %d to %d, is lost; files go to %d, safe is %d",
					i, f.start, f.from, f.to, w.filed[i], safe)
			}
		}
	}
}

func TestSafeLSN(t *testing.T) {
	exposed := 0
	for seed := range uint64(5/share + 1) {
		w := newSafeWorld(t, 1+int(seed%3), 8, seed)
		for range 150 {
			switch w.random.IntN(8) {
			case 0:
				w.write(true)
			case 1:
				w.write(false)
			case 2:
				w.EvacuateRing(w.random.IntN(3))
			case 3:
				w.SetLimits(int64(w.random.IntN(12))<<20, 1<<30)
				w.Trim()
			default:
				w.commitRandom(w.random)
			}
			if w.random.IntN(4) > 0 {
				w.note()
			}
			w.check()
			if !w.AllSafe() {
				exposed++
			}
		}
		w.settle()
		w.check()
		if !w.AllSafe() || w.SafeLSN() != w.LSN() {
			t.Fatalf("seed %d: all is written and the ring has room, and safe is %d of %d", seed, w.SafeLSN(), w.LSN())
		}
	}
	if exposed < 50/share {
		t.Fatalf("the log was beside the ring %d times only", exposed)
	}
}

// settle has everything be written and read, and each shard's writer go on in a new block.
func (w *safeWorld) settle() {
	w.SetLimits(0, 1<<30)
	for range 2 {
		w.write(true)
		w.note()
		w.Trim()
		for i := range w.Shards() {
			w.Shard(i).Stage(0, setName, benchKey, make([]byte, blockBytes))
			w.Shard(i).Commit(false)
			w.write(true)
			w.note()
		}
	}
}

// TestSafeLSNWithoutRing has only files.
func TestSafeLSNWithoutRing(t *testing.T) {
	l, h := attached(2)
	defer h.Close()
	l.Shard(0).Stage(0, setName, benchKey, benchData)
	lsn := l.Shard(0).Commit(false)
	if l.AllSafe() || l.SafeLSN() != 0 {
		t.Fatalf("nothing is written, safe up to %d, %v", l.SafeLSN(), l.AllSafe())
	}
	l.SetWritten(lsn)
	if l.AllSafe() || l.SafeLSN() != lsn {
		t.Fatalf("written up to %d, safe up to %d, %v", lsn, l.SafeLSN(), l.AllSafe())
	}
}

// TestEvacuateRing keeps a backlog that is bigger than the ring.
func TestEvacuateRing(t *testing.T) {
	const shards = 2
	w := newSafeWorld(t, shards, 8, 1)
	w.SetLimits(1<<40, 1<<40)
	start := w.hold.LSN()
	for i := range 200 {
		s := w.Shard(i % shards)
		s.Stage(0, setName, benchKey, make([]byte, 1+w.random.IntN(400_000)))
		s.Commit(false)
		if !w.AllSafe() {
			t.Fatalf("commit %d is beside the ring", i)
		}
		w.note()
		w.write(true)
		for w.EvacuateRing(1) {
		}
	}
	if idle := w.ring.idleBlocks(); idle > 4 {
		t.Errorf("%d of 8 blocks are idle, more than half", idle)
	}
	for i := range shards { // the backlog reads as it was written
		f, err := w.Flow(i, start, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range w.frames[i] {
			frame, ok := f.Next()
			if !ok || frame.Start != want.start || f.Pos() != want.to {
				t.Fatalf("shard %d: the frame at %d reads as one at %d, %v", i, want.start, frame.Start, ok)
			}
			if _, n, err := DecodeFrame(frame.Append(nil)); n != int(want.to-want.from) || err != nil {
				t.Fatalf("shard %d: the frame at %d: %d bytes, %v", i, want.start, n, err)
			}
		}
		f.Close()
	}
	live := w.pool.live.Load()
	w.SetLimits(0, 1<<40)
	w.Trim()
	if got := w.pool.live.Load(); got > 2*shards || got >= live {
		t.Errorf("%d blocks are referenced after all was forgotten", got)
	}
}

// TestEvacuateKeepsUnwritten leaves in the ring what is not in files, and what a reader stands before.
func TestEvacuateKeepsUnwritten(t *testing.T) {
	w := newSafeWorld(t, 1, 4, 1)
	w.SetLimits(1<<40, 1<<40)
	for range 7 {
		w.Shard(0).Stage(0, setName, benchKey, make([]byte, blockBytes/2))
		w.Shard(0).Commit(false)
	}
	w.note()
	for w.files[0].Next(1<<20) != nil {
	}
	if w.EvacuateRing(9) || w.ring.idleBlocks() != 0 {
		t.Fatal("what nobody says is written was moved")
	}
	w.SetWritten(w.LSN())
	f, err := w.Flow(0, w.hold.LSN(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.EvacuateRing(9) || w.ring.idleBlocks() != 0 {
		t.Fatal("a block was moved that a reader is in")
	}
	f.Close()
	if !w.EvacuateRing(1) || w.EvacuateRing(9) || w.ring.idleBlocks() != 2 {
		t.Fatalf("%d blocks are idle", w.ring.idleBlocks())
	}
}

// TestRingTurnedOnAndOff has a log that is active get a ring, lose it, and get another.
func TestRingTurnedOnAndOff(t *testing.T) {
	m := vfstest.NewMem()
	if err := m.MountMemory("/shm"); err != nil {
		t.Fatal(err)
	}
	rl := newRingLog(t, nil, 2)
	random := rand.New(rand.NewPCG(2, 2))
	held := []*ShardLog{rl.Shard(0), rl.Shard(1)}
	options := RingOptions{FS: m, Dir: "/shm", SizeBytes: 6 << 20, Identity: ringIdentity(2)}
	for round := range 3 {
		r, err := CreateRing(options)
		if err != nil {
			t.Fatal(err)
		}
		lsn := rl.LSN()
		rl.UseRing(r)
		rl.Shard(1).Stage(0, setName, benchKey, benchData) // in the block of before
		if rl.Commit(held, false); rl.AllSafe() || rl.SafeLSN() != lsn {
			t.Fatalf("round %d: a commit is beside the ring, safe up to %d of %d", round, rl.SafeLSN(), lsn)
		}
		rl.note()
		for range 2 {
			for _, s := range held {
				s.Stage(0, setName, benchKey, make([]byte, blockBytes))
			}
			rl.Commit(held, false)
			rl.note()
			rl.SetWritten(rl.LSN())
		}
		if !rl.AllSafe() || rl.SafeLSN() != rl.LSN() {
			t.Fatalf("round %d: safe up to %d of %d", round, rl.SafeLSN(), rl.LSN())
		}
		rl.UseRing(nil)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if rl.AllSafe() || rl.SafeLSN() != rl.LSN() { // it is written
			t.Fatalf("round %d: without a ring safe up to %d of %d", round, rl.SafeLSN(), rl.LSN())
		}
		rl.commitRandom(random)
		rl.note()
		if round == 1 { // nobody reads, so nobody is in the ring
			for _, f := range rl.flows {
				f.Close()
			}
			rl.hold.Close()
			rl.UseRing(nil)
			options.SizeBytes = 8 << 20
			again, err := CreateRing(options)
			if err != nil {
				t.Fatal(err)
			}
			rl.UseRing(again)
			rl.UseRing(nil)
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if again.shared != nil {
				t.Fatal("a ring that nobody uses is still mapped")
			}
			rl.hold = rl.Resume()
			for i := range rl.flows {
				if rl.flows[i], err = rl.hold.Flow(i, nil); err != nil {
					t.Fatal(err)
				}
			}
			rl.hold.Unpin()
		}
		for range 2 {
			for _, s := range held {
				s.Stage(0, setName, benchKey, make([]byte, blockBytes))
			}
			rl.Commit(held, false)
			rl.note()
		}
		if round != 1 && r.idleBlocks() < r.layout.blocks-4 {
			t.Fatalf("round %d: %d blocks of a ring that is gone are held", round, r.layout.blocks-r.idleBlocks())
		}
	}
}

// TestRestingShardIsSafe has a log that is active get a ring. Shards that commit nothing stay beside it, and nobody has
// to wait for them once all is written, whatever is committed in the ring by others.
func TestRestingShardIsSafe(t *testing.T) {
	for _, shards := range []int{1, 2, 8} {
		_, r := memRing(t, shards, 32)
		rl := newRingLog(t, nil, shards) // a backlog
		defer rl.hold.Close()
		busy := rl.Shard(shards - 1)
		commit := func(bytes int) {
			busy.Stage(0, setName, benchKey, make([]byte, bytes))
			busy.Commit(false)
			rl.note()
		}
		for i := range shards {
			rl.Shard(i).Stage(0, setName, benchKey, benchData)
			rl.Shard(i).Commit(false)
		}
		lsn := rl.LSN()
		rl.UseRing(r)
		rl.SetWritten(lsn)
		if !rl.AllSafe() {
			t.Fatalf("%d shards: nothing was committed since the ring is used", shards)
		}
		commit(10)
		if rl.AllSafe() || rl.SafeLSN() != lsn {
			t.Fatalf("%d shards: a commit is beside the ring, safe up to %d of %d", shards, rl.SafeLSN(), lsn)
		}
		rl.SetWritten(rl.LSN())
		for i := range 10 {
			if !rl.AllSafe() || rl.SafeLSN() != rl.LSN() {
				t.Fatalf("%d shards: all is safe, but said to be up to %d of %d", shards, rl.SafeLSN(), rl.LSN())
			}
			commit(blockBytes / 2)
			if i < 2 { // out of the block of before
				rl.SetWritten(rl.LSN())
			}
		}
		rl.SetWritten(rl.LSN())
	}
}

func TestRingMisuse(t *testing.T) {
	_, r := memRing(t, 2, 4)
	for what, misuse := range map[string]func(){
		"other shards":      func() { l := New(3, Limits{}); l.SetIncarnation(7); l.UseRing(r) },
		"other incarnation": func() { l := New(2, Limits{}); l.SetIncarnation(8); l.UseRing(r) },
		"changed incarnation": func() {
			l := New(2, Limits{})
			l.SetIncarnation(7)
			l.UseRing(r)
			defer l.UseRing(nil)
			l.SetIncarnation(8)
		},
		"staged": func() { rl := newRingLog(t, nil, 2); rl.Shard(0).Stage(0, setName); rl.UseRing(r) },
	} {
		func() {
			defer func() {
				if fmt.Sprint(recover())[:4] != "BUG:" {
					t.Errorf("%s: no panic", what)
				}
			}()
			misuse()
		}()
	}
}

// TestSafeAgain has the writer come back into the ring without having filled a block beside it.
func TestSafeAgain(t *testing.T) {
	w := newSafeWorld(t, 1, 2, 1)
	s := w.Shard(0)
	expose := func(what string) {
		t.Helper()
		s.Stage(0, setName, benchKey, make([]byte, 3*blockBytes))
		if w.AllSafe() {
			t.Fatal(what)
		}
	}
	expose("four blocks of two")
	s.rewind()
	w.SetWritten(w.LSN())
	if !w.AllSafe() {
		t.Fatal("what was beside the ring was dropped")
	}
	expose("four blocks of two, written before they are dropped")
	w.SetWritten(w.LSN())
	s.rewind()
	if !w.AllSafe() {
		t.Fatal("what was beside the ring was dropped, and all before it was written")
	}
	for range 2 { // the second time from a block beside the ring
		expose("four blocks of two, again")
		s.Commit(false)
		w.note()
		if w.AllSafe() {
			t.Fatal("what was committed is beside the ring")
		}
		w.write(true)
		w.note()
	}
	s.Stage(0, setName, benchKey, benchData)
	s.Commit(false)
	if w.AllSafe() {
		t.Fatal("the writer is beside the ring")
	}
	for _, f := range w.flows {
		f.Close()
	}
	for _, f := range w.files {
		f.Close()
	}
	w.hold.Close()
	h := w.Attach()
	defer h.Close()
	w.SetWritten(w.LSN())
	if !w.AllSafe() {
		t.Fatal("the log has begun anew, in the ring")
	}
}
