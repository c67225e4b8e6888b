package vfstest

import (
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// content is what a file holds, and what it held at its last sync as far as that differs. It is guarded by Mem.mu.
type content struct {
	data       []byte
	syncedSize int
	// old has the sectors that were written since the last sync, by their number: what they held then, of full
	// length, with zeros beyond the length of then; nil where the whole sector was beyond it.
	old map[int][]byte
	// dropped has those of old whose sync has failed: the system takes them for written, so the next sync does nothing
	// for them. Written again they are as any other.
	dropped map[int][]byte
}

// touch notes what the sectors from byte from to byte to held, before they change.
func (c *content) touch(from, to int) {
	if c.old == nil {
		c.old = map[int][]byte{}
	}
	for sector := from / sectorBytes; sector*sectorBytes < to; sector++ {
		if _, ok := c.old[sector]; ok {
			continue
		}
		if was, ok := c.dropped[sector]; ok {
			delete(c.dropped, sector)
			c.old[sector] = was
			continue
		}
		var was []byte
		if begin := sector * sectorBytes; begin < len(c.data) {
			was = make([]byte, sectorBytes)
			copy(was, c.data[begin:])
		}
		c.old[sector] = was
	}
}

func (c *content) writeAt(p []byte, offset int) {
	end := offset + len(p)
	c.touch(min(offset, len(c.data)), end)
	if end > len(c.data) {
		c.data = append(c.data, make([]byte, end-len(c.data))...)
	}
	copy(c.data[offset:], p)
}

func (c *content) truncate(size int) {
	if size > len(c.data) {
		c.writeAt(nil, size)
		return
	}
	c.touch(size, len(c.data))
	clear(c.data[size:])
	c.data = c.data[:size]
}

func (c *content) sync() {
	c.syncedSize = len(c.data)
	c.old = nil
}

// syncFailed is a sync that could not write: Linux reports it once and then takes the pages for clean.
func (c *content) syncFailed() {
	if c.dropped == nil {
		c.dropped = map[int][]byte{}
	}
	maps.Copy(c.dropped, c.old)
	c.old = nil
}

// file is an open file of a Mem.
type file struct {
	m      *Mem
	node   *node
	name   string
	append bool
	offset int // of the next Write or Read
	closed bool
}

// lock guards the method of a file that is open; unlock ends it.
func (f *file) lock(op string) error {
	f.m.mu.Lock()
	if f.closed {
		return fail(op, f.name, fs.ErrClosed)
	}
	return nil
}

func (f *file) unlock() { f.m.mu.Unlock() }

// Write implements vfs.File.
func (f *file) Write(p []byte) (int, error) {
	defer f.unlock()
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	if f.append {
		f.offset = len(f.node.data)
	}
	f.node.writeAt(p, f.offset)
	f.offset += len(p)
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, offset int64) (int, error) {
	defer f.unlock()
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	if offset < 0 || f.append {
		return 0, fail("write", f.name, syscall.EINVAL)
	}
	f.node.writeAt(p, int(offset))
	return len(p), nil
}

// Read implements vfs.Reader.
func (f *file) Read(p []byte) (int, error) {
	defer f.unlock()
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	n, err := f.node.readAt(p, f.offset)
	f.offset += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (c *content) readAt(p []byte, offset int) (int, error) {
	n := 0
	if offset < len(c.data) {
		n = copy(p, c.data[offset:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ReadAt implements vfs.Reader.
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	defer f.unlock()
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, fail("read", f.name, syscall.EINVAL)
	}
	return f.node.readAt(p, int(offset))
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	defer f.unlock()
	if err := f.lock("sync"); err != nil {
		return err
	}
	f.node.sync()
	return nil
}

// SyncFailed has a sync fail that a Tap injects the error of.
func (f *file) SyncFailed() {
	defer f.unlock()
	if f.lock("sync") == nil {
		f.node.syncFailed()
	}
}

// SyncData implements vfs.File.
func (f *file) SyncData() error { return f.Sync() }

// WriteBack implements vfs.File.
func (f *file) WriteBack(_, _ int64, _ bool) error {
	defer f.unlock()
	return f.lock("sync_file_range")
}

// Forget implements vfs.File.
func (f *file) Forget(_, _ int64) {}

// Allocate implements vfs.File.
func (f *file) Allocate(_, _ int64) error {
	defer f.unlock()
	return f.lock("fallocate")
}

// Truncate implements vfs.File.
func (f *file) Truncate(sizeBytes int64) error {
	defer f.unlock()
	if err := f.lock("truncate"); err != nil {
		return err
	}
	if sizeBytes < 0 {
		return fail("truncate", f.name, syscall.EINVAL)
	}
	f.node.truncate(int(sizeBytes))
	return nil
}

// Close implements vfs.File and vfs.Reader.
func (f *file) Close() error {
	defer f.unlock()
	if err := f.lock("close"); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// Stat implements vfs.Reader.
func (f *file) Stat() (fs.FileInfo, error) {
	defer f.unlock()
	if err := f.lock("stat"); err != nil {
		return nil, err
	}
	return f.node.info(f.name), nil
}

// info is a node's fs.FileInfo; the time of change is always the zero time.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (n *node) info(name string) fs.FileInfo {
	i := info{name: filepath.Base(name), size: int64(len(n.data)), mode: n.perm}
	if n.dir {
		i.mode |= fs.ModeDir
	}
	return i
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// crashed gives what a power cut leaves of a file, as a synced content.
func (c *content) crashed(draw *draw) content {
	size := draw.size(c.syncedSize, len(c.data))
	data := slices.Clone(c.data[:min(size, len(c.data))])
	data = append(data, make([]byte, size-len(data))...)
	for sector := 0; sector*sectorBytes < size; sector++ {
		was, touched := c.old[sector]
		if !touched {
			if was, touched = c.dropped[sector]; !touched {
				continue
			}
		}
		part := data[sector*sectorBytes : min((sector+1)*sectorBytes, size)]
		from := max(len(c.data)-sector*sectorBytes, 0) // behind it the file was cut, and the cut is lost
		if !draw.keeps() {
			from = 0
		}
		if from < len(part) {
			clear(part[from+copy(part[from:], was[min(from, len(was)):]):])
		}
	}
	return content{data: data, syncedSize: size}
}
