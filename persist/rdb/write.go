package rdb

import (
	"encoding/binary"
	"errors"
	"io"
	"strconv"

	"fulmen/internal/crc"
	"fulmen/internal/lzf"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
)

const (
	// flushBytes is how much a Writer collects before it writes.
	flushBytes = 64 << 10
	// bufferBytes leaves room behind that for the small pieces of an entry.
	bufferBytes = flushBytes + 1<<10
)

// WriteOptions say what a Writer writes.
type WriteOptions struct {
	// Version is Version7, or Version8 for a file that has hashes whose fields have expiries. Writing one of these
	// (NeedsVersion) with Version7 is an error.
	Version int
	// LZF compresses strings of more than 20 bytes where that makes them shorter, as rdbcompression does.
	LZF bool
	// Checksum ends the file with its CRC-64; 0 stands there otherwise, which is "not checked".
	Checksum bool
	// Space is where the nodes of values are. It may be nil if no entry has any.
	Space *arena.Space
	// Hash is the hash of a member by which the second tree of a sorted set is ordered: Key(m).Hash of the set of
	// shards. Only scores of -0 are looked up with it; without it they become 0.
	Hash func(member []byte) uint64
	// Idle returns the seconds since an entry was used, Freq its logarithmic counter of uses, 0 to 255. At most one of
	// them is set, if it is to be written with each entry.
	Idle func(e index.Entry) int64
	Freq func(e index.Entry) int
}

// Writer writes an RDB file: Header, Aux and Function; for each database SelectDB, ResizeDB, and an Entry for each key;
// End. It writes 64 KiB at a time, but not more than a few times that of a big value is ever in memory. The first error
// of any step is kept, and whatever comes after it does nothing.
//
// A Writer belongs to one goroutine. It may be used for one file after the other: Reset.
type Writer struct {
	out io.Writer // nil: all stays in buf
	o   WriteOptions
	buf []byte
	sum uint64 // of what has left buf
	err error

	lzf  *lzf.Compressor // made when first needed
	comp []byte          // what it made
	item []byte          // a string, put together of pieces
	pack []byte          // a listpack
	ints []int64
	// the fields of a hash by their expiry, while it is written as a listpack
	order []fieldAt
}

// NewWriter returns a Writer to w, which gets at least 64 KiB in each call but those for the last.
func NewWriter(w io.Writer, o WriteOptions) *Writer {
	rw := &Writer{buf: make([]byte, 0, bufferBytes)}
	rw.Reset(w, o)
	return rw
}

// Reset begins another file; what was not flushed of the former one is lost.
func (w *Writer) Reset(out io.Writer, o WriteOptions) {
	w.out, w.o, w.buf, w.sum, w.err = out, o, w.buf[:0], 0, nil
}

// Err returns the first error of any step so far.
func (w *Writer) Err() error { return w.err }

// fail keeps the first error.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Flush hands what is buffered to the underlying writer.
func (w *Writer) Flush() error {
	if w.out == nil || len(w.buf) == 0 {
		return w.err
	}
	if w.o.Checksum {
		w.sum = crc.Update64(w.sum, w.buf)
	}
	if w.err == nil {
		n, err := w.out.Write(w.buf)
		if err == nil && n < len(w.buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			w.fail(err)
		}
	}
	w.buf = w.buf[:0]
	return w.err
}

// room sees to it that n bytes, 1 KiB at most, may be appended to buf.
func (w *Writer) room() {
	if len(w.buf) >= flushBytes {
		w.more()
	}
}

func (w *Writer) more() {
	_ = w.Flush() // its error is kept
}

// byte writes one byte.
func (w *Writer) byte(c byte) {
	w.room()
	w.buf = append(w.buf, c)
}

// bytes writes b as it is.
func (w *Writer) bytes(b []byte) {
	if w.out == nil {
		w.buf = append(w.buf, b...)
		return
	}
	for {
		w.room()
		n := min(len(b), bufferBytes-len(w.buf))
		w.buf = append(w.buf, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return
		}
	}
}

func (w *Writer) u64(n uint64) {
	w.room()
	w.buf = binary.LittleEndian.AppendUint64(w.buf, n)
}

// length writes a length.
func (w *Writer) length(n uint64) {
	w.room()
	w.buf = appendLength(w.buf, n)
}

// appendLength appends a length: 6 bits, 14 bits, or, with a byte that says so, 32 or 64 bits, the highest first.
func appendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, byte(n>>8)|len14Bits, byte(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, len32Bits), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, len64Bits), n)
}

// Header begins the file: the magic with the version.
func (w *Writer) Header() {
	w.room()
	w.buf = append(w.buf, magic...)
	v := strconv.Itoa(w.o.Version)
	w.buf = append(w.buf, "0000"[len(v):]...)
	w.buf = append(w.buf, v...)
}

// Aux writes a field of information about the file.
func (w *Writer) Aux(key, value string) {
	w.byte(opAux)
	w.item = append(w.item[:0], key...)
	w.string(w.item)
	w.item = append(w.item[:0], value...)
	w.string(w.item)
}

// Function writes the code of a library of functions.
func (w *Writer) Function(code []byte) {
	w.byte(opFunction2)
	w.string(code)
}

// SelectDB says that the entries to come are those of a database.
func (w *Writer) SelectDB(db int) {
	w.byte(opSelectDB)
	w.length(uint64(db))
}

// ResizeDB says about how many keys the database has, and how many of them have an expiry.
func (w *Writer) ResizeDB(keys, expires int) {
	w.byte(opResizeDB)
	w.length(uint64(keys))
	w.length(uint64(expires))
}

// End ends the file with the sum of all before, and returns the first error of any step.
func (w *Writer) End() error {
	w.byte(opEOF)
	sum := uint64(0)
	if w.o.Checksum {
		sum = crc.Update64(w.sum, w.buf)
	}
	w.o.Checksum = false // it is not of itself
	w.u64(sum)
	return w.Flush()
}

// errVersion is the error of writing what the file's version doesn't have.
var errVersion = errors.New("rdb: fields of a hash have expiries, which needs version 12")
