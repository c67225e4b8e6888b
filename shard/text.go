package shard

import (
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
)

// Text is a string that is part of a value, in one piece or in pages. It is valid until the next change in the shard
// and must not be written to.
type Text struct {
	piece []byte
	space *arena.Space // nil: it is piece
	paged tree.Paged   // of which it is the bytes from start up to, not including, end
	start int
	end   int
}

// Len returns the length in bytes.
func (t *Text) Len() int {
	if t.space == nil {
		return len(t.piece)
	}
	return t.end - t.start
}

// AppendTo appends the text to dst.
func (t *Text) AppendTo(dst []byte) []byte {
	if t.space == nil {
		return append(dst, t.piece...)
	}
	return t.paged.AppendRange(dst, t.space, t.start, t.end)
}

// View returns the text in place if it is in one piece, or else appended to the empty buf.
func (t *Text) View(buf []byte) []byte {
	if t.space == nil {
		return t.piece
	}
	return t.AppendTo(buf[:0])
}
