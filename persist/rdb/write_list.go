package rdb

import (
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// A list is written as a number of nodes, each a listpack of up to nodeBytes, or, for an item that doesn't fit in one,
// that item alone. One that is called a listpack is one node, whatever its size: by that Redis knows it.
const nodeBytes = 8 << 10

func (w *Writer) listValue(tag byte, payload []byte) {
	if object.KindOf(tag) == object.ListPacked {
		w.packBegin()
		n := object.PackedLen(payload)
		at := object.PackedHeader
		for range n {
			var b []byte
			b, at = object.Item(payload, at)
			w.packBytes(b)
		}
		w.length(1)
		w.node(n)
		return
	}
	t := object.LoadTrees(object.ListTree, payload)
	limit := nodeBytes
	if tag&object.FlagBig == 0 {
		limit = 2 * wholeBytes
	}
	w.length(uint64(w.countNodes(&t.A, limit)))
	w.nodes(&t.A, limit)
}

// node ends the listpack of n items and writes it as a node.
func (w *Writer) node(n int) {
	w.packClose(n)
	w.length(nodePacked)
	w.string(w.pack)
}

// itemSize returns the size of an item in a listpack, or more than any limit.
func itemSize(t *object.Text) int {
	b, _ := t.Piece()
	return object.ListpackItem(b, t.Len())
}

// countNodes returns how many nodes will be written.
func (w *Writer) countNodes(t *tree.Tree, limit int) (nodes int) {
	var p tree.Path
	size := 0 // of the listpack that is being filled; 0: there is none
	for t.First(w.o.Space, &p); p.Valid(); p.Next() {
		text := object.BodyText(w.o.Space, &p)
		n := itemSize(&text)
		switch {
		case n > limit-listpackHeaderLen-1:
			nodes++
			size = 0
			continue
		case size == 0 || size+n > limit:
			nodes++
			size = listpackHeaderLen + 1
		}
		size += n
	}
	return nodes
}

// nodes writes them.
func (w *Writer) nodes(t *tree.Tree, limit int) {
	var p tree.Path
	size, items := 0, 0
	for t.First(w.o.Space, &p); p.Valid() && w.err == nil; p.Next() {
		text := object.BodyText(w.o.Space, &p)
		n := itemSize(&text)
		plain := n > limit-listpackHeaderLen-1
		if size > 0 && (plain || size+n > limit) {
			w.node(items)
			size = 0
		}
		if plain {
			w.length(nodePlain)
			w.text(&text)
			continue
		}
		if size == 0 {
			w.packBegin()
			size, items = listpackHeaderLen+1, 0
		}
		w.packText(&text)
		size += n
		items++
	}
	if size > 0 {
		w.node(items)
	}
}
