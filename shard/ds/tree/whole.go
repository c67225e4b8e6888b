package tree

import (
	"fulmen/shard/arena"
)

// Blocks calls fn for the block of each node, those of spilled bodies included.
func (t *Tree) Blocks(space *arena.Space, fn func(ref arena.Ref, size int)) {
	if t.root != 0 {
		t.blocks(space, t.root, fn)
	}
}

func (t *Tree) blocks(space *arena.Space, ref arena.Ref, fn func(ref arena.Ref, size int)) {
	n := treeNode{space.Pointer(ref)}
	fn(ref, n.size())
	if n.level() > 0 {
		for i := range n.len() {
			t.blocks(space, *n.child(i), fn)
		}
		return
	}
	t.eachSpill(n, func(s *Paged) { s.Blocks(space, fn) })
}

// eachSpill calls fn for each spilled body of a leaf; what fn changes is stored.
func (t *Tree) eachSpill(n treeNode, fn func(s *Paged)) {
	if *n.spills() == 0 {
		return
	}
	for i := range n.len() {
		if off := *n.offset(t.order, i); off&spilled != 0 {
			s := LoadPaged(n.spill(off))
			fn(&s)
			s.Store(n.spill(off))
		}
	}
}

// UsedBytes returns the arena memory of the tree's nodes, by visiting them.
func (t *Tree) UsedBytes(space *arena.Space) (sum int) {
	t.Blocks(space, func(_ arena.Ref, size int) { sum += arena.UsableSize(size) })
	return sum
}

// Clone returns a copy of the tree with nodes of h's.
func (t *Tree) Clone(h *Heap) Tree {
	c := *t
	if t.root != 0 {
		c.root = t.clone(h, t.root)
	}
	return c
}

func (t *Tree) clone(h *Heap, ref arena.Ref) arena.Ref {
	n := treeNode{h.Arena.Space().Pointer(ref)}
	to := h.Arena.Copy(ref, n.size())
	c := treeNode{h.Arena.Space().Pointer(to)}
	*(*uint32)(c.p) = h.Version
	if n.level() > 0 {
		for i := range c.len() {
			*c.child(i) = t.clone(h, *n.child(i))
		}
		return to
	}
	t.eachSpill(c, func(s *Paged) { *s = s.Clone(h) })
	return to
}

// MoveSome moves nodes that a wants to have elsewhere (arena.Misplaced), those on the way to the items from rank `from`
// on, until it has looked at budget leaves. It returns the rank to go on with, 0 at the end, and how many nodes were
// moved and leaves looked at. Nodes must have been announced as moving and must not be pinned, and Store is the
// caller's. The tree may change between two calls.
func (t *Tree) MoveSome(a *arena.Arena, from uint64, budget int) (next uint64, moved, looked int) {
	space := a.Space()
	for from < t.n {
		if looked >= budget {
			return from, moved, looked
		}
		slot, left := &t.root, from
		for {
			n := treeNode{space.Pointer(*slot)}
			if a.Misplaced(*slot) {
				old := *slot
				*slot = a.Copy(old, n.size())
				a.Free(old, n.size())
				n = treeNode{space.Pointer(*slot)}
				moved++
			}
			if n.level() == 0 {
				t.eachSpill(n, func(s *Paged) {
					_, k, pages := s.MoveSome(a, 0, max(budget-looked, 1)) // a longer one keeps its end where it is
					moved += k
					looked += pages
				})
				from += uint64(n.len()) - left
				break
			}
			i := 0
			for ; left >= *n.count(i); i++ {
				left -= *n.count(i)
			}
			slot = n.child(i)
		}
		looked++
	}
	return 0, moved, looked
}
