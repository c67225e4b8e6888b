package server

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/persist/aof"
)

const misconfEIO = "-MISCONF Errors writing to the AOF file: Input/output error"

// TestPoliciesAreThose: the policies of package config are those of package aof.
func TestPoliciesAreThose(t *testing.T) {
	for policy, word := range map[config.AppendFsync]string{
		config.FsyncEverySec: "everysec", config.FsyncAlways: "always", config.FsyncNo: "no",
	} {
		if got := aof.Policy(policy).String(); got != word {
			t.Errorf("%s is %s", word, got)
		}
	}
}

// TestLogFailure: while syncs fail, writes, PING and EXEC of writes are refused as Redis words it; what was executed
// before keeps waiting, and nothing of it is lost or acknowledged early; reads go on. When syncs work again all goes on
// by itself.
func TestLogFailure(t *testing.T) {
	for _, policy := range []string{"always", "everysec"} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			g := startGated(t, gatedOptions{dir: dir, args: []string{"--appendfsync", policy}})
			c, waits := dial(t, g.Addr()), g.dial()
			c.send("SET before 1\r\n")
			c.want("OK")
			g.disk.stop() // so that no sync fails before the write is executed
			executed := g.set.Log.LSN()
			waits.say("SET a 1")
			eventually(t, "it is executed", func() bool { return g.set.Log.LSN() > executed })
			g.disk.fail(syscall.EIO)
			g.disk.resume()
			if policy == "always" {
				if err := waits.held(5); err != nil {
					t.Fatal(err)
				}
			}
			other := dial(t, g.Addr())
			eventually(t, "the failure is known", func() bool {
				return other.info("persistence", "aof_last_write_status") == "err"
			})
			elsewhere := g.keyOn(g.set.ShardOf([]byte("a")) ^ 1)
			other.send("SET b 1\r\nPING\r\nGET " + elsewhere + "\r\nMULTI\r\nSET b 1\r\nEXEC\r\n")
			other.want(misconfEIO, misconfEIO, "nil", "OK", misconfEIO,
				"-EXECABORT Transaction discarded because of previous errors.")
			eventually(t, "the log says so", func() bool {
				return strings.Contains(g.log.String(), "writes are refused until it works again")
			})
			g.disk.fail(nil)
			if err := waits.gets("+OK\r\n"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the recovery is known", func() bool {
				return other.info("persistence", "aof_last_write_status") == "ok"
			})
			other.send("SET b 2\r\nPING\r\nGET a\r\n")
			other.want("OK", "PONG", "1")
			if err := g.Shutdown(); err != nil {
				t.Fatal(err)
			}
			again := startGated(t, gatedOptions{dir: dir})
			c = dial(t, again.Addr())
			c.send("MGET before a b\r\n")
			c.want("[1 1 2]")
		})
	}
}

// TestLogFailureAtTheEnd: what can't be synced when the server ends is not acknowledged, and the error is told.
func TestLogFailureAtTheEnd(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "always"}})
	c := g.dial()
	g.disk.fail(syscall.ENOSPC)
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		t.Fatal(err)
	}
	if err := g.Shutdown(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("the server has ended with %v", err)
	}
	if err := c.ends(); err != nil || len(c.got) > 0 {
		t.Errorf("%v, %q has left", err, c.got)
	}
}

// TestShutdownReleases: what waits when the server ends leaves when it is synced, before the connections are closed.
func TestShutdownReleases(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "always"}})
	c := g.dial()
	g.disk.stop()
	c.say("SET a 1")
	if err := c.held(5); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Shutdown() }()
	eventually(t, "the end waits for the disk", func() bool {
		return strings.Contains(g.log.String(), "Calling fsync()")
	})
	if c.arrived(time.Millisecond); len(c.got) > 0 {
		t.Fatalf("%q has left", c.got)
	}
	g.disk.resume()
	if err := c.gets("+OK\r\n"); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	m, err := aof.ReadManifest(g.disk, filepath.Join(g.cfg.Values().Dir, "appendonlydir"), "appendonly.aof")
	if err != nil || m.Last().State != aof.Clean || m.Last().EndLSN != g.set.Log.LSN() {
		t.Errorf("the manifest says %+v, %v", m, err)
	}
}

// TestEverySecGates: under everysec, once the oldest write that is not synced is 800 ms old, nothing more is
// acknowledged until it is; INFO counts that.
func TestEverySecGates(t *testing.T) {
	g := startGated(t, gatedOptions{fake: true})
	g.clock.Advance(time.Second)
	c, other := g.dial(), dial(t, g.Addr())
	g.disk.stop()
	c.say("SET a 1")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	at := func(ms int64) {
		g.clock.Advance(time.Duration(ms) * time.Millisecond)
		g.gate.update()
	}
	eventually(t, "the write is not synced", func() bool { return g.aof.writer.Load().UnsyncedSinceNs() != 0 })
	since := g.aof.writer.Load().UnsyncedSinceNs()
	at(799 - (g.clock.NowNs()-since)/1e6)
	c.say("SET a 2")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	at(1)
	c.say("SET a 3")
	if err := c.held(5); err != nil {
		t.Fatal(err)
	}
	at(100)
	for field, want := range map[string]string{
		"aof_gated_for_age": "1", "aof_gated_for_age_msec": "100", "aof_replies_held_bytes": "5",
	} {
		if got := other.info("persistence", field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	g.disk.resume()
	eventually(t, "it is synced", func() bool {
		at(10)
		return g.aof.writer.Load().UnsyncedSinceNs() == 0
	})
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	at(0)
	c.say("SET a 4")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Error(err)
	}
	// It is over when another policy has other rules.
	g.disk.stop()
	c.say("SET a 5")
	eventually(t, "the write is not synced", func() bool { return g.aof.writer.Load().UnsyncedSinceNs() != 0 })
	at(1000)
	was := g.gate.figures()
	g.aof.policy.Store(int32(aof.Always))
	at(0)
	at(500)
	if now := g.gate.figures(); !was.late || now.late || now.lateRuns != 2 || now.lateNs != was.lateNs {
		t.Errorf("%+v under everysec, %+v under always", was, now)
	}
	g.disk.resume()
}

// TestAppendfsyncAtRunTime: the policy holds from the moment on at which it is set.
func TestAppendfsyncAtRunTime(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "no"}})
	c, other := g.dial(), dial(t, g.Addr())
	g.disk.stop()
	c.say("SET a 1")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	other.do("CONFIG", "SET", "appendfsync", "always")
	c.say("SET a 2")
	if err := c.held(5); err != nil {
		t.Fatal(err)
	}
	g.disk.resume()
	if err := c.gets("+OK\r\n"); err != nil {
		t.Error(err)
	}
	other.do("CONFIG", "SET", "appendfsync", "no")
	g.disk.stop()
	c.say("SET a 3")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	g.disk.resume()
}

// TestWaitaof: it replies when what the session has done is synced, at its time, when it is unblocked; in a transaction
// at once. Under no it has a sync made.
func TestWaitaof(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "no"}})
	c, other := g.dial(), dial(t, g.Addr())
	g.disk.stop()
	c.say("SET a 1", "WAITAOF 1 0 0", "PING")
	if err := c.gets("+OK\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := g.waiting(1); err != nil {
		t.Fatal(err)
	}
	other.wantInfo("clients", "blocked_clients", "1")
	g.disk.resume()
	if err := c.gets("*2\r\n:1\r\n:0\r\n+PONG\r\n"); err != nil {
		t.Fatal(err)
	}
	g.disk.stop()
	c.say("SET a 2", "WAITAOF 1 0 20", "MULTI", "WAITAOF 1 0 0", "EXEC")
	if err := c.gets("+OK\r\n*2\r\n:0\r\n:0\r\n+OK\r\n+QUEUED\r\n*1\r\n*2\r\n:0\r\n:0\r\n"); err != nil {
		t.Fatal(err)
	}
	victim := c.id()
	for _, unblock := range []struct{ how, want string }{
		{"TIMEOUT", "*2\r\n:0\r\n:0\r\n"}, {"ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"},
	} {
		c.say("WAITAOF 1 0 0")
		if err := g.waiting(1); err != nil {
			t.Fatal(err)
		}
		if got := other.do("CLIENT", "UNBLOCK", victim, unblock.how); got != "1" {
			t.Errorf("CLIENT UNBLOCK: %s", got)
		}
		if err := c.gets(unblock.want); err != nil {
			t.Fatal(err)
		}
	}
	c.say("WAITAOF 0 1 30")
	if err := c.gets("*2\r\n:0\r\n:0\r\n"); err != nil {
		t.Error(err)
	}
	// One that goes away while it waits is forgotten.
	c.say("WAITAOF 1 0 0")
	if err := g.waiting(1); err != nil {
		t.Fatal(err)
	}
	other.do("CLIENT", "KILL", "ID", victim)
	if err := g.waiting(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing waits", func() bool { return len(*g.aof.waits.Load()) == 0 })
	g.disk.resume()
	g.flushLoops()
	for _, l := range g.loops {
		if len(l.syncWaits) != 0 {
			t.Error("a loop still knows a wait")
		}
	}
}

// TestWaitaofOutlivesPolicy: who waits under everysec is replied to under no, too, although nothing has been synced by
// then of what the session has written.
func TestWaitaofOutlivesPolicy(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "everysec"}})
	c, other := g.dial(), dial(t, g.Addr())
	g.disk.stop()
	other.do("SET", "a", "1")
	eventually(t, "a sync is under way", func() bool { return g.aof.writer.Load().Stats().Syncing })
	c.say("SET b 1", "WAITAOF 1 0 0")
	if err := g.waiting(1); err != nil {
		t.Fatal(err)
	}
	other.do("CONFIG", "SET", "appendfsync", "no")
	g.disk.resume()
	if err := c.gets("+OK\r\n*2\r\n:1\r\n:0\r\n"); err != nil {
		t.Fatal(err)
	}
}

// TestLogLimit: when the disk is slower than those who write, they wait at the limit of the log's memory, and go on.
func TestLogLimit(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-ring-dir", "no", "--log-memory-limit", "1mb"}})
	g.disk.stop()
	c, other := g.dial(), dial(t, g.Addr())
	limit := int64(8 << 20) // two blocks a shard
	value := strings.Repeat("x", 50_000)
	const sets = 1000
	go func() {
		for i := range sets {
			if _, err := fmt.Fprintf(c.conn, "SET %s %s\r\n", g.keyOn(i%3), value); err != nil {
				return
			}
		}
	}()
	eventually(t, "writers wait", func() bool { return g.set.Log.OverLimit() })
	g.flushLoops()
	at := g.set.Log.LSN()
	if other.do("GET", g.keyOn(3)) != "nil" { // of a shard that is not written: the age of writes is of no concern
		t.Error("a read has to wait")
	}
	g.flushLoops()
	if now := g.set.Log.LSN(); now != at || g.set.Log.MemoryBytes() > 2*limit {
		t.Errorf("%d bytes were written meanwhile, %d are in memory", now-at, g.set.Log.MemoryBytes())
	}
	g.disk.resume()
	if err := c.gets(strings.Repeat("+OK\r\n", sets)); err != nil {
		t.Errorf("%.200s", err) // which has all that was replied
	}
}

// TestLimitWhileFailing: writers at the limit of the log's memory don't wait for a disk that fails: they are refused,
// the ones that waited already as well.
func TestLimitWhileFailing(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-ring-dir", "no", "--log-memory-limit", "1mb"}})
	g.disk.stop()
	c, other, late := dial(t, g.Addr()), dial(t, g.Addr()), dial(t, g.Addr())
	set := "SET " + g.keyOn(0) + " " + strings.Repeat("x", 50_000) + "\r\n"
	const sets = 1000
	go func() {
		for range sets {
			if _, err := io.WriteString(c.Conn, set); err != nil {
				return
			}
		}
	}()
	eventually(t, "writers wait", func() bool { return g.set.Log.OverLimit() })
	late.send("SET " + g.keyOn(3) + " 1\r\n")
	defer g.disk.fail(nil)
	g.disk.fail(syscall.EIO)
	g.disk.resume()
	eventually(t, "the failure is known", func() bool {
		return other.info("persistence", "aof_last_write_status") == "err"
	})
	if !g.set.Log.OverLimit() {
		t.Fatal("the log has room")
	}
	other.send("SET " + g.keyOn(3) + " 1\r\n")
	other.want(misconfEIO)
	late.want(misconfEIO)
	g.disk.fail(nil)
	for range sets {
		if got := c.reply(); got != misconfEIO && got != "OK" {
			t.Fatal(got)
		}
	}
}

// TestBesideTheRing: while files can't be written, what is in the ring is acknowledged, and nothing that is beside it:
// the end of the process would lose that.
func TestBesideTheRing(t *testing.T) {
	if err := besideTheRing(t, gateSound); err != nil {
		t.Error(err)
	}
	if besideTheRing(t, besideRing) == nil {
		t.Error("the planted mistake was not noticed")
	}
}

func besideTheRing(t *testing.T, fault gateFault) error {
	g := startGated(t, gatedOptions{fault: fault, args: []string{"--appendfsync", "no", "--aof-ring-size", "1mb"}})
	if g.set.Log.Ring() == nil {
		need.Missing(t, "there is no ring on this machine")
	}
	c, other := g.dial(), dial(t, g.Addr())
	set := "SET " + g.keyOn(0) + " " + strings.Repeat("x", 50_000)
	g.disk.writes.Lock()
	locked := true
	unlock := func() {
		if locked {
			locked = false
			g.disk.writes.Unlock()
		}
	}
	defer unlock()
	sets := 0
	for ; g.set.Log.AllSafe(); sets++ {
		c.say(set)
		c.got = nil
		eventually(t, "it is acknowledged, or beside the ring", func() bool {
			c.arrived(time.Millisecond)
			return len(c.got) == 5 || !g.set.Log.AllSafe()
		})
	}
	c.say(set)
	eventually(t, "all is executed", func() bool { return g.set.Log.LSN() > uint64((sets+1)*50_000) })
	g.flushLoops()
	c.got = nil
	// What was replied in the last moment may belong to the ring; this doesn't.
	if held := g.reactor.HeldBytes(); held < 5 {
		return fmt.Errorf("%d bytes are held", held)
	}
	if other.do("GET", g.keyOn(1)) != "nil" {
		t.Error("a read has to wait")
	}
	unlock()
	eventually(t, "all has left", func() bool { return g.reactor.HeldBytes() == 0 })
	return nil
}

// TestWrittenIsTheWritersToSay: who looks at the Writer, which goes on meanwhile, takes nothing back of what it has
// told the log since.
func TestWrittenIsTheWritersToSay(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-ring-dir", "no"}})
	dial(t, g.Addr()).do("SET", "a", "1")
	later := g.aof.writer.Load().WrittenLSN() + 100
	g.set.Log.SetWritten(later)
	g.aof.advanced()
	if safe := g.set.Log.SafeLSN(); safe != later {
		t.Errorf("%d bytes were safe, and then %d", later, safe)
	}
}

// TestOneWayOut: what leaves to a session goes through the functions that mark it.
func TestOneWayOut(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") || name == "reply.go" {
			continue
		}
		for _, call := range []string{"conn.Write", "conn.WriteOwned"} {
			if strings.Contains(string(text), call+"(") || strings.Contains(string(text), call+")") {
				t.Errorf("%s calls %s: use send, or write for what does not tell of data", name, call)
			}
		}
	}
}

// TestFirstBase: an append-only file that is new begins with the snapshot; from then on the snapshot doesn't count. The
// files of a first start that was broken off don't matter, those of a lost manifest do.
func TestFirstBase(t *testing.T) {
	dir := t.TempDir()
	s := startGated(t, gatedOptions{dir: dir, args: []string{"--appendonly", "no"}})
	c := dial(t, s.Addr())
	for i := range 1000 {
		c.do("SET", fmt.Sprintf("s%d", i), strings.Repeat("v", i))
		c.do("RPUSH", "l"+strconv.Itoa(i%3), strconv.Itoa(i))
	}
	digest := c.do("DEBUG", "DIGEST")
	if got := c.do("SAVE"); got != "OK" {
		t.Fatal(got)
	}
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "appendonlydir")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(files, "appendonly.aof.1.incr.0.aof")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		g := startGated(t, gatedOptions{dir: dir, args: []string{"--shards", strconv.Itoa(4 + 3*(round/2))}})
		c := dial(t, g.Addr())
		if got := c.do("DEBUG", "DIGEST"); got != digest {
			t.Fatalf("start %d: digest %s, want %s", round, got, digest)
		}
		if got := c.do("SET", "round", strconv.Itoa(round)); got != "OK" {
			t.Fatal(got)
		}
		digest = c.do("DEBUG", "DIGEST")
		if err := g.Shutdown(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if err := os.Remove(filepath.Join(dir, "dump.rdb.manifest")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Remove(filepath.Join(files, "appendonly.aof.manifest")); err != nil {
		t.Fatal(err)
	}
	g := newGated(t, gatedOptions{dir: dir})
	if err := g.Start(); err == nil || !strings.Contains(err.Error(), "there is no manifest") {
		t.Errorf("the server has started without its manifest: %v", err)
	}
	if err := g.space.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilledServers: a server that is killed is started again and has everything that it has acknowledged, under every
// policy.
func TestKilledServers(t *testing.T) {
	for i, test := range []struct{ policy, ring, otherRing string }{
		{"always", "", ""}, {"everysec", "", ""}, {"no", "", ""}, {"everysec", "no", "no"},
		{"no", "/nosuch", "/nosuch"}, {"no", "", "no"}, {"no", "", "another"},
	} {
		if i > 0 && proofShare > 1 {
			break // the detector is not in the server's program
		}
		t.Run(fmt.Sprintf("%s with a ring in %s %s", test.policy, test.ring, test.otherRing), func(t *testing.T) {
			dir, rings := t.TempDir(), [2]string{test.ring, test.otherRing}
			if test.ring == "" {
				rings[0] = ringDir(t)
			}
			switch test.otherRing {
			case "":
				rings[1] = rings[0]
			case "another":
				rings[1] = ringDir(t)
			}
			args := []string{
				"--dir", dir, "--appendonly", "yes", "--appendfsync", test.policy, "--enable-debug-command", "yes",
				"--aof-ring-dir",
			}
			digest := strings.Repeat("0", 40)
			for round := range uint64(3) {
				p := startProcess(t, append(args, rings[round%2])...)
				c := dial(t, p.addr)
				c.loaded()
				if got := c.do("DEBUG", "DIGEST"); got != digest {
					t.Fatalf("start %d: digest %s, want %s\n%s", round, got, digest, p.log)
				}
				fillAllTypes(c, round)
				digest = c.do("DEBUG", "DIGEST")
				p.kill()
			}
			p := startProcess(t, append(args, rings[1])...)
			c := dial(t, p.addr)
			c.loaded()
			if got := c.do("DEBUG", "DIGEST"); got != digest {
				t.Errorf("digest %s, want %s", got, digest)
			}
			if err := p.stop(); err != nil {
				t.Errorf("the server has ended with %v", err)
			}
			for _, ring := range rings {
				if left, err := os.ReadDir(ring); err == nil && len(left) > 0 {
					t.Errorf("a ring was left in %s: %v", ring, left)
				}
			}
		})
	}
}

// loaded waits until the server has loaded.
func (c *client) loaded() {
	c.t.Helper()
	eventually(c.t, "the data is loaded", func() bool { return !strings.HasPrefix(c.do("DBSIZE"), "-LOADING") })
}
