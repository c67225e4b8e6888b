package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

const (
	// laneBytes is how much of a file is read at a time …
	laneBytes = 64 << 10
	// … and allLanesBytes how much all lanes of a reader may hold, unless that is too little for each.
	allLanesBytes = 2 << 20
	leastLane     = 16 << 10
)

// streamLane is the files of one shard as a StreamReader goes through them.
type streamLane struct {
	s     *StreamReader
	shard int
	seq   uint64 // of the file that it stands in, or below all that it may begin with

	file   vfs.Reader // nil: none has a header
	header Header
	path   string
	end    uint64 // of the file's life; 0: it runs
	offset int64  // of the next frame, or in the current one
	noted  int64  // the index knows what lies before

	buf     []byte // of the file, from offset from on
	from    int64
	written uint64 // everything below was in the file when buf was read

	known bool // head is the next frame with records, at offset
	head  log.Header
	line  int
}

func (n *streamLane) close() {
	if n.file != nil {
		_ = n.file.Close() // it was only read
		n.file = nil
	}
}

// seek goes to the first frame that ends above lsn.
func (n *streamLane) seek(lsn uint64) error {
	for {
		next, err := n.nextFile(lsn)
		if err != nil {
			return err
		}
		if !next {
			break
		}
	}
	if n.file == nil {
		return nil
	}
	if p, ok := n.s.r.o.Index.find(fileKey{n.seq, n.shard}, lsn); ok {
		n.offset, n.noted = p.offset, p.offset
	}
	for {
		if err := n.fill(); err != nil || !n.known || n.head.End > lsn {
			return err
		}
		n.known = false
		n.offset += int64(n.line) + int64(n.head.Len())
	}
}

// fill finds the next frame with records, if it is written.
func (n *streamLane) fill() error {
	for {
		for n.file != nil {
			ok, err := n.peek()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			n.note()
			if n.known = n.head.Len() > 0; n.known {
				return nil
			}
			n.offset += int64(n.line)
		}
		if next, err := n.nextFile(n.s.limit); err != nil || !next {
			return err
		}
	}
}

// note tells the index of a frame that was come by.
func (n *streamLane) note() {
	if n.offset >= n.noted+indexStride {
		n.s.r.o.Index.add(fileKey{n.seq, n.shard}, place{n.head.Start, n.offset})
		n.noted = n.offset
	}
}

// peek reads the annotation at offset; false: the file has no frame there, or none that is written and of its life.
func (n *streamLane) peek() (bool, error) {
	for {
		p, err := n.window(n.offset, log.MaxLine)
		if err != nil {
			return false, err
		}
		h, line, err := log.DecodeHeader(p)
		if err == nil && line > 0 && h.Start < n.written {
			if n.end != 0 && h.TxStart >= n.end {
				return false, nil
			}
			if h.Incarnation != n.header.Incarnation || h.Piece && !h.Shards.Has(n.shard) {
				return false, n.corrupt("a frame of another file")
			}
			n.head, n.line = h, line
			return true, nil
		}
		if n.written < n.s.limit { // what was read may be from before
			n.buf = n.buf[:0]
			continue
		}
		if n.end != 0 && (err != nil || len(p) > 0 && line == 0) && len(bytes.Trim(p, "\x00")) > 0 {
			return false, n.corrupt("no frame where one should be")
		}
		return false, nil
	}
}

func (n *streamLane) corrupt(reason string) error {
	return &CorruptError{File: n.path, Offset: n.offset, Reason: reason}
}

// window returns the bytes from offset on, at least want or all that there are.
func (n *streamLane) window(offset int64, want int) ([]byte, error) {
	if at := offset - n.from; at >= 0 && at+int64(want) <= int64(len(n.buf)) {
		return n.buf[at:], nil
	}
	if n.buf == nil {
		n.buf = make([]byte, min(laneBytes, max(allLanesBytes/len(n.s.lanes), leastLane)))
	}
	n.written = n.s.limit
	got, err := n.file.ReadAt(n.buf[:cap(n.buf)], offset)
	n.buf, n.from = n.buf[:got], offset
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("aof: %w", err)
	}
	return n.buf, nil
}

// check compares the frame at hand with its sum. One that is longer than the buffer is read twice.
func (n *streamLane) check() error {
	lead := n.head.Lead()
	p, err := n.window(n.offset, n.line)
	if err != nil {
		return err
	}
	sum := log.AddSum(log.AddSum(0, p[:lead]), p[lead+log.LineSummed:n.line])
	at := n.offset + int64(n.line)
	for left := n.head.Len(); left > 0; {
		p, err := n.window(at, 1)
		if err != nil {
			return err
		}
		p = p[:min(uint64(len(p)), left)]
		if len(p) == 0 {
			return n.corrupt("the file ends in the middle of a frame")
		}
		sum = log.AddSum(sum, p)
		at += int64(len(p))
		left -= uint64(len(p))
	}
	if sum != n.head.Sum {
		return n.corrupt("checksum mismatch")
	}
	return nil
}

// take returns up to size bytes of the current frame's records, valid until the next call.
func (n *streamLane) take(size int) ([]byte, error) {
	p, err := n.window(n.offset, 1)
	if err != nil {
		return nil, err
	}
	p = p[:min(len(p), size)]
	if len(p) == 0 {
		return nil, n.corrupt("the file ends in the middle of a frame")
	}
	n.offset += int64(len(p))
	return p, nil
}

// nextFile goes on to the shard's next file that has a header, if it begins at most at an LSN, below which all is
// written; false: there is none.
func (n *streamLane) nextFile(most uint64) (bool, error) {
	m := n.s.r.Manifest()
	for i := range m.Files {
		f := &m.Files[i]
		if f.Kind != Incr || f.Shard != n.shard || f.Seq <= n.seq {
			continue
		}
		path := f.Path(n.s.r.o.Dir, n.s.r.o.Name)
		file, err := n.s.r.o.FS.Open(path)
		if err != nil {
			return false, fmt.Errorf("aof: %w", err)
		}
		h, err := ReadHeader(file, path)
		if errors.Is(err, ErrNoHeader) {
			_ = file.Close() // it was only read
			continue
		}
		if err == nil {
			err = h.fits(path, m, f)
		}
		if err != nil || h.LSN > most {
			_ = file.Close()
			return false, err
		}
		n.close()
		n.file, n.header, n.path, n.seq = file, h, path, f.Seq
		n.offset, n.noted, n.buf, n.from, n.end = HeaderBytes, HeaderBytes, n.buf[:0], 0, 0
		if x := m.Incarnation(f.Incarnation); x.State != Running {
			n.end = x.EndLSN
		}
		return true, nil
	}
	return false, nil
}
