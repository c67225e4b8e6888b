package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// fillWithMore fills a redis-server with what there is a type for here, and what there isn't.
func fillWithMore(t *testing.T, o *redistest.Oracle) *client {
	t.Helper()
	c := dial(t, o.Addr)
	for _, words := range []string{
		"SET k v", "RPUSH list a b", "XADD s1 1-1 f v", "XADD s2 1-1 f v", "XADD s2 2-1 f w",
	} {
		if got := c.do(strings.Fields(words)...); strings.HasPrefix(got, "-") {
			t.Fatalf("%s: %s", words, got)
		}
	}
	wantReply(t, c, "mylib", "FUNCTION", "LOAD",
		"#!lua name=mylib\nredis.register_function('f', function() return 1 end)")
	return c
}

// wantMore wants from a redis-server, started on what was kept, what fillWithMore has given it.
func wantMore(t *testing.T, args ...string) {
	t.Helper()
	c := dial(t, redistest.StartOracle(t, args...).Addr)
	for words, want := range map[string]string{"XLEN s1": "1", "XLEN s2": "2", "GET k": "v", "FCALL f 0": "1"} {
		wantReply(t, c, want, strings.Fields(words)...)
	}
}

// startLeavingOut starts a server on files with what it can't hold, and wants that it says what it leaves out of which
// file, and where it keeps that.
func startLeavingOut(t *testing.T, file, kept string, args ...string) (*Server, *client) {
	t.Helper()
	srv, log := startLogged(t, args...)
	<-srv.loading.done
	log.wantLogged(t, 1, "1 × function library in "+file)
	log.wantLogged(t, 1, file+" is kept as it is, with what was NOT loaded, in "+kept)
	c := dial(t, srv.Addr())
	wantReply(t, c, "v", "GET", "k")
	wantReply(t, c, "4", "DBSIZE")
	return srv, c
}

// wantKept wants these directories for what is kept, and no others.
func wantKept(t *testing.T, dir string, want ...string) {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, "*.kept*"))
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("kept: %q (%v), want %q", got, err, want)
	}
}

// TestLeftOutOfSnapshot: what of a redis-server's dump.rdb can't be held here is there after any number of starts and
// saves, and is said to be. So it is with another such file later.
func TestLeftOutOfSnapshot(t *testing.T) {
	o := redistest.StartOracle(t)
	wantReply(t, fillWithMore(t, o), "OK", "SAVE")
	dump, err := os.ReadFile(filepath.Join(o.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"segments": nil, "plain": {"--rdb-segments", "no"}, "append-only": {"--appendonly", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "dump.rdb")
			if err := os.WriteFile(file, dump, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"--dir", dir}, args...)
			srv, c := startLeavingOut(t, file, file+".kept", args...)
			if name != "append-only" { // which is what is loaded from now on
				if err := srv.Shutdown(); err != nil {
					t.Fatal(err)
				}
				_, c = startLeavingOut(t, file, file+".kept", args...)
			}
			for range 2 {
				wantReply(t, c, "OK", "SAVE")
			}
			if now, err := os.ReadFile(file); err == nil && string(now) == string(dump) {
				t.Error("the saves have left the file as it was")
			}
			wantKept(t, dir, file+".kept")
			wantMore(t, "--dir", file+".kept")

			if name != "plain" {
				return
			}
			other := append(dump[:len(dump)-8:len(dump)-8], make([]byte, 8)...) // without a checksum
			if err := os.WriteFile(file, other, 0o600); err != nil {
				t.Fatal(err)
			}
			wantReply(t, c, "OK", "DEBUG", "RELOAD", "NOSAVE")
			wantReply(t, c, "OK", "SAVE")
			wantKept(t, dir, file+".kept", file+".kept.2")
			wantMore(t, "--dir", file+".kept")
			wantMore(t, "--dir", file+".kept.2")
		})
	}
}

// TestLeftOutOfAppendOnlyFile: so it is with an append-only file of Redis's.
func TestLeftOutOfAppendOnlyFile(t *testing.T) {
	o := redistest.StartOracle(t, "--appendonly", "yes")
	theirs := fillWithMore(t, o)
	theirs.do("BGREWRITEAOF")
	eventually(t, "redis-server has rewritten its file", func() bool {
		return theirs.info("persistence", "aof_rewrite_in_progress") == "0" &&
			theirs.info("persistence", "aof_rewrite_scheduled") == "0" &&
			theirs.info("persistence", "aof_current_size") == theirs.info("persistence", "aof_base_size")
	})
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "appendonlydir", "appendonly.aof")
	srv, c := startLeavingOut(t, file, file+".kept", "--dir", dir, "--appendonly", "yes")
	wantReply(t, c, "OK", "SET", "more", "v")
	c.do("BGREWRITEAOF")
	eventually(t, "the file is rewritten", func() bool {
		return c.info("persistence", "aof_rewrite_in_progress") == "0" && c.info("persistence", "aof_rewrites") == "1"
	})
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	wantKept(t, filepath.Dir(file), file+".kept")
	wantMore(t, "--appendonly", "yes", "--dir", filepath.Dir(file), "--appenddirname", "appendonly.aof.kept")
}

// TestLeftOutAndNotKept: what can't be kept is not replaced: the start is refused.
func TestLeftOutAndNotKept(t *testing.T) {
	o := redistest.StartOracle(t)
	wantReply(t, fillWithMore(t, o), "OK", "SAVE")
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb.kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, "--dir", dir)
	err := <-srv.loadFailed
	if err == nil || !strings.Contains(err.Error(), "dump.rdb.kept: ") {
		t.Errorf("the load ends with %v", err)
	}
	wantMore(t, "--dir", dir)
}
