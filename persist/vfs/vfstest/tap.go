package vfstest

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"fulmen/persist/vfs"
)

// Tap is a file system in front of another one. It shows every call, before it is done, to a function that may let it
// fail; so a test takes crash clones at every step, notes the sequence of calls, or injects errors at the n-th.
type Tap struct {
	fs     vfs.FS
	mu     sync.Mutex // held while before runs, so that it sees one step after the other
	before func(Step) error
	n      int
}

var _ vfs.FS = (*Tap)(nil)

// Step is one call.
type Step struct {
	N    int    // from 1, counted over all calls
	Op   string // the name of the method in lower case
	Name string // as the caller gave it
	To   string // of a rename or a link
	// Offset and Len are those of a writeat, a writeback, an allocate, a readat; Len is also the length of a write or a
	// read, the new one of a truncate, and that of a createshared.
	Offset, Len int64
}

// Changes tells calls that change something, or make a change last, from those that only look.
func (s Step) Changes() bool {
	switch s.Op {
	case "open", "openprivate", "read", "readat", "readfile", "readdir", "stat", "glob", "lock":
		return false
	}
	return true
}

// String gives the call without its length and the file without its directory, like "rename a b".
func (s Step) String() string {
	words := []string{s.Op}
	if s.Op != "syncdir" && s.Op != "readdir" {
		words = append(words, filepath.Base(s.Name))
	}
	if s.To != "" {
		words = append(words, filepath.Base(s.To))
	}
	return strings.Join(words, " ")
}

// ShortWrite is an error that a Tap's function gives for a write to have the first Len bytes written, and no more, and
// Err returned.
type ShortWrite struct {
	Len int
	Err error
}

// Error implements error.
func (e *ShortWrite) Error() string { return fmt.Sprintf("short write of %d bytes: %v", e.Len, e.Err) }

// Unwrap gives Err.
func (e *ShortWrite) Unwrap() error { return e.Err }

// NewTap puts a Tap in front of a file system. before runs before each call, one at a time; if it gives an error the
// call is not done and gives a *fs.PathError with it. A Close that fails has closed the file all the same.
func NewTap(fsys vfs.FS, before func(Step) error) *Tap {
	return &Tap{fs: fsys, before: before}
}

// FailAt gives a function for NewTap that fails the n-th of the steps for which which is true (nil: Step.Changes).
func FailAt(n int, which func(Step) bool, err error) func(Step) error {
	return failWhen(which, err, func(count int) bool { return count == n })
}

// FailFrom is FailAt for the n-th and all that follow, like a disk that has gone or is full.
func FailFrom(n int, which func(Step) bool, err error) func(Step) error {
	return failWhen(which, err, func(count int) bool { return count >= n })
}

func failWhen(which func(Step) bool, err error, when func(count int) bool) func(Step) error {
	if which == nil {
		which = Step.Changes
	}
	count := 0
	return func(s Step) error {
		if !which(s) {
			return nil
		}
		if count++; when(count) {
			return err
		}
		return nil
	}
}

// Full is a disk without room, from now on: a third of a write still fits; making, lengthening and allocating fail.
func Full(s Step) error {
	switch s.Op {
	case "write", "writeat":
		return &ShortWrite{Len: int(s.Len / 3), Err: syscall.ENOSPC}
	case "create", "createshared", "openappend", "mkdirall", "link", "allocate":
		return syscall.ENOSPC
	}
	return nil
}

// step announces a call.
func (t *Tap) step(s Step) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	s.N = t.n
	if t.before == nil {
		return nil
	}
	if err := t.before(s); err != nil {
		return &fs.PathError{Op: s.Op, Path: s.Name, Err: err}
	}
	return nil
}

// Steps counts the calls so far.
func (t *Tap) Steps() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// ReadFile implements vfs.FS.
func (t *Tap) ReadFile(name string) ([]byte, error) {
	if err := t.step(Step{Op: "readfile", Name: name}); err != nil {
		return nil, err
	}
	return t.fs.ReadFile(name)
}

// Create implements vfs.FS.
func (t *Tap) Create(name string, perm fs.FileMode) (vfs.File, error) {
	return t.open("create", name, perm, t.fs.Create)
}

// OpenAppend implements vfs.FS.
func (t *Tap) OpenAppend(name string, perm fs.FileMode) (vfs.File, error) {
	return t.open("openappend", name, perm, t.fs.OpenAppend)
}

// OpenWrite implements vfs.FS.
func (t *Tap) OpenWrite(name string) (vfs.File, error) {
	return t.open("openwrite", name, 0, func(name string, _ fs.FileMode) (vfs.File, error) {
		return t.fs.OpenWrite(name)
	})
}

// NewSyncer implements vfs.FS. It syncs one file after the other, each sync a step.
func (t *Tap) NewSyncer() vfs.Syncer { return vfs.OneByOne{} }

func (t *Tap) open(
	op, name string, perm fs.FileMode, open func(string, fs.FileMode) (vfs.File, error),
) (vfs.File, error) {
	if err := t.step(Step{Op: op, Name: name}); err != nil {
		return nil, err
	}
	f, err := open(name, perm)
	if err != nil {
		return nil, err
	}
	return &tappedFile{f, t, name}, nil
}

// CreateShared implements vfs.FS. What is done to the file afterwards is no step.
func (t *Tap) CreateShared(name string, sizeBytes int64) (vfs.Shared, error) {
	if err := t.step(Step{Op: "createshared", Name: name, Len: sizeBytes}); err != nil {
		return nil, err
	}
	return t.fs.CreateShared(name, sizeBytes)
}

// Open implements vfs.FS.
func (t *Tap) Open(name string) (vfs.Reader, error) {
	return t.openReader("open", name, t.fs.Open)
}

// OpenPrivate implements vfs.FS.
func (t *Tap) OpenPrivate(name string) (vfs.Reader, error) {
	return t.openReader("openprivate", name, t.fs.OpenPrivate)
}

func (t *Tap) openReader(op, name string, open func(string) (vfs.Reader, error)) (vfs.Reader, error) {
	if err := t.step(Step{Op: op, Name: name}); err != nil {
		return nil, err
	}
	r, err := open(name)
	if err != nil {
		return nil, err
	}
	return &tappedReader{r, t, name}, nil
}

// Rename implements vfs.FS.
func (t *Tap) Rename(from, to string) error {
	if err := t.step(Step{Op: "rename", Name: from, To: to}); err != nil {
		return err
	}
	return t.fs.Rename(from, to)
}

// Link implements vfs.FS.
func (t *Tap) Link(from, to string) error {
	if err := t.step(Step{Op: "link", Name: from, To: to}); err != nil {
		return err
	}
	return t.fs.Link(from, to)
}

// Remove implements vfs.FS.
func (t *Tap) Remove(name string) error {
	if err := t.step(Step{Op: "remove", Name: name}); err != nil {
		return err
	}
	return t.fs.Remove(name)
}

// MkdirAll implements vfs.FS.
func (t *Tap) MkdirAll(dir string, perm fs.FileMode) error {
	if err := t.step(Step{Op: "mkdirall", Name: dir}); err != nil {
		return err
	}
	return t.fs.MkdirAll(dir, perm)
}

// ReadDir implements vfs.FS.
func (t *Tap) ReadDir(dir string) ([]string, error) {
	if err := t.step(Step{Op: "readdir", Name: dir}); err != nil {
		return nil, err
	}
	return t.fs.ReadDir(dir)
}

// Stat implements vfs.FS.
func (t *Tap) Stat(name string) (fs.FileInfo, error) {
	if err := t.step(Step{Op: "stat", Name: name}); err != nil {
		return nil, err
	}
	return t.fs.Stat(name)
}

// Chmod implements vfs.FS.
func (t *Tap) Chmod(name string, perm fs.FileMode) error {
	if err := t.step(Step{Op: "chmod", Name: name}); err != nil {
		return err
	}
	return t.fs.Chmod(name, perm)
}

// Glob implements vfs.FS.
func (t *Tap) Glob(pattern string) ([]string, error) {
	if err := t.step(Step{Op: "glob", Name: pattern}); err != nil {
		return nil, err
	}
	return t.fs.Glob(pattern)
}

// SyncDir implements vfs.FS.
func (t *Tap) SyncDir(dir string) error {
	if err := t.step(Step{Op: "syncdir", Name: dir}); err != nil {
		return err
	}
	return t.fs.SyncDir(dir)
}

// Lock implements vfs.FS.
func (t *Tap) Lock(name string) (io.Closer, error) {
	if err := t.step(Step{Op: "lock", Name: name}); err != nil {
		return nil, err
	}
	return t.fs.Lock(name)
}
