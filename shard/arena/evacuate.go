package arena

import "unsafe"

// Evacuation empties sparse slabs, so that they can be given back: whoever refers to the blocks in them moves the
// blocks (Misplaced, Copy, and Free of the old one). The arena's part is to choose the slabs and to keep new blocks
// out of them.
//
// For each class the blocks in partly filled slabs would fit into a smaller number of slabs. As many slabs stay: full
// ones rather than empty ones, which saves moving, and ones with low addresses rather than with high ones, so that
// whole regions become empty at the other end. (By fullness alone, with addresses deciding between quarters of it, 40 %
// of what 4 KiB blocks freed at random leave behind lies in whole regions; by the sum of both, 70 %.) The others are
// taken out of the partial list and marked. Blocks that are allocated from then on, moved ones or others, fill up the
// slabs that stay.
//
// Choosing is done in slices, class by class, with the class's partial list walked twice: once to count the slabs by
// their rank in that order, and once to mark those behind the rank at which enough have been counted. What changes in
// between only makes the choice less exact. A list is walked with a cursor, which unlink moves on.

const (
	halfRanks = 128 // a slab's rank is a sum: so many for emptiness, and so many for the address
	allRanks  = 2 * halfRanks
)

// evacuation is the part of Arena that knows of slabs to be emptied. Held with the baton.
type evacuation struct {
	leaving uint32 // first slab being emptied; they are linked like a partial list
	count   int64  // slabs being emptied

	class   int    // being chosen from; -1 = none
	marking bool   // in the second walk
	cursor  uint32 // slab of the class's partial list that is looked at next
	limit   uint32 // the space's frontier when the class was begun

	slabs  [allRanks]uint32 // counted in the first walk, by rank
	blocks uint64           // live ones counted in the first walk
	rank   int              // slabs of a higher rank leave
	stay   uint32           // so many of that rank don't
}

// BeginEvacuation begins to choose slabs to be emptied. None must be leaving.
func (a *Arena) BeginEvacuation() {
	a.evac = evacuation{class: 0}
	a.beginClass()
}

// beginClass begins the first walk of a class.
func (a *Arena) beginClass() {
	e := &a.evac
	e.marking, e.cursor, e.blocks = false, a.partial[e.class], 0
	clear(e.slabs[:])
	e.limit = max(a.space.frontier(), 1)
}

// Choose goes on with choosing; the budget is in slabs looked at. It reports whether all classes are done.
func (a *Arena) Choose(budget int) (done bool) {
	e := &a.evac
	for e.class >= 0 && budget > 0 {
		for e.cursor != 0 && budget > 0 {
			slab := e.cursor
			m := a.at(slab)
			e.cursor = m.next // before it is unlinked
			if e.marking {
				a.consider(slab, m)
			} else {
				e.slabs[e.rankOf(slab, m)]++
				e.blocks += uint64(m.used)
			}
			budget--
		}
		if e.cursor != 0 {
			break
		}
		budget--
		if !e.marking && e.threshold() {
			e.marking, e.cursor = true, a.partial[e.class]
			budget -= allRanks / 16
			continue
		}
		if e.class++; e.class == classes.count {
			e.class = -1
			break
		}
		a.beginClass()
	}
	return e.class < 0
}

// rankOf returns a partly filled slab's rank: those with the lowest stay.
func (e *evacuation) rankOf(slab uint32, m *slabMeta) int {
	empty := int(m.capacity-m.used) * halfRanks / int(m.capacity)
	return empty + int(min(uint64(slab)*halfRanks/uint64(e.limit), halfRanks-1))
}

// threshold finds the rank up to which slabs are needed, and reports whether any are not.
func (e *evacuation) threshold() bool {
	capacity := uint64(classes.blocks[e.class])
	need := (e.blocks + capacity - 1) / capacity
	for rank, n := range e.slabs {
		if uint64(n) >= need {
			e.rank, e.stay = rank, uint32(need)
			break
		}
		need -= uint64(n)
	}
	left := e.slabs[e.rank] - e.stay
	for _, n := range e.slabs[e.rank+1:] {
		left += n
	}
	return e.blocks > 0 && left > 0
}

// consider marks a slab unless it stays.
func (a *Arena) consider(slab uint32, m *slabMeta) {
	e := &a.evac
	switch rank := e.rankOf(slab, m); {
	case rank < e.rank:
		return
	case rank == e.rank && e.stay > 0:
		e.stay--
		return
	}
	a.unlink(slab, m)
	m.leaving = 1
	e.count++
	a.linkTo(&e.leaving, slab, m)
}

// Leaving returns the number of bytes of the slabs that are being emptied.
func (a *Arena) Leaving() int64 { return a.evac.count * slabSize }

// Misplaced reports whether the live block r should be moved: it lies in a slab that is being emptied, or is another
// arena's.
func (a *Arena) Misplaced(r Ref) bool {
	m := a.at(uint32(r >> refShift))
	return uint8(m.id>>8) != a.owner || m.leaving != 0
}

// Copy allocates a block of the given size, copies block r to it, and returns it. r is the caller's to free, once
// nothing refers to it.
func (a *Arena) Copy(r Ref, size int) Ref {
	to := a.Alloc(size)
	copy(unsafe.Slice((*byte)(a.space.Pointer(to)), size), unsafe.Slice((*byte)(a.space.Pointer(r)), size))
	return to
}

// EndEvacuation takes slabs that were to be emptied and are not, about budget of them, into use again, and reports
// whether that was all. A choice that is not complete is given up.
func (a *Arena) EndEvacuation(budget int) (done bool) {
	e := &a.evac
	e.class, e.cursor = -1, 0
	for ; e.leaving != 0 && budget > 0; budget-- {
		slab := e.leaving
		m := a.at(slab)
		a.stopLeaving(slab, m)
		a.link(slab, m)
	}
	return e.leaving == 0
}

// stopLeaving takes a slab out of the list of those being emptied.
func (a *Arena) stopLeaving(slab uint32, m *slabMeta) {
	a.unlinkFrom(&a.evac.leaving, m)
	m.leaving = 0
	a.evac.count--
}
