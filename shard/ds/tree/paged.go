package tree

import (
	"math"
	"slices"
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// A paged string is a tree of nodes of at most 4 KiB. A node begins with eight bytes:
//
//	0  u32  version: the number of the last cut when the node was made (heap.go)
//	4  u16  size of the block in units of 8 bytes (bits 0–11), level (bits 12–15)
//	6  u16  slots in use; inner nodes only
//
// A node of level 0 holds up to pageBytes bytes of the string; one of a higher level the references of nodes
// one level lower, 0 standing for zero bytes throughout: what SETRANGE jumps over takes no memory. A string's
// page i is found by the digits of i in base fanout. Nodes are as small as what was written to them allows;
// what a page lacks is zero. The root's level is the least that reaches the string's length.
const (
	// PagedSize is the size in bytes of a paged string's descriptor.
	PagedSize = 16
	// MaxPaged is the greatest length of a paged string in bytes.
	MaxPaged = 512 << 20
	// MaxBody is that of a spilled body: a pair of two such strings, or a stream's entry of as many bytes and a million
	// fields.
	MaxBody = 2*MaxPaged + 32<<20
	// ChunkSize is a length in bytes that many whole pages hold: for writing long strings part by part.
	ChunkSize = 16 * pageBytes

	nodeHeader = 8
	pageBytes  = NodeBytes - nodeHeader
	fanout     = pageBytes / 8
	levelShift = 12
)

// Paged is the descriptor of a paged string. The zero value is the empty string.
type Paged struct {
	length uint32
	pin    uint32 // a number of the owner's, see SetPin
	root   arena.Ref
}

// LoadPaged reads a descriptor from an entry's payload.
func LoadPaged(payload []byte) Paged {
	_ = payload[PagedSize-1]
	head := u64(payload)
	return Paged{uint32(head), uint32(head >> 32), arena.Ref(u64(payload[8:]))}
}

// Store writes the descriptor to an entry's payload.
func (p Paged) Store(payload []byte) {
	_ = payload[PagedSize-1]
	putU64(payload, uint64(p.length)|uint64(p.pin)<<32)
	putU64(payload[8:], uint64(p.root))
}

// Len returns the string's length in bytes.
func (p Paged) Len() int { return int(p.length) }

// node is a node's address.
type node struct{ p unsafe.Pointer }

func (n node) sizeBytes() int { return int(*(*uint16)(unsafe.Add(n.p, 4))&(1<<levelShift-1)) * 8 }
func (n node) level() uint    { return uint(*(*uint16)(unsafe.Add(n.p, 4)) >> levelShift) }
func (n node) slots() *uint16 { return (*uint16)(unsafe.Add(n.p, 6)) }

func (n node) slot(i int) *arena.Ref { return (*arena.Ref)(unsafe.Add(n.p, nodeHeader+i*8)) }

// content returns the node's bytes behind its header.
func (n node) content() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(n.p, nodeHeader)), n.sizeBytes()-nodeHeader)
}

func nodeAt(space *arena.Space, ref arena.Ref) node { return node{space.Pointer(ref)} }

// newNode makes a node with room for at least content bytes behind its header. The content is left undefined.
func newNode(h *Heap, level uint, content int) (arena.Ref, node) {
	size := arena.UsableSize(nodeHeader + content)
	invariant.Check(size <= NodeBytes, "tree: node too big")
	ref := h.Arena.Alloc(size)
	n := nodeAt(h.Arena.Space(), ref)
	*(*uint64)(n.p) = uint64(h.Version) | uint64(size>>3|int(level)<<levelShift)<<32
	return ref, n
}

// reach returns how many pages a tree reaches whose root has the given level.
func reach(level uint) int {
	n := 1
	for range level {
		n *= fanout
	}
	return n
}

func pageCount(length int) int { return (length + pageBytes - 1) / pageBytes }

// Write puts b at offset off, growing the string to off + len(b) if it is shorter; bytes between its end and
// off become zero. It touches the pages that b is written to and the nodes above them, and no other.
func (p *Paged) Write(h *Heap, off int, b []byte) {
	if len(b) == 0 {
		return
	}
	end := off + len(b)
	invariant.Check(off >= 0 && end <= MaxBody, "tree: string longer than allowed")
	p.length = max(p.length, uint32(end))
	level := p.raise(h)
	for len(b) > 0 {
		page, at := off/pageBytes, off%pageBytes
		n := min(len(b), pageBytes-at)
		slot, pages, i := &p.root, pageCount(p.Len()), page
		for l := level; l > 0; l-- {
			per := reach(l - 1)
			inner := innerNode(h, slot, l, i/per+1, (pages+per-1)/per)
			slot = inner.slot(i / per)
			pages -= i / per * per
			i %= per
		}
		writePage(h, slot, at, b[:n])
		off += n
		b = b[n:]
	}
}

// raise puts new roots above the root until the tree reaches the string's end, and returns the root's level.
func (p *Paged) raise(h *Heap) (level uint) {
	pages := pageCount(p.Len())
	if p.root != 0 {
		level = nodeAt(h.Arena.Space(), p.root).level()
	}
	for ; reach(level) < pages; level++ {
		if p.root != 0 {
			child := p.root
			p.root = 0
			*innerNode(h, &p.root, level+1, 1, 1).slot(0) = child
		}
	}
	return level
}

// innerNode returns the inner node that *slot refers to, writable and with at least used slots in use: it makes one if
// there is none, and moves it to a bigger block if that is too small. want is how many slots the string's length asks
// for.
func innerNode(h *Heap, slot *arena.Ref, level uint, used, want int) node {
	if *slot == 0 {
		ref, n := newNode(h, level, max(used, min(want, fanout))*8)
		clear(n.content()[:used*8])
		*n.slots() = uint16(used)
		*slot = ref
		return n
	}
	old := nodeAt(h.Arena.Space(), *slot)
	oldUsed := int(*old.slots())
	var n node
	if len(old.content()) >= used*8 {
		n = node{h.own(slot, old.sizeBytes())}
	} else {
		ref, bigger := newNode(h, level, max(used, min(want, fanout))*8)
		copy(bigger.content(), old.content()[:oldUsed*8])
		h.drop(*slot, old.sizeBytes())
		*slot, n = ref, bigger
	}
	if used > oldUsed {
		clear(n.content()[oldUsed*8 : used*8])
		*n.slots() = uint16(used)
	} else {
		*n.slots() = uint16(oldUsed)
	}
	return n
}

// writePage writes b at offset at of the page that *slot refers to, making the page or moving it to a bigger block.
func writePage(h *Heap, slot *arena.Ref, at int, b []byte) {
	end := at + len(b)
	var old []byte
	if *slot != 0 {
		n := nodeAt(h.Arena.Space(), *slot)
		if old = n.content(); end <= len(old) {
			n = node{h.own(slot, n.sizeBytes())}
			copy(n.content()[at:], b)
			return
		}
	}
	// A page that grows once is likely to grow again.
	ref, n := newNode(h, 0, max(end, min(len(old)+len(old)/4, pageBytes)))
	content := n.content()
	kept := copy(content, old)
	if kept < at {
		clear(content[kept:at])
	}
	copy(content[at:], b)
	clear(content[end:])
	if *slot != 0 {
		h.drop(*slot, nodeHeader+len(old))
	}
	*slot = ref
}

// page returns the bytes of page i that were ever written to, or more; what is missing is zero.
func (p Paged) page(space *arena.Space, i int) []byte {
	ref := p.root
	for ref != 0 {
		n := nodeAt(space, ref)
		level := n.level()
		if level == 0 {
			return n.content()
		}
		slot := i
		if level > 1 { // else a division would take as long as all the rest
			per := reach(level - 1)
			slot, i = i/per, i%per
		}
		if slot >= int(*n.slots()) {
			return nil
		}
		ref = *n.slot(slot)
	}
	return nil
}

// AppendRange appends the bytes from start up to, not including, end to dst. 0 ≤ start ≤ end ≤ Len.
func (p Paged) AppendRange(dst []byte, space *arena.Space, start, end int) []byte {
	dst = slices.Grow(dst, end-start)
	for start < end {
		i, at := start/pageBytes, start%pageBytes
		n := min(end-start, pageBytes-at)
		have := 0
		if b := p.page(space, i); at < len(b) {
			b = b[at:min(at+n, len(b))]
			dst = append(dst, b...)
			have = len(b)
		}
		dst = dst[:len(dst)+n-have]
		clear(dst[len(dst)-(n-have):])
		start += n
	}
	return dst
}

// Pieces calls fn for the bytes from start up to, not including, end, from left to right, until it returns false: n
// bytes at a time, the first of which are b and the others zero. It descends once, and not at all into what was never
// written to. 0 ≤ start ≤ end ≤ Len.
func (p Paged) Pieces(space *arena.Space, start, end int, fn func(b []byte, n int) bool) {
	eachPiece(space, p.root, start, end, fn)
}

// Piece returns the string in place if it is in one piece: it lies in one page. The bytes must not be written to.
func (p Paged) Piece(space *arena.Space) (b []byte, ok bool) {
	if p.root == 0 {
		return nil, p.length == 0
	}
	n := nodeAt(space, p.root)
	if n.level() > 0 || p.Len() > n.sizeBytes()-nodeHeader {
		return nil, false
	}
	return n.content()[:p.length:p.length], true
}

// Part returns the bytes from start up to, not including, end in place if they are in one page; false: they are not, or
// some were never written to. They must not be written to. 0 ≤ start ≤ end ≤ Len.
func (p Paged) Part(space *arena.Space, start, end int) (b []byte, ok bool) {
	at := start % pageBytes
	if b = p.page(space, start/pageBytes); at+end-start > len(b) {
		return nil, false
	}
	return b[at : at+end-start : at+end-start], true
}

// Fit gives a string of one page a block no bigger than it needs: one that was written to bit by bit has room for more.
func (p *Paged) Fit(h *Heap) {
	if p.root == 0 {
		return
	}
	old := nodeAt(h.Arena.Space(), p.root)
	size := old.sizeBytes()
	if old.level() > 0 || arena.UsableSize(nodeHeader+p.Len()) >= size {
		return
	}
	ref, n := newNode(h, 0, p.Len())
	copy(n.content(), old.content())
	h.drop(p.root, size)
	p.root = ref
}

// Hole reports whether nothing was ever written to the bytes from start up to, not including, end.
func (p Paged) Hole(space *arena.Space, start, end int) bool {
	hole := true
	p.Pieces(space, start, end, func(b []byte, _ int) bool {
		hole = len(b) == 0
		return hole
	})
	return hole
}

// eachPiece is Pieces for the tree under ref; start and end count from its beginning.
func eachPiece(space *arena.Space, ref arena.Ref, start, end int, fn func(b []byte, n int) bool) bool {
	if start >= end {
		return true
	}
	if ref == 0 {
		return fn(nil, end-start)
	}
	n := nodeAt(space, ref)
	level := n.level()
	if level == 0 {
		b := n.content()
		return fn(b[min(start, len(b)):min(end, len(b))], end-start)
	}
	per := reach(level-1) * pageBytes
	for start < end {
		i := start / per
		if i >= int(*n.slots()) {
			return fn(nil, end-start)
		}
		from, to := start-i*per, min(end-i*per, per)
		if !eachPiece(space, *n.slot(i), from, to, fn) {
			return false
		}
		start += to - from
	}
	return true
}

// Extend makes the string n bytes long if it is shorter; what that adds is zero and takes no memory.
func (p *Paged) Extend(h *Heap, n int) {
	invariant.Check(n <= MaxPaged, "tree: string longer than allowed")
	if n > p.Len() {
		p.length = uint32(n)
		p.raise(h)
	}
}

// FreeSome frees nodes of a string that nobody reads any more, from its end, until *budget of them are gone, and
// reports whether nothing is left.
func (p *Paged) FreeSome(a *arena.Arena, budget *int) (done bool) {
	if p.root != 0 && freeNodes(a, p.root, budget) {
		p.root, p.length = 0, 0
	}
	return p.root == 0
}

// Free frees the whole string.
func (p *Paged) Free(a *arena.Arena) {
	budget := math.MaxInt
	p.FreeSome(a, &budget)
}

// UsedBytes returns the arena memory of the string's nodes, by visiting them.
func (p Paged) UsedBytes(space *arena.Space) (sum int) {
	p.Blocks(space, func(_ arena.Ref, size int) { sum += size })
	return sum
}

// Blocks calls fn for the block of each node.
func (p Paged) Blocks(space *arena.Space, fn func(ref arena.Ref, size int)) {
	eachNode(space, p.root, fn)
}

func eachNode(space *arena.Space, ref arena.Ref, fn func(ref arena.Ref, size int)) {
	if ref == 0 {
		return
	}
	n := nodeAt(space, ref)
	fn(ref, n.sizeBytes())
	if n.level() > 0 {
		for i := range int(*n.slots()) {
			eachNode(space, *n.slot(i), fn)
		}
	}
}

// Clone returns a copy of the string with nodes of h's, whosever its own are.
func (p Paged) Clone(h *Heap) Paged { return Paged{p.length, 0, cloneNodes(h, p.root)} }

func cloneNodes(h *Heap, ref arena.Ref) arena.Ref {
	if ref == 0 {
		return 0
	}
	n := nodeAt(h.Arena.Space(), ref)
	to, m := newNode(h, n.level(), n.sizeBytes()-nodeHeader)
	*m.slots() = *n.slots()
	if n.level() == 0 {
		copy(m.content(), n.content())
		return to
	}
	for i := range int(*n.slots()) {
		*m.slot(i) = cloneNodes(h, *n.slot(i))
	}
	return to
}

// MoveSome moves nodes of the string that a wants to have elsewhere (arena.Misplaced), those on the way to the pages
// from number `from` on, until it has looked at budget pages. It returns the page to go on with, 0 at the end, and how
// many nodes were moved and pages looked at. Nodes must have been announced as moving, and Store is the caller's. The
// string may change between two calls.
func (p *Paged) MoveSome(a *arena.Arena, from uint64, budget int) (next uint64, moved, looked int) {
	pages := pageCount(p.Len())
	for i := int(min(from, uint64(pages))); i < pages; {
		if looked >= budget {
			return uint64(i), moved, looked
		}
		step, n := p.movePath(a, i)
		moved += n
		looked++
		i += step
	}
	return 0, moved, looked
}

// movePath moves the misplaced nodes on the way to a page, and returns how many pages there are from that one on to
// which the way ends at the same place.
func (p *Paged) movePath(a *arena.Arena, page int) (pages, moved int) {
	slot, at, span := &p.root, page, math.MaxInt/2
	for *slot != 0 {
		n := nodeAt(a.Space(), *slot)
		if a.Misplaced(*slot) {
			old := *slot
			*slot = a.Copy(old, n.sizeBytes())
			a.Free(old, n.sizeBytes())
			n = nodeAt(a.Space(), *slot)
			moved++
		}
		level := n.level()
		if level == 0 {
			return 1, moved
		}
		per := reach(level - 1)
		if at/per >= int(*n.slots()) {
			return reach(level) - at, moved
		}
		slot, at, span = n.slot(at/per), at%per, per
	}
	return span - at, moved
}

// Nodes returns how many nodes freeing the string would visit, at most.
func (p Paged) Nodes() int { return pageCount(p.Len()) + 1 }

func freeNodes(a *arena.Arena, ref arena.Ref, budget *int) (gone bool) {
	n := nodeAt(a.Space(), ref)
	if n.level() > 0 {
		used := n.slots()
		for ; *used > 0; *used-- {
			if child := *n.slot(int(*used) - 1); child != 0 && !freeNodes(a, child, budget) {
				return false
			}
		}
	}
	if *budget <= 0 {
		return false
	}
	*budget--
	a.Free(ref, n.sizeBytes())
	return true
}

// Pin returns the number that SetPin noted in the descriptor; it means nothing here.
func (p Paged) Pin() uint32 { return p.pin }

// SetPin notes a number in the descriptor.
func (p *Paged) SetPin(id uint32) { p.pin = id }
