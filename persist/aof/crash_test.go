package aof

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// crashCheck runs a Writer through all that it does, and looks at every call of the file system what a power cut, or
// the end of the process, would leave.
type crashCheck struct {
	watch
	plant plant
	early bool                // the manifest names files before they are made
	wrap  func(vfs.FS) vfs.FS // may be nil

	x       *world
	commits int // from inside calls
	closing bool
}

// run returns what Close said.
func (k *crashCheck) run(t testing.TB) error {
	t.Helper()
	fsys := k.tap(t, k.look, k.meddle)
	if k.wrap != nil {
		fsys = k.wrap(fsys)
	}
	k.start(t, fsys)
	k.script()
	k.commits, k.closing = 20, true // no more
	err := k.x.w.end()
	if err == nil && k.x.w.SyncedLSN() != k.x.log.LSN() && k.failed == nil {
		k.failed = fmt.Errorf("closed with %d synced of %d", k.x.w.SyncedLSN(), k.x.log.LSN())
	}
	k.look("at the end")
	return err
}

// start tries until the disk lets it.
func (k *crashCheck) start(t testing.TB, fsys vfs.FS) {
	t.Helper()
	for range 20 {
		x, err := newWorld(t, fsys, 3, k.policy, k.early)
		if err == nil {
			x.w.plant = k.plant
			k.x = x
			return
		}
	}
	t.Fatal("no start")
}

// meddle commits something while the Writer writes, in a shard whose tail it has seen already.
func (k *crashCheck) meddle(s vfstest.Step) {
	if s.Op == "writeat" && k.x != nil && k.x.log.Active() && k.commits < 20 && s.Len > HeaderBytes {
		k.commits++
		k.x.set(30, 0)
	}
}

// script is what happens to the Writer.
func (k *crashCheck) script() {
	x := k.x
	wait := func(d time.Duration) {
		x.clock.Advance(d)
		x.turns()
	}
	for i := range 6 {
		x.set(40+i*20, i%3)
	}
	wait(0)
	x.set(700, 0, 1)
	x.set(50, 2)
	wait(300 * time.Millisecond)
	x.set(3000, 1)
	x.set(20, 0, 1, 2)
	wait(1100 * time.Millisecond) // a mark is due
	x.set(600, 0)
	x.set(600, 1)
	x.w.SetPrompt(true)
	wait(20 * time.Millisecond)
	x.set(10, 0)
	for range 5 {
		if x.prepare() == nil {
			break
		}
		wait(time.Second)
	}
	x.set(90, 1)
	if len(x.w.prepared) > 0 {
		x.change()
	}
	x.set(100, 0, 2)
	wait(2 * time.Second)
	x.w.SetPrompt(false)
	x.set(200, 2)
	wait(2 * time.Second)
	x.w.Sync(x.log.LSN())
	wait(2 * time.Second)
	x.set(1000, 1)
	x.set(10, 1, 2)
}

// look checks what every kind of power cut would leave now.
func (k *crashCheck) look(when string) {
	if k.failed != nil || k.x == nil {
		return
	}
	k.states(when, k.x.w.SyncedLSN(), k.x.w.WrittenLSN(), prefix)
}

// prefix returns the LSN up to which the files have the merged stream without a hole, or BASE has. A mark beyond it is
// an error.
func prefix(fsys vfs.FS) (uint64, error) {
	m, err := ReadManifest(fsys, testDir, testName)
	if err != nil {
		return 0, err
	}
	all, _, err := frames(fsys, m)
	if err != nil {
		return 0, err
	}
	var merged []log.Header
	for _, headers := range all {
		merged = append(merged, headers...)
	}
	slices.SortStableFunc(merged, func(a, b log.Header) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	end := m.Last().StartLSN
	for _, f := range m.Live(Base) {
		end = max(end, f.LSN)
	}
	for _, h := range merged {
		if h.End <= end && len(m.Live(Base)) > 0 {
			continue // it is in BASE
		}
		if h.Start != end {
			break
		}
		end = h.End
	}
	for _, f := range m.Live(Incr) {
		r, err := OpenIncr(fsys, f.Path(testDir, testName))
		if errors.Is(err, ErrNoHeader) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if mark := r.Header.MarkLSN; mark > end {
			return 0, fmt.Errorf("%s has a mark at %d, the log ends at %d", f.Name(testName), mark, end)
		}
	}
	return end, nil
}

// TestCrashAtEveryCall cuts the power before every call of a life with a switch of files.
func TestCrashAtEveryCall(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec, No} {
		k := crashCheck{watch: watch{policy: policy, seeds: 4, every: raceShare}}
		if err := k.run(t); err != nil || k.failed != nil {
			t.Error(err, k.failed)
		}
		t.Logf("%v: %d states", policy, k.looked)
		if k.looked*raceShare < 500 {
			t.Errorf("%v: only %d states", policy, k.looked)
		}
	}
}

// injections are errors of the disk at the n-th call that changes something.
var injections = map[string]func(n int) func(vfstest.Step) error{
	"EIO once": func(n int) func(vfstest.Step) error { return vfstest.FailAt(n, nil, syscall.EIO) },
	"full for a while": func(n int) func(vfstest.Step) error {
		left := 6
		return counted(func(count int, s vfstest.Step) error {
			if count < n || left == 0 {
				return nil
			}
			err := vfstest.Full(s)
			if err != nil {
				left--
			}
			return err
		})
	},
	"full for good": func(n int) func(vfstest.Step) error {
		return counted(func(count int, s vfstest.Step) error {
			if count < n {
				return nil
			}
			return vfstest.Full(s)
		})
	},
	"short write once": func(n int) func(vfstest.Step) error {
		return counted(func(count int, s vfstest.Step) error {
			if count != n {
				return nil
			}
			return &vfstest.ShortWrite{Len: int(s.Len / 2), Err: syscall.ENOSPC}
		})
	},
	"syncs fail for a while": func(n int) func(vfstest.Step) error {
		count := 0
		return func(s vfstest.Step) error {
			if s.Op != "syncdata" {
				return nil
			}
			if count++; count >= n && count < n+4 {
				return syscall.EIO
			}
			return nil
		}
	},
}

func counted(fail func(count int, s vfstest.Step) error) func(vfstest.Step) error {
	count := 0
	return func(s vfstest.Step) error {
		if !s.Changes() {
			return nil
		}
		count++
		return fail(count, s)
	}
}

// TestErrorsAtEveryCall lets the disk fail at every call. What was promised is there at any time, also after a power
// cut, and if the disk works again before Close, everything is in the end; Close itself gets over one error.
func TestErrorsAtEveryCall(t *testing.T) {
	for name, injection := range injections {
		for _, policy := range []Policy{Always, EverySec, No} {
			const first = 20 // the calls of the start, which has no Writer yet
			for n := first; ; n += raceShare {
				hit, late := false, 0
				inner := injection(n)
				if name == "syncs fail for a while" {
					inner = injection(n - first + 1)
				}
				k := crashCheck{watch: watch{policy: policy, seeds: 1, ends: n%20 != 0}}
				k.inject = func(s vfstest.Step) error {
					err := inner(s)
					hit = hit || err != nil
					if err != nil && k.closing {
						late++
					}
					return err
				}
				err := k.run(t)
				if !hit {
					break
				}
				if k.failed != nil {
					t.Fatalf("%s at call %d: %v", name, n, k.failed)
				}
				// Under no, what a failed sync has lost is no longer in memory.
				if err != nil && late < 2 && policy != No {
					t.Fatalf("%s at call %d: closing failed: %v", name, n, err)
				}
			}
		}
	}
}

// The planted faults. Each is a mistake that the crash check must notice.

// syncFails has the n-th sync of a shard's first file fail.
func syncFails(shard, n int) func(vfstest.Step) error {
	name := fmt.Sprintf("%s.1.incr.%d.aof", testName, shard)
	return vfstest.FailAt(n, func(s vfstest.Step) bool {
		return s.Op == "syncdata" && filepath.Base(s.Name) == name
	}, syscall.EIO)
}

func TestFaultAckBeforeSync(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		wantNoticed(t, &crashCheck{watch: watch{policy: policy}, plant: plant{ackEarly: true}})
	}
}

func TestFaultContiguousReadAfterTails(t *testing.T) {
	wantNoticed(t, &crashCheck{watch: watch{policy: Always}, plant: plant{contiguousLate: true}})
}

func TestFaultDirectoryNotSynced(t *testing.T) {
	wrap := func(fsys vfs.FS) vfs.FS { return &noNames{FS: fsys} }
	wantNoticed(t, &crashCheck{watch: watch{policy: Always}, wrap: wrap})
}

// noNames leaves out the syncs of a directory that don't follow a rename: those after the making of files.
type noNames struct {
	vfs.FS
	renamed bool
}

func (n *noNames) Rename(from, to string) error {
	n.renamed = true
	return n.FS.Rename(from, to)
}

func (n *noNames) SyncDir(dir string) error {
	if !n.renamed {
		return nil
	}
	n.renamed = false
	return n.FS.SyncDir(dir)
}

func TestFaultManifestBeforeFiles(t *testing.T) {
	wantNoticed(t, &crashCheck{watch: watch{policy: EverySec}, early: true})
}

func TestFaultFailedSyncTrusted(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		watch := watch{policy: policy, inject: syncFails(1, 3)}
		wantNoticed(t, &crashCheck{watch: watch, plant: plant{trustFailed: true}})
	}
}

func TestFaultBlocksReleasedBeforeSync(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		watch := watch{policy: policy, inject: syncFails(1, 3)}
		wantNoticed(t, &crashCheck{watch: watch, plant: plant{releaseEarly: true}})
	}
}

func TestFaultOldFilesNotSynced(t *testing.T) {
	wantNoticed(t, &crashCheck{watch: watch{policy: EverySec}, plant: plant{newestOnly: true}})
}

func TestFaultMarkBeforeSync(t *testing.T) {
	wantNoticed(t, &crashCheck{watch: watch{policy: EverySec}, plant: plant{markEarly: true}})
}

func TestFaultNoFileSync(t *testing.T) {
	wantNoticed(t, &crashCheck{watch: watch{policy: Always}, wrap: func(fsys vfs.FS) vfs.FS { return noSync{fsys} }})
}

type noSync struct{ vfs.FS }

func (n noSync) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := n.FS.Create(name, perm)
	if err != nil {
		return nil, err
	}
	return noSyncData{f}, nil
}

type noSyncData struct{ vfs.File }

func (noSyncData) SyncData() error { return nil }
