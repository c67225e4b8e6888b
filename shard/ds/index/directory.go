package index

import (
	"math/bits"
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// The directory is an array of 2^depth elements off the Go heap, addressed by the top bits of the position. It
// changes its depth by copying, a few hundred elements with each segment that grows: the new array is begun while
// the old one still suffices, and until it is complete, elements are written to both. Thanks to the spread of
// positions (position.go) the time from the first segment of depth D to the first of D+1 is that of doubling the
// table, so the copy is always ready in time; should it not be, it is finished on the spot.
const (
	maxDepth  = 40  // 2^40 segments; deeper means that the hash is broken
	copyStep  = 256 // elements copied at a time
	shiftSlot = 40  // where element and descriptor keep their shift
)

// element is a directory element: ref | (16 + depth) << 40 | buckets << 46. The middle field is what shifts the
// prefix out of a position, to the left end of a word.
type element uint64

func newElement(ref arena.Ref, depth, buckets uint) element {
	return element(uint64(ref) | uint64(64-positionBits+depth)<<shiftSlot | uint64(buckets)<<46)
}

func (el element) ref() arena.Ref { return arena.Ref(el & refMask) }
func (el element) depth() uint    { return uint(el>>shiftSlot)&63 - (64 - positionBits) }
func (el element) buckets() uint  { return uint(el>>46) & 127 }

// home returns the home bucket of a position that belongs to the segment.
func (el element) home(position uint64) uint {
	home, _ := bits.Mul64(position<<(el>>shiftSlot&63), uint64(el.buckets()))
	return uint(home)
}

// start returns the first position of the segment to which position belongs.
func (el element) start(position uint64) uint64 { return position &^ (el.span() - 1) }

// span returns the number of positions that belong to the segment.
func (el element) span() uint64 { return 1 << (positionBits - el.depth()) }

// edge returns the first position, counted from the segment's start, whose home bucket is at least number.
func (el element) edge(number uint) uint64 {
	n := uint64(el.buckets())
	return (uint64(number)*el.span() + n - 1) / n
}

func (x *Index) segmentOf(el element) segment {
	return segment{unsafe.Add(x.base, uint64(el&refMask)<<3), el.buckets()}
}

// element returns the directory element of a position, given the descriptor.
func (x *Index) element(desc, position uint64) element {
	return *(*element)(unsafe.Add(x.base, desc&refMask<<3+position>>(desc>>shiftSlot&63)<<3))
}

// growth is the part of Index that knows about its own size. Held with the baton.
type growth struct {
	bytes  int64                // of segments and directories
	slots  int                  // of all segments
	depths [maxDepth + 1]uint32 // number of segments by depth
	next   directory            // being built; ref 0 = none
	copied uint64               // elements of next that are
}

type directory struct {
	ref   uint64
	depth uint
}

func (d directory) size() int { return 8 << d.depth }

func (d directory) desc() uint64 { return d.ref | uint64(positionBits-d.depth)<<shiftSlot }

func directoryOf(desc uint64) directory {
	return directory{desc & refMask, positionBits - uint(desc>>shiftSlot)}
}

func (x *Index) directory() directory { return directoryOf(x.desc.Load()) }

func (x *Index) elements(d directory) []element {
	return unsafe.Slice((*element)(unsafe.Add(x.base, d.ref<<3)), uint64(1)<<d.depth)
}

func (x *Index) newDirectory(depth uint) directory {
	d := directory{0, depth}
	d.ref = uint64(x.arena.Alloc(d.size()))
	x.bytes += int64(arena.UsableSize(d.size()))
	return d
}

func (x *Index) freeDirectory(d directory) {
	x.bytes -= int64(arena.UsableSize(d.size()))
	x.arena.Free(arena.Ref(d.ref), d.size())
}

// first makes the first segment and its directory.
func (x *Index) first() {
	d := x.newDirectory(0)
	el, _ := x.newSegment(0, 0, smallBuckets, 0)
	x.elements(d)[0] = el
	x.count(el, 1)
	x.desc.Store(d.desc())
}

// count adds or takes away a segment in the index's figures.
func (x *Index) count(el element, sign int) {
	x.depths[el.depth()] += uint32(sign)
	x.slots += sign * int(el.buckets()) * slotCount
}

// publish makes a new segment the one of all positions from prefix on.
func (x *Index) publish(el element, prefix uint64) {
	depth := el.depth()
	d := x.directory()
	invariant.Check(depth <= d.depth, "index: segment deeper than the directory")
	x.fill(d, el, prefix)
	if x.next.ref != 0 {
		if depth > x.next.depth {
			x.cancelResize()
		} else {
			x.fill(x.next, el, prefix) // what is not yet copied will be copied over with the same
		}
	}
	x.count(el, 1)
}

func (x *Index) fill(d directory, el element, prefix uint64) {
	all := x.elements(d)
	from, n := prefix>>(positionBits-d.depth), uint64(1)<<(d.depth-el.depth())
	for i := range n {
		all[from+i] = el
	}
}

// retire frees a segment that is no longer in the directory.
func (x *Index) retire(el element) {
	x.count(el, -1)
	x.freeSegment(el)
}

// ensureDepth makes the directory at least depth deep.
func (x *Index) ensureDepth(depth uint) {
	for x.directory().depth < depth {
		if x.next.ref == 0 {
			x.resize(x.directory().depth + 1)
		} else if x.next.depth <= x.directory().depth {
			x.cancelResize()
			continue
		}
		x.copySome(1 << maxDepth)
	}
}

// tend carries on with what the directory is doing: copying, or beginning to. It is called with each segment that
// grows.
func (x *Index) tend() {
	if x.next.ref == 0 {
		// The deepest segments have come halfway through the positions.
		if d := x.directory().depth; d < maxDepth && x.depths[d]<<1 >= 1<<d {
			x.resize(d + 1)
		}
	}
	x.copySome(copyStep)
}

func (x *Index) resize(depth uint) {
	x.next = x.newDirectory(depth)
	x.copied = 0
}

func (x *Index) cancelResize() {
	x.freeDirectory(x.next)
	x.next = directory{}
}

// copySome copies at most n elements to the directory that is being built, and puts it in use when it is complete.
func (x *Index) copySome(n uint64) {
	if x.next.ref == 0 {
		return
	}
	old := x.directory()
	from, to := x.elements(old), x.elements(x.next)
	for end := min(x.copied+n, uint64(len(to))); x.copied < end; x.copied++ {
		to[x.copied] = from[x.copied<<old.depth>>x.next.depth]
	}
	if x.copied < uint64(len(to)) {
		return
	}
	x.desc.Store(x.next.desc())
	x.next = directory{}
	x.freeDirectory(old)
}

// deepest returns the depth of the deepest segment.
func (x *Index) deepest() uint {
	d := x.directory().depth
	for d > 0 && x.depths[d] == 0 {
		d--
	}
	return d
}
