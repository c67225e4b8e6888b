package index

import (
	"math/bits"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// Growing takes all entries out of a segment, computes their hashes again and places them in new segments: one with
// more buckets, or two of the next depth. The new ones are in the directory before the old one is freed. Merging is
// the same with two old segments. The choke point has seen every old bucket before (collect); no new one can be
// stale.

// item is an entry on its way from one segment to another.
type item struct {
	position uint64
	slot     uint64 // ref | fingerprint << 40 | changed << 48 | expires << 49
}

const (
	itemPrint   = 40
	itemChanged = 1 << 48
	itemExpires = 1 << 49
)

// items are the entries of one segment, or of two that merge. It lives on the stack.
type items struct {
	n       int
	version uint32 // the highest change version of their buckets
	// sums over the entries, of the bytes up to the key's end and of all bytes
	keyReach, reach uintptr
	all             [maxItems]item
}

// grow makes room in the full segment el, to which position belongs.
func (x *Index) grow(el element, position uint64) {
	var set items
	x.collect(&set, el)
	kind := 0
	for kinds[kind] != el.buckets() {
		kind++
	}
	x.build(set.all[:set.n], set.version, el.start(position), el.depth(), kind+1)
	x.retire(el)
	x.tend()
	n := uintptr(set.n)
	x.keyReach = min(max(set.keyReach/n, minReach), maxReach)
	x.reach.Store(min(max(set.reach/n, minReach), maxReach))
}

// collect gathers the entries of a segment. It calls the choke point for all of its buckets.
func (x *Index) collect(set *items, el element) {
	s := x.segmentOf(el)
	for i := range s.n {
		if i+2 < s.n {
			x.prefetchKeys(s.bucket(i + 2))
		}
		b := s.bucket(i)
		x.preWrite(b, 0)
		set.version = max(set.version, *b.version())
		changed, expires := uint32(0), b.expires()
		if *b.version() == x.version {
			changed = b.changed()
		}
		for m := b.used(); m != 0; m &= m - 1 {
			slot := uint(bits.TrailingZeros32(m))
			ref := b.ref(slot)
			it := &set.all[set.n]
			e := x.entryAt(ref)
			it.position = position(x.hash(e.Key()))
			set.keyReach += e.keyEnd()
			set.reach += uintptr(e.SizeBytes())
			it.slot = ref | uint64(b.print(slot))<<itemPrint |
				uint64(changed>>slot&1)<<48 | uint64(expires>>slot&1)<<49
			set.n++
		}
	}
}

// build places items, which belong to prefix, in a segment of the given depth and one of the kinds from kind on, or
// if they don't fit, in deeper ones.
func (x *Index) build(all []item, version uint32, prefix uint64, depth uint, kind int) {
	for ; kind < len(kinds); kind++ {
		if el, ok := x.pack(all, version, prefix, depth, kinds[kind]); ok {
			x.publish(el, prefix)
			return
		}
	}
	invariant.Check(depth < maxDepth, "index: too many keys with the same hash")
	depth++
	x.ensureDepth(depth)
	half := uint64(1) << (positionBits - depth)
	left := 0
	for i := range all {
		if all[i].position&half == 0 {
			all[i], all[left] = all[left], all[i]
			left++
		}
	}
	x.build(all[:left], version, prefix, depth, 0)
	x.build(all[left:], version, prefix|half, depth, 0)
}

// pack places items in a new segment. It fails if they don't fit.
func (x *Index) pack(all []item, version uint32, prefix uint64, depth, buckets uint) (element, bool) {
	if len(all) > int(buckets)*slotCount*9/10 {
		return 0, false // would be full again at once
	}
	el, s := x.newSegment(prefix, depth, buckets, version)
	var filled [bigBuckets]uint8 // slots of each bucket; they fill up from 0
	marking := version == x.version
	for i := range all {
		it := &all[i]
		home, print := el.home(it.position), uint8(it.slot>>itemPrint)
		number := home
		for probes := 1; filled[number] == slotCount; probes++ {
			if probes == probeLimit {
				x.freeSegment(el)
				return 0, false
			}
			s.bucket(number).pass(wayOf(print))
			if number++; number == buckets {
				number = 0
			}
		}
		b, slot := s.bucket(number), uint(filled[number])
		filled[number]++
		ref := it.slot & refMask
		b.setRef(slot, ref)
		b.setPrint(slot, print)
		if it.slot&itemExpires != 0 {
			b.setExpires(slot, true)
			s.noteExpire(x.dueAt(x.entryAt(ref)))
		}
		if it.slot&itemChanged != 0 && marking {
			*b.marks() |= 1 << slot
		}
	}
	return el, true
}

// prefetchKeys prefetches the entries of a bucket up to the end of their keys.
func (x *Index) prefetchKeys(b bucket) { x.prefetchSlots(b, b.used(), x.keyReach) }

// prefetchSlots prefetches the first reach bytes of the entries in some of a bucket's slots.
func (x *Index) prefetchSlots(b bucket, slots uint32, reach uintptr) {
	for m := slots; m != 0; m &= m - 1 {
		arena.PrefetchSpan(x.address(b.ref(uint(bits.TrailingZeros32(m)))), reach)
	}
}
