package check

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// overlay is a file system that is read through to another one, and keeps in memory what is written over its files: a
// recovery (aof.Recover) made on it can be looked at without having been made. It knows the calls that a recovery
// makes; others that would change something are refused.
type overlay struct {
	vfs.FS
	layers map[string]*layer // by name of the file
}

func newOverlay(fsys vfs.FS) *overlay { return &overlay{fsys, map[string]*layer{}} }

// layer is what was written over a file.
type layer struct {
	below vfs.FS
	name  string
	size  int64 // of the file with the layer
	parts []layerPart
}

// layerPart are bytes that the file doesn't have, or not so.
type layerPart struct {
	offset int64
	data   []byte
}

// OpenWrite implements vfs.FS.
func (o *overlay) OpenWrite(name string) (vfs.File, error) {
	l := o.layers[name]
	if l == nil {
		info, err := o.Stat(name)
		if err != nil {
			return nil, err
		}
		l = &layer{below: o.FS, name: name, size: info.Size()}
		o.layers[name] = l
	}
	return layerFile{l: l}, nil
}

// Open implements vfs.FS.
func (o *overlay) Open(name string) (vfs.Reader, error) {
	file, err := o.FS.Open(name)
	if l := o.layers[name]; l != nil && err == nil {
		return &layerReader{Reader: file, l: l}, nil
	}
	return file, err
}

// Create implements vfs.FS. Nothing is kept of what is written to the file.
func (o *overlay) Create(string, fs.FileMode) (vfs.File, error) { return layerFile{}, nil }

// Rename implements vfs.FS.
func (o *overlay) Rename(string, string) error { return nil }

// Remove implements vfs.FS.
func (o *overlay) Remove(string) error { return nil }

// Chmod implements vfs.FS.
func (o *overlay) Chmod(string, fs.FileMode) error { return nil }

// SyncDir implements vfs.FS.
func (o *overlay) SyncDir(string) error { return nil }

// OpenAppend implements vfs.FS.
func (o *overlay) OpenAppend(string, fs.FileMode) (vfs.File, error) {
	return nil, errors.ErrUnsupported
}

// Link implements vfs.FS.
func (o *overlay) Link(string, string) error { return errors.ErrUnsupported }

// MkdirAll implements vfs.FS.
func (o *overlay) MkdirAll(string, fs.FileMode) error { return errors.ErrUnsupported }

// CreateShared implements vfs.FS.
func (o *overlay) CreateShared(string, int64) (vfs.Shared, error) { return nil, errors.ErrUnsupported }

// added counts the bytes that the layers have behind headers of INCR files and the files have not.
func (o *overlay) added() (n int64) {
	for _, l := range o.layers {
		for _, p := range l.parts {
			n += max(0, min(p.end(), l.size)-max(p.offset, aof.HeaderBytes))
		}
	}
	return n
}

// adds tells whether what a file has at an offset, where a frame begins, is in a layer.
func (o *overlay) adds(name string, offset int64) bool {
	if l := o.layers[name]; l != nil {
		for _, p := range l.parts {
			if p.offset <= offset && offset < p.end() {
				return true
			}
		}
	}
	return false
}

func (p *layerPart) end() int64 { return p.offset + int64(len(p.data)) }

// readAt is io.ReaderAt of the layer on its file.
func (l *layer) readAt(file io.ReaderAt, p []byte, offset int64) (int, error) {
	short := offset+int64(len(p)) > l.size
	if short {
		p = p[:max(l.size-offset, 0)]
	}
	n, err := file.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		return n, err
	}
	clear(p[n:])
	for i := range l.parts {
		part := &l.parts[i]
		if at := part.offset - offset; part.end() > offset && at < int64(len(p)) {
			copy(p[max(at, 0):], part.data[max(-at, 0):])
		}
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// write keeps p from the first byte on that is not there already.
func (l *layer) write(p []byte, offset int64) (err error) {
	file, err := l.below.Open(l.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	old := make([]byte, len(p))
	n, err := l.readAt(file, old, offset)
	if err != nil && err != io.EOF {
		return err
	}
	same := 0
	for same < n && old[same] == p[same] {
		same++
	}
	if same < len(p) {
		l.parts = append(l.parts, layerPart{offset + int64(same), bytes.Clone(p[same:])})
		l.size = max(l.size, offset+int64(len(p)))
	}
	return nil
}

// layerFile is a file opened for writing; without a layer what is written to it is lost.
type layerFile struct{ l *layer }

// Write implements vfs.File. A recovery writes so only to the manifest.
func (f layerFile) Write(p []byte) (int, error) {
	if f.l != nil {
		return 0, errors.ErrUnsupported
	}
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f layerFile) WriteAt(p []byte, offset int64) (int, error) {
	if f.l == nil {
		return 0, errors.ErrUnsupported
	}
	if err := f.l.write(p, offset); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Truncate implements vfs.File. It only cuts, and nothing is written behind that afterwards.
func (f layerFile) Truncate(sizeBytes int64) error {
	if f.l == nil || sizeBytes > f.l.size {
		return errors.ErrUnsupported
	}
	f.l.size = sizeBytes
	return nil
}

// Close implements vfs.File.
func (layerFile) Close() error { return nil }

// Sync implements vfs.File.
func (layerFile) Sync() error { return nil }

// SyncData implements vfs.File.
func (layerFile) SyncData() error { return nil }

// WriteBack implements vfs.File.
func (layerFile) WriteBack(int64, int64, bool) error { return nil }

// Forget implements vfs.File.
func (layerFile) Forget(int64, int64) {}

// Allocate implements vfs.File.
func (layerFile) Allocate(int64, int64) error { return nil }

// layerReader reads a file with its layer.
type layerReader struct {
	vfs.Reader
	l  *layer
	at int64
}

// Read implements vfs.Reader.
func (r *layerReader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt implements vfs.Reader.
func (r *layerReader) ReadAt(p []byte, offset int64) (int, error) {
	return r.l.readAt(r.Reader, p, offset)
}

// Stat implements vfs.Reader.
func (r *layerReader) Stat() (fs.FileInfo, error) {
	info, err := r.Reader.Stat()
	return layerInfo{info, r.l.size}, err
}

// layerInfo is a file's with another size.
type layerInfo struct {
	fs.FileInfo
	size int64
}

// Size implements fs.FileInfo.
func (i layerInfo) Size() int64 { return i.size }
