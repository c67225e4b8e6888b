// Package stats counts durations. It is not the place that decides what is measured, nor who may see it.
//
// # Ownership
//
// A Histogram has one writer at a time and any number of readers, which see a count a moment late and, while one is
// being added, counts that don't quite add up.
//
// # Format
//
// Buckets are those of the HDR histograms that Redis keeps: exact below 256 ns, 128 to a power of two above, up to
// one second. So percentiles and the steps of LATENCY HISTOGRAM have Redis's values to the digit. They are made in
// groups of 128, each at the first duration that falls into it.
package stats

import (
	"math/bits"
	"sync/atomic"
)

const (
	groupBits = 7
	groupSize = 1 << groupBits // buckets of a group
	maxNs     = 1_000_000_000  // longer durations count as this one
	groups    = 24             // up to 2^30 ns
)

type group [groupSize]atomic.Uint64

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	groups [groups]atomic.Pointer[group]
}

// place finds a duration's bucket: group 0 and 1 are exact; from there on a group is a power of two.
func place(ns int64) (g, i int) {
	n := uint64(min(max(ns, 0), maxNs))
	shift := bits.Len64(n|groupSize) - groupBits - 1
	return shift + int(n>>(shift+groupBits)), int(n >> shift & (groupSize - 1))
}

// last returns the longest duration that falls into a bucket.
func last(g, i int) int64 {
	if g < 2 {
		return int64(g*groupSize + i)
	}
	return int64(groupSize+i+1)<<(g-1) - 1
}

// Add counts a duration; for the one writer.
func (h *Histogram) Add(ns int64) {
	g, i := place(ns)
	p := h.groups[g].Load()
	if p == nil {
		p = new(group)
		h.groups[g].Store(p)
	}
	p[i].Add(1)
}

// Counts is a copy of one histogram or the sum of several.
type Counts struct {
	Total  uint64
	counts [groups * groupSize]uint64
}

// Sum adds what h has counted.
func (c *Counts) Sum(h *Histogram) {
	for g := range h.groups {
		p := h.groups[g].Load()
		if p == nil {
			continue
		}
		for i := range p {
			n := p[i].Load()
			c.counts[g*groupSize+i] += n
			c.Total += n
		}
	}
}

// Percentile returns a duration that percent per cent of those counted don't exceed, in nanoseconds: the longest of
// its bucket. 0 if none was counted.
func (c *Counts) Percentile(percent float64) int64 {
	rank := max(uint64(percent/100*float64(c.Total)+0.5), 1)
	seen := uint64(0)
	for at, n := range c.counts {
		if seen += n; seen >= rank {
			return last(at/groupSize, at%groupSize)
		}
	}
	return 0
}

// Steps tells fn of every power of two of nanoseconds, from 1,024 on, up to which more durations were counted than up
// to the one before, and of the end: how many microseconds the bucket there reaches to, and how many durations were no
// longer.
func (c *Counts) Steps(fn func(us int64, upTo uint64)) {
	seen, told := uint64(0), uint64(0)
	step := int64(1024)
	for at, n := range c.counts {
		g, i := at/groupSize, at%groupSize
		seen += n
		if last(g, i) < step {
			continue
		}
		if seen > told {
			told = seen
			fn(last(g, i)/1000, seen)
		}
		if step *= 2; seen == c.Total {
			return
		}
	}
	if seen > told {
		fn(last(groups-1, groupSize-1)/1000, seen)
	}
}
