package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/need"
)

// TestLeftRingIsNamed: a start says which ring in memory a server that was killed has left, and what to do, and leaves
// it alone: that server, started again, has what was in it. Nobody is told of the ring of a server that lives.
func TestLeftRingIsNamed(t *testing.T) {
	const warning = "Rings in memory of servers that were killed"
	rings, dir := need.MemoryDir(t), t.TempDir()
	args := func(dir string) []string {
		return []string{"--appendonly", "yes", "--aof-ring-dir", rings, "--aof-ring-size", "1mb", "--shards", "1",
			"--dir", dir, "--save", ""}
	}
	first := startProcess(t, args(dir)...)
	if got := dial(t, first.addr).do("SET", "k", "v"); got != "OK" {
		t.Fatal(got)
	}
	other := startProcess(t, args(t.TempDir())...)
	if text := other.log.String(); strings.Contains(text, warning) {
		t.Errorf("beside a server that lives:\n%s", text)
	}
	first.kill()
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	other = startProcess(t, args(t.TempDir())...)
	names, err := filepath.Glob(filepath.Join(rings, "*.ring"))
	if err != nil || len(names) != 2 {
		t.Fatalf("there are %q, %v", names, err)
	}
	left := 0
	for _, name := range names {
		if strings.Contains(other.log.String(), name+" (of "+filepath.Join(dir, "appendonlydir")+")") {
			left++
		}
	}
	if text := other.log.String(); left != 1 || strings.Count(text, warning) != 1 {
		t.Errorf("beside the ring of one that was killed:\n%s", text)
	}
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	first = startProcess(t, args(dir)...)
	if got := dial(t, first.addr).do("GET", "k"); got != "v" {
		t.Errorf("the server that was killed has %q", got)
	}
	if text := first.log.String(); strings.Contains(text, warning) {
		t.Errorf("of its own ring:\n%s", text)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(rings); err != nil || len(names) > 0 {
		t.Errorf("there are %v, %v", names, err)
	}
}
