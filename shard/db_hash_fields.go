package shard

import (
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Big reports whether the hash is called by the name of the encoding for big ones, and SetBig says so from now on. That
// is no change of the value.
func (h *Hash) Big() bool { return h.has(object.FlagBig) }

// SetBig see Big.
func (h *Hash) SetBig() {
	h.change()
	h.set(object.FlagBig)
}

// Purge deletes fields whose time has passed, which is staged as effects, for those who want to know a number of fields
// that are there for certain: all of them unless they are very many.
func (h *Hash) Purge() {
	if h.ok && h.has(object.FlagMixed) && !h.frozen() {
		h.expireFields(purgeFields)
	}
}

// purgeFields is how many fields Purge deletes at most.
const purgeFields = 10_000

// Mix prepares the hash, which is there, for fields with an expiry: from then on it is called by another encoding.
func (h *Hash) Mix() {
	if h.has(object.FlagMixed) {
		return
	}
	if h.Kind() == object.HashPacked {
		var room [object.MaxBlock]byte
		old := room[:copy(room[:], h.payload())]
		count := object.PackedLen(old)
		n := len(old) + object.ExpirySize*(count+1)
		if !h.fitsPacked(n) {
			h.toTrees()
		} else {
			b := h.reform(object.HashPacked, n)
			object.SetPackedLen(b, count)
			object.PutPackedExpiry(b, object.PackedHeader, 0)
			to := object.PackedPairs(object.FlagMixed)
			for at := object.PackedHeader; at < len(old); {
				from := at
				_, at = object.Item(old, at)
				_, at = object.Item(old, at)
				to += copy(b[to:], old[from:at])
				object.PutPackedExpiry(b, to, 0)
				to += object.ExpirySize
			}
		}
	} else {
		h.change()
	}
	h.set(object.FlagMixed)
}

// SetExpire gives a field that is there an expiry, or takes it away if atMs is 0. The hash must have been mixed (Mix).
func (h *Hash) SetExpire(field []byte, atMs int64) {
	was := h.dueMs()
	if h.Kind() == object.HashPacked {
		at, ok := h.find(field)
		if !ok {
			panic("BUG: shard: an expiry for a field that isn't there")
		}
		b := h.change()
		object.PutPackedExpiry(b, at.expiry, atMs)
		h.packedDue(b)
	} else {
		h.setExpireTree(field, atMs)
	}
	h.noteDue(was)
	h.changed()
}

func (h *Hash) setExpireTree(field []byte, atMs int64) {
	h.change()
	t := h.trees()
	heap := h.heap(&t)
	var p tree.Path
	if !t.A.Find(h.space(), &p, h.hash(field), field) {
		panic("BUG: shard: an expiry for a field that isn't there")
	}
	var x pair
	h.pairAt(&p, &x)
	if x.ExpireAtMs != 0 {
		h.dropExpiry(heap, &t, x.ExpireAtMs, field)
	}
	h.db.shard.copied = x.Value.AppendTo(h.db.shard.copied[:0])
	var room pairRoom
	head, meta := room.parts(field, atMs)
	t.A.SetBody(heap, &p, head, field, meta, h.db.shard.copied)
	if cap(h.db.shard.copied) > maxKept {
		h.db.shard.copied = nil
	}
	if atMs != 0 {
		t.B.SeekScore(h.space(), &p, uint64(atMs), field)
		t.B.Insert(heap, &p, uint64(atMs), 0, field)
	}
	h.store(&t)
}

// Fields goes through the fields of a hash that does not change meanwhile. It is made by From and Scan.
type Fields struct {
	// The field that Next has come to: its name and value, and its expiry.
	pair

	h    Hash
	at   int       // of the next pair if the hash is packed; 0: it is in a tree
	p    tree.Path // at the next pair
	left int       // pairs that Scan still gives
	key  uint64    // of the last pair that Next has come to
}

// From makes f go through the fields from number rank on, in an order that stays as long as the hash does. Fields that
// have expired count if they are not deleted yet.
func (h *Hash) From(f *Fields, rank int) {
	if h.ok && h.Kind() == object.HashTree {
		f.h, f.at, f.p = *h, 0, tree.Path{}
		t := h.trees()
		t.A.At(h.space(), &f.p, rank)
		return
	}
	for h.from(f); rank > 0 && f.step(); rank-- {
	}
}

// from is From for rank 0.
func (h *Hash) from(f *Fields) {
	f.h, f.at, f.p = *h, 0, tree.Path{}
	switch {
	case !h.ok:
	case h.Kind() == object.HashPacked:
		f.at = object.PackedPairs(h.e.Tag())
	default:
		t := h.trees()
		t.A.First(h.space(), &f.p)
	}
}

// Next goes to the next field, and reports whether there is one.
func (f *Fields) Next() bool {
	for f.step() {
		if !f.h.past(f.ExpireAtMs) {
			return true
		}
	}
	return false
}

// step is Next for fields that may have expired.
func (f *Fields) step() bool {
	if f.at > 0 {
		b := f.h.payload()
		if f.at == len(b) {
			return false
		}
		f.at = object.PackedPair(b, f.at, f.h.e.Tag(), &f.pair)
		return true
	}
	if !f.p.Valid() {
		return false
	}
	f.h.pairAt(&f.p, &f.pair)
	f.key = f.p.Key()
	f.p.Next()
	return true
}

// Scan makes f go through about count fields from cursor on with NextScanned: all of a packed hash, or else those whose
// hashes, of 32 bits, are the next ones from cursor on. Fields of the same hash are given together. So a field that
// stays is given once and only once, whatever comes and goes between two calls.
func (h *Hash) Scan(f *Fields, cursor uint64, count int) {
	f.left = count
	h.from(f)
	if h.ok && h.Kind() == object.HashTree {
		t := h.trees()
		t.A.Seek(h.space(), &f.p, cursor)
	}
}

// NextScanned is Next after Scan.
func (f *Fields) NextScanned() bool {
	for {
		if f.at == 0 && f.left <= 0 && (!f.p.Valid() || f.p.Key() != f.key) {
			return false
		}
		f.left--
		if !f.step() {
			return false
		}
		if !f.h.past(f.ExpireAtMs) {
			return true
		}
	}
}

// Cursor returns where Scan is to go on when NextScanned has come to an end; 0: nowhere.
func (f *Fields) Cursor() uint64 {
	if f.at > 0 || !f.p.Valid() {
		return 0
	}
	return f.p.Key()
}
