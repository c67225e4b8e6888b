package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"

	"github.com/pierrec/lz4/v4"

	"fulmen/internal/crc"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// PartReader reads the RDB file that a part holds. LZ4 is undone. If a manifest has named the part, its length and sum
// are checked on the way, and Read gives an error in place of io.EOF if they are wrong.
//
// The reader of an RDB file may stop at its last opcode; Finish must be called to check the rest.
type PartReader struct {
	file *partFile
	in   io.Reader // file, or what undoes LZ4
	err  error     // how reading has ended
}

// partFile is a part's file as it is.
type partFile struct {
	part  Part
	file  io.ReadCloser
	read  int64         // bytes so far
	sum   uint64        // of these, if there is a segment to compare it with
	count *atomic.Int64 // may be nil
	err   error         // of the file system, or that of the check at the end
	atEnd bool
}

// lz4Magic are the first bytes of an LZ4 frame.
const lz4Magic = "\x04\x22\x4d\x18"

// PlainPart returns a part for any RDB file, or LZ4 frame of one.
func PlainPart(name string) Part { return Part{Name: name, Keys: -1} }

// SegmentPart returns a part for an RDB file, or LZ4 frame of one, that another manifest than that of a snapshot names.
func SegmentPart(name string, s Segment) Part {
	return Part{Name: name, SizeBytes: s.SizeBytes, Keys: s.Keys, segment: &s, unknown: true}
}

// EmbeddedPart is PlainPart for a file in which other data follow the RDB file, as in an append-only file of Redis's.
// LoadResult.EndOffset says where they begin.
func EmbeddedPart(name string) Part { return Part{Name: name, Keys: -1, embedded: true} }

// StreamPart returns a part for an RDB file that comes through in, which gives io.EOF behind its last byte. name is
// what errors call it. It can be opened once.
func StreamPart(name string, in io.Reader, sizeBytes int64) Part {
	return Part{Name: name, SizeBytes: sizeBytes, Keys: -1, stream: in}
}

// InLZ4 returns the part of a stream that brings an LZ4 frame of the RDB file.
func (p Part) InLZ4() Part {
	p.lz4 = true
	return p
}

// Open opens the part. If count is not nil, the bytes of the file, not of what is in the frame, are added to it as they
// are read. Whether a plain file is an LZ4 frame is seen from its first bytes.
func (p Part) Open(fsys vfs.FS, count *atomic.Int64) (*PartReader, error) {
	if p.stream != nil {
		f := &partFile{part: p, file: io.NopCloser(p.stream), count: count}
		r := &PartReader{file: f, in: f}
		r.unpack()
		return r, nil
	}
	info, err := fsys.Stat(p.Name)
	if err == nil {
		err = regular(p.Name, info)
	}
	if err != nil {
		return nil, err
	}
	file, err := fsys.Open(p.Name)
	if err != nil {
		return nil, err
	}
	r := &PartReader{file: &partFile{part: p, file: file, count: count}}
	if err := r.begin(file); err != nil {
		_ = file.Close() // nothing was written; the first error is the one to report
		return nil, err
	}
	return r, nil
}

// regular refuses what is no file: to open a named pipe would wait for somebody to write to it.
func regular(name string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular():
		return nil
	case info.IsDir():
		return &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	}
	return fmt.Errorf("snapshot: %s is no regular file", name)
}

func (r *PartReader) begin(file vfs.Reader) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := r.file.part.checkSize(info.Size()); err != nil {
		return err
	}
	r.in = r.file
	if r.file.part.unknown || r.file.part.segment == nil {
		magic := make([]byte, len(lz4Magic))
		n, err := file.ReadAt(magic, 0)
		if err != nil && err != io.EOF {
			return err
		}
		r.file.part.lz4 = bytes.Equal(magic[:n], []byte(lz4Magic))
	}
	r.unpack()
	return nil
}

// unpack undoes LZ4 if the part is a frame.
func (r *PartReader) unpack() {
	if r.file.part.lz4 {
		r.in = lz4.NewReader(bufio.NewReaderSize(r.file, fileBufferBytes))
	}
}

// Offset returns how many bytes of the file were read so far.
func (r *PartReader) Offset() int64 { return r.file.read }

// Read implements io.Reader. Its errors are io.EOF, those of the file system, or a *rdb.CorruptError. Unless the file
// is an LZ4 frame every call is one of the operating system: p should be long.
func (r *PartReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.in.Read(p)
	r.err = r.explain(err)
	return n, r.err
}

// explain tells what is wrong with the file from what is wrong with the disk.
func (r *PartReader) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case r.file.err != nil && r.file.err != io.EOF:
		return r.file.err
	case r.in == r.file:
		return err
	case err == io.EOF:
		// The frame has ended; so must the file.
		return r.file.drain()
	case errors.Is(err, io.ErrUnexpectedEOF), r.file.atEnd:
		return r.corrupt("the LZ4 frame ends too early", io.ErrUnexpectedEOF)
	}
	return r.corrupt(fmt.Sprintf("not a valid LZ4 frame: %v", err), nil)
}

func (r *PartReader) corrupt(reason string, err error) error {
	return &rdb.CorruptError{File: r.file.part.Name, Offset: r.file.read, Reason: reason, Err: err}
}

// Finish reads what is left and returns nil if the file is what its manifest says, and the LZ4 frame valid.
func (r *PartReader) Finish() error {
	if r.err == nil {
		for buffer := make([]byte, fileBufferBytes); r.err == nil; {
			_, _ = r.Read(buffer) // its error is r.err
		}
	}
	if r.err != io.EOF {
		return r.err
	}
	return nil
}

// Close closes the file. It checks nothing.
func (r *PartReader) Close() error { return r.file.file.Close() }

// Read implements io.Reader. At the end it checks length and sum.
func (f *partFile) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.file.Read(p)
	f.read += int64(n)
	if f.count != nil {
		f.count.Add(int64(n))
	}
	if f.part.segment != nil {
		f.sum = crc.UpdateXZ(f.sum, p[:n])
	}
	if err == io.EOF {
		f.atEnd = true
		err = f.check()
	}
	f.err = err
	return n, err
}

// check returns io.EOF if the file was read to its right end.
func (f *partFile) check() error {
	if err := f.part.checkSize(f.read); err != nil {
		return err
	}
	if s := f.part.segment; s != nil && f.sum != s.CRC64 {
		return &rdb.CorruptError{
			File: f.part.Name, Offset: f.read, Err: rdb.ErrChecksum,
			Reason: fmt.Sprintf("the CRC-64 of the file is %016x, its manifest says %016x", f.sum, s.CRC64),
		}
	}
	return io.EOF
}

// drain reads to the end of the file, where nothing but the end should be.
func (f *partFile) drain() error {
	if f.err == nil {
		for buffer := make([]byte, fileBufferBytes); f.err == nil; {
			_, _ = f.Read(buffer) // its error is f.err
		}
	}
	return f.err
}
