package shard

import (
	"fulmen/internal/resp"
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// List is a list: packed one item after the other, or in a tree by rank.
type List struct {
	Value
	// Fill is list-max-listpack-size, which says when a list is called a quicklist.
	Fill int
}

// Len returns the number of items; 0 if there is no list.
func (l *List) Len() int {
	switch {
	case !l.ok:
		return 0
	case l.packed():
		return object.PackedLen(l.payload())
	}
	return object.TreeLen(l.payload())
}

func (l *List) packed() bool { return l.Kind() == object.ListPacked }

// Push puts items at an end, one after the other, and makes the list if it isn't there.
func (l *List) Push(front bool, items ...[]byte) {
	if !l.ok {
		l.create(object.ListPacked, 0, object.PackedHeader, func(p []byte) { object.SetPackedLen(p, 0) })
	}
	l.grow(items)
	if l.packed() && l.roomFor(items) {
		l.pushPacked(front, items)
	} else {
		l.pushTree(front, items)
	}
	l.changed()
}

// roomFor reports whether the packed list may stay packed with more items.
func (l *List) roomFor(items [][]byte) bool {
	n := len(l.payload())
	for _, b := range items {
		if n += object.ItemSize(len(b)); n > object.MaxBlock { // before it can overflow
			return false
		}
	}
	return object.PackedLen(l.payload())+len(items) <= object.MaxPackedItems && l.fitsPacked(n)
}

func (l *List) pushPacked(front bool, items [][]byte) {
	size, at := 0, len(l.payload())
	for _, b := range items {
		size += object.ItemSize(len(b))
	}
	if front {
		at = object.PackedHeader
	}
	p := l.splice(at, 0, size)
	for i := range items {
		if front {
			i = len(items) - 1 - i
		}
		at = object.PutItem(p, at, items[i])
	}
	object.SetPackedLen(p, object.PackedLen(p)+len(items))
}

func (l *List) pushTree(front bool, items [][]byte) {
	var t object.Trees
	var p tree.Path
	h := l.asTree(&t)
	for _, b := range items {
		if front {
			t.A.First(h.Arena.Space(), &p)
		} else {
			t.A.End(h.Arena.Space(), &p)
		}
		t.A.Insert(h, &p, 0, 0, b)
		l.count(&t, b)
	}
	l.store(&t)
}

// asTree announces a change, makes a list in a tree of a packed one, and loads the trees into t.
func (l *List) asTree(t *object.Trees) *tree.Heap {
	if !l.packed() {
		l.change()
		*t = l.trees()
		return l.heap(t)
	}
	*t = object.NewTrees(object.ListTree)
	packed, h := l.payload(), l.heap(t)
	var p tree.Path
	for at := object.PackedHeader; at < len(packed); {
		var b []byte
		b, at = object.Item(packed, at)
		t.A.End(h.Arena.Space(), &p)
		t.A.Insert(h, &p, 0, 0, b)
	}
	l.recount(t)
	t.Store(l.reform(object.ListTree, object.TreesSize))
	return h
}

// seek returns the offset of the item of the given rank in a packed list, or its end.
func (l *List) seek(rank int) int {
	p, at := l.payload(), object.PackedHeader
	for range rank {
		_, at = object.Item(p, at)
	}
	return at
}

// Delete removes n items from rank `from` on, which are there; the list goes with its last one.
func (l *List) Delete(from, n int) {
	switch n {
	case 0:
	case l.Len():
		l.Remove()
	default:
		l.delete(from, n)
		l.shrink()
		l.changed()
	}
}

// delete removes n items, but not all of them, and tells nobody.
func (l *List) delete(from, n int) {
	if l.packed() {
		at := l.seek(from)
		end := at
		for range n {
			_, end = object.Item(l.payload(), end)
		}
		p := l.splice(at, end-at, 0)
		object.SetPackedLen(p, object.PackedLen(p)-n)
		return
	}
	l.change()
	t := l.trees()
	l.discount(&t, from, n)
	t.A.DeleteRange(l.heap(&t), from, from+n)
	l.store(&t)
}

// Trim removes all items but those from rank `from` up to, not including, `to`. It counts as a change if there are no
// others, too.
func (l *List) Trim(from, to int) {
	switch n := l.Len(); {
	case from >= to:
		l.Remove()
	default:
		if to < n {
			l.delete(to, n-to)
		}
		if from > 0 {
			l.delete(0, from)
		}
		l.shrink()
		l.changed()
	}
}

// ListItem is an item of a list: its bytes, valid until the next change in the shard, or a string in pages.
type ListItem struct {
	Rank  int
	space *arena.Space
	bytes []byte
	paged tree.Paged
	long  bool
}

// Len returns the item's length in bytes.
func (it *ListItem) Len() int {
	if it.long {
		return it.paged.Len()
	}
	return len(it.bytes)
}

// Append appends the item to dst.
func (it *ListItem) Append(dst []byte) []byte {
	if it.long {
		return it.paged.AppendRange(dst, it.space, 0, it.paged.Len())
	}
	return append(dst, it.bytes...)
}

// AppendBulk appends the item to dst as a bulk string.
func (it *ListItem) AppendBulk(dst []byte) []byte {
	if !it.long {
		return resp.AppendBulk(dst, it.bytes)
	}
	dst = resp.AppendBulkHead(dst, it.paged.Len())
	return append(it.Append(dst), '\r', '\n')
}

// Equal reports whether the item is b.
func (it *ListItem) Equal(b []byte) bool {
	if !it.long {
		return string(it.bytes) == string(b)
	}
	return it.paged.Equal(it.space, b)
}

// at sets the item to that of a tree at p.
func (it *ListItem) at(p *tree.Path) {
	var inline bool
	if it.bytes, inline = p.Body(); !inline {
		it.long, it.paged = true, p.Spilled()
	} else {
		it.long = false
	}
}

// Item returns the item of the given rank, which is there.
func (l *List) Item(rank int) ListItem {
	it := ListItem{Rank: rank, space: l.space()}
	if l.packed() {
		it.bytes, _ = object.Item(l.payload(), l.seek(rank))
		return it
	}
	t := l.trees()
	var p tree.Path
	t.A.At(l.space(), &p, rank)
	it.at(&p)
	return it
}

// Each calls fn for items from rank `from` on to the end, or backwards to the beginning, until it returns false.
func (l *List) Each(from int, back bool, fn func(it *ListItem) bool) {
	it := ListItem{Rank: from, space: l.space()}
	if l.packed() {
		l.eachPacked(&it, back, fn)
		return
	}
	t := l.trees()
	var p tree.Path
	for t.A.At(l.space(), &p, from); p.Valid(); {
		if it.at(&p); !fn(&it) {
			return
		}
		if back {
			if it.Rank--; !p.Prev() {
				return
			}
		} else {
			it.Rank++
			p.Next()
		}
	}
}

func (l *List) eachPacked(it *ListItem, back bool, fn func(it *ListItem) bool) {
	p := l.payload()
	if !back {
		for at := l.seek(it.Rank); at < len(p); it.Rank++ {
			if it.bytes, at = object.Item(p, at); !fn(it) {
				return
			}
		}
		return
	}
	var starts [object.MaxPackedItems]uint16
	for i, at := 0, object.PackedHeader; i <= it.Rank; i++ {
		starts[i] = uint16(at)
		_, at = object.Item(p, at)
	}
	for ; it.Rank >= 0; it.Rank-- {
		if it.bytes, _ = object.Item(p, int(starts[it.Rank])); !fn(it) {
			return
		}
	}
}

// AppendBulks appends n items from rank `from` on as bulk strings to dst, up to the one with which it passes limit
// bytes, and returns how many it has appended: at least one.
func (l *List) AppendBulks(dst []byte, from, n, limit int) (_ []byte, done int) {
	if l.packed() {
		p, at := l.payload(), l.seek(from)
		for range n {
			var b []byte
			b, at = object.Item(p, at)
			dst = resp.AppendBulk(dst, b)
		}
		return dst, n
	}
	t := l.trees()
	var p tree.Path
	it := ListItem{space: l.space()}
	for t.A.At(l.space(), &p, from); done < n; done++ {
		if it.at(&p); it.long {
			dst = it.AppendBulk(dst)
		} else {
			dst = resp.AppendBulk(dst, it.bytes)
		}
		if len(dst) > limit {
			return dst, done + 1
		}
		p.Next()
	}
	return dst, n
}

// Set changes the item of the given rank, which is there.
func (l *List) Set(rank int, b []byte) {
	l.grow([][]byte{b}) // as if it were added: so does Redis
	if l.packed() {
		at := l.seek(rank)
		_, end := object.Item(l.payload(), at)
		size := object.ItemSize(len(b))
		if l.fitsPacked(len(l.payload()) - (end - at) + size) {
			object.PutItem(l.splice(at, end-at, size), at, b)
			l.shrink()
			l.changed()
			return
		}
	}
	var t object.Trees
	var p tree.Path
	h := l.asTree(&t)
	l.discount(&t, rank, 1)
	t.A.At(l.space(), &p, rank)
	t.A.SetBody(h, &p, b)
	l.count(&t, b)
	l.store(&t)
	l.shrink()
	l.changed()
}

// Insert puts an item before that of the given rank, which is there, or at the end.
func (l *List) Insert(rank int, b []byte) {
	items := [][]byte{b}
	l.Grow(b)
	if l.packed() && l.roomFor(items) {
		at := l.seek(rank)
		p := l.splice(at, 0, object.ItemSize(len(b)))
		object.PutItem(p, at, b)
		object.SetPackedLen(p, object.PackedLen(p)+1)
	} else {
		var t object.Trees
		var p tree.Path
		h := l.asTree(&t)
		t.A.At(l.space(), &p, rank)
		t.A.Insert(h, &p, 0, 0, b)
		l.count(&t, b)
		l.store(&t)
	}
	l.changed()
}

// Grow calls the list, which is there, a quicklist if it will be one with one more item. LINSERT does so before it
// knows whether it will insert anything.
func (l *List) Grow(b []byte) { l.grow([][]byte{b}) }

// RemoveEqual removes up to n items that are b, from the beginning on or, back, from the end, and returns how many it
// removed.
func (l *List) RemoveEqual(b []byte, back bool, n int) (removed int) {
	for from := l.edge(back); removed < n; {
		rank := -1
		l.Each(from, back, func(it *ListItem) bool {
			if it.Equal(b) {
				rank = it.Rank
			}
			return rank < 0
		})
		if rank < 0 {
			break
		}
		run := l.run(rank, back, b, n-removed)
		removed += run
		if from = rank; back {
			rank -= run - 1
			from = rank - 1
		}
		if run == l.Len() {
			l.Remove()
			return removed
		}
		l.delete(rank, run)
		if from < 0 || from >= l.Len() {
			break
		}
	}
	if removed > 0 {
		l.shrink()
		l.changed()
	}
	return removed
}

// run returns how many items in a row from rank on are b, most at most.
func (l *List) run(rank int, back bool, b []byte, most int) (n int) {
	l.Each(rank, back, func(it *ListItem) bool {
		if n < most && it.Equal(b) {
			n++
			return true
		}
		return false
	})
	return n
}

func (l *List) edge(back bool) int {
	if back {
		return l.Len() - 1
	}
	return 0
}

// Rotate takes the item b of one end, and puts it to an end.
func (l *List) Rotate(fromFront, toFront bool, b []byte) {
	n := l.Len()
	if n == 1 {
		l.changed()
		return
	}
	rank := 0
	if !fromFront {
		rank = n - 1
	}
	l.delete(rank, 1)
	l.Push(toFront, b)
	l.shrink()
}
