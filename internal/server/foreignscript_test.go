package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/vfs"
	"fulmen/shard/command"
)

// writeScripts makes a file of a script each, behind a transaction and before a last command.
func writeScripts(t *testing.T, dir string, sources ...string) (name string) {
	var text []byte
	for _, source := range sources {
		text = resp.AppendCommandStrings(text, "EVAL", source, "1", "k", "v")
	}
	text = resp.AppendCommandStrings(text, "SET", "last", "1")
	name = filepath.Join(dir, "appendonly.aof")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestForeignScriptCallsAll: every command that scripts may call can be called while a file is loaded, though there is
// no connection then.
func TestForeignScriptCallsAll(t *testing.T) {
	srv := newIdleServer(t, 3)
	var sources []string
	for _, row := range srv.table.All() {
		rows := []*command.Row{row}
		if len(row.Subs) > 0 {
			rows = row.Subs
		}
		for _, row := range rows {
			call := "'" + strings.ReplaceAll(row.FullName, "|", "','") + "'"
			words := strings.Count(call, ",") + 1
			for _, more := range []int{0, 1, 2, 3} {
				if row.ArityOK(words + more) {
					sources = append(sources, "return redis.pcall("+call+strings.Repeat(",'1'", more)+")")
				}
			}
		}
	}
	f, err := aof.OpenForeign(vfs.OS{}, writeScripts(t, t.TempDir(), sources...))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.loadForeign(f, false, srv.set.Seize(), &aof.LoadProgress{}); err != nil {
		t.Fatal(err)
	}
	key := srv.set.Key([]byte("last"))
	if _, there := srv.shardOf(key.Bytes).DB(0).Look(key, 0); !there || len(sources) < 400 {
		t.Errorf("%d scripts, the last command was executed: %v", len(sources), there)
	}
	if err := srv.space.Close(); err != nil {
		t.Error(err)
	}
}

// TestForeignScriptStart starts from a file with scripts, though there are too few replicas for a client to write,
// finds the scripts in the cache, and then starts from what the file has become, in which their effects are.
func TestForeignScriptStart(t *testing.T) {
	dir := t.TempDir()
	const source = "redis.call('INCR',KEYS[1]) return redis.call('NONE')"
	writeScripts(t, dir, source, source, source)
	for _, scripts := range []string{"[1]", "[0]"} {
		srv, log := startLogged(t, "--dir", dir, "--appendonly", "yes", "--min-replicas-to-write", "1")
		<-srv.loading.done
		c := dial(t, srv.Addr())
		if got := c.do("MGET", "k", "last"); got != "[3 1]" {
			t.Error(got)
		}
		if got := c.do("SCRIPT", "EXISTS", shaOf(source)); got != scripts {
			t.Error(got)
		}
		if scripts == "[1]" {
			log.wantLogged(t, 3, "This AOF is sending an error to its AOF-loading-client: 'ERR Unknown Redis command "+
				"called from script script: "+shaOf(source)+", on @user_script:1.' after processing the command 'EVAL'")
			log.wantLogged(t, 1, "3 commands of the append only file have replied with an error")
		}
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForeignScriptEndless: a script that doesn't end is mentioned in the log, others are told LOADING, and the server
// can be ended; the file is as it was then.
func TestForeignScriptEndless(t *testing.T) {
	dir := t.TempDir()
	name := writeScripts(t, dir, "redis.call('INCR',KEYS[1])", endless)
	srv, log := startLogged(t, "--dir", dir, "--appendonly", "yes", "--lua-time-limit", "1")
	c := dial(t, srv.Addr())
	eventually(t, "the script is slow", func() bool { return strings.Contains(log.String(), "Slow script detected") })
	if got := c.do("GET", "k"); !strings.HasPrefix(got, "-LOADING ") {
		t.Error(got)
	}
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if err := <-srv.loadFailed; !errors.Is(err, errLoadEnding) {
		t.Error(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
	if f, err := aof.FindForeign(vfs.OS{}, dir, "appendonlydir", "appendonly.aof"); f == nil || err != nil {
		t.Errorf("the file has become another: %v", err)
	}
}
