package aof

import (
	"fmt"
	"io/fs"

	"fulmen/persist/vfs"
)

// RestoreIncr makes the INCR file called name, which is there, end as recovery wants it: what it has below offset
// stays, more comes behind it, nothing else, and all of it lasts. If offset is HeaderBytes or less the file gets the
// header h. A crash meanwhile leaves a file of which no more is lost than before, and doing it again is right.
// h.MarkLSN is the file's own, or 0; nothing below it is cut off if the rules of recovery are kept.
func RestoreIncr(fsys vfs.FS, name string, h Header, offset int64, more []byte) error {
	file, err := fsys.OpenWrite(name)
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	err = restore(file, h, offset, more)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	return nil
}

// restore writes over what is going to be cut off, and cuts then: what more has may be in the file already, in part.
func restore(file vfs.File, h Header, offset int64, more []byte) error {
	if offset <= HeaderBytes {
		if _, err := file.WriteAt(h.Append(nil), 0); err != nil {
			return err
		}
		offset = HeaderBytes
	}
	for from := 0; from < len(more); {
		n, err := file.WriteAt(more[from:min(from+maxWriteBytes, len(more))], offset+int64(from))
		if err != nil {
			return err
		}
		from += n
	}
	if err := file.Truncate(offset + int64(len(more))); err != nil {
		return err
	}
	return file.Sync()
}

// CreateIncr makes an INCR file with a header and no frames, and syncs it, but not its name (vfs.FS.SyncDir does). One
// that is there is cut to that.
func CreateIncr(fsys vfs.FS, name string, h Header, perm fs.FileMode) error {
	file, err := fsys.Create(name, perm)
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	err = restore(file, h, HeaderBytes, nil)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	return nil
}
