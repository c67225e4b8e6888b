package object

import (
	"encoding/binary"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
)

// A packed hash is its number of fields and, item by item, each field and its value. One with FlagMixed, which has had
// fields with an expiry, has i64 the earliest of these, 0 if there is none, between header and items, and behind each
// value i64 the field's, 0 if it has none.
//
// In trees what belongs to a field in its pair is u8 0 and the value, or u8 1, i64 the expiry and the value; it is so
// whether the hash has FlagMixed or not, so that one that gets it need not be written anew.

// ExpirySize is the size in bytes of the expiry of a field, and of the earliest one, in a packed hash with FlagMixed.
const ExpirySize = 8

// PackedPairs returns where the pairs of a packed hash with the given tag begin.
func PackedPairs(tag byte) int {
	if tag&FlagMixed != 0 {
		return PackedHeader + ExpirySize
	}
	return PackedHeader
}

// PackedExpiry reads an expiry at offset at of the payload.
func PackedExpiry(payload []byte, at int) int64 {
	return int64(binary.LittleEndian.Uint64(payload[at:]))
}

// PutPackedExpiry writes one.
func PutPackedExpiry(payload []byte, at int, atMs int64) {
	binary.LittleEndian.PutUint64(payload[at:], uint64(atMs))
}

// FieldsDueAt returns the earliest expiry of a field of the value in e; 0 if it has none or is no hash.
func FieldsDueAt(space *arena.Space, e index.Entry) int64 {
	if e.Tag()&FlagMixed == 0 {
		return 0
	}
	switch KindOf(e.Tag()) {
	case HashPacked:
		return PackedExpiry(e.Payload(), PackedHeader)
	case HashTree:
		t := LoadTrees(HashTree, e.Payload())
		if t.B.Len() == 0 {
			return 0
		}
		var p tree.Path
		t.B.First(space, &p)
		return int64(p.Key())
	}
	return 0
}
