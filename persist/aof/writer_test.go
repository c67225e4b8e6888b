package aof

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/invariant"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

func TestWriterAlways(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 3, Always, false)
	must(t, err)
	x.set(10, 0)
	x.set(2_000_000, 1)
	x.set(100, 0, 2)
	x.turns()
	if got := x.w.SyncedLSN(); got != x.log.LSN() {
		t.Errorf("synced up to %d of %d", got, x.log.LSN())
	}
	all, tails, err := frames(x.fs, x.manifest)
	must(t, err)
	if len(all[0]) != 2 || len(all[1]) != 1 || len(all[2]) != 1 || len(tails) != 3 {
		t.Errorf("%v %v", all, tails)
	}
	must(t, x.prepare())
	x.set(10, 0)
	x.change()
	x.set(10, 0)
	x.turns()
	if x.w.Switching() {
		t.Error("still switching")
	}
	x.set(10, 1)
	must(t, x.w.end())
	all, tails, err = frames(x.fs, x.manifest)
	must(t, err)
	if len(all[0]) != 4 || len(all[1]) != 2 || len(all[2]) != 1 || len(tails) != 5 {
		t.Errorf("%v %v", all, tails)
	}
	for _, tail := range tails {
		if tail.Kind != TailWhole {
			t.Errorf("%+v", tail)
		}
	}
}

// TestWriterRuns has the goroutine do it all.
func TestWriterRuns(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, No} {
		x, err := newWorld(t, newDisk(t), 3, policy, false)
		must(t, err)
		notified := make(chan struct{}, 1)
		x.w.inPlace = false
		x.w.o.Notify = func() {
			select {
			case notified <- struct{}{}:
			default:
			}
		}
		go x.w.run()
		for range 100 {
			x.set(10, 0, 1)
			x.set(10, 2)
		}
		x.w.Sync(x.log.LSN())
		for x.w.SyncedLSN() < x.log.LSN() {
			select {
			case <-notified:
			case <-time.After(3 * time.Minute):
				t.Fatalf("%v: synced up to %d of %d", policy, x.w.SyncedLSN(), x.log.LSN())
			}
		}
		x.set(10, 2)
		must(t, x.w.Close())
		all, _, err := frames(x.fs, x.manifest)
		must(t, err)
		if len(all[0]) != 100 || len(all[2]) != 101 {
			t.Errorf("%v: %d and %d frames", policy, len(all[0]), len(all[2]))
		}
	}
}

// TestWriterOnDisk writes to the system's disk, from several goroutines, with switches of files between, and compares
// the files with the log byte by byte.
func TestWriterOnDisk(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, No} {
		const shards = 4
		dir := t.TempDir()
		l := log.New(shards, log.Limits{})
		l.SetIncarnation(1)
		w := Open(Options{
			FS: vfs.OS{}, Dir: dir, Name: testName, Log: l, Incarnation: 1, Policy: policy, Clock: clock.New(),
		})
		must(t, w.Prepare(1))
		h := l.Resume()
		defer h.Close()
		must(t, w.Start(h))
		var batons [shards]sync.Mutex
		hold := func(fn func()) {
			for i := range batons {
				batons[i].Lock()
			}
			fn()
			for i := range batons {
				batons[i].Unlock()
			}
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range shards {
			wg.Go(func() {
				for n := 0; n < 5000; n++ { // the test's Hold keeps all of it in memory
					select {
					case <-stop:
						return
					default:
					}
					batons[i].Lock()
					l.Shard(i).Stage(0, []byte("SET"), []byte("k"), make([]byte, n*37%5000))
					l.Shard(i).Commit(false)
					batons[i].Unlock()
				}
			})
		}
		const files = 6
		cuts := make([][]uint64, files+1)
		for seq := uint64(2); seq <= files; seq++ {
			for err := w.Prepare(seq); err != nil; err = w.Prepare(seq) {
				if err != ErrBusy {
					t.Fatal(err)
				}
				runtime.Gosched()
			}
			hold(func() {
				cut := l.Attach()
				w.Switch(cut)
				for i := range shards {
					cuts[seq] = append(cuts[seq], cut.Pos(i))
				}
				cut.Close()
			})
		}
		close(stop)
		wg.Wait()
		must(t, w.Close())
		if w.SyncedLSN() != l.LSN() || w.WrittenLSN() != l.LSN() {
			t.Errorf("%v: written to %d, synced to %d of %d", policy, w.WrittenLSN(), w.SyncedLSN(), l.LSN())
		}
		for i := range shards {
			r, err := h.Chunks(i, nil)
			must(t, err)
			compareFiles(t, dir, i, files, cuts, r)
			r.Close()
		}
	}
}

// compareFiles compares a shard's files with the log.
func compareFiles(t *testing.T, dir string, shard, files int, cuts [][]uint64, r *log.ChunkReader) {
	t.Helper()
	for seq := 1; seq <= files; seq++ {
		f := File{Kind: Incr, Shard: shard, Seq: uint64(seq), Format: FormatAOF}
		data, err := os.ReadFile(f.Path(dir, testName))
		must(t, err)
		if len(data) == 0 {
			continue // nothing was committed, or the next file begins too late
		}
		h, err := ParseHeader(f.Name(testName), data)
		must(t, err)
		if h.Seq != uint64(seq) || h.Shard != shard || h.Pos != r.Pos() || seq > 1 && h.Pos != cuts[seq][shard] {
			t.Errorf("header %+v, log at %d", h, r.Pos())
		}
		for data = data[HeaderBytes:]; len(data) > 0; {
			p := r.Next(len(data))
			if p == nil || !bytes.Equal(p, data[:len(p)]) {
				t.Fatalf("file %d of shard %d differs from the log", seq, shard)
			}
			data = data[len(p):]
		}
	}
	if p := r.Next(1); p != nil {
		t.Errorf("the files of shard %d end too early", shard)
	}
}

// TestEverySec looks at what happens when, by a clock that stands still.
func TestEverySec(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 2, EverySec, false)
	must(t, err)
	w := x.w
	wantWait := func(what string, want time.Duration) {
		t.Helper()
		if got := w.turn(); got != want {
			t.Errorf("%s: waits for %v, want %v", what, got, want)
		}
	}
	state := func(what string, written, synced bool, sinceMs int64) {
		t.Helper()
		end := x.log.LSN()
		gotWritten, gotSynced, since := w.WrittenLSN() == end, w.SyncedLSN() == end, w.UnsyncedSinceNs()
		if gotWritten != written || gotSynced != synced || since != sinceMs*1e6 {
			t.Errorf("%s: written %v, synced %v, unsynced since %d", what, gotWritten, gotSynced, since)
		}
	}
	wantWait("nothing to do", forever)
	x.clock.Advance(time.Second)
	x.set(10, 0)
	wantWait("the first after a rest", forever)
	state("the first after a rest", true, true, 0)
	x.clock.Advance(10 * time.Millisecond)
	x.set(10, 0)
	wantWait("the second", 20*time.Millisecond)
	state("the second", false, false, 1010)
	x.clock.Advance(100 * time.Millisecond)
	x.set(lazyBytes, 1)
	wantWait("much", 20*time.Millisecond)
	state("much", true, false, 1010)
	x.clock.Advance(139 * time.Millisecond)
	x.set(10, 0)
	wantWait("nearly a quarter of a second", time.Millisecond)
	state("nearly a quarter of a second", false, false, 1010)
	x.clock.Advance(time.Millisecond)
	wantWait("a quarter of a second", forever)
	state("a quarter of a second", true, true, 0)

	w.SetPrompt(true)
	x.clock.Advance(50 * time.Millisecond)
	x.set(10, 0)
	wantWait("promptly", 200*time.Millisecond)
	state("promptly", true, false, 1300)
	w.SetPolicy(No) // no-appendfsync-on-rewrite
	x.clock.Advance(time.Second)
	wantWait("suspended", forever)
	state("suspended", true, false, 0)
	w.SetPolicy(EverySec)
	wantWait("no longer", forever)
	state("no longer", true, true, 0)

	x.set(10, 1)
	w.Sync(x.log.LSN())
	wantWait("asked for", forever)
	state("asked for", true, true, 0)
	if s := w.Stats(); s.Syncs != 4 || s.BufferBytes != 0 || s.Syncing || s.DelayedSyncs != 0 ||
		s.CurrentBytes != fileBytes(t, x, 1) {
		t.Errorf("%+v, files have %d bytes", s, fileBytes(t, x, 1))
	}
	x.set(10, 1)
	if s := w.Stats(); s.BufferBytes == 0 {
		t.Errorf("%+v", s)
	}
	must(t, w.end())
}

// fileBytes returns how much is in the files from a number on.
func fileBytes(t *testing.T, x *world, seq uint64) (sum int64) {
	t.Helper()
	for _, f := range x.manifest.Files {
		info, err := x.fs.Stat(f.Path(testDir, testName))
		must(t, err)
		if f.Seq >= seq {
			sum += info.Size()
		}
	}
	return sum
}

func TestSizes(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 2, EverySec, false)
	must(t, err)
	x.set(500, 0, 1)
	x.clock.Advance(time.Second)
	x.turns()
	must(t, x.prepare())
	x.set(700, 0)
	x.change()
	x.set(900, 1)
	x.clock.Advance(time.Second)
	x.turns()
	if s := x.w.Stats(); s.CurrentBytes != fileBytes(t, x, 1) || s.BaseBytes != 0 {
		t.Errorf("%+v, files have %d bytes", s, fileBytes(t, x, 1))
	}
	x.w.SetSizes(10_000, 12_000)
	x.set(100, 0)
	x.clock.Advance(time.Second)
	x.turns()
	if s := x.w.Stats(); s.CurrentBytes != 10_000+fileBytes(t, x, 2) || s.BaseBytes != 12_000 {
		t.Errorf("%+v, files have %d bytes", s, fileBytes(t, x, 2))
	}
	must(t, x.w.end())
}

// TestSlowSync has a sync take longer than the time to the next one.
func TestSlowSync(t *testing.T) {
	m := newDisk(t)
	x, err := newWorld(t, m, 2, EverySec, false)
	must(t, err)
	slow := &slowSyncer{begun: make(chan struct{}), end: make(chan struct{})}
	x.w.syncer, x.w.inPlace = slow, false
	x.w.SetPrompt(true)
	x.set(10, 0)
	x.clock.Advance(time.Second)
	x.w.turn()
	<-slow.begun
	first := x.log.LSN()
	for range 3 {
		x.set(10, 1)
		x.clock.Advance(time.Second)
		x.w.turn()
	}
	s := x.w.Stats()
	if x.w.WrittenLSN() != x.log.LSN() || x.w.SyncedLSN() >= first || !s.Syncing || s.DelayedSyncs != 1 {
		t.Errorf("written to %d, synced to %d, %+v", x.w.WrittenLSN(), x.w.SyncedLSN(), s)
	}
	slow.end <- struct{}{}
	<-x.w.jobDone
	x.w.finishJob()
	if x.w.SyncedLSN() != first || x.w.UnsyncedSinceNs() != int64(time.Second) {
		t.Errorf("synced to %d of %d, since %d", x.w.SyncedLSN(), first, x.w.UnsyncedSinceNs())
	}
	x.w.turn()
	<-slow.begun
	slow.end <- struct{}{}
	must(t, x.w.end())
}

type slowSyncer struct {
	vfs.OneByOne
	begun, end chan struct{}
	times      int
}

func (s *slowSyncer) SyncData(files []vfs.File, errs []error) {
	if s.times++; s.times <= 2 {
		s.begun <- struct{}{}
		<-s.end
	}
	s.OneByOne.SyncData(files, errs)
}

// TestErrorState looks at what the Writer says while the disk is full, and when it tries again.
func TestErrorState(t *testing.T) {
	m := newDisk(t)
	full := false
	writes := 0
	x, err := newWorld(t, vfstest.NewTap(m, func(s vfstest.Step) error {
		if s.Op == "writeat" || s.Op == "allocate" {
			writes++
		}
		if full {
			return vfstest.Full(s)
		}
		return nil
	}), 2, EverySec, false)
	must(t, err)
	notified := 0
	x.w.o.Notify = func() { notified++ }
	x.set(10, 0)
	x.clock.Advance(time.Second)
	x.turns()
	synced := x.log.LSN()
	full, notified = true, 0
	x.set(200_000, 1)
	x.clock.Advance(time.Second)
	for i, want := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		writes = 0
		if got := x.w.turn(); got != want*time.Millisecond || writes == 0 {
			t.Errorf("try %d: waits for %v after %d writes", i, got, writes)
		}
		x.clock.Advance(want*time.Millisecond - 1)
		writes = 0
		if got := x.w.turn(); got != 1 || writes != 0 {
			t.Errorf("before try %d: waits for %v, %d writes", i+1, got, writes)
		}
		x.clock.Advance(1)
	}
	if err := x.w.Err(); !errors.Is(err, syscall.ENOSPC) || notified != 1 || x.w.SyncedLSN() != synced ||
		x.w.WrittenLSN() != synced {
		t.Errorf("error %v, notified %d times, synced %d, written %d", err, notified, x.w.SyncedLSN(), x.w.WrittenLSN())
	}
	full = false
	x.turns()
	if x.w.Err() != nil || x.w.SyncedLSN() != x.log.LSN() || notified < 2 {
		t.Errorf("error %v, notified %d times, synced %d", x.w.Err(), notified, x.w.SyncedLSN())
	}
	must(t, x.w.end())
}

// TestHeldBlocks looks at how much of the log is kept.
func TestHeldBlocks(t *testing.T) {
	for _, policy := range []Policy{EverySec, No} {
		x, err := newWorld(t, newDisk(t), 1, policy, false)
		must(t, err)
		x.turns()
		x.set(10, 0)
		x.turns() // the first after a rest is synced at once, what follows a quarter of a second later
		for range 5 {
			x.set(1<<20, 0)
			x.turns()
		}
		kept := x.w.streams[0].keep.LagBytes()
		if held := policy == EverySec; kept > 5<<20 != held || kept == 0 == held {
			t.Errorf("%v: %d bytes are kept before a sync", policy, kept)
		}
		x.clock.Advance(time.Second)
		x.turns()
		if lag := x.w.streams[0].keep.LagBytes(); lag != 0 {
			t.Errorf("%v: %d bytes are kept after a sync", policy, lag)
		}
		must(t, x.w.end())
	}
}

// TestPolicies: from no to always, what was written and not synced is synced.
func TestPolicies(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 2, No, false)
	must(t, err)
	x.set(10, 0)
	x.clock.Advance(time.Second)
	x.turns()
	if x.w.WrittenLSN() != x.log.LSN() || x.w.SyncedLSN() == x.log.LSN() {
		t.Errorf("written %d, synced %d of %d", x.w.WrittenLSN(), x.w.SyncedLSN(), x.log.LSN())
	}
	x.w.SetPolicy(Always)
	x.turns()
	if x.w.SyncedLSN() != x.log.LSN() {
		t.Errorf("synced %d of %d", x.w.SyncedLSN(), x.log.LSN())
	}
	must(t, x.w.end())
}

func TestPrepare(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 2, EverySec, false)
	must(t, err)
	x.set(10, 0, 1)
	must(t, x.prepare())
	must(t, x.prepare()) // a rewrite that was given up before its cut
	x.change()
	if err := x.w.Prepare(9); err != ErrBusy {
		t.Errorf("during a switch: %v", err)
	}
	x.clock.Advance(time.Second)
	x.turns()
	must(t, x.w.Prepare(9))
	x.w.closing.Store(true)
	if err := x.w.Prepare(10); err != ErrClosed {
		t.Errorf("closed: %v", err)
	}
	must(t, x.w.end())
	unused := Open(Options{FS: x.fs, Dir: testDir, Name: testName, Log: x.log, Clock: x.clock})
	must(t, unused.Prepare(11))
	must(t, unused.Close())
}

// TestTurnsDoNotAllocate: what happens all the time leaves nothing to the garbage collector.
func TestTurnsDoNotAllocate(t *testing.T) {
	if invariant.Enabled {
		t.Skip("costly checks allocate")
	}
	m := newDisk(t)
	x, err := newWorld(t, m, 2, Always, false)
	must(t, err)
	for _, s := range x.w.streams {
		s.files[0].file = noFile{}
	}
	args := [][]byte{[]byte("SET"), []byte("k"), []byte("v")}
	n := testing.AllocsPerRun(100, func() {
		x.shards[0].Stage(0, args...)
		x.shards[0].Commit(false)
		x.shards[1].Stage(0, args...)
		x.shards[1].Commit(false)
		x.w.turn()
	})
	if n != 0 || x.w.SyncedLSN() != x.log.LSN() {
		t.Errorf("%v allocations a turn, synced %d of %d", n, x.w.SyncedLSN(), x.log.LSN())
	}
}

// noFile takes everything.
type noFile struct{ vfs.File }

func (noFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (noFile) Allocate(int64, int64) error            { return nil }
func (noFile) Forget(int64, int64)                    {}
func (noFile) SyncData() error                        { return nil }
