package aof

import (
	"testing"
	"time"
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
			case <-time.After(10 * time.Second):
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
