package object

import (
	"encoding/binary"

	"fulmen/shard/ds/index"
)

// Packed values are sequences of items in an entry's payload, behind a u16 with their number (of pairs in a hash, of
// members in a sorted set). An item is its length as a uvarint and its bytes.
const (
	// PackedHeader is the size in bytes of what precedes the items.
	PackedHeader = 2
	// MaxPackedItems is the number of items, or pairs of items, up to which a value may be packed: looking for one
	// means passing all.
	MaxPackedItems = 128
)

// FitsPacked reports whether a value of n bytes under a key of keyLen bytes may be packed. A long key alone is no
// reason not to.
func FitsPacked(keyLen, n int, hasExpire bool) bool {
	return n <= TreesSize || n <= MaxBlock && index.EntrySize(keyLen, n, hasExpire) <= MaxBlock
}

// PackedLen returns the number in a packed value's header.
func PackedLen(payload []byte) int { return int(binary.LittleEndian.Uint16(payload)) }

// SetPackedLen changes it.
func SetPackedLen(payload []byte, n int) { binary.LittleEndian.PutUint16(payload, uint16(n)) }

// ItemSize returns the bytes that an item of n bytes takes.
func ItemSize(n int) int {
	size := 1
	for k := n; k >= 128; k >>= 7 {
		size++
	}
	return size + n
}

// PutItem writes an item at offset at of the payload and returns the offset behind it.
func PutItem(payload []byte, at int, b []byte) int {
	at += binary.PutUvarint(payload[at:], uint64(len(b)))
	return at + copy(payload[at:], b)
}

// Item returns the item at offset at of the payload and the offset behind it. The bytes are the payload's.
func Item(payload []byte, at int) (b []byte, next int) {
	k, n := uint64(payload[at]), 1
	if k >= 128 {
		k, n = binary.Uvarint(payload[at:])
	}
	at += n
	next = at + int(k)
	return payload[at:next:next], next
}
