package shard

import (
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Hash is a value of type hash, or a key where one may be made. What it is made of is said in package object.
//
// A field whose time has passed is not there: none of the methods tells of it. Fields are deleted when the hash is
// looked up, a few at a time, and in the expire cycle; the last one takes the key with it.
type Hash struct {
	Value
	nowMs int64
}

// pair is a field of a hash. It is valid until the next change in the shard.
type pair = object.Pair

// MaxHashText is the greatest length of a field or a value in bytes.
const MaxHashText = object.MaxString

// lazyFields is how many expired fields are deleted when a hash is looked up.
const lazyFields = 64

// Hash says that the value is a hash, or that the key isn't there. Fields that have expired are deleted, which is
// staged as an effect.
func (v Value) Hash(nowMs int64) Hash {
	h := Hash{Value: v}
	h.Begin(nowMs)
	return h
}

// Begin is Hash for a value that has been looked up in place.
func (h *Hash) Begin(nowMs int64) {
	h.nowMs = nowMs
	if h.ok && h.has(object.FlagMixed) && !h.frozen() {
		h.expireFields(lazyFields)
	}
}

// LookHash is Hash for those who must not change anything.
func (v Value) LookHash(nowMs int64) Hash { return Hash{Value: v, nowMs: nowMs} }

// frozen reports whether nothing may be deleted now because its time has passed.
func (h *Hash) frozen() bool { return h.nowMs < h.db.shard.set.frozenMs.Load() }

// dueAt returns when something of an entry is due: the key or a field. 0: never.
func (s *Shard) dueAt(e index.Entry) int64 {
	at, fields := e.ExpireAt(), s.fieldsDueAt(e)
	if at == 0 || fields != 0 && fields < at {
		return fields
	}
	return at
}

func (s *Shard) fieldsDueAt(e index.Entry) int64 { return object.FieldsDueAt(s.arena.Space(), e) }

// dueMs returns the earliest expiry of a field, 0 if none has one.
func (h *Hash) dueMs() int64 { return h.db.shard.fieldsDueAt(h.e) }

// noteDue tells the index of the earliest expiry of a field, which was wasMs before a change.
func (h *Hash) noteDue(wasMs int64) {
	if !h.has(object.FlagMixed) {
		return
	}
	isMs := h.dueMs()
	if (wasMs != 0) != (isMs != 0) {
		h.db.countFieldExpiry(isMs != 0)
	}
	h.db.x.Load().NoteExpire(h.pos, h.db.shard.dueAt(h.e))
}

// past reports whether an expiry has passed.
func (h *Hash) past(atMs int64) bool { return atMs != 0 && atMs < h.nowMs }

// Len returns the number of fields.
func (h *Hash) Len() int {
	switch {
	case !h.ok:
		return 0
	case h.Kind() == object.HashPacked:
		n := object.PackedLen(h.payload())
		if h.past(h.dueMs()) {
			var f Fields
			for h.from(&f); f.step(); {
				if h.past(f.ExpireAtMs) {
					n--
				}
			}
		}
		return n
	}
	t := h.trees()
	n := t.A.Len()
	if h.past(h.dueMs()) {
		var p tree.Path
		t.B.Seek(h.space(), &p, uint64(h.nowMs))
		n -= p.Rank()
	}
	return n
}

// Get returns the value of a field.
func (h *Hash) Get(field []byte) (value Text, ok bool) {
	x, ok := h.get(field)
	return x.Value, ok
}

// ExpireAt returns the expiry of a field, 0 if it has none.
func (h *Hash) ExpireAt(field []byte) (atMs int64, ok bool) {
	x, ok := h.get(field)
	return x.ExpireAtMs, ok
}

func (h *Hash) get(field []byte) (x pair, ok bool) {
	if !h.ok {
		return x, false
	}
	if h.Kind() == object.HashPacked {
		at, found := h.find(field)
		if !found {
			return x, false
		}
		b, _ := object.Item(h.payload(), at.value)
		x = pair{Value: object.TextOf(b), ExpireAtMs: h.expiry(at)}
	} else {
		var p tree.Path
		t := h.trees()
		if !t.A.Find(h.space(), &p, h.hash(field), field) {
			return x, false
		}
		h.pairAt(&p, &x)
	}
	return x, !h.past(x.ExpireAtMs)
}

// span is where a pair of a packed hash lies in the payload: its beginning, its value's, and that one's end.
type span struct{ from, value, expiry, end int }

// find finds a field of a packed hash.
func (h *Hash) find(field []byte) (at span, ok bool) {
	b, tag := h.payload(), h.e.Tag()
	at.end = object.PackedPairs(tag)
	for range object.PackedLen(b) {
		at.from = at.end
		var name []byte
		name, at.value = object.Item(b, at.from)
		_, at.expiry = object.Item(b, at.value)
		if at.end = at.expiry; tag&object.FlagMixed != 0 {
			at.end += object.ExpirySize
		}
		if string(name) == string(field) {
			return at, true
		}
	}
	return at, false
}

// expiry returns the expiry of a pair of a packed hash.
func (h *Hash) expiry(at span) int64 {
	if at.expiry == at.end {
		return 0
	}
	return object.PackedExpiry(h.payload(), at.expiry)
}

// pairAt sets x to the pair at a place in the tree.
func (h *Hash) pairAt(p *tree.Path, x *pair) { object.PairAt(h.space(), p, x) }

// Set gives a field a value, and takes its expiry away. It makes the key if it isn't there, and reports whether the
// field is new.
func (h *Hash) Set(field, value []byte) (created bool) { return h.Write(field, value, false) }

// Write is Set for a field that may keep its expiry.
func (h *Hash) Write(field, value []byte, keepTTL bool) (created bool) {
	if h.ok && h.has(object.FlagMixed) && h.past(h.dueMs()) {
		// What replays the log must not find the old value either.
		if x, _ := h.get(field); h.past(x.ExpireAtMs) {
			h.expireField(field, x.ExpireAtMs)
		}
	}
	if !h.ok {
		h.begin(field, value)
		h.changed()
		return true
	}
	was := int64(0)
	if h.has(object.FlagMixed) {
		was = h.dueMs()
	}
	if h.Kind() == object.HashPacked {
		var done bool
		if created, done = h.setPacked(field, value, keepTTL); !done {
			h.toTrees()
		}
	}
	if h.Kind() == object.HashTree {
		created = h.setTree(field, value, keepTTL)
	}
	h.noteDue(was)
	h.changed()
	return created
}

// begin makes the key, with one field.
func (h *Hash) begin(field, value []byte) {
	n := object.PackedHeader + object.ItemSize(len(field)) + object.ItemSize(len(value))
	if h.fitsPacked(n) {
		h.create(object.HashPacked, 0, n, func(b []byte) {
			object.SetPackedLen(b, 1)
			object.PutItem(b, object.PutItem(b, object.PackedHeader, field), value)
		})
		return
	}
	t := object.NewTrees(object.HashTree)
	h.create(object.HashTree, 0, object.TreesSize, t.Store)
	h.setTree(field, value, false)
}

// setPacked is Set for a packed hash, unless it doesn't fit any more: then nothing is done.
func (h *Hash) setPacked(field, value []byte, keepTTL bool) (created, done bool) {
	size := len(h.payload())
	at, found := h.find(field)
	need := object.ItemSize(len(value))
	if !found {
		n := object.PackedLen(h.payload())
		ins := object.ItemSize(len(field)) + need
		if h.has(object.FlagMixed) {
			ins += object.ExpirySize
		}
		if n >= object.MaxPackedItems || !h.fitsPacked(size+ins) {
			return false, false
		}
		b := h.splice(size, 0, ins)
		end := object.PutItem(b, object.PutItem(b, size, field), value)
		if h.has(object.FlagMixed) {
			object.PutPackedExpiry(b, end, 0)
		}
		object.SetPackedLen(b, n+1)
		return true, true
	}
	had := h.expiry(at)
	if !h.fitsPacked(size - (at.expiry - at.value) + need) {
		return false, false
	}
	b := h.splice(at.value, at.expiry-at.value, need)
	end := object.PutItem(b, at.value, value)
	if had != 0 && !keepTTL {
		object.PutPackedExpiry(b, end, 0)
		h.packedDue(b)
	}
	return false, true
}

// packedDue finds out the earliest expiry of a packed hash with FlagMixed, and writes it down.
func (h *Hash) packedDue(b []byte) {
	least, at := int64(0), object.PackedPairs(object.FlagMixed)
	for range object.PackedLen(b) {
		_, at = object.Item(b, at)
		_, at = object.Item(b, at)
		if ms := object.PackedExpiry(b, at); ms != 0 && (least == 0 || ms < least) {
			least = ms
		}
		at += object.ExpirySize
	}
	object.PutPackedExpiry(b, object.PackedHeader, least)
}

// pairRoom is for the parts of a pair that stand before and behind the field.
type pairRoom struct {
	head [10]byte
	meta [1 + object.ExpirySize]byte
}

// parts returns what stands before and behind the field of a pair.
func (r *pairRoom) parts(field []byte, atMs int64) (head, meta []byte) {
	head = tree.AppendPairHead(r.head[:0], len(field))
	if r.meta[0] = 0; atMs == 0 {
		return head, r.meta[:1]
	}
	r.meta[0] = 1
	object.PutPackedExpiry(r.meta[:], 1, atMs)
	return head, r.meta[:]
}

// setTree is Set for a hash in trees.
func (h *Hash) setTree(field, value []byte, keepTTL bool) (created bool) {
	h.change()
	t := h.trees()
	heap := h.heap(&t)
	var p tree.Path
	var room pairRoom
	hash := h.hash(field)
	if t.A.Find(h.space(), &p, hash, field) {
		var x pair
		h.pairAt(&p, &x)
		atMs := x.ExpireAtMs
		if atMs != 0 && !keepTTL {
			h.dropExpiry(heap, &t, atMs, field)
			atMs = 0
		}
		head, meta := room.parts(field, atMs)
		t.A.SetBody(heap, &p, head, field, meta, value)
	} else {
		created = true
		head, meta := room.parts(field, 0)
		t.A.Insert(heap, &p, hash, 0, head, field, meta, value)
	}
	h.store(&t)
	return created
}

// dropExpiry takes a field out of the tree of expiries.
func (h *Hash) dropExpiry(heap *tree.Heap, t *object.Trees, atMs int64, field []byte) {
	var p tree.Path
	if !t.B.SeekScore(h.space(), &p, uint64(atMs), field) {
		panic("BUG: shard: a field's expiry is in no tree")
	}
	t.B.Delete(heap, &p, 1)
}

// toTrees puts a packed hash into trees.
func (h *Hash) toTrees() {
	h.change()
	t := object.NewTrees(object.HashTree)
	heap := h.db.shard.newHeap()
	var f Fields
	for h.from(&f); f.step(); {
		field, value, atMs := f.Field.View(nil), f.Value.View(nil), f.ExpireAtMs
		var room pairRoom
		head, meta := room.parts(field, atMs)
		var p tree.Path
		hash := h.hash(field)
		t.A.Seek(h.space(), &p, hash)
		t.A.Insert(heap, &p, hash, 0, head, field, meta, value)
		if atMs != 0 {
			t.B.SeekScore(h.space(), &p, uint64(atMs), field)
			t.B.Insert(heap, &p, uint64(atMs), 0, field)
		}
	}
	t.Store(h.reform(object.HashTree, object.TreesSize))
}

// Delete deletes a field and reports whether it was there. The last one takes the key with it.
func (h *Hash) Delete(field []byte) bool {
	x, ok := h.get(field)
	if !ok {
		return false
	}
	h.delete(field, x.ExpireAtMs)
	if h.ok {
		h.changed()
	}
	return true
}

// delete deletes a field, expired or not, that is there and has the given expiry. field may lie in the value.
func (h *Hash) delete(field []byte, atMs int64) {
	was := int64(0)
	if atMs != 0 {
		was = h.dueMs()
	}
	if h.Kind() == object.HashPacked {
		at, _ := h.find(field)
		n := object.PackedLen(h.payload())
		if n == 1 {
			h.Remove()
			return
		}
		b := h.splice(at.from, at.end-at.from, 0)
		object.SetPackedLen(b, n-1)
		if atMs != 0 {
			h.packedDue(b)
		}
	} else {
		h.change()
		t := h.trees()
		if t.A.Len() == 1 {
			h.Remove()
			return
		}
		heap := h.heap(&t)
		var p tree.Path
		if t.A.Find(h.space(), &p, h.hash(field), field) {
			t.A.Delete(heap, &p, 1)
		}
		if atMs != 0 {
			h.dropExpiry(heap, &t, atMs, field)
		}
		h.store(&t)
	}
	if atMs != 0 {
		h.noteDue(was)
	}
}

// expireFields deletes some fields whose time has passed, at most about limit, which is staged as effects. It returns
// how many; the key is gone with the last one.
func (h *Hash) expireFields(limit int) (n int) {
	s := h.db.shard
	for ; h.ok && n < limit; n++ {
		due := h.dueMs()
		if !h.past(due) {
			break
		}
		field := h.firstDue(due)
		s.expiredField = field.AppendTo(s.expiredField[:0])
		h.expireField(s.expiredField, due)
	}
	if cap(s.expiredField) > maxKept {
		s.expiredField = nil
	}
	if n > 0 {
		h.db.Notify(h.key.Bytes, EventHash, "hexpired")
	}
	switch {
	case n > 0 && h.ok:
		h.changed()
	case n > 0:
		h.db.Notify(h.key.Bytes, EventGeneric, "del")
	}
	return n
}

// expireField deletes a field whose time has passed, and stages that.
func (h *Hash) expireField(field []byte, atMs int64) {
	s := h.db.shard
	s.Stage(h.db.id, hdelWord, h.key.Bytes, field)
	s.Stats.ExpiredFields++
	h.delete(field, atMs)
}

var hdelWord = []byte("HDEL")

// maxKept is how many bytes of a field's name are kept for the next.
const maxKept = 4096

// firstDue returns a field with the earliest expiry.
func (h *Hash) firstDue(atMs int64) Text {
	if h.Kind() == object.HashPacked {
		var f Fields
		for h.from(&f); f.step(); {
			if f.ExpireAtMs == atMs {
				return f.Field
			}
		}
		panic("BUG: shard: no field of a hash has its earliest expiry")
	}
	var p tree.Path
	t := h.trees()
	t.B.First(h.space(), &p)
	return object.BodyText(h.space(), &p)
}
