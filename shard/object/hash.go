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

// Pair is a field of a hash. It is valid as long as what it was taken from does not change.
type Pair struct {
	Field, Value Text
	ExpireAtMs   int64 // 0 = never
}

// PairAt sets x to the pair at a place in a hash's first tree.
func PairAt(space *arena.Space, p *tree.Path, x *Pair) {
	x.ExpireAtMs = 0
	if b, ok := p.Body(); ok {
		field, rest := tree.SplitPair(b)
		if rest[0] != 0 {
			x.ExpireAtMs = PackedExpiry(rest, 1)
			rest = rest[ExpirySize:]
		}
		x.Field, x.Value = TextOf(field), TextOf(rest[1:])
		return
	}
	s := p.Spilled()
	from, rest := tree.SpilledPair(&s, space)
	x.Field = PagedText(space, s, from, rest)
	var meta [1 + ExpirySize]byte
	s.AppendRange(meta[:0], space, rest, min(rest+len(meta), s.Len()))
	if rest++; meta[0] != 0 {
		x.ExpireAtMs = PackedExpiry(meta[:], 1)
		rest += ExpirySize
	}
	x.Value = PagedText(space, s, rest, s.Len())
}

// PackedPair sets x to the pair at offset at of the payload of a packed hash with the given tag, and returns the offset
// behind it. x is zero, or was set for the same hash: of what is the same for all its pairs nothing is written.
func PackedPair(payload []byte, at int, tag byte, x *Pair) (next int) {
	x.Field.piece, at = Item(payload, at)
	x.Value.piece, at = Item(payload, at)
	if tag&FlagMixed != 0 {
		x.ExpireAtMs = PackedExpiry(payload, at)
		at += ExpirySize
	}
	return at
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
