package aof

import (
	"errors"
	"fmt"
	"io"

	"fulmen/persist/log"
)

// What a lane reads comes in batches: the frames of a buffer, checked. Where there are processors to spare, a goroutine
// of the lane's reads ahead of the one that executes, since reading and checking is two fifths of the work. What is
// wrong with a file counts when everything before it has been executed, as if it were found then.

// batch is frames of one file, in order. It belongs to who reads it, and then to who executes it.
type batch struct {
	path    string
	life    *loadedLife
	buf     []byte   // what records are in
	records [][]byte // by frame, without those that are in the BASE
	offsets []int64  // of these frames in the file
	pieces  []batchPiece
	sum     uint64 // bytes of all records
	read    int64  // bytes of the file, with everything that is passed over
	last    bool   // of the lane; err says why, nil: there are no more files
	err     error
}

// batchPiece is a frame that is a piece of a commit, and its place in the batch.
type batchPiece struct {
	at    int
	frame log.Frame
}

func (b *batch) reset() {
	*b = batch{buf: b.buf, records: b.records[:0], offsets: b.offsets[:0], pieces: b.pieces[:0]}
}

// laneReader reads the files of a lane. It belongs to one goroutine at a time.
type laneReader struct {
	l     *loader
	shard int
	files []File           // that are still to be opened
	ends  map[uint32]error // how the frames of incarnations end, if not as they should

	// Of the incarnation at hand.
	life *loadedLife
	pos  uint64 // behind the last frame; 0: there was no file yet
	over bool   // its end is reached

	// Of the file at hand.
	r     *IncrReader // nil: there is none
	file  File
	path  string
	noted int64 // from where on the index is told of a frame
}

// next reads the next batch.
func (n *laneReader) next(b *batch) (last, big bool) {
	b.reset()
	if n.r == nil && len(n.files) == 0 {
		b.last = true
		return true, false
	}
	if n.r == nil {
		b.err = n.open(b)
	}
	b.path, b.life = n.path, n.life
	if b.err == nil && n.r != nil {
		b.err = n.frames(b)
	}
	b.last = b.err != nil
	return b.last, int64(cap(b.buf)) > 4*n.l.o.batchBytes()
}

// close closes the file at hand.
func (n *laneReader) close() {
	if n.r != nil {
		_ = n.r.Close() // it was only read
		n.r = nil
	}
}

// open opens the next file, unless it has nothing that counts.
func (n *laneReader) open(b *batch) error {
	n.file, n.files = n.files[0], n.files[1:]
	if n.life == nil || n.life.Number != n.file.Incarnation {
		n.pos, n.over = 0, false
		for j := range n.l.lives {
			if n.l.lives[j].Number == n.file.Incarnation {
				n.life = &n.l.lives[j]
			}
		}
	}
	n.path = n.file.Path(n.l.o.Dir, n.l.o.Name)
	r, err := OpenIncr(n.l.o.FS, n.path)
	if errors.Is(err, ErrNoHeader) {
		return nil
	}
	if err != nil {
		return missingFile(n.path, err)
	}
	n.r, n.noted = r, 0
	r.unchecked, r.atOnce = n.l.o.plant.unchecked, n.l.o.batchBytes()
	if err := r.Header.fits(n.path, n.l.o.Manifest, &n.file); err != nil {
		return err
	}
	if n.over {
		n.close()
		return nil
	}
	if n.pos != 0 && n.pos != r.Header.Pos {
		return n.gap(r.Header.Pos)
	}
	b.read = r.Offset()
	return nil
}

// gap is the error of a file that does not begin where the one before it has ended.
func (n *laneReader) gap(pos uint64) error {
	if err := n.ends[n.life.Number]; err != nil {
		return err
	}
	return &CorruptError{
		File:   n.path,
		Reason: fmt.Sprintf("begins at %d in the log of its shard, and the file before ends at %d", pos, n.pos),
	}
}

// frames reads frames until the buffer is used up or the file ends.
func (n *laneReader) frames(b *batch) error {
	r := n.r
	r.swap(b.buf)
	defer func() { b.buf = r.swap(nil) }()
	for before := r.Offset(); ; before = r.Offset() {
		f, err := r.Next()
		switch {
		case err == errBeyond:
			return nil
		case err == io.EOF:
			n.end(b, before)
			return nil
		case err != nil:
			return err
		case f.TxStart >= n.life.end && !n.l.o.plant.endless:
			n.over = true // what an incarnation has written beyond its end is no part of the data
			n.end(b, before)
			return nil
		}
		r.held = true
		if before >= n.noted {
			n.l.o.Index.add(fileKey{n.file.Seq, n.file.Shard}, place{f.Start, before})
			n.noted = before + indexStride
		}
		if err := n.add(b, &f, before); err != nil {
			return err
		}
		b.read += r.Offset() - before
	}
}

// add adds the frame at an offset to a batch, unless it is in the BASE.
func (n *laneReader) add(b *batch, f *log.Frame, offset int64) error {
	if f.TxEnd <= n.life.begin {
		return nil
	}
	if f.TxStart < n.life.begin || f.TxEnd > n.life.end && !n.l.o.plant.endless {
		return &CorruptError{
			File: n.path, Offset: offset, Reason: "a commit that lies half in the range of its incarnation",
		}
	}
	switch {
	case f.Piece && !n.l.o.plant.piecesMissing:
		b.pieces = append(b.pieces, batchPiece{len(b.records), *f})
	case f.Len() == 0:
		return nil
	}
	b.sum += f.Len()
	b.records = append(b.records, f.Records)
	b.offsets = append(b.offsets, offset)
	return nil
}

// end notes how the file at hand ends, of which offset bytes count, and closes it.
func (n *laneReader) end(b *batch, offset int64) {
	b.read += n.r.Size() - offset
	n.pos = n.r.Pos()
	if tail := n.r.Tail(); !n.over && tail.Kind != TailWhole && n.ends[n.file.Incarnation] == nil {
		n.ends[n.file.Incarnation] = tail.Error(n.path)
	}
	n.close()
}
