package arena

import "unsafe"

const noBlock = 0xFFFF

// Arena allocates one shard's blocks. It is used by one goroutine at a time.
type Arena struct {
	// immutable
	space *Space
	base  unsafe.Pointer
	meta  unsafe.Pointer
	owner uint8

	// held with the baton
	used    int64              // UsableSize of the live blocks
	slabs   int64              // slabs held, the spare included
	spare   uint32             // one empty slab: a block that comes and goes need not visit the pool
	taken   Ref                // returned blocks that TakeBack has taken and not yet freed; linked as those
	partial [maxClasses]uint32 // first slab with free blocks, by class
	evac    evacuation         // evacuate.go

	_        [64]byte
	returned returned
}

// NewArena returns an empty arena. owner is what Space.Owner reports for its blocks; give each shard its own.
func (s *Space) NewArena(owner uint8) *Arena {
	a := &Arena{space: s, base: s.base, meta: s.pool.meta, owner: owner, evac: evacuation{class: -1}}
	s.arenas[owner].Store(a)
	return a
}

// Space returns the space the arena allocates from.
func (a *Arena) Space() *Space { return a.space }

// Owner returns the number of the arena that holds the live block r.
func (a *Arena) Owner(r Ref) uint8 { return a.space.Owner(r) }

// UsedBytes returns the bytes of the arena's live blocks, each rounded up to UsableSize.
func (a *Arena) UsedBytes() int64 { return a.used }

// HeldBytes returns the bytes of the slabs the arena holds. What exceeds UsedBytes is fragmentation and room
// that was not yet handed out; the latter is not resident.
func (a *Arena) HeldBytes() int64 { return a.slabs * slabSize }

func (a *Arena) at(slab uint32) *slabMeta {
	return (*slabMeta)(unsafe.Add(a.meta, uintptr(slab)*metaSize))
}

// Alloc returns a block of at least size bytes, 0 ≤ size ≤ MaxSize, aligned to 8 bytes (a big block to 64 KiB).
// Its content is undefined. It panics if the system has no more memory.
func (a *Arena) Alloc(size int) Ref {
	if uint(size) > MaxSmall {
		return a.allocLarge(size)
	}
	class := classes.of[(size+7)>>3]
	if size == 0 {
		class = 0
	}
	slab := a.partial[class]
	if slab == 0 {
		slab = a.newSlab(class)
	}
	m := a.at(slab)
	bytes := classes.size[class]
	off := uint32(m.free) // in units of 8 bytes
	if off != noBlock {
		p := unsafe.Add(a.base, uintptr(slab)<<slabShift+uintptr(off)<<3)
		m.free = *(*uint16)(p)
		checkReused(p, bytes)
	} else {
		off = uint32(m.carved) * bytes >> 3
		m.carved++
		clearCarved(unsafe.Add(a.base, uintptr(slab)<<slabShift+uintptr(off)<<3), bytes)
	}
	if m.used++; m.used == m.capacity {
		a.unlink(slab, m)
	}
	a.used += int64(bytes)
	return Ref(slab)<<refShift | Ref(off)
}

// Free takes back block r, allocated with the same size or another one of the same UsableSize. A block of another
// arena of the space goes to that one's returned blocks, and counts as used there until its TakeBack comes to it.
func (a *Arena) Free(r Ref, size int) {
	if uint(size) > MaxSmall {
		a.freeLarge(r, size)
		return
	}
	class := classes.of[(size+7)>>3]
	slab, off := uint32(r>>refShift), uint32(r&(1<<refShift-1))
	m := a.at(slab)
	if m.id != uint16(class)|uint16(a.owner)<<8 || m.used == 0 {
		a.giveBack(r, m, class, size)
		return
	}
	bytes := classes.size[class]
	p := unsafe.Add(a.base, uintptr(r)<<3)
	poisonFreed(p, bytes, off)
	*(*uint16)(p) = m.free
	m.free = uint16(off)
	a.used -= int64(bytes)
	if m.used == m.capacity {
		a.link(slab, m)
	}
	if m.used--; m.used == 0 {
		a.emptied(slab, m)
	}
}

// link puts a slab in front of its class's partial list. A slab that was full until now is the fullest: filling
// it again first lets the others drain.
func (a *Arena) link(slab uint32, m *slabMeta) {
	a.linkTo(&a.partial[uint8(m.id)], slab, m)
}

func (a *Arena) unlink(slab uint32, m *slabMeta) {
	if slab == a.evac.cursor {
		a.evac.cursor = m.next
	}
	a.unlinkFrom(&a.partial[uint8(m.id)], m)
}

func (a *Arena) linkTo(list *uint32, slab uint32, m *slabMeta) {
	m.prev, m.next = 0, *list
	if m.next != 0 {
		a.at(m.next).prev = slab
	}
	*list = slab
}

func (a *Arena) unlinkFrom(list *uint32, m *slabMeta) {
	if m.next != 0 {
		a.at(m.next).prev = m.prev
	}
	if m.prev != 0 {
		a.at(m.prev).next = m.next
	} else {
		*list = m.next
	}
}

// newSlab makes an empty slab the class's only partial one.
func (a *Arena) newSlab(class uint8) uint32 {
	slab := a.spare
	if slab != 0 {
		a.spare = 0
	} else {
		slab = a.space.takeRun(1)
		a.slabs++
	}
	m := a.at(slab)
	m.id = uint16(class) | uint16(a.owner)<<8
	m.free = noBlock
	m.used = 0
	m.carved = 0
	m.capacity = classes.blocks[class]
	a.link(slab, m)
	return slab
}

func (a *Arena) emptied(slab uint32, m *slabMeta) {
	left := m.leaving != 0 // such a slab was chosen to go
	if left {
		a.stopLeaving(slab, m)
	} else {
		a.unlink(slab, m)
	}
	if a.spare == 0 && !left {
		a.spare = slab
		m.id = deadClass // no block of it may be freed
		return
	}
	m.id = deadClass
	a.slabs--
	if left {
		a.space.giveIdle(slab)
		return
	}
	a.space.giveRun(slab, 1)
}

// Trim gives the spare slab back to the space, so that an arena without blocks holds nothing.
func (a *Arena) Trim() {
	if a.spare == 0 {
		return
	}
	a.slabs--
	a.space.giveRun(a.spare, 1)
	a.spare = 0
}

func (a *Arena) allocLarge(size int) Ref {
	if uint(size) > MaxSize {
		panic("BUG: arena: Alloc of a negative size or above MaxSize")
	}
	n := uint32((size + slabSize - 1) >> slabShift)
	slab := a.space.takeRun(n)
	m := a.at(slab)
	m.id = largeClass | uint16(a.owner)<<8
	m.used = 1
	a.slabs += int64(n)
	a.used += int64(UsableSize(size))
	return Ref(slab) << refShift
}

func (a *Arena) freeLarge(r Ref, size int) {
	n := uint32((size + slabSize - 1) >> slabShift)
	slab := uint32(r >> refShift)
	m := a.at(slab)
	if m.id != largeClass|uint16(a.owner)<<8 {
		a.giveBack(r, m, largeClass, size)
		return
	}
	if m.runSlabs != n {
		panic("BUG: arena: Free of a big block that is not of this size")
	}
	poisonBig(a.space.Pointer(r), UsableSize(size))
	m.id = deadClass
	a.slabs -= int64(n)
	a.used -= int64(UsableSize(size))
	a.space.giveRun(slab, n)
}
