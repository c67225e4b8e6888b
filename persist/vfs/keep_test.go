package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// put writes files, given as names and contents by turns.
func put(t *testing.T, fsys vfs.FS, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		dir := filepath.Dir(pairs[i])
		if err := errors.Join(fsys.MkdirAll(dir, 0o755), fsys.SyncDir(filepath.Dir(dir))); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(fsys, pairs[i], []byte(pairs[i+1]), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// wantFiles compares the contents of files, given like those of put.
func wantFiles(t *testing.T, fsys vfs.FS, when string, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got, err := fsys.ReadFile(pairs[i]); err != nil || string(got) != pairs[i+1] {
			t.Errorf("%s: %s has %q (%v), want %q", when, pairs[i], got, err, pairs[i+1])
		}
	}
}

// TestLink: what is written through one name is read through the other, and each is removed by itself.
func TestLink(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"os": vfs.OS{}, "mem": vfstest.NewMem()} {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		put(t, fsys, a, "one")
		if err := fsys.Link(a, b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := fsys.Link(a, b); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: to a name that is taken: %v", name, err)
		}
		if err := fsys.Link(a+"x", b+"x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: of nothing: %v", name, err)
		}
		if err := fsys.Link(dir, b+"x"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: of a directory: %v", name, err)
		}
		file, err := fsys.OpenAppend(b, 0)
		if err == nil {
			_, err = file.Write([]byte(", two"))
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, fsys, name, a, "one, two")
		put(t, fsys, a, "three")
		wantFiles(t, fsys, name, a, "three", b, "one, two")
	}
}

// TestLinkFollows: a symbolic link's second name is one of what it stands for.
func TestLinkFollows(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	put(t, vfs.OS{}, file, "text")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	kept, err := vfs.KeepAside(vfs.OS{}, link+".kept", []string{link})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, vfs.OS{}, "the file has gone", filepath.Join(kept, "link"), "text")
}

// noLinks fails every Link, as a file system does that has none.
func noLinks(s vfstest.Step) error {
	if s.Op == "link" {
		return syscall.EPERM
	}
	return nil
}

// keepAside keeps /d/a and /d/b, and wants them in a directory.
func keepAside(t *testing.T, fsys vfs.FS, want string) {
	t.Helper()
	dir, err := vfs.KeepAside(fsys, "/d/a.kept", []string{"/d/a", "/d/b"})
	if err != nil || dir != want {
		t.Fatalf("kept in %s (%v), want %s", dir, err, want)
	}
}

func TestKeepAside(t *testing.T) {
	for name, before := range map[string]func(vfstest.Step) error{"linked": nil, "copied": noLinks} {
		m := vfstest.NewMem()
		fsys := vfstest.NewTap(m, before)
		put(t, m, "/d/a", "first a", "/d/b", "first b")
		keepAside(t, fsys, "/d/a.kept")
		keepAside(t, fsys, "/d/a.kept") // once more is not once more
		put(t, m, "/d/a", "other a")    // of the same length
		keepAside(t, fsys, "/d/a.kept.2")
		put(t, m, "/d/b", "another b")
		keepAside(t, fsys, "/d/a.kept.3")
		if err := m.Remove("/d/a.kept.2/b"); err != nil {
			t.Fatal(err)
		}
		put(t, m, "/d/b", "first b")
		keepAside(t, fsys, "/d/a.kept.2") // what is missing is added
		wantFiles(t, m, name, "/d/a", "other a", "/d/a.kept/a", "first a", "/d/a.kept/b", "first b",
			"/d/a.kept.2/a", "other a", "/d/a.kept.2/b", "first b", "/d/a.kept.3/a", "other a",
			"/d/a.kept.3/b", "another b")
		if _, err := vfs.KeepAside(fsys, "/d/a.kept", []string{"/d/none"}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: of nothing: %v", name, err)
		}
	}
}

// keepCheck keeps files, replaces them, and says what was wrong with what a power cut leaves in between.
func keepCheck(t *testing.T, inject func(vfstest.Step) error, wrap func(vfs.FS) vfs.FS) (problem string) {
	t.Helper()
	m := vfstest.NewMem()
	put(t, m, "/d/a", "precious a", "/d/b", "precious b")
	look := func(when string, kept bool) {
		for _, o := range m.Outcomes(3) {
			after := m.Crash(o)
			for _, name := range []string{"a", "b"} {
				first, _ := after.ReadFile("/d/" + name)
				second, _ := after.ReadFile("/d/a.kept/" + name)
				found := string(second)
				if !kept {
					found = string(first)
				}
				if found != "precious "+name && problem == "" {
					problem = when + ", " + o.String() + ": " + name + " is lost"
				}
			}
		}
	}
	tap := vfstest.NewTap(m, func(s vfstest.Step) error {
		look("before "+s.String(), false)
		return inject(s)
	})
	_, err := vfs.KeepAside(wrap(tap), "/d/a.kept", []string{"/d/a", "/d/b"})
	look("at the end", err == nil)
	if err == nil {
		put(t, m, "/d/a", "new", "/d/b", "new")
		look("when they have been replaced", true)
	}
	return problem
}

// TestKeepAsideSurvivesPowerCuts: files are there under one name or the other whatever happens, and after an error
// under their first.
func TestKeepAsideSurvivesPowerCuts(t *testing.T) {
	for _, before := range []func(vfstest.Step) error{func(vfstest.Step) error { return nil }, noLinks} {
		if problem := keepCheck(t, before, same); problem != "" {
			t.Error(problem)
		}
		for n := range 20 {
			fails := vfstest.FailAt(n+1, nil, syscall.EIO)
			inject := func(s vfstest.Step) error { return errors.Join(before(s), fails(s)) }
			if problem := keepCheck(t, inject, same); problem != "" {
				t.Errorf("step %d fails: %s", n+1, problem)
			}
		}
	}
	full := func(s vfstest.Step) error { return errors.Join(noLinks(s), vfstest.Full(s)) }
	if problem := keepCheck(t, full, same); problem != "" {
		t.Errorf("a full disk: %s", problem)
	}
}

// TestFaultKeptWithoutDirectorySync shows that the one above notices.
func TestFaultKeptWithoutDirectorySync(t *testing.T) {
	works := func(vfstest.Step) error { return nil }
	problem := keepCheck(t, works, func(fsys vfs.FS) vfs.FS { return noSyncDir{fsys} })
	if problem == "" {
		t.Error("not noticed")
	}
	t.Log(problem)
}
