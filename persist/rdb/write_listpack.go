package rdb

import (
	lpack "fulmen/internal/listpack"
	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// wholeBytes is the size of a listpack from which on a collection is not written as one.
const wholeBytes = 64 << 10

// packBegin begins a listpack in w.pack.
func (w *Writer) packBegin() { w.pack = lpack.Begin(w.pack[:0]) }

// packClose ends the listpack, of n entries.
func (w *Writer) packClose(n int) { w.pack = lpack.Close(w.pack, 0, n) }

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
func (w *Writer) packBytes(b []byte) { w.pack = lpack.AppendBytes(w.pack, b) }

// packInt adds an integer.
func (w *Writer) packInt(n int64) { w.pack = lpack.AppendInt(w.pack, n) }

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
