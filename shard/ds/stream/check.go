package stream

import (
	"encoding/binary"
	"errors"

	"fulmen/internal/listpack"
)

// The faults of a node that comes from outside.
var (
	errListpack = errors.New("stream: a node is no listpack")
	errNode     = errors.New("stream: a node's entries are not what they should be")
	errOrder    = errors.New("stream: entries are not in the order of their IDs")
)

// Facts are what Check finds out about a node.
type Facts struct {
	Count int64 // entries that are there
	First ID    // of the first of these
	Last  ID    // of the last one
}

// Check looks at every byte of a node that comes from outside. Its ID must be above `after`, that of the node before or
// of the last entry there, unless first is set: there is none before.
func Check(b []byte, id, after ID, first bool) (f Facts, err error) {
	if len(b) < listpack.HeaderLen+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) ||
		b[len(b)-1] != listpack.End {
		return f, errListpack
	}
	c := checker{b: b[:len(b)-1], at: listpack.HeaderLen}
	count, deleted, fields := c.num(), c.num(), c.num()
	if c.bad || count < 0 || deleted < 0 || fields < 0 || fields > int64(len(b)) {
		return f, c.fault()
	}
	c.elements(fields)
	if c.num() != 0 || c.bad {
		return f, c.fault()
	}
	c.disorder = !first && !after.Less(id)
	for c.at < len(c.b) && !c.bad {
		c.entry(&f, id, fields)
		if count, deleted = c.count(count, deleted); count < 0 || deleted < 0 {
			c.bad = true
		}
	}
	n := int(binary.LittleEndian.Uint16(b[4:]))
	if c.bad || count != 0 || deleted != 0 || n != listpack.UnknownCount && n != c.n {
		return f, c.fault()
	}
	if c.disorder {
		return f, errOrder
	}
	return f, nil
}

// checker goes through the elements of a listpack, of which b is all but the end.
type checker struct {
	b        []byte
	at       int
	n        int // elements so far
	bad      bool
	noPack   bool // bad: it is no listpack
	disorder bool
	deleted  bool // the entry before is
}

func (c *checker) fault() error {
	if c.noPack {
		return errListpack
	}
	return errNode
}

// element reads the next element.
func (c *checker) element(e *listpack.Element) bool {
	if c.bad || !listpack.Read(c.b[c.at:], e) || e.Size > len(c.b)-c.at ||
		listpack.Back(c.b[:c.at+e.Size]) != e.Size {
		c.bad, c.noPack = true, true
		*e = listpack.Element{}
		return false
	}
	c.at += e.Size
	c.n++
	return true
}

// num reads the next element, which is a number.
func (c *checker) num() int64 {
	var e listpack.Element
	if c.element(&e) && !e.IsNum {
		c.bad = true
	}
	return e.Num
}

// elements passes over n elements.
func (c *checker) elements(n int64) {
	var e listpack.Element
	for range n {
		if !c.element(&e) {
			return
		}
	}
}

// entry checks an entry of a node with the given ID and number of fields.
func (c *checker) entry(f *Facts, node ID, fields int64) {
	from, before := c.at, c.n
	flags := c.num()
	if flags&^(flagDeleted|flagSameFields) != 0 || c.at != from+2 {
		c.bad = true
	}
	ms := c.num()
	seq := c.num()
	id := node.plus(ms, seq)
	if flags&flagSameFields == 0 {
		if fields = c.num(); fields < 0 || fields > int64(len(c.b)) {
			c.bad = true
			return
		}
		fields *= 2
	}
	c.elements(fields)
	if n := c.n - before; c.num() != int64(n) {
		c.bad = true
	}
	if c.deleted = flags&flagDeleted != 0; c.deleted || c.bad {
		return
	}
	c.disorder = c.disorder || id.Less(node) || f.Count > 0 && !f.Last.Less(id)
	if f.Count++; f.Count == 1 {
		f.First = id
	}
	f.Last = id
}

// count takes the entry before from the numbers that the node says.
func (c *checker) count(there, deleted int64) (int64, int64) {
	if c.deleted {
		return there, deleted - 1
	}
	return there - 1, deleted
}
