package tree

import (
	"bytes"
	"cmp"
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// TreeSize is the size in bytes of a tree's descriptor.
const TreeSize = 16

// maxDepth is the greatest number of levels of a tree.
const maxDepth = 12

// Tree is the descriptor of a tree. The zero value with an order is an empty one.
type Tree struct {
	root  arena.Ref
	n     uint64
	order Order
}

// LoadTree reads a descriptor of a tree of the given order.
func LoadTree(b []byte, o Order) Tree {
	p := LoadPaged(b) // of the same form
	return Tree{p.root, u64(b), o}
}

// Store writes the descriptor.
func (t Tree) Store(b []byte) {
	_ = b[TreeSize-1]
	putU64(b, t.n)
	putU64(b[8:], uint64(t.root))
}

// Len returns the number of items.
func (t *Tree) Len() int { return int(t.n) }

// Order returns the tree's order.
func (t *Tree) Order() Order { return t.order }

// Path is a place in a tree: an item, or the end. It is made by First, Last, At, Seek, SeekScore, SeekID and
// Find.
type Path struct {
	space *arena.Space
	order Order
	depth int
	steps [maxDepth]step // from the root to the leaf
}

type step struct {
	n treeNode
	i int
}

func (p *Path) leaf() *step { return &p.steps[p.depth-1] }

// Valid reports whether p is at an item.
func (p *Path) Valid() bool { return p.depth > 0 && p.leaf().i < p.leaf().n.len() }

// Key returns the item's key.
func (p *Path) Key() uint64 { return p.leaf().n.key(p.order, p.leaf().i) }

// Value returns the item's value, in an order that has values.
func (p *Path) Value() uint64 { return *p.leaf().n.value(p.order, p.leaf().i) }

// Body returns the item's body if it lies in the node; false if it is spilled. The bytes must not be written to.
func (p *Path) Body() (b []byte, ok bool) {
	l := p.leaf()
	off := *l.n.offset(p.order, l.i)
	if off&spilled != 0 {
		return nil, false
	}
	return l.n.body(off), true
}

// Spilled returns the string that the body is if it is spilled.
func (p *Path) Spilled() Paged {
	l := p.leaf()
	return LoadPaged(l.n.spill(*l.n.offset(p.order, l.i)))
}

// BodyLen returns the length in bytes of the item's body.
func (p *Path) BodyLen() int {
	if b, ok := p.Body(); ok {
		return len(b)
	}
	s := p.Spilled()
	return s.Len()
}

// View returns the item's body, in place or appended to the empty buf.
func (p *Path) View(buf []byte) []byte {
	if b, ok := p.Body(); ok {
		return b
	}
	s := p.Spilled()
	return s.AppendRange(buf[:0], p.space, 0, s.Len())
}

// down goes from a child of the last step to the leaf on its left or right edge.
func (p *Path) down(ref arena.Ref, right bool) {
	for {
		n := treeNode{p.space.Pointer(ref)}
		i := 0
		if right {
			i = n.len() - 1
		}
		invariant.Check(p.depth < maxDepth, "tree: too deep")
		p.steps[p.depth] = step{n, i}
		p.depth++
		if n.level() == 0 {
			return
		}
		ref = *n.child(i)
	}
}

func (t *Tree) begin(space *arena.Space, p *Path) bool {
	p.space, p.order, p.depth = space, t.order, 0
	return t.root != 0
}

// First goes to the first item.
func (t *Tree) First(space *arena.Space, p *Path) {
	if t.begin(space, p) {
		p.down(t.root, false)
	}
}

// Last goes to the last item.
func (t *Tree) Last(space *arena.Space, p *Path) {
	if t.begin(space, p) {
		p.down(t.root, true)
	}
}

// End goes behind the last item.
func (t *Tree) End(space *arena.Space, p *Path) {
	t.Last(space, p)
	if p.depth > 0 {
		p.leaf().i++
	}
}

// Next goes to the next item, or to the end behind the last one.
func (p *Path) Next() {
	l := p.leaf()
	if l.i++; l.i < l.n.len() {
		return
	}
	p.nextLeaf()
}

// nextLeaf goes to the first item of the next leaf if there is one.
func (p *Path) nextLeaf() {
	for d := p.depth - 2; d >= 0; d-- {
		if s := &p.steps[d]; s.i+1 < s.n.len() {
			s.i++
			p.depth = d + 1
			p.down(*s.n.child(s.i), false)
			return
		}
	}
}

// Prev goes to the item before, and reports whether there is one; if not, p stays.
func (p *Path) Prev() bool {
	if p.depth == 0 {
		return false
	}
	if l := p.leaf(); l.i > 0 {
		l.i--
		return true
	}
	for d := p.depth - 2; d >= 0; d-- {
		if s := &p.steps[d]; s.i > 0 {
			s.i--
			p.depth = d + 1
			p.down(*s.n.child(s.i), true)
			return true
		}
	}
	return false
}

// At goes to the item of the given rank, from 0, or to the end.
func (t *Tree) At(space *arena.Space, p *Path, rank int) {
	if rank >= t.Len() {
		t.End(space, p)
		return
	}
	t.begin(space, p)
	ref, left := t.root, uint64(rank)
	for {
		n := treeNode{space.Pointer(ref)}
		i := 0
		if n.level() == 0 {
			i = int(left)
		} else {
			for c := *n.count(0); left >= c; c = *n.count(i) {
				left -= c
				i++
			}
		}
		p.steps[p.depth] = step{n, i}
		p.depth++
		if n.level() == 0 {
			return
		}
		ref = *n.child(i)
	}
}

// Rank returns the number of items before p.
func (p *Path) Rank() (rank int) {
	if p.depth == 0 {
		return 0
	}
	for _, s := range p.steps[:p.depth-1] {
		for i := range s.i {
			rank += int(*s.n.count(i))
		}
	}
	return rank + p.leaf().i
}

// Seek goes to the first item whose key is at least key, or to the end. The tree is ordered by keys.
func (t *Tree) Seek(space *arena.Space, p *Path, key uint64) {
	if !t.begin(space, p) {
		return
	}
	n := treeNode{space.Pointer(t.root)}
	items := n.len()
	lo, hi := uint64(0), keyEnd(t.order)
	for level := n.level(); level > 0; level-- {
		i := max(n.search(innerSlot, true, key, items, lo, hi)-1, 0)
		p.steps[p.depth] = step{n, i}
		p.depth++
		lo = *n.bound(i)
		if i+1 < items {
			hi = *n.bound(i + 1)
		}
		items = int(*n.count(i))
		n = treeNode{space.Pointer(*n.child(i))}
		if level > 1 {
			items = n.len()
		}
	}
	l := &layouts[t.order]
	p.steps[p.depth] = step{n, n.search(uintptr(l.slot), l.key == 8, key, items, lo, hi)}
	p.depth++
	if !p.Valid() {
		p.nextLeaf()
	}
}

// keyEnd is above, or the greatest of, all keys of an order.
func keyEnd(o Order) uint64 {
	if layouts[o].key == 4 {
		return 1 << 32
	}
	return 1<<64 - 1
}

// guess is where a key would be among n that are spread evenly from lo to hi. Hashes are: from there it is mostly less
// than sqrt(n) slots to the right place, so that one or two cache lines are looked at instead of five or six.
func guess(key uint64, n int, lo, hi uint64) int {
	if key <= lo {
		return 0
	}
	return min(int(float64(key-lo)/float64(hi-lo)*float64(n)), n-1)
}

// search returns the first of `items` slots whose key is at least key. Keys are spread evenly from lo to hi, begin
// every stride bytes and have eight bytes, or four.
func (n treeNode) search(stride uintptr, wide bool, key uint64, items int, lo, hi uint64) int {
	left, right := 0, items
	for g, step := guess(key, items, lo, hi), 4; left < right; step *= 4 {
		if n.keyAt(stride, wide, g) < key {
			left = g + 1
			if g += step; g >= right {
				break
			}
		} else {
			right = g
			if g -= step; g < left {
				break
			}
		}
	}
	for left < right {
		mid := int(uint(left+right) >> 1)
		if n.keyAt(stride, wide, mid) < key {
			left = mid + 1
		} else {
			right = mid
		}
	}
	return left
}

func (n treeNode) keyAt(stride uintptr, wide bool, i int) uint64 {
	at := unsafe.Add(n.p, treeHeader+uintptr(i)*stride)
	if wide {
		return *(*uint64)(at)
	}
	return uint64(*(*uint32)(at))
}

// Find goes to the item with the given key whose member is member, in an order by hash with bodies; if there is none,
// to where it would be inserted.
func (t *Tree) Find(space *arena.Space, p *Path, key uint64, member []byte) bool {
	for t.Seek(space, p, key); p.Valid() && p.Key() == key; p.Next() {
		if p.isMember(member) {
			return true
		}
	}
	return false
}

// isMember reports whether the member of the item at p is member.
func (p *Path) isMember(member []byte) bool {
	b, ok := p.Body()
	if !ok {
		s := p.Spilled()
		if p.order == ByHashPair {
			return spilledMember(&s, p.space, member)
		}
		return s.Equal(p.space, member)
	}
	if p.order == ByHashPair {
		b, _ = SplitPair(b)
	}
	return string(b) == string(member)
}

// SeekScore goes to the first item that is not before (key, member), or to the end; the tree's order is ByScore.
// It reports whether that item is the very one. (One descent for it and Seek was 4 % slower for Seek.)
func (t *Tree) SeekScore(space *arena.Space, p *Path, key uint64, member []byte) (found bool) {
	return t.seekBoth(space, p, key, 0, member)
}

// SeekID goes to the first item that is not before (key, value), or to the end; the tree's order is ByID. It reports
// whether that item is the very one.
func (t *Tree) SeekID(space *arena.Space, p *Path, key, value uint64) (found bool) {
	return t.seekBoth(space, p, key, value, nil)
}

// seekBoth is SeekScore and SeekID.
func (t *Tree) seekBoth(space *arena.Space, p *Path, key, value uint64, member []byte) (found bool) {
	if !t.begin(space, p) {
		return false
	}
	n := treeNode{space.Pointer(t.root)}
	items := n.len()
	lo, hi := uint64(0), keyEnd(t.order)
	for level := n.level(); level > 0; level-- {
		i := max(p.searchBoth(n, innerSlot, items, key, value, member, lo, hi)-1, 0)
		p.steps[p.depth] = step{n, i}
		p.depth++
		lo = *n.bound(i)
		if i+1 < items {
			hi = *n.bound(i + 1)
		}
		items = int(*n.count(i))
		n = treeNode{space.Pointer(*n.child(i))}
		if level > 1 {
			items = n.len()
		}
	}
	stride := uintptr(layouts[t.order].slot)
	p.steps[p.depth] = step{n, p.searchBoth(n, stride, items, key, value, member, lo, hi)}
	p.depth++
	if !p.Valid() {
		p.nextLeaf()
	}
	return p.Valid() && p.Key() == key && p.compareRest(p.leaf().n, p.leaf().i, value, member) == 0
}

// searchBoth returns the first slot of n whose item, or first item under it, is not before the key with value or
// member.
func (p *Path) searchBoth(n treeNode, stride uintptr, items int, key, value uint64, member []byte,
	lo, hi uint64) int {
	left := n.search(stride, true, key, items, lo, hi)
	right := left
	// To beyond those with the same key, or twice as far.
	for right < items && n.keyAt(stride, true, right) == key {
		right = min(right+max(right-left, 1), items)
	}
	for left < right {
		mid := int(uint(left+right) >> 1)
		if p.before(n, mid, key, value, member) {
			left = mid + 1
		} else {
			right = mid
		}
	}
	return left
}

// before reports whether slot i of n, or the first item under it, is before the key with value or member.
func (p *Path) before(n treeNode, i int, key, value uint64, member []byte) bool {
	if n.level() > 0 {
		if k := *n.bound(i); k != key {
			return k < key
		}
		for n.level() > 0 {
			n = treeNode{p.space.Pointer(*n.child(i))}
			i = 0
		}
	}
	if k := n.key(p.order, i); k != key {
		return k < key
	}
	return p.compareRest(n, i, value, member) < 0
}

// compareRest compares what leaf item i is ordered by beside its key: its value with value, in the order ByID, or its
// body with member.
func (p *Path) compareRest(n treeNode, i int, value uint64, member []byte) int {
	if p.order == ByID {
		return cmp.Compare(*n.value(ByID, i), value)
	}
	off := *n.offset(p.order, i)
	if off&spilled != 0 {
		s := LoadPaged(n.spill(off))
		return s.compare(p.space, member)
	}
	return bytes.Compare(n.body(off), member)
}
