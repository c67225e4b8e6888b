package tree

import "fulmen/shard/arena"

// Place is where an item is as long as its tree does not change: smaller than a Path, and without pointers.
type Place struct {
	leaf arena.Ref
	i    uint32
}

// Place returns the place of the item at p.
func (p *Path) Place() Place {
	l := p.leaf()
	return Place{arena.Ref(uintptr(l.n.p)-uintptr(p.space.Base())) >> 3, uint32(l.i)}
}

// BodyAt returns the body of the item at a place, in the node or appended to the empty buf, as Path.View does.
func (t *Tree) BodyAt(space *arena.Space, at Place, buf []byte) []byte {
	n := treeNode{space.Pointer(at.leaf)}
	off := *n.offset(t.order, int(at.i))
	if off&spilled == 0 {
		return n.body(off)
	}
	s := LoadPaged(n.spill(off))
	return s.AppendRange(buf[:0], space, 0, s.Len())
}
