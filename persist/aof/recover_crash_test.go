package aof

import (
	"flag"
	"fmt"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

var crashStates = flag.Int("states", 2000, "how many states of the disk the crash checks look at, at least")

// run is one history of some lives; it ends early when something is wrong.
func (h *history) run(lives int) {
	h.start()
	for life := range lives {
		h.checking = func(s vfstest.Step) { h.look(fmt.Sprintf("life %d, before %v", life, s)) }
		for round := range 2 + h.rnd.IntN(3) {
			for range 1 + h.rnd.IntN(4) {
				h.draw()
			}
			if h.rnd.IntN(4) == 0 {
				h.rewrite()
			}
			if h.rnd.IntN(3) > 0 {
				h.turns()
			}
			h.look(fmt.Sprintf("life %d, round %d", life, round))
			if h.failed != nil {
				return
			}
		}
		h.end(fmt.Sprintf("the end of life %d", life))
		if h.failed != nil {
			return
		}
	}
}

// end ends a life in one of the ways there are.
func (h *history) end(when string) {
	switch h.rnd.IntN(5) {
	case 0, 1:
		all := h.disk.Outcomes(2)
		o := all[h.rnd.IntN(len(all))]
		h.again(fmt.Sprintf("%s, power cut (%v)", when, o), o, nil, false)
	case 2:
		h.again(when+", killed", killed, h.window(100), true)
	case 3:
		h.again(when+", killed without a ring", killed, nil, true)
	default:
		h.again(when+", killed with commits under way", killed, h.flight(), true)
	}
}

// TestCrashStates ends the process, or cuts the power, at every call of every history: what is found then is everything
// that was promised, a prefix of history, and of a transaction all or nothing.
func TestCrashStates(t *testing.T) {
	states := 0
	for seed := uint64(0); states < *crashStates/raceShare; seed++ {
		h := newHistory(t, seed, 1+int(seed%4), []Policy{Always, EverySec, No}[seed%3])
		h.every = raceShare
		h.run(3)
		if h.failed != nil {
			t.Fatalf("seed %d: %v\nfiles: %s", seed, h.failed, h.names())
		}
		states += h.states
	}
	t.Logf("%d states", states)
}

// TestRecoverErrors has the disk fail at every call of a recovery, or be full from there on. Recovery says so; when the
// disk works again, or after another crash, all that was published is still found.
func TestRecoverErrors(t *testing.T) {
	failures := 0
	for seed := range uint64(6) {
		for _, full := range []bool{false, true} {
			h := newHistory(t, seed, 3, EverySec)
			h.start()
			for range 6 {
				h.draw()
				if h.rnd.IntN(3) == 0 {
					h.turns()
				}
			}
			ring := h.flight()
			disk := h.disk.Crash(killed)
			want := expectation{promised: h.promised, exact: true}
			for n := 1; ; n++ {
				again := disk.Crash(killed)
				count, open := 0, 0
				tap := vfstest.NewTap(again, func(s vfstest.Step) error {
					if count++; count == n && !full {
						return syscall.EIO
					}
					if count >= n && full {
						return vfstest.Full(s)
					}
					return nil
				})
				_, err := Recover(h.options(openWrites{tap, &open}, ring))
				if open != 0 {
					t.Fatalf("seed %d, call %d (%v): %d files are left open", seed, n, err, open)
				}
				if count < n {
					break
				}
				if err != nil {
					failures++
				}
				h.check(fmt.Sprintf("seed %d, after an error of call %d (%v)", seed, n, err), again, ring, want)
				if h.failed != nil {
					t.Fatal(h.failed)
				}
			}
		}
	}
	if failures < 50 {
		t.Errorf("only %d failures", failures)
	}
}

// openWrites counts the files that are open for writing.
type openWrites struct {
	vfs.FS
	open *int
}

func (o openWrites) OpenWrite(name string) (vfs.File, error) {
	f, err := o.FS.OpenWrite(name)
	if err != nil {
		return nil, err
	}
	*o.open++
	return openWrite{f, o.open}, nil
}

type openWrite struct {
	vfs.File
	open *int
}

func (o openWrite) Close() error {
	*o.open--
	return o.File.Close()
}
