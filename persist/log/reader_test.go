package log

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sort"
	"sync"
	"testing"
)

// TestSeek opens readers at every kind of LSN of a log with frames of all sizes.
func TestSeek(t *testing.T) {
	s := newStageSet(5, Limits{BacklogBytes: 1 << 40, MemoryBytes: 1 << 40})
	h := s.log.Attach()
	defer h.Close()
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 10 {
		s.work(rnd, 100, false)
		s.work(rnd, 5, true)
	}
	start := h.LSN()
	stream := s.stream(t, start)
	end := start + uint64(len(stream))

	for range 300 {
		lsn := start + rnd.Uint64N(end-start+1)
		m, err := s.log.Merged(lsn, nil)
		if err != nil {
			t.Fatalf("LSN %d of %d to %d: %v", lsn, start, end, err)
		}
		want := stream[lsn-start:]
		want = want[:min(len(want), 300)]
		if got := string(m.Append(nil, 300)); got != want {
			t.Fatalf("LSN %d: %.60q, want %.60q", lsn, got, want)
		}
		m.Close()
	}
	if _, err := s.log.Merged(end+1, nil); err != ErrFuture {
		t.Error(err)
	}
	if _, err := s.log.Merged(start-1, nil); err != ErrTrimmed {
		t.Error(err)
	}
	testSeekFlows(t, s, start, rnd)
}

// testSeekFlows opens flows between commits and inside.
func testSeekFlows(t *testing.T, s *stageSet, start uint64, rnd *rand.Rand) {
	hold := s.log.Attach()
	hold.Unpin()
	defer hold.Close()
	for range 30 {
		i := rnd.IntN(len(s.commits))
		from := start
		if i > 0 {
			from = s.commits[i-1].end
		}
		var got []uint64 // ends of the commits that the flows have, none below from
		for shard := range s.batons {
			f, err := s.log.Flow(shard, from, nil)
			if err != nil {
				t.Fatal(err)
			}
			for frame, ok := f.Next(); ok; frame, ok = f.Next() {
				if frame.TxStart < from {
					t.Fatalf("frame of [%d, %d) in a flow from %d", frame.TxStart, frame.TxEnd, from)
				}
				got = append(got, frame.TxEnd)
			}
			f.Close()
		}
		sort.Slice(got, func(i, j int) bool { return got[i] < got[j] })
		n := 0
		for j, end := range got {
			if j == 0 || end != got[j-1] {
				if s.commits[i+n].end != end {
					t.Fatalf("from %d: commit ending at %d missing", from, s.commits[i+n].end)
				}
				n++
			}
		}
		if i+n != len(s.commits) {
			t.Fatalf("from %d: %d commits, want %d", from, n, len(s.commits)-i)
		}
		inside, found := from+1+rnd.Uint64N(s.commits[i].end-from-1), 0
		for shard := range s.batons {
			f, err := s.log.Flow(shard, inside, nil)
			if errors.Is(err, ErrMidFrame) {
				found++
			} else if err != nil {
				t.Fatal(err)
			} else {
				f.Close()
			}
		}
		if found == 0 {
			t.Fatalf("no flow minds LSN %d inside a commit", inside)
		}
	}
}

// fill commits records on shard until bytes of the stream are written, and returns the LSN.
func fill(l *Log, shard int, bytes uint64) uint64 {
	s := l.Shard(shard)
	for end := l.LSN() + bytes; l.LSN() < end; {
		s.Stage(0, setName, benchKey, make([]byte, 10000))
		s.Commit(false)
	}
	return l.LSN()
}

func TestBacklog(t *testing.T) {
	l := New(3, Limits{BacklogBytes: 3 << 20, MemoryBytes: 100 << 20})
	h := l.Attach()
	start := h.LSN()
	h.Unpin()
	fill(l, 1, 3<<20)
	if got := l.Oldest(); got != start {
		t.Fatalf("oldest %d, want the start %d", got, start)
	}
	for range 20 {
		fill(l, 1, 1<<20)
		if back := l.LSN() - l.Oldest(); back < 3<<20 || back > 5<<20 {
			t.Fatalf("backlog of %d bytes", back)
		}
		m, err := l.Merged(l.LSN()-3<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	if _, err := l.Merged(l.Oldest()-1, nil); err != ErrTrimmed {
		t.Error(err)
	}
	if _, err := l.Flow(1, l.Oldest()-1, nil); err != ErrTrimmed {
		t.Error(err)
	}
	if m, err := l.Merged(l.Oldest(), nil); err != nil {
		t.Error(err)
	} else if got := uint64(len(m.Append(nil, 1<<40))); got != l.LSN()-l.Oldest() {
		t.Errorf("%d bytes from the oldest LSN, want %d", got, l.LSN()-l.Oldest())
	} else {
		m.Close()
	}
	// A shard that is no longer written is trimmed from outside.
	if n := l.pool.live.Load(); n > 3+5 {
		t.Errorf("%d blocks for 3 MiB of backlog", n)
	}
	l.SetLimits(0, 100<<20)
	l.Trim()
	if n := l.pool.live.Load(); n != 3 {
		t.Errorf("%d blocks without backlog, want one a shard", n)
	}
	h.Close()
	if _, err := l.Merged(l.LSN(), nil); err != ErrInactive {
		t.Error(err)
	}
	if got := l.Oldest(); got != l.LSN() {
		t.Errorf("oldest %d of an inactive log at %d", got, l.LSN())
	}
	if l.MemoryBytes() < 3*blockBytes {
		t.Errorf("%d bytes of memory", l.MemoryBytes())
	}
}

func TestMemoryLimit(t *testing.T) {
	below := 0
	l := New(2, Limits{BacklogBytes: 1 << 40, MemoryBytes: 8 << 20, BelowLimit: func() { below++ }})
	h := l.Attach()
	defer h.Close()
	r, err := h.Flow(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Unpin()
	// The backlog is without bound, but gives way, oldest first.
	fill(l, 1, 2<<20)
	oldest := l.Oldest()
	fill(l, 1, 20<<20)
	if l.OverLimit() {
		t.Errorf("over the limit with a backlog only: %d bytes", l.MemoryBytes())
	}
	if back := l.LSN() - l.Oldest(); back < 5<<20 || l.Oldest() <= oldest {
		t.Errorf("backlog of %d bytes within a limit of 8 MiB", back)
	}
	// What a reader stands before does not.
	fill(l, 0, 20<<20)
	if !l.OverLimit() {
		t.Error("a slow reader holds 20 MiB, but the limit of 8 MiB is not exceeded")
	}
	if _, err := l.Flow(1, oldest, nil); err != ErrTrimmed {
		t.Error(err)
	}
	if f, err := l.Flow(0, oldest, nil); err != nil {
		t.Error(err) // forgetting these blocks would not have freed them
	} else {
		f.Close()
	}
	below = 0
	n := 0
	for l.OverLimit() {
		if _, ok := r.Next(); !ok {
			t.Fatal("everything is read, and the limit still exceeded")
		}
		n++
		l.Trim()
	}
	if n < 100 || below == 0 {
		t.Errorf("below the limit after %d frames, told %d times", n, below)
	}
	r.Close()
	if l.Trim(); l.OverLimit() {
		t.Error("over the limit without a reader")
	}
}

func TestActivation(t *testing.T) {
	l := New(2, Limits{})
	if l.Active() || l.LSN() != 0 {
		t.Fatal("active from the start")
	}
	l.SetLSN(1000)
	h := l.Resume()
	if h.LSN() != 1000 || l.Shard(0).LastLSN() != 1000 || !l.Active() {
		t.Fatalf("resumed at %d", h.LSN())
	}
	f, err := h.Flow(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	h.Close()
	if _, err := h.Flow(0, nil); err != ErrTrimmed {
		t.Error(err)
	}
	if _, err := h.Merged(nil); err != ErrTrimmed {
		t.Error(err)
	}
	if !l.Active() {
		t.Fatal("inactive with a reader")
	}
	// The last reader goes in the middle of a commit.
	l.Shard(0).Stage(0, setName, benchKey, benchData)
	f.Close()
	f.Close()
	if l.Active() {
		t.Fatal("active without readers")
	}
	l.Shard(0).Stage(0, setName, benchKey, make([]byte, 3*blockBytes))
	lsn := l.Shard(0).Commit(true)
	if l.Contiguous() != lsn {
		t.Fatal("that commit is not finished")
	}
	// Who comes now gets nothing of before, and no position of before is valid.
	h = l.Attach()
	defer h.Close()
	if h.LSN() != lsn+1 || l.Oldest() != lsn+1 || l.Contiguous() != lsn+1 {
		t.Fatalf("attached at %d, want %d", h.LSN(), lsn+1)
	}
	if _, err := l.Merged(lsn, nil); err != ErrTrimmed {
		t.Error(err)
	}
	if n := l.pool.live.Load(); n != 2 {
		t.Errorf("%d blocks, want 2", n)
	}
	m, err := h.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l.Shard(1).Stage(0, []byte("PING"))
	l.Shard(1).Commit(false)
	if got := string(m.Append(nil, 100)); got != encode("PING") {
		t.Errorf("%q", got)
	}
	// A second Hold finds everything as it is.
	h2 := l.Attach()
	defer h2.Close()
	if h2.LSN() != l.LSN() || l.Oldest() != h.LSN() {
		t.Errorf("second hold at %d, log from %d to %d", h2.LSN(), l.Oldest(), l.LSN())
	}
}

// TestComeAndGo has readers attach and leave while workers commit whenever the log is active.
func TestComeAndGo(t *testing.T) {
	s := newStageSet(3, Limits{BacklogBytes: 100000, MemoryBytes: 8 << 20})
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for w := range 3 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if s.log.OverLimit() {
					runtime.Gosched()
					continue
				}
				i := rnd.IntN(3)
				s.batons[i].Lock()
				for range rnd.IntN(4) {
					if s.log.Active() {
						s.log.Shard(i).Stage(0, setName, benchKey, make([]byte, rnd.IntN(5000)))
					}
				}
				s.log.Shard(i).Commit(rnd.IntN(2) == 0)
				s.batons[i].Unlock()
			}
		})
	}
	var last uint64
	for range 15 {
		var h *Hold
		s.all(func() { h = s.log.Attach() })
		if h.LSN() <= last {
			t.Errorf("attached at %d after %d", h.LSN(), last)
		}
		f, err := newFlowCheck(h)
		if err != nil {
			t.Fatal(err)
		}
		m, err := h.Merged(nil)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		for range 5 {
			if err := f.pass(); err != nil {
				t.Fatal(err)
			}
			m.Append(nil, 1<<20)
		}
		f.close()
		last = m.LSN()
		m.Close()
	}
	close(stop)
	workers.Wait()
	if n := s.log.pool.live.Load(); n > 6 {
		t.Errorf("%d blocks live with nobody reading", n)
	}
}

// TestNoLostWakeUp has a reader that only ever waits for its bell, beside writers that stop now and then
// for the reader to have seen everything.
func TestNoLostWakeUp(t *testing.T) {
	s := newStageSet(2, Limits{MemoryBytes: 1 << 30})
	h := s.log.Attach()
	defer h.Close()
	bell := make(chan struct{}, 1)
	ring := func() {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
	m, err := h.Merged(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	gateBell := make(chan struct{}, 1)
	gate := s.log.NewWaiter(func() { gateBell <- struct{}{} })
	defer gate.Close()
	h.Unpin()

	const rounds = 1000
	all, done := make(chan struct{}), make(chan struct{}, 2)
	var reader sync.WaitGroup
	reader.Go(func() {
		for n := 0; n < 2*rounds; {
			for p := m.Next(1 << 20); p != nil; p = m.Next(1 << 20) {
				n++ // each frame is a chunk, or two at the end of a block, which this is far from
				if n%2 == 0 {
					all <- struct{}{}
				}
			}
			if m.Park() {
				<-bell
			}
		}
	})
	for range rounds {
		if !gate.Park(s.log.LSN() + 1) {
			t.Error("not parked below the next commit")
		}
		for i := range 2 {
			go func() {
				s.log.Shard(i).Stage(0, []byte("COMMIT"))
				s.log.Shard(i).Commit(false)
				done <- struct{}{}
			}()
		}
		<-done
		<-done
		<-all
		<-gateBell
	}
	ring()
	reader.Wait()
}

func TestParkFlow(t *testing.T) {
	l := New(2, Limits{})
	h := l.Attach()
	defer h.Close()
	rung := 0
	f, err := h.Flow(0, func() { rung++ })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	commit := func(i int) {
		l.Shard(i).Stage(0, setName, benchKey, benchData)
		l.Shard(i).Commit(false)
	}
	for range 2 { // parking twice is parking
		if !f.Park() {
			t.Fatal("not parked at the end")
		}
	}
	commit(1)
	if rung != 0 {
		t.Fatal("rung for another shard")
	}
	commit(0)
	commit(0)
	if rung != 1 {
		t.Fatalf("rung %d times", rung)
	}
	if f.Park() {
		t.Fatal("parked before something to read")
	}
	if f.LagBytes() == 0 {
		t.Fatal("no lag")
	}
	commit(0)
	if rung != 1 {
		t.Fatalf("rung %d times", rung)
	}
}

// TestCopyOfChunks reads the same bytes again through a copy that has stayed behind, and looks at positions.
func TestCopyOfChunks(t *testing.T) {
	l := New(2, Limits{})
	h := l.Attach()
	defer h.Close()
	r, err := h.Chunks(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	keep := r.Copy(nil)
	h.Unpin()
	s := l.Shard(1)
	big := bytes.Repeat([]byte("x"), 100_000)
	for range 30 { // some blocks
		s.Stage(0, []byte("SET"), []byte("k"), big)
		s.Commit(false)
	}
	first := chunksOf(r, 1<<20)
	if got := r.Pos() - h.Pos(1); got != uint64(len(first)) || got < 3_000_000 {
		t.Errorf("position %d after %d bytes", got, len(first))
	}
	again := keep.Copy(nil)
	if !bytes.Equal(chunksOf(again, 4096), first) {
		t.Error("a copy reads something else")
	}
	r.Close()
	again.Close()
	blocks := l.pool.live.Load()
	chunksOf(keep, 1<<20)
	if left := l.pool.live.Load(); left >= blocks || blocks < 3 {
		t.Errorf("%d blocks are held by a reader that has stayed behind, %d when it has caught up", blocks, left)
	}
	keep.Close()
	late := l.Shard(1).tail.Load()
	if second := l.Attach(); second.Pos(1) != late || second.Pos(0) != 0 {
		t.Errorf("a Hold at %d, the tail is at %d", second.Pos(1), late)
	} else {
		second.Close()
	}
}
