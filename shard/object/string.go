package object

import (
	"fulmen/internal/resp"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
)

const (
	// MaxBlock is the size in bytes up to which an entry's block, string included, is kept in one piece.
	MaxBlock = 4096
	// MaxString is the greatest length of a string in bytes.
	MaxString = tree.MaxPaged

	maxEmbedded = 44 // length up to which Redis calls a string embstr
	maxInt      = 20 // length of the longest 64-bit integer's text
)

// FitsInline reports whether a string of n bytes under a key of keyLen bytes is kept in the entry. One that is
// no longer than the descriptor of a paged string always is: a long key alone is no reason to page.
func FitsInline(keyLen, n int, hasExpire bool) bool {
	return n <= tree.PagedSize || n <= MaxBlock && index.EntrySize(keyLen, n, hasExpire) <= MaxBlock
}

// StringLen returns the length in bytes of the string in e.
func StringLen(e index.Entry) int {
	payload := e.Payload()
	if KindOf(e.Tag()) == StringPaged {
		return tree.LoadPaged(payload).Len()
	}
	return len(payload)
}

// StringView returns the string in e without copying, if it is kept in one piece. The bytes are the entry's:
// they are valid until the next change to the key and must not be written to.
func StringView(e index.Entry) ([]byte, bool) {
	return e.Payload(), KindOf(e.Tag()) == StringInline
}

// AppendString appends the string in e to dst.
func AppendString(dst []byte, space *arena.Space, e index.Entry) []byte {
	payload := e.Payload()
	if KindOf(e.Tag()) == StringInline {
		return append(dst, payload...)
	}
	p := tree.LoadPaged(payload)
	return p.AppendRange(dst, space, 0, p.Len())
}

// AppendStringRange appends the bytes from start up to, not including, end of the string in e to dst; what lies
// outside the string is left out.
func AppendStringRange(dst []byte, space *arena.Space, e index.Entry, start, end int) []byte {
	start, end = max(start, 0), min(end, StringLen(e))
	if start >= end {
		return dst
	}
	if payload := e.Payload(); KindOf(e.Tag()) == StringInline {
		return append(dst, payload[start:end]...)
	}
	return tree.LoadPaged(e.Payload()).AppendRange(dst, space, start, end)
}

// StringPiece returns the bytes from start up to, not including, end of the string in e if they are in one piece;
// false: they are not, or some were never written to. They must not be written to. start ≤ end ≤ its length.
func StringPiece(space *arena.Space, e index.Entry, start, end int) (b []byte, ok bool) {
	payload := e.Payload()
	if KindOf(e.Tag()) == StringPaged {
		return tree.LoadPaged(payload).Part(space, start, end)
	}
	return payload[start:end:end], true
}

// StringPieces calls fn for the bytes from start up to, not including, end of the string in e, from left to right,
// until it returns false: n bytes at a time, the first of which are b and the others zero. 0 ≤ start ≤ end ≤ its
// length.
func StringPieces(space *arena.Space, e index.Entry, start, end int, fn func(b []byte, n int) bool) {
	payload := e.Payload()
	if KindOf(e.Tag()) == StringPaged {
		tree.LoadPaged(payload).Pieces(space, start, end, fn)
	} else if start < end {
		fn(payload[start:end], end-start)
	}
}

// StringEncoding returns the name that OBJECT ENCODING gives the string in e: int, embstr or raw.
func StringEncoding(e index.Entry) string {
	s, ok := StringView(e)
	if !ok || e.Tag()&FlagRaw != 0 {
		return "raw"
	}
	if len(s) <= maxInt && e.Tag()&FlagText == 0 {
		if _, ok := resp.ParseInt(s); ok {
			return "int"
		}
	}
	if len(s) <= maxEmbedded {
		return "embstr"
	}
	return "raw"
}
