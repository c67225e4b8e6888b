package rdb

import (
	"encoding/binary"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// wholeBytes is the size of a listpack (listpack.go) from which on a collection is not written as one.
const wholeBytes = 64 << 10

// packBegin begins a listpack in w.pack.
func (w *Writer) packBegin() {
	var none [listpackHeaderLen]byte
	w.pack = append(w.pack[:0], none[:]...)
}

// packClose ends the listpack, of n entries.
func (w *Writer) packClose(n int) {
	w.pack = append(w.pack, containerEnd)
	binary.LittleEndian.PutUint32(w.pack, uint32(len(w.pack)))
	binary.LittleEndian.PutUint16(w.pack[4:], uint16(min(n, unknownCount)))
}

// packText adds a part of a value.
func (w *Writer) packText(t *object.Text) {
	if b, ok := t.Piece(); ok {
		w.packBytes(b)
		return
	}
	w.item = t.AppendTo(w.item[:0])
	w.packBytes(w.item)
}

// packBytes adds a string, as an integer if it is the text of one.
func (w *Writer) packBytes(b []byte) {
	if len(b) <= maxInt {
		if n, ok := resp.ParseInt(b); ok {
			w.packInt(n)
			return
		}
	}
	from := len(w.pack)
	switch n := len(b); {
	case n < 1<<6:
		w.pack = append(w.pack, 0x80|byte(n))
	case n < 1<<12:
		w.pack = append(w.pack, 0xE0|byte(n>>8), byte(n))
	default:
		w.pack = binary.LittleEndian.AppendUint32(append(w.pack, listpackString32), uint32(n))
	}
	w.pack = append(w.pack, b...)
	w.packBack(len(w.pack) - from)
}

// packInt adds an integer.
func (w *Writer) packInt(n int64) {
	p, from := w.pack, len(w.pack)
	switch {
	case n >= 0 && n < 1<<7:
		p = append(p, byte(n))
	case n >= -1<<12 && n < 1<<12:
		p = append(p, 0xC0|byte(n>>8)&0x1F, byte(n))
	case n == int64(int16(n)):
		p = binary.LittleEndian.AppendUint16(append(p, listpackInt16), uint16(n))
	case n >= -1<<23 && n < 1<<23:
		p = append(p, listpackInt24, byte(n), byte(n>>8), byte(n>>16))
	case n == int64(int32(n)):
		p = binary.LittleEndian.AppendUint32(append(p, listpackInt32), uint32(n))
	default:
		p = binary.LittleEndian.AppendUint64(append(p, listpackInt64), uint64(n))
	}
	w.pack = p
	w.packBack(len(p) - from)
}

// packBack adds the size of the entry before.
func (w *Writer) packBack(size int) {
	more := byte(0)
	for i := backSize(size) - 1; i >= 0; i-- {
		w.pack = append(w.pack, byte(size>>(7*i))&0x7F|more)
		more = 0x80
	}
}

// packScore adds a score: as an integer if it is one, or else as its text.
func (w *Writer) packScore(score float64) {
	const exact = 1 << 53
	if n := int64(score); score > -exact && score < exact && float64(n) == score {
		w.packInt(n)
		return
	}
	var room [32]byte
	w.packBytes(resp.FormatDouble(room[:0], score))
}
