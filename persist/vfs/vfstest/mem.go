package vfstest

import (
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"fulmen/persist/vfs"
)

// Mem is a file system in memory. It has no symbolic links and no current directory: a relative name is one below "/",
// which exists. Its errors are those that Linux gives. See the package comment for Crash.
type Mem struct {
	mu      sync.Mutex
	root    *node
	pending []*change // changes of names that no SyncDir has made last, oldest first
	locks   map[*node]bool
}

var _ vfs.FS = (*Mem)(nil)

// node is a file or a directory, whatever its name. It is guarded by Mem.mu.
type node struct {
	perm    fs.FileMode
	dir     bool
	memory  bool             // of a directory: it is of a file system in memory
	entries map[string]*node // of a directory: as everybody sees it
	lasting map[string]*node // of a directory: what a power cut leaves at least
	content                  // of a file
}

// change is a making, a renaming or a removal: one or two entries that change together.
type change struct {
	edits []edit
	after []*change // earlier pending ones that concern the same entries
}

// edit puts target at an entry of dir, or nothing if target is nil.
type edit struct {
	dir    *node
	name   string
	target *node
}

// NewMem returns a file system with nothing but "/" in it.
func NewMem() *Mem {
	return &Mem{root: newDir(0o755), locks: map[*node]bool{}}
}

func newDir(perm fs.FileMode) *node {
	return &node{perm: perm, dir: true, entries: map[string]*node{}, lasting: map[string]*node{}}
}

func fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// split gives the elements of a name below "/".
func split(name string) []string {
	return strings.FieldsFunc(filepath.Clean("/"+name), func(r rune) bool { return r == '/' })
}

// find walks to what a name stands for.
func (m *Mem) find(name string) (*node, error) {
	at := m.root
	for _, element := range split(name) {
		if !at.dir {
			return nil, syscall.ENOTDIR
		}
		next, ok := at.entries[element]
		if !ok {
			return nil, syscall.ENOENT
		}
		at = next
	}
	return at, nil
}

// findParent walks to the directory that a name is in or would be in, and gives the name's last element.
func (m *Mem) findParent(name string) (*node, string, error) {
	elements := split(name)
	if len(elements) == 0 {
		return nil, "", syscall.EBUSY // "/" itself
	}
	last := len(elements) - 1
	dir, err := m.find(strings.Join(elements[:last], "/"))
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return dir, elements[last], err
}

// apply makes a change visible and notes that it doesn't last yet.
func (m *Mem) apply(edits ...edit) {
	if edits[0].dir.memory {
		for _, e := range edits {
			e.do(e.dir.entries)
		}
		return
	}
	c := &change{edits: edits}
	for _, earlier := range m.pending {
		if slices.ContainsFunc(earlier.edits, c.concerns) {
			c.after = append(c.after, earlier)
		}
	}
	for _, e := range edits {
		e.do(e.dir.entries)
	}
	m.pending = append(m.pending, c)
}

func (c *change) concerns(other edit) bool {
	return slices.ContainsFunc(c.edits, func(e edit) bool { return e.dir == other.dir && e.name == other.name })
}

func (e edit) do(entries map[string]*node) {
	if e.target == nil {
		delete(entries, e.name)
	} else {
		entries[e.name] = e.target
	}
}

// ReadFile implements vfs.FS.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findFile("open", name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.data), nil
}

// findFile walks to a file that has to be there.
func (m *Mem) findFile(op, name string) (*node, error) {
	n, err := m.find(name)
	if err != nil {
		return nil, fail(op, name, err)
	}
	if n.dir {
		return nil, fail(op, name, syscall.EISDIR)
	}
	return n, nil
}

// Create implements vfs.FS.
func (m *Mem) Create(name string, perm fs.FileMode) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.openForWriting(name, perm)
	if err != nil {
		return nil, err
	}
	f.node.truncate(0)
	return f, nil
}

// OpenAppend implements vfs.FS.
func (m *Mem) OpenAppend(name string, perm fs.FileMode) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.openForWriting(name, perm)
	if err != nil {
		return nil, err
	}
	f.append = true
	return f, nil
}

// OpenWrite implements vfs.FS.
func (m *Mem) OpenWrite(name string) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findFile("open", name)
	if err != nil {
		return nil, err
	}
	return &file{m: m, node: n, name: name}, nil
}

// NewSyncer implements vfs.FS. It syncs one file after the other.
func (m *Mem) NewSyncer() vfs.Syncer { return vfs.OneByOne{} }

func (m *Mem) openForWriting(name string, perm fs.FileMode) (*file, error) {
	dir, last, err := m.findParent(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	n, ok := dir.entries[last]
	if !ok {
		n = &node{perm: perm.Perm()}
		m.apply(edit{dir, last, n})
	}
	if n.dir {
		return nil, fail("open", name, syscall.EISDIR)
	}
	return &file{m: m, node: n, name: name}, nil
}

// Open implements vfs.FS.
func (m *Mem) Open(name string) (vfs.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findFile("open", name)
	if err != nil {
		return nil, err
	}
	return &file{m: m, node: n, name: name}, nil
}

// Rename implements vfs.FS. To a directory's name, or of a directory into itself, it is an error.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := func(err error) error { return &linkError{"rename", from, to, err} }
	fromDir, fromLast, err := m.findParent(from)
	if err != nil {
		return failed(err)
	}
	n, ok := fromDir.entries[fromLast]
	if !ok {
		return failed(syscall.ENOENT)
	}
	toDir, toLast, err := m.findParent(to)
	if err != nil {
		return failed(err)
	}
	if old, ok := toDir.entries[toLast]; ok && old == n {
		return nil
	} else if ok && old.dir {
		return failed(syscall.EISDIR)
	} else if ok && n.dir {
		return failed(syscall.ENOTDIR)
	}
	if fromDir.memory != toDir.memory {
		return failed(syscall.EXDEV)
	}
	if n.dir && strings.HasPrefix("/"+strings.Join(split(to), "/"), "/"+strings.Join(split(from), "/")+"/") {
		return failed(syscall.EINVAL)
	}
	m.apply(edit{fromDir, fromLast, nil}, edit{toDir, toLast, n})
	return nil
}

// Link implements vfs.FS.
func (m *Mem) Link(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := func(err error) error { return &linkError{"link", from, to, err} }
	n, err := m.find(from)
	if err != nil {
		return failed(err)
	}
	dir, last, err := m.findParent(to)
	switch {
	case err != nil:
		return failed(err)
	case n.dir:
		return failed(syscall.EPERM)
	case dir.entries[last] != nil:
		return failed(syscall.EEXIST)
	}
	m.apply(edit{dir, last, n})
	return nil
}

// linkError is an os.LinkError.
type linkError struct {
	op, from, to string
	err          error
}

func (e *linkError) Error() string { return e.op + " " + e.from + " " + e.to + ": " + e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

// Remove implements vfs.FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, last, err := m.findParent(name)
	if err != nil {
		return fail("remove", name, err)
	}
	n, ok := dir.entries[last]
	if !ok {
		return fail("remove", name, syscall.ENOENT)
	}
	if n.dir && len(n.entries) > 0 {
		return fail("remove", name, syscall.ENOTEMPTY)
	}
	m.apply(edit{dir, last, nil})
	return nil
}

// MkdirAll implements vfs.FS.
func (m *Mem) MkdirAll(dir string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for _, element := range split(dir) {
		next, ok := at.entries[element]
		if !ok {
			next = newDir(perm.Perm())
			next.memory = at.memory
			m.apply(edit{at, element, next})
		}
		if !next.dir {
			return fail("mkdir", dir, syscall.ENOTDIR)
		}
		at = next
	}
	return nil
}

// ReadDir implements vfs.FS.
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(dir)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, fail("open", dir, err)
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Stat implements vfs.FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, fail("stat", name, err)
	}
	return n.info(name), nil
}

// Chmod implements vfs.FS.
func (m *Mem) Chmod(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return fail("chmod", name, err)
	}
	n.perm = perm.Perm()
	return nil
}

// Glob implements vfs.FS.
func (m *Mem) Glob(pattern string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	var visit func(n *node, name string) error
	visit = func(n *node, name string) error {
		for element, next := range n.entries {
			full := filepath.Join(name, element)
			ok, err := filepath.Match(pattern, full)
			if err != nil {
				return err
			}
			if ok {
				found = append(found, full)
			}
			if err := visit(next, full); err != nil {
				return err
			}
		}
		return nil
	}
	top := ""
	if filepath.IsAbs(pattern) {
		top = "/"
	}
	err := visit(m.root, top)
	slices.Sort(found)
	return found, err
}

// SyncDir implements vfs.FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(dir)
	if err != nil {
		return fail("open", dir, err)
	}
	if !n.dir {
		return fail("open", dir, syscall.ENOTDIR)
	}
	done := closure(m.pending, func(c *change) bool {
		return slices.ContainsFunc(c.edits, func(e edit) bool { return e.dir == n })
	})
	m.pending = slices.DeleteFunc(m.pending, func(c *change) bool {
		if !done[c] {
			return false
		}
		for _, e := range c.edits {
			e.do(e.dir.lasting)
		}
		return true
	})
	return nil
}

// closure gives the changes that are chosen, and those that they come after.
func closure(changes []*change, chosen func(*change) bool) map[*change]bool {
	kept := map[*change]bool{}
	for _, c := range slices.Backward(changes) {
		if kept[c] || chosen(c) {
			kept[c] = true
			for _, earlier := range c.after {
				kept[earlier] = true
			}
		}
	}
	return kept
}

// Lock implements vfs.FS. A crash releases it.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	if m.locks[n] {
		return nil, fail("lock", name, vfs.ErrLocked)
	}
	m.locks[n] = true
	return &heldLock{m, n}, nil
}

type heldLock struct {
	m *Mem
	n *node
}

// Close gives the lock back.
func (l *heldLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.n)
	return nil
}
