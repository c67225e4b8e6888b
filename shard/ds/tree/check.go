package tree

import (
	"fmt"

	"fulmen/shard/arena"
)

// Check returns what is wrong with the tree, by visiting all of it.
func (t *Tree) Check(space *arena.Space) error {
	if t.root == 0 {
		if t.n != 0 {
			return fmt.Errorf("tree: %d items and no root", t.n)
		}
		return nil
	}
	c := checker{tree: t, space: space}
	root := treeNode{space.Pointer(t.root)}
	if root.level() > 0 && root.len() < 2 {
		return fmt.Errorf("tree: the root has %d children", root.len())
	}
	n, err := c.node(t.root, root.level())
	if err == nil && n != t.n {
		err = fmt.Errorf("tree: %d items, said to be %d", n, t.n)
	}
	return err
}

// checker visits items from left to right.
type checker struct {
	tree  *Tree
	space *arena.Space
	any   bool
	last  uint64
	value uint64 // of the item before if its key is last; ByID
	some  bool   // there is such an item
	body  []byte
	buf   []byte
}

func (c *checker) node(ref arena.Ref, level int) (items uint64, err error) {
	n := treeNode{c.space.Pointer(ref)}
	o := c.tree.order
	switch {
	case n.level() != level:
		return 0, fmt.Errorf("tree: level %d below one of %d", n.level(), level+1)
	case n.len() == 0:
		return 0, fmt.Errorf("tree: an empty node")
	case n.size() > NodeBytes || n.gap(o) < 0:
		return 0, fmt.Errorf("tree: %d bytes, %d between slots and bodies", n.size(), n.gap(o))
	case n.used(o) > n.size():
		return 0, fmt.Errorf("tree: %d of %d bytes used", n.used(o), n.size())
	}
	if level == 0 {
		return uint64(n.len()), c.leaf(n)
	}
	for i := range n.len() {
		if o != ByRank && c.any && *n.bound(i) < c.last {
			return 0, fmt.Errorf("tree: bound %x, %x left of it", *n.bound(i), c.last)
		}
		if !c.any || *n.bound(i) > c.last {
			c.any, c.last, c.body, c.some = true, *n.bound(i), nil, false
		}
		k, err := c.node(*n.child(i), level-1)
		if err != nil {
			return 0, err
		}
		if k != *n.count(i) {
			return 0, fmt.Errorf("tree: %d items under a child, said to be %d", k, *n.count(i))
		}
		items += k
	}
	return items, nil
}

func (c *checker) leaf(n treeNode) error {
	o := c.tree.order
	bytes, spills := 0, uint32(0)
	for i := range n.len() {
		key := n.key(o, i)
		if c.any && key < c.last {
			return fmt.Errorf("tree: key %x behind %x", key, c.last)
		}
		same := c.any && key == c.last
		c.any, c.last = true, key
		if !layouts[o].body {
			continue
		}
		off := *n.offset(o, i)
		bytes += n.bodySize(off)
		var body []byte
		if off&spilled != 0 {
			spills++
			s := LoadPaged(n.spill(off))
			if s.Len() <= MaxInline && !layouts[o].paged {
				return fmt.Errorf("tree: %d bytes spilled", s.Len())
			}
			c.buf = s.AppendRange(c.buf[:0], c.space, 0, s.Len())
			body = c.buf
		} else {
			body = n.body(off)
		}
		if o == ByID {
			if v := *n.value(o, i); same && c.some && v <= c.value {
				return fmt.Errorf("tree: value %x behind %x", v, c.value)
			}
			c.value, c.some = *n.value(o, i), true
		}
		if o == ByScore {
			if same && string(body) < string(c.body) {
				return fmt.Errorf("tree: %q behind %q", body, c.body)
			}
			c.body = append(c.body[:0], body...)
		}
	}
	if bytes != n.size()-n.low()-n.waste() || spills != *n.spills() {
		return fmt.Errorf("tree: bodies have %d bytes, %d spilled; said to be %d and %d",
			bytes, spills, n.size()-n.low()-n.waste(), *n.spills())
	}
	return nil
}
