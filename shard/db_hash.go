package shard

import (
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Hash is a hash: fields with values. Packed, it is pairs of items, field and value, in the order in which fields came;
// else a tree of pairs by the hash of the field.
type Hash struct{ Value }

// MaxHashText is the greatest length of a field or a value in bytes.
const MaxHashText = object.MaxString

// Len returns the number of fields, 0 for a key that isn't there.
func (h *Hash) Len() int {
	switch {
	case !h.ok:
		return 0
	case h.Kind() == object.HashPacked:
		return object.PackedLen(h.payload())
	}
	t := h.trees()
	return t.A.Len()
}

// Get returns the value of a field.
func (h *Hash) Get(field []byte) (value Text, ok bool) {
	if !h.ok {
		return Text{}, false
	}
	if h.Kind() == object.HashPacked {
		payload := h.payload()
		_, at, ok := findPair(payload, field)
		if ok {
			value.piece, _ = object.Item(payload, at)
		}
		return value, ok
	}
	t := h.trees()
	var p tree.Path
	if !t.A.Find(h.space(), &p, h.hash(field), field) {
		return Text{}, false
	}
	var name Text
	pairAt(h.space(), &p, &name, &value)
	return value, true
}

// Set sets a field, and makes the hash if it isn't there. It reports whether the field is new.
func (h *Hash) Set(field, value []byte) (added bool) {
	if !h.ok {
		h.begin(object.ItemSize(len(field)) + object.ItemSize(len(value)))
	}
	done := false
	if h.Kind() == object.HashPacked {
		if added, done = h.setPacked(field, value); !done {
			h.unpack()
		}
	}
	if !done {
		added = h.setInTree(field, value)
	}
	h.changed()
	return added
}

// begin makes an empty hash for a first pair of n bytes.
func (h *Hash) begin(n int) {
	if h.fitsPacked(object.PackedHeader + n) {
		h.create(object.HashPacked, 0, object.PackedHeader, func(payload []byte) { object.SetPackedLen(payload, 0) })
		return
	}
	h.create(object.HashTree, 0, object.TreesSize, func(payload []byte) {
		t := object.NewTrees(object.HashTree)
		t.Store(payload)
	})
}

// findPair returns the offsets of a field and of its value in a packed hash; those of its end if there is no such
// field.
func findPair(payload, field []byte) (at, valueAt int, ok bool) {
	at = object.PackedHeader
	for at < len(payload) {
		f, next := object.Item(payload, at)
		if string(f) == string(field) {
			return at, next, true
		}
		_, at = object.Item(payload, next)
	}
	return at, at, false
}

// setPacked is Set for a hash that is packed; done is false if it can't be with that.
func (h *Hash) setPacked(field, value []byte) (added, done bool) {
	payload := h.payload()
	n := object.PackedLen(payload)
	_, at, ok := findPair(payload, field)
	ins := object.ItemSize(len(value))
	if ok {
		old, end := object.Item(payload, at)
		if !h.fitsPacked(len(payload) - (end - at) + ins) {
			return false, false
		}
		if len(old) == len(value) {
			object.PutItem(h.change(), at, value)
			return false, true
		}
		object.PutItem(h.splice(at, end-at, ins), at, value)
		return false, true
	}
	ins += object.ItemSize(len(field))
	if n == object.MaxPackedItems || !h.fitsPacked(len(payload)+ins) {
		return false, false
	}
	payload = h.splice(at, 0, ins)
	object.PutItem(payload, object.PutItem(payload, at, field), value)
	object.SetPackedLen(payload, n+1)
	return true, true
}

// unpack puts a packed hash into a tree.
func (h *Hash) unpack() {
	t := object.NewTrees(object.HashTree)
	heap := h.heap(&t)
	payload := h.payload()
	for at := object.PackedHeader; at < len(payload); {
		var field, value []byte
		field, at = object.Item(payload, at)
		value, at = object.Item(payload, at)
		h.put(&t, heap, field, value)
	}
	t.Store(h.reform(object.HashTree, object.TreesSize))
}

// setInTree is Set for a hash in a tree.
func (h *Hash) setInTree(field, value []byte) (added bool) {
	h.change()
	t := h.trees()
	added = h.put(&t, h.heap(&t), field, value)
	h.store(&t)
	return added
}

// put sets a field in t, and reports whether it is new.
func (h *Hash) put(t *object.Trees, heap *tree.Heap, field, value []byte) (added bool) {
	var p tree.Path
	var buf [8]byte
	head := tree.AppendPairHead(buf[:0], len(field))
	key := h.hash(field)
	if t.A.Find(h.space(), &p, key, field) {
		t.A.SetBody(heap, &p, head, field, value)
		return false
	}
	t.A.Insert(heap, &p, key, 0, head, field, value)
	return true
}

// Delete removes a field and reports whether it was there. With its last field the hash goes.
func (h *Hash) Delete(field []byte) bool {
	if !h.ok {
		return false
	}
	if h.Kind() == object.HashPacked {
		at, valueAt, ok := findPair(h.payload(), field)
		if !ok {
			return false
		}
		if n := object.PackedLen(h.payload()); n > 1 {
			_, end := object.Item(h.payload(), valueAt)
			object.SetPackedLen(h.splice(at, end-at, 0), n-1)
			h.changed()
			return true
		}
		h.Remove()
		return true
	}
	t := h.trees()
	var p tree.Path
	if !t.A.Find(h.space(), &p, h.hash(field), field) {
		return false
	}
	if t.A.Len() == 1 {
		h.Remove()
		return true
	}
	h.change()
	t.A.Delete(h.heap(&t), &p, 1)
	h.store(&t)
	h.changed()
	return true
}

// Big reports whether the hash is called by the name of the encoding for big ones, and SetBig says so from now on. That
// is no change of the value.
func (h *Hash) Big() bool { return h.has(object.FlagBig) }

// SetBig see Big.
func (h *Hash) SetBig() {
	h.change()
	h.set(object.FlagBig)
}

// Fields goes through the fields of a hash that does not change meanwhile. It is made by From and Scan.
type Fields struct {
	// Field and Value are where Next has come to.
	Field, Value Text

	packed []byte    // the payload of a packed hash
	at     int       // of the next pair in it; 0: the hash is in a tree
	p      tree.Path // at the next pair
	space  *arena.Space
	left   int    // pairs that Scan still gives
	key    uint64 // of the last pair that Next has come to
}

// From makes f go through the fields from number rank on, in an order that stays as long as the hash does.
func (h *Hash) From(f *Fields, rank int) {
	f.at, f.p = 0, tree.Path{}
	switch {
	case !h.ok:
	case h.Kind() == object.HashPacked:
		f.packed, f.at = h.payload(), object.PackedHeader
		for ; rank > 0 && f.at < len(f.packed); rank-- {
			_, valueAt := object.Item(f.packed, f.at)
			_, f.at = object.Item(f.packed, valueAt)
		}
	default:
		t := h.trees()
		f.space = h.space()
		t.A.At(f.space, &f.p, rank)
	}
}

// Next goes to the next field, and reports whether there is one.
func (f *Fields) Next() bool {
	if f.at > 0 {
		if f.at == len(f.packed) {
			return false
		}
		f.Field.piece, f.at = object.Item(f.packed, f.at)
		f.Value.piece, f.at = object.Item(f.packed, f.at)
		return true
	}
	if !f.p.Valid() {
		return false
	}
	pairAt(f.space, &f.p, &f.Field, &f.Value)
	f.key = f.p.Key()
	f.p.Next()
	return true
}

// Scan makes f go through about count fields from cursor on with NextScanned: all of a packed hash, or else those whose
// hashes, of 32 bits, are the next ones from cursor on. Fields of the same hash are given together. So a field that
// stays is given once and only once, whatever comes and goes between two calls.
func (h *Hash) Scan(f *Fields, cursor uint64, count int) {
	f.left = count
	if !h.ok || h.Kind() == object.HashPacked {
		h.From(f, 0)
		return
	}
	f.at, f.p, f.space = 0, tree.Path{}, h.space()
	t := h.trees()
	t.A.Seek(f.space, &f.p, cursor)
}

// NextScanned is Next after Scan.
func (f *Fields) NextScanned() bool {
	if f.at == 0 && f.left <= 0 && (!f.p.Valid() || f.p.Key() != f.key) {
		return false
	}
	f.left--
	return f.Next()
}

// Cursor returns where Scan is to go on when NextScanned has come to an end; 0: nowhere.
func (f *Fields) Cursor() uint64 {
	if f.at > 0 || !f.p.Valid() {
		return 0
	}
	return f.p.Key()
}

// pairAt sets field and value to those of the pair at p.
func pairAt(space *arena.Space, p *tree.Path, field, value *Text) {
	if b, ok := p.Body(); ok {
		field.space, value.space = nil, nil
		field.piece, value.piece = tree.SplitPair(b)
		return
	}
	s := p.Spilled()
	member, rest := tree.SpilledPair(&s, space)
	*field = Text{space: space, paged: s, start: member, end: rest}
	*value = Text{space: space, paged: s, start: rest, end: s.Len()}
}
