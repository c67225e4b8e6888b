package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// A redis-server follows this one: what it has in the end is what we have.

// startReplica starts a redis-server that follows srv.
func startReplica(t testing.TB, srv *Server, args ...string) *client {
	t.Helper()
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	oracle := redistest.StartOracle(t, append([]string{"--replicaof", host + " " + port,
		"--enable-debug-command", "yes"}, args...)...)
	return dial(t, oracle.Addr)
}

// equalTo waits until a replica has what the primary has.
func (c *client) equalTo(replica *client) {
	c.t.Helper()
	var ours, theirs string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("digests: %s here, %s there", ours, theirs)
		}
	}()
	eventually(c.t, "the replica has everything", func() bool {
		if replica.info("replication", "master_link_status") != "up" ||
			replica.info("replication", "master_repl_offset") != c.info("replication", "master_repl_offset") {
			return false
		}
		ours, theirs = c.do("DEBUG", "DIGEST"), replica.do("DEBUG", "DIGEST")
		return ours == theirs
	})
}

// play has several clients send random commands of all types until stop is closed, or so many each.
func play(t testing.TB, addr string, seed uint64, each int) (wait func()) {
	t.Helper()
	grammar := redistest.Everything().Without("flushall", "flushdb").Without("debug")
	grammar = append(grammar, redistest.Command{
		Name: "flushdb", Weight: 1, Args: func(*redistest.Gen) []string { return nil },
	})
	var wg sync.WaitGroup
	for i := range 3 {
		conn, err := redistest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		commands := redistest.Stream(grammar, seed*100+uint64(i), each, time.Now().Unix())
		wg.Go(func() {
			defer conn.Close()
			for _, args := range commands {
				if _, err := conn.Do(args...); err != nil {
					t.Errorf("%q: %v", args, err)
					return
				}
			}
		})
	}
	return wg.Wait
}

// TestReplicaFollows: a redis-server is started while clients write, and has everything once they have ended.
func TestReplicaFollows(t *testing.T) {
	for _, c := range []struct {
		shards   int
		diskless string
	}{{1, "yes"}, {2, "no"}, {8, "yes"}, {8, "no"}} {
		t.Run(fmt.Sprintf("%d shards, diskless %s", c.shards, c.diskless), func(t *testing.T) {
			srv := startServer(t, "--shards", strconv.Itoa(c.shards), "--repl-diskless-sync", c.diskless,
				"--repl-diskless-sync-delay", "0")
			ours := dial(t, srv.Addr())
			fillAllTypes(ours, uint64(c.shards))
			ours.do("SET", "huge", strings.Repeat("0123456789abcdef", 1<<16))
			wait := play(t, srv.Addr(), uint64(c.shards), 1500)
			replica := startReplica(t, srv)
			wait()
			ours.equalTo(replica)
			if got := ours.info("replication", "slave0"); !strings.Contains(got, "state=online") {
				t.Errorf("INFO says %q", got)
			}
			if got := ours.info("stats", "sync_full"); got != "1" {
				t.Errorf("sync_full is %s", got)
			}
			wait = play(t, srv.Addr(), 50+uint64(c.shards), 500)
			wait()
			ours.do("MSET", "a", "1", "b", "2", "c", "3")
			ours.do("RENAME", "a", "d")
			ours.do("SWAPDB", "0", "1")
			ours.equalTo(replica)
			if got := ours.do("FLUSHALL"); got != "OK" {
				t.Fatal(got)
			}
			ours.do("SET", "after", "1")
			ours.equalTo(replica)
		})
	}
}
