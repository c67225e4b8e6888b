package snapshot

import (
	"encoding/binary"
	"io"

	"github.com/pierrec/lz4/v4"
)

// An LZ4 frame, as the frame format 1.6 has it, numbers little-endian:
//
//	<magic: 4> <flags> <greatest block: 64 KiB> <sum of these two: 1>
//	block …  <size: 4, highest bit set: the data are as they were> <data>
//	<0: 4> <sum of the content: 4, XXH32>
//
// Blocks don't refer to each other and have no sums.
//
// Much of what is saved hardly shrinks: with random values of 64 bytes, by a tenth, and to find that tenth took most of
// a worker's time, since the compressor looks everywhere again after each key. So a block must shrink by an eighth,
// else it stays as it was, and so do those that follow, unseen, up to 15 of them if it goes on like that.
const (
	lz4Header = lz4Magic + "\x64\x40\xA7"
	// lz4Block is the length of a block: as long as LZ4's window; longer ones take memory and give nothing.
	lz4Block = 64 << 10
	lz4Raw   = 1 << 31
	// lz4MostSkipped is how many blocks are left as they were, unseen, after one that hardly shrank.
	lz4MostSkipped = 15
)

// lz4Writer writes an LZ4 frame.
type lz4Writer struct {
	out     io.Writer
	block   []byte // what has come
	packed  []byte
	begun   bool
	skip    int // so many blocks more are left as they are
	skipped int // so many were last time
	sum     xxh32
	number  [4]byte // scratch
}

func newLZ4Writer(out io.Writer) *lz4Writer {
	return &lz4Writer{out: out, block: make([]byte, 0, lz4Block), packed: make([]byte, lz4Block), sum: newXXH32()}
}

// NewLZ4Writer returns a writer that packs what it is given into an LZ4 frame, which Close ends. out is not closed.
func NewLZ4Writer(out io.Writer) io.WriteCloser { return newLZ4Writer(out) }

// Write implements io.Writer.
func (w *lz4Writer) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := min(len(p)-written, lz4Block-len(w.block))
		w.block = append(w.block, p[written:written+n]...)
		written += n
		if len(w.block) == lz4Block {
			w.sum.add(w.block)
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// Close ends the frame.
func (w *lz4Writer) Close() error {
	sum := w.sum.sum(w.block)
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.u32(0); err != nil {
		return err
	}
	return w.u32(sum)
}

// Drop implements fileForm.
func (w *lz4Writer) Drop() {}

// flush writes the block, if there is one, and before the first the header.
func (w *lz4Writer) flush() error {
	if !w.begun {
		w.begun = true
		if _, err := io.WriteString(w.out, lz4Header); err != nil {
			return err
		}
	}
	if len(w.block) == 0 {
		return nil
	}
	size, data := uint32(len(w.block))|lz4Raw, w.block
	if packed := w.pack(); packed != nil {
		size, data = uint32(len(packed)), packed
	}
	w.block = w.block[:0]
	if err := w.u32(size); err != nil {
		return err
	}
	_, err := w.out.Write(data)
	return err
}

// pack compresses the block; nil: it stays as it is.
func (w *lz4Writer) pack() []byte {
	if w.skip > 0 {
		w.skip--
		return nil
	}
	// An error says, like 0, that it doesn't fit.
	n, err := lz4.CompressBlock(w.block, w.packed[:len(w.block)-len(w.block)/8], nil)
	if err != nil || n == 0 {
		w.skipped = min(2*w.skipped+1, lz4MostSkipped)
		w.skip = w.skipped
		return nil
	}
	w.skipped = 0
	return w.packed[:n]
}

func (w *lz4Writer) u32(n uint32) error {
	binary.LittleEndian.PutUint32(w.number[:], n)
	_, err := w.out.Write(w.number[:])
	return err
}
