package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// KeepAside gives files second names, in a directory of their own, that outlive whatever becomes of the first ones,
// through a power cut too. It returns the directory: base, or base.2 and so on where there are other files of these
// names. A file that can't have a second name is copied. What is kept already is not kept once more, so that it may be
// done at every start, and again after a crash in the middle.
//
// The files must not change any more: a second name has the changes, too.
func KeepAside(fsys FS, base string, files []string) (dir string, err error) {
	for n := 1; ; n++ {
		if dir = base; n > 1 {
			dir = fmt.Sprintf("%s.%d", base, n)
		}
		if err = keepIn(fsys, dir, files); !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
}

// keepIn is KeepAside for a directory. It is fs.ErrExist, and nothing is kept, if another file has one of the names.
func keepIn(fsys FS, dir string, files []string) error {
	missing := map[string]string{}
	for _, from := range files {
		to := filepath.Join(dir, filepath.Base(from))
		switch same, err := sameContent(fsys, from, to); {
		case errors.Is(err, fs.ErrNotExist):
			missing[to] = from
		case err != nil:
			return err
		case !same:
			return fs.ErrExist
		}
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for to, from := range missing {
		if err := linkOrCopy(fsys, from, to); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}

func linkOrCopy(fsys FS, from, to string) error {
	linkErr := fsys.Link(from, to)
	if linkErr == nil {
		return nil
	}
	if err := copyFile(fsys, from, to); err != nil {
		return errors.Join(linkErr, err)
	}
	return nil
}

func copyFile(fsys FS, from, to string) error {
	r, err := fsys.Open(from)
	if err != nil {
		return err
	}
	info, err := r.Stat()
	if err == nil {
		err = writeAtomic(fsys, to, r, info.Mode().Perm())
	}
	return errors.Join(err, r.Close())
}

// sameContent tells whether two names are those of one file, or of two that have the same bytes.
func sameContent(fsys FS, a, b string) (same bool, err error) {
	infoA, err := fsys.Stat(a)
	if err != nil {
		return false, err
	}
	infoB, err := fsys.Stat(b)
	if err != nil || os.SameFile(infoA, infoB) || infoA.Size() != infoB.Size() {
		return err == nil && os.SameFile(infoA, infoB), err
	}
	readerA, err := fsys.Open(a)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, readerA.Close()) }()
	readerB, err := fsys.Open(b)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, readerB.Close()) }()
	return sameBytes(readerA, readerB)
}

// sameBytes compares what two readers give up to their ends.
func sameBytes(a, b io.Reader) (bool, error) {
	var bufA, bufB [32 << 10]byte
	for {
		n, errA := io.ReadFull(a, bufA[:])
		m, errB := io.ReadFull(b, bufB[:])
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return false, err
			}
		}
		if !bytes.Equal(bufA[:n], bufB[:m]) || errA != errB {
			return false, nil
		}
		if errA != nil {
			return true, nil
		}
	}
}
