package shard

import (
	"math/bits"

	"fulmen/internal/clock"
)

// longHoldNs is the length from which a hold is attributed by name; from suspectNs on its processor time is read,
// which for shorter ones is taken to be as long as the wall time.
const (
	longHoldNs = 1_000_000
	suspectNs  = 400_000
)

// cpuBaseNs is how old a worker's last reading of its processor time may be when a hold begins. A hold's own time is
// known but for that much: it is a system call, too dear for each hold.
const cpuBaseNs = 200_000

// HoldBuckets is the number of buckets of a hold histogram: four per power of two of nanoseconds.
const HoldBuckets = 160

// holdStats says for how long a baton was held, and by what. Held with the baton; a copy is published with the
// shard's counters, so that a report needs no baton.
type holdStats struct {
	beganNs   int64
	longestBy string // the longest command of the running hold
	longestNs int64

	count, cpu      [HoldBuckets]uint64
	maxNs, maxCPUNs int64
	totalNs         int64
	long            *LongHolds

	published
}

// LongHolds lists holds of 1 ms and more by the name of the longest command or job in them; immutable.
type LongHolds struct {
	By map[string]LongHold
}

// LongHold counts the long holds of one name. The longest by the wall clock and by processor time may be two; where
// they are far apart the thread was not running, or slept (DEBUG SLEEP).
type LongHold struct {
	Count    int64
	MaxNs    int64
	MaxCPUNs int64
}

// Holds is a copy of a shard's hold statistics: by wall time, in which a thread may not have been running, and by
// processor time.
type Holds struct {
	Count    [HoldBuckets]uint64 // by wall time; see HoldBucketNs
	CPU      [HoldBuckets]uint64 // by processor time
	MaxNs    int64
	MaxCPUNs int64
	TotalNs  int64
	Long     map[string]LongHold
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
	s.holder = w
	s.hold.beganNs = w.NowNs
	s.hold.longestNs = 0
	if w.NowNs-w.cpuReadNs > cpuBaseNs {
		w.readCPU()
	}
}

// readCPU takes the base from which the processor time of a long hold is counted.
func (w *Worker) readCPU() {
	w.cpuReadNs, w.cpuNs, w.thread = w.NowNs, clock.ThreadCPU(), clock.ThreadID()
	w.processNs = clock.ProcessCPU()
}

// cpuSince returns the processor time since the base, at most ns. A worker that has changed its thread can't tell: it
// was not more than that of the whole process.
func (w *Worker) cpuSince(ns int64) int64 {
	switch {
	case w.wallOnly:
		return ns
	case clock.ThreadID() != w.thread:
		return min(max(clock.ProcessCPU()-w.processNs, 0), ns)
	}
	return min(max(clock.ThreadCPU()-w.cpuNs, 0), ns)
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
	s.publishUse()
	publish(&s.hold.lazy, int64(len(s.lazy.items)))
	ns := w.NowNs - s.hold.beganNs
	cpu := ns
	if ns >= suspectNs {
		cpu = w.cpuSince(ns)
	}
	h := &s.hold
	h.count[holdBucket(ns)]++
	h.cpu[holdBucket(cpu)]++
	h.totalNs += ns
	h.maxNs = max(h.maxNs, ns)
	h.maxCPUNs = max(h.maxCPUNs, cpu)
	if ns >= longHoldNs {
		h.attribute(ns, cpu)
	}
	if w.NowNs >= h.dueNs {
		s.publishStats(w.NowNs)
	}
}

// attribute notes a long hold by name. Copies the map: long holds are rare.
func (h *holdStats) attribute(ns, cpu int64) {
	name := h.longestBy
	if h.longestNs < ns/2 {
		name = "many short commands"
	}
	next := &LongHolds{By: map[string]LongHold{}}
	if old := h.long; old != nil {
		for k, v := range old.By {
			next.By[k] = v
		}
	}
	l := next.By[name]
	l.Count++
	l.MaxNs = max(l.MaxNs, ns)
	l.MaxCPUNs = max(l.MaxCPUNs, cpu)
	next.By[name] = l
	h.long = next
}

// Holds returns the statistics as of a few milliseconds ago; safe from any goroutine.
func (s *Shard) Holds() Holds {
	var out Holds
	p := &s.hold.published
	for i := range p.count {
		out.Count[i], out.CPU[i] = uint64(p.count[i].Load()), uint64(p.cpu[i].Load())
	}
	out.MaxNs, out.MaxCPUNs, out.TotalNs = p.maxNs.Load(), p.maxCPUNs.Load(), p.totalNs.Load()
	if l := p.long.Load(); l != nil {
		out.Long = l.By
	}
	return out
}

// ResetHolds zeroes the statistics and has the shard's counters published at the next release; with the baton held.
func (s *Shard) ResetHolds() {
	h := &s.hold
	clear(h.count[:])
	clear(h.cpu[:])
	h.maxNs, h.maxCPUNs, h.totalNs, h.long = 0, 0, 0, nil
	h.dueNs = 0
}
