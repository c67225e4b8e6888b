package server

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

// replicaofArg is the parameter that has a server follow the one at addr.
func replicaofArg(t testing.TB, addr string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host + " " + port
}

// wantPartial fails the test unless the primary has made one full synchronization, and a number of partial ones that is
// at least this.
func wantPartial(t testing.TB, primary *client, least int) {
	t.Helper()
	n, err := strconv.Atoi(primary.info("stats", "sync_partial_ok"))
	if full := primary.info("stats", "sync_full"); err != nil || full != "1" || n < least {
		t.Errorf("%s full and %d partial synchronizations, want 1 and %d", full, n, least)
	}
}

// TestReplicaOfRedisRestarts: a replica of a redis-server goes on where it was when it is started again, from its
// snapshot, in one file or in segments, and from its append-only file.
func TestReplicaOfRedisRestarts(t *testing.T) {
	for _, how := range [][]string{
		{"--rdb-segments", "no"}, {"--rdb-segments", "yes"}, {"--appendonly", "yes", "--aof-ring-dir", "no"},
	} {
		t.Run(strings.TrimLeft(how[0], "-")+" "+how[1], func(t *testing.T) {
			logged := how[0] == "--appendonly"
			grammar := redistest.Everything()
			args := append([]string{"--dir", t.TempDir()}, how...)
			primary, srv := followRedis(t, 4, nil, args...)
			addr := primary.RemoteAddr().String()
			if logged {
				eventually(t, "there is an append-only file again", srv.aof.enabled)
			}
			for round := range 2 {
				redistest.Pour(t, addr, grammar, uint64(round), 400)
				c := dial(t, srv.Addr())
				if !logged {
					if got := c.do("SAVE"); got != "OK" {
						t.Fatal(got)
					}
				}
				if err := srv.Shutdown(); err != nil {
					t.Fatal(err)
				}
				redistest.Pour(t, addr, grammar, uint64(100+round), 400)
				srv = startServer(t, append(args, "--shards", "4", "--replicaof", replicaofArg(t, addr))...)
				c = dial(t, srv.Addr())
				c.loaded()
				waitLinked(t, c)
				sameData(t, primary, c)
			}
			wantPartial(t, primary, 2)
		})
	}
}

// TestKilledReplicaOfRedis: the process of a replica with an append-only file is killed while the primary is written
// to, time and again, and goes on where it was.
func TestKilledReplicaOfRedis(t *testing.T) {
	primary := dial(t, redistest.StartOracle(t, "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0",
		"--repl-backlog-size", "16mb").Addr)
	addr := primary.RemoteAddr().String()
	args := []string{"--appendonly", "yes", "--dir", t.TempDir(), "--enable-debug-command", "yes", "--save", "",
		"--replicaof", replicaofArg(t, addr)}
	p := startProcess(t, args...)
	c := dial(t, p.addr)
	waitLinked(t, c)
	eventually(t, "there is an append-only file again", func() bool {
		return strings.Contains(c.do("INFO", "persistence"), "aof_lsn:")
	})
	rounds := 3
	if proofShare > 1 {
		rounds = 1
	}
	for round := range rounds {
		poured := make(chan struct{})
		go func() {
			defer close(poured)
			redistest.Pour(t, addr, redistest.Everything(), uint64(round), 3000)
		}()
		seen := c.info("replication", "slave_repl_offset")
		eventually(t, "the stream runs", func() bool { return c.info("replication", "slave_repl_offset") != seen })
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.done <- <-p.done
		<-poured
		p = startProcess(t, args...)
		c = dial(t, p.addr)
		c.loaded()
		waitLinked(t, c)
		sameData(t, primary, c)
	}
	wantPartial(t, primary, rounds)
}

// TestRedisFollowsRestartedPrimary: a redis-server goes on with a primary that was started again from its snapshot,
// also with keys whose time has come meanwhile; unless the snapshot is older than what the replica has.
func TestRedisFollowsRestartedPrimary(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(map[bool]string{false: "new", true: "old"}[old], func(t *testing.T) {
			args := []string{
				"--dir", t.TempDir(), "--port", need.Port(t), "--repl-diskless-sync-delay", "0",
			}
			srv := startServer(t, args...)
			c := dial(t, srv.Addr())
			last := redisFollowing(t, srv.Addr())
			redistest.Pour(t, srv.Addr(), redistest.Everything(), 1, 500)
			c.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
			c.do("SET", "gone", "v", "PX", "1")
			if got := c.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
			if old {
				c.do("SET", "lost", "v")
			}
			waitCaughtUp(t, c, last)
			id := c.info("replication", "master_replid")
			if err := srv.Shutdown(); err != nil {
				t.Fatal(err)
			}
			srv = startServer(t, args...)
			c = dial(t, srv.Addr())
			c.loaded()
			c.do("SET", "new_", "v") // as long as what is lost
			eventually(t, "the replica is back", func() bool {
				return strings.Contains(c.do("INFO", "replication"), "state=online")
			})
			sameData(t, c, last)
			eventually(t, "the key is gone", func() bool { return c.do("DBSIZE") == last.do("DBSIZE") })
			full, partial := c.info("stats", "sync_full"), c.info("stats", "sync_partial_ok")
			want := map[bool]string{false: "0 1", true: "1 0"}[old]
			if got := full + " " + partial; got != want {
				t.Errorf("full and partial synchronizations: %s, want %s", got, want)
			}
			if got := c.info("replication", "master_replid2"); got != id {
				t.Errorf("the second name is %s, the one of before was %s", got, id)
			}
		})
	}
}

// TestChainRestarts: the server in the middle is started again; the one above and the one below it go on, and so does
// the latter when the one in the middle becomes a primary.
func TestChainRestarts(t *testing.T) {
	args := []string{"--dir", t.TempDir(), "--port", need.Port(t), "--repl-diskless-sync-delay", "0",
		"--appendonly", "yes", "--aof-ring-dir", "no"}
	primary, srv := followRedis(t, 4, nil, args...)
	addr := primary.RemoteAddr().String()
	eventually(t, "there is an append-only file again", srv.aof.enabled)
	last := redisFollowing(t, srv.Addr())
	redistest.Pour(t, addr, redistest.Everything(), 1, 500)
	sameData(t, primary, last)
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	redistest.Pour(t, addr, redistest.Everything(), 2, 500)
	srv = startServer(t, append(args, "--shards", "4", "--replicaof", replicaofArg(t, addr))...)
	c := dial(t, srv.Addr())
	c.loaded()
	waitLinked(t, c)
	eventually(t, "the last one is back", func() bool { return last.info("replication", "master_link_status") == "up" })
	sameData(t, primary, last)
	wantPartial(t, primary, 1)
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	redistest.Pour(t, srv.Addr(), redistest.Everything(), 3, 500)
	eventually(t, "the last one is back", func() bool { return last.info("replication", "master_link_status") == "up" })
	sameData(t, c, last)
	if full := c.info("stats", "sync_full"); full != "0" {
		t.Errorf("below it there were %s full synchronizations", full)
	}
}

// TestKilledPrimary: a primary with an append-only file is killed. Who has all of it goes on, who says that he has more
// does not, and neither does he once there is as much as he has.
func TestKilledPrimary(t *testing.T) {
	args := []string{"--appendonly", "yes", "--dir", t.TempDir(), "--repl-diskless-sync-delay", "0", "--save", ""}
	p := startProcess(t, args...)
	c := dial(t, p.addr)
	c.do("SET", "k", "v")
	last := redisFollowing(t, p.addr)
	c.do("SET", "l", "v")
	waitCaughtUp(t, c, last)
	id := c.info("replication", "master_replid")
	end, err := strconv.ParseInt(last.info("replication", "slave_repl_offset"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.done <- <-p.done
	p = startProcess(t, args...)
	c = dial(t, p.addr)
	c.loaded()
	ask := func(position int64, want string) {
		t.Helper()
		r := dialReplicaAt(t, p.addr)
		r.say("PSYNC " + id + " " + strconv.FormatInt(position+1, 10))
		if got := r.line(); !strings.HasPrefix(got, want) {
			t.Errorf("with %d bytes of %d: %s, want %s", position, end, got, want)
		}
	}
	ask(end, "+CONTINUE")
	ask(end+1, "+FULLRESYNC")
	c.do("SET", "m", "v")
	ask(end+1, "+FULLRESYNC")
	if got := c.info("replication", "master_replid2"); got != id {
		t.Errorf("the second name is %s, the one of before was %s", got, id)
	}
}
