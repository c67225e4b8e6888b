package clock

import (
	"runtime"
	"testing"
	"time"
)

func TestFakeStandsStillAndMoves(t *testing.T) {
	f := NewFake(1_700_000_000_000)
	var c Clock = f
	if c.NowMs() != 1_700_000_000_000 || c.NowUs() != 1_700_000_000_000_000 || c.NowNs() != 0 {
		t.Fatalf("starts at %d ms, %d us, %d ns", c.NowMs(), c.NowUs(), c.NowNs())
	}
	f.Advance(1500 * time.Microsecond)
	if c.NowMs() != 1_700_000_000_001 || c.NowUs() != 1_700_000_000_001_500 || c.NowNs() != 1_500_000 {
		t.Fatalf("moved to %d ms, %d us, %d ns", c.NowMs(), c.NowUs(), c.NowNs())
	}
	f.SetMs(5)
	if c.NowMs() != 5 || c.NowNs() != 1_500_000 {
		t.Fatalf("set to %d ms, %d ns", c.NowMs(), c.NowNs())
	}
}

func TestFakeRefusesToGoBack(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	NewFake(0).Advance(-1)
}

func TestRealAgreesWithItself(t *testing.T) {
	c := New()
	us, ms := c.NowUs(), c.NowMs()
	if d := ms - us/1000; d < 0 || d > 60_000 {
		t.Errorf("NowMs and NowUs are %d ms apart", d)
	}
	if a, b := c.NowNs(), c.NowNs(); b < a {
		t.Errorf("NowNs went from %d to %d", a, b)
	}
}

func TestThreadCPU(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := ThreadCPU()
	if before <= 0 {
		t.Fatalf("ThreadCPU() = %d", before)
	}
	sum := 0
	for ThreadCPU() == before { // ends as soon as the clock ticks
		sum++
	}
	if ThreadCPU() < before {
		t.Error("processor time went backwards")
	}
	if n := testing.AllocsPerRun(10, func() { ThreadCPU() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
