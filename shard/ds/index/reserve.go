package index

import "math"

// reserveFill is how full a segment that Reserve makes is going to be at most, on average over all of its number: some
// of those that come near it will have to grow, for the numbers of keys in segments vary.
const reserveFill = 0.96

// Reserve makes the segments that n entries are going to need, in an index that has none yet; otherwise it does
// nothing. They are those that growing would end with, of the same sizes at the same places, but for chance. It takes
// about ten bytes an entry at once: n must be bounded by something that others can't just claim.
//
// Growing to where a table of a million entries is moves each of them two to three times, which is a fifth of what
// inserting takes.
func (x *Index) Reserve(n int) {
	if x.desc.Load() != 0 || n < smallBuckets*slotCount {
		return
	}
	depth := uint(0)
	for expected(n, 0, depth) > reserveFill*bigBuckets*slotCount { // positions are densest at the start
		depth++
	}
	d := x.newDirectory(depth)
	x.reserve(d, n, 0, 0)
	x.desc.Store(d.desc())
	x.tend()
}

// reserve makes the segments of the positions from prefix on that share its first depth bits.
func (x *Index) reserve(d directory, n int, prefix uint64, depth uint) {
	entries := expected(n, prefix, depth)
	for _, buckets := range kinds {
		if entries <= reserveFill*float64(buckets*slotCount) {
			el, _ := x.newSegment(prefix, depth, buckets, 0)
			x.fill(d, el, prefix)
			x.count(el, 1)
			return
		}
	}
	depth++
	x.reserve(d, n, prefix, depth)
	x.reserve(d, n, prefix|1<<(positionBits-depth), depth)
}

// expected returns how many of n entries have positions from prefix on that share its first depth bits.
func expected(n int, prefix uint64, depth uint) float64 {
	from := float64(prefix) / positionEnd
	size := 1 / float64(uint64(1)<<depth)
	return float64(n) * math.Log2(1+size/(1+from)) // position's function backwards, at both ends
}
