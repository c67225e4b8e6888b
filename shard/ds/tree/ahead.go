package tree

import "fulmen/shard/arena"

// Looking an item up in a big tree means waiting for memory, two or three times one after the other. Who has several to
// look up gets them all under way first: Ahead goes down to an item's leaf and has the slots fetched where the item
// should be, Body and Value go on from there when those have arrived. So the waits of all of them fall together.
// What is not found so may be there: the first item of a leaf is looked for in the leaf before, where equal keys may
// begin, and missed, and of equal keys only the first is looked at.

// Ahead is a lookup under way. It is valid until the next change of the tree.
type Ahead struct {
	n      treeNode
	items  int
	key    uint64
	lo, hi uint64
	i      int // the item, once Body has found it; -1: it has not
}

// Ahead begins to look up a key in a tree ordered by keys.
func (t *Tree) Ahead(space *arena.Space, key uint64) Ahead {
	if t.root == 0 {
		return Ahead{}
	}
	n := treeNode{space.Pointer(t.root)}
	a := Ahead{key: key, items: n.len(), hi: keyEnd(t.order), i: -1}
	for level := n.level(); level > 0; level-- {
		i := max(n.search(innerSlot, true, key, a.items, a.lo, a.hi)-1, 0)
		a.lo = *n.bound(i)
		if i+1 < a.items {
			a.hi = *n.bound(i + 1)
		}
		a.items = int(*n.count(i))
		n = treeNode{space.Pointer(*n.child(i))}
		if level > 1 {
			a.items = n.len()
		}
	}
	a.n = n
	stride := uintptr(layouts[t.order].slot)
	at := uintptr(n.p) + treeHeader + uintptr(guess(key, a.items, a.lo, a.hi))*stride
	arena.PrefetchSpan(at-4*stride, 8*stride)
	return a
}

// slot returns the first slot whose key is at least the one that is looked up.
func (a *Ahead) slot(o Order) (i int, found bool) {
	l := &layouts[o]
	if a.items == 0 {
		return 0, false
	}
	i = a.n.search(uintptr(l.slot), l.key == 8, a.key, a.items, a.lo, a.hi)
	return i, i < a.items && a.n.key(o, i) == a.key
}

// Body has the item's body fetched, in a tree of order o, which has bodies.
func (a *Ahead) Body(o Order) {
	if i, found := a.slot(o); found {
		a.i = i
		arena.Prefetch(uintptr(a.n.p) + uintptr(*a.n.offset(o, i)&^spilled))
	}
}

// Is reports whether the item that Body has found is that of a member, which is its body; false: or that is not known.
func (a *Ahead) Is(o Order, member []byte) bool {
	if a.items == 0 || a.i < 0 {
		return false
	}
	off := *a.n.offset(o, a.i)
	return off&spilled == 0 && string(a.n.body(off)) == string(member)
}

// Value returns the item's value, in a tree of order o, which has values; false if it is not there.
func (a *Ahead) Value(o Order) (value uint64, found bool) {
	if i, found := a.slot(o); found {
		return *a.n.value(o, i), true
	}
	return 0, false
}
