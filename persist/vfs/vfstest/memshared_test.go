package vfstest

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
)

func TestMemoryOutlivesProcessOnly(t *testing.T) {
	m := NewMem()
	must(t, m.MountMemory("/run/shm"))
	f := create(t, m, "/disk", "written")
	must(t, f.Close())
	s, err := m.CreateShared("/run/shm/ring", 4096)
	must(t, err)
	copy(s.Bytes()[100:], "stored")
	must(t, m.Rename("/run/shm/ring", "/run/shm/ring2"))
	if m.Pending() != 3 { // the two directories, and the file on the disk
		t.Errorf("%d changes of names are pending", m.Pending())
	}
	if _, err := m.OpenPrivate("/run/shm/ring2"); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("opened while it is used: %v", err)
	}

	killed := m.Kill()
	copy(s.Bytes()[100:], "after!")
	r, err := killed.OpenPrivate("/run/shm/ring2")
	must(t, err)
	var text [6]byte
	if _, err := r.ReadAt(text[:], 100); err != nil || string(text[:]) != "stored" {
		t.Errorf("after the process's end: %q, %v", text, err)
	}
	if _, err := killed.Lock("/run/shm/ring2"); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("locked while it is open: %v", err)
	}
	must(t, r.Close())
	if data, err := killed.ReadFile("/disk"); err != nil || string(data) != "written" {
		t.Errorf("after the process's end the disk has %q, %v", data, err)
	}
	again := killed.Kill()
	if data, err := again.ReadFile("/run/shm/ring2"); err != nil || string(data[100:106]) != "stored" {
		t.Errorf("after another process's end: %v", err)
	}

	for _, o := range m.Outcomes(3) {
		after := m.Crash(o)
		if names, err := after.ReadDir("/run/shm"); err == nil && len(names) > 0 {
			t.Errorf("%v: after a power cut memory has %q", o, names)
		}
	}
	after := again.Crash(Outcome{Content: Kept, Names: Kept})
	if names, err := after.ReadDir("/run/shm"); err != nil || len(names) > 0 {
		t.Errorf("after a power cut memory has %q, %v", names, err)
	}
	if _, err := after.CreateShared("/run/shm/ring", 1); err != nil {
		t.Errorf("the next start: %v", err)
	}
}

func TestSharedErrors(t *testing.T) {
	m := NewMem()
	must(t, m.MountMemory("/shm"))
	must(t, m.MkdirAll("/shm/sub", 0o755))
	_, err := m.CreateShared("/shm/sub/ring", 1)
	must(t, err)
	create(t, m, "/file", "text")
	create(t, m, "/shm/open", "text")
	for what, got := range map[string]error{
		"not in memory":   second(m.CreateShared("/ring", 1)),
		"exists":          second(m.CreateShared("/shm/sub/ring", 1)),
		"no directory":    second(m.CreateShared("/none/ring", 1)),
		"not private":     second(m.OpenPrivate("/shm/open")),
		"none":            second(m.OpenPrivate("/shm/none")),
		"moved to disk":   m.Rename("/shm/open", "/open"),
		"moved to memory": m.Rename("/file", "/shm/file"),
		"mounted on":      m.MountMemory("/"),
	} {
		want := map[string]error{
			"not in memory": vfs.ErrNotMemory, "exists": fs.ErrExist, "no directory": fs.ErrNotExist,
			"not private": vfs.ErrNotPrivate, "none": fs.ErrNotExist, "moved to disk": syscall.EXDEV,
			"moved to memory": syscall.EXDEV, "mounted on": syscall.ENOTEMPTY,
		}[what]
		if !errors.Is(got, want) {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTapShowsShared(t *testing.T) {
	m := NewMem()
	must(t, m.MountMemory("/shm"))
	var steps []string
	var changes int
	fail := false
	tap := NewTap(m, func(s Step) error {
		steps = append(steps, s.String())
		if s.Changes() {
			changes++
		}
		if fail {
			return syscall.EIO
		}
		return nil
	})
	s, err := tap.CreateShared("/shm/ring", 8)
	must(t, err)
	must(t, s.Close())
	r, err := tap.OpenPrivate("/shm/ring")
	must(t, err)
	_, err = r.ReadAt(make([]byte, 8), 0)
	must(t, err)
	must(t, r.Close())
	fail = true
	if second(tap.CreateShared("/shm/b", 8)) == nil || second(tap.OpenPrivate("/shm/ring")) == nil {
		t.Error("no error where one was injected")
	}
	want := []string{"createshared ring", "openprivate ring", "readat ring", "createshared b", "openprivate ring"}
	if !slices.Equal(steps, want) || changes != 2 {
		t.Errorf("steps %q, %d of them change something", steps, changes)
	}
	if err := Full(Step{Op: "createshared"}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full memory: %v", err)
	}
}
