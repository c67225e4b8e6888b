package shard

import (
	"testing"
	"time"

	"fulmen/shard/ds/index"
)

// accessWorld is a shard with one key and a clock that is told to the access clocks whenever it moves.
type accessWorld struct {
	*world
	db *DB
	k  Key
}

func newAccessWorld(t *testing.T, p EvictionParams) *accessWorld {
	w := &accessWorld{world: newWorld(t, 1, 1)}
	w.db, w.k = w.s.DB(0), w.set.Key([]byte("k"))
	w.set.SetEviction(p)
	w.set.Tick(w.nowMs())
	return w
}

func (w *accessWorld) advance(d time.Duration) {
	w.now.Advance(d)
	w.set.Tick(w.nowMs())
}

func (w *accessWorld) entry() index.Entry {
	e, ok := w.db.Look(w.k, w.nowMs())
	if !ok {
		panic("no key")
	}
	return e
}

func TestIdleTime(t *testing.T) {
	w := newAccessWorld(t, EvictionParams{Policy: AllKeysLRU, Samples: 5})
	idle := func(what string, want int64) {
		t.Helper()
		if got := w.s.IdleSeconds(w.entry()); got != want {
			t.Errorf("%s: idle for %d s, want %d", what, got, want)
		}
	}
	w.db.SetString(w.k, []byte("v"), 0)
	idle("new", 0)
	w.advance(100 * time.Second)
	idle("after 100 s", 100)
	idle("a look is no use", 100)
	w.db.Get(w.k, w.nowMs())
	idle("used", 0)
	w.advance(7 * time.Second)
	w.s.Quiet(true)
	w.db.Get(w.k, w.nowMs())
	w.s.Quiet(false)
	idle("used quietly", 7)
	w.db.SetExpire(w.k, w.nowMs()+10_000_000)
	idle("moved to another block", 7)
	w.s.Quiet(true)
	w.db.SetString(w.k, []byte("w"), 0)
	w.s.Quiet(false)
	idle("set", 0)
	w.advance((1<<24 + 50) * time.Second)
	idle("the clock has come round", 50)
}

func TestFrequency(t *testing.T) {
	w := newAccessWorld(t, EvictionParams{Policy: AllKeysLFU, Samples: 5, LFUDecayMinutes: 2})
	freq := func(what string, want int64) {
		t.Helper()
		if got := w.s.Frequency(w.entry()); got != want {
			t.Errorf("%s: frequency %d, want %d", what, got, want)
		}
	}
	w.db.SetString(w.k, []byte("v"), 0)
	freq("new", 5)
	for range 10 {
		w.db.Get(w.k, w.nowMs())
	}
	freq("10 uses, each of which counts", 15)
	w.db.SetString(w.k, []byte("a longer value, in another block"), 0)
	freq("set", 16)
	w.s.Quiet(true)
	w.db.Get(w.k, w.nowMs())
	w.db.SetString(w.k, []byte("x"), 0)
	w.s.Quiet(false)
	freq("used quietly", 16)
	w.advance(5 * time.Minute)
	freq("decayed twice", 14)
	w.advance(time.Minute)
	freq("three times", 13)
	w.db.Get(w.k, w.nowMs())
	freq("used after decay", 14)
	w.advance(5 * time.Hour)
	freq("all gone", 0)
	w.advance((65_535*60 - 5*3600) * time.Second)
	w.db.Get(w.k, w.nowMs())
	w.advance(4 * time.Minute) // minutes come round in here or not: both count the same but for one
	if got := w.s.Frequency(w.entry()); got > 1 {
		t.Errorf("frequency %d after 4 minutes, want 0 or 1", got)
	}
	w.set.SetEviction(EvictionParams{Policy: AllKeysLFU, Samples: 5})
	w.db.Get(w.k, w.nowMs())
	n := w.s.Frequency(w.entry())
	w.advance(1000 * time.Hour)
	freq("no decay", n)
}

// TestLogarithmicCounter: the counter reaches with 1,000 and 100,000 uses what Redis documents for each factor.
func TestLogarithmicCounter(t *testing.T) {
	for _, c := range []struct{ factor, uses, low, high int64 }{
		{0, 1000, 255, 255}, {1, 1000, 40, 60}, {10, 1000, 14, 22}, {100, 1000, 7, 12},
		{1, 100_000, 255, 255}, {10, 100_000, 125, 160}, {100, 100_000, 42, 56},
	} {
		w := newAccessWorld(t, EvictionParams{Policy: VolatileLFU, LFULogFactor: c.factor, LFUDecayMinutes: 1})
		w.db.SetString(w.k, []byte("v"), 0)
		for range c.uses {
			w.db.Get(w.k, w.nowMs())
		}
		if n := w.s.Frequency(w.entry()); n < c.low || n > c.high {
			t.Errorf("factor %d, %d uses: %d, want %d to %d", c.factor, c.uses, n, c.low, c.high)
		}
	}
}

// TestRestoredAccess: what a file says about a key's use is what OBJECT IDLETIME and FREQ say then.
func TestRestoredAccess(t *testing.T) {
	w := newAccessWorld(t, EvictionParams{Policy: AllKeysLRU, Samples: 5})
	w.db.SetString(w.k, []byte("v"), 0)
	nowS := w.nowMs() / 1000 & clockMask
	for _, c := range []struct{ idle, want int64 }{
		{-1, 0}, {0, 0}, {1, 1}, {nowS, nowS}, {nowS + 1, clockMask - clockMask/2}, {1 << 40, clockMask - clockMask/2},
	} {
		w.entry().SetAccess(w.set.RestoredAccess(c.idle, 77))
		if got := w.s.IdleSeconds(w.entry()); got != c.want {
			t.Errorf("restored with %d s: idle for %d s, want %d", c.idle, got, c.want)
		}
	}
	w.set.SetEviction(EvictionParams{Policy: AllKeysLFU, Samples: 5, LFULogFactor: 10, LFUDecayMinutes: 1})
	for _, c := range []struct {
		freq int
		want int64
	}{{-1, lfuInitial}, {0, 0}, {200, 200}, {255, 255}} {
		w.entry().SetAccess(w.set.RestoredAccess(1000, c.freq))
		if got := w.s.Frequency(w.entry()); got != c.want {
			t.Errorf("restored with %d: frequency %d, want %d", c.freq, got, c.want)
		}
	}
}
