package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

// followRedis starts a redis-server and a server of ours that follows it, once it has these keys.
func followRedis(t *testing.T, shards int, fill func(*client), params ...string) (primary *client, srv *Server) {
	t.Helper()
	// Its backlog has all that may come while a link is down for as long as a machine stands still.
	addr := redistest.StartOracle(t, "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0",
		"--repl-backlog-size", "64mb").Addr
	primary = dial(t, addr)
	if fill != nil {
		fill(primary)
	}
	srv = startServer(t, append([]string{"--shards", strconv.Itoa(shards)}, params...)...)
	follow(t, srv, addr)
	return primary, srv
}

// follow has a server follow the one at addr, and waits until it does.
func follow(t testing.TB, srv *Server, addr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, srv.Addr())
	if got := c.do("REPLICAOF", host, port); got != "OK" {
		t.Fatal(got)
	}
	waitLinked(t, c)
}

func waitLinked(t testing.TB, c *client) {
	t.Helper()
	eventually(t, "the link is up", func() bool { return c.info("replication", "master_link_status") == "up" })
}

// waitCaughtUp waits until a replica has executed all that its primary has sent.
func waitCaughtUp(t testing.TB, primary, replica *client) {
	t.Helper()
	eventually(t, "the replica has everything", func() bool {
		return replica.info("replication", "slave_repl_offset") == primary.info("replication", "master_repl_offset")
	})
}

// sameData fails the test unless both have the same keys and values.
func sameData(t testing.TB, primary, replica *client) {
	t.Helper()
	// A key that is past its time is on the primary until somebody notices, and then it is deleted on both.
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		waitCaughtUp(t, primary, replica)
		if primary.do("DEBUG", "DIGEST") == replica.do("DEBUG", "DIGEST") {
			return
		}
	}
	for id := range 16 {
		primary.do("SELECT", strconv.Itoa(id))
		replica.do("SELECT", strconv.Itoa(id))
		for _, key := range strings.Fields(strings.Trim(primary.do("KEYS", "*"), "[]")) {
			want, got := primary.do("DEBUG", "DIGEST-VALUE", key), replica.do("DEBUG", "DIGEST-VALUE", key)
			if want != got {
				t.Errorf("db %d, %.60q: %s, on the replica %s", id, key, want, got)
			}
		}
	}
	t.Fatalf("digests differ; DBSIZE %s and %s", primary.do("DBSIZE"), replica.do("DBSIZE"))
}

// TestFollowsRedis: random commands of all types to a redis-server, before, during and after the full sync, and with
// the link cut time and again.
func TestFollowsRedis(t *testing.T) {
	for _, shards := range []int{1, 2, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := redistest.Everything()
			var addr string
			primary, srv := followRedis(t, shards, func(primary *client) {
				addr = primary.RemoteAddr().String()
				redistest.Pour(t, addr, grammar, uint64(shards), 3000)
			})
			replica := dial(t, srv.Addr())
			sameData(t, primary, replica)
			for round := range 4 {
				redistest.Pour(t, addr, grammar, uint64(100*shards+round), 1500)
				if round%2 == 0 {
					primary.do("CLIENT", "KILL", "TYPE", "replica")
				} else {
					replica.do("CLIENT", "KILL", "TYPE", "master")
				}
				redistest.Pour(t, addr, grammar, uint64(1000*shards+round), 1500)
			}
			waitLinked(t, replica)
			sameData(t, primary, replica)
			full, partial := primary.info("stats", "sync_full"), primary.info("stats", "sync_partial_ok")
			if full != "1" || partial == "0" {
				t.Errorf("%s full and %s partial synchronizations", full, partial)
			}
			if n := replica.info("stats", "unexpected_error_replies"); n != "0" {
				t.Errorf("%s commands of the primary have failed", n)
			}
		})
	}
}

// TestFollowsRedisBig: a full sync by file and without one, of more than fits into any buffer, while the primary is
// written to.
func TestFollowsRedisBig(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		t.Run("diskless "+diskless, func(t *testing.T) {
			primary, srv := followRedis(t, 8, func(primary *client) {
				primary.do("CONFIG", "SET", "repl-diskless-sync", diskless)
				primary.do("DEBUG", "POPULATE", "100000", "key", "100")
				primary.do("SET", "big", strings.Repeat("x", 3<<20))
				go func() {
					c := dial(t, primary.RemoteAddr().String())
					for i := range 2000 {
						c.send(fmt.Sprintf("SET during:%d %d\r\nRPUSH list %d\r\n", i, i, i))
						c.want("OK", strconv.Itoa(i+1))
					}
				}()
			})
			replica := dial(t, srv.Addr())
			eventually(t, "all is written", func() bool { return primary.do("LLEN", "list") == "2000" })
			sameData(t, primary, replica)
		})
	}
}

// TestReplicaRefuses: a replica is not written to, waits for nothing and shows no expired key; when it is promoted it
// is as if it had never been one.
func TestReplicaRefuses(t *testing.T) {
	primary, srv := followRedis(t, 8, func(primary *client) {
		primary.do("SET", "k", "v")
		primary.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
		primary.do("SET", "gone", "v", "PX", "1")
		primary.do("HSET", "h", "f", "v")
	})
	c := dial(t, srv.Addr())
	const readOnly = "-READONLY You can't write against a read only replica."
	for _, command := range []string{"SET k w", "DEL k", "LPUSH l 1", "BLPOP l 0", "FLUSHALL"} {
		if got := c.do(strings.Fields(command)...); got != readOnly {
			t.Errorf("%s: %s", command, got)
		}
	}
	c.do("MULTI")
	if got := c.do("SET", "k", "w"); got != readOnly {
		t.Errorf("queued: %s", got)
	}
	if got := c.do("EXEC"); got != "-EXECABORT Transaction discarded because of previous errors." {
		t.Errorf("EXEC: %s", got)
	}
	if got := c.do("GET", "gone"); got != "nil" {
		t.Errorf("an expired key is %q", got)
	}
	if got := c.do("DBSIZE"); got != primary.do("DBSIZE") {
		t.Errorf("%s keys: the expired one is the primary's to delete", got)
	}
	primary.do("GET", "gone")
	eventually(t, "the primary's deletion arrives", func() bool { return c.do("DBSIZE") == "2" })

	if got := c.do("CONFIG", "SET", "replica-serve-stale-data", "no"); got != "OK" {
		t.Fatal(got)
	}
	primary.send("SHUTDOWN NOSAVE NOW FORCE\r\n")
	const down = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	eventually(t, "the link is down", func() bool { return c.do("GET", "k") == down })
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	for _, w := range [][2]string{{"GET k", "v"}, {"SET k w", "OK"}, {"CONFIG GET replicaof", "[replicaof ]"}} {
		if got := c.do(strings.Fields(w[0])...); got != w[1] {
			t.Errorf("promoted, %s: %q", w[0], got)
		}
	}
	c.do("SET", "short", "v", "PX", "1")
	eventually(t, "keys expire again", func() bool { return c.do("DBSIZE") == "2" })
}

// TestDemotionEndsWaits: who waits for a key is sent away when the server becomes a replica, and what is in a batch
// behind REPLICAOF, or waits for its batons, is refused.
func TestDemotionEndsWaits(t *testing.T) {
	srv := startServer(t)
	waiter, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	waiter.send("BLPOP l 0\r\n")
	eventually(t, "it waits", func() bool { return c.info("clients", "blocked_clients") == "1" })
	c.send(fmt.Sprintf("SET a 1\r\nREPLICAOF 127.0.0.1 %s\r\nSET a 2\r\nGET a\r\n", need.Port(t)))
	c.want("OK", "OK", "-READONLY You can't write against a read only replica.", "1")
	waiter.want("-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
	waiter.wantClosed()
	if got := c.info("replication", "role"); got != "slave" {
		t.Errorf("role:%s", got)
	}
}

// TestReplicaShowsWholeTransactions: transfers between accounts of several shards, in transactions and scripts, leave
// their sum as it is whenever somebody looks.
func TestReplicaShowsWholeTransactions(t *testing.T) {
	const accounts, transfers = 16, 3000
	primary, srv := followRedis(t, 8, func(primary *client) {
		for i := range accounts {
			primary.do("SET", fmt.Sprint("account:", i), "100")
		}
	})
	look := []string{"MGET"}
	for i := range accounts {
		look = append(look, fmt.Sprint("account:", i))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := dial(t, primary.RemoteAddr().String())
		for i := range transfers {
			from, to := look[1+i%accounts], look[1+(i*7+3)%accounts]
			c.send(fmt.Sprintf("MULTI\r\nDECR %s\r\nINCR %s\r\nEXEC\r\n", from, to))
			for range 4 {
				if _, err := c.r.ReadReply(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	replica := dial(t, srv.Addr())
	for looks := 0; ; looks++ {
		sum := 0
		for _, n := range strings.Fields(strings.Trim(replica.do(look...), "[]")) {
			v, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
		if sum != accounts*100 {
			t.Fatalf("the sum is %d after %d looks", sum, looks)
		}
		select {
		case <-done:
			sameData(t, primary, replica)
			return
		default:
		}
	}
}

// TestReplicaKeepsAppendOnlyFile: a full sync replaces everything beside the log, and an append-only file begins with
// it.
func TestReplicaKeepsAppendOnlyFile(t *testing.T) {
	primary, srv := followRedis(t, 4, func(primary *client) {
		primary.do("DEBUG", "POPULATE", "1000", "key", "100")
	}, "--appendonly", "yes")
	redistest.Pour(t, primary.RemoteAddr().String(), redistest.Everything(), 7, 2000)
	c := dial(t, srv.Addr())
	sameData(t, primary, c)
	eventually(t, "there is an append-only file again", srv.aof.enabled)
	primary.do("SET", "later", "v")
	waitCaughtUp(t, primary, c)
	want := c.do("DEBUG", "DIGEST")
	dir := srv.cfg.Values().Dir
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	again := startServer(t, "--dir", dir, "--shards", "4", "--appendonly", "yes")
	c = dial(t, again.Addr())
	eventually(t, "it is loaded", func() bool { return c.info("persistence", "loading") == "0" })
	if got := c.do("DEBUG", "DIGEST"); got != want {
		t.Errorf("after a restart the digest is %s, want %s", got, want)
	}
}

// redisFollowing starts a redis-server that follows the one at addr.
func redisFollowing(t *testing.T, addr string, params ...string) *client {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	oracle := redistest.StartOracle(t, append([]string{
		"--enable-debug-command", "yes", "--replicaof", host + " " + port,
	}, params...)...)
	c := dial(t, oracle.Addr)
	waitLinked(t, c)
	return c
}

// TestRelaysRedis: a redis-server follows one of ours that follows a redis-server. It has the first one's offsets, goes
// on where it was when the link between any two is cut, and when the one in the middle is promoted.
func TestRelaysRedis(t *testing.T) {
	grammar := redistest.Everything()
	primary, srv := followRedis(t, 4, func(primary *client) {
		redistest.Pour(t, primary.RemoteAddr().String(), grammar, 1, 1000)
	}, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
	addr := primary.RemoteAddr().String()
	middle := dial(t, srv.Addr())
	last := redisFollowing(t, srv.Addr())
	for round := range 3 {
		redistest.Pour(t, addr, grammar, uint64(10+round), 800)
		middle.do("CLIENT", "KILL", "TYPE", []string{"replica", "master", "replica"}[round])
		redistest.Pour(t, addr, grammar, uint64(20+round), 800)
	}
	waitLinked(t, middle)
	sameData(t, primary, middle)
	sameData(t, primary, last)
	for _, field := range []string{"master_replid", "master_repl_offset"} {
		if want, got := primary.info("replication", field), last.info("replication", field); got != want {
			t.Errorf("%s: %s at the top, %s at the bottom", field, want, got)
		}
	}
	id := primary.info("replication", "master_replid")
	primary.send("SHUTDOWN NOSAVE NOW FORCE\r\n")
	eventually(t, "the link is down", func() bool { return middle.info("replication", "master_link_status") == "down" })
	if got := middle.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	if got := middle.info("replication", "master_replid2"); got != id {
		t.Errorf("the second id is %s, the old primary's was %s", got, id)
	}
	redistest.Pour(t, srv.Addr(), grammar, 30, 1000)
	waitLinked(t, last)
	sameData(t, middle, last)
	if full, partial := middle.info("stats", "sync_full"), middle.info("stats", "sync_partial_ok"); full != "1" ||
		partial == "0" {
		t.Errorf("%s full and %s partial synchronizations", full, partial)
	}
}
