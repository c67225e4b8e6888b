package rdb

import (
	"errors"
	"fmt"
)

// CorruptError reports a file or a payload that cannot be trusted, and where.
type CorruptError struct {
	File   string // as given to the Reader; empty for a payload
	Offset int64  // in bytes from the start of the file or the payload
	Reason string
	// Err is io.ErrUnexpectedEOF if the input ends too early, ErrVersion, ErrChecksum, or nil.
	Err error
}

// Error says where and why.
func (e *CorruptError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("rdb: corrupt at offset %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("rdb: %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Unwrap returns e.Err.
func (e *CorruptError) Unwrap() error { return e.Err }

var (
	// ErrVersion says that the version is none of those that are read.
	ErrVersion = errors.New("rdb: version not supported")
	// ErrChecksum says that the checksum doesn't fit the content.
	ErrChecksum = errors.New("rdb: wrong checksum")
	// ErrUnsupported says that values of this type are skipped only: those of modules. Nothing is wrong with the
	// file, and the Reader goes on.
	ErrUnsupported = errors.New("rdb: type not supported")
	// ErrEmpty says that a collection has no elements. Some versions of Redis have written such, so a loader leaves
	// them out and goes on; RESTORE refuses them. The builder has got no element.
	ErrEmpty = errors.New("rdb: empty collection")
)
