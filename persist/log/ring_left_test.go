package log

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

// leftFS is the system with another namespace of processes, or another list of locks.
type leftFS struct {
	vfs.FS
	namespace uint64 // 0: the process's own
	locks     func(text string) string
	opened    []string
}

func (f *leftFS) ReadFile(name string) ([]byte, error) {
	data, err := f.FS.ReadFile(name)
	if name == procLocks && f.locks != nil {
		data = []byte(f.locks(string(data)))
	}
	return data, err
}

func (f *leftFS) Stat(name string) (fs.FileInfo, error) {
	info, err := f.FS.Stat(name)
	if name == procPidSpace && f.namespace != 0 && err == nil {
		stat := *info.Sys().(*syscall.Stat_t)
		stat.Ino = f.namespace
		return namespaceInfo{info, &stat}, nil
	}
	return info, err
}

func (f *leftFS) OpenPrivate(name string) (vfs.Reader, error) {
	f.opened = append(f.opened, name) // it locks
	return f.FS.OpenPrivate(name)
}

func (f *leftFS) Lock(name string) (io.Closer, error) {
	f.opened = append(f.opened, name)
	return f.FS.Lock(name)
}

type namespaceInfo struct {
	fs.FileInfo
	stat *syscall.Stat_t
}

func (i namespaceInfo) Sys() any { return i.stat }

// leftWorld is some rings in a directory: of a server that lives, and of one that was killed.
type leftWorld struct {
	t                   *testing.T
	dir, mine           string
	living, dead, older string // names of rings; older doesn't say whose it is
	deadDir             string
}

func newLeftWorld(t *testing.T) *leftWorld {
	t.Helper()
	w := &leftWorld{t: t, dir: need.MemoryDir(t), mine: t.TempDir(), deadDir: t.TempDir()}
	lock, err := vfs.OS{}.Lock(w.mine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	})
	living := w.ring(1, NewRingOwner(vfs.OS{}, t.TempDir()))
	t.Cleanup(func() {
		if err := living.Close(); err != nil {
			t.Error(err)
		}
	})
	w.living = living.Name()
	w.dead = w.kill(w.ring(2, NewRingOwner(vfs.OS{}, w.deadDir)))
	w.older = w.kill(w.ring(3, RingOwner{}))
	return w
}

// ring makes a ring of a directory.
func (w *leftWorld) ring(dirID uint64, owner RingOwner) *Ring {
	w.t.Helper()
	id := ringIdentity(1)
	id.DirID = dirID
	r, err := CreateRing(RingOptions{FS: vfs.OS{}, Dir: w.dir, Identity: id, Owner: owner})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// kill leaves a ring as the end of its process does.
func (w *leftWorld) kill(r *Ring) string {
	w.t.Helper()
	if err := r.shared.Close(); err != nil {
		w.t.Fatal(err)
	}
	return r.Name()
}

// want compares what is found.
func (w *leftWorld) want(what string, fsys *leftFS, unclear int, names ...string) {
	w.t.Helper()
	left, n, err := LeftRings(fsys, w.dir, w.mine)
	var got []string
	for _, r := range left {
		got = append(got, r.Name)
	}
	if err != nil || n != unclear || !slices.Equal(got, names) {
		w.t.Errorf("%s: %q, %d unclear, %v; want %q, %d", what, got, n, err, names, unclear)
	}
	if len(fsys.opened) > 0 {
		w.t.Errorf("%s: locks were tried: %q", what, fsys.opened)
	}
}

// TestLeftRings: rings of no living server are found, and no lock is tried for that; what can't be told is not called
// left. Nothing is removed.
func TestLeftRings(t *testing.T) {
	const here, elsewhere = 77, 78
	w := newLeftWorld(t)
	first := uint64(initialPIDNamespace)
	w.want("all is listed", &leftFS{FS: vfs.OS{}, namespace: first}, 0, w.dead, w.older)
	left, _, err := LeftRings(&leftFS{FS: vfs.OS{}, namespace: first}, w.dir, w.mine)
	if err != nil || len(left) != 2 || left[0].Owner.Dir != w.deadDir || left[0].SizeBytes < 2<<20 ||
		left[1].Owner != (RingOwner{}) {
		t.Errorf("found %+v, %v", left, err)
	}
	if ns, err := pidNamespace(vfs.OS{}); err != nil {
		t.Fatal(err)
	} else if ns != first {
		w.want("in a namespace", &leftFS{FS: vfs.OS{}}, 1, w.dead)
	}
	w.want("another namespace than that of the rings", &leftFS{FS: vfs.OS{}, namespace: elsewhere}, 2)
	mine := w.kill(w.ring(4, RingOwner{Dir: "/none", Namespace: here}))
	w.want("in a namespace", &leftFS{FS: vfs.OS{}, namespace: here}, 2, mine)
	none := func(string) string { return "" }
	w.want("no locks are listed", &leftFS{FS: vfs.OS{}, namespace: first, locks: none}, 4)
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}

	lock, err := vfs.OS{}.Lock(w.deadDir)
	if err != nil {
		t.Fatal(err)
	}
	w.want("its server is being started", &leftFS{FS: vfs.OS{}, namespace: first}, 0, w.older)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	reader, err := vfs.OS{}.OpenPrivate(w.older)
	if err != nil {
		t.Fatal(err)
	}
	w.want("one is being read", &leftFS{FS: vfs.OS{}, namespace: first}, 0, w.dead)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}

	half, err := vfs.OS{}.CreateShared(w.dir+"/fulmen-half.ring", 1<<20) // its maker has not come to the header
	if err == nil {
		err = errors.Join(half.Close(), os.WriteFile(w.dir+"/fulmen-x.ring", []byte("FULMRING"), 0o600),
			os.Mkdir(w.dir+"/fulmen-y.ring", 0o700), os.Symlink("nowhere", w.dir+"/fulmen-z.ring"))
	}
	if err != nil {
		t.Fatal(err)
	}
	w.want("beside what is no ring", &leftFS{FS: vfs.OS{}, namespace: first}, 0, w.dead, w.older)
	for _, name := range []string{w.living, w.dead, w.older} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := LeftRings(&leftFS{FS: vfs.OS{}, locks: func(string) string {
		return "1: FLOCK  ADVISORY  WRITE 708 00:xx:6 0 EOF\n"
	}}, w.dir, w.mine); err == nil || !strings.Contains(err.Error(), "00:xx:6") {
		t.Errorf("a line that can't be read: %v", err)
	}
}

// TestLeftRingsElsewhere: where a system has no numbers of files nothing is said.
func TestLeftRingsElsewhere(t *testing.T) {
	m, _ := memRing(t, 1, 0)
	if _, _, err := LeftRings(m, "/shm", "/"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if left, unclear, err := LeftRings(vfstest.NewMem(), "/none", "/"); len(left)+unclear != 0 || err != nil {
		t.Errorf("without a directory: %v, %d, %v", left, unclear, err)
	}
}

// TestRingOwner: who has made a ring is no part of what recovery wants of it, and not in the way of that.
func TestRingOwner(t *testing.T) {
	long := "/" + strings.Repeat("x", maxOwnerDir-1)
	for _, owner := range []RingOwner{{}, {"/data/a dir/appendonlydir", 7}, {long, 1 << 63}, {long + "x", 7}} {
		m := vfstest.NewMem()
		if err := m.MountMemory("/shm"); err != nil {
			t.Fatal(err)
		}
		id := ringIdentity(2)
		r, err := CreateRing(RingOptions{FS: m, Dir: "/shm", Identity: id, Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		left := m.Kill()
		if _, err := ReadRing(left, r.Name(), id); err != nil {
			t.Error(err)
		}
		header, ok := ringHeader(left, r.Name(), r.SizeBytes())
		if len(owner.Dir) > maxOwnerDir {
			owner = RingOwner{}
		}
		if !ok || ownerOf(header) != owner {
			t.Errorf("%+v, want %+v", ownerOf(header), owner)
		}
		for i := offOwnerSum; i < offOwnerDir+len(owner.Dir) && owner.Dir != ""; i++ {
			if header[i] ^= 4; ownerOf(header) != (RingOwner{}) {
				t.Errorf("byte %d was changed, and it says %+v", i, ownerOf(header))
			}
			header[i] ^= 4
		}
	}
}
