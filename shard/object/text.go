package object

import (
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
)

// Text is a string that is part of a value, in one piece or in pages. It is valid as long as what it was taken from
// does not change, and must not be written to.
type Text struct {
	piece []byte
	space *arena.Space // nil: it is piece
	paged tree.Paged   // of which it is the bytes from start up to, not including, end
	start int
	end   int
}

// TextOf returns b as a text; the bytes stay b's.
func TextOf(b []byte) Text { return Text{piece: b} }

// PagedText returns the bytes from start up to, not including, end of a paged string. 0 ≤ start ≤ end ≤ its length.
func PagedText(space *arena.Space, p tree.Paged, start, end int) Text {
	return Text{space: space, paged: p, start: start, end: end}
}

// BodyText returns the body of the item at p.
func BodyText(space *arena.Space, p *tree.Path) Text {
	if b, ok := p.Body(); ok {
		return Text{piece: b}
	}
	s := p.Spilled()
	return Text{space: space, paged: s, end: s.Len()}
}

// Piece returns the text in place if it is in one piece.
func (t *Text) Piece() (b []byte, ok bool) { return t.piece, t.space == nil }

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

// AppendRange appends the bytes of the text from `from` up to, not including, `to` to dst. 0 ≤ from ≤ to ≤ Len.
func (t *Text) AppendRange(dst []byte, from, to int) []byte {
	if t.space == nil {
		return append(dst, t.piece[from:to]...)
	}
	return t.paged.AppendRange(dst, t.space, t.start+from, t.start+to)
}

// View returns the text in place if it is in one piece, or else appended to the empty buf.
func (t *Text) View(buf []byte) []byte {
	if t.space == nil {
		return t.piece
	}
	return t.AppendTo(buf[:0])
}
