package arena

import (
	"math/bits"
	"sync"
	"unsafe"
)

// The pool keeps the free runs of slabs. It is a two-level segregated fit: runs are binned by length, exactly
// below 32 slabs and with eight bins a doubling above; a bitmap finds the next filled bin, and the tags at both
// ends of a run let a freed one join its neighbours. Taking and giving a run are O(1) whatever the size of the
// space, and short holes are used up first, so that long ones stay long.

const (
	exactBins = 31 // bins 0..30 hold runs of 1..31 slabs
	subBins   = 8  // bins a doubling, above
	binCount  = exactBins + 1 + (26-5)*subBins + subBins
	fitTries  = 8 // runs of the own bin looked at before a longer bin is taken
)

// Run states. A slab beyond the frontier has stateNone.
const (
	stateNone uint8 = iota
	stateFree
	stateUsed
)

// slabMeta describes one slab; see the package's invariants 2 to 4.
type slabMeta struct {
	// pool: valid at the first and last slab of a run
	runSlabs uint32
	state    uint8
	// pool: valid at every slab
	touched uint8 // may be resident: handed out since it was last released
	// pool: valid at the first slab of a region
	huge uint8 // what the system was told about huge pages there
	_    uint8
	// pool: valid at the first slab of a free run
	freedAt  uint32 // the pool's epoch when the run last grew
	resident uint32 // slabs of the run that are touched

	// pool while the run is free, arena while it is used: list links, 0 = none
	next, prev uint32

	// arena
	id       uint16 // class | owner<<8
	free     uint16 // first free block in units of 8 bytes from the slab's start; noBlock = none
	used     uint16 // live blocks
	capacity uint16
	carved   uint16 // blocks ever handed out since the slab came from the pool
	leaving  uint8  // its blocks are being moved elsewhere (evacuate.go)
	_        [29]byte
}

// States of slabMeta.huge.
const (
	hugeUnasked uint8 = iota
	hugeAsked
	hugeRefused // part of the region was released: the system must not fill it up again
)

const metaSize = 64

var _ [metaSize]byte = [unsafe.Sizeof(slabMeta{})]byte{}

// pool is part of Space.
type pool struct {
	mu       sync.Mutex
	meta     unsafe.Pointer // slabMeta by slab number; immutable
	frontier uint32         // slabs below it are mapped
	limit    uint32         // slabs of the reservation
	ceiling  uint32         // of these, so many are used at most: Limit
	epoch    uint32         // counts calls of Release
	freed    int64          // slabs in free runs
	touched  int64          // slabs that are or may be resident
	bins     [binCount]uint32
	filled   [(binCount + 63) / 64]uint64 // set of the bins that are not empty

	sweepAt uint32 // first slab of the run that the sweep looks at next
	scanned uint32 // the sweep found nothing resident in that run before this slab; 0 = it hasn't looked

	noPopulate bool // the kernel doesn't know MADV_POPULATE_WRITE

	taken [2]uint32 // slabs handed out since the last call of Release, and between the two last ones
}

// residentFree returns how many free slabs are resident.
func (p *pool) residentFree() int64 { return p.touched - (int64(p.frontier) - 1 - p.freed) }

func (p *pool) at(slab uint32) *slabMeta {
	return (*slabMeta)(unsafe.Add(p.meta, uintptr(slab)*metaSize))
}

// binOf returns the bin of a run of n slabs.
func binOf(n uint32) int {
	if n <= exactBins {
		return int(n) - 1
	}
	e := bits.Len32(n) - 1
	return exactBins + (e-5)*subBins + int(n>>(e-3)&(subBins-1))
}

// link puts a run that is in no bin into its bin. resident is how many of its slabs are touched.
func (p *pool) link(slab, n, resident uint32) {
	p.begin(slab, n)
	head, tail := p.at(slab), p.at(slab+n-1)
	head.resident = resident
	head.state, tail.state = stateFree, stateFree
	head.runSlabs, tail.runSlabs = n, n
	bin := binOf(n)
	head.prev, head.next = 0, p.bins[bin]
	if head.next != 0 {
		p.at(head.next).prev = slab
	}
	p.bins[bin] = slab
	p.filled[bin>>6] |= 1 << (bin & 63)
	p.freed += int64(n)
}

// begin keeps the sweep at the beginning of a run: there is now one from slab on.
func (p *pool) begin(slab, n uint32) {
	if p.sweepAt >= slab && p.sweepAt < slab+n {
		p.sweepAt, p.scanned = slab, 0
	}
}

func (p *pool) unlink(slab uint32) {
	head := p.at(slab)
	bin := binOf(head.runSlabs)
	if head.next != 0 {
		p.at(head.next).prev = head.prev
	}
	if head.prev != 0 {
		p.at(head.prev).next = head.next
	} else if p.bins[bin] = head.next; head.next == 0 {
		p.filled[bin>>6] &^= 1 << (bin & 63)
	}
	p.freed -= int64(head.runSlabs)
}

// find returns the first slab of a free run of at least n slabs, or 0.
func (p *pool) find(n uint32) uint32 {
	bin := binOf(n)
	slab := p.bins[bin]
	for try := 0; slab != 0 && try < fitTries; try++ {
		if p.at(slab).runSlabs >= n {
			return slab
		}
		slab = p.at(slab).next
	}
	bin++
	word := bin >> 6
	mask := ^uint64(0) << (bin & 63)
	for ; word < len(p.filled); word++ {
		if m := p.filled[word] & mask; m != 0 {
			return p.bins[word<<6+bits.TrailingZeros64(m)]
		}
		mask = ^uint64(0)
	}
	return 0
}

// take cuts n slabs off the head of the free run at slab and marks them used.
func (p *pool) take(slab, n uint32) {
	head := p.at(slab)
	have, freedAt, left := head.runSlabs, head.freedAt, head.resident
	p.unlink(slab)
	for s := slab; s < slab+n; s++ {
		if m := p.at(s); m.touched == 0 {
			m.touched = 1
			p.touched++
		} else {
			left--
		}
	}
	if have > n {
		p.at(slab + n).freedAt = freedAt
		p.link(slab+n, have-n, left)
	}
	p.mark(slab, n)
}

// mark sets the tags of a used run.
func (p *pool) mark(slab, n uint32) {
	p.begin(slab, n)
	head, tail := p.at(slab), p.at(slab+n-1)
	head.state, tail.state = stateUsed, stateUsed
	head.runSlabs, tail.runSlabs = n, n
}

// give returns a used run of which so many slabs are resident, joining it with free neighbours.
func (p *pool) give(slab, n, freedAt, resident uint32) {
	if left := p.at(slab - 1); left.state == stateFree {
		k := left.runSlabs
		slab -= k
		n += k
		freedAt = max(freedAt, p.at(slab).freedAt)
		resident += p.at(slab).resident
		p.unlink(slab)
	}
	if slab+n < p.frontier {
		if right := p.at(slab + n); right.state == stateFree {
			freedAt = max(freedAt, right.freedAt)
			resident += right.resident
			p.unlink(slab + n)
			n += right.runSlabs
		}
	}
	p.at(slab).freedAt = freedAt
	p.link(slab, n, resident)
}
