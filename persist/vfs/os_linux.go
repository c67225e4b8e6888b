package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// SyncData implements File.
func (f osFile) SyncData() error {
	return f.call("fdatasync", unix.Fdatasync)
}

// WriteBack implements File. The flags are what the manual of sync_file_range(2) calls for: WRITE alone begins; with
// both waits around it the bytes are on the disk afterwards, those too that were under way before.
func (f osFile) WriteBack(offset, length int64, wait bool) error {
	flags := unix.SYNC_FILE_RANGE_WRITE
	if wait {
		flags |= unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	}
	err := f.call("sync_file_range", func(fd int) error { return unix.SyncFileRange(fd, offset, length, flags) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ESPIPE) {
		return nil // no such call here, or no regular file
	}
	return err
}

// Forget implements File.
func (f osFile) Forget(offset, length int64) {
	// An error says that there is nothing to forget here.
	_ = f.call("fadvise", func(fd int) error { return unix.Fadvise(fd, offset, length, unix.FADV_DONTNEED) })
}

// Allocate implements File.
func (f osFile) Allocate(offset, length int64) error {
	err := f.call("fallocate", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, offset, length)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// call makes a system call on the file, again as long as a signal interrupts it.
func (f osFile) call(op string, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if callErr = do(int(fd)); callErr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		callErr = fs.ErrClosed // the only reason that there is
	}
	if callErr != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: callErr}
	}
	return nil
}

func lock(file *os.File) error {
	err := osFile{file}.call("flock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
