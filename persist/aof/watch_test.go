package aof

import (
	"fmt"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// watch is a disk, and a look at what every kind of power cut, or the end of the process, would leave of it before each
// call that changes something.
type watch struct {
	policy Policy
	seeds  int                      // drawn outcomes of each power cut
	every  int                      // one call of so many is looked at; 0: all are
	ends   bool                     // none is: look at the end alone
	inject func(vfstest.Step) error // may be nil
	calls  *[]string                // where to note calls; may be nil

	disk   *vfstest.Mem
	passed int   // calls
	looked int   // at states of the disk
	failed error // the first thing that was wrong
}

func (w *watch) watched() *watch { return w }

// tap makes the disk, and returns it as what is watched sees it. meddle is called before each call, after the look.
func (w *watch) tap(t testing.TB, look func(when string), meddle func(vfstest.Step)) vfs.FS {
	w.disk = newDisk(t)
	return vfstest.NewTap(w.disk, func(s vfstest.Step) error {
		if s.Changes() {
			if w.calls != nil {
				*w.calls = append(*w.calls, s.String())
			}
			w.passed++
			if !w.ends && w.passed%max(w.every, 1) == 0 {
				look("before " + s.String())
			}
		}
		meddle(s)
		if w.inject != nil {
			return w.inject(s)
		}
		return nil
	})
}

// states looks at what may be left now. read tells up to where the log is there, which must not be below what was
// promised, nor, if the process alone has ended, below what was written.
func (w *watch) states(when string, promised, written uint64, read func(vfs.FS) (uint64, error)) {
	for _, o := range append(w.disk.Outcomes(w.seeds), killed) {
		w.looked++
		least := promised
		if o == killed {
			least = written
		}
		end, err := read(w.disk.Crash(o))
		if err == nil && end < least {
			err = fmt.Errorf("the log ends at %d, promised was %d", end, least)
		}
		if err != nil {
			w.failed = fmt.Errorf("%v, %s, power cut (%v): %w", w.policy, when, o, err)
			return
		}
	}
}

// wantNoticed wants a check to fail that a fault was planted in.
func wantNoticed(t *testing.T, k interface {
	run(t testing.TB) error
	watched() *watch
}) {
	t.Helper()
	w := k.watched()
	w.seeds = max(w.seeds, 2)
	_ = k.run(t)
	if w.failed == nil {
		t.Error("the fault was not noticed")
	}
	t.Log(w.failed)
}
