package arena

import (
	"sync/atomic"
	"unsafe"
)

// returned is the list of an arena's blocks that other arenas have freed: a stack that anybody pushes to, and that
// the holder of the arena takes whole, so that no block can come back to its top while somebody looks. It needs no
// memory: a block's first eight bytes are its link, the next block's Ref and above it the own class; a big one's
// second eight bytes are its size.
type returned struct {
	top atomic.Uint64 // a Ref
}

const (
	linkClassShift = 56
	linkRefMask    = 1<<linkClassShift - 1
)

// giveBack puts a live block of the given class into the list of the arena that it belongs to.
func (a *Arena) giveBack(r Ref, m *slabMeta, class uint8, size int) {
	owner := uint8(m.id >> 8)
	to := a.space.arenas[owner].Load()
	if uint8(m.id) != class || owner == a.owner || to == nil {
		panic("BUG: arena: Free of a block that is not of this size, or is free")
	}
	p := a.space.Pointer(r)
	if class == largeClass {
		*(*uint64)(unsafe.Add(p, 8)) = uint64(size)
	}
	for {
		top := to.returned.top.Load()
		*(*uint64)(p) = top | uint64(class)<<linkClassShift
		if to.returned.top.CompareAndSwap(top, uint64(r)) {
			return
		}
	}
}

// Owed tells whether other arenas have given back blocks that TakeBack has not come to. Safe from any goroutine.
func (a *Arena) Owed() bool { return a.returned.top.Load() != 0 }

// TakeBack frees at most budget blocks that other arenas have given back, and reports whether none is left.
func (a *Arena) TakeBack(budget int) (done bool) {
	for ; budget > 0; budget-- {
		if a.taken == 0 {
			if a.returned.top.Load() == 0 {
				return true
			}
			a.taken = Ref(a.returned.top.Swap(0))
		}
		r, p := a.taken, a.space.Pointer(a.taken)
		link := *(*uint64)(p)
		a.taken = Ref(link & linkRefMask)
		if class := uint8(link >> linkClassShift); class == largeClass {
			a.Free(r, int(*(*uint64)(unsafe.Add(p, 8))))
		} else {
			a.Free(r, int(classes.size[class]))
		}
	}
	return a.taken == 0 && a.returned.top.Load() == 0
}
