package vfs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

// ReadFile implements FS.
func (OS) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// Create implements FS.
func (OS) Create(name string, perm fs.FileMode) (File, error) {
	return open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
}

// OpenAppend implements FS.
func (OS) OpenAppend(name string, perm fs.FileMode) (File, error) {
	return open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
}

// OpenWrite implements FS.
func (OS) OpenWrite(name string) (File, error) { return open(name, os.O_WRONLY, 0) }

// open is os.OpenFile without the trap of a nil *os.File inside a File that is not nil.
func open(name string, flag int, perm fs.FileMode) (File, error) {
	file, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// osFile is an *os.File with what the package os doesn't know; the rest is in the files of each system.
type osFile struct{ *os.File }

// Open implements FS.
func (OS) Open(name string) (Reader, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// ReadDir implements FS.
func (OS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// Lock implements FS.
func (OS) Lock(name string) (io.Closer, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		_ = file.Close() // nothing was written, and the lock was not taken
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return file, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Link implements FS.
func (OS) Link(from, to string) error {
	file, err := filepath.EvalSymlinks(from) // else the new name is one of the symbolic link
	if err != nil {
		return err
	}
	return os.Link(file, to)
}

// Remove implements FS.
func (OS) Remove(name string) error { return remove(name) }

// MkdirAll implements FS.
func (OS) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Chmod implements FS.
func (OS) Chmod(name string, perm fs.FileMode) error { return os.Chmod(name, perm) }

// Glob implements FS.
func (OS) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = file.Sync()
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
