package tree

import (
	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// ownPath makes the nodes on the way to p writable.
func (t *Tree) ownPath(h *Heap, p *Path) {
	if h.Pin == nil {
		return
	}
	slot := &t.root
	for d := range p.depth {
		s := &p.steps[d]
		s.n = treeNode{h.own(slot, s.n.size())}
		if d < p.depth-1 {
			slot = s.n.child(s.i)
		}
	}
}

// slot returns where the reference of the node of step d is.
func (t *Tree) slot(p *Path, d int) *arena.Ref {
	if d == 0 {
		return &t.root
	}
	return p.steps[d-1].n.child(p.steps[d-1].i)
}

// Insert puts an item before p, which must be where the order wants it. Its body, in an order that has bodies, is the
// parts one after the other; they must not lie in the tree. p is invalid afterwards.
func (t *Tree) Insert(h *Heap, p *Path, key, value uint64, parts ...[]byte) {
	lay := &layouts[t.order]
	length := partsLen(parts)
	need := int(lay.slot) + t.bodyNeed(length)
	var big Paged
	spill := lay.body && (length > MaxInline || lay.paged)
	if spill {
		big = spillOf(h, parts)
	}
	if t.root == 0 {
		ref, n := h.newTreeNode(0, need)
		t.root = ref
		p.space, p.order, p.depth = h.Arena.Space(), t.order, 1
		p.steps[0] = step{n, 0}
	} else {
		t.ownPath(h, p)
		t.makeRoom(h, p, 0, need, key, false)
	}
	l := p.leaf()
	at := l.n.insertSlot(t.order, l.i)
	switch lay.key {
	case 4:
		*(*uint32)(l.n.at(at)) = uint32(key)
	case 8:
		*(*uint64)(l.n.at(at)) = key
	}
	if lay.val > 0 {
		*l.n.value(t.order, l.i) = value
	}
	if lay.body {
		if spill {
			l.n.putSpill(t.order, l.i, big)
		} else {
			l.n.putBody(t.order, l.i, parts, length)
		}
	}
	t.n++
	for d := range p.depth - 1 {
		s := &p.steps[d]
		*s.n.count(s.i)++
		if b := s.n.bound(s.i); key < *b {
			*b = key
		}
	}
}

func partsLen(parts [][]byte) (n int) {
	for _, b := range parts {
		n += len(b)
	}
	return n
}

// bodyNeed returns the bytes that a body of the given length takes in a leaf.
func (t *Tree) bodyNeed(length int) int {
	switch {
	case !layouts[t.order].body:
		return 0
	case length > MaxInline || layouts[t.order].paged:
		return PagedSize
	}
	return length + lengthSize(length)
}

// spillOf writes the parts to a paged string.
func spillOf(h *Heap, parts [][]byte) (p Paged) {
	for _, b := range parts {
		p.Write(h, p.Len(), b)
	}
	return p
}

// makeRoom sees to it that there are need bytes between slots and bodies of the node k levels above the leaf; p stays
// at its item, or, unless there must be one, at the place between two. key is what is going to be inserted there.
func (t *Tree) makeRoom(h *Heap, p *Path, k, need int, key uint64, item bool) {
	s := &p.steps[p.depth-1-k]
	if s.n.gap(t.order) >= need {
		return
	}
	used := s.n.used(t.order)
	if used+need <= NodeBytes {
		t.resize(h, p, p.depth-1-k, used+need)
		return
	}
	t.split(h, p, k, need, key, item)
}

// resize moves the node of step d to a block for `used` bytes and some more.
func (t *Tree) resize(h *Heap, p *Path, d, used int) {
	s := &p.steps[d]
	more := used / 8
	if left, right := p.edge(d); d > 0 && (left || right) {
		more = used // there is more to come, mostly
	} else if used < NodeBytes/4 {
		more = used / 2
	}
	ref, n := h.newTreeNode(s.n.level(), min(used+more, NodeBytes)-treeHeader)
	n.appendItems(t.order, s.n, 0, s.n.len())
	slot := t.slot(p, d)
	h.drop(*slot, s.n.size())
	*slot, s.n = ref, n
}

// edge reports whether step d is at the very left or the very right of the tree.
func (p *Path) edge(d int) (left, right bool) {
	left, right = true, true
	for j := range d + 1 {
		s := &p.steps[j]
		last := s.n.len() - 1
		if j == p.depth-1 {
			last++
		}
		left = left && s.i == 0
		right = right && s.i == last
	}
	return left, right
}

// splitAt chooses how many items stay in the left half of the node of step d.
func (t *Tree) splitAt(p *Path, d int) int {
	n := p.steps[d].n
	last := n.len()
	leaf := d == p.depth-1
	switch left, right := p.edge(d); {
	case right && leaf:
		return last
	case right:
		return last - 1
	case left && leaf:
		return 0
	case left:
		return 1
	}
	if leaf && layouts[t.order].body {
		half := (n.used(t.order) - treeHeader) / 2
		m, sum := 0, 0
		for ; sum < half; m++ {
			sum += n.span(t.order, m, m+1)
		}
		return min(max(m, 1), last-1)
	}
	return last / 2
}

// split makes two nodes of the one k levels above the leaf, p being at the one that has room for need more bytes then.
func (t *Tree) split(h *Heap, p *Path, k, need int, key uint64, item bool) {
	if p.depth-1-k == 0 {
		t.raise(h, p)
	} else {
		t.makeRoom(h, p, k+1, innerSlot, key, false)
	}
	d := p.depth - 1 - k
	s, up := &p.steps[d], &p.steps[d-1]
	n := s.n
	last := n.len()
	m := t.splitAt(p, d)
	if item { // nothing is inserted: both halves must have something
		m = min(max(m, 1), last-1)
	}
	goRight := s.i > m || s.i == m && (item || k > 0 || m == last)
	bound := key
	if m < last {
		bound = n.firstBound(t.order, m)
	}
	leftNeed, rightNeed := need, 0
	if goRight {
		leftNeed, rightNeed = 0, need
	}
	leftRef, left := *up.n.child(up.i), n
	if m < last {
		leftRef, left = t.part(h, n, 0, m, leftNeed)
	}
	rightRef, right := *up.n.child(up.i), n
	if m > 0 {
		rightRef, right = t.part(h, n, m, last, rightNeed)
	}
	if m > 0 && m < last {
		h.drop(*up.n.child(up.i), n.size())
	}
	total := *up.n.count(up.i)
	*up.n.child(up.i), *up.n.count(up.i) = leftRef, left.items()
	up.n.insertSlot(t.order, up.i+1)
	*up.n.bound(up.i + 1), *up.n.child(up.i + 1), *up.n.count(up.i + 1) = bound, rightRef, right.items()
	invariant.Check(left.items()+right.items() == total, "tree: a split lost items")
	s.n = left
	if goRight {
		up.i++
		s.n, s.i = right, s.i-m
	}
	t.makeRoom(h, p, k, need, key, item) // at an edge the node may be there from before
}

// part makes a node of items i to j of another one, with room for need more bytes.
func (t *Tree) part(h *Heap, from treeNode, i, j, need int) (arena.Ref, treeNode) {
	span := from.span(t.order, i, j) + need
	ref, n := h.newTreeNode(from.level(), min(span+span/8, NodeBytes-treeHeader))
	n.appendItems(t.order, from, i, j)
	return ref, n
}

// firstBound returns a bound for what begins with slot i.
func (n treeNode) firstBound(o Order, i int) uint64 {
	if n.level() > 0 {
		return *n.bound(i)
	}
	return n.key(o, i)
}

// items returns the number of items in the node and under it.
func (n treeNode) items() (sum uint64) {
	if n.level() == 0 {
		return uint64(n.len())
	}
	for i := range n.len() {
		sum += *n.count(i)
	}
	return sum
}

// raise puts a new root above the root.
func (t *Tree) raise(h *Heap, p *Path) {
	old := p.steps[0].n
	ref, n := h.newTreeNode(old.level()+1, 2*innerSlot)
	n.insertSlot(t.order, 0)
	*n.bound(0), *n.child(0), *n.count(0) = old.firstBound(t.order, 0), t.root, t.n
	t.root = ref
	copy(p.steps[1:], p.steps[:p.depth])
	p.steps[0] = step{n, 0}
	p.depth++
}

// SetValue changes the value of the item at p, which stays valid.
func (t *Tree) SetValue(h *Heap, p *Path, value uint64) {
	t.ownPath(h, p)
	*p.leaf().n.value(t.order, p.leaf().i) = value
}

// OwnBody makes the spilled body of the item at p writable and returns it: it may be written to until the next change
// of the tree, and PutBody must follow. p stays valid.
func (t *Tree) OwnBody(h *Heap, p *Path) Paged {
	t.ownPath(h, p)
	return p.Spilled()
}

// PutBody puts back what OwnBody has given.
func (p *Path) PutBody(s Paged) {
	l := p.leaf()
	s.Store(l.n.spill(*l.n.offset(p.order, l.i)))
}

// PatchBody writes b over the body of the item at p, at an offset; its length stays, and so does p.
func (t *Tree) PatchBody(h *Heap, p *Path, at int, b []byte) {
	t.ownPath(h, p)
	l := p.leaf()
	off := *l.n.offset(t.order, l.i)
	if off&spilled == 0 {
		copy(l.n.body(off)[at:], b)
		return
	}
	s := LoadPaged(l.n.spill(off))
	s.Write(h, at, b)
	s.Store(l.n.spill(off))
}

// SetBody changes the body of the item at p; the member of a pair, and what the order is by, stays. The parts must not
// lie in the tree. p is invalid afterwards.
func (t *Tree) SetBody(h *Heap, p *Path, parts ...[]byte) {
	t.ownPath(h, p)
	length := partsLen(parts)
	l := p.leaf()
	off := l.n.offset(t.order, l.i)
	spill := length > MaxInline || layouts[t.order].paged
	if *off&spilled == 0 && !spill {
		if b := l.n.body(*off); len(b) == length {
			for _, part := range parts {
				b = b[copy(b, part):]
			}
			return
		}
	}
	var big Paged
	if spill {
		big = spillOf(h, parts)
	}
	t.emptyBody(h, l)
	t.makeRoom(h, p, 0, t.bodyNeed(length), p.Key(), true)
	l = p.leaf()
	*l.n.u16(10)++ // the empty body
	if spill {
		l.n.putSpill(t.order, l.i, big)
	} else {
		l.n.putBody(t.order, l.i, parts, length)
	}
}

// emptyBody drops the body of the item and leaves an empty one in its place.
func (t *Tree) emptyBody(h *Heap, l *step) {
	off := l.n.offset(t.order, l.i)
	*l.n.u16(10) += uint16(l.n.bodySize(*off) - 1)
	if *off&spilled != 0 {
		h.dropPaged(LoadPaged(l.n.spill(*off)))
		*l.n.spills()--
		*off &^= spilled
	}
	l.n.bytes(int(*off), int(*off)+1)[0] = 0
}
