package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
)

// TestSyncers syncs more files than a Syncer takes at a time, one of them closed.
func TestSyncers(t *testing.T) {
	system := OS{}.NewSyncer()
	for name, s := range map[string]Syncer{"system": system, "threads": threads{}, "one by one": OneByOne{}} {
		dir := t.TempDir()
		files := make([]File, 150)
		for i := range files {
			f, err := OS{}.Create(filepath.Join(dir, fmt.Sprint(i)), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("content"), 3); err != nil {
				t.Fatal(err)
			}
			files[i] = f
		}
		const closed = 70
		if err := files[closed].Close(); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 8, len(files)} {
			errs := make([]error, n)
			for i := range errs {
				errs[i] = errors.New("never set")
			}
			s.SyncData(files[:n], errs)
			for i, err := range errs {
				if i == closed && !errors.Is(err, fs.ErrClosed) || i != closed && err != nil {
					t.Errorf("%s: file %d of %d: %v", name, i, n, err)
				}
			}
		}
		n := testing.AllocsPerRun(5, func() { s.SyncData(files[:8], make([]error, 8)) })
		if name == "system" && n > 1 && !underRace {
			t.Errorf("%s: %v allocations", name, n)
		}
		for i, f := range files {
			if got := readFile(t, filepath.Join(dir, fmt.Sprint(i))); got != "\x00\x00\x00content" {
				t.Errorf("content %q", got)
			}
			if i != closed {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := system.(threads); ok {
		t.Log("no asynchronous I/O here")
	}
}

// TestSyncerReportsErrors syncs what has no fdatasync.
func TestSyncerReportsErrors(t *testing.T) {
	f, err := OS{}.OpenWrite("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	s := OS{}.NewSyncer()
	errs := []error{nil}
	s.SyncData([]File{f}, errs)
	var path *fs.PathError
	if !errors.As(errs[0], &path) || path.Path != "/dev/null" {
		t.Errorf("fdatasync of /dev/null: %v", errs[0])
	}
	if err := errors.Join(f.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
