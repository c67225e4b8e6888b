package snapshot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/persist/vfs/vfstest"
)

var rewriteFiles = flag.Bool("rewrite-calls", false, "write testdata/files-*.txt anew")

// TestFilesCalls compares the calls of the file system that a save makes with those in testdata, in order: once over
// nothing, once over a snapshot of the other kind, once over one of its own.
func TestFilesCalls(t *testing.T) {
	for _, c := range []fileCase{fileCases[0], fileCases[2]} {
		m := newDisk(t)
		var calls strings.Builder
		tap := vfstest.NewTap(m, func(s vfstest.Step) error {
			if s.Changes() {
				fmt.Fprintln(&calls, s)
			}
			return nil
		})
		other := fileCase{segments: !c.segments}
		for _, round := range []string{"over nothing", "over the other kind", "over its own kind"} {
			if round == "over the other kind" {
				must(t, writeFiles(other.options(m), other.contents("a", 100), nil))
			}
			fmt.Fprintf(&calls, "# %s\n", round)
			o := c.options(tap)
			o.SyncEveryBytes = 64 << 10
			must(t, writeFiles(o, c.contents("b", 150_000), nil))
		}
		name := filepath.Join("testdata", "files-"+c.name+".txt")
		if *rewriteFiles {
			must(t, os.WriteFile(name, []byte(calls.String()), 0o644))
		}
		want, err := os.ReadFile(name)
		must(t, err)
		if calls.String() != string(want) {
			t.Errorf("%s: calls\n%s", name, calls.String())
		}
	}
}

// TestSendBytes looks at what is sent to the disk while a file grows: each part begun once, and waited for when the
// next one is there.
func TestSendBytes(t *testing.T) {
	m := newDisk(t)
	var sent []string
	tap := vfstest.NewTap(m, func(s vfstest.Step) error {
		if s.Op == "writeback" {
			sent = append(sent, fmt.Sprintf("%d+%d", s.Offset>>10, s.Len>>10))
		}
		return nil
	})
	c := fileCases[2]
	o := c.options(tap)
	o.SyncEveryBytes = 100_000
	must(t, writeFiles(o, c.contents("a", 450_000), nil))
	if got := strings.Join(sent, " "); got != "0+128 0+128 128+128 128+128 256+128" {
		t.Errorf("sent %s KiB", got)
	}
	sent, o.SyncEveryBytes = nil, 0
	must(t, writeFiles(o, c.contents("a", 450_000), nil))
	if len(sent) > 0 {
		t.Errorf("without SyncEveryBytes sent %s KiB", sent)
	}
}
