package server

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lagging is a replica that acknowledges what the test says, at an address that the test listens on.
type lagging struct {
	*rawReplica
	ln   net.Listener
	port string
	id   string
	lsn  int64 // up to which it has acknowledged at first
}

func dialLagging(t testing.TB, srv *Server) *lagging {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	x := &lagging{rawReplica: dialReplica(t, srv), ln: ln, port: strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)}
	x.say("REPLCONF listening-port " + x.port)
	if got := x.line(); got != "+OK" {
		t.Fatal(got)
	}
	x.id, x.lsn = x.full()
	c := dial(t, srv.Addr())
	eventually(t, "it is online", func() bool { return strings.Contains(c.do("ROLE"), " "+x.port+" ") })
	return x
}

// ack has it acknowledge so much.
func (x *lagging) ack(lsn int64) { x.say(fmt.Sprint("REPLCONF ACK ", lsn)) }

// askedToTakeOver accepts the connection of the primary that hands over.
func (x *lagging) askedToTakeOver(offset int64, answer string) *fakePrimary {
	x.t.Helper()
	p := &fakePrimary{t: x.t, ln: x.ln}
	p.accept(fmt.Sprintf("%s %d FAILOVER", x.id, offset+1), answer)
	return p
}

func failoverServer(t testing.TB) (*Server, *client) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000")
	return srv, dial(t, srv.Addr())
}

// write is a SET in the stream.
var failoverWrite = []string{"SET", "k", "v"}

// TestFailoverWaits: until the replica has everything writes wait, nothing else does, and nobody else may change the
// role or become a replica. Given up, everything is as it was.
func TestFailoverWaits(t *testing.T) {
	srv, ours := failoverServer(t)
	x := dialLagging(t, srv)
	ours.do(failoverWrite...)
	for _, c := range []struct{ command, want string }{
		{"FAILOVER FORCE", "-ERR FAILOVER with force option requires both a timeout and target HOST and IP."},
		{"FAILOVER FORCE TIMEOUT 1", "-ERR FAILOVER with force option requires both a timeout and target HOST and IP."},
		{"FAILOVER TO 127.0.0.1 1", "-ERR FAILOVER target HOST and PORT is not a replica."},
		{"FAILOVER TO 127.0.0.1 " + x.port, "OK"},
		{"FAILOVER", "-ERR FAILOVER already in progress."},
		{"REPLICAOF 127.0.0.1 1", "-ERR REPLICAOF not allowed while failing over."},
		{"REPLICAOF NO ONE", "-ERR REPLICAOF not allowed while failing over."},
		{"PSYNC ? -1", "-NOMASTERLINK Can't SYNC while failing over"},
		{"SYNC", "-NOMASTERLINK Can't SYNC while failing over"},
		{"GET k", "v"},
		{"CLIENT UNPAUSE", "OK"}, // it ends no other pause than CLIENT PAUSE's
	} {
		if got := ours.do(strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: %s, want %s", c.command, got, c.want)
		}
	}
	ours.wantInfo("replication", "master_failover_state", "waiting-for-sync")
	writer := dial(t, srv.Addr())
	id := writer.do("CLIENT", "ID")
	writer.send("SET later 1\r\n")
	untilFlag(t, ours, id, "b")
	x.ack(x.lsn + int64(len(record(failoverWrite...))) - 1) // a byte is missing
	x.say("PING")
	for range 3 {
		srv.failover.check()
		ours.wantInfo("replication", "master_failover_state", "waiting-for-sync")
	}
	if got := ours.do("FAILOVER", "ABORT"); got != "OK" {
		t.Error(got)
	}
	writer.want("OK")
	ours.wantInfo("replication", "master_failover_state", "no-failover")
	if got := ours.do("ROLE"); !strings.HasPrefix(got, "[master ") {
		t.Error(got)
	}
}

// TestFailoverRefused: the replica does not take over, so the server is a primary again, with its data and its
// replicas, which need no full synchronization.
func TestFailoverRefused(t *testing.T) {
	srv, ours := failoverServer(t)
	x, other := dialLagging(t, srv), dialLagging(t, srv)
	ours.do(failoverWrite...)
	end := x.lsn + int64(len(record(failoverWrite...)))
	if got := ours.do("FAILOVER", "TO", "127.0.0.1", x.port); got != "OK" {
		t.Fatal(got)
	}
	writer := dial(t, srv.Addr())
	id := writer.do("CLIENT", "ID")
	writer.send("SET later 1\r\n")
	untilFlag(t, ours, id, "b")
	other.ack(end)
	x.ack(end)
	ours.wantInfo("replication", "master_failover_state", "failover-in-progress")
	if got, want := ours.do("CONFIG", "GET", "replicaof"), "[replicaof 127.0.0.1 "+x.port+"]"; got != want {
		t.Errorf("CONFIG GET says %s, want %s", got, want)
	}
	if got := ours.do("SET", "k", "w"); !strings.HasPrefix(got, "-READONLY") {
		t.Error(got)
	}
	p := x.askedToTakeOver(end, "-ERR PSYNC FAILOVER replid must match my replid.\r\n")
	writer.want("OK")
	_ = p.Close()
	ours.wantInfo("replication", "master_failover_state", "no-failover")
	if got := ours.do("CONFIG", "GET", "replicaof"); got != "[replicaof ]" {
		t.Errorf("CONFIG GET says %s", got)
	}
	back := dialReplica(t, srv)
	back.say(fmt.Sprintf("PSYNC %s %d", other.id, end+1))
	if got := back.line(); !strings.HasPrefix(got, "+CONTINUE ") {
		t.Errorf("the other replica comes back: %s", got)
	}
	want := record("SELECT", "0") + record("SET", "later", "1")
	if got := back.take(len(want)); got != want {
		t.Errorf("it gets %q, want %q", got, want)
	}
}

// TestFailoverTimesOut: with FORCE the replica is asked to take over with what it has, without nothing happens.
func TestFailoverTimesOut(t *testing.T) {
	srv, ours := failoverServer(t)
	x := dialLagging(t, srv)
	ours.do(failoverWrite...)
	end := x.lsn + int64(len(record(failoverWrite...)))
	writer := dial(t, srv.Addr())
	if got := ours.do("FAILOVER", "TIMEOUT", "1"); got != "OK" {
		t.Fatal(got)
	}
	if got := writer.do("SET", "other", "1"); got != "OK" { // when it is over
		t.Error(got)
	}
	end += int64(len(record("SET", "other", "1")))
	ours.wantInfo("replication", "master_failover_state", "no-failover")
	if got := ours.do("FAILOVER", "TO", "127.0.0.1", x.port, "FORCE", "TIMEOUT", "1"); got != "OK" {
		t.Fatal(got)
	}
	p := x.askedToTakeOver(end, "+CONTINUE "+fakeID+"\r\n")
	waitLinked(t, ours)
	ours.wantInfo("replication", "master_failover_state", "no-failover")
	ours.wantInfo("replication", "master_replid", fakeID)
	if got := writer.do("SET", "k", "w"); !strings.HasPrefix(got, "-READONLY") {
		t.Error(got)
	}
	p.send(spoken("SET", "k", "theirs"))
	eventually(t, "it follows", func() bool { return ours.do("GET", "k") == "theirs" })
}

// TestFailoverAbortedInProgress: while the replica can't be reached FAILOVER ABORT has the server be a primary.
func TestFailoverAbortedInProgress(t *testing.T) {
	srv, ours := failoverServer(t)
	x := dialLagging(t, srv)
	if err := x.ln.Close(); err != nil {
		t.Fatal(err)
	}
	x.ack(x.lsn)
	if got := ours.do("FAILOVER"); got != "OK" {
		t.Fatal(got)
	}
	ours.wantInfo("replication", "master_failover_state", "failover-in-progress")
	writer := dial(t, srv.Addr())
	writer.send("SET k v\r\n")
	if v, err := writer.r.ReadReply(); err != nil || !strings.HasPrefix(text(v), "READONLY") {
		t.Errorf("%s, %v", text(v), err)
	}
	if got := ours.do("FAILOVER", "ABORT"); got != "OK" {
		t.Fatal(got)
	}
	if got := writer.do("SET", "k", "v"); got != "OK" {
		t.Error(got)
	}
}

// counting sends INCR without a break until it is refused, and tells how many were done.
func counting(t testing.TB, addr string) (done func() int) {
	c := dial(t, addr)
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	result := make(chan int, 1)
	go func() {
		n := 0
		for {
			if _, err := io.WriteString(c.Conn, "INCR n\r\n"); err != nil {
				break
			}
			if v, err := c.r.ReadReply(); err != nil || v.Err() != nil {
				break
			}
			n++
		}
		result <- n
	}()
	return func() int { return <-result }
}

// TestFailoverLosesNothing: while clients write the roles change, there and back; whatever was acknowledged is there,
// and nobody needs a full synchronization.
func TestFailoverLosesNothing(t *testing.T) {
	srv, ours := failoverServer(t)
	second := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2")
	follow(t, second, srv.Addr())
	theirs := dial(t, second.Addr())
	total, back := 0, strconv.Itoa(srv.cfg.Values().Port)
	for round, args := range [][]string{{}, {"TO", "127.0.0.1", back, "TIMEOUT", "600000"}} {
		from, to := ours, theirs
		if round == 1 {
			from, to = theirs, ours
		}
		eventually(t, "the replica is online", func() bool {
			return strings.Contains(from.do("INFO", "replication"), ",state=online,")
		})
		count := counting(t, from.RemoteAddr().String())
		eventually(t, "there are writes", func() bool { return from.do("GET", "n") != "nil" })
		if got := from.do(append([]string{"FAILOVER"}, args...)...); got != "OK" {
			t.Fatal(got)
		}
		total += count()
		waitLinked(t, from)
		from.wantInfo("replication", "master_failover_state", "no-failover")
		if got, want := to.do("GET", "n"), strconv.Itoa(total); got != want {
			t.Errorf("round %d: %s writes are there, %s were acknowledged", round, got, want)
		}
		if got := to.do("INCR", "n"); got != strconv.Itoa(total+1) {
			t.Errorf("round %d: the new primary says %s", round, got)
		}
		total++
		sameData(t, to, from)
	}
	if a, b := ours.info("stats", "sync_full"), theirs.info("stats", "sync_full"); a != "1" || b != "0" {
		t.Errorf("%s and %s full synchronizations, want the first alone", a, b)
	}
}
