//go:build !linux

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// SyncData implements File.
func (f osFile) SyncData() error { return f.Sync() }

// WriteBack implements File.
func (f osFile) WriteBack(_, _ int64, wait bool) error {
	if wait {
		return f.Sync()
	}
	return nil
}

// Forget implements File.
func (f osFile) Forget(_, _ int64) {}

// Allocate implements File.
func (f osFile) Allocate(_, _ int64) error { return nil }

func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return ErrLocked
	}
	return err
}

// NewSyncer implements FS.
func (OS) NewSyncer() Syncer { return threads{} }

// CreateShared implements FS.
func (OS) CreateShared(name string, _ int64) (Shared, error) {
	return nil, &fs.PathError{Op: "mmap", Path: name, Err: errors.ErrUnsupported}
}

// OpenPrivate implements FS.
func (OS) OpenPrivate(name string) (Reader, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// OwnThread is a hint, which other systems go without.
func OwnThread() {}

// GiveWay is a hint, which other systems go without.
func GiveWay() {}

func remove(name string) error { return os.Remove(name) }
