package index

import (
	"math/bits"

	"fulmen/shard/arena"
)

const (
	// shrinkBelow is the load in percent below which Shrink looks for something to do. Growing alone keeps the load
	// above 64.
	shrinkBelow = 55
	// mergeFill is how full in percent a segment that Shrink makes may be: well below what makes it grow again, so
	// that a few insertions don't undo the work.
	mergeFill = 70
	// mergeSpan bounds the directory elements that a merged segment fills. What is too deep for that waits until
	// the directory has shrunk.
	mergeSpan = 10
)

// shrinker is the part of Index that knows how far Shrink has come. Held with the baton.
type shrinker struct {
	shrinkAt uint64 // position
	shrunk   int    // segments saved in this pass
	rest     int    // number of entries at which a pass found nothing to do; 0 = none did
}

// Shrink gives back memory after many removals: it merges neighbouring segments that have become sparse, rebuilds
// single ones with fewer buckets, and lets the directory follow. Call it regularly; it goes on where it stopped.
// The budget is the number of entries moved, a segment looked at counting as 64 of them; a call may move some 300
// more. It reports whether there is nothing more to do for now. It makes every Pos invalid.
func (x *Index) Shrink(budget int) (done bool) {
	if x.desc.Load() == 0 {
		return true
	}
	x.copySome(copyStep)
	if x.len*100 >= x.slots*shrinkBelow {
		x.rest = 0
		x.shrinkDirectory()
		return true
	}
	if x.len == 0 && x.deepest() == 0 {
		x.reset()
		return true
	}
	if x.len*8 > x.rest*7 && x.rest != 0 {
		return true
	}
	for ; budget > 0; budget -= 64 {
		at := x.shrinkAt
		el := x.element(x.desc.Load(), at)
		if moved, ok := x.shrinkOne(el, el.start(at)); ok {
			x.shrunk++
			budget -= moved
		}
		if now := x.element(x.desc.Load(), at); now.depth() < el.depth() {
			x.shrinkAt = now.start(at) // it may have a sparse neighbour too: look at that pair's left one next
			continue
		}
		if x.shrinkAt = el.start(at) + el.span(); x.shrinkAt == positionEnd {
			return x.shrinkPass()
		}
	}
	return false
}

// shrinkPass ends a pass, and reports whether another is of no use.
func (x *Index) shrinkPass() (done bool) {
	fruitless := x.shrunk == 0 && x.next.ref == 0
	x.shrinkDirectory()
	if fruitless = fruitless && x.next.ref == 0; fruitless {
		x.rest = x.len
	}
	x.shrinkAt, x.shrunk = 0, 0
	return fruitless
}

// shrinkOne merges the segment el, which begins at start, with its buddy or makes it smaller, if that is possible.
// It returns the number of entries moved, and whether it did.
func (x *Index) shrinkOne(el element, start uint64) (moved int, ok bool) {
	n := x.population(el)
	if buddy, ok := x.buddy(el, start); ok {
		both := n + x.population(buddy)
		for _, buckets := range kinds {
			if both*100 <= int(buckets)*slotCount*mergeFill {
				return both, x.merge(el, buddy, start&^el.span(), el.depth()-1, buckets)
			}
		}
	}
	if el.buckets() > smallBuckets && n*100 <= smallBuckets*slotCount*mergeFill {
		return n, x.merge(el, 0, start, el.depth(), smallBuckets)
	}
	return 0, false
}

// buddy returns the segment that el was split from, if it is as deep and the two may be merged.
func (x *Index) buddy(el element, start uint64) (element, bool) {
	depth, d := el.depth(), x.directory().depth
	if depth == 0 || d-depth >= mergeSpan {
		return 0, false
	}
	buddy := x.element(x.desc.Load(), start^el.span())
	return buddy, buddy.depth() == depth
}

// merge moves the entries of one or two segments to a new one. It fails, doing nothing, if they don't fit.
func (x *Index) merge(a, b element, prefix uint64, depth, buckets uint) bool {
	var set items
	x.collect(&set, a)
	if b != 0 {
		x.collect(&set, b)
	}
	el, ok := x.pack(set.all[:set.n], set.version, prefix, depth, buckets)
	if !ok {
		return false
	}
	x.publish(el, prefix)
	x.retire(a)
	if b != 0 {
		x.retire(b)
	}
	return true
}

// population counts a segment's entries.
func (x *Index) population(el element) (n int) {
	s := x.segmentOf(el)
	for i := range s.n {
		n += bits.OnesCount32(s.bucket(i).used())
	}
	return n
}

// shrinkDirectory begins to make the directory smaller if it is more than one level deeper than any segment.
func (x *Index) shrinkDirectory() {
	if depth := x.deepest() + 1; x.next.ref == 0 && depth < x.directory().depth {
		x.resize(depth)
	}
}

// reset frees the one segment that is left, which is empty, and the directory.
func (x *Index) reset() {
	x.retire(x.element(x.desc.Load(), 0))
	x.drop()
}

// drop frees the directory, all segments being gone.
func (x *Index) drop() {
	if x.next.ref != 0 {
		x.cancelResize()
	}
	d := x.directory()
	x.desc.Store(0)
	x.freeDirectory(d)
	x.shrinker, x.frees = shrinker{}, 0
}

// FreeSome empties an index that nobody uses any more but a walk: it takes entries out, about budget of them,
// calling freeEntry for each, which owns the block from then on, and gives the index's own memory back. It reports
// whether the index is empty, and then it is as good as new. Until then nothing but WalkStep and EndWalk may be
// called.
func (x *Index) FreeSome(budget int, freeEntry func(ref arena.Ref, e Entry)) (done bool) {
	if x.next.ref != 0 {
		x.cancelResize()
	}
	for x.desc.Load() != 0 {
		el := x.element(x.desc.Load(), x.frees)
		s := x.segmentOf(el)
		for i := range s.n {
			if budget <= 0 {
				return false
			}
			if i+2 < s.n {
				x.prefetchKeys(s.bucket(i + 2))
			}
			budget -= x.freeBucket(s.bucket(i), freeEntry)
		}
		budget -= 8
		// A walk that comes by must find no buckets here.
		start := el.start(x.frees)
		x.fill(x.directory(), newElement(0, el.depth(), 0), start)
		x.retire(el)
		if x.frees = start + el.span(); x.frees == positionEnd {
			x.drop()
		}
	}
	return true
}

// freeBucket takes all entries out of a bucket and returns their number.
func (x *Index) freeBucket(b bucket, freeEntry func(ref arena.Ref, e Entry)) (n int) {
	used := b.used()
	if used == 0 {
		return 0
	}
	x.preWrite(b, used)
	for m := used; m != 0; m &= m - 1 {
		slot := uint(bits.TrailingZeros32(m))
		ref := b.ref(slot)
		b.clear(slot)
		x.len--
		n++
		freeEntry(arena.Ref(ref), x.entryAt(ref))
	}
	return n
}
