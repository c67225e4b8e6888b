package server

import (
	"testing"

	"fulmen/internal/config"
)

// TestDefragPercent: how much is done for how much waste, by Redis's rules.
func TestDefragPercent(t *testing.T) {
	const mb = 1 << 20
	base := config.Values{
		ActiveDefrag: true, DefragIgnoreBytes: 10 * mb, DefragLowerPercent: 10, DefragUpperPercent: 100,
		DefragCycleMin: 1, DefragCycleMax: 25,
	}
	for _, c := range []struct {
		name       string
		change     func(v *config.Values)
		held, used int64
		want       int64
	}{
		{"nothing wasted", nil, 100 * mb, 100 * mb, 0},
		{"below the bytes", nil, 19 * mb, 10 * mb, 0},
		{"below the percentage", nil, 109 * mb, 100 * mb, 0},
		{"at the lower threshold", nil, 110 * mb, 100 * mb, 1},
		{"in the middle", nil, 155 * mb, 100 * mb, 13},
		{"at the upper threshold", nil, 200 * mb, 100 * mb, 25},
		{"above", nil, 1000 * mb, 100 * mb, 25},
		{"empty", nil, 100 * mb, 0, 0},
		{"off", func(v *config.Values) { v.ActiveDefrag = false }, 1000 * mb, 100 * mb, 0},
		{"more bytes ignored", func(v *config.Values) { v.DefragIgnoreBytes = 2000 * mb }, 1000 * mb, 100 * mb, 0},
		{"higher lower threshold", func(v *config.Values) { v.DefragLowerPercent = 60 }, 155 * mb, 100 * mb, 0},
		{"lower upper threshold", func(v *config.Values) { v.DefragUpperPercent = 30 }, 155 * mb, 100 * mb, 25},
		{"thresholds the wrong way round", func(v *config.Values) { v.DefragUpperPercent = 5 }, 155 * mb, 100 * mb, 25},
		{"higher minimum", func(v *config.Values) { v.DefragCycleMin = 20 }, 110 * mb, 100 * mb, 20},
		{"lower maximum", func(v *config.Values) { v.DefragCycleMax = 5 }, 200 * mb, 100 * mb, 5},
		{"minimum above maximum", func(v *config.Values) { v.DefragCycleMin = 50 }, 155 * mb, 100 * mb, 50},
	} {
		v := base
		if c.change != nil {
			c.change(&v)
		}
		if got := defragPercent(&v, c.held, c.used); got != c.want {
			t.Errorf("%s: %d %%, want %d", c.name, got, c.want)
		}
	}
}

// TestDefragTimes: time is counted while any shard has a pass under way.
func TestDefragTimes(t *testing.T) {
	var d defragmenter
	check := func(nowNs, total, current int64) {
		t.Helper()
		if a, b := d.times(nowNs); a != total || b != current {
			t.Errorf("at %d: total %d, current %d; want %d and %d", nowNs, a, b, total, current)
		}
	}
	d.percent.Store(7)
	check(5, 0, 0)
	d.began(10)
	d.began(15)
	check(20, 10, 10)
	d.ended(25)
	check(30, 20, 20)
	if d.running() != 7 {
		t.Error("not running")
	}
	d.ended(40)
	check(100, 30, 0)
	if d.running() != 0 {
		t.Error("still running")
	}
	d.began(110)
	check(115, 35, 5)
	d.reset(120)
	check(121, 1, 1)
	d.ended(130)
	check(140, 10, 0)
}
