package vfstest

import (
	"errors"
	"io/fs"

	"fulmen/persist/vfs"
)

// tappedFile is a file for writing of a Tap.
type tappedFile struct {
	file vfs.File
	t    *Tap
	name string
}

// Write implements vfs.File.
func (f *tappedFile) Write(p []byte) (int, error) {
	return f.write(Step{Op: "write", Name: f.name, Len: int64(len(p))}, p, f.file.Write)
}

// WriteAt implements vfs.File.
func (f *tappedFile) WriteAt(p []byte, offset int64) (int, error) {
	s := Step{Op: "writeat", Name: f.name, Offset: offset, Len: int64(len(p))}
	return f.write(s, p, func(p []byte) (int, error) { return f.file.WriteAt(p, offset) })
}

func (f *tappedFile) write(s Step, p []byte, do func([]byte) (int, error)) (int, error) {
	err := f.t.step(s)
	if err == nil {
		return do(p)
	}
	var short *ShortWrite
	if !errors.As(err, &short) {
		return 0, err
	}
	n, writeErr := do(p[:min(short.Len, len(p))])
	if writeErr != nil {
		return n, writeErr
	}
	return n, &fs.PathError{Op: "write", Path: f.name, Err: short.Err}
}

// Sync implements vfs.File.
func (f *tappedFile) Sync() error {
	return f.sync("sync", f.file.Sync)
}

// SyncData implements vfs.File.
func (f *tappedFile) SyncData() error {
	return f.sync("syncdata", f.file.SyncData)
}

// sync tells a Mem of the failures that it would not know of.
func (f *tappedFile) sync(op string, do func() error) error {
	err := f.t.step(Step{Op: op, Name: f.name})
	if err == nil {
		return do()
	}
	if m, ok := f.file.(interface{ SyncFailed() }); ok {
		m.SyncFailed()
	}
	return err
}

// WriteBack implements vfs.File.
func (f *tappedFile) WriteBack(offset, length int64, wait bool) error {
	if err := f.t.step(Step{Op: "writeback", Name: f.name, Offset: offset, Len: length}); err != nil {
		return err
	}
	return f.file.WriteBack(offset, length, wait)
}

// Forget implements vfs.File. It is no step, since it changes nothing.
func (f *tappedFile) Forget(offset, length int64) { f.file.Forget(offset, length) }

// Allocate implements vfs.File.
func (f *tappedFile) Allocate(offset, length int64) error {
	if err := f.t.step(Step{Op: "allocate", Name: f.name, Offset: offset, Len: length}); err != nil {
		return err
	}
	return f.file.Allocate(offset, length)
}

// Truncate implements vfs.File.
func (f *tappedFile) Truncate(sizeBytes int64) error {
	if err := f.t.step(Step{Op: "truncate", Name: f.name, Len: sizeBytes}); err != nil {
		return err
	}
	return f.file.Truncate(sizeBytes)
}

// Close implements vfs.File. It closes even if it is told to fail.
func (f *tappedFile) Close() error {
	err := f.t.step(Step{Op: "close", Name: f.name})
	if closeErr := f.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// tappedReader is a file for reading of a Tap. Closing it is no step.
type tappedReader struct {
	vfs.Reader
	t    *Tap
	name string
}

// Read implements vfs.Reader.
func (r *tappedReader) Read(p []byte) (int, error) {
	if err := r.t.step(Step{Op: "read", Name: r.name, Len: int64(len(p))}); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// ReadAt implements vfs.Reader.
func (r *tappedReader) ReadAt(p []byte, offset int64) (int, error) {
	if err := r.t.step(Step{Op: "readat", Name: r.name, Offset: offset, Len: int64(len(p))}); err != nil {
		return 0, err
	}
	return r.Reader.ReadAt(p, offset)
}
