package vfstest

import (
	"io"
	"syscall"

	"fulmen/persist/vfs"
)

// MountMemory makes dir, and its parents where they are missing, and lets it be of a file system in memory, where
// CreateShared can make files: all in it is gone after Crash, and there after Kill. It must be empty.
func (m *Mem) MountMemory(dir string) error {
	if err := m.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(dir)
	if err == nil && len(n.entries) > 0 {
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return fail("mount", dir, err)
	}
	n.memory = true
	return nil
}

// memShared is the Shared of a Mem: the memory is the file's content. It is ordinary memory, so that whoever copies the
// file (ReadFile, Kill, Crash) while another goroutine stores in it is a data race.
type memShared struct {
	heldLock
	mem []byte
}

// CreateShared implements vfs.FS.
func (m *Mem) CreateShared(name string, sizeBytes int64) (vfs.Shared, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.findParent(name)
	switch {
	case err != nil:
	case dir.entries[last] != nil:
		err = syscall.EEXIST
	case !dir.memory:
		err = vfs.ErrNotMemory
	}
	if err != nil {
		return nil, fail("open", name, err)
	}
	n := &node{perm: 0o600, content: content{data: make([]byte, sizeBytes), syncedSize: int(sizeBytes)}}
	m.apply(edit{dir, last, n})
	m.locks[n] = true
	return &memShared{heldLock{m, n}, n.data}, nil
}

// Bytes implements vfs.Shared.
func (s *memShared) Bytes() []byte { return s.mem }

// OpenPrivate implements vfs.FS. A Mem has one user, so it looks at permissions only.
func (m *Mem) OpenPrivate(name string) (vfs.Reader, error) {
	r, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	perm := r.(*file).node.perm
	m.mu.Unlock()
	if perm&0o077 != 0 {
		return nil, fail("open", name, vfs.ErrNotPrivate)
	}
	lock, err := m.Lock(name)
	if err != nil {
		return nil, err
	}
	return &privateFile{r, lock}, nil
}

// privateFile is a file that is locked until it is closed.
type privateFile struct {
	vfs.Reader
	lock io.Closer
}

// Close implements vfs.Reader.
func (f *privateFile) Close() error {
	err := f.Reader.Close()
	if lockErr := f.lock.Close(); err == nil {
		err = lockErr
	}
	return err
}
