package stat

import (
	"math/bits"
	"time"
)

// A histogram's buckets are linear up to 2^subBits ns; above, every power of two is cut into 2^subBits buckets of
// equal width, so a value is known to 1/128 of itself. 2^maxBits ns are 18 minutes, longer than any run may last.
const (
	subBits = 7
	subs    = 1 << subBits
	maxBits = 40
	buckets = subs * (maxBits - subBits + 1)
)

// Histogram counts latencies with a relative error below 0.8 %. The zero value is empty and ready.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    int64
}

// Record counts one latency n times. Negative latencies count as zero, those above 18 minutes as 18 minutes (Max
// stays exact).
func (h *Histogram) Record(latency time.Duration, n uint64) {
	ns := max(int64(latency), 0)
	h.counts[bucketOf(ns)] += n
	h.total += n
	h.max = max(h.max, ns)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Total is the number of latencies recorded.
func (h *Histogram) Total() uint64 { return h.total }

// Max is the largest latency recorded, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Quantile is the latency that the fraction q (0 to 1) of all recorded ones does not exceed: the upper end of its
// bucket, but never more than Max. An empty histogram gives 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	// The rank of the wanted value, counted from 1: the smallest number of values that is at least q of all.
	rank := uint64(q * float64(h.total))
	if float64(rank) < q*float64(h.total) {
		rank++
	}
	rank = min(max(rank, 1), h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return time.Duration(min(bucketEnd(i), h.max))
		}
	}
	return h.Max()
}

func bucketOf(ns int64) int {
	if ns < subs {
		return int(ns)
	}
	exponent := bits.Len64(uint64(ns)) - 1
	if exponent >= maxBits {
		return buckets - 1
	}
	shift := exponent - subBits
	return (shift+1)*subs + int(ns>>shift) - subs
}

// bucketEnd is the largest value that bucketOf puts into bucket i.
func bucketEnd(i int) int64 {
	if i < subs {
		return int64(i)
	}
	shift := i/subs - 1
	return (int64(i%subs)+subs+1)<<shift - 1
}
