package aof

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"fulmen/persist/vfs"
)

// besides counts whom the Writer has said to work beside the loops, and notices files that are used while nobody does.
type besides struct {
	t       *testing.T
	n, most int
	calls   int
	watched bool // files are used by the Writer alone
}

func (b *besides) add(n int) {
	b.n += n
	b.most = max(b.most, b.n)
	if b.n < 0 || b.n > 1 {
		b.t.Fatalf("%d work beside the loops", b.n)
	}
}

func (b *besides) call(op string) {
	b.t.Helper()
	b.calls++
	if b.watched && b.n != 1 {
		b.t.Errorf("%s, and nobody was said to work", op)
	}
}

// besideDisk has besideFiles.
type besideDisk struct {
	vfs.FS
	b *besides
}

func (d besideDisk) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := d.FS.Create(name, perm)
	if err != nil || !strings.Contains(name, ".incr.") {
		return f, err
	}
	return besideFile{f, d.b}, nil
}

// besideFile is a file that must not be used unless somebody is said to work.
type besideFile struct {
	vfs.File
	b *besides
}

func (f besideFile) WriteAt(p []byte, offset int64) (int, error) {
	f.b.call("write")
	return f.File.WriteAt(p, offset)
}

func (f besideFile) Allocate(offset, length int64) error {
	f.b.call("allocate")
	return f.File.Allocate(offset, length)
}

func (f besideFile) SyncData() error {
	f.b.call("sync")
	return f.File.SyncData()
}

func (f besideFile) Truncate(sizeBytes int64) error {
	f.b.call("truncate")
	return f.File.Truncate(sizeBytes)
}

func (f besideFile) Close() error {
	f.b.call("close")
	return f.File.Close()
}

// parkedSyncer syncs files without keeping a processor.
type parkedSyncer struct{ vfs.OneByOne }

func (parkedSyncer) Waits(int) bool { return false }

func (s parkedSyncer) SyncData(files []vfs.File, errs []error) {
	plain := make([]vfs.File, len(files))
	for i, f := range files {
		plain[i] = f.(besideFile).File
	}
	s.OneByOne.SyncData(plain, errs)
}

// TestWriterBeside: whenever the Writer may wait for the disk it has said so before; when it rests it has taken that
// back, unless somebody waits for what it writes.
func TestWriterBeside(t *testing.T) {
	for _, policy := range []Policy{EverySec, Always, No} {
		for _, parks := range []bool{false, true} {
			t.Run(fmt.Sprint(policy, " parks ", parks), func(t *testing.T) { writerBeside(t, policy, parks) })
		}
	}
}

func writerBeside(t *testing.T, policy Policy, parks bool) {
	b := &besides{t: t}
	x, err := newWorld(t, besideDisk{newDisk(t), b}, 2, policy, false)
	must(t, err)
	x.w.o.Beside = b.add
	if parks {
		x.w.syncer = parkedSyncer{}
	}
	change := func() {
		b.watched = false
		must(t, x.prepare())
		x.change()
		b.watched = true
	}
	rests := func(when string, want int) {
		t.Helper()
		before := b.calls
		for range 3 {
			x.turns()
			x.w.rest()
		}
		if b.calls == before {
			t.Errorf("%s: no file was used", when)
		}
		if b.n != want {
			t.Errorf("%s: %d work beside the loops, want %d", when, b.n, want)
		}
	}
	lazily := 0
	if policy == Always {
		lazily = 1
	}
	b.watched = true
	x.set(2*lazyBytes, 0, 1)
	rests("when there is much", lazily)
	x.set(2*lazyBytes, 0, 1)
	rests("when there is much again", lazily)
	if policy != EverySec { // which has something to sync
		x.set(10, 0)
	}
	x.clock.Advance(time.Second)
	rests("when it is time", lazily)
	x.w.SetPrompt(true)
	x.set(10, 1)
	rests("while somebody waits", 1)
	x.w.SetPrompt(false)
	change()
	x.set(10, 0, 1)
	x.clock.Advance(time.Second)
	x.w.Sync(x.log.LSN())
	rests("when files have changed", lazily)
	change()
	rests("when files have changed that were synced", lazily)
	x.set(10, 0, 1)
	must(t, x.w.end())
}

// TestWriterBesideEnds: when a Writer has ended nobody works any more.
func TestWriterBesideEnds(t *testing.T) {
	for _, policy := range []Policy{EverySec, Always, No} {
		x, err := newWorld(t, newDisk(t), 1, policy, false)
		must(t, err)
		b := &besides{t: t}
		x.w.o.Beside = b.add
		x.set(10, 0)
		go x.w.run()
		must(t, x.w.Close())
		if b.n != 0 || b.most != 1 {
			t.Errorf("%v: %d work after the end, %d before", policy, b.n, b.most)
		}
	}
}

// forgottenFile takes everything, and notes what it is told to forget.
type forgottenFile struct {
	noFile
	t        *testing.T
	of       *incrFile
	from, to int64
}

func (f *forgottenFile) Forget(offset, length int64) {
	switch {
	case f.to == 0:
		f.from = offset
	case offset != f.to:
		f.t.Errorf("forgotten from %d on, after all up to %d", offset, f.to)
	}
	f.to = offset + length
	if lasts := f.of.offset(f.of.synced); f.to > lasts-cachedBytes/2 {
		f.t.Errorf("forgotten up to %d of %d that have lasted", f.to, lasts)
	}
}

// TestWriterForgets: the system is told to forget all that has lasted but the header and the newest part.
func TestWriterForgets(t *testing.T) {
	x, err := newWorld(t, newDisk(t), 2, EverySec, false)
	must(t, err)
	of := x.w.streams[1].newest()
	file := &forgottenFile{t: t, of: of}
	of.file = file
	for range cachedBytes/2/lazyBytes + 20 {
		x.set(lazyBytes, 1)
		x.clock.Advance(time.Duration(syncEveryNs))
		x.turns()
	}
	lasts := of.offset(of.synced)
	if file.from != HeaderBytes || file.to <= lasts-cachedBytes/2-forgetStepBytes || file.to%forgetStepBytes != 0 {
		t.Errorf("forgotten from %d to %d of %d", file.from, file.to, lasts)
	}
	// Nothing more lasts while syncs fail.
	of.synced -= forgetStepBytes
	before := file.to
	of.forget(cachedBytes / 2)
	if file.to != before {
		t.Errorf("forgotten up to %d instead of %d", file.to, before)
	}
}
