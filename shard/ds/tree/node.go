package tree

import (
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

const (
	// NodeBytes is the size in bytes of the biggest node.
	NodeBytes = 4096
	// MaxInline is the length in bytes of the longest body that is kept in a leaf.
	MaxInline = 1000

	treeHeader = 16
	innerSlot  = 24
	smallest   = 64 // bytes of a new leaf's block
	spilled    = 1 << 15
	merging    = NodeBytes / 4 // a node with less in use than this looks for one to be joined with
)

// Order says what the items of a tree consist of and how they are sorted; see the package comment.
type Order uint8

// The orders.
const (
	ByRank Order = iota
	ByHash
	ByHashPair
	ByScore
	ByValue
	ByHashScore
	ByID
)

// layout is what a leaf's slot consists of.
type layout struct {
	key, val, slot uint16
	body           bool
	paged          bool // every body is spilled, however short
}

var layouts = [...]layout{
	ByRank:      {0, 0, 2, true, false},
	ByHash:      {4, 0, 6, true, false},
	ByHashPair:  {4, 0, 6, true, false},
	ByScore:     {8, 0, 10, true, false},
	ByValue:     {8, 0, 8, false, false},
	ByHashScore: {4, 8, 12, false, false},
	ByID:        {8, 8, 18, true, true},
}

// treeNode is a node of a tree, of any level.
type treeNode struct{ p unsafe.Pointer }

func (n treeNode) u16(off uintptr) *uint16 { return (*uint16)(unsafe.Add(n.p, off)) }

func (n treeNode) size() int       { return int(*n.u16(4)&(1<<levelShift-1)) * 8 }
func (n treeNode) level() int      { return int(*n.u16(4) >> levelShift) }
func (n treeNode) len() int        { return int(*n.u16(6)) }
func (n treeNode) setLen(k int)    { *n.u16(6) = uint16(k) }
func (n treeNode) low() int        { return int(*n.u16(8)) }
func (n treeNode) waste() int      { return int(*n.u16(10)) }
func (n treeNode) spills() *uint32 { return (*uint32)(unsafe.Add(n.p, 12)) }

// slotSize returns the bytes of a slot of the node in a tree of order o.
func (n treeNode) slotSize(o Order) int {
	if n.level() > 0 {
		return innerSlot
	}
	return int(layouts[o].slot)
}

// used returns the bytes of the node that are in use.
func (n treeNode) used(o Order) int {
	return treeHeader + n.len()*n.slotSize(o) + n.size() - n.low() - n.waste()
}

// gap returns the bytes between slots and bodies.
func (n treeNode) gap(o Order) int { return n.low() - treeHeader - n.len()*n.slotSize(o) }

func (n treeNode) bytes(from, to int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(n.p, from)), to-from)
}

// Slots of inner nodes.

func (n treeNode) bound(i int) *uint64 { return (*uint64)(unsafe.Add(n.p, treeHeader+i*innerSlot)) }
func (n treeNode) child(i int) *arena.Ref {
	return (*arena.Ref)(unsafe.Add(n.p, treeHeader+i*innerSlot+8))
}
func (n treeNode) count(i int) *uint64 { return (*uint64)(unsafe.Add(n.p, treeHeader+i*innerSlot+16)) }

// Slots of leaves.

// key returns the key of item i.
func (n treeNode) key(o Order, i int) uint64 {
	l := &layouts[o]
	at := unsafe.Add(n.p, treeHeader+i*int(l.slot))
	switch l.key {
	case 4:
		return uint64(*(*uint32)(at))
	case 8:
		return *(*uint64)(at)
	}
	return 0
}

// value returns where the value of item i is; for orders that have one.
func (n treeNode) value(o Order, i int) *uint64 {
	l := &layouts[o]
	return (*uint64)(unsafe.Add(n.p, treeHeader+i*int(l.slot)+int(l.key)))
}

// offset returns where the offset of item i's body is; for orders that have one.
func (n treeNode) offset(o Order, i int) *uint16 {
	l := &layouts[o]
	return n.u16(uintptr(treeHeader + i*int(l.slot) + int(l.key+l.val)))
}

// body returns the body at an offset if it is not spilled.
func (n treeNode) body(off uint16) []byte {
	at := unsafe.Add(n.p, off)
	k := uintptr(*(*byte)(at))
	if k < 128 {
		return unsafe.Slice((*byte)(unsafe.Add(at, 1)), k)
	}
	k = k&127 | uintptr(*(*byte)(unsafe.Add(at, 1)))<<7
	return unsafe.Slice((*byte)(unsafe.Add(at, 2)), k)
}

// spill returns the descriptor of the spilled body at an offset.
func (n treeNode) spill(off uint16) []byte {
	off &^= spilled
	return n.bytes(int(off), int(off)+PagedSize)
}

// bodySize returns the bytes that the body at an offset takes in the node.
func (n treeNode) bodySize(off uint16) int {
	if off&spilled != 0 {
		return PagedSize
	}
	k := len(n.body(off))
	return k + lengthSize(k)
}

// lengthSize returns the bytes of a body's length.
func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 2
}

// newTreeNode makes an empty node with room for `room` bytes behind its header.
func (h *Heap) newTreeNode(level, room int) (arena.Ref, treeNode) {
	size := arena.UsableSize(max(treeHeader+room, smallest))
	invariant.Check(size <= NodeBytes, "tree: node too big")
	ref := h.Arena.Alloc(size)
	n := treeNode{h.Arena.Space().Pointer(ref)}
	*(*uint64)(n.p) = uint64(h.Version) | uint64(size>>3|level<<levelShift)<<32
	*(*uint64)(unsafe.Add(n.p, 8)) = uint64(size)
	return ref, n
}

// insertSlot opens slot i and returns its offset. There is room for it.
func (n treeNode) insertSlot(o Order, i int) int {
	size := n.slotSize(o)
	at, end := treeHeader+i*size, treeHeader+n.len()*size
	copy(n.bytes(at+size, end+size), n.bytes(at, end))
	n.setLen(n.len() + 1)
	return at
}

// cutSlots closes slots i to j; what they refer to is the caller's.
func (n treeNode) cutSlots(o Order, i, j int) {
	size := n.slotSize(o)
	end := treeHeader + n.len()*size
	copy(n.bytes(treeHeader+i*size, end-(j-i)*size), n.bytes(treeHeader+j*size, end))
	n.setLen(n.len() - (j - i))
}

// appendItems appends items i to j of another node with the same level to n, which has room for them.
func (n treeNode) appendItems(o Order, from treeNode, i, j int) {
	size, k := n.slotSize(o), n.len()
	copy(n.bytes(treeHeader+k*size, treeHeader+(k+j-i)*size), from.bytes(treeHeader+i*size, treeHeader+j*size))
	n.setLen(k + j - i)
	if n.level() > 0 || !layouts[o].body {
		return
	}
	if j-i == from.len() && k == 0 && from.waste() == 0 {
		n.takeBodies(o, from)
		return
	}
	low := n.low()
	for ; i < j; i, k = i+1, k+1 {
		off := *from.offset(o, i)
		at := int(off &^ spilled)
		b := from.bytes(at, at+from.bodySize(off))
		low -= len(b)
		copy(n.bytes(low, low+len(b)), b)
		*n.offset(o, k) = uint16(low) | off&spilled
		*n.spills() += uint32(off >> 15)
	}
	*n.u16(8) = uint16(low)
}

// takeBodies copies all bodies of another leaf, of which none is out of use, to n, which has its slots, but no bodies.
// They keep their order, so that offsets only move: a growing leaf is copied several times, and item by item that was a
// tenth of a push to a list.
func (n treeNode) takeBodies(o Order, from treeNode) {
	low := n.size() - (from.size() - from.low())
	copy(n.bytes(low, n.size()), from.bytes(from.low(), from.size()))
	l := &layouts[o]
	moved := uint16(low - from.low())
	for at := treeHeader + int(l.key+l.val); at < treeHeader+n.len()*int(l.slot); at += int(l.slot) {
		*n.u16(uintptr(at)) += moved
	}
	*n.u16(8) = uint16(low)
	*n.spills() = *from.spills()
}

// span returns the bytes that items i to j take.
func (n treeNode) span(o Order, i, j int) int {
	sum := (j - i) * n.slotSize(o)
	if n.level() > 0 || !layouts[o].body {
		return sum
	}
	for ; i < j; i++ {
		sum += n.bodySize(*n.offset(o, i))
	}
	return sum
}

// putBody writes a body of the given parts, which is short enough and has room, and refers slot i to it.
func (n treeNode) putBody(o Order, i int, parts [][]byte, length int) {
	at := n.low() - length - lengthSize(length)
	*n.u16(8) = uint16(at)
	*n.offset(o, i) = uint16(at)
	if length < 128 {
		*(*byte)(unsafe.Add(n.p, at)) = byte(length)
		at++
	} else {
		*n.u16(uintptr(at)) = uint16(length&127 | 128 | length>>7<<8)
		at += 2
	}
	for _, b := range parts {
		at += copy(n.bytes(at, at+len(b)), b)
	}
}

// putSpill writes the descriptor of a spilled body and refers slot i to it.
func (n treeNode) putSpill(o Order, i int, p Paged) {
	at := n.low() - PagedSize
	*n.u16(8) = uint16(at)
	*n.offset(o, i) = uint16(at) | spilled
	p.Store(n.bytes(at, at+PagedSize))
	*n.spills()++
}

func (n treeNode) at(off int) unsafe.Pointer { return unsafe.Add(n.p, off) }
