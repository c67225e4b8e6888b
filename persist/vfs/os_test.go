package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReading(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "b[1]")
	for _, n := range []string{name, filepath.Join(dir, "a")} {
		if err := WriteFileAtomic(OS{}, n, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := OS{}.ReadDir(dir)
	if err != nil || !slices.Equal(names, []string{"a", "b[1]"}) {
		t.Errorf("ReadDir: %q, %v", names, err)
	}
	r, err := OS{}.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := r.Stat()
	if err != nil || info.Size() != 7 {
		t.Errorf("Stat: %v, %v", info, err)
	}
	part := make([]byte, 3)
	if _, err := r.ReadAt(part, 4); err != nil || string(part) != "ent" {
		t.Errorf("ReadAt: %q, %v", part, err)
	}
	if all, err := io.ReadAll(r); err != nil || string(all) != "content" {
		t.Errorf("Read: %q, %v", all, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	missing, err := OS{}.Open(name + "x")
	if !errors.Is(err, fs.ErrNotExist) || missing != nil {
		t.Errorf("Open of nothing: %v, %v", missing, err)
	}
	if _, err := (OS{}).ReadDir(name); err == nil {
		t.Error("ReadDir of a file is no error")
	}
}

func TestWriting(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f, err := OS{}.Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Allocate(0, 1<<20); err != nil {
		t.Error(err)
	}
	if got := readFile(t, name); got != "" {
		t.Errorf("Allocate changes the length to %d", len(got))
	}
	if _, err := f.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.WriteBack(0, 4, false), f.WriteBack(0, 7, true), f.SyncData(), f.Truncate(3),
		f.Sync(), f.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := readFile(t, name); got != "con" {
		t.Errorf("content %q", got)
	}
	var path *fs.PathError
	if err := f.SyncData(); !errors.As(err, &path) || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("SyncData of a closed file: %v", err)
	}
	full, err := OS{}.Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := full.Allocate(0, 1<<62); !errors.As(err, &path) || path.Path != name {
		t.Errorf("Allocate of 4 EiB: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	lock, err := OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OS{}.Lock(dir)
	if !errors.Is(err, ErrLocked) || second != nil {
		t.Errorf("locked twice: %v, %v", second, err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	third, err := OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
	if _, err := (OS{}).Lock(filepath.Join(dir, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("locking nothing: %v", err)
	}
}

// TestRemoveLong: a long file is removed like any other, and what goes wrong is told.
func TestRemoveLong(t *testing.T) {
	name := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(name, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (OS{}).Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if err := (OS{}).Remove(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing what is not there: %v", err)
	}
}
