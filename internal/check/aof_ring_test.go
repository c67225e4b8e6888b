package check

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// killed is an append-only file of which the server that was killed has left the newest part in memory only.
type killed struct {
	*aofWorld
	files         map[string][]byte // of the directory
	ringData      []byte
	ringName      string
	filed, middle uint64 // the LSN that the files have come to, and one in the ring
	whileRunning  string // what verify has said then
}

func newKilled(t *testing.T) *killed {
	rnd := rand.New(rand.NewPCG(8, 1))
	k := &killed{aofWorld: newAOFWorld(t, 3), files: map[string][]byte{}}
	k.ringDir = need.MemoryDir(t)
	k.change(rnd, 10)
	k.restart()
	k.change(rnd, 10)
	k.filed = k.log.LSN()
	for end := time.Now().Add(3 * time.Minute); k.w.SyncedLSN() < k.filed; {
		if time.Now().After(end) {
			t.Fatal("the files don't come to the end of the log")
		}
		time.Sleep(time.Millisecond) // between two looks
	}
	names, err := os.ReadDir(k.dir)
	fatal(t, err)
	for _, name := range names {
		k.files[name.Name()], err = os.ReadFile(filepath.Join(k.dir, name.Name()))
		fatal(t, err)
	}
	k.whileRunning = expect(t, 0, nil, "verify", k.dir)
	k.change(rnd, 10)
	k.middle = k.log.LSN()
	k.change(rnd, 10)
	k.ringName = k.ring.Name()
	k.ringData, err = os.ReadFile(k.ringName)
	fatal(t, err)
	k.close(false)
	fatal(t, k.ring.Close())
	return k
}

// again puts everything as it was when the server was killed.
func (k *killed) again() {
	k.t.Helper()
	k.dir = k.t.TempDir()
	for name, data := range k.files {
		writeFile(k.t, filepath.Join(k.dir, name), data)
	}
	writeFile(k.t, k.ringName, k.ringData)
	fatal(k.t, os.Chmod(k.ringName, 0o600))
}

// want wants the data to end at an LSN, in a file that Redis loads, too.
func (k *killed) want(when string, lsn uint64) {
	k.t.Helper()
	if got := k.end(0); got != lsn {
		k.t.Errorf("%s: the data ends at LSN %d, want %d", when, got, lsn)
	}
	if got := k.converted(); got != k.digests[lsn] {
		k.t.Errorf("%s: digest %s, want %s", when, got, k.digests[lsn])
	}
}

// TestAOFRing: what is in memory only is verified, shown and converted as if the next start had written it to the
// files, and nothing is written. What changes the files begins with it, and it never comes back.
func TestAOFRing(t *testing.T) {
	k := newKilled(t)
	if !strings.Contains(k.whileRunning, "the server is running") {
		t.Errorf("a server is running, and verify says\n%s", k.whileRunning)
	}
	k.again()
	k.want("killed", k.log.LSN())
	expect(t, 0, []string{"bytes in memory that no file has"}, "verify", k.dir)
	expect(t, 0, []string{"still in memory", "running"}, "show", k.dir)
	for name, data := range k.files {
		if now, err := os.ReadFile(filepath.Join(k.dir, name)); err != nil || !bytes.Equal(now, data) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	fatal(t, os.Remove(k.ringName))
	k.want("the power was cut", k.filed)

	k.again()
	expect(t, 0, []string{fmt.Sprintf("ends at LSN %d", k.middle)}, "truncate", k.dir, "--lsn", fmt.Sprint(k.middle))
	k.want("truncated to what was in memory", k.middle)
	if found := k.loads(); found.EndLSN != k.middle || found.Manifest.RingName() != "" {
		t.Errorf("after the truncation a start comes to LSN %d, want %d; it looks for a ring %q", found.EndLSN,
			k.middle, found.Manifest.RingName())
	}
	k.again()
	expect(t, 0, []string{"in the files now"}, "repair", k.dir)
	fatal(t, os.Remove(k.ringName))
	k.want("repaired", k.log.LSN())

	k.files["a.aof.2.incr.0.aof"][aof.HeaderBytes+20] ^= 1 // of an incarnation before
	k.again()
	expect(t, 1, []string{"in the files now", "--fix"}, "repair", k.dir)
}

// TestAOFRingDamaged: with a ring that can't be used what the files have is all there is, and verify says so.
func TestAOFRingDamaged(t *testing.T) {
	k := newKilled(t)
	k.ringData[len(k.ringData)-4096+20] ^= 1 // in the header, which is at the end
	k.again()
	expect(t, 1, []string{"DAMAGED", k.ringName}, "verify", k.dir)
	expect(t, 0, nil, "truncate", k.dir, "--lsn", fmt.Sprint(k.filed))
	k.want("truncated", k.filed)
}

// TestAOFSite: without a ring the manifest tells whether the system has gone on since the server was killed. Then what
// is damaged in the middle of a file is no torn tail: verify says so, what changes files or converts them refuses, and
// what lies before it is still there to be had. Elsewhere it is what a power cut may have left.
func TestAOFSite(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 1))
	x := newAOFWorld(t, 3)
	site, err := aof.SiteOf(vfs.OS{}, x.dir)
	fatal(t, err)
	x.change(rnd, 20)
	first := x.log.LSN()
	x.change(rnd, 20)
	x.close(false)
	m := x.manifest.Clone()
	m.Last().Site = site
	fatal(t, m.Commit(vfs.OS{}, x.dir, "a.aof"))
	if end := x.end(0); end != x.log.LSN() {
		t.Errorf("the data ends at LSN %d, want %d", end, x.log.LSN())
	}
	path := m.Live(aof.Incr)[0].Path(x.dir, "a.aof")
	for i, f := range m.Live(aof.Incr) {
		name := f.Path(x.dir, "a.aof")
		data, err := os.ReadFile(name)
		fatal(t, err)
		h, err := aof.ParseHeader(name, data)
		fatal(t, err)
		h.MarkLSN = 0 // it would tell of the damage, too
		copy(data, h.Append(nil))
		if content := bytes.TrimRight(data, "\x00"); i == 0 {
			clear(content[len(content)*4/5:][:40])
		}
		fatal(t, os.WriteFile(name, data, 0o600))
	}

	moved := t.TempDir()
	fatal(t, os.CopyFS(moved, os.DirFS(x.dir)))
	expect(t, 1, []string{"TORN"}, "verify", moved)
	expect(t, 0, []string{"TORN"}, "convert", moved, filepath.Join(t.TempDir(), "a.aof"))
	expect(t, 0, []string{"repaired"}, "repair", moved)

	damaged := []string{"DAMAGED at offset", path, "the process alone was ended"}
	if text := expect(t, 1, damaged, "verify", x.dir); strings.Contains(text, "TORN") {
		t.Errorf("verify says\n%s", text)
	}
	expect(t, 1, []string{"DAMAGED", path}, "show", x.dir)
	expect(t, 1, damaged, "convert", x.dir, filepath.Join(t.TempDir(), "a.aof"))
	expect(t, 1, damaged, "truncate", x.dir, "--lsn", fmt.Sprint(x.log.LSN()))
	expect(t, 1, []string{"DAMAGED", path, "--fix"}, "repair", x.dir)
	if got := x.converted("--until-lsn", fmt.Sprint(first)); got != x.digests[first] {
		t.Errorf("until %d: digest %s, want %s", first, got, x.digests[first])
	}
	expect(t, 0, []string{fmt.Sprintf("ends at LSN %d", first)}, "truncate", x.dir, "--lsn", fmt.Sprint(first))
	if end := x.end(0); end != first {
		t.Errorf("truncated to %d, and the data ends at %d", first, end)
	}
}
