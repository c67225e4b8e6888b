package tree

import (
	"fulmen/shard/arena"
)

// Delete removes k items from p on, which must lie in one leaf: p's LeafLeft says how many do. p is invalid afterwards.
func (t *Tree) Delete(h *Heap, p *Path, k int) {
	t.ownPath(h, p)
	l := p.leaf()
	if layouts[t.order].body {
		t.dropBodies(h, l, k)
	}
	l.n.cutSlots(t.order, l.i, l.i+k)
	t.n -= uint64(k)
	for d := range p.depth - 1 {
		s := &p.steps[d]
		*s.n.count(s.i) -= uint64(k)
	}
	for d := p.depth - 1; d >= 0 && t.settle(h, p, d); d-- {
	}
	t.lower(h)
}

// LeafLeft returns how many items from p on lie in its leaf.
func (p *Path) LeafLeft() int {
	if p.depth == 0 {
		return 0
	}
	return p.leaf().n.len() - p.leaf().i
}

// DeleteRange removes the items from rank `from` up to, not including, `to`.
func (t *Tree) DeleteRange(h *Heap, from, to int) {
	var p Path
	for left := min(to, t.Len()) - from; left > 0; {
		t.At(h.Arena.Space(), &p, from)
		k := min(left, p.LeafLeft())
		t.Delete(h, &p, k)
		left -= k
	}
}

// dropBodies gives up the bodies of k items.
func (t *Tree) dropBodies(h *Heap, l *step, k int) {
	if k == l.n.len() && *l.n.spills() == 0 {
		return // the node goes as a whole
	}
	waste := 0
	for i := l.i; i < l.i+k; i++ {
		off := *l.n.offset(t.order, i)
		waste += l.n.bodySize(off)
		if off&spilled != 0 {
			h.dropPaged(LoadPaged(l.n.spill(off)))
			*l.n.spills()--
		}
	}
	*l.n.u16(10) += uint16(waste)
}

// settle takes care of the node of step d after something was taken out of it, and reports whether its parent has lost
// a slot by that.
func (t *Tree) settle(h *Heap, p *Path, d int) (up bool) {
	n := p.steps[d].n
	if n.len() == 0 {
		h.drop(*t.slot(p, d), n.size())
		if d == 0 {
			t.root = 0
			return false
		}
		parent := &p.steps[d-1]
		parent.n.cutSlots(t.order, parent.i, parent.i+1)
		return true
	}
	used := n.used(t.order)
	if used < merging && d > 0 && t.join(h, p, d) {
		return true
	}
	if used*3 < n.size() && n.size() > 2*smallest {
		t.resize(h, p, d, used)
	}
	return false
}

// join makes one node of the one of step d and its left or right neighbour under the same parent, if one of them is
// small enough.
func (t *Tree) join(h *Heap, p *Path, d int) bool {
	parent := &p.steps[d-1]
	for _, i := range [2]int{parent.i - 1, parent.i} {
		if i < 0 || i+1 >= parent.n.len() {
			continue
		}
		a := treeNode{p.space.Pointer(*parent.n.child(i))}
		b := treeNode{p.space.Pointer(*parent.n.child(i + 1))}
		sum := a.used(t.order) + b.used(t.order) - treeHeader
		if sum > NodeBytes*3/4 {
			continue
		}
		ref, n := h.newTreeNode(a.level(), sum+sum/8-treeHeader)
		n.appendItems(t.order, a, 0, a.len())
		n.appendItems(t.order, b, 0, b.len())
		h.drop(*parent.n.child(i), a.size())
		h.drop(*parent.n.child(i + 1), b.size())
		*parent.n.child(i) = ref
		*parent.n.count(i) += *parent.n.count(i + 1)
		parent.n.cutSlots(t.order, i+1, i+2)
		return true
	}
	return false
}

// lower takes roots away that have one child only.
func (t *Tree) lower(h *Heap) {
	for t.root != 0 {
		n := treeNode{h.Arena.Space().Pointer(t.root)}
		if n.level() == 0 || n.len() > 1 {
			return
		}
		child := *n.child(0)
		h.drop(t.root, n.size())
		t.root = child
	}
}

// FreeSome frees nodes of a tree that nobody reads any more, from its end, until *budget of them are gone, and reports
// whether nothing is left.
func (t *Tree) FreeSome(a *arena.Arena, budget *int) (done bool) {
	if t.root != 0 && t.freeNode(a, t.root, budget) {
		t.root, t.n = 0, 0
	}
	return t.root == 0
}

func (t *Tree) freeNode(a *arena.Arena, ref arena.Ref, budget *int) (gone bool) {
	n := treeNode{a.Space().Pointer(ref)}
	if n.level() > 0 {
		for i := n.len() - 1; i >= 0; i-- {
			if !t.freeNode(a, *n.child(i), budget) {
				return false
			}
			n.setLen(i)
		}
	} else if *n.spills() > 0 {
		for i := n.len() - 1; i >= 0; i-- {
			off := *n.offset(t.order, i)
			if off&spilled == 0 {
				continue
			}
			s := LoadPaged(n.spill(off))
			gone := s.FreeSome(a, budget)
			s.Store(n.spill(off))
			if !gone {
				return false
			}
			*n.offset(t.order, i) &^= spilled
		}
		*n.spills() = 0
	}
	if *budget <= 0 {
		return false
	}
	*budget--
	a.Free(ref, n.size())
	return true
}

// Nodes returns about how many nodes freeing the tree would visit, at least.
func (t *Tree) Nodes(space *arena.Space) int {
	if t.root == 0 {
		return 0
	}
	n := treeNode{space.Pointer(t.root)}
	if n.level() == 0 {
		k := 1
		if *n.spills() > 0 {
			t.Blocks(space, func(arena.Ref, int) { k++ })
		}
		return k
	}
	k := n.len()
	for range n.level() - 1 {
		k *= NodeBytes / innerSlot / 2
	}
	if l := &layouts[t.order]; l.paged {
		k *= NodeBytes / (int(l.slot) + PagedSize) / 2
	}
	return k + 1
}
