package vfstest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fulmen/persist/vfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fsys vfs.FS, name, text string) vfs.File {
	t.Helper()
	f, err := fsys.Create(name, 0o644)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	return f
}

// tree gives every file as "name=content", in order.
func tree(t *testing.T, m *Mem) string {
	t.Helper()
	var all []string
	var visit func(n *node, at string)
	visit = func(n *node, at string) {
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			entry := n.entries[name]
			if entry.dir {
				all = append(all, at+name+"/")
				visit(entry, at+name+"/")
			} else {
				all = append(all, at+name+"="+string(entry.data))
			}
		}
	}
	visit(m.root, "")
	return strings.Join(all, " ")
}

// states gives all the trees that a power cut may leave, each once, in order.
func states(t *testing.T, m *Mem) []string {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range m.Outcomes(40) {
		seen[tree(t, m.Crash(o))] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func wantStates(t *testing.T, m *Mem, want ...string) {
	t.Helper()
	if got := states(t, m); !slices.Equal(got, want) {
		t.Errorf("a power cut leaves\n%q, want\n%q", got, want)
	}
}

func TestCrashOfNames(t *testing.T) {
	m := NewMem()
	a := create(t, m, "/a", "x")
	must(t, a.Sync())
	wantStates(t, m, "", "a=x")
	must(t, m.SyncDir("/"))
	wantStates(t, m, "a=x")
	must(t, m.Rename("/a", "/b"))
	wantStates(t, m, "a=x", "b=x")
	must(t, m.Remove("/b"))
	wantStates(t, m, "", "a=x", "b=x")
	c := create(t, m, "/c", "y")
	must(t, c.Sync())
	wantStates(t, m, "", "a=x", "a=x c=y", "b=x", "b=x c=y", "c=y")
	must(t, m.SyncDir("/"))
	wantStates(t, m, "c=y")
}

func TestCrashOfRenameOver(t *testing.T) {
	m := NewMem()
	must(t, errors.Join(create(t, m, "/a", "old").Sync(), m.SyncDir("/")))
	f := create(t, m, "/a.tmp", "newer")
	must(t, m.Rename("/a.tmp", "/a"))
	got := states(t, m)
	for _, want := range []string{"a=old", "a=", "a=newer", "a=old a.tmp=", "a=old a.tmp=newer"} {
		if !slices.Contains(got, want) {
			t.Errorf("a power cut never leaves %q: %q", want, got)
		}
	}
	must(t, f.Sync())
	wantStates(t, m, "a=newer", "a=old", "a=old a.tmp=newer")
	must(t, m.SyncDir("/"))
	wantStates(t, m, "a=newer")
}

func TestCrashOfDirectories(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d/e", 0o755))
	must(t, create(t, m, "/d/e/f", "x").Sync())
	must(t, m.SyncDir("/d/e"))
	if got := states(t, m); slices.Contains(got, "d/") == false || !slices.Contains(got, "") {
		t.Errorf("a directory lasts although its parent was not synced: %q", got)
	}
	must(t, errors.Join(m.SyncDir("/d"), m.SyncDir("/")))
	wantStates(t, m, "d/ d/e/ d/e/f=x")
	must(t, m.Rename("/d/e/f", "/g"))
	wantStates(t, m, "d/ d/e/ d/e/f=x", "d/ d/e/ g=x")
	must(t, m.SyncDir("/"))
	wantStates(t, m, "d/ d/e/ g=x")
}

func TestCrashOfContent(t *testing.T) {
	m := NewMem()
	old := strings.Repeat("o", 3*sectorBytes)
	f := create(t, m, "/a", old)
	must(t, errors.Join(f.Sync(), m.SyncDir("/")))
	_, err := f.Write([]byte(strings.Repeat("n", 2*sectorBytes+10)))
	must(t, err)
	lengths, holes := map[int]bool{}, false
	for _, s := range states(t, m) {
		text := strings.TrimPrefix(s, "a=")
		lengths[len(text)] = true
		if !strings.HasPrefix(text, old) {
			t.Fatalf("synced bytes are lost: %.20q", text)
		}
		holes = holes || strings.Contains(text, "\x00n")
	}
	if !lengths[3*sectorBytes] || !lengths[5*sectorBytes+10] || len(lengths) < 4 || !holes {
		t.Errorf("lengths %v, holes %v", lengths, holes)
	}
	must(t, f.Sync())
	must(t, f.Truncate(5))
	_, err = f.Write([]byte("z"))
	must(t, err)
	if got := tree(t, m.Crash(Outcome{})); got != "a="+old+strings.Repeat("n", 2*sectorBytes+10) {
		t.Errorf("a cut that is lost leaves %q", got)
	}
	must(t, f.Truncate(5))
	wantLast := "a=ooooo"
	if got := tree(t, m.Crash(Outcome{Content: Kept})); got != wantLast {
		t.Errorf("a cut that is kept leaves %q", got)
	}
	must(t, f.Sync())
	wantStates(t, m, wantLast)
}

// TestCrashRandomly compares drawn crashes with the rules, over files changed at random.
func TestCrashRandomly(t *testing.T) {
	for seed := range uint64(200) {
		d := &draw{fate: Drawn, random: newRandom(seed)}
		c := content{}
		synced := []byte(nil)
		versions := map[byte]bool{0: true} // every byte that a sector has held since
		for step := range 12 {
			mark := byte('a' + step)
			switch d.random.IntN(4) {
			case 0:
				c.sync()
				synced = slices.Clone(c.data)
			case 1:
				c.truncate(d.random.IntN(3000))
			default:
				at := d.random.IntN(len(c.data) + 1)
				c.writeAt(slices.Repeat([]byte{mark}, 1+d.random.IntN(1500)), at)
				versions[mark] = true
			}
			got := c.crashed(d)
			for i, b := range got.data {
				if !versions[b] {
					t.Fatalf("seed %d step %d: byte %d is %q", seed, step, i, b)
				}
				if _, touched := c.old[i/sectorBytes]; !touched && b != c.data[i] {
					t.Fatalf("seed %d step %d: byte %d of a sector that was not written changes", seed, step, i)
				}
			}
			if lost := c.crashed(&draw{fate: Lost}); string(lost.data) != string(synced) {
				t.Fatalf("seed %d step %d: all lost gives %d bytes, not the %d synced",
					seed, step, len(lost.data), len(synced))
			}
			if kept := c.crashed(&draw{fate: Kept}); string(kept.data) != string(c.data) {
				t.Fatalf("seed %d step %d: all kept is not what was there", seed, step)
			}
		}
	}
}

func TestFailedSyncDropsContent(t *testing.T) {
	m := NewMem()
	syncs := func(s Step) bool { return s.Op == "sync" }
	tap := NewTap(m, FailAt(1, syncs, syscall.EIO))
	f := create(t, tap, "/a", "x")
	must(t, tap.SyncDir("/"))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	must(t, f.Sync())
	if got := tree(t, m.Crash(Outcome{})); got != "a=\x00" {
		t.Errorf("a second sync saved what the first one had dropped: %q", got)
	}
	must(t, f.Truncate(0))
	_, err := f.Write([]byte("xy"))
	must(t, errors.Join(err, f.Sync()))
	if got := tree(t, m.Crash(Outcome{})); got != "a=\x00xy" {
		t.Errorf("written again and synced: %q", got)
	}
}

func TestTap(t *testing.T) {
	var calls []string
	m := NewMem()
	tap := NewTap(m, func(s Step) error {
		calls = append(calls, fmt.Sprint(s.N, " ", s))
		if s.Op == "write" && s.Len > 3 {
			return &ShortWrite{Len: 3, Err: syscall.ENOSPC}
		}
		return nil
	})
	must(t, vfs.WriteFileAtomic(tap, "/d", []byte("abc"), 0o600))
	want := []string{"1 create d.tmp", "2 write d.tmp", "3 sync d.tmp", "4 close d.tmp", "5 stat d",
		"6 rename d.tmp d", "7 syncdir"}
	if !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	f, err := tap.Create("/e", 0o600)
	must(t, err)
	n, err := f.Write([]byte("abcd"))
	if n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if got := tree(t, m); got != "d=abc e=abc" {
		t.Errorf("files %q", got)
	}
	from := NewTap(NewMem(), FailFrom(2, nil, syscall.EIO))
	_, err = from.Create("/a", 0o600)
	must(t, err)
	for range 2 {
		if _, err := from.Create("/b", 0o600); !errors.Is(err, syscall.EIO) {
			t.Errorf("from the second on: %v", err)
		}
	}
	if _, err := from.ReadDir("/"); err != nil {
		t.Errorf("a call that only looks fails: %v", err)
	}
}

func TestMemErrors(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d", 0o755))
	create(t, m, "/d/f", "")
	for name, test := range map[string]struct {
		got, want error
	}{
		"missing":          {func() error { _, err := m.Open("/x"); return err }(), fs.ErrNotExist},
		"missing parent":   {func() error { _, err := m.Create("/x/y", 0); return err }(), fs.ErrNotExist},
		"a file as parent": {func() error { _, err := m.Create("/d/f/y", 0); return err }(), syscall.ENOTDIR},
		"a directory":      {func() error { _, err := m.OpenAppend("/d", 0); return err }(), syscall.EISDIR},
		"not empty":        {m.Remove("/d"), syscall.ENOTEMPTY},
		"rename missing":   {m.Rename("/x", "/y"), fs.ErrNotExist},
		"rename over dir":  {m.Rename("/d/f", "/d"), syscall.EISDIR},
		"syncdir of file":  {m.SyncDir("/d/f"), syscall.ENOTDIR},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
	lock, err := m.Lock("/d")
	must(t, err)
	if _, err := m.Lock("/d"); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if _, err := m.Crash(Outcome{Names: Kept}).Lock("/d"); err != nil {
		t.Errorf("a lock outlives a power cut: %v", err)
	}
	must(t, lock.Close())
	_, err = m.Lock("/d")
	must(t, err)
}
