package vfs_test

import (
	"errors"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// atomicCheck writes a file over another one and says what was wrong with what a power cut leaves.
func atomicCheck(t *testing.T, inject func(vfstest.Step) error, wrap func(vfs.FS) vfs.FS) (problem string) {
	t.Helper()
	m := vfstest.NewMem()
	if err := vfs.WriteFileAtomic(m, "/f", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	look := func(when string, allowed ...string) {
		for _, o := range m.Outcomes(3) {
			got, err := m.Crash(o).ReadFile("/f")
			ok := false
			for _, text := range allowed {
				ok = ok || err == nil && string(got) == text
			}
			if !ok && problem == "" {
				problem = when + ", " + o.String() + ": found " + string(got)
			}
		}
	}
	tap := vfstest.NewTap(m, func(s vfstest.Step) error {
		look("before "+s.String(), "old", "newer")
		return inject(s)
	})
	if err := vfs.WriteFileAtomic(wrap(tap), "/f", []byte("newer"), 0o644); err == nil {
		look("at the end", "newer")
	} else {
		look("after an error", "old", "newer")
		if _, statErr := m.Stat("/f.tmp"); !errors.Is(err, syscall.EIO) || statErr == nil {
			t.Errorf("error %v; the temporary file is left: %v", err, statErr == nil)
		}
	}
	return problem
}

func same(fsys vfs.FS) vfs.FS { return fsys }

func TestWriteFileAtomicSurvivesPowerCuts(t *testing.T) {
	if problem := atomicCheck(t, func(vfstest.Step) error { return nil }, same); problem != "" {
		t.Error(problem)
	}
	for n := range 8 {
		if problem := atomicCheck(t, vfstest.FailAt(n+1, nil, syscall.EIO), same); problem != "" {
			t.Errorf("step %d fails: %s", n+1, problem)
		}
	}
}

type noSyncDir struct{ vfs.FS }

func (noSyncDir) SyncDir(string) error { return nil }

// TestFaultAtomicWithoutDirectorySync shows that the one above notices.
func TestFaultAtomicWithoutDirectorySync(t *testing.T) {
	works := func(vfstest.Step) error { return nil }
	problem := atomicCheck(t, works, func(fsys vfs.FS) vfs.FS { return noSyncDir{fsys} })
	if problem == "" {
		t.Error("not noticed")
	}
	t.Log(problem)
}
