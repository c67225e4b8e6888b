package tree

import (
	"sync"
	"unsafe"

	"fulmen/shard/arena"
)

// Heap is where the nodes of a value come from while it is being changed.
type Heap struct {
	Arena *arena.Arena
	// Version is the number of the last cut: what new nodes have.
	Version uint32
	// Pin is the pin of the value that is being changed; nil: none.
	Pin *Pin
	// Later takes over what need not be freed at once; nil: everything is.
	Later func(Freer)
}

// Freer is what can be freed bit by bit.
type Freer interface {
	// FreeSome frees nodes until *budget of them are gone, and reports whether nothing is left.
	FreeSome(a *arena.Arena, budget *int) (done bool)
}

// Pin keeps the nodes of one value as they were when it was pinned, for a reader that goes on while the value changes:
// a node that is older than the pin is copied before it changes, and what is dropped of such nodes is kept.
type Pin struct {
	version uint32 // nodes with a lower one belong to the pin

	mu      sync.Mutex // a value that was renamed changes in another shard than the one it is read in
	done    bool
	kept    []block
	dropped []func(h *Heap)
}

type block struct {
	ref  arena.Ref
	size int
}

// NewPin returns a pin for a value none of whose nodes is as young as version.
func NewPin(version uint32) *Pin { return &Pin{version: version} }

// Active reports whether somebody still reads what the pin keeps. Safe from any goroutine.
func (p *Pin) Active() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.done
}

// keep takes over a block and reports whether it did.
func (p *Pin) keep(b block) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.kept = append(p.kept, b)
	}
	return !p.done
}

// Defer has free called when the pin is released, and reports whether it will be: if not, the pin has been released.
func (p *Pin) Defer(free func(h *Heap)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.dropped = append(p.dropped, free)
	}
	return !p.done
}

// KeptBytes returns the memory of what is there for the pin alone. Safe from any goroutine.
func (p *Pin) KeptBytes() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.kept {
		n += int64(b.size)
	}
	return n
}

// Release ends the pin: nobody reads what it kept any more, and that is freed. h is that of the shard whose baton is
// held.
func (p *Pin) Release(h *Heap) {
	p.mu.Lock()
	p.done = true
	kept, dropped := p.kept, p.dropped
	p.kept, p.dropped = nil, nil
	p.mu.Unlock()
	for _, b := range kept {
		h.Arena.Free(b.ref, b.size)
	}
	for _, free := range dropped {
		free(h)
	}
}

// pinned reports whether a node with the given header belongs to the pin of the value.
func (h *Heap) pinned(at unsafe.Pointer) bool { return h.Pin != nil && *(*uint32)(at) < h.Pin.version }

// own is the one place before a node changes: it makes *slot refer to a node that may be written to, and returns its
// address. A node that a pin reads stays as it is, and a copy takes its place. size is the node's.
func (h *Heap) own(slot *arena.Ref, size int) unsafe.Pointer {
	at := h.Arena.Space().Pointer(*slot)
	if !h.pinned(at) || !h.Pin.keep(block{*slot, size}) {
		return at
	}
	*slot = h.Arena.Copy(*slot, size)
	at = h.Arena.Space().Pointer(*slot)
	*(*uint32)(at) = h.Version
	return at
}

// drop frees a node that is no longer part of the value, unless a pin reads it.
func (h *Heap) drop(ref arena.Ref, size int) {
	if h.pinned(h.Arena.Space().Pointer(ref)) && h.Pin.keep(block{ref, size}) {
		return
	}
	h.Arena.Free(ref, size)
}

// dropPaged frees a string that is no longer part of the value, at once or later.
func (h *Heap) dropPaged(s Paged) {
	if s.root == 0 {
		return
	}
	free := func(h *Heap) {
		if h.Later != nil && s.Nodes() > laterNodes {
			h.Later(&s)
			return
		}
		s.Free(h.Arena)
	}
	if h.Pin != nil && h.Pin.Defer(free) {
		return
	}
	free(h)
}

// laterNodes is the number of nodes from which a string is left to Later.
const laterNodes = 64
