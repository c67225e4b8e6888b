package object

import (
	"encoding/binary"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
)

// TreesSize is the size in bytes of the payload of a value in trees: u32 the number of its pin, u32 a note, and the
// descriptors of two trees.
const TreesSize = 8 + 2*tree.TreeSize

// treeOrders are the orders of a kind's trees. A kind with one tree leaves the second empty.
var treeOrders = [kindCount][2]tree.Order{
	ListTree: {tree.ByRank, tree.ByRank},
	SetTree:  {tree.ByHash, tree.ByValue},      // members that are no integers, and those that are
	ZSetTree: {tree.ByScore, tree.ByHashScore}, // members by score, and scores by member
	HashTree: {tree.ByHashPair, tree.ByScore},  // fields, and those with an expiry by that
	// nodes of entries, and what there is of consumer groups (groups.go)
	StreamTree: {tree.ByID, tree.ByScore},
}

// Trees are the trees of a value of a kind that is kept in trees. What they are is said at treeOrders.
type Trees struct {
	A, B tree.Tree
	pin  uint32
	// Note is a number that means something to who changes the value.
	Note uint32
}

// NewTrees returns empty trees for a kind.
func NewTrees(k Kind) Trees {
	var none [TreesSize]byte
	return LoadTrees(k, none[:])
}

// LoadTrees reads the trees of a value of the given kind from an entry's payload.
func LoadTrees(k Kind, payload []byte) Trees {
	o := &treeOrders[k]
	return Trees{
		pin:  binary.LittleEndian.Uint32(payload),
		Note: binary.LittleEndian.Uint32(payload[4:]),
		A:    tree.LoadTree(payload[8:], o[0]),
		B:    tree.LoadTree(payload[8+tree.TreeSize:], o[1]),
	}
}

// TreeLen returns the number of items in the first tree of a value that is kept in trees.
func TreeLen(payload []byte) int {
	t := tree.LoadTree(payload[8:], tree.ByRank)
	return t.Len()
}

// Store writes the trees' descriptors to an entry's payload.
func (t *Trees) Store(payload []byte) {
	binary.LittleEndian.PutUint64(payload, uint64(t.pin)|uint64(t.Note)<<32)
	t.A.Store(payload[8:])
	t.B.Store(payload[8+tree.TreeSize:])
}

// hasNodes says of a kind whether its values are made of nodes beside the entry.
func (k Kind) hasNodes() bool {
	return k == StringPaged || k > StringPaged && k&1 == 1 || k == StreamTree
}

// HasNodes reports whether values of entries with the given tag are made of nodes beside the entry.
func HasNodes(tag byte) bool { return KindOf(tag).hasNodes() }

// Nodes are all nodes of a value beside its entry, whatever its kind.
type Nodes struct {
	kind  Kind
	paged tree.Paged
	trees Trees
}

// NodesOf returns the nodes of the value in e; HasNodes says whether it has any.
func NodesOf(e index.Entry) Nodes {
	k := KindOf(e.Tag())
	switch {
	case !k.hasNodes():
		return Nodes{}
	case k == StringPaged:
		return Nodes{kind: k, paged: tree.LoadPaged(e.Payload())}
	}
	return Nodes{kind: k, trees: LoadTrees(k, e.Payload())}
}

// NodesOfPaged returns the nodes of a paged string.
func NodesOfPaged(p tree.Paged) Nodes { return Nodes{kind: StringPaged, paged: p} }

// IsPaged reports whether the nodes are a string's.
func (n *Nodes) IsPaged() bool { return n.kind == StringPaged }

// NodesOfTrees returns the nodes of the trees of a value of the given kind.
func NodesOfTrees(k Kind, t Trees) Nodes { return Nodes{kind: k, trees: t} }

// Paged returns the paged string that the nodes are, and Trees the trees.
func (n *Nodes) Paged() tree.Paged { return n.paged }

// Trees returns the trees that the nodes are of, if they are of no string.
func (n *Nodes) Trees() *Trees { return &n.trees }

// Pin returns the number of the value's pin, 0 = none.
func (n *Nodes) Pin() uint32 {
	if n.kind == StringPaged {
		return n.paged.Pin()
	}
	return n.trees.pin
}

// SetPin notes the number of the value's pin.
func (n *Nodes) SetPin(id uint32) {
	if n.kind == StringPaged {
		n.paged.SetPin(id)
	} else {
		n.trees.pin = id
	}
}

// Store writes what refers to the nodes to a payload, at its beginning; a stream's says more behind that.
func (n *Nodes) Store(payload []byte) {
	if n.kind == StringPaged {
		n.paged.Store(payload)
	} else {
		n.trees.Store(payload)
	}
}

// Count returns about how many nodes there are, at least, without visiting many.
func (n *Nodes) Count(space *arena.Space) int {
	switch {
	case n.kind == StringPaged:
		return n.paged.Nodes()
	case n.kind.hasNodes():
		return n.trees.A.Nodes(space) + n.trees.B.Nodes(space)
	}
	return 0
}

// FreeSome frees nodes that nobody reads any more until *budget of them are gone, and reports whether nothing is left.
func (n *Nodes) FreeSome(a *arena.Arena, budget *int) (done bool) {
	switch {
	case n.kind == StringPaged:
		return n.paged.FreeSome(a, budget)
	case n.kind.hasNodes():
		return n.trees.A.FreeSome(a, budget) && n.trees.B.FreeSome(a, budget)
	}
	return true
}

// Clone returns a copy with nodes of h's, whosever the nodes are.
func (n *Nodes) Clone(h *tree.Heap) Nodes {
	c := *n
	switch {
	case n.kind == StringPaged:
		c.paged = n.paged.Clone(h)
	case n.kind.hasNodes():
		c.trees = Trees{A: n.trees.A.Clone(h), B: n.trees.B.Clone(h), Note: n.trees.Note}
	}
	return c
}

// Blocks calls fn for the block of each node.
func (n *Nodes) Blocks(space *arena.Space, fn func(ref arena.Ref, size int)) {
	switch {
	case n.kind == StringPaged:
		n.paged.Blocks(space, fn)
	case n.kind.hasNodes():
		n.trees.A.Blocks(space, fn)
		n.trees.B.Blocks(space, fn)
	}
}

// UsedBytes returns the memory of all nodes, by visiting them.
func (n *Nodes) UsedBytes(space *arena.Space) (sum int) {
	n.Blocks(space, func(_ arena.Ref, size int) { sum += arena.UsableSize(size) })
	return sum
}

// second marks a place in a value's second tree.
const second = 1 << 63

// MoveNodes moves nodes of the value in e that a wants to have elsewhere (arena.Misplaced), from place `at` on, 0 being
// the beginning, looking at about budget nodes. It returns the place to go on with, 0 at the end, and how many nodes
// were moved and looked at. A place stays good while the value changes: it is one in the order of its content. The
// index must have been told (Index.BeforeMove), and the value must not be pinned.
func MoveNodes(a *arena.Arena, e index.Entry, at uint64, budget int) (next uint64, moved, looked int) {
	n := NodesOf(e)
	switch {
	case n.kind == StringPaged:
		next, moved, looked = n.paged.MoveSome(a, at, budget)
	case n.kind.hasNodes() && at&second == 0:
		if next, moved, looked = n.trees.A.MoveSome(a, at, budget); next == 0 && n.trees.B.Len() > 0 {
			next = second
		}
	case n.kind.hasNodes():
		if next, moved, looked = n.trees.B.MoveSome(a, at&^second, budget); next != 0 {
			next |= second
		}
	}
	if moved > 0 {
		n.Store(e.Payload())
	}
	return next, moved, looked
}

// Pin returns the number of the value's pin, 0 = none.
func (t *Trees) Pin() uint32 { return t.pin }
