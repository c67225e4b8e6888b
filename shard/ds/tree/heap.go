package tree

import (
	"sync"
	"sync/atomic"
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
	account *Kept

	mu      sync.Mutex // a value that was renamed changes in another shard than the one it is read in
	done    bool
	kept    []block
	dropped []func(h *Heap)
}

type block struct {
	ref  arena.Ref
	size int
}

// Kept counts what pins keep: blocks that are there for a pin alone, in bytes. Atomic.
type Kept struct {
	Now  atomic.Int64
	Ever atomic.Int64 // never falls
}

// NewPin returns a pin for a value none of whose nodes is as young as version. What it keeps is counted in account, if
// that is not nil.
func NewPin(version uint32, account *Kept) *Pin { return &Pin{version: version, account: account} }

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
	if p.done {
		return false
	}
	p.kept = append(p.kept, b)
	if p.account != nil {
		p.account.Now.Add(int64(b.size))
		p.account.Ever.Add(int64(b.size))
	}
	return true
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

// Release ends the pin: nobody reads what it kept any more, and about budget blocks of that are freed. It reports
// whether nothing is left; else it is to be called again. h is that of the shard whose baton is held.
func (p *Pin) Release(h *Heap, budget int) (done bool) {
	p.mu.Lock()
	p.done = true
	kept, dropped := p.kept, p.dropped // nobody adds to them any more
	p.mu.Unlock()
	n := min(len(kept), budget)
	var bytes int64
	for _, b := range kept[:n] {
		h.Arena.Free(b.ref, b.size)
		bytes += int64(b.size)
	}
	if p.account != nil {
		p.account.Now.Add(-bytes)
	}
	k := min(len(dropped), max(budget-n, 0)/droppedNodes+1)
	for _, free := range dropped[:k] {
		free(h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.dropped = kept[n:], dropped[k:]
	return len(p.kept) == 0 && len(p.dropped) == 0
}

// droppedNodes is about how many blocks are freed for one that was dropped, if that is not left to Later.
const droppedNodes = 16

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
