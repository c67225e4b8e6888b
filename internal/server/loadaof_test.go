package server

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLoadAOF: DEBUG LOADAOF puts what the append-only file has in the place of what is in memory, also behind a
// rewrite and with the Writer lagging behind, and logs nothing of that: the log goes on where it was, and a start finds
// the same.
func TestLoadAOF(t *testing.T) {
	for _, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			g := startGated(t, gatedOptions{args: []string{"--appendfsync", policy}})
			c := dial(t, g.Addr())
			if got := c.do("SAVE"); got != "OK" { // of nothing
				t.Fatal(got)
			}
			for round := range uint64(2) {
				fillAllTypes(c, round)
				c.do("SELECT", "0")
				c.do("MSET", "a"+strconv.Itoa(int(round)), "1", "b", "2", "c", "3") // a commit over several shards
				digest, lsn := c.do("DEBUG", "DIGEST"), g.set.Log.LSN()
				if got := c.do("DEBUG", "RELOAD", "NOSAVE"); got != "OK" || c.do("DBSIZE") != "0" {
					t.Fatal("the memory is not empty: " + got)
				}
				if got := c.do("DEBUG", "LOADAOF"); got != "OK" {
					t.Fatal(got)
				}
				if got := c.do("DEBUG", "DIGEST"); got != digest {
					t.Fatalf("round %d: digest %s, want %s", round, got, digest)
				}
				if got := g.set.Log.LSN(); got != lsn {
					t.Errorf("round %d: loading has logged %d bytes", round, got-lsn)
				}
				if round == 0 {
					c.do("BGREWRITEAOF")
					g.rewritten(c, 1)
				}
				c.do("SET", "later", strconv.Itoa(int(round)))
			}
			digest := c.do("DEBUG", "DIGEST")
			if got := g.again("--appendfsync", policy).do("DEBUG", "DIGEST"); got != digest {
				t.Errorf("after a start: digest %s, want %s", got, digest)
			}
		})
	}
}

// TestLoadAOFRefused: where there is no append-only file, and in transactions, the data stays as it is.
func TestLoadAOFRefused(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendonly", "no"}})
	c := dial(t, g.Addr())
	c.do("SET", "k", "v")
	if got := c.do("DEBUG", "LOADAOF"); !strings.Contains(got, "Error trying to load the AOF files") {
		t.Error(got)
	}
	c.do("MULTI")
	c.do("SET", "k", "w")
	c.do("DEBUG", "LOADAOF")
	if got := c.do("EXEC"); !strings.Contains(got, "not allowed in transactions") {
		t.Error(got)
	}
	if got := c.do("GET", "k"); got != "w" {
		t.Error(got)
	}
}

// TestLoadAOFOfBefore: while the append-only file is off, the one that was is loaded.
func TestLoadAOFOfBefore(t *testing.T) {
	g := startGated(t, gatedOptions{})
	c := dial(t, g.Addr())
	c.do("SET", "k", "v")
	c.do("CONFIG", "SET", "appendonly", "no")
	eventually(t, "it is off", func() bool { return !g.aof.enabled() && !g.aof.rewrites.busy() })
	c.do("SET", "k", "w")
	if got := c.do("DEBUG", "LOADAOF"); got != "OK" {
		t.Fatal(got)
	}
	if got := c.do("GET", "k"); got != "v" {
		t.Error(got)
	}
}

// TestLoadAOFWhileLoading: DEBUG LOADAOF and DEBUG RELOAD that have waited for the end of the load at the start are
// loads of their own, which that end is not taken for.
func TestLoadAOFWhileLoading(t *testing.T) {
	const keys = "100000"
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	args := []string{"--dir", dir, "--appendonly", "yes", "--aof-ring-dir", "no", "--shards", "2", "--save", "",
		"--enable-debug-command", "yes", "--unixsocket", socket}
	p := startProcess(t, args...)
	c := dial(t, p.addr)
	c.do("DEBUG", "POPULATE", keys)
	if got := c.do("SAVE"); got != "OK" {
		t.Fatal(got)
	}
	c.do("BGREWRITEAOF")
	eventually(t, "the append-only file is rewritten", func() bool {
		return c.info("persistence", "aof_rewrites") == "1" && c.info("persistence", "aof_rewrite_in_progress") == "0"
	})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	// The load takes until somebody has it go on.
	slow := append(args, "--key-load-delay", "1000000")
	for _, command := range [][]string{{"DEBUG", "LOADAOF"}, {"DEBUG", "RELOAD", "NOSAVE"}} {
		said := make(chan [3]string, 1)
		go func() { // as soon as anybody is listened to
			defer close(said)
			var c *client
			for until := time.Now().Add(patience); c == nil && time.Now().Before(until); time.Sleep(time.Millisecond) {
				if conn, err := net.Dial("unix", socket); err == nil {
					c = wrap(t, conn)
				}
			}
			if c == nil {
				said <- [3]string{"nobody listens"}
				return
			}
			size, off := c.do("DBSIZE"), c.do("CONFIG", "SET", "appendonly", "no")
			id := c.do("CLIENT", "ID")
			reply := later(c, command...)
			quick := dial(t, socket)
			eventually(t, "the command has come", func() bool {
				return field(quick.list()[id], "cmd") == "debug"
			})
			quick.do("CONFIG", "SET", "key-load-delay", "0")
			said <- [3]string{size, off, <-reply}
		}()
		p := startProcess(t, slow...)
		got := <-said
		if !strings.HasPrefix(got[0], "-LOADING") || got[1] != "OK" || got[2] != "OK" {
			t.Errorf("%q: %q", command, got)
		}
		if got := dial(t, p.addr).do("DBSIZE"); got != keys {
			t.Errorf("behind %q there are %s keys", command, got)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
