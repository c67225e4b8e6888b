package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// owing are the parameters of a replica whose append-only file says what was acknowledged, and takes its time to begin
// again: slow is in bytes per second.
func owing(slow string) []string {
	return []string{"--appendonly", "yes", "--appendfsync", "always", "--aof-ring-dir", "no", "--save", "",
		"--rdbcompression", "no", "--rdb-save-rate-limit", slow}
}

// startOwing starts a replica whose append-only file has ended because everything came anew, and has not begun again.
func startOwing(t testing.TB, slow string, fault upstreamFault) (*Server, *client) {
	t.Helper()
	p, srv := listenFake(t), startServer(t, owing(slow)...)
	srv.upstream.fault = fault
	c := dial(t, srv.Addr())
	p.followedBy(c)
	receivesAnew(p, srv)
	return srv, c
}

// receivesAnew has a replica that has a place in a history, as it has an append-only file, receive everything.
func receivesAnew(p *fakePrimary, srv *Server) {
	p.t.Helper()
	p.accept(srv.replication.history.Load().ID+" 1", fullResync(100)+string(snapshotOf(p.t, swapKeys, "new"))+fakeMark)
	p.hears("REPLCONF ACK 100")
}

// copyAOF returns a new dir that has what a kill would leave now.
func copyAOF(t testing.TB, srv *Server) (dir string) {
	t.Helper()
	dir = t.TempDir()
	copyLive(t, filepath.Join(dir, filepath.Base(srv.aof.dir)), srv.aof.dir)
	return dir
}

// copyLive copies the directory of a server that works, which may remove files that it has no more use for meanwhile.
func copyLive(t testing.TB, to, from string) {
	t.Helper()
	eventually(t, "no file goes while "+from+" is copied", func() bool {
		err := os.CopyFS(to, os.DirFS(from))
		if err != nil {
			err = errors.Join(err, os.RemoveAll(to))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// acknowledgedByPromoted promotes a replica that has received everything anew, kills it when it has acknowledged a
// write, and returns how many keys the next start has, and the one that was written.
func acknowledgedByPromoted(t *testing.T, fault upstreamFault) (keys, written string) {
	slow := "200000"
	if fault != 0 {
		slow = "1024" // nobody waits for it
	}
	srv, c := startOwing(t, slow, fault)
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	if got := c.do("SET", "own", "1"); got != "OK" {
		t.Fatal(got)
	}
	next := startServer(t, append(owing("0"), "--dir", copyAOF(t, srv))...)
	n := dial(t, next.Addr())
	n.loaded()
	return n.do("DBSIZE"), n.do("GET", "own")
}

// TestPromotedKeepsWhatItAcknowledges: also if it has received everything anew just before.
func TestPromotedKeepsWhatItAcknowledges(t *testing.T) {
	keys, written := acknowledgedByPromoted(t, 0)
	if keys != strconv.Itoa(swapKeys+1) || written != "1" {
		t.Errorf("after a kill %s keys are there, and what was acknowledged last is %s", keys, written)
	}
}

// TestUnloggedWritesAreNoticed plants the fault that they don't wait for the append-only file.
func TestUnloggedWritesAreNoticed(t *testing.T) {
	if keys, written := acknowledgedByPromoted(t, faultWritesUnlogged); keys != "0" || written != "nil" {
		t.Errorf("nobody has noticed: %s keys are there, and %s", keys, written)
	}
}

// TestWritesWaitForAppendOnly: what waits until there is an append-only file again, what doesn't, and what ends that.
func TestWritesWaitForAppendOnly(t *testing.T) {
	const readOnly = "-READONLY You can't write against a read only replica."
	for _, end := range []struct{ name, command, want string }{
		{"it begins", "CONFIG SET rdb-save-rate-limit 0", "OK"},
		{"there is to be none", "CONFIG SET appendonly no", "OK"},
		{"a replica again", "REPLICAOF 127.0.0.1 1", readOnly},
	} {
		t.Run(end.name, func(t *testing.T) {
			srv, c := startOwing(t, "1024", 0)
			if got := c.do("PSYNC", fakeID, "101", "FAILOVER"); got != "-"+errTakeOverOwing.Error() {
				t.Fatalf("it takes over: %s", got)
			}
			if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
				t.Fatal(got)
			}
			var writers []*client
			for i, w := range []string{
				"SET a 1", "EVAL \"return redis.call('SET',KEYS[1],1)\" 1 b", "SET c 1 NX", "GETDEL key:1",
			} {
				w = strings.ReplaceAll(w, "key:1", fmt.Sprint("key:", i))
				x := dial(t, srv.Addr())
				id := x.do("CLIENT", "ID")
				x.send(w + "\r\n")
				untilFlag(t, c, id, "b")
				writers = append(writers, x)
			}
			for _, w := range [][2]string{
				{"GET key:7", "new"}, {"PUBLISH news x", "0"}, {"PFCOUNT none", "0"}, {"MGET a b", "[nil nil]"},
				{"EVAL_RO return(1) 0", "1"}, {"PING", "PONG"}, {"DBSIZE", strconv.Itoa(swapKeys)},
			} {
				if got := c.do(strings.Fields(w[0])...); got != w[1] {
					t.Errorf("%s: %q, want %q", w[0], got, w[1])
				}
			}
			if got := c.do(strings.Fields(end.command)...); got != "OK" {
				t.Fatal(got)
			}
			for i, x := range writers {
				want := end.want
				if i == len(writers)-1 && want == "OK" {
					want = "new"
				}
				if got := x.reply(); !strings.HasPrefix(got, want) {
					t.Errorf("writer %d: %q, want %q", i, got, want)
				}
			}
		})
	}
}

// blockIncr has a directory stand where an append-only file would make its next files, and returns what ends that.
func blockIncr(t testing.TB, srv *Server) (unblock func()) {
	t.Helper()
	var blocks []string
	for n := range 20 {
		name := filepath.Join(srv.aof.dir, fmt.Sprintf("%s.%d.incr.0.aof", srv.aof.name, n))
		switch err := os.Mkdir(name, 0o755); {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(name, "x"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, name)
	}
	return func() {
		for _, name := range blocks {
			if err := os.RemoveAll(name); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestPromotedRefusesWhatItCantLog: if the append-only file can't begin again, writes are refused, those that have
// waited for it too, and the server does not end. When it can again all goes on.
func TestPromotedRefusesWhatItCantLog(t *testing.T) {
	const refused = "-MISCONF Errors writing to the AOF file: "
	p, srv, c := startFake(t, owing("0")...)
	unblock := blockIncr(t, srv)
	receivesAnew(p, srv)
	e := runEnd(t, srv)
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	for _, w := range []string{"SET a 1", "PING", "EVAL \"return redis.call('SET',KEYS[1],1)\" 1 a"} {
		c.send(w + "\r\n")
		if got := c.reply(); !strings.HasPrefix(got, refused) {
			t.Errorf("%s: %s", w, got)
		}
	}
	if got := c.do("GET", "key:1"); got != "new" {
		t.Error(got)
	}
	if got := c.do("SHUTDOWN"); got != "-ERR Errors trying to SHUTDOWN. Check logs." {
		t.Error(got)
	}
	unblock()
	eventually(t, "it can be written to", func() bool { return c.do("SET", "own", "1") == "OK" })
	e.signals <- syscall.SIGTERM
	c.send("SHUTDOWN\r\n")
	if err := <-e.ended; err != nil {
		t.Fatal(err)
	}
	next := startServer(t, append(owing("0"), "--dir", srv.cfg.Values().Dir)...)
	n := dial(t, next.Addr())
	n.loaded()
	if keys, own := n.do("DBSIZE"), n.do("GET", "own"); keys != strconv.Itoa(swapKeys+1) || own != "1" {
		t.Errorf("%s keys, and what was written is %s", keys, own)
	}
}

// TestShutdownWaitsForAppendOnly: the server does not end while its first append-only file is being written, unless it
// has to.
func TestShutdownWaitsForAppendOnly(t *testing.T) {
	for _, end := range []struct{ name, command, keys string }{
		{"it is written", "CONFIG SET rdb-save-rate-limit 0", "1"}, {"by force", "SHUTDOWN NOSAVE FORCE", "0"},
	} {
		t.Run(end.name, func(t *testing.T) {
			args := append(owing("4096"), "--dir", t.TempDir())
			args[1] = "no"
			srv, log := startLogged(t, args...)
			e := runEnd(t, srv)
			c, asker := dial(t, srv.Addr()), dial(t, srv.Addr())
			c.do("SET", "big", strings.Repeat(fmt.Sprint(args), 1<<14))
			c.do("CONFIG", "SET", "appendonly", "yes")
			const says = "Writing initial AOF: the server ends when that is done"
			for i := range 2 {
				asker.send("SHUTDOWN NOSAVE\r\n")
				log.wantLogged(t, i+1, says)
				if got := c.do("SHUTDOWN", "ABORT"); got != "OK" {
					t.Error(got)
				}
				asker.want("-ERR Errors trying to SHUTDOWN. Check logs.")
			}
			if got := c.do("SET", "other", "1"); got != "OK" {
				t.Error(got)
			}
			c.do("DEL", "other")
			asker.send("SHUTDOWN NOSAVE\r\n")
			log.wantLogged(t, 3, says)
			c.send(end.command + "\r\n")
			if err := <-e.ended; err != nil {
				t.Fatal(err)
			}
			args[1] = "yes"
			next := startServer(t, append(args, "--rdb-save-rate-limit", "0")...)
			n := dial(t, next.Addr())
			n.loaded()
			if got := n.do("DBSIZE"); got != end.keys {
				t.Errorf("%s keys", got)
			}
		})
	}
}
