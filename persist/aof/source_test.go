package aof

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// archive is a server's lives as far as its files go, and the merged stream as the log gave it in memory.
type archive struct {
	t      testing.TB
	fs     vfs.FS
	dir    string
	rnd    *rand.Rand
	clock  *clock.Fake
	index  *Index
	r      *Rewriter
	shards int
	bases  int

	// Of the life at hand.
	log *log.Log
	w   *Writer
	m   *log.MergedReader

	from uint64 // LSN of the first byte of want
	want []byte
}

func newArchive(t testing.TB, seed uint64, shards int) *archive {
	return newArchiveIn(t, newDisk(t), testDir, seed, shards)
}

func newArchiveIn(t testing.TB, fsys vfs.FS, dir string, seed uint64, shards int) *archive {
	a := &archive{
		t: t, fs: fsys, dir: dir, rnd: rand.New(rand.NewPCG(seed, 1)), clock: clock.NewFake(1_700_000_000_000),
		index: NewIndex(), shards: shards, from: 1000,
	}
	m := &Manifest{
		DirID: 0xabc, Databases: 16, Shards: shards, ReplID: strings.Repeat("a", 40),
		Incarnations: []Incarnation{{Number: 1, StartLSN: 1000}},
	}
	a.r = NewRewriter(RewriterOptions{
		FS: a.fs, Dir: a.dir, Name: testName, Index: a.index, Retain: Retain{Bytes: 1 << 40},
	}, m)
	a.live()
	return a
}

// live begins the life that the manifest has last.
func (a *archive) live() {
	a.t.Helper()
	life := a.r.Manifest().Last()
	a.log = log.New(a.shards, log.Limits{})
	a.log.SetIncarnation(life.Number)
	a.log.SetLSN(life.StartLSN)
	a.w = Open(Options{
		FS: a.fs, Dir: a.dir, Name: testName, Log: a.log, DirID: 0xabc, Incarnation: life.Number, Clock: a.clock,
		Index: a.index,
	})
	a.w.inPlace = true
	seq := a.r.Manifest().NextSeq()
	must(a.t, a.w.Prepare(seq))
	must(a.t, a.r.Commit(func(m *Manifest) {
		m.Add(IncrFiles(a.shards, seq, life.Number, life.StartLSN, 0)...)
	}))
	h := a.log.Resume()
	defer h.Close()
	must(a.t, a.w.start(h))
	var err error
	a.m, err = h.Merged(nil)
	must(a.t, err)
}

// take has want have all that the log has.
func (a *archive) take() {
	a.want = a.m.Append(a.want, 1<<30)
}

// commits makes n random commits, among them such of several shards, without records, and long ones.
func (a *archive) commits(n int) {
	for range n {
		var held, over []*log.ShardLog
		for i := range a.shards {
			if a.rnd.IntN(a.shards) == 0 {
				held = append(held, a.log.Shard(i))
			}
		}
		if len(held) == 0 {
			held = append(held, a.log.Shard(a.rnd.IntN(a.shards)))
		}
		size := a.rnd.IntN(200)
		if a.rnd.IntN(100) == 0 {
			size = a.rnd.IntN(laneBytes)
		}
		value := []byte(strings.Repeat("v", size))
		for _, s := range held {
			for range 1 + a.rnd.IntN(2) {
				s.Stage(a.rnd.IntN(2), []byte("SET"), []byte(fmt.Sprint(a.rnd.Uint32())), value)
			}
		}
		if over = held; len(over) > 1 && a.rnd.IntN(3) == 0 {
			a.log.StageBarrier(over, 0, []byte("FLUSHALL"))
		}
		a.log.Commit(held, a.rnd.IntN(2) == 0)
	}
	a.take()
}

// written has the Writer write all that there is.
func (a *archive) written() {
	a.t.Helper()
	for range 100 {
		a.clock.Advance(300 * 1_000_000)
		if a.w.turn(); a.w.WrittenLSN() == a.log.LSN() && !a.w.Switching() {
			return
		}
	}
	a.t.Fatal("the Writer doesn't come to rest")
}

// rewrite makes a rewrite, in the middle of which there are commits.
func (a *archive) rewrite() {
	a.t.Helper()
	a.written()
	must(a.t, a.r.Prepare(a.w, a.clock.NowMs()))
	a.commits(5)
	h := a.log.Attach()
	must(a.t, a.r.Cut(h, a.log.LSN(), a.clock.NowMs(), func(*Manifest) {}))
	h.Close()
	a.commits(5)
	a.written()
	must(a.t, a.r.Install(make([]BaseFile, a.shards)))
	a.bases++
}

// end ends the life, and the next begins. If killed, the last frame of one shard was never written.
func (a *archive) end(killed bool) {
	a.t.Helper()
	hole := uint64(0)
	if killed {
		a.log.Shard(1).Stage(0, []byte("SET"), []byte("lost"), []byte("x"))
		before := a.log.LSN()
		a.log.Shard(1).Commit(false)
		hole = a.log.LSN() - before
		a.take()
		copy(a.want[before-a.from:], bytes.Repeat([]byte{'\n'}, int(hole)))
		a.log.Shard(0).Stage(0, []byte("SET"), []byte("kept"), []byte("x"))
		a.log.Shard(0).Commit(false)
		a.take()
	}
	must(a.t, a.w.end())
	a.m.Close()
	if killed {
		f := a.w.streams[1].newest()
		in, err := a.fs.Open(f.name)
		must(a.t, err)
		info, err := in.Stat()
		must(a.t, err)
		must(a.t, in.Close())
		out, err := a.fs.OpenWrite(f.name)
		must(a.t, err)
		must(a.t, out.Truncate(info.Size()-int64(hole)-49)) // with its annotation
		must(a.t, out.Close())
	}
	must(a.t, a.r.Commit(func(m *Manifest) {
		m.End(a.log.LSN())
		if killed {
			m.Last().State, m.Last().MissingBytes = Unclean, hole
		}
		m.Incarnations = append(m.Incarnations, Incarnation{Number: m.Last().Number + 1, StartLSN: a.log.LSN()})
	}))
	a.live()
}

// read reads the stream from lsn on as far as it is written.
func (a *archive) read(lsn uint64, plant sourcePlant) ([]byte, error) {
	s, err := a.r.OpenStream(a.w, lsn)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.plant = plant
	var got []byte
	for {
		before := len(got)
		if got, err = s.Append(got, 1+a.rnd.IntN(100_000)); err != nil || len(got) == before {
			return got, err
		}
	}
}

// check reads from positions all over, and reports the first difference.
func (a *archive) check(n int, plant sourcePlant) error {
	from, to := a.r.StreamFrom(), a.w.WrittenLSN()
	for i := range n {
		lsn := from + a.rnd.Uint64N(to-from+1)
		switch i {
		case 0:
			lsn = from
		case 1:
			lsn = to
		}
		got, err := a.read(lsn, plant)
		if err != nil {
			return err
		}
		if want := a.want[lsn-a.from : to-a.from]; !bytes.Equal(got, want) {
			return fmt.Errorf("from %d of %d to %d the files have %d bytes that are not the stream's %d", lsn, from, to,
				len(got), len(want))
		}
	}
	return nil
}

// lives makes a history of several lives and rewrites.
func (a *archive) lives() {
	a.commits(50)
	a.rewrite()
	a.commits(50)
	a.end(false)
	a.commits(20)
	a.written()
	a.end(true)
	a.commits(100)
	a.rewrite()
	a.rewrite()
	a.commits(50)
	a.end(false)
	a.commits(50)
	a.written()
}

// TestStream: what the files have of the stream is what memory had, wherever one begins, over rewrites and lives, with
// an index and without.
func TestStream(t *testing.T) {
	for seed := range uint64(6) {
		a := newArchive(t, seed, 2+int(seed))
		a.lives()
		if from := a.r.StreamFrom(); from != a.from {
			t.Fatalf("the files have the stream from %d, want %d", from, a.from)
		}
		must(t, a.check(10, sourcePlant{}))
		a.index.files = map[fileKey][]place{}
		must(t, a.check(10, sourcePlant{})) // which fill it again
		if len(a.index.files) == 0 {
			t.Error("nobody has told the index of anything")
		}
		must(t, a.check(10, sourcePlant{}))
	}
}

// TestStreamFaults: reading that goes wrong is noticed.
func TestStreamFaults(t *testing.T) {
	for name, plant := range map[string]sourcePlant{
		"a frame is left out": {skipsFrame: true}, "begins with the frame": {wrongStart: true},
	} {
		a := newArchive(t, 1, 3)
		a.lives()
		if err := a.check(20, plant); err == nil {
			t.Errorf("%s: nobody notices", name)
		}
	}
}

// TestStreamDamage: what is damaged is no stream, and after the first attempt it is not tried again.
func TestStreamDamage(t *testing.T) {
	a := newArchive(t, 1, 3)
	a.commits(200)
	a.written()
	f := a.w.streams[1].newest()
	out, err := a.fs.OpenWrite(f.name)
	must(t, err)
	_, err = out.WriteAt([]byte{'?'}, f.size/2)
	must(t, err)
	must(t, out.Close())
	var corrupt *CorruptError
	if _, err = a.read(a.from, sourcePlant{}); !errors.As(err, &corrupt) {
		t.Fatalf("reading what is damaged: %v", err)
	}
	if _, err = a.read(a.from, sourcePlant{}); err != ErrNoStream {
		t.Errorf("… once more: %v", err)
	}
	must(t, a.check(10, sourcePlant{}))
}

// TestStreamFollows: a reader that keeps up with the Writer gets all of it, over rewrites, and never more than is
// written.
func TestStreamFollows(t *testing.T) {
	for _, plant := range []sourcePlant{{}, {beyond: true}} {
		err := func() error {
			a := newArchive(t, 3, 4)
			s, err := a.r.OpenStream(a.w, a.from)
			must(t, err)
			defer s.Close()
			s.plant = plant
			var got []byte
			for i := range 60 {
				a.commits(1 + a.rnd.IntN(10))
				if a.rnd.IntN(2) == 0 {
					a.clock.Advance(300 * 1_000_000)
					a.w.turn()
				}
				if i%10 == 9 {
					a.rewrite()
				}
				for n := -1; n != len(got); {
					n = len(got)
					if got, err = s.Append(got, 1+a.rnd.IntN(5000)); err != nil {
						return err
					}
				}
				if to := a.w.WrittenLSN(); !bytes.Equal(got, a.want[:to-a.from]) {
					return fmt.Errorf("round %d: %d bytes, want %d", i, len(got), to-a.from)
				}
			}
			return nil
		}()
		if plant.beyond == (err == nil) {
			t.Errorf("%+v: %v", plant, err)
		}
	}
}

// TestStreamPins: the files that a reader needs stay as long as it is open, and no longer.
func TestStreamPins(t *testing.T) {
	a := newArchive(t, 5, 3)
	a.r.SetRetain(Retain{})
	a.commits(50)
	a.written()
	s, err := a.r.OpenStream(a.w, a.from+100)
	must(t, err)
	a.rewrite()
	a.rewrite()
	if from := a.r.StreamFrom(); from != a.from {
		t.Fatalf("what is needed was given up: %d", from)
	}
	got, err := s.Append(nil, 1<<30)
	must(t, err)
	if want := a.want[100 : a.w.WrittenLSN()-a.from]; !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	a.commits(1)
	a.rewrite()
	if _, err = s.Append(nil, 1<<30); err != nil { // which finds that it needs less
		t.Fatal(err)
	}
	must(t, a.r.Trim(a.clock.NowMs()))
	if from := a.r.StreamFrom(); from == a.from {
		t.Error("what nobody needs is kept")
	}
	s.Close()
	must(t, a.r.Trim(a.clock.NowMs()))
	if h := a.r.Manifest().History(); h.Files != 0 {
		t.Errorf("%d files of history are left", h.Files)
	}
	if _, err := a.r.OpenStream(a.w, a.from); err != ErrNoStream {
		t.Errorf("what is gone: %v", err)
	}
}

// TestStreamGap: what was not logged in between separates lives.
func TestStreamGap(t *testing.T) {
	a := newArchive(t, 1, 3)
	a.commits(20)
	a.written()
	must(t, a.w.end())
	a.m.Close()
	must(t, a.r.Commit(func(m *Manifest) {
		m.End(a.log.LSN())
		m.Incarnations = append(m.Incarnations, Incarnation{Number: 2, StartLSN: a.log.LSN() + 1})
	}))
	a.live()
	if from := a.r.StreamFrom(); from != a.log.LSN() {
		t.Errorf("the stream begins at %d, want %d", from, a.log.LSN())
	}
}

// BenchmarkStreamOpen: from the opening in the middle of 8 shards' files, with an index as the Writer makes it, to the
// first byte.
func BenchmarkStreamOpen(b *testing.B) {
	a := newArchiveIn(b, vfs.OS{}, b.TempDir(), 1, 8)
	value := make([]byte, 64)
	for i := range 1_000_000 {
		s := a.log.Shard(i % 8)
		s.Stage(0, []byte("SET"), fmt.Appendf(nil, "key:%d", i), value)
		s.Commit(false)
		if i%10_000 == 0 {
			a.w.turn()
		}
	}
	a.written()
	buf := make([]byte, 0, 1<<20)
	from := a.r.StreamFrom()
	span := a.w.WrittenLSN() - from
	var before, after syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	n := 0
	for b.Loop() {
		n++
		s, err := a.r.OpenStream(a.w, from+a.rnd.Uint64N(span))
		must(b, err)
		_, err = s.Append(buf, 1)
		must(b, err)
		s.Close()
	}
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/float64(n)/1000, "cpu-us/op")
}
