package shard

import (
	"math/bits"
	"sync/atomic"
)

// longHoldNs is the length from which a hold is attributed by name.
const longHoldNs = 1_000_000

// HoldBuckets is the number of buckets of a hold histogram: four per power of two of nanoseconds.
const HoldBuckets = 160

// holdStats says for how long a baton was held, and by what. Updated with the baton held; published in
// atomics so that a report needs no baton.
type holdStats struct {
	beganNs   int64
	longestBy string // the longest command of the running hold
	longestNs int64

	count   [HoldBuckets]atomic.Uint64
	maxNs   atomic.Int64
	totalNs atomic.Int64
	long    atomic.Pointer[LongHolds]

	published
}

// LongHolds lists holds above 1 ms by the name of the longest command or job in them; immutable.
type LongHolds struct {
	By map[string]LongHold
}

// LongHold counts the long holds of one name.
type LongHold struct {
	Count int64
	MaxNs int64
}

// Holds is a copy of a shard's hold statistics.
type Holds struct {
	Count   [HoldBuckets]uint64 // see HoldBucketNs
	MaxNs   int64
	TotalNs int64
	Long    map[string]LongHold
}

// holdBucket: four buckets per power of two; exact below 8 ns.
func holdBucket(ns int64) int {
	if ns < 8 {
		return max(int(ns), 0)
	}
	e := bits.Len64(uint64(ns)) - 1 // ≥ 3
	return min(8+(e-3)*4+int(ns>>(e-2)&3), HoldBuckets-1)
}

// HoldBucketNs returns the upper bound of bucket i in nanoseconds.
func HoldBucketNs(i int) int64 {
	if i < 8 {
		return int64(i)
	}
	e, q := (i-8)/4+3, (i-8)%4
	return int64(1)<<e + int64(q+1)<<(e-2) - 1
}

func (s *Shard) beginHold(w *Worker) {
	s.hold.beganNs = w.NowNs
	s.hold.longestNs = 0
}

// Ran attributes ns nanoseconds of the running hold to a command or background job.
func (s *Shard) Ran(name string, ns int64) {
	if ns > s.hold.longestNs {
		s.hold.longestNs, s.hold.longestBy = ns, name
	}
}

// Ran attributes ns nanoseconds of the running holds to a command that the transaction executed.
func (t *Tx) Ran(name string, ns int64) {
	for _, i := range t.shards[:t.held] {
		t.set.Shards[i].Ran(name, ns)
	}
}

// endHold closes the books of a hold; the baton is released next.
func (s *Shard) endHold(w *Worker) {
	if used := s.arena.UsedBytes(); used != s.used.Load() {
		s.used.Store(used)
	}
	if s.touched != nil {
		s.publishCounts()
	}
	if w.NowNs >= s.hold.dueNs {
		s.publishStats(w.NowNs)
	}
	ns := w.NowNs - s.hold.beganNs
	h := &s.hold
	c := &h.count[holdBucket(ns)]
	c.Store(c.Load() + 1) // the baton makes this goroutine the only writer
	h.totalNs.Store(h.totalNs.Load() + ns)
	if ns > h.maxNs.Load() {
		h.maxNs.Store(ns)
	}
	if ns >= longHoldNs {
		h.attribute(ns)
	}
}

// attribute notes a long hold by name. Copies the map: long holds are rare.
func (h *holdStats) attribute(ns int64) {
	name := h.longestBy
	if h.longestNs < ns/2 {
		name = "many short commands, or the thread was not running"
	}
	next := &LongHolds{By: map[string]LongHold{}}
	if old := h.long.Load(); old != nil {
		for k, v := range old.By {
			next.By[k] = v
		}
	}
	l := next.By[name]
	l.Count++
	l.MaxNs = max(l.MaxNs, ns)
	next.By[name] = l
	h.long.Store(next)
}

// Holds returns the statistics; safe from any goroutine.
func (s *Shard) Holds() Holds {
	var out Holds
	for i := range s.hold.count {
		out.Count[i] = s.hold.count[i].Load()
	}
	out.MaxNs, out.TotalNs = s.hold.maxNs.Load(), s.hold.totalNs.Load()
	if l := s.hold.long.Load(); l != nil {
		out.Long = l.By
	}
	return out
}

// ResetHolds zeroes the statistics and has the shard's counters published at the next release; with the baton held.
func (s *Shard) ResetHolds() {
	for i := range s.hold.count {
		s.hold.count[i].Store(0)
	}
	s.hold.maxNs.Store(0)
	s.hold.totalNs.Store(0)
	s.hold.long.Store(nil)
	s.hold.dueNs = 0
}
