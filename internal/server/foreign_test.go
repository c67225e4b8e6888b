package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// TestForeignLoad loads what a redis-server has written, with values of all types, transactions and databases, before
// and after a rewrite of its own.
func TestForeignLoad(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		o := redistest.StartOracle(t, "--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--appendfsync", "no",
			"--enable-debug-command", "yes", "--aof-timestamp-enabled", "yes")
		c, err := redistest.Dial(o.Addr)
		if err != nil {
			t.Fatal(err)
		}
		do := func(args ...string) string {
			v, err := c.Do(args...)
			if err == nil {
				err = v.Err()
			}
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			return v.String()
		}
		rnd := rand.New(rand.NewPCG(uint64(len(preamble)), 5))
		for round := range 2 {
			for i := range 300 {
				n := fmt.Sprint(rnd.IntN(5))
				value := strings.Repeat(fmt.Sprint(rnd.IntN(1000), "\r\n"), 1+rnd.IntN(30))
				all := [][]string{
					{"SET", "s" + n, value, "EX", "1000"}, {"APPEND", "s" + n, "x"}, {"RPUSH", "l" + n, value, "7"},
					{"LPOP", "l" + n}, {"SADD", "i" + n, n, "7"}, {"SADD", "m" + n, value}, {"SPOP", "m" + n},
					{"ZADD", "z" + n, "1.5", value, "-inf", "b"}, {"HSET", "h" + n, value, value},
					{"HDEL", "h" + n, "a"},
					{"INCRBYFLOAT", "f" + n, "1.25"}, {"DEL", "l" + n}, {"PERSIST", "s" + n},
					{"SELECT", fmt.Sprint(3 * rnd.IntN(3))}, {"SETEX", "e" + n, "500", value}, {"RENAME", "x", "y"},
				}
				if i%50 == 0 {
					do("MULTI")
				}
				do("SET", "x", value)
				do(all[rnd.IntN(len(all))]...)
				if i%50 == 9 {
					do("EXEC")
				}
			}
			if round == 0 {
				do("BGREWRITEAOF")
				for !strings.Contains(do("INFO", "persistence"), "aof_rewrite_in_progress:0") {
					continue
				}
			}
		}
		want := do("DEBUG", "DIGEST")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		srv := newIdleServer(t, 3)
		f, err := aof.FindForeign(vfs.OS{}, o.Dir, "appendonlydir", "appendonly.aof")
		if err != nil || f == nil {
			t.Fatal(f, err)
		}
		var p aof.LoadProgress
		z := srv.set.Seize()
		if err := srv.loadForeign(f, false, z, &p); err != nil {
			t.Fatal(err)
		}
		if got := srv.digest(0); !strings.Contains(want, got) {
			t.Errorf("preamble %s: digest %s, want %s", preamble, got, want)
		}
		if err := srv.space.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestForeignReplies: what replies with an error has no effect, as with Redis; a command that there isn't ends the
// load.
func TestForeignReplies(t *testing.T) {
	for last, want := range map[string]string{
		"GET a": "", "EXPIRE a 100": "", "NONE a * b c": "Unknown command 'NONE' reading the append only file",
	} {
		name := filepath.Join(t.TempDir(), "a.aof")
		var text []byte
		for _, words := range []string{"SET a x", "INCR a", "SET b 1", last} {
			text = resp.AppendCommandStrings(text, strings.Fields(words)...)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := aof.OpenForeign(vfs.OS{}, name)
		if err != nil {
			t.Fatal(err)
		}
		srv := newIdleServer(t, 3)
		err = srv.loadForeign(f, true, srv.set.Seize(), &aof.LoadProgress{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", last, err)
		}
		keys := 0
		for _, s := range srv.set.Shards {
			keys += s.DB(0).Len()
		}
		if keys != 2 {
			t.Errorf("%s: %d keys", last, keys)
		}
		if err := srv.space.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestForeignStart starts from a file of Redis's, and then from what that has become.
func TestForeignStart(t *testing.T) {
	dir := t.TempDir()
	text := resp.AppendCommandStrings(nil, "SET", "a", "1")
	if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "3"} {
		srv := startServer(t, "--dir", dir, "--appendonly", "yes")
		<-srv.loading.done
		continueWith(t, srv, want)
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
}

// continueWith wants a value of a, and counts it up.
func continueWith(t *testing.T, srv *Server, want string) {
	c, err := redistest.Dial(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ words, want string }{{"GET a", want}, {"INCR a", ""}} {
		v, err := c.Do(strings.Fields(step.words)...)
		if err != nil || v.Err() != nil || !strings.Contains(v.String(), step.want) {
			t.Errorf("%s: %v (%v), want %s", step.words, v, err, step.want)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
