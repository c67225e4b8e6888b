package vfs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fulmen/internal/need"
)

// TestForget: the system keeps nothing in memory of what it was told to forget, and the rest as it is.
func TestForget(t *testing.T) {
	const page = 1 << 16 // of any architecture's
	const size = 64 * page
	name := filepath.Join(diskDir(t), "file")
	f, err := OS{}.Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	// The system may just now look at pages, which keeps them, or be short of memory and take others as well.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		for i := int64(0); i < size; i += page { // as a writer does that is slow: no memory in one piece for all
			if _, err := f.WriteAt(content[i:i+page], i); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		before := resident(t, f, size)
		f.Forget(page, size/2)
		left := resident(t, f, size)
		if before == size && left <= size*3/4 && left >= size/2-page {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %d bytes %d were in memory, and %d when half was forgotten", size, before, left)
		}
	}
	if got := readFile(t, name); got != string(content) {
		t.Error("content has changed")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f.Forget(0, size) // closed: nothing happens
}

// ramfsMagic is the type of a ramfs, as statfs(2) has it.
const ramfsMagic = 0x858458f6

// diskDir returns a directory on a file system that isn't in memory, since such a one forgets nothing: the one for
// temporary files, else the package's own. It is removed after the test.
func diskDir(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{"", "."} {
		dir, err := os.MkdirTemp(parent, "fulmen-test-")
		if err != nil {
			continue // the next one may do
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		var stat unix.Statfs_t
		if err := unix.Statfs(dir, &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Type != unix.TMPFS_MAGIC && stat.Type != ramfsMagic {
			return dir
		}
	}
	need.Missing(t, "there is no file system on a disk for temporary files (TMPDIR may name one)")
	return ""
}

// resident says how many bytes of a file the system has in memory.
func resident(t *testing.T, f File, size int) (n int) {
	t.Helper()
	reader, err := OS{}.Open(f.(osFile).Name())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	fd := int(reader.(interface{ Fd() uintptr }).Fd())
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	pages := make([]byte, size/unix.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(size),
		uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		n += int(p&1) * unix.Getpagesize()
	}
	return n
}
