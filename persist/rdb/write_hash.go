package rdb

import (
	"cmp"
	"math"
	"slices"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// fieldAt is where a field of a hash is: offset in the payload, or rank in the tree.
type fieldAt struct {
	expireAtMs int64 // 0 = never
	at         int
}

// packFields makes a listpack of a hash in w.pack: fields and values, and, expiring, the expiry of each, 0 if it has
// none, which comes last then. It doesn't if the listpack gets too big.
func (w *Writer) packFields(tag byte, payload []byte, expiring bool) bool {
	w.packBegin()
	var x object.Pair
	if object.KindOf(tag) == object.HashPacked {
		n := object.PackedLen(payload)
		if expiring {
			w.orderPacked(tag, payload)
			for _, f := range w.order {
				object.PackedPair(payload, f.at, tag, &x)
				w.packPair(&x, true)
			}
			w.packClose(3 * n)
			return true
		}
		at := object.PackedPairs(tag)
		for range n {
			at = object.PackedPair(payload, at, tag, &x)
			w.packPair(&x, false)
		}
		w.packClose(2 * n)
		return true
	}
	t := object.LoadTrees(object.HashTree, payload)
	var p tree.Path
	if expiring {
		return w.packExpiring(&t.A)
	}
	for t.A.First(w.o.Space, &p); p.Valid(); p.Next() {
		if len(w.pack)+p.BodyLen() > wholeBytes {
			return false
		}
		object.PairAt(w.o.Space, &p, &x)
		w.packPair(&x, false)
	}
	w.packClose(2 * t.A.Len())
	return true
}

func (w *Writer) packPair(x *object.Pair, expiring bool) {
	w.packText(&x.Field)
	w.packText(&x.Value)
	if expiring {
		w.packInt(x.ExpireAtMs)
	}
}

// packExpiring is packFields for a hash in trees.
func (w *Writer) packExpiring(t *tree.Tree) bool {
	if t.Len() > wholeBytes/smallestPair {
		return false
	}
	w.order = w.order[:0]
	var p tree.Path
	var x object.Pair
	for t.First(w.o.Space, &p); p.Valid(); p.Next() {
		object.PairAt(w.o.Space, &p, &x)
		w.order = append(w.order, fieldAt{x.ExpireAtMs, len(w.order)})
	}
	w.sortFields()
	for _, f := range w.order {
		t.At(w.o.Space, &p, f.at)
		if len(w.pack)+p.BodyLen() > wholeBytes {
			return false
		}
		object.PairAt(w.o.Space, &p, &x)
		w.packPair(&x, true)
	}
	w.packClose(3 * t.Len())
	return true
}

// smallestPair is the size in bytes of a field, its value and its expiry in a listpack.
const smallestPair = 6

// orderPacked puts the fields of a packed hash into w.order.
func (w *Writer) orderPacked(tag byte, payload []byte) {
	w.order = w.order[:0]
	var x object.Pair
	at := object.PackedPairs(tag)
	for range object.PackedLen(payload) {
		next := object.PackedPair(payload, at, tag, &x)
		w.order = append(w.order, fieldAt{x.ExpireAtMs, at})
		at = next
	}
	w.sortFields()
}

// sortFields sorts w.order by expiry, what never expires at the end.
func (w *Writer) sortFields() {
	slices.SortStableFunc(w.order, func(a, b fieldAt) int {
		return cmp.Compare(a.expiry(), b.expiry())
	})
}

func (f fieldAt) expiry() int64 {
	if f.expireAtMs == 0 {
		return math.MaxInt64
	}
	return f.expireAtMs
}

// fieldsValue writes a hash field by field. Expiring, it begins with the earliest expiry of one, and each field with
// how much later its own is, and 1, or 0 if it has none.
func (w *Writer) fieldsValue(tag byte, payload []byte, expiring bool) {
	var x object.Pair
	least := int64(0)
	if object.KindOf(tag) == object.HashPacked {
		if expiring {
			least = object.PackedExpiry(payload, object.PackedHeader)
			w.u64(uint64(least))
		}
		n := object.PackedLen(payload)
		w.length(uint64(n))
		at := object.PackedPairs(tag)
		for range n {
			at = object.PackedPair(payload, at, tag, &x)
			w.field(&x, expiring, least)
		}
		return
	}
	t := object.LoadTrees(object.HashTree, payload)
	var p tree.Path
	if expiring {
		t.B.First(w.o.Space, &p)
		least = int64(p.Key())
		w.u64(uint64(least))
	}
	w.length(uint64(t.A.Len()))
	for t.A.First(w.o.Space, &p); p.Valid() && w.err == nil; p.Next() {
		object.PairAt(w.o.Space, &p, &x)
		w.field(&x, expiring, least)
	}
}

func (w *Writer) field(x *object.Pair, expiring bool, leastMs int64) {
	if expiring {
		after := int64(0)
		if x.ExpireAtMs != 0 {
			after = x.ExpireAtMs - leastMs + 1
		}
		w.length(uint64(after))
	}
	w.text(&x.Field)
	w.text(&x.Value)
}
