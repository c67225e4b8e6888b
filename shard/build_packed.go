package shard

import (
	"bytes"
	"encoding/binary"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// seen is which elements of a packed collection have come: a table of hashes of 32 bits. Comparing each with all before
// took as long as all the rest.
type seen struct {
	slots [2 * object.MaxPackedItems]uint32 // 0: none
	used  [object.MaxPackedItems + 1]uint8
	n     int
}

// reset forgets all.
func (s *seen) reset() {
	for _, i := range s.used[:s.n] {
		s.slots[i] = 0
	}
	s.n = 0
}

// add notes a hash and reports whether it was there.
func (s *seen) add(hash uint32) bool {
	hash |= 1
	for i := uint8(hash >> 1); ; i++ {
		switch s.slots[i] {
		case hash:
			return true
		case 0:
			if s.n < len(s.used) {
				s.slots[i], s.used[s.n] = hash, i
				s.n++
			}
			return false
		}
	}
}

// begin is the offset of the first packed element.
func (b *Builder) begin() int {
	if b.src.Type == object.Hash && b.src.Expiring {
		return object.PackedPairs(object.FlagMixed)
	}
	return object.PackedHeader
}

// expiry is how many bytes follow a packed field's value.
func (b *Builder) expiry() int {
	if b.src.Expiring {
		return object.ExpirySize
	}
	return 0
}

// placeOf returns the offset at which a member of a packed sorted set goes. It is at one of the ends if they come in
// their order, or in the opposite one, in which they are written.
func (b *Builder) placeOf(key uint64, member []byte) int {
	end := len(b.packed)
	if b.n > 0 {
		last, _ := object.Item(b.packed, b.lastAt+scoreBytes)
		k := rankKey(binary.LittleEndian.Uint64(b.packed[b.lastAt:]))
		if k < rankKey(key) || k == rankKey(key) && bytes.Compare(last, member) < 0 {
			b.lastAt = end
			return end
		}
	} else {
		b.lastAt = end
		return end
	}
	b.lastAt += scoreBytes + object.ItemSize(len(member)) // it moves
	_, at := seekPacked(b.packed, rankKey(key), member)
	return at
}

// plant puts the packed elements into trees.
func (b *Builder) plant() {
	s := b.v.db.shard
	b.inTrees, b.trees = true, object.NewTrees(b.kind())
	for at := b.begin(); at < len(b.packed); {
		switch b.src.Type {
		case object.List:
			var item []byte
			item, at = object.Item(b.packed, at)
			b.pushTree(item)
		case object.Set:
			var m []byte
			m, at = object.Item(b.packed, at)
			s.insertMember(&b.trees, s.newHeap(), m)
		case object.ZSet:
			key := binary.LittleEndian.Uint64(b.packed[at:])
			var m []byte
			m, at = object.Item(b.packed, at+scoreBytes)
			hash := b.v.hash(m)
			var p tree.Path
			b.trees.B.Seek(b.v.space(), &p, hash)
			insertInto(&b.trees, s.newHeap(), &p, hash, m, key)
		case object.Hash:
			at = b.plantField(at)
		}
	}
}

func (b *Builder) plantField(at int) (next int) {
	field, at := object.Item(b.packed, at)
	value, at := object.Item(b.packed, at)
	atMs := int64(0)
	if b.src.Expiring {
		atMs = object.PackedExpiry(b.packed, at)
	}
	var p tree.Path
	hash := b.v.hash(field)
	b.trees.A.Seek(b.v.space(), &p, hash)
	b.insertField(&p, hash, field, value, atMs)
	return at + b.expiry()
}

// insertField puts a field into the trees, at p.
func (b *Builder) insertField(p *tree.Path, hash uint64, field, value []byte, atMs int64) {
	h := b.v.db.shard.newHeap()
	var room pairRoom
	head, meta := room.parts(field, atMs)
	b.trees.A.Insert(h, p, hash, 0, head, field, meta, value)
	if atMs != 0 {
		b.trees.B.SeekScore(b.v.space(), p, uint64(atMs), field)
		b.trees.B.Insert(h, p, uint64(atMs), 0, field)
	}
}

// Field is a field of a hash with its value; expireAtMs is Unix time, 0 if it has no expiry.
func (b *Builder) Field(field, value []byte, expireAtMs int64) error {
	if len(field) > object.MaxString || len(value) > object.MaxString {
		return ErrTooLong
	}
	if b.src.Container == object.Elements {
		b.big = b.big || int64(len(field)) > b.lim.HashValueBytes || int64(len(value)) > b.lim.HashValueBytes
	}
	if expireAtMs != 0 && (b.dueMs == 0 || expireAtMs < b.dueMs) {
		b.dueMs = expireAtMs
	}
	if expireAtMs != 0 && !b.src.Expiring && !b.inTrees {
		b.plant() // where there is room for it
	}
	if !b.inTrees {
		if b.isThere(field, 0) {
			return ErrTwice
		}
		at := len(b.packed)
		if b.room(at, object.ItemSize(len(field))+object.ItemSize(len(value))+b.expiry()) {
			at = object.PutItem(b.packed, object.PutItem(b.packed, at, field), value)
			if b.src.Expiring {
				object.PutPackedExpiry(b.packed, at, expireAtMs)
			}
			return nil
		}
	}
	var p tree.Path
	hash := b.v.hash(field)
	if b.trees.A.Find(b.v.space(), &p, hash, field) {
		return ErrTwice
	}
	b.n++
	b.insertField(&p, hash, field, value, expireAtMs)
	return nil
}
