package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// withModule adds data of a module, which nobody but that module can load, to a file that redis-server has saved. It
// has no checksum then.
func withModule(file []byte, version byte) []byte {
	const (
		footer    = 9
		moduleAux = 247
		opEOF     = 255
	)
	out := append([]byte(nil), file[:len(file)-footer]...)
	out = append(out, moduleAux, 0x81, 0, 0, 0, 0, 0, 0, 0, version, 2, 1, 5, 4)
	out = append(out, "data\x00"...)
	return append(out, opEOF, 0, 0, 0, 0, 0, 0, 0, 0)
}

// moduleText is what the data of withModule is called.
const moduleText = "data of module AAAAAAAAA"

// addModule is withModule for a file; it returns what is there then.
func addModule(t *testing.T, file string) []byte {
	t.Helper()
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	saved = withModule(saved, 1)
	if err := os.WriteFile(file, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	return saved
}

// fillWithMore fills a redis-server with all that there is a type for here.
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
	return c
}

// wantFile wants a file to be as it was.
func wantFile(t *testing.T, name string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != string(want) {
		t.Errorf("%s: %d bytes (%v), want the %d that there were", name, len(got), err, len(want))
	}
}

// startLeavingOut starts a server on files with what it can't hold, and wants that it says what it leaves out of which
// file, and where it keeps that.
func startLeavingOut(t *testing.T, file, kept string, args ...string) (*Server, *client) {
	t.Helper()
	srv, log := startLogged(t, args...)
	<-srv.loading.done
	log.wantLogged(t, 1, "1 × "+moduleText+" in "+file)
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
	dump := addModule(t, filepath.Join(o.Dir, "dump.rdb"))
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
			wantFile(t, filepath.Join(file+".kept", "dump.rdb"), dump)

			if name != "plain" {
				return
			}
			other := withModule(dump, 2)
			if err := os.WriteFile(file, other, 0o600); err != nil {
				t.Fatal(err)
			}
			wantReply(t, c, "OK", "DEBUG", "RELOAD", "NOSAVE")
			wantReply(t, c, "OK", "SAVE")
			wantKept(t, dir, file+".kept", file+".kept.2")
			wantFile(t, filepath.Join(file+".kept", "dump.rdb"), dump)
			wantFile(t, filepath.Join(file+".kept.2", "dump.rdb"), other)
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
	bases, err := filepath.Glob(file + ".*.base.rdb")
	if err != nil || len(bases) != 1 {
		t.Fatalf("bases: %q, %v", bases, err)
	}
	base := addModule(t, bases[0])
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
	wantFile(t, filepath.Join(file+".kept", filepath.Base(bases[0])), base)
}

// TestLeftOutAndNotKept: what can't be kept is not replaced: the start is refused.
func TestLeftOutAndNotKept(t *testing.T) {
	o := redistest.StartOracle(t)
	wantReply(t, fillWithMore(t, o), "OK", "SAVE")
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	dump := addModule(t, filepath.Join(dir, "dump.rdb"))
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb.kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	srv := startServer(t, "--dir", dir)
	err := <-srv.loadFailed
	if err == nil || !strings.Contains(err.Error(), "dump.rdb.kept: ") {
		t.Errorf("the load ends with %v", err)
	}
	wantFile(t, filepath.Join(dir, "dump.rdb"), dump)
}
