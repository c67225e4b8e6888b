package aof

import (
	"errors"
	"fmt"
)

// CorruptError reports a file that can't be trusted, and where.
type CorruptError struct {
	File   string
	Offset int64 // in bytes from the start of the file
	Reason string
	// Err is io.ErrUnexpectedEOF if the file ends too early, ErrVersion, ErrChecksum, or nil.
	Err error
}

// Error says where and why.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("aof: %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Unwrap returns e.Err.
func (e *CorruptError) Unwrap() error { return e.Err }

var (
	// ErrVersion says that a file is of a version, or needs a feature, that this program doesn't know.
	ErrVersion = errors.New("aof: version not supported")
	// ErrChecksum says that a checksum doesn't fit the content.
	ErrChecksum = errors.New("aof: wrong checksum")
	// ErrNoHeader says that an INCR file has no header yet: it was made and nothing that was written to it has lasted.
	ErrNoHeader = errors.New("aof: file without a header")
	// ErrBusy says that a switch to new files is under way already.
	ErrBusy = errors.New("aof: a switch of files is under way")
	// ErrClosed says that the Writer is closed.
	ErrClosed = errors.New("aof: the writer is closed")
)
