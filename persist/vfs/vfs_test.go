package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// recorder notes every call in order and fails the one whose note has the prefix failOn.
type recorder struct {
	FS
	calls  []string
	failOn string
}

func (r *recorder) call(words ...string) error {
	for i, word := range words {
		words[i] = filepath.Base(word)
	}
	note := strings.Join(words, " ")
	r.calls = append(r.calls, note)
	if r.failOn != "" && strings.HasPrefix(note, r.failOn) {
		return syscall.EIO
	}
	return nil
}

func (r *recorder) Create(name string, perm fs.FileMode) (File, error) {
	if err := r.call("create", name); err != nil {
		return nil, err
	}
	file, err := r.FS.Create(name, perm)
	return &recordedFile{File: file, r: r, name: name}, err
}

func (r *recorder) Chmod(name string, perm fs.FileMode) error {
	return errors.Join(r.call("chmod", name), r.FS.Chmod(name, perm))
}

func (r *recorder) Rename(from, to string) error {
	if err := r.call("rename", from, to); err != nil {
		return err
	}
	return r.FS.Rename(from, to)
}

func (r *recorder) Remove(name string) error {
	return errors.Join(r.call("remove", name), r.FS.Remove(name))
}

func (r *recorder) SyncDir(dir string) error {
	return errors.Join(r.call("syncdir"), r.FS.SyncDir(dir))
}

type recordedFile struct {
	File
	r    *recorder
	name string
}

func (f *recordedFile) Write(p []byte) (int, error) {
	if err := f.r.call("write", f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *recordedFile) Sync() error {
	return errors.Join(f.r.call("sync", f.name), f.File.Sync())
}

func (f *recordedFile) Close() error {
	return errors.Join(f.r.call("close", f.name), f.File.Close())
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := OS{}.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriteFileAtomicOrder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "conf")
	first := &recorder{FS: OS{}}
	if err := WriteFileAtomic(first, name, []byte("one"), 0o640); err != nil {
		t.Fatal(err)
	}
	golden := []string{
		"create conf.tmp", "write conf.tmp", "sync conf.tmp", "close conf.tmp", "rename conf.tmp conf", "syncdir",
	}
	if !slices.Equal(first.calls, golden) {
		t.Errorf("a new file:\n got %q\nwant %q", first.calls, golden)
	}
	if err := os.Chmod(name, 0o604); err != nil {
		t.Fatal(err)
	}
	second := &recorder{FS: OS{}}
	if err := WriteFileAtomic(second, name, []byte("two"), 0o640); err != nil {
		t.Fatal(err)
	}
	golden = slices.Insert(golden, 4, "chmod conf.tmp")
	if !slices.Equal(second.calls, golden) {
		t.Errorf("an old file:\n got %q\nwant %q", second.calls, golden)
	}
	info, err := OS{}.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o604 {
		t.Errorf("permissions %o, want those of the old file", got)
	}
	if got := readFile(t, name); got != "two" {
		t.Errorf("content %q", got)
	}
}

func TestWriteFileAtomicFailures(t *testing.T) {
	for _, failOn := range []string{"create", "write", "sync conf", "close", "chmod", "rename", "syncdir"} {
		name := filepath.Join(t.TempDir(), "conf")
		if err := WriteFileAtomic(OS{}, name, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := WriteFileAtomic(&recorder{FS: OS{}, failOn: failOn}, name, []byte("new"), 0o644)
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s fails: error %v", failOn, err)
		}
		want := "old"
		if failOn == "syncdir" {
			want = "new"
		}
		if got := readFile(t, name); got != want {
			t.Errorf("%s fails: content %q, want %q", failOn, got, want)
		}
		left, err := OS{}.Glob(filepath.Join(filepath.Dir(name), "*"))
		if err != nil || len(left) != 1 {
			t.Errorf("%s fails: files left: %q (%v)", failOn, left, err)
		}
	}
}

func TestOpenAppend(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for _, text := range []string{"a\n", "b\n"} {
		file, err := OS{}.OpenAppend(name, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, name); got != "a\nb\n" {
		t.Errorf("content %q", got)
	}
}

func TestErrorsAreTheSystems(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "file")
	file, err := OS{}.OpenAppend(missing, 0o644)
	if !errors.Is(err, fs.ErrNotExist) || file != nil {
		t.Errorf("OpenAppend: %v, %v", file, err)
	}
	if err := (OS{}).SyncDir(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir: %v", err)
	}
	if err := (OS{}).MkdirAll(filepath.Dir(missing), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFileAtomic(OS{}, missing, nil, 0o644); err != nil {
		t.Error(err)
	}
	if err := (OS{}).Remove(missing); err != nil {
		t.Error(err)
	}
}
