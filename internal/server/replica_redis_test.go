package server

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

// A redis-server follows this one: what it has in the end is what we have.

// startReplica starts a redis-server that follows srv.
func startReplica(t testing.TB, srv *Server, args ...string) *client {
	t.Helper()
	replica, _ := startReplicaProcess(t, srv, args...)
	return replica
}

// startReplicaProcess is startReplica for a test that needs its process.
func startReplicaProcess(t testing.TB, srv *Server, args ...string) (replica *client, pid int) {
	t.Helper()
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	oracle := redistest.StartOracle(t, append([]string{"--replicaof", host + " " + port,
		"--enable-debug-command", "yes"}, args...)...)
	return dial(t, oracle.Addr), oracle.PID
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
		if proofShare > 1 && (c.shards < 8 || c.diskless == "no") {
			continue // the most goroutines are at work with the other one
		}
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

// TestReplicaComesBack: a replica whose link is cut under load goes on where it was, and if the backlog has gone on it
// gets everything again.
func TestReplicaComesBack(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "32mb")
	ours := dial(t, srv.Addr())
	fillAllTypes(ours, 7)
	replica := startReplica(t, srv)
	ours.equalTo(replica)
	const cuts = 10
	wait := play(t, srv.Addr(), 7, 3000)
	for i := range cuts {
		eventually(t, "the replica is back", func() bool {
			return ours.info("stats", "sync_partial_ok") == strconv.Itoa(i) &&
				strings.Contains(ours.info("replication", "slave0"), "state=online")
		})
		if got := ours.do("CLIENT", "KILL", "TYPE", "replica"); got != "1" {
			t.Fatalf("%s replicas were killed", got)
		}
	}
	wait()
	ours.equalTo(replica)
	for field, want := range map[string]string{"sync_full": "1", "sync_partial_ok": strconv.Itoa(cuts),
		"sync_partial_err": "0"} {
		if got := ours.info("stats", field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	// Now it stays away for longer than the backlog reaches.
	ours.do("CONFIG", "SET", "repl-backlog-size", "1")
	host, port, _ := net.SplitHostPort(srv.Addr())
	if got := replica.do("REPLICAOF", "127.0.0.1", "1"); got != "OK" {
		t.Fatal(got)
	}
	eventually(t, "the replica is gone", func() bool { return ours.info("replication", "connected_slaves") == "0" })
	for range 3 * 8 { // each of 8 shards has a block of 1 MiB that is begun
		for i := range 8 {
			ours.do("SET", "away:"+strconv.Itoa(i), strings.Repeat("x", 1<<18))
		}
	}
	srv.set.Log.Trim()
	replica.do("REPLICAOF", host, port)
	ours.equalTo(replica)
	if got := ours.info("stats", "sync_full"); got != "2" {
		t.Errorf("sync_full is %s, want 2", got)
	}
}

// TestWaitForReplicas: WAIT counts replicas that have everything, ends when there are enough, and NOREPLICAS comes when
// there are not.
func TestWaitForReplicas(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1",
		"--min-replicas-max-lag", "600")
	ours := dial(t, srv.Addr())
	if got := ours.do("SET", "a", "1"); got != "-NOREPLICAS Not enough good replicas to write." {
		t.Errorf("SET without a replica: %s", got)
	}
	if got := ours.do("GET", "a"); got != "nil" {
		t.Errorf("GET without a replica: %s", got)
	}
	replica, pid := startReplicaProcess(t, srv)
	ours.equalTo(replica)
	eventually(t, "writes are accepted", func() bool { return ours.do("SET", "a", "1") == "OK" })
	for i := range 20 {
		ours.do("SET", "k", strconv.Itoa(i))
		if got := ours.do("WAIT", "1", "0"); got != "1" {
			t.Fatalf("WAIT: %s", got)
		}
		if got := replica.do("GET", "k"); got != strconv.Itoa(i) {
			t.Fatalf("after WAIT the replica has %s, not %d", got, i)
		}
	}
	if got := ours.do("WAIT", "2", "10"); got != "1" {
		t.Errorf("WAIT for two: %s", got)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ours.do("SET", "k", "unseen")
	if got := ours.do("WAIT", "1", "50"); got != "0" {
		t.Errorf("WAIT for a replica that stands still: %s", got)
	}
	other := dial(t, srv.Addr())
	other.send("WAIT 1 0\r\n") // it has seen nothing: the replica has all that is to be waited for
	other.want("1")
	other.send("GET k\r\nWAIT 1 0\r\n")
	other.want("unseen")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	other.want("1")
	if got := replica.do("GET", "k"); got != "unseen" {
		t.Errorf("after WAIT the replica has %s", got)
	}
	ours.do("CONFIG", "SET", "min-replicas-max-lag", "5")
	eventually(t, "writes are refused while the replica says nothing", func() bool {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(ours.do("SET", "a", "2"), "-NOREPLICAS")
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writes are accepted again", func() bool { return ours.do("SET", "a", "3") == "OK" })
	ours.equalTo(replica)
}

// TestSlowReplica: one that reads nothing is disconnected at its limit, what is kept for it is bounded until then, and
// when it reads again it comes back and catches up.
func TestSlowReplica(t *testing.T) {
	for _, limits := range [][]string{
		{"--client-output-buffer-limit", "replica 8mb 0 0"},
		{"--client-output-buffer-limit", "replica 0 4mb 1", "--repl-spool-limit", "0"},
		{"--client-output-buffer-limit", "replica 0 0 0", "--log-memory-limit", "32mb", "--repl-spool-limit", "0"},
		{"--client-output-buffer-limit", "replica 0 0 0", "--repl-spool-limit", "16mb"},
	} {
		t.Run(strings.Join(limits, " "), func(t *testing.T) {
			srv := startServer(t, append([]string{"--repl-diskless-sync-delay", "0"}, limits...)...)
			ours := dial(t, srv.Addr())
			replica, pid := startReplicaProcess(t, srv)
			ours.equalTo(replica)
			value := strings.Repeat("x", 64<<10)
			most, sent := int64(0), 0
			eventuallyOr(t, func() bool {
				// Each time: whatever has everything stand still and go on may have had it go on, too.
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				for range 4 {
					ours.do("SET", "k"+strconv.Itoa(sent%100), value)
					sent++
				}
				most = max(most, srv.set.Log.MemoryBytes())
				return ours.info("replication", "connected_slaves") == "0"
			}, func() string {
				return fmt.Sprintf("the replica is disconnected; %d values of %d bytes were sent, the log took %d\n%s",
					sent, len(value), most, ours.do("INFO", "replication"))
			})
			// The kernel's buffers take some megabytes, and between two looks at the limit some come in.
			if most > 200<<20 {
				t.Errorf("the log took %d MB", most>>20)
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			ours.equalTo(replica)
		})
	}
}

// TestRedisCliAsReplica: redis-cli gets a file with all data, by either way of sending it, and one without any.
func TestRedisCliAsReplica(t *testing.T) {
	cli := need.Program(t, "redis-cli")
	for _, diskless := range []string{"yes", "no"} {
		srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", diskless)
		ours := dial(t, srv.Addr())
		fillAllTypes(ours, 3)
		host, port, _ := net.SplitHostPort(srv.Addr())
		dir := t.TempDir()
		for option, want := range map[string]string{"--rdb": ours.do("DEBUG", "DIGEST"),
			"--functions-rdb": strings.Repeat("0", 40)} {
			file := filepath.Join(dir, "dump.rdb")
			out, err := exec.Command(cli, "-h", host, "-p", port, option, file).CombinedOutput()
			if err != nil {
				t.Fatalf("redis-cli %s: %v\n%s", option, err, out)
			}
			theirs := dial(t, redistest.StartOracle(t, "--dir", dir, "--enable-debug-command", "yes").Addr)
			if got := theirs.do("DEBUG", "DIGEST"); got != want {
				t.Errorf("redis-cli %s, diskless %s: digest %s, want %s", option, diskless, got, want)
			}
		}
		left, err := filepath.Glob(filepath.Join(srv.cfg.Values().Dir, "*.rdb"))
		if err != nil || len(left) > 0 {
			t.Errorf("files are left: %q, %v", left, err)
		}
		eventually(t, "nobody follows", func() bool { return ours.info("replication", "connected_slaves") == "0" })
		watchStream(t, cli, host, port, ours)
	}
}

// watchStream has redis-cli show what is written from now on.
func watchStream(t *testing.T, cli, host, port string, c *client) {
	t.Helper()
	cmd := exec.Command(cli, "-h", host, "-p", port, "--replica")
	shown, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis-cli follows", func() bool {
		return strings.Contains(c.do("INFO", "replication"), "state=online")
	})
	c.do("SET", "first", "1") // it takes that for the reply to its acknowledgement
	c.do("SET", "watched", "value")
	lines := bufio.NewScanner(shown)
	for lines.Scan() && !strings.Contains(lines.Text(), `"watched","value"`) {
	}
	if err := lines.Err(); err != nil || !strings.Contains(lines.Text(), "watched") {
		t.Errorf("redis-cli shows %q, %v", lines.Text(), err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}
