package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
)

func createShared(t *testing.T, name string, sizeBytes int64) Shared {
	t.Helper()
	s, err := OS{}.CreateShared(name, sizeBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestShared(t *testing.T) {
	name := filepath.Join(need.MemoryDir(t), "ring")
	s := createShared(t, name, 3<<20)
	mem := s.Bytes()
	if len(mem) != 3<<20 {
		t.Fatalf("%d bytes", len(mem))
	}
	for i, b := range mem {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
	copy(mem[1<<20:], "stored")
	if data := readFile(t, name); len(data) != 3<<20 || data[1<<20:1<<20+6] != "stored" {
		t.Fatal("what was stored is not in the file")
	}
	if _, err := (OS{}).CreateShared(name, 4096); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one of the name: %v", err)
	}
	if _, err := (OS{}).OpenPrivate(name); !errors.Is(err, ErrLocked) {
		t.Errorf("opened while it is used: %v", err)
	}
	if _, err := (OS{}).Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("locked while it is used: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OS{}.OpenPrivate(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (OS{}).OpenPrivate(name); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	data, err := io.ReadAll(r)
	if err != nil || string(data[1<<20:1<<20+6]) != "stored" {
		t.Errorf("read back: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (OS{}).OpenPrivate(name + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// TestSharedPermissions has masks that take away too much, and too little.
func TestSharedPermissions(t *testing.T) {
	dir := need.MemoryDir(t)
	for _, mask := range []int{0, 0o22, 0o777} {
		name := filepath.Join(dir, "ring")
		old := syscall.Umask(mask)
		s, err := OS{}.CreateShared(name, 4096)
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", mask, err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("umask %o: permissions %v, %v", mask, info.Mode(), err)
		}
		s.Close()
		os.Remove(name)
	}
}

// TestSharedAmongOthers is about a directory that others can write to, as /dev/shm is.
func TestSharedAmongOthers(t *testing.T) {
	dir := need.MemoryDir(t)
	name := filepath.Join(dir, "ring")
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, plant := range map[string]func() error{
		"a symbolic link":         func() error { return os.Symlink(target, name) },
		"a symbolic link nowhere": func() error { return os.Symlink(target+"x", name) },
		"a pipe":                  func() error { return syscall.Mkfifo(name, 0o600) },
		"a directory":             func() error { return os.Mkdir(name, 0o700) },
		"a file for all": func() error {
			err := os.WriteFile(name, []byte("theirs"), 0o600)
			return errors.Join(err, os.Chmod(name, 0o604))
		},
		"a file for a group": func() error {
			err := os.WriteFile(name, []byte("theirs"), 0o600)
			return errors.Join(err, os.Chmod(name, 0o620))
		},
		"another user's file": func() error {
			if os.Geteuid() != 0 {
				return os.Symlink(target, name) // only root can give a file away
			}
			return errors.Join(os.WriteFile(name, []byte("theirs"), 0o600), os.Chown(name, 65534, 65534))
		},
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if _, err := (OS{}).CreateShared(name, 4096); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s in its place: %v", what, err)
		}
		if _, err := (OS{}).OpenPrivate(name); !errors.Is(err, ErrNotPrivate) && !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s was opened: %v", what, err)
		}
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, target); got != "precious" {
		t.Errorf("the link's target has %q", got)
	}
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o777 | fs.ModeSticky} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		s, err := OS{}.CreateShared(name, 4096)
		if mode&fs.ModeSticky == 0 != errors.Is(err, ErrNotPrivate) {
			t.Errorf("in a directory of mode %v: %v", mode, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestSharedWithoutRoom asks for what there is not.
func TestSharedWithoutRoom(t *testing.T) {
	name := filepath.Join(need.MemoryDir(t), "ring")
	for _, size := range []int64{0, -1, 1 << 45} {
		if _, err := (OS{}).CreateShared(name, size); err == nil {
			t.Errorf("%d bytes are no error", size)
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes leave a file: %v", size, err)
		}
	}
}

// TestSharedOnDisk wants a file system in memory.
func TestSharedOnDisk(t *testing.T) {
	dir, err := os.MkdirTemp(".", "shared-test-") // the sources are on a disk, more likely than the temporary files
	if err != nil {
		need.Missing(t, "nothing can be written beside the sources: %v", err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "ring")
	s, err := OS{}.CreateShared(name, 4096)
	if err == nil {
		s.Close()
		need.Missing(t, "the sources are on a file system in memory")
	}
	if !errors.Is(err, ErrNotMemory) {
		t.Errorf("on a disk: %v", err)
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
	if _, err := (OS{}).CreateShared(filepath.Join(dir, "none", "ring"), 4096); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}

// TestSharedOfDeadProcess has a child store something and be killed.
func TestSharedOfDeadProcess(t *testing.T) {
	const env = "FULMEN_TEST_SHARED"
	if name := os.Getenv(env); name != "" {
		s := createShared(t, name, 8192)
		copy(s.Bytes()[4096:], "last words")
		os.Stdout.WriteString("!")
		for {
			time.Sleep(time.Hour) // the runtime ends a process in which all sleep for ever
		}
	}
	name := filepath.Join(need.MemoryDir(t), "ring")
	cmd := exec.Command(os.Args[0], "-test.run=^TestSharedOfDeadProcess$")
	cmd.Env = append(os.Environ(), env+"="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := (OS{}).OpenPrivate(name); !errors.Is(err, ErrLocked) {
		t.Errorf("the child lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended well")
	}
	r, err := OS{}.OpenPrivate(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	words := make([]byte, 10)
	if _, err := r.ReadAt(words, 4096); err != nil || string(words) != "last words" {
		t.Errorf("%q, %v", words, err)
	}
}
