package shard

import (
	"slices"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// String is a string that is looked up once, read in parts and changed in parts. What changes makes it one that was
// written to, as StringSetRange does. If the key has a value of another type it must be asked for nothing but Exists
// and Type.
type String struct{ Value }

// Len returns the string's length in bytes.
func (s *String) Len() int { return object.StringLen(s.e) }

// Bytes returns the len(buf) bytes from off on, all of which the string has: in place if they are in one piece, where
// they are valid until the next change in the shard and must not be written to, or else in buf.
func (s *String) Bytes(buf []byte, off int) []byte {
	b, ok := object.StringPiece(s.space(), s.e, off, off+len(buf))
	if !ok {
		s.db.StringRead(buf, s.e, off)
		return buf
	}
	return b
}

// Piece returns the whole string as Bytes returns a part, if it is in one piece.
func (s *String) Piece() (b []byte, ok bool) { return object.StringPiece(s.space(), s.e, 0, s.Len()) }

// AppendTo appends the string to dst.
func (s *String) AppendTo(dst []byte) []byte { return s.db.AppendString(dst, s.e) }

// Raw marks the string as one that was written to. It is still the same value: neither watchers nor the log are told.
func (s *String) Raw() {
	if !s.has(object.FlagRaw) {
		s.change()
		s.set(object.FlagRaw)
	}
}

// Splice puts ins, which must not lie in the shard's memory, in the place of the del bytes from offset at on. Expiry
// and access clock stay. The string must not become longer than object.MaxString.
func (s *String) Splice(at, del int, ins []byte) {
	sh, old := s.db.shard, s.Len()
	inline := s.Kind() == object.StringInline
	switch {
	case inline && object.FitsInline(len(s.key.Bytes), old-del+len(ins), s.e.ExpireAt() != 0):
		copy(s.splice(at, del, len(ins))[at:], ins)
		s.set(object.FlagRaw)
		s.changed()
	case !inline && del == len(ins):
		s.write(at, ins)
		s.changed()
	case !inline && del < len(ins):
		sh.copied = s.db.AppendStringRange(append(sh.copied[:0], ins...), s.e, at+del, old)
		s.write(at, sh.copied)
		s.changed()
	default:
		sh.copied = slices.Replace(s.db.AppendString(sh.copied[:0], s.e), at, at+del, ins...)
		s.db.StringReplace(s.key, sh.copied) // which tells of the change
		s.pos, s.e, s.ok = s.db.find(s.key, 0)
	}
	if cap(sh.copied) > keptRoom {
		sh.copied = nil
	}
}

// write writes b to a paged string.
func (s *String) write(at int, b []byte) {
	payload := s.change()
	pages := tree.LoadPaged(payload)
	pages.Write(s.db.shard.heapOf(pages.Pin()), at, b)
	pages.Store(payload)
	s.set(object.FlagRaw)
}
