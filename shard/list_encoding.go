package shard

import (
	"math"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// OBJECT ENCODING calls a list a listpack as long as Redis would keep it in one: that depends on
// list-max-listpack-size, and on the size that the listpack would have. The size of a packed list is summed up when it
// could matter, that of a list in a tree is in the note of its trees, or unknown there: beyond maxSized items a
// listpack is too big whatever the limit, and nothing is counted.

const (
	listpackFrame = 7 // bytes of a listpack without items
	smallestItem  = 2 // bytes of the smallest item of one
	sizeUnknown   = math.MaxUint32
	safeSizeBytes = 8192 // limit of the size where the number of items is limited
	maxSized      = (64<<10 - listpackFrame) / smallestItem
)

func itemAt(p *tree.Path) int {
	b, ok := p.Body()
	if !ok {
		return object.ListpackItem(nil, p.BodyLen())
	}
	return object.ListpackItem(b, len(b))
}

// count notes that an item was added.
func (l *List) count(t *object.Trees, b []byte) {
	switch {
	case t.Note == sizeUnknown:
	case t.A.Len() > maxSized:
		t.Note = sizeUnknown
	default:
		t.Note += uint32(object.ListpackItem(b, len(b)))
	}
}

// discount notes that n items from rank `from` on are about to be removed.
func (l *List) discount(t *object.Trees, from, n int) {
	if t.Note == sizeUnknown {
		return
	}
	var p tree.Path
	for t.A.At(l.space(), &p, from); n > 0; n-- {
		t.Note -= uint32(itemAt(&p))
		p.Next()
	}
}

// recount sums up the sizes of a tree's items.
func (l *List) recount(t *object.Trees) {
	sum := uint32(0)
	var p tree.Path
	t.A.First(l.space(), &p)
	for range t.A.Len() {
		sum += uint32(itemAt(&p))
		p.Next()
	}
	t.Note = sum
}

// sizeBytes returns the size of a listpack with the list's items if it is at most limit, and more than limit if not.
func (l *List) sizeBytes(limit int) int {
	n := l.Len()
	if listpackFrame+smallestItem*n > limit {
		return limit + 1
	}
	if !l.packed() {
		t := l.trees()
		if t.Note == sizeUnknown {
			l.recount(&t)
			l.change()
			l.store(&t)
		}
		return listpackFrame + int(t.Note)
	}
	p, at, sum := l.payload(), object.PackedHeader, listpackFrame
	for at < len(p) {
		var b []byte
		b, at = object.Item(p, at)
		sum += object.ListpackItem(b, len(b))
	}
	return sum
}

// limits returns the greatest size and the greatest number of items of a listpack.
func (l *List) limits() (sizeBytes, items int) {
	if l.Fill >= 0 {
		return safeSizeBytes, max(l.Fill, 1)
	}
	return 2048 << min(-l.Fill, 5), math.MaxInt
}

// grow calls the list a quicklist if it will be one with more items.
func (l *List) grow(items [][]byte) {
	if l.has(object.FlagBig) {
		return
	}
	most, count := l.limits()
	n, add := l.Len(), 0
	for _, b := range items {
		add += len(b)
	}
	over := n+len(items) > count || add > most
	if !over && (!l.packed() || listpackFrame+len(l.payload())+3*n+add > most) { // or else it is surely small enough
		over = l.sizeBytes(most)+add > most
	}
	if over {
		l.change()
		l.set(object.FlagBig)
	}
}

// shrink calls the list a listpack again if it is far enough below the limits.
func (l *List) shrink() {
	if !l.has(object.FlagBig) {
		return
	}
	most, count := l.limits()
	if l.Fill < 0 {
		most /= 2
	} else {
		count /= 2
	}
	if l.Len() <= count && l.sizeBytes(most) <= most {
		l.change()
		l.e.SetTag(l.e.Tag() &^ object.FlagBig)
	}
}
