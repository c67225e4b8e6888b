package snapshot

import (
	"bufio"
	"errors"
	"io"

	"fulmen/internal/crc"
	"fulmen/persist/vfs"
)

const (
	// fileBufferBytes is what goes to the operating system at a time. It is kept small: there may be 256 files.
	fileBufferBytes = 64 << 10
	// leastSyncBytes keeps files from being sent to the disk in crumbs where there are many.
	leastSyncBytes = 1 << 20
)

// segmentFile is one file of a snapshot while it is written: what makes something else of it, if asked for,
// then a buffer, then diskFile.
type segmentFile struct {
	diskFile
	buffer *bufio.Writer
	form   fileForm  // what the RDB file becomes; nil: it stays one
	top    io.Writer // form or buffer
	err    error     // the first one
	closed bool
}

// fileForm makes something else of the RDB file that is written to it: an LZ4 frame, commands.
type fileForm interface {
	io.WriteCloser // Close writes what is left
	Drop()         // instead of Close, if the file is going to be removed; Write may have failed
}

// diskFile is where bytes leave for the operating system.
type diskFile struct {
	file      vfs.File
	f         *Files
	sizeBytes int64  // written
	sum       uint64 // of these
	syncEvery int64  // 0: never
	sent      int64  // how much was sent to the disk
	sentLast  int64  // the last part of it, which may be under way
}

func newSegmentFile(file vfs.File, f *Files) *segmentFile {
	s := &segmentFile{diskFile: diskFile{file: file, f: f}}
	if every := f.o.SyncEveryBytes; every > 0 {
		s.syncEvery = max(every/int64(len(f.files)), min(every, leastSyncBytes))
	}
	s.buffer = bufio.NewWriterSize(&s.diskFile, fileBufferBytes)
	s.top = s.buffer
	switch {
	case f.o.LZ4:
		s.form = newLZ4Writer(s.buffer)
	case f.o.commands:
		s.form = newCommandWriter(s.buffer)
	}
	if s.form != nil {
		s.top = s.form
	}
	return s
}

// Write implements io.Writer.
func (s *segmentFile) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.top.Write(p)
	s.err = err
	return n, err
}

// finish writes out, syncs and closes the file.
func (s *segmentFile) finish() error {
	if s.err == nil && s.form != nil {
		s.err = s.form.Close()
		s.form = nil
	}
	if s.err == nil {
		s.err = s.buffer.Flush()
	}
	if s.err == nil {
		s.err = s.file.Sync()
	}
	s.close()
	return s.err
}

func (s *segmentFile) close() {
	if s.closed {
		return
	}
	s.closed = true
	if err := s.file.Close(); s.err == nil {
		s.err = err
	}
}

// drop closes a file that is going to be removed.
func (s *segmentFile) drop() {
	if s.form != nil {
		s.form.Drop()
		s.form = nil
	}
	if s.err == nil {
		s.err = errDropped
	}
	s.close()
}

var errDropped = errors.New("snapshot: given up")

// Write implements io.Writer.
func (d *diskFile) Write(p []byte) (int, error) {
	d.f.o.Limiter.Wait(len(p), d.f.cancelled)
	n, err := d.file.Write(p)
	d.sum = crc.UpdateXZ(d.sum, p[:n])
	d.sizeBytes += int64(n)
	if err == nil && d.syncEvery > 0 && d.sizeBytes-d.sent >= d.syncEvery {
		err = d.send()
	}
	return n, err
}

// send has what was written since the last time sent to the disk, and waits for what was sent then. So never more than
// twice syncEvery waits for the sync at the end, and the disk is busy all the time.
func (d *diskFile) send() error {
	if d.sentLast > 0 {
		if err := d.file.WriteBack(d.sent-d.sentLast, d.sentLast, true); err != nil {
			return err
		}
	}
	d.sentLast = d.sizeBytes - d.sent
	err := d.file.WriteBack(d.sent, d.sentLast, false)
	d.sent = d.sizeBytes
	return err
}
