package log

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"fulmen/internal/invariant"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

func TestCreateRing(t *testing.T) {
	m, r := memRing(t, 3, 0)
	if got := r.SizeBytes(); got < 6<<20 || got > 7<<20 {
		t.Errorf("the least ring of 3 shards has %d bytes, not six blocks", got)
	}
	options := RingOptions{FS: m, Dir: "/shm", SizeBytes: 9<<20 + 5, Identity: ringIdentity(3)}
	if _, err := CreateRing(options); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("in place of one in use: %v", err)
	}
	// The next life, after that one was killed.
	left := m.Kill()
	options.FS = left
	options.Identity.Incarnation++
	again, err := CreateRing(options)
	if err != nil {
		t.Fatal(err)
	}
	if again.idleBlocks() != 9 {
		t.Errorf("%d blocks in 9 MB", again.idleBlocks())
	}
	if _, err := ReadRing(left.Kill(), again.Name(), options.Identity); err != nil {
		t.Errorf("the new ring: %v", err)
	}
	if err := errors.Join(again.Close(), again.Close()); err != nil {
		t.Error(err)
	}
	if names, err := left.ReadDir("/shm"); err != nil || len(names) > 0 {
		t.Errorf("after a clean stop there is %q, %v", names, err)
	}
	for what, o := range map[string]struct {
		fs     vfs.FS
		dir    string
		shards int
		want   error
	}{
		"on a disk":          {left, "/", 1, vfs.ErrNotMemory},
		"in no directory":    {left, "/none", 1, syscall.ENOENT},
		"for no shard":       {left, "/shm", 0, nil},
		"for too many":       {left, "/shm", MaxShards + 1, nil},
		"without room":       {vfstest.NewTap(left, vfstest.Full), "/shm", 1, syscall.ENOSPC},
		"over another's":     {foreign(t, left.Kill()), "/shm", 1, vfs.ErrNotPrivate},
		"that can't go away": {stuck(m), "/shm", 3, syscall.EPERM},
	} {
		r, err := CreateRing(RingOptions{FS: o.fs, Dir: o.dir, Identity: ringIdentity(o.shards)})
		if err == nil || r != nil || o.want != nil && !errors.Is(err, o.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// foreign puts a file that others may read in the place of the ring's.
func foreign(t *testing.T, m *vfstest.Mem) vfs.FS {
	f, err := m.Create(RingName("/shm", testDirID), 0o644)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stuck has a ring of an earlier life that can't be removed.
func stuck(m *vfstest.Mem) vfs.FS {
	return vfstest.NewTap(m.Kill(), func(s vfstest.Step) error {
		if s.Op == "remove" {
			return syscall.EPERM
		}
		return nil
	})
}

// TestReadRingErrors injects an error at every step of reading.
func TestReadRingErrors(t *testing.T) {
	m, r := memRing(t, 2, 4)
	rl := newRingLog(t, r, 2)
	rl.Shard(1).Stage(0, setName, benchKey, make([]byte, 2*blockBytes))
	rl.Shard(1).Commit(false)
	left := m.Kill()
	tap := vfstest.NewTap(left, nil)
	if _, err := ReadRing(tap, r.Name(), ringIdentity(2)); err != nil {
		t.Fatal(err)
	}
	steps := tap.Steps()
	if steps < 5 {
		t.Fatalf("%d steps", steps)
	}
	for n := range steps {
		any := func(vfstest.Step) bool { return true }
		tap := vfstest.NewTap(left, vfstest.FailAt(n+1, any, syscall.EIO))
		if c, err := ReadRing(tap, r.Name(), ringIdentity(2)); !errors.Is(err, syscall.EIO) || c != nil {
			t.Errorf("step %d fails: %v", n+1, err)
		}
	}
	if _, err := ReadRing(left, r.Name(), ringIdentity(2)); err != nil {
		t.Errorf("after errors, unlocked again: %v", err)
	}
}

func TestBootID(t *testing.T) {
	const dir = "/proc/sys/kernel/random"
	for text, ok := range map[string]bool{
		"0123abcd-4567-89ab-cdef-0123456789ab\n":  true,
		"0123abcd-4567-89ab-cdef-0123456789a\n":   false,
		"0123abcd-4567-89ab-cdef-0123456789ab1\n": false,
		"0123abcd-4567-89ab-cdef-0123456789ag\n":  false,
		"":                                        false,
	} {
		m := vfstest.NewMem()
		if _, err := BootID(m); !errors.Is(err, syscall.ENOENT) {
			t.Fatalf("no file: %v", err)
		}
		if err := m.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(m, dir+"/boot_id", []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
		id, err := BootID(m)
		want := [16]byte{0x01, 0x23, 0xab, 0xcd, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab}
		if ok != (err == nil) || ok && id != want {
			t.Errorf("%q: %x, %v", text, id, err)
		}
	}
}

func TestRingAllocatesNothing(t *testing.T) {
	if invariant.Enabled {
		t.Skip("with invariants each frame is read again, which allocates")
	}
	_, r := memRing(t, 1, 8)
	l := New(1, Limits{MemoryBytes: 64 << 20})
	l.SetIncarnation(7)
	l.UseRing(r)
	h := l.Attach()
	defer h.Close()
	h.Unpin()
	s := l.Shard(0)
	value := bytes.Repeat([]byte("v"), 100_000)
	if n := testing.AllocsPerRun(200, func() {
		s.Stage(0, setName, benchKey, value)
		s.Commit(false)
		if !l.AllSafe() || l.SafeLSN() != l.LSN() {
			t.Fatal("beside the ring")
		}
	}); n > 0 {
		t.Errorf("%v allocations a commit", n)
	}
}
