package vfs

import (
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

// open is os.OpenFile without the trap of a nil *os.File inside a File that is not nil.
func open(name string, flag int, perm fs.FileMode) (File, error) {
	file, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

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
