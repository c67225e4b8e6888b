package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

const (
	readBytes = 256 << 10 // what is read from a file at a time
	// zeroProbe is how many bytes are read at a time to see whether only zeros follow.
	zeroProbe = 64 << 10
)

// IncrReader reads the frames of one INCR file in order and finds out how the file ends. It belongs to one goroutine.
type IncrReader struct {
	Header Header // immutable

	name string
	file vfs.Reader
	size int64 // of the file when it was opened; what is written later is not read

	atOnce int64 // how many bytes are read at a time
	buf    []byte
	from   int64 // offset in the file of buf[0]
	offset int64 // of the next frame
	last   uint64
	looked int64 // at so many bytes frameAt has looked
	held   bool  // buf has to stay as it is: what is not in it is errBeyond
	done   bool
	tail   Tail

	unchecked bool // a planted fault: sums are not looked at
}

// TailKind says how the frames of a file end.
type TailKind uint8

// How the frames of a file end.
const (
	// TailWhole: the last frame is whole, and nothing or only zeros are behind it.
	TailWhole TailKind = iota
	// TailShort: the file ends in the middle of a frame that is right as far as it goes: a write was broken off.
	TailShort
	// TailBad: what follows is no frame, or not one that may be here.
	TailBad
)

// String gives the kind in a word.
func (k TailKind) String() string { return [...]string{"whole", "short", "bad"}[k] }

// Tail says how the frames of a file end. A file alone doesn't tell whether a tail that is not whole is damage or what
// a power cut leaves of a write that nobody had been promised: what a frame at or behind Offset held lies behind LSN,
// so it is damage if the merged stream misses something below the greatest mark of the incarnation's files, or below
// the end of an incarnation that has one.
type Tail struct {
	Kind   TailKind
	Offset int64  // behind the last frame that is right
	Pos    uint64 // the same as a position in the shard's log
	LSN    uint64 // where that frame ends, or the header's if there is none
	Reason string // unless TailWhole

	// Of TailBad: the next offset at which a frame of this file begins and is right, and its start; 0 if there is none.
	NextOffset int64
	NextLSN    uint64
}

// Error returns a *CorruptError for a tail that is not whole, and nil for one that is.
func (t *Tail) Error(file string) error {
	if t.Kind == TailWhole {
		return nil
	}
	err := error(nil)
	if t.Kind == TailShort {
		err = io.ErrUnexpectedEOF
	}
	return &CorruptError{File: file, Offset: t.Offset, Reason: t.Reason, Err: err}
}

// OpenIncr opens an INCR file for reading. Errors are those of the file system, ErrNoHeader and *CorruptError.
func OpenIncr(fsys vfs.FS, name string) (*IncrReader, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("aof: %w", err)
	}
	r, err := newIncrReader(file, name)
	if err != nil {
		// Nothing was written, so nothing can go wrong with closing that matters beside the error that there is.
		_ = file.Close()
		return nil, err
	}
	return r, nil
}

func newIncrReader(file vfs.Reader, name string) (*IncrReader, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("aof: %w", err)
	}
	h, err := ReadHeader(file, name)
	if err != nil {
		return nil, err
	}
	return &IncrReader{
		Header: h, name: name, file: file, atOnce: readBytes, size: info.Size(),
		from: HeaderBytes, offset: HeaderBytes, last: h.LSN,
	}, nil
}

// Close closes the file.
func (r *IncrReader) Close() error { return r.file.Close() }

// Offset returns the offset in the file of the next frame.
func (r *IncrReader) Offset() int64 { return r.offset }

// Size returns the length of the file when it was opened.
func (r *IncrReader) Size() int64 { return r.size }

// Pos returns the position in the shard's log of the next frame.
func (r *IncrReader) Pos() uint64 { return r.posOf(r.offset) }

func (r *IncrReader) posOf(offset int64) uint64 { return r.Header.Pos + uint64(offset-HeaderBytes) }

// Next returns the next frame, whose slices are valid until the next call. It returns io.EOF behind the last frame that
// is right, when Tail says what follows, or an error of reading. Frames are of the file's incarnation, in order of
// their LSN, and pieces have the file's shard among theirs; the syntax of records is not looked at.
func (r *IncrReader) Next() (log.Frame, error) {
	if r.done {
		return log.Frame{}, io.EOF
	}
	f, n, reason, err := r.frameAt(r.offset, r.last)
	if err != nil {
		return log.Frame{}, err
	}
	if reason != "" || n == 0 {
		if err := r.end(reason); err != nil {
			return log.Frame{}, err
		}
		r.done = true
		return log.Frame{}, io.EOF
	}
	r.offset += int64(n)
	r.last = f.End
	return f, nil
}

// Tail says how the frames end, once Next has returned io.EOF.
func (r *IncrReader) Tail() Tail { return r.tail }

// frameAt decodes the frame at offset, which must not start below the LSN least. n == 0 without a reason says that the
// file ends before the frame does.
func (r *IncrReader) frameAt(offset int64, least uint64) (f log.Frame, n int, reason string, err error) {
	want := int64(log.MaxLine)
	for {
		r.looked = want
		data, err := r.window(offset, want)
		if err != nil {
			return f, 0, "", err
		}
		h, line, err := log.DecodeHeader(data)
		if err != nil {
			return f, 0, reasonOf(err), nil
		}
		if line == 0 {
			return f, 0, "", nil
		}
		if reason := r.misplaced(&h, least); reason != "" {
			return f, 0, reason, nil
		}
		if h.Len() > uint64(r.size-offset-int64(line)) {
			return f, 0, "", nil
		}
		if whole := int64(line) + int64(h.Len()); int64(len(data)) < whole {
			want = whole
			continue
		}
		f, n, err = log.DecodeBody(h, line, data)
		if err != nil && r.unchecked {
			n = line + int(h.Len())
			return log.Frame{Header: h, Line: data[:line], Records: data[line:n]}, n, "", nil
		}
		if err != nil {
			return log.Frame{}, 0, reasonOf(err), nil
		}
		return f, n, "", nil
	}
}

func reasonOf(err error) string {
	var corrupt *log.CorruptError
	if errors.As(err, &corrupt) {
		return corrupt.Reason
	}
	return err.Error()
}

// misplaced says why a frame can't be in this file, if it can't.
func (r *IncrReader) misplaced(h *log.Header, least uint64) string {
	switch {
	case h.Incarnation != r.Header.Incarnation:
		return fmt.Sprintf("frame of incarnation %d in a file of incarnation %d", h.Incarnation, r.Header.Incarnation)
	case h.Start < least:
		return fmt.Sprintf("frame that starts at LSN %d, below %d", h.Start, least)
	case h.Piece && !h.Shards.Has(r.Header.Shard):
		return "piece of a transaction that doesn't concern this shard"
	}
	return ""
}

// errBeyond says that what is wanted is not in a buffer that has to stay as it is.
var errBeyond = errors.New("aof: beyond the buffer")

// swap has the reader go on with another buffer, and returns the one that frames were in.
func (r *IncrReader) swap(buf []byte) (old []byte) {
	old = r.buf
	r.buf, r.from, r.held = buf[:0], r.offset, false
	return old
}

// window returns the bytes of the file from offset on, at least want of them or all that there are.
func (r *IncrReader) window(offset, want int64) ([]byte, error) {
	want = min(want, r.size-offset)
	if offset >= r.from && offset+want <= r.from+int64(len(r.buf)) {
		return r.buf[offset-r.from:], nil
	}
	if r.held {
		return nil, errBeyond
	}
	size := min(max(want, r.atOnce), r.size-offset)
	if size > math.MaxInt-readBytes {
		return nil, fmt.Errorf("aof: %s: a frame of %d bytes", r.name, size)
	}
	if int64(cap(r.buf)) < size || int64(cap(r.buf)) > 4*r.atOnce && size <= r.atOnce {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	n, err := r.file.ReadAt(r.buf, offset)
	r.buf, r.from = r.buf[:n], offset
	if int64(n) < size {
		if err == nil || err == io.EOF {
			err = &CorruptError{File: r.name, Offset: offset + int64(n), Reason: "became shorter while it was read"}
		}
		return nil, fmt.Errorf("aof: %w", err)
	}
	return r.buf, nil
}

// end finds out how the frames end.
func (r *IncrReader) end(reason string) error {
	t := Tail{Offset: r.offset, Pos: r.Pos(), LSN: r.last}
	zeros, err := r.onlyZeros(r.offset)
	switch {
	case err != nil:
		return err
	case zeros:
	case reason == "":
		t.Kind, t.Reason = TailShort, "the file ends in the middle of a frame"
	default:
		t.Kind, t.Reason = TailBad, reason
	}
	if !zeros {
		// What ends too early may as well be a length that was changed.
		if t.NextOffset, t.NextLSN, err = r.Find(r.offset + 1); err != nil {
			return err
		}
		if t.Kind == TailShort && t.NextOffset > 0 {
			t.Kind, t.Reason = TailBad, "a frame that is longer than the file, with other frames in it"
		}
	}
	r.tail = t
	return nil
}

// onlyZeros reports whether there are only zeros from offset on, or nothing.
func (r *IncrReader) onlyZeros(offset int64) (bool, error) {
	for offset < r.size {
		p, err := r.window(offset, min(zeroProbe, r.size-offset))
		if err != nil {
			return false, err
		}
		if len(bytes.Trim(p, "\x00")) > 0 {
			return false, nil
		}
		offset += int64(len(p))
	}
	return true, nil
}

// Find returns the first offset from from on at which a whole frame begins that may be in this file, behind the last
// one that Next has returned, and its start; 0 if there is none, or if there is so much that looks like frames that
// finding out would take too long. What it finds may be the content of a value, so it is a hint: for a message, or for
// a repair that somebody has asked for. Next goes on where it was.
func (r *IncrReader) Find(from int64) (offset int64, lsn uint64, err error) {
	effort := findEffort * (r.size - from)
	for from < r.size {
		p, err := r.window(from, min(zeroProbe, r.size-from))
		if err != nil {
			return 0, 0, err
		}
		i := bytes.IndexByte(p, '#')
		if i < 0 {
			from += int64(len(p))
			continue
		}
		from += int64(i)
		f, n, reason, err := r.frameAt(from, r.last)
		if err != nil {
			return 0, 0, err
		}
		if reason == "" && n > 0 {
			return from, f.Start, nil
		}
		if effort -= r.looked; effort < 0 {
			return 0, 0, nil
		}
		from++
	}
	return 0, 0, nil
}

// findEffort bounds how often Find looks at each byte of a file.
const findEffort = 16
