package rdb

import (
	"encoding/binary"
	"slices"

	"fulmen/internal/lzf"
	"fulmen/internal/resp"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

const (
	// shortestLZF is the length above which Redis compresses strings.
	shortestLZF = 20
	// lzfGain is how many bytes compressing must save at least, so that the second length doesn't cost more.
	lzfGain = 4
	// longestInt is the length of the longest text of a 32-bit integer.
	longestInt = 11
	// pieceBytes is the length in bytes up to which a string is put together in memory; a longer one is written piece
	// by piece.
	pieceBytes = 64 << 10
)

// string writes a string: as an integer if it is the text of one of 32 bits, compressed if that saves something, or as
// it is.
func (w *Writer) string(b []byte) {
	if len(b) <= longestInt {
		if n, ok := resp.ParseInt(b); ok && n == int64(int32(n)) {
			w.int(int32(n))
			return
		}
	} else if w.o.LZF && len(b) > shortestLZF && w.compressed(b) {
		return
	}
	w.room()
	w.buf = appendLength(w.buf, uint64(len(b)))
	if len(b) <= bufferBytes-flushBytes-16 { // it fits behind the room
		w.buf = append(w.buf, b...)
		return
	}
	w.bytes(b)
}

// int writes a string that is the text of an integer.
func (w *Writer) int(n int32) {
	w.room()
	switch {
	case n == int32(int8(n)):
		w.buf = append(w.buf, lenString|stringInt8, byte(n))
	case n == int32(int16(n)):
		w.buf = binary.LittleEndian.AppendUint16(append(w.buf, lenString|stringInt16), uint16(n))
	default:
		w.buf = binary.LittleEndian.AppendUint32(append(w.buf, lenString|stringInt32), uint32(n))
	}
}

// compressed writes a string of at most a few times pieceBytes compressed, unless that saves too little.
func (w *Writer) compressed(b []byte) bool {
	c, ok := w.squeeze(b, len(b)-lzfGain)
	if !ok {
		return false
	}
	w.lzfHead(len(c), len(b))
	w.bytes(c)
	return true
}

// lzfHead writes what precedes a compressed string.
func (w *Writer) lzfHead(compressed, length int) {
	w.room()
	w.buf = appendLength(append(w.buf, lenString|stringLZF), uint64(compressed))
	w.buf = appendLength(w.buf, uint64(length))
}

// squeeze compresses b to at most limit bytes, if that is possible. They are valid until the next call.
func (w *Writer) squeeze(b []byte, limit int) (c []byte, ok bool) {
	if w.lzf == nil {
		w.lzf = new(lzf.Compressor)
	}
	w.comp = slices.Grow(w.comp[:0], limit) // else what it outgrows in vain is made again every time
	w.comp, ok = w.lzf.AppendCompress(w.comp, b, limit)
	return w.comp, ok
}

// text writes a part of a value as a string.
func (w *Writer) text(t *object.Text) {
	if b, ok := t.Piece(); ok {
		w.string(b)
		return
	}
	if t.Len() <= pieceBytes {
		w.item = t.AppendTo(w.item[:0])
		w.string(w.item)
		return
	}
	w.long(t)
}

// long writes a string piece by piece. Compressed pieces one after the other are a compressed string, but how long that
// will be must be written first: so they are compressed twice.
func (w *Writer) long(t *object.Text) {
	n := t.Len()
	if w.o.LZF {
		sum := 0
		w.pieces(t, func(b []byte) { sum += len(w.lzfPiece(b)) })
		if sum <= n-lzfGain {
			w.lzfHead(sum, n)
			w.pieces(t, func(b []byte) { w.bytes(w.lzfPiece(b)) })
			return
		}
	}
	w.length(uint64(n))
	w.pieces(t, w.bytes)
}

// pieces calls fn for the pieces of a text from left to right.
func (w *Writer) pieces(t *object.Text, fn func(b []byte)) {
	n := t.Len()
	for at := 0; at < n && w.err == nil; at += pieceBytes {
		w.item = t.AppendRange(w.item[:0], at, min(at+pieceBytes, n))
		fn(w.item)
	}
}

// lzfPiece compresses b, or makes literals of it.
func (w *Writer) lzfPiece(b []byte) []byte {
	c, _ := w.squeeze(b, lzf.Bound(len(b)))
	return c
}

func (w *Writer) stringValue(tag byte, payload []byte) {
	if object.KindOf(tag) == object.StringInline {
		w.string(payload)
		return
	}
	p := tree.LoadPaged(payload)
	t := object.PagedText(w.o.Space, p, 0, p.Len())
	w.text(&t)
}
