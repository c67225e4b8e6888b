package aof

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// rewriteCheck runs a server's life with rewrites of all kinds, and looks at every call of the file system what a power
// cut, or the end of the process, would leave.
type rewriteCheck struct {
	watch  // injects from when there is a Rewriter on
	plant  rewritePlant
	unsync bool                  // BASE is committed before it is synced
	script func(k *rewriteCheck) // nil: all

	t testing.TB
	x *world
	r *Rewriter
	// When there is no AOF, or not yet: what is found then, which is what was promised last. MaxUint64: nothing is.
	off      bool
	offLSN   uint64
	commits  int  // from inside calls
	quiet    bool // … there are none now
	rewrites int  // that have succeeded
	switched int  // how often an AOF was begun anew
}

func (k *rewriteCheck) run(t testing.TB) error {
	t.Helper()
	k.t = t
	tap, inject := k.tap(t, k.look, k.meddle), k.inject
	k.inject = nil
	x, err := newWorld(t, tap, 3, k.policy, false)
	must(t, err)
	k.x = x
	k.r = NewRewriter(RewriterOptions{FS: tap, Dir: testDir, Name: testName}, x.manifest)
	k.r.plant, k.inject = k.plant, inject
	if k.script == nil {
		k.script = (*rewriteCheck).all
	}
	k.script(k)
	k.quiet = true
	if k.off {
		k.look("at the end")
		return nil
	}
	err = k.x.w.end()
	if err == nil {
		err = k.r.Commit(k.end)
	}
	k.look("at the end")
	return err
}

// end marks a clean stop.
func (k *rewriteCheck) end(m *Manifest) { m.End(k.x.log.LSN()) }

// meddle commits something in the middle of calls.
func (k *rewriteCheck) meddle(s vfstest.Step) {
	k.commits++
	there := k.x != nil && !k.quiet && k.x.log.Active() && k.commits%3 == 0
	if !there || s.Op != "writeat" && s.Op != "rename" && s.Op != "sync" {
		return
	}
	k.x.set(30, k.commits%3)
}

// all is what happens to the AOF.
func (k *rewriteCheck) all() {
	x := k.x
	x.set(40, 0)
	x.set(70, 0, 1)
	k.wait(0)
	k.rewrite(true)
	x.set(60, 2)
	k.wait(300 * time.Millisecond)
	k.rewrite(false) // the save fails
	x.set(2000, 1)
	k.wait(300 * time.Millisecond)
	k.r.SetRetain(Retain{Seconds: 3})
	k.rewrite(true)
	k.wait(time.Second)
	if k.prepare() { // no save can be begun
		k.r.Abandon()
	}
	k.wait(time.Second)
	k.rewrite(true)
	x.set(10, 0, 1, 2)
	k.wait(4 * time.Second)
	_ = k.r.Trim(x.clock.NowMs())
	k.rewrite(true)
	x.set(30, 1)
	k.wait(time.Second)
	k.switchOff()
	k.switchOn(false)
	k.switchOn(true)
}

func (k *rewriteCheck) wait(d time.Duration) {
	k.x.clock.Advance(d)
	if !k.off {
		k.x.turns()
	}
}

// prepare tries until the disk lets it.
func (k *rewriteCheck) prepare() bool {
	for range 12 {
		if k.r.Prepare(k.x.w, k.x.clock.NowMs()) == nil {
			return true
		}
		k.wait(time.Second)
	}
	return false
}

// rewrite is a rewrite; if saved is false what writes BASE fails.
func (k *rewriteCheck) rewrite(saved bool) {
	x := k.x
	if !k.prepare() {
		return
	}
	x.set(50, 0)
	k.wait(10 * time.Millisecond)
	x.set(20, 1)
	h := x.log.Attach()
	must(k.t, k.r.Cut(h, h.LSN(), x.clock.NowMs(), func(*Manifest) {}))
	h.Close()
	x.set(80, 0, 2)
	k.wait(300 * time.Millisecond)
	x.set(25, 0)
	k.finish(saved)
	x.set(35, 2)
	k.wait(300 * time.Millisecond)
}

// finish writes BASE and installs it.
func (k *rewriteCheck) finish(saved bool) bool {
	cut := k.r.run.cut
	bases, sync, err := k.writeBases(cut)
	if err == nil && !saved {
		err = errors.New("not saved")
	}
	if err == nil && !k.unsync {
		err = sync()
	}
	if err == nil {
		k.wait(100 * time.Millisecond)
		err = k.r.Install(bases)
	}
	if err == nil {
		k.rewrites++
		if k.unsync {
			_ = sync()
		}
		return true
	}
	if !k.r.Doubtful() {
		for _, name := range k.r.BasePaths(3, FormatRDB) {
			_ = k.x.fs.Remove(name)
		}
	}
	if k.r.run.anew == nil {
		k.r.Abandon()
	}
	return false
}

// writeBases writes what stands for the data of each shard: the cut.
func (k *rewriteCheck) writeBases(cut uint64) (bases []BaseFile, sync func() error, err error) {
	var files []vfs.File
	for i, name := range k.r.BasePaths(3, FormatRDB) {
		f, err := k.x.fs.Create(name, 0o644)
		if err != nil {
			return nil, nil, err
		}
		text := baseText(i, cut)
		if _, err = f.Write(text); err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		files = append(files, f)
		bases = append(bases, BaseFile{SizeBytes: int64(len(text)), CRC64: lines.Sum(0, text), Keys: int64(i)})
	}
	return bases, func() error {
		for _, f := range files {
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return err
			}
		}
		return k.x.fs.SyncDir(testDir)
	}, nil
}

func baseText(shard int, cut uint64) []byte {
	return fmt.Appendf(nil, "what shard %d holds at %d", shard, cut)
}

// switchOff is CONFIG SET appendonly no.
func (k *rewriteCheck) switchOff() {
	k.quiet = true // Close's promise
	if err := k.x.w.end(); err != nil {
		return
	}
	k.quiet = false
	for range 12 {
		if k.r.Commit(k.end) == nil {
			break
		}
	}
	k.off, k.offLSN = true, k.r.Manifest().Last().EndLSN
}

// switchOn is CONFIG SET appendonly yes.
func (k *rewriteCheck) switchOn(saved bool) {
	if !k.off || k.r.Manifest().Last().State == Running {
		return
	}
	x := k.x
	m := &Manifest{DirID: 0xabc, Databases: 16, Shards: 3, ReplID: strings.Repeat("b", 40)}
	m.Incarnations = []Incarnation{{Number: k.r.Manifest().Last().Number + 1}}
	x.log.SetIncarnation(m.Last().Number)
	o := x.w.o
	o.Incarnation = m.Last().Number
	x.w = Open(o)
	x.w.inPlace, x.w.zeroBytes = true, make([]byte, 1000)
	if k.r.PrepareAnew(x.w, m, x.clock.NowMs()) != nil {
		return
	}
	h := x.log.Attach()
	if err := k.cutAnew(h); err != nil {
		k.t.Fatal(err)
	}
	h.Close()
	x.set(44, 0, 1)
	x.turns()
	if !k.finish(saved) {
		_ = x.w.end()
		k.r.Abandon()
		return
	}
	k.off = false
	k.switched++
	x.set(22, 2)
	k.wait(time.Second)
}

// cutAnew is Cut, without the Writer's goroutine.
func (k *rewriteCheck) cutAnew(h *log.Hold) error {
	if err := k.x.w.start(h); err != nil {
		return err
	}
	k.r.run.isCut, k.r.run.cut, k.r.run.cutMs = true, h.LSN(), k.x.clock.NowMs()
	k.r.run.stamp = func(*Manifest) {}
	return nil
}

// look checks what every kind of power cut would leave now.
func (k *rewriteCheck) look(when string) {
	if k.failed != nil || k.x == nil || k.r == nil {
		return
	}
	promised, written := k.x.w.SyncedLSN(), k.x.w.WrittenLSN()
	if k.off {
		promised, written = k.offLSN, k.offLSN
	}
	k.states(when, promised, written, whole)
}

// whole returns the LSN up to which the files have everything, BASE included. History has to be there, too.
func whole(fsys vfs.FS) (uint64, error) {
	m, err := ReadManifest(fsys, testDir, testName)
	if err != nil {
		return 0, err
	}
	for _, f := range m.Files {
		data, err := fsys.ReadFile(f.Path(testDir, testName))
		if err != nil {
			return 0, err
		}
		if f.Kind == Base && (string(data) != string(baseText(f.Shard, f.LSN)) || lines.Sum(0, data) != f.CRC64) {
			return 0, fmt.Errorf("%s, of %d, has %q", f.Name(testName), f.LSN, data)
		}
	}
	return prefix(fsys)
}

// TestRewriteCrashAtEveryCall cuts the power before every call of a life with rewrites.
func TestRewriteCrashAtEveryCall(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, No} {
		k := rewriteCheck{watch: watch{policy: policy, seeds: 4, every: raceShare}}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(err, k.failed)
		}
		t.Logf("%v: %d states", policy, k.looked)
		if k.looked*raceShare < 5000 || k.rewrites != 5 || k.switched != 1 {
			t.Errorf("%v: only %d states, %d rewrites, switched on %d times", policy, k.looked, k.rewrites, k.switched)
		}
	}
}

// TestRewriteErrorsAtEveryCall lets the disk fail at every call. What was promised is there at any time.
func TestRewriteErrorsAtEveryCall(t *testing.T) {
	for name, injection := range injections {
		for n := 1 + len(name)%4; ; n += 4 * raceShare { // all calls have their turn with one of them
			hit := false
			inner := injection(n)
			policy := []Policy{Always, No, EverySec}[n%3]
			k := rewriteCheck{watch: watch{policy: policy, seeds: 1, ends: n%53 != 0}}
			k.inject = func(s vfstest.Step) error {
				err := inner(s)
				hit = hit || err != nil
				return err
			}
			_ = k.run(t)
			if k.failed != nil {
				t.Fatalf("%s at call %d: %v", name, n, k.failed)
			}
			if !hit {
				break
			}
		}
	}
}

// TestRewriteTidies: when a rewrite has ended, well or not, no file is there that the manifest doesn't name, unless
// nobody knows which manifest counts.
func TestRewriteTidies(t *testing.T) {
	check := func(k *rewriteCheck) {
		names, err := k.disk.ReadDir(testDir)
		must(t, err)
		var want []string
		for _, f := range k.r.Manifest().Files {
			want = append(want, f.Name(testName))
		}
		want = append(want, testName+".manifest")
		slices.Sort(want)
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
		if !slices.Equal(names, want) && !k.r.Doubtful() {
			t.Errorf("%q are there, the manifest names %q", names, want)
		}
	}
	doubtful := 0
	for n := 0; ; n++ {
		hit := false
		k := rewriteCheck{watch: watch{policy: EverySec, ends: true}}
		fail := vfstest.FailAt(n, func(s vfstest.Step) bool { return s.Changes() && s.Op != "remove" }, fs.ErrInvalid)
		k.inject = func(s vfstest.Step) error {
			err := fail(s)
			hit = hit || err != nil
			return err
		}
		k.script = func(k *rewriteCheck) {
			k.x.set(10, 0)
			k.rewrite(true)
			check(k)
			if k.r.Doubtful() {
				doubtful++
			}
			k.rewrite(false)
			k.rewrite(true)
			check(k)
			if k.r.Doubtful() && k.rewrites > 1 {
				t.Error("a commit that works has not removed the doubt")
			}
		}
		must(t, cmpErr(k.run(t), hit))
		if k.failed != nil {
			t.Fatal(k.failed)
		}
		if n > 0 && !hit {
			break
		}
	}
	if doubtful == 0 {
		t.Error("no commit has failed in its last step")
	}
}

// cmpErr passes errors where one was injected.
func cmpErr(err error, hit bool) error {
	if hit {
		return nil
	}
	return err
}

// TestRewriteCalls compares the calls of a rewrite with those in testdata, in order.
func TestRewriteCalls(t *testing.T) {
	scripts := map[string]func(k *rewriteCheck){
		"rewrite": func(k *rewriteCheck) { k.rewrite(true) },
		"rewrite-history": func(k *rewriteCheck) {
			k.r.SetRetain(Retain{Seconds: 1})
			k.rewrite(true)
			k.wait(3 * time.Second)
			must(t, k.r.Trim(k.x.clock.NowMs()))
		},
		"rewrite-failed": func(k *rewriteCheck) { k.rewrite(false) },
		"switch": func(k *rewriteCheck) {
			k.switchOff()
			k.switchOn(true)
		},
	}
	for name, script := range scripts {
		var calls []string
		k := rewriteCheck{watch: watch{policy: EverySec, ends: true}}
		k.script = func(k *rewriteCheck) {
			k.quiet = true
			k.wait(time.Second)
			k.calls = &calls
			script(k)
			k.calls = nil
		}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(name, err, k.failed)
		}
		compareCalls(t, name, calls)
	}
}

// The planted faults.

func TestFaultIncrNotNamedBeforeCut(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		wantNoticed(t, &rewriteCheck{watch: watch{policy: policy}, plant: rewritePlant{unnamed: true}})
	}
}

func TestFaultBaseCommittedBeforeSync(t *testing.T) {
	wantNoticed(t, &rewriteCheck{watch: watch{policy: EverySec}, unsync: true})
}

func TestFaultOldFilesRemovedEarly(t *testing.T) {
	wantNoticed(t, &rewriteCheck{watch: watch{policy: EverySec}, plant: rewritePlant{removeEarly: true}})
}

func TestFaultBaseOfLaterMoment(t *testing.T) {
	wantNoticed(t, &rewriteCheck{watch: watch{policy: EverySec}, plant: rewritePlant{cutLate: true}})
}

// TestFaultDoubtIgnored: the last sync of the second commit fails, and files are removed as if the commit had not been
// done.
func TestFaultDoubtIgnored(t *testing.T) {
	syncs := 0
	inject := func(s vfstest.Step) error {
		if s.Op == "rename" {
			syncs++
		}
		if s.Op == "syncdir" && syncs == 2 {
			syncs++
			return fs.ErrInvalid
		}
		return nil
	}
	watch := watch{policy: EverySec, inject: inject}
	wantNoticed(t, &rewriteCheck{watch: watch, plant: rewritePlant{removeDoubt: true}})
}

// TestManifestBesideCommit: who asks for the manifest, or changes how long history is kept, doesn't wait for the disk.
func TestManifestBesideCommit(t *testing.T) {
	var r *Rewriter
	asked := 0
	tap := vfstest.NewTap(newDisk(t), func(s vfstest.Step) error {
		if r == nil || s.Op != "rename" {
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.SetRetain(Retain{Seconds: 1})
			if r.Manifest().Last().State != Running {
				t.Error("the manifest was changed before it was committed")
			}
		}()
		select {
		case <-done:
			asked++
		case <-time.After(3 * time.Minute):
			t.Error("the manifest can't be had while another one is committed")
		}
		return nil
	})
	x, err := newWorld(t, tap, 3, EverySec, false)
	must(t, err)
	r = NewRewriter(RewriterOptions{FS: tap, Dir: testDir, Name: testName}, x.manifest)
	must(t, x.w.end())
	must(t, r.Commit(func(m *Manifest) { m.End(x.log.LSN()) }))
	if asked != 1 || r.Manifest().Last().State != Clean {
		t.Errorf("asked %d times, %+v", asked, r.Manifest())
	}
}
