package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// times returns what the frames of all INCR files say.
func (g *gated) times() (times []int64) {
	g.t.Helper()
	for _, name := range g.aofFiles() {
		r, err := aof.OpenIncr(vfs.OS{}, filepath.Join(g.aof.dir, name))
		if err != nil {
			continue // a BASE, or nothing was written to it
		}
		for {
			f, err := r.Next()
			if err != nil {
				break
			}
			if f.TimeSec > 0 {
				times = append(times, f.TimeSec)
			}
		}
		if err := r.Close(); err != nil {
			g.t.Fatal(err)
		}
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// TestTimestamps: with aof-timestamp-enabled the files say when it was, each from its beginning on, as Redis writes it;
// a start loads that, and CONFIG SET turns it off and on.
func TestTimestamps(t *testing.T) {
	args := []string{"--aof-timestamp-enabled", "yes", "--appendfsync", "always"}
	g := startGated(t, gatedOptions{fake: true, args: args})
	c := dial(t, g.Addr())
	const second = 1_700_000_000
	wrote := func(what string, want ...int64) {
		t.Helper()
		g.aof.tellTime() // the sampler does so as well
		if got := c.do("SET", "k", what); got != "OK" {
			t.Fatal(got)
		}
		if got := g.times(); !slices.Equal(got, want) {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	wrote("at the start", second)
	g.clock.Advance(5 * time.Second)
	eventually(t, "the sampler tells the time", func() bool {
		c.do("SET", "k", "v")
		return len(g.times()) == 2
	})
	wrote("later", second, second+5)
	c.do("CONFIG", "SET", "aof-timestamp-enabled", "no")
	g.clock.Advance(5 * time.Second)
	wrote("turned off", second, second+5)
	c.do("CONFIG", "SET", "aof-timestamp-enabled", "yes")
	wrote("turned on", second, second+5, second+10)
	c.do("BGREWRITEAOF")
	g.rewritten(c, 1)
	c.do("SET", "other", "v")
	wrote("rewritten", second+10)
	text := ""
	for _, name := range g.aofFiles() {
		data, err := os.ReadFile(filepath.Join(g.aof.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	if !strings.Contains(text, "\r\n#TS:1700000010\r\n#F") {
		t.Errorf("no annotation as Redis has it in %q", text)
	}
	digest := c.do("DEBUG", "DIGEST")
	if got := g.again(args...).do("DEBUG", "DIGEST"); got != digest {
		t.Errorf("after a start: digest %s, want %s", got, digest)
	}
}
