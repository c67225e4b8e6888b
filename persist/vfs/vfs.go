// Package vfs is the only way from the server to the file system.
//
// It is an interface of the few operations that the server needs, the operating system behind it, and the recipes
// made of them whose order matters (WriteFileAtomic, KeepAside). It is not a cache, and it knows no format.
//
// # Ownership
//
// An FS may be used by several goroutines. A File belongs to whoever opened it.
//
// # Invariants
//
//  1. No other package but the commands under cmd opens, renames or removes a file. internal/lint checks it.
//  2. An error comes back as the operating system gave it (a *fs.PathError or *os.LinkError), so that errors.Is works
//     with fs.ErrNotExist, syscall.ENOSPC and the like, and its text names the file.
package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
)

// FS is a file system. Names are paths as the operating system takes them, relative ones to the working directory.
type FS interface {
	// ReadFile gives the whole of a file; the caller owns the slice. Files of /proc, which say no size, too.
	ReadFile(name string) ([]byte, error)
	// Create opens a new file for writing, or an old one cut to no bytes. perm is for a new one, less the umask.
	Create(name string, perm fs.FileMode) (File, error)
	// OpenAppend opens a file, made if it is missing, so that every write lands at its end, wherever others write.
	OpenAppend(name string, perm fs.FileMode) (File, error)
	// OpenWrite opens an old file for writing as it is; the place of Write is its beginning.
	OpenWrite(name string) (File, error)
	// Rename puts the file from in place of the file to. It lasts through a power cut only after SyncDir.
	Rename(from, to string) error
	// Link gives the file that from stands for, through symbolic links, a second name, to, which must be free
	// (fs.ErrExist). Not every file system can, and not every file may: one of another user's may not. It lasts through
	// a power cut only after SyncDir.
	Link(from, to string) error
	// Remove removes a file, a socket or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and its parents; one that exists is no error.
	MkdirAll(dir string, perm fs.FileMode) error
	// Open opens a file for reading.
	Open(name string) (Reader, error)
	// ReadDir gives the names of a directory's entries, without their directory, in order.
	ReadDir(dir string) ([]string, error)
	// Stat says what a name stands for, through symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// Chmod sets the permissions of a file or a socket; the umask plays no part.
	Chmod(name string, perm fs.FileMode) error
	// Glob gives the names that match a pattern of path/filepath, in order; none is no error.
	Glob(pattern string) ([]string, error)
	// SyncDir makes the creations, renames and removals done in a directory last through a power cut.
	SyncDir(dir string) error
	// Lock takes a directory or an existing file for this process alone, until the Closer is closed or the process
	// ends, however it ends. Only those who ask are kept out. It doesn't wait: ErrLocked says that another has it,
	// which may be this process. The lock is of the directory itself, so it leaves nothing behind to clean up.
	Lock(name string) (io.Closer, error)
	// NewSyncer gives a Syncer for files of this FS. It may hold resources of the system until it is closed.
	NewSyncer() Syncer
	// CreateShared makes a file that is memory: see Shared. The name must be free (fs.ErrExist), of a file system
	// that lives in memory (ErrNotMemory), in a directory where nobody but this user and root can replace it
	// (ErrNotPrivate); a symbolic link is not followed. The file has permissions for this user alone, whatever the
	// umask, and is locked as Lock does. All of it is there, zero and ready to be touched, so a lack of room is an
	// error here (ENOSPC) and not a signal later. After an error there is no file. Where a system has no such files,
	// errors.ErrUnsupported.
	CreateShared(name string, sizeBytes int64) (Shared, error)
	// OpenPrivate opens for reading what CreateShared has made, after its maker's end: only a regular file that
	// belongs to this user and gives permissions to nobody else (ErrNotPrivate), no symbolic link (which is an error of
	// the system), locked as Lock does until it is closed (ErrLocked if its maker, or another reader, still has it).
	OpenPrivate(name string) (Reader, error)
}

// ErrLocked is what Lock's error wraps if another has the lock.
var ErrLocked = errors.New("locked by another process")

// Reasons, wrapped, why there is no Shared to be had under a name, or no file that can be trusted to be one.
var (
	ErrNotMemory  = errors.New("not on a file system in memory")
	ErrNotPrivate = errors.New("others have access to it")
)

// Shared is a file that is memory at the same time. What was stored in it is in the file, without a system call, and
// stays there when the process ends, however it ends, but not through the end of the system.
type Shared interface {
	// Bytes gives the memory, which begins at the boundary of a page, of a huge one if the system can. To touch it
	// after Close is fatal.
	Bytes() []byte
	// Close gives back the memory and the lock. The file stays until its name is removed.
	Close() error
}

// Reader is a file opened for reading. Its methods are those of an os.File.
type Reader interface {
	io.Reader
	io.ReaderAt
	io.Closer
	// Stat says among other things how long the file is now.
	Stat() (fs.FileInfo, error)
}

// File is a file opened for writing. A failed Sync, SyncData or WriteBack may have dropped what it could not write, and
// the next one need not fail again: whoever sees one fail must take everything since the last good one for lost.
type File interface {
	io.WriteCloser
	// WriteAt writes at an offset, beyond the end of the file too, and leaves the place of Write where it is. It is not
	// for files of OpenAppend.
	io.WriterAt
	// Sync makes what was written so far last through a power cut, but not the file's name (SyncDir does that).
	Sync() error
	// SyncData is Sync, but for the file's times and permissions: cheaper where the file doesn't grow.
	SyncData() error
	// WriteBack has the operating system begin to write the bytes [offset, offset+length) to the disk, and with wait
	// waits until they are there. It makes nothing last (a file that has grown needs Sync for its length); it keeps
	// down what is left for Sync to do. Without wait it is done at once unless the disk's queue is full.
	WriteBack(offset, length int64, wait bool) error
	// Forget says that the bytes [offset, offset+length) have lasted and will hardly be read soon, so that the
	// operating system can use the memory that it keeps them in for something else. It is a hint: of whole pages, and
	// without effect where the system can't.
	Forget(offset, length int64)
	// Allocate takes room on the disk for the bytes [offset, offset+length) and leaves the length of the file as it
	// is, so that a full disk is an error here and not at the write. Where the file system can't, it does nothing.
	Allocate(offset, length int64) error
	// Truncate cuts the file, or lengthens it with zeros. It lasts after a Sync.
	Truncate(sizeBytes int64) error
}

// WriteFileAtomic puts data in place of the file name: a reader, or the next start after a crash or a power cut, finds
// the old content whole or the new content whole. It writes and syncs a file beside it (name + ".tmp"), renames that
// and syncs the directory. An existing file's permissions are kept, a new file gets perm less the umask.
//
// After an error the old file still stands, but for an error of the last step, the sync of the directory: then the new
// content is there and may be lost again by a power cut. The temporary file is removed, or overwritten next time.
//
// One caller at a time may write a name.
func WriteFileAtomic(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return writeAtomic(fsys, name, bytes.NewReader(data), perm)
}

// writeAtomic is WriteFileAtomic for data that are read.
func writeAtomic(fsys FS, name string, data io.Reader, perm fs.FileMode) error {
	temp := name + ".tmp"
	if err := writeTemp(fsys, name, temp, data, perm); err != nil {
		// The first error is the one to report; a temporary file that stays does no harm.
		_ = fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// writeTemp is writeAtomic up to the rename, the part after which there may be a temporary file to remove.
func writeTemp(fsys FS, name, temp string, data io.Reader, perm fs.FileMode) error {
	file, err := fsys.Create(temp, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if info, err := fsys.Stat(name); err == nil {
		if err := fsys.Chmod(temp, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return fsys.Rename(temp, name)
}
