package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	hugePageBytes = 2 << 20
	hardFlags     = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	magicRamfs    = 0x858458f6
)

// sharedFile is a Shared of the operating system. The lock lives as long as the file is open.
type sharedFile struct {
	file *os.File
	mem  []byte
}

// CreateShared implements FS.
func (OS) CreateShared(name string, sizeBytes int64) (Shared, error) {
	if err := checkPrivateDir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|hardFlags, 0o600)
	if err != nil {
		return nil, err
	}
	mem, err := prepareShared(file, sizeBytes)
	if err != nil {
		// The first error is the one to report. Without a lock the name may be another's by now.
		if !errors.Is(err, ErrLocked) {
			_ = os.Remove(name)
		}
		_ = file.Close()
		return nil, err
	}
	return &sharedFile{file, mem}, nil
}

// prepareShared locks a new file, gives it its room, and maps it.
func prepareShared(file *os.File, sizeBytes int64) ([]byte, error) {
	// Somebody who opens the file before it is locked may take it for one that was left behind, and remove it.
	if err := lock(file); err != nil {
		return nil, &fs.PathError{Op: "lock", Path: file.Name(), Err: err}
	}
	mine, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if named, err := os.Lstat(file.Name()); err != nil || !os.SameFile(mine, named) {
		return nil, &fs.PathError{Op: "lock", Path: file.Name(), Err: ErrLocked}
	}
	if err := file.Chmod(0o600); err != nil { // whatever the umask has taken away
		return nil, err
	}
	f := osFile{file}
	var stat unix.Statfs_t
	if err := f.call("statfs", func(fd int) error { return unix.Fstatfs(fd, &stat) }); err != nil {
		return nil, err
	}
	if kind := uint32(stat.Type); kind != unix.TMPFS_MAGIC && kind != magicRamfs {
		return nil, &fs.PathError{Op: "mmap", Path: file.Name(), Err: ErrNotMemory}
	}
	// From here on there is room for all of it: a page that could not be had would be a signal when it is touched.
	if err := f.call("fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, sizeBytes) }); err != nil {
		return nil, err
	}
	var mem []byte
	err = f.call("mmap", func(fd int) (err error) {
		mem, err = mapShared(fd, uintptr(sizeBytes))
		return err
	})
	return mem, err
}

// mapShared maps a file at the boundary of a huge page and has all of it ready to be touched.
func mapShared(fd int, size uintptr) ([]byte, error) {
	room := size + hugePageBytes
	p, err := unix.MmapPtr(-1, 0, nil, room, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	skip := -uintptr(p) & (hugePageBytes - 1)
	at := unsafe.Add(p, skip)
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_FIXED
	if _, err = unix.MmapPtr(fd, 0, at, size, prot, flags); err != nil {
		_ = unix.MunmapPtr(p, room) // address space only, and the error to report is mmap's
		return nil, err
	}
	if skip > 0 {
		_ = unix.MunmapPtr(p, skip) // address space only
	}
	page := uintptr(os.Getpagesize())
	if whole := (size + page - 1) &^ (page - 1); skip+whole < room {
		_ = unix.MunmapPtr(unsafe.Add(at, whole), room-skip-whole)
	}
	mem := unsafe.Slice((*byte)(at), size)
	// Huge pages are worth trying for (Linux 6.1 collapses whatever the settings for tmpfs say), and nothing is lost
	// without them. Whether the pages are mapped already is a matter of time only, as the file has them.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(mem, unix.MADV_COLLAPSE)
	if unix.Madvise(mem, unix.MADV_POPULATE_WRITE) != nil {
		for i := 0; i < len(mem); i += int(page) {
			mem[i] = 0
		}
	}
	return mem, nil
}

// Bytes implements Shared.
func (s *sharedFile) Bytes() []byte { return s.mem }

// Close implements Shared.
func (s *sharedFile) Close() error {
	var err error
	if s.mem != nil {
		err = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(s.mem)), uintptr(len(s.mem)))
		s.mem = nil
	}
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// checkPrivateDir sees to it that nobody but this user and root can put another file in the place of one of ours.
func checkPrivateDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	others := info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0
	if !ok || others || int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return &fs.PathError{Op: "open", Path: dir, Err: ErrNotPrivate}
	}
	return nil
}

// OpenPrivate implements FS.
func (OS) OpenPrivate(name string) (Reader, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|hardFlags, 0)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(file); err != nil {
		_ = file.Close() // nothing was written
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return file, nil
}

func checkPrivate(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int(stat.Uid) != os.Geteuid() {
		return ErrNotPrivate
	}
	return lock(file)
}
