package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// crashCheck saves one snapshot over another and looks at every step what a power cut would leave.
type crashCheck struct {
	before, c fileCase
	bytesEach int
	seeds     int
	change    func(*Files)              // plants a fault; may be nil
	wrap      func(vfs.FS) vfs.FS       // likewise
	inject    func(vfstest.Step) error  // an error of the disk; may be nil
	endOnly   bool                      // look at the end alone
	old, new  [][]byte                  // set by run
	m         *vfstest.Mem              // set by run
	failed    error                     // the first thing that was wrong
	looked    map[string]map[string]int // for the log: by kind, what was found how often
}

// run returns what Files said about the save. What was wrong is in failed.
func (k *crashCheck) run(t *testing.T) error {
	t.Helper()
	k.m = newDisk(t)
	k.looked = map[string]map[string]int{}
	k.old, k.new = k.before.contents("old", k.bytesEach), k.c.contents("new", k.bytesEach)
	must(t, writeFiles(k.options(k.before, k.m), k.old, nil))
	k.look("before the save", "old")
	if k.failed != nil {
		t.Fatal(k.failed)
	}
	tap := vfstest.NewTap(k.m, func(s vfstest.Step) error {
		if s.Changes() && !k.endOnly {
			k.look("before "+s.String(), "old", "new")
		}
		if k.inject != nil {
			return k.inject(s)
		}
		return nil
	})
	var fsys vfs.FS = tap
	if k.wrap != nil {
		fsys = k.wrap(tap)
	}
	err := writeFiles(k.options(k.c, fsys), k.new, k.change)
	if err == nil {
		k.look("after Commit", "new")
	} else {
		k.look("after Abort", "old", "new")
	}
	return err
}

func (k *crashCheck) options(c fileCase, fsys vfs.FS) FileOptions {
	o := c.options(fsys)
	o.SyncEveryBytes = 64 << 10
	return o
}

// look checks that every power cut leaves one of the snapshots allowed, and that cleaning up after it, broken off by
// another power cut, changes nothing.
func (k *crashCheck) look(when string, allowed ...string) {
	if k.failed != nil {
		return
	}
	for _, o := range k.m.Outcomes(k.seeds) {
		clone := k.m.Crash(o)
		found := k.find(clone)
		if k.looked[when] == nil {
			k.looked[when] = map[string]int{}
		}
		k.looked[when][found]++
		if !slices.Contains(allowed, found) {
			k.failed = fmt.Errorf("%s after %s, %s, power cut (%v): found %s, want %q",
				k.c.name, k.before.name, when, o, found, allowed)
			return
		}
		src, err := Find(clone, "/d", "dump.rdb")
		if err != nil {
			k.failed = err
			return
		}
		CleanUp(clone, src, slog.New(slog.DiscardHandler))
		for _, again := range []vfstest.Outcome{{}, {Names: vfstest.Drawn, Seed: 1}, {Names: vfstest.Kept}} {
			if second := k.find(clone.Crash(again)); second != found {
				k.failed = fmt.Errorf("%s after %s, %s, power cut (%v): found %s, and after CleanUp and another one "+
					"(%v) %s", k.c.name, k.before.name, when, o, found, again, second)
				return
			}
		}
	}
}

// find says which snapshot there is.
func (k *crashCheck) find(fsys vfs.FS) string {
	got, err := readFiles(fsys, "/d")
	switch {
	case err != nil:
		return err.Error()
	case equalShards(got, k.old):
		return "old"
	case equalShards(got, k.new):
		return "new"
	}
	return fmt.Sprintf("other bytes, in %d files", len(got))
}

// TestCrashAtEveryStep cuts the power before every call of every kind of save over every other. One goroutine does it
// all: the race detector gets a share of the states, and `make crash` wants all of them.
func TestCrashAtEveryStep(t *testing.T) {
	kinds := len(fileCases)
	for i := 0; i < kinds*kinds; i += share {
		k := crashCheck{before: fileCases[i/kinds], c: fileCases[i%kinds], bytesEach: 2000, seeds: 3}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(err, k.failed)
		}
	}
	k := crashCheck{before: fileCases[0], c: fileCases[0], bytesEach: max(300_000/share, 100_000), seeds: 1}
	if err := k.run(t); err != nil || k.failed != nil {
		t.Error(err, k.failed)
	}
	if len(k.looked) < 10 || k.looked["after Commit"]["new"] == 0 || k.looked["before writeback dump.rdb.2.0"] == nil {
		t.Errorf("looked only: %v", k.looked)
	}
}

// injections are errors of the disk at step n.
var injections = map[string]func(n int) func(vfstest.Step) error{
	"EIO once":     func(n int) func(vfstest.Step) error { return vfstest.FailAt(n, nil, syscall.EIO) },
	"EIO for good": func(n int) func(vfstest.Step) error { return vfstest.FailFrom(n, nil, syscall.EIO) },
	"full for good": func(n int) func(vfstest.Step) error {
		count := 0
		return func(s vfstest.Step) error {
			if count++; count < n {
				return nil
			}
			return vfstest.Full(s)
		}
	},
	"short write once": func(n int) func(vfstest.Step) error {
		count := 0
		return func(s vfstest.Step) error {
			if count++; count == n {
				return &vfstest.ShortWrite{Len: int(s.Len / 2), Err: syscall.ENOSPC}
			}
			return nil
		}
	},
	"reading fails": func(n int) func(vfstest.Step) error {
		looks := func(s vfstest.Step) bool { return !s.Changes() }
		return vfstest.FailAt(n, looks, syscall.EIO)
	},
}

// TestErrorsAtEveryStep lets the disk fail at every call, under the race detector at a share of them. The save says so
// or has succeeded all the same; what is found then, and after a power cut, is whole; and a save on a disk that works
// again is good.
func TestErrorsAtEveryStep(t *testing.T) {
	for name, injection := range injections {
		failures := 0
		for i := range fileCases {
			before, c := fileCases[i], fileCases[(i+1)%len(fileCases)]
			for n := 1; ; n += share {
				hit := false
				inner := injection(n)
				k := crashCheck{before: before, c: c, bytesEach: 2000, seeds: 1, endOnly: true}
				k.inject = func(s vfstest.Step) error {
					err := inner(s)
					hit = hit || err != nil
					return err
				}
				err := k.run(t)
				if !hit {
					break
				}
				if k.failed != nil {
					t.Fatalf("%s at step %d: %v", name, n, k.failed)
				}
				if err != nil {
					failures++
				}
				if err := k.saveAgain(t); err != nil {
					t.Fatalf("%s at step %d, then a save that works: %v", name, n, err)
				}
			}
		}
		if failures == 0 && name != "reading fails" {
			t.Errorf("%s: no save failed", name)
		}
	}
}

// saveAgain saves a third snapshot on the disk that works again.
func (k *crashCheck) saveAgain(t *testing.T) error {
	t.Helper()
	k.old, k.new, k.inject, k.failed = k.new, k.c.contents("again", 1000), nil, nil
	if err := writeFiles(k.options(k.c, k.m), k.new, nil); err != nil {
		return err
	}
	k.look("after the next save", "new")
	names := dirNames(t, k.m)
	src, err := Find(k.m, "/d", "dump.rdb")
	if err != nil {
		return err
	}
	CleanUp(k.m, src, slog.New(slog.DiscardHandler))
	if left := dirNames(t, k.m); k.c.segments && left != names {
		return fmt.Errorf("left behind: %s, needed: %s", names, left)
	}
	return k.failed
}

// TestUndecidedManifest: when the sync after the manifest's rename fails, both snapshots stay whole.
func TestUndecidedManifest(t *testing.T) {
	k := undecided()
	if err := k.run(t); !errors.Is(err, syscall.EIO) || k.failed != nil {
		t.Error(err, k.failed)
	}
	if got := k.looked["after Abort"]; got["old"] == 0 || got["new"] == 0 {
		t.Errorf("a power cut leaves %v", got)
	}
}

func undecided() *crashCheck {
	syncs := func(s vfstest.Step) bool { return s.Op == "syncdir" }
	return &crashCheck{
		before: fileCases[0], c: fileCases[0], bytesEach: 2000, seeds: 1, inject: vfstest.FailAt(2, syncs, syscall.EIO),
	}
}

// The planted faults. Each is a mistake in the order of steps that the crash check must notice.

func wantNoticed(t *testing.T, k *crashCheck) {
	t.Helper()
	if k.bytesEach == 0 {
		k.bytesEach, k.seeds = 2000, 1
	}
	_ = k.run(t)
	if k.failed == nil {
		t.Error("the fault was not noticed")
	}
	t.Log(k.failed)
}

// order puts the steps of Commit into the order of names; without a name is left out.
func order(names ...string) func(*Files) {
	return func(f *Files) {
		var steps []fileStep
		for _, name := range names {
			i := slices.IndexFunc(f.steps, func(s fileStep) bool { return s.name == name })
			if i < 0 {
				panic("no step " + name)
			}
			steps = append(steps, f.steps[i])
		}
		f.steps = steps
	}
}

func TestFaultNoDirectorySync(t *testing.T) {
	t.Run("segments", func(t *testing.T) {
		wantNoticed(t, &crashCheck{before: fileCases[0], c: fileCases[0], change: order("finish", "manifest", "tidy")})
	})
	t.Run("plain", func(t *testing.T) {
		wantNoticed(t, &crashCheck{before: fileCases[2], c: fileCases[2],
			change: order("finish", "rename", "remove manifest", "tidy")})
	})
	t.Run("at all", func(t *testing.T) {
		for _, c := range fileCases {
			wantNoticed(t, &crashCheck{before: c, c: c, wrap: func(fsys vfs.FS) vfs.FS { return noDirSync{fsys} }})
		}
	})
}

type noDirSync struct{ vfs.FS }

func (noDirSync) SyncDir(string) error { return nil }

func TestFaultRenameBeforeSync(t *testing.T) {
	wantNoticed(t, &crashCheck{before: fileCases[2], c: fileCases[2],
		change: order("rename", "finish", "sync names", "remove manifest", "tidy")})
}

func TestFaultManifestBeforeSegmentsAreSynced(t *testing.T) {
	wantNoticed(t, &crashCheck{before: fileCases[0], c: fileCases[0], change: func(f *Files) {
		order("sync names", "manifest", "finish", "tidy")(f)
		flush := fileStep{"flush", func(f *Files) error {
			for _, file := range f.files {
				if err := file.buffer.Flush(); err != nil {
					return err
				}
			}
			return nil
		}}
		f.steps = append([]fileStep{flush}, f.steps...)
	}})
}

func TestFaultOldGenerationRemovedBeforeCommit(t *testing.T) {
	t.Run("segments", func(t *testing.T) {
		wantNoticed(t, &crashCheck{before: fileCases[0], c: fileCases[0],
			change: order("finish", "sync names", "tidy", "manifest")})
	})
	t.Run("plain after segments", func(t *testing.T) {
		wantNoticed(t, &crashCheck{before: fileCases[0], c: fileCases[2],
			change: order("finish", "rename", "sync names", "tidy", "remove manifest")})
	})
}

func TestFaultManifestStaysBesidePlainFile(t *testing.T) {
	wantNoticed(t, &crashCheck{before: fileCases[0], c: fileCases[2],
		change: order("finish", "rename", "sync names", "tidy")})
}

func TestFaultNoFileSync(t *testing.T) {
	for _, c := range fileCases {
		wantNoticed(t, &crashCheck{before: c, c: c, wrap: func(fsys vfs.FS) vfs.FS { return noFileSync{fsys} }})
	}
}

type noFileSync struct{ vfs.FS }

func (n noFileSync) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := n.FS.Create(name, perm)
	return unsynced{f}, err
}

type unsynced struct{ vfs.File }

func (unsynced) Sync() error { return nil }

// TestFaultUndecidedFilesRemoved: the files of a snapshot that may be found after a power cut are removed.
func TestFaultUndecidedFilesRemoved(t *testing.T) {
	k := undecided()
	k.change = func(f *Files) {
		write := f.steps[2].run
		f.steps[2].run = func(f *Files) error {
			err := write(f)
			f.undecided = false
			return err
		}
	}
	wantNoticed(t, k)
}
