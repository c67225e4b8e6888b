package tree

import (
	"bytes"
	"encoding/binary"

	"fulmen/shard/arena"
)

func u64(b []byte) uint64       { return binary.LittleEndian.Uint64(b) }
func putU64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

// A pair, the body of an item ordered ByHashPair, is the length of the member as a uvarint, the member, and what
// belongs to it.

// AppendPairHead appends the beginning of a pair, the member's length, to dst.
func AppendPairHead(dst []byte, member int) []byte { return binary.AppendUvarint(dst, uint64(member)) }

// SplitPair returns the parts of a pair.
func SplitPair(b []byte) (member, rest []byte) {
	k, n := uint64(b[0]), 1
	if k >= 128 {
		k, n = binary.Uvarint(b)
	}
	end := n + int(k)
	return b[n:end:end], b[end:]
}

// SpilledPair returns where the parts of a spilled pair begin: the member, and what belongs to it.
func SpilledPair(s *Paged, space *arena.Space) (member, rest int) {
	var head [binary.MaxVarintLen64]byte
	b := s.AppendRange(head[:0], space, 0, min(len(head), s.Len()))
	k, n := binary.Uvarint(b)
	return n, n + int(k)
}

// spilledMember reports whether the member of a spilled pair is member.
func spilledMember(s *Paged, space *arena.Space, member []byte) bool {
	from, to := SpilledPair(s, space)
	return to-from == len(member) && s.compareRange(space, from, to, member) == 0
}

// compare compares the string with b.
func (p *Paged) compare(space *arena.Space, b []byte) int {
	return p.compareRange(space, 0, p.Len(), b)
}

// Equal reports whether the string is b.
func (p Paged) Equal(space *arena.Space, b []byte) bool {
	return p.Len() == len(b) && p.compare(space, b) == 0
}

// compareRange compares the bytes of the string from start up to, not including, end with b.
func (p *Paged) compareRange(space *arena.Space, start, end int, b []byte) (order int) {
	p.Pieces(space, start, end, func(piece []byte, n int) bool {
		k := min(len(piece), len(b)) // bodies have no holes: what a page lacks at its end is zero all the same
		if order = bytes.Compare(piece[:k], b[:k]); order != 0 {
			return false
		}
		if k < len(piece) { // b ends first
			order = 1
			return false
		}
		b = b[k:]
		for range n - k {
			if len(b) == 0 {
				order = 1
				return false
			}
			if b[0] != 0 {
				order = -1
				return false
			}
			b = b[1:]
		}
		return true
	})
	if order == 0 && len(b) > 0 {
		return -1
	}
	return order
}
