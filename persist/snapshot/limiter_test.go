package snapshot

import (
	"testing"
	"time"

	"fulmen/internal/clock"
)

// newTestLimiter returns a limiter whose sleeps move its clock, and take late longer than asked for.
func newTestLimiter(bytesPerSecond int64, late time.Duration) (*Limiter, *clock.Fake) {
	c := clock.NewFake(0)
	c.Advance(time.Hour)
	l := NewLimiter(bytesPerSecond, c)
	l.sleep = func(d time.Duration) { c.Advance(d + late) }
	return l, c
}

// TestLimiterRate: over a long time the limit is reached and not exceeded, also if every sleep takes longer.
func TestLimiterRate(t *testing.T) {
	for _, late := range []time.Duration{0, time.Millisecond, 30 * time.Millisecond} {
		l, c := newTestLimiter(1_000_000, late)
		from := c.NowNs()
		const writes = 1000
		for range writes {
			l.Wait(64<<10, nil)
		}
		took := time.Duration(c.NowNs() - from)
		want := time.Duration(writes-1) * (64 << 10) * time.Microsecond
		if took < want-limiterCredit || took > want+limiterCredit {
			t.Errorf("sleeps %v late: took %v, want %v", late, took, want)
		}
	}
}

// TestLimiterCredit: after a pause no more than the credit may be made up for.
func TestLimiterCredit(t *testing.T) {
	l, c := newTestLimiter(1000, 0)
	c.Advance(time.Hour)
	from := c.NowNs()
	for range 11 {
		l.Wait(100, nil) // 100 ms each
	}
	if took := time.Duration(c.NowNs() - from); took != 900*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// TestLimiterSetRate: a change lets those go on who wait.
func TestLimiterSetRate(t *testing.T) {
	l, c := newTestLimiter(1, 0)
	l.Wait(1000, nil)
	naps := 0
	l.sleep = func(d time.Duration) {
		if naps++; naps == 3 {
			l.SetRate(0)
		}
		if d > limiterNap {
			t.Errorf("slept %v at a time", d)
		}
		c.Advance(d)
	}
	l.Wait(1, nil)
	l.Wait(1<<30, nil)
	if naps != 3 {
		t.Errorf("%d naps", naps)
	}
	(*Limiter)(nil).Wait(1<<30, nil)
}

// TestLimiterCancelled: whose bytes are not wanted any more waits no longer.
func TestLimiterCancelled(t *testing.T) {
	l, c := newTestLimiter(1, 0)
	l.Wait(1000, nil)
	from, asked := c.NowNs(), 0
	l.Wait(1, func() bool {
		asked++
		return asked > 3
	})
	if took := time.Duration(c.NowNs() - from); took != 3*limiterNap {
		t.Errorf("it waited %v", took)
	}
}

// TestKeyDelay: each key takes its time, or so many take a microsecond, and whoever waits goes on when that changes.
func TestKeyDelay(t *testing.T) {
	l, c := newTestLimiter(0, 0)
	d := &KeyDelay{limit: l}
	for us, want := range map[int64]time.Duration{50_000: 999 * 50 * time.Millisecond, -4: 999 * 250, 0: 0} {
		d.Set(us)
		from := c.NowNs()
		for range 1000 {
			d.Wait(nil)
		}
		if took := time.Duration(c.NowNs() - from); took != want {
			t.Errorf("%d µs: took %v, want %v", us, took, want)
		}
	}
	d.Set(int64(time.Hour / time.Microsecond))
	d.Wait(nil)
	naps := 0
	l.sleep = func(n time.Duration) {
		c.Advance(n)
		if naps++; naps == 3 {
			d.Set(0)
		}
	}
	d.Wait(nil)
	if naps != 3 {
		t.Errorf("%d naps", naps)
	}
	(*KeyDelay)(nil).Wait(nil)
}
