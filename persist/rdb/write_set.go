package rdb

import (
	"encoding/binary"
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// mostInts is the number of integers of a set up to which it is written as an intset.
const mostInts = 4096

// collectInts puts the members of a set of integers into w.ints in ascending order, unless there are too many.
func (w *Writer) collectInts(tag byte, payload []byte) bool {
	w.ints = w.ints[:0]
	if object.KindOf(tag) == object.SetPacked {
		at := object.PackedHeader
		for range object.PackedLen(payload) {
			var b []byte
			b, at = object.Item(payload, at)
			n, _ := resp.ParseInt(b)
			w.ints = append(w.ints, n)
		}
		return true
	}
	t := object.LoadTrees(object.SetTree, payload)
	if t.A.Len() > 0 || t.B.Len() > mostInts {
		return false
	}
	var p tree.Path
	for t.B.First(w.o.Space, &p); p.Valid(); p.Next() {
		w.ints = append(w.ints, object.UnmixInt(p.Key()))
	}
	slices.Sort(w.ints)
	return true
}

// intset writes w.ints: u32 the size of an integer, u32 their number, and the integers in ascending order.
func (w *Writer) intset() {
	first, last := w.ints[0], w.ints[len(w.ints)-1]
	size := uint32(8)
	switch {
	case first == int64(int16(first)) && last == int64(int16(last)):
		size = 2
	case first == int64(int32(first)) && last == int64(int32(last)):
		size = 4
	}
	b := binary.LittleEndian.AppendUint32(w.pack[:0], size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(w.ints)))
	for _, n := range w.ints {
		switch size {
		case 2:
			b = binary.LittleEndian.AppendUint16(b, uint16(n))
		case 4:
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	w.pack = b
	w.string(b)
}

// setValue writes a set member by member.
func (w *Writer) setValue(tag byte, payload []byte) {
	if object.KindOf(tag) == object.SetPacked {
		n := object.PackedLen(payload)
		w.length(uint64(n))
		at := object.PackedHeader
		for range n {
			var b []byte
			b, at = object.Item(payload, at)
			w.string(b)
		}
		return
	}
	t := object.LoadTrees(object.SetTree, payload)
	w.length(uint64(t.A.Len() + t.B.Len()))
	var p tree.Path
	for t.A.First(w.o.Space, &p); p.Valid() && w.err == nil; p.Next() {
		text := object.BodyText(w.o.Space, &p)
		w.text(&text)
	}
	for t.B.First(w.o.Space, &p); p.Valid() && w.err == nil; p.Next() {
		n := object.UnmixInt(p.Key())
		if n == int64(int32(n)) {
			w.int(int32(n))
			continue
		}
		var room [maxInt]byte
		w.string(strconv.AppendInt(room[:0], n, 10))
	}
}
