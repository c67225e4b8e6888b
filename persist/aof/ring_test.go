package aof

import (
	"testing"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

// TestWriterBesideRing has more be committed than the log's ring holds: that waits for the Writer, and a backlog that
// would fill the ring is moved out of it.
func TestWriterBesideRing(t *testing.T) {
	disk := vfstest.NewMem()
	must(t, disk.MkdirAll(testDir, 0o755))
	must(t, disk.MountMemory("/shm"))
	x, err := newWorld(t, disk, 2, EverySec, false)
	must(t, err)
	ring, err := log.CreateRing(log.RingOptions{
		FS: disk, Dir: "/shm", Identity: log.RingIdentity{DirID: 0xabc, Incarnation: 7, Shards: 2},
	})
	must(t, err)
	x.log.SetLimits(1<<40, 1<<40)
	x.log.UseRing(ring)
	if got := x.log.SafeLSN(); got != 1000 {
		t.Fatalf("safe up to %d at the start", got)
	}
	beside := 0
	for i := range 40 {
		x.set(300_000, i%2)
		if !x.log.AllSafe() {
			beside++
		}
		x.w.SetPrompt(true)
		x.turns()
		if got := x.log.SafeLSN(); got != x.log.LSN() {
			t.Fatalf("written up to %d, safe up to %d of %d", x.w.WrittenLSN(), got, x.log.LSN())
		}
		x.clock.Advance(time.Duration(syncEveryNs))
		x.turns()
	}
	if beside == 0 || beside > 10 { // at first only, in the blocks of before the ring
		t.Errorf("the log was beside the ring %d times", beside)
	}
	must(t, x.w.end())
}
