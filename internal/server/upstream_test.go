package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/rdb"
	"fulmen/replica"
	"fulmen/shard"
)

// fakePrimary speaks a primary's part word by word.
type fakePrimary struct {
	t  testing.TB
	ln net.Listener
	*client
}

const (
	fakeID   = "0123456789012345678901234567890123456789"
	fakeMark = "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
)

// startFake starts one, and a server of ours with these parameters that follows it.
func startFake(t testing.TB, params ...string) (*fakePrimary, *Server, *client) {
	t.Helper()
	p, srv := listenFake(t), startServer(t, params...)
	c := dial(t, srv.Addr())
	p.followedBy(c)
	return p, srv, c
}

// listenFake starts one that nobody follows yet.
func listenFake(t testing.TB) *fakePrimary {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &fakePrimary{t: t, ln: ln}
}

// followedBy has the client's server follow it.
func (p *fakePrimary) followedBy(c *client) {
	p.t.Helper()
	if got := c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(p.ln.Addr().(*net.TCPAddr).Port)); got != "OK" {
		p.t.Fatal(got)
	}
}

// accept takes the replica's next connection up to what it asks for, which is PSYNC and this, and sends the answer.
func (p *fakePrimary) accept(ask, answer string) {
	p.t.Helper()
	if err := p.tryAccept(ask, answer); err != nil {
		p.t.Fatal(err)
	}
}

// tryAccept is accept of a replica that may give up in between.
func (p *fakePrimary) tryAccept(ask, answer string) error {
	p.t.Helper()
	nc, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.client = wrap(p.t, nc)
	p.r = resp.NewReader(&withoutSigns{Reader: nc})
	for _, step := range []struct{ hears, says string }{
		{"PING", "+PONG\r\n"}, {"REPLCONF listening-port", "+OK\r\n"},
		{"REPLCONF capa eof capa psync2", "+OK\r\n"}, {"PSYNC " + ask, answer},
	} {
		if err := p.tryHear(step.hears); err != nil {
			return err
		}
		if _, err := io.WriteString(nc, step.says); err != nil {
			return fmt.Errorf("saying %.20q: %w", step.says, err)
		}
	}
	return nil
}

// withoutSigns leaves out the newlines with which a replica says, while it loads, that it is there.
type withoutSigns struct {
	io.Reader
	last byte
}

func (w *withoutSigns) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	kept := 0
	for _, b := range p[:n] {
		if b != '\n' || w.last == '\r' {
			p[kept] = b
			kept++
		}
		w.last = b
	}
	return kept, err
}

// hears fails the test unless the replica's next command begins so.
func (p *fakePrimary) hears(want string) {
	p.t.Helper()
	if err := p.tryHear(want); err != nil {
		p.t.Fatal(err)
	}
}

// tryHear is hears of a replica that may have gone.
func (p *fakePrimary) tryHear(want string) error {
	p.t.Helper()
	p.bePatient()
	v, err := p.r.ReadReply()
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", want, err)
	}
	if got := strings.Trim(text(v), "[]"); !strings.HasPrefix(got, want) {
		p.t.Fatalf("the replica says %q, want %q", got, want)
	}
	return nil
}

// emptySnapshot is an RDB file without keys, with something in it that looks like the mark behind it.
func emptySnapshot(t testing.TB) string {
	t.Helper()
	var body bytes.Buffer
	w := rdb.NewWriter(&body, rdb.WriteOptions{Version: rdb.Version7, Checksum: true})
	w.Header()
	w.Aux("redis-ver", fakeMark[:30])
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func fullAnswerAt(t testing.TB, offset int) string {
	return fmt.Sprintf("\n+FULLRESYNC %s %d\r\n\n\n$EOF:%s\r\n%s%s", fakeID, offset, fakeMark, emptySnapshot(t),
		fakeMark)
}

func spoken(args ...string) string { return string(resp.AppendCommandStrings(nil, args...)) }

// TestNoPartOfStream: who speaks for a primary can't administer the replica, which goes on.
func TestNoPartOfStream(t *testing.T) {
	p, srv, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	bad := spoken("SHUTDOWN", "NOSAVE") + spoken("REPLICAOF", "NO", "ONE") +
		spoken("CONFIG", "SET", "maxclients", "1") +
		spoken("DEBUG", "SLEEP", "1000") + spoken("BGSAVE") + spoken("MULTI") + spoken("SHUTDOWN") + spoken("EXEC")
	p.send(bad + spoken("SET", "k", "v"))
	eventually(t, "what follows is executed", func() bool { return c.do("GET", "k") == "v" })
	if got := c.info("replication", "role") + c.do("CONFIG", "GET", "maxclients"); got != "slave[maxclients 10000]" ||
		srv.saver.Running() != nil {
		t.Error(got)
	}
	_ = p.Close()
	p.accept(fmt.Sprintf("%s %d", fakeID, 101+len(bad+spoken("SET", "k", "v"))), "+CONTINUE\r\n")
}

// TestNewlinesBehindTheData are signs of life of a primary that takes the replica for one that still waits; they have
// no place in the stream.
func TestNewlinesBehindTheData(t *testing.T) {
	p, _, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	p.send("\n")
	p.send("\n\n" + spoken("SET", "k", "v"))
	eventually(t, "it is executed", func() bool { return c.do("GET", "k") == "v" })
	_ = p.Close()
	p.accept(fmt.Sprintf("%s %d", fakeID, 101+len(spoken("SET", "k", "v"))), "+CONTINUE\r\n")
}

// TestLinkCutAnywhere: what a replica asks for when the link was cut is the first byte that it has not executed, and
// the database that was selected there still is.
func TestLinkCutAnywhere(t *testing.T) {
	p, _, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	at := 100
	again := func() {
		t.Helper()
		_ = p.Close()
		p.accept(fmt.Sprintf("%s %d", fakeID, at+1), "+CONTINUE\r\n")
		p.hears(fmt.Sprint("REPLCONF ACK ", at))
	}
	executed := func(args ...string) {
		p.send(spoken(args...))
		at += len(spoken(args...))
	}

	// In a command: what came before counts, the database too.
	executed("SELECT", "3")
	p.send(spoken("SET", "k", "v")[:15])
	again()
	executed("SET", "k", "v")
	eventually(t, "it is executed", func() bool { c.do("SELECT", "3"); return c.do("GET", "k") == "v" })

	// In a transaction: it has not happened, all of it comes once more.
	p.send(spoken("MULTI") + spoken("INCR", "n") + spoken("SELECT", "5"))
	again()
	executed("MULTI")
	executed("INCR", "n")
	executed("SELECT", "5")
	executed("INCR", "n")
	executed("EXEC")
	eventually(t, "it is executed", func() bool { c.do("SELECT", "5"); return c.do("GET", "n") == "1" })
	c.do("SELECT", "3")
	if got := c.do("GET", "n"); got != "1" {
		t.Errorf("a transaction of which a part had come was executed: %s", got)
	}
	again()

	// What fails, or isn't known, counts as well; and what asks for an acknowledgement.
	executed("NOSUCHCOMMAND")
	executed("LPUSH", "n", "x")
	executed("PING")
	executed("REPLCONF", "GETACK", "*")
	eventually(t, "both failures are counted", func() bool {
		return c.info("stats", "unexpected_error_replies") == "2"
	})
	again()
	if got := c.info("replication", "slave_repl_offset"); got != strconv.Itoa(at) {
		t.Errorf("slave_repl_offset:%s, want %d", got, at)
	}
}

// TestComesBackAtOnce: a replica whose connection is lost connects again without a wait, so that the primary still has
// what it lacks.
func TestComesBackAtOnce(t *testing.T) {
	p, srv := listenFake(t), startServer(t)
	srv.upstream.retryAfter = 2 * patience // nobody waits for that
	p.followedBy(dial(t, srv.Addr()))
	p.accept("? -1", fullAnswerAt(t, 100))
	for range 3 {
		p.hears("REPLCONF ACK 100")
		_ = p.Close()
		p.accept(fakeID+" 101", "+CONTINUE\r\n")
	}
}

// TestGarbledStream: a primary that says what is no command is not asked again without a pause.
func TestGarbledStream(t *testing.T) {
	p := listenFake(t)
	srv, log := startLogged(t)
	srv.upstream.retryAfter = time.Second
	p.followedBy(dial(t, srv.Addr()))
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	began := time.Now()
	if _, err := io.WriteString(p, "*1\r\n!\r\n"); err != nil {
		t.Fatal(err)
	}
	log.wantLogged(t, 1, "Protocol error (")
	p.accept(again, "+CONTINUE\r\n")
	if waited := time.Since(began); waited < srv.upstream.retryAfter/2 {
		t.Errorf("it comes back after %v", waited)
	}
}

// TestSilentWhileShakingHands: a primary that says nothing is given up, and the log says why.
func TestSilentWhileShakingHands(t *testing.T) {
	p := listenFake(t)
	srv, log := startLogged(t, "--repl-timeout", "1", "--bind-source-addr", "127.0.0.2")
	p.followedBy(dial(t, srv.Addr()))
	nc, err := p.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if from, _, _ := net.SplitHostPort(nc.RemoteAddr().String()); from != "127.0.0.2" {
		t.Errorf("it comes from %s", from)
	}
	eventually(t, "it is given up", func() bool {
		return strings.Contains(log.String(), "Timeout connecting to the MASTER")
	})
}

// TestLinkAsksForBatonsAgain: as soon as what a replica did with all batons is done it may ask for them again, and
// everybody sees what was done.
func TestLinkAsksForBatonsAgain(t *testing.T) {
	p, srv, _ := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	link := srv.upstream.link.Load()
	for i := range 5000 {
		err := link.underBatons(func() {
			k := srv.set.Key([]byte(strconv.Itoa(i)))
			srv.set.Shards[srv.set.ShardOf(k.Bytes)].DB(0).SetString(k, []byte("x"), 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		if srv.isEmpty() {
			t.Fatal("nobody sees the key")
		}
		if err := link.underBatons(srv.flushHeld); err != nil {
			t.Fatal(err)
		}
		if !srv.isEmpty() {
			t.Fatal("nobody sees that the keys are gone")
		}
	}
}

// TestReceives: a snapshot arrives whole however it is cut into pieces, by length as well, also from a primary that is
// old, or busy at first; what is wrong with it costs the data nothing.
func TestReceives(t *testing.T) {
	p, _, c := startFake(t)
	c.do("CONFIG", "SET", "replica-read-only", "no")
	if got := c.do("SET", "own", "v"); got != "OK" {
		t.Fatal(got)
	}
	down := func(why string) {
		t.Helper()
		_ = p.Close()
		if got := c.do("GET", "own"); got != "v" {
			t.Errorf("%s: the old data is gone: %s", why, got)
		}
	}
	p.accept("? -1", "-LOADING Redis is loading the dataset in memory\r\n")
	down("busy")
	p.accept("? -1", "-NOMASTERLINK Can't SYNC while not connected with my master\r\n")
	down("no link")
	p.accept("? -1", "+FULLRESYNC "+fakeID+" x\r\n")
	down("no offset")
	p.accept("? -1", "+FULLRESYNC "+fakeID+" 7\r\n-ERR no room\r\n")
	down("an error")
	p.accept("? -1", "+FULLRESYNC "+fakeID+" 7\r\n"+strings.Repeat("x", 10_000))
	down("a line without end")
	p.accept("? -1", "+FULLRESYNC "+fakeID+" 7\r\n$9223372036854775808\r\n")
	down("a length that is none")
	p.accept("? -1", "+FULLRESYNC "+fakeID+" 7\r\n$1000000\r\nREDIS0010")
	down("cut off")

	// A mark that comes in pieces, behind something that looks like its beginning.
	all := fullAnswerAt(t, 7)
	p.accept("? -1", all[:len(all)-60])
	for i := len(all) - 60; i < len(all); i++ {
		p.send(all[i : i+1])
	}
	p.hears("REPLCONF ACK 7")
	if got := c.do("GET", "own"); got != "nil" {
		t.Errorf("the old data is still there: %s", got)
	}
	_ = p.Close()

	// A primary that has never heard of PSYNC.
	p.accept(fakeID+" 8", "-ERR unknown command 'PSYNC'\r\n")
	p.hears("SYNC")
	body := emptySnapshot(t)
	p.send(fmt.Sprintf("$%d\r\n%s%s", len(body), body, spoken("SET", "new", "v")))
	eventually(t, "the stream goes on", func() bool { return c.do("GET", "new") == "v" })
	_ = p.Close()
	p.accept("? -1", fullAnswerAt(t, 9)) // there is no history to go on with
	p.hears("REPLCONF ACK 9")
	p.send("*1\r\n$9999999999\r\n") // no client of a replica's suffers from what its primary says
	if v, err := p.r.ReadReply(); err == nil && !strings.Contains(text(v), "ACK") {
		t.Errorf("the replica replies %q", text(v))
	}
	if got := c.do("PING"); got != "PONG" {
		t.Error(got)
	}
}

// TestQuietPrimary: the time after which idle clients are closed is none of a primary's.
func TestQuietPrimary(t *testing.T) {
	p, _, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 1))
	p.hears("REPLCONF ACK 1")
	idle := dial(t, c.RemoteAddr().String())
	idle.do("PING")
	if got := c.do("CONFIG", "SET", "timeout", "1"); got != "OK" {
		t.Fatal(got)
	}
	for range 3 { // one a second
		p.hears("REPLCONF ACK 1")
	}
	idle.wantClosed()
	p.send(spoken("SET", "k", "v"))
	addr := c.RemoteAddr().String() // c may have been closed as well
	eventually(t, "the link is still there", func() bool {
		conn, err := redistest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		v, err := conn.Do("GET", "k")
		return err == nil && text(v) == "v"
	})
}

// TestPrimaryFallsSilent: a link on which nothing comes for repl-timeout is given up.
func TestPrimaryFallsSilent(t *testing.T) {
	p, _, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 1))
	p.hears("REPLCONF ACK 1")
	if got := c.do("CONFIG", "SET", "repl-timeout", "1"); got != "OK" {
		t.Fatal(got)
	}
	eventually(t, "it is given up", func() bool { return c.info("replication", "master_link_status") == "down" })
	// The time is the one for shaking hands, too: who has begun that with it may give it up and come again.
	if got := c.do("CONFIG", "SET", "repl-timeout", "600"); got != "OK" {
		t.Fatal(got)
	}
	again := func() error {
		if err := p.tryAccept(fakeID+" 2", "+CONTINUE fedcbafedcbafedcbafedcbafedcbafedcbafedc\r\n"); err != nil {
			return err
		}
		_, err := p.r.ReadReply() // it acknowledges what it has
		return err
	}
	eventually(t, "it comes back", func() bool {
		err := again()
		if err != nil {
			_ = p.Close()
		}
		return err == nil
	})
	eventually(t, "the history has its new name", func() bool {
		return c.info("replication", "master_replid") == "fedcbafedcbafedcbafedcbafedcbafedcbafedc" &&
			c.info("replication", "master_replid2") == fakeID && c.info("replication", "second_repl_offset") == "2"
	})
}

// TestNothingAfterPromotion: what the primary of before sends when its replica is a primary itself is not executed,
// although the connection has not been closed yet.
func TestNothingAfterPromotion(t *testing.T) {
	p, srv, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	promoted := make(chan context.CancelFunc)
	srv.upstream.tx.run(func(*loop) {
		link := srv.upstream.link.Load()
		cancel := link.cancel
		link.cancel = func() {} // nobody comes to close it
		srv.upstream.promote()
		promoted <- cancel
	}, nil)
	defer (<-promoted)()
	p.send(spoken("SET", "k", "v") + spoken("MSET", "k", "v", "l", "w") + spoken("SET", "l", "w"))
	for {
		if _, err := p.r.ReadReply(); err != nil {
			break
		}
	}
	if got := c.do("MGET", "k", "l"); got != "[nil nil]" {
		t.Errorf("the primary of before has written %s", got)
	}
}

// TestStoppedStreamStays: the position that a change of the role goes on with is the stream's last one, although
// commands that need no baton run beside it.
func TestStoppedStreamStays(t *testing.T) {
	srv := startServer(t)
	relay := replica.NewRelay(100, 1<<20)
	f := newPrimaryStream(srv, relay, 100, 3)
	relay.Append(make([]byte, 20))
	f.next = 110
	f.done(&Session{db: 4})
	f.stop()
	f.next = 120
	f.done(&Session{db: 5})
	f.settle()
	if offset, db := f.position(); offset != 110 || db != 4 || relay.Published() != 110 {
		t.Errorf("position %d in database %d, %d published; want 110, 4 and 110", offset, db, relay.Published())
	}
}

// TestAbortedBeforeItOpens: a stream that is given up before the reactor has opened its connection ends.
func TestAbortedBeforeItOpens(t *testing.T) {
	srv := startServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := newPrimaryStream(srv, replica.NewRelay(100, 1<<20), 100, 0)
	f.abort(nil)
	if err := srv.reactor.Adopt(nc, f); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.ended:
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

// TestRelayFollowsBacklogSize: repl-backlog-size takes effect on what is kept of a primary's stream, too.
func TestRelayFollowsBacklogSize(t *testing.T) {
	p, srv, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	p.send(spoken("SET", "k", strings.Repeat("x", 50_000)))
	relay := srv.upstream.link.Load().relay.Load()
	eventually(t, "it is executed", func() bool { return relay.Published() > 50_000 })
	if got := relay.Oldest(); got != 100 {
		t.Fatalf("kept from %d on", got)
	}
	if got := c.do("CONFIG", "SET", "repl-backlog-size", "16384"); got != "OK" {
		t.Fatal(got)
	}
	if got, want := relay.Oldest(), relay.Published()-16384; got != want {
		t.Errorf("kept from %d on, want %d", got, want)
	}
}

// TestAppendOnlyWaitsForSync: the append-only file is not turned on while a replica is about to replace its data
// beside the log; afterwards it is.
func TestAppendOnlyWaitsForSync(t *testing.T) {
	srv := startServer(t)
	c := dial(t, srv.Addr())
	if err := srv.aof.endForSync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := c.do("CONFIG", "SET", "appendonly", "yes"); got != "OK" {
		t.Fatal(got)
	}
	if srv.aof.enabled() || srv.aof.rewrites.busy() {
		t.Error("it begins")
	}
	srv.aof.endedForSync()
	eventually(t, "it is on", srv.aof.enabled)
}

// TestEndsWhileFollowing: a primary writes while the last save has all batons, or waits for them. The server ends, or
// goes on following if it can't save.
func TestEndsWhileFollowing(t *testing.T) {
	for _, saves := range []bool{true, false} {
		t.Run(fmt.Sprintf("saves %t", saves), func(t *testing.T) {
			p, srv, c := startFake(t)
			p.accept("? -1", fullAnswerAt(t, 100))
			waitLinked(t, c)
			if !saves {
				inTheWay := filepath.Join(srv.cfg.Values().Dir, "dump.rdb.manifest", "full")
				if err := os.MkdirAll(inTheWay, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			hold, held := &serverTx{}, make(chan struct{})
			hold.init(srv)
			hold.run(func(*loop) {}, func(*shard.Seizure) { close(held) })
			<-held
			ended := make(chan bool, 1)
			go func() {
				done, _ := srv.end(stopRequest{how: config.Shutdown{Save: true}}, nil)
				ended <- done
			}()
			eventually(t, "the end waits for batons", func() bool {
				srv.stopTx.mu.Lock()
				defer srv.stopTx.mu.Unlock()
				return srv.stopTx.work != nil
			})
			c.do("PING")                                           // the loop has read its letter
			_, _ = io.WriteString(p.Conn, spoken("SET", "k", "v")) // unless it follows no more
			c.do("PING")
			hold.giveBack()
			select {
			case done := <-ended:
				if done != saves {
					t.Errorf("the end says %t", done)
				}
			case <-time.After(patience):
				t.Fatal("the server does not end")
			}
			if !saves {
				_ = p.Close()
				p.accept(fakeID, "+CONTINUE\r\n")
				waitLinked(t, c)
			}
		})
	}
}

// TestPromotedServesItsStreamOnly: while a server follows, its log, kept for an append-only file, has other bytes at
// other positions than its primary's stream. After a promotion nobody is sent those.
func TestPromotedServesItsStreamOnly(t *testing.T) {
	p, srv, c := startFake(t, "--appendonly", "yes", "--aof-ring-dir", "no", "--repl-diskless-sync-delay", "0")
	p.accept("", fullAnswerAt(t, 5000))
	waitLinked(t, c)
	eventually(t, "the append-only file is back", func() bool {
		return srv.set.Log.Active() && c.info("persistence", "aof_rewrite_in_progress") == "0"
	})
	stream := ""
	for i := range 40 {
		stream += spoken("SELECT", "3") + spoken("SET", "k"+strconv.Itoa(i), strings.Repeat("v", 100))
	}
	p.send(stream)
	end := 5000 + len(stream)
	eventually(t, "all is executed", func() bool {
		return c.info("replication", "slave_repl_offset") == strconv.Itoa(end)
	})
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	for _, lacks := range []int{1000, 100, 1, 0} {
		r := dialReplica(t, srv)
		r.say(fmt.Sprintf("PSYNC %s %d", fakeID, end-lacks+1))
		switch got := r.line(); {
		case strings.HasPrefix(got, "+CONTINUE"):
			if want := stream[len(stream)-lacks:]; r.take(lacks) != want {
				t.Errorf("who lacks %d bytes gets others", lacks)
			}
		case lacks == 0 || !strings.HasPrefix(got, "+FULLRESYNC"):
			t.Errorf("who lacks %d bytes is told %q", lacks, got)
		}
	}
}

// TestAcknowledgesWhatWasExecuted: a replica says what it has executed, however much it has received.
func TestAcknowledgesWhatWasExecuted(t *testing.T) {
	p, srv, c := startFake(t)
	p.accept("? -1", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	hold, held := &serverTx{}, make(chan struct{})
	hold.init(srv)
	hold.run(func(*loop) {}, func(*shard.Seizure) { close(held) })
	<-held
	release := sync.OnceFunc(hold.giveBack)
	defer release()
	waits := spoken("SET", "k", "v")
	p.send(waits)
	relay := srv.upstream.link.Load().relay.Load()
	eventually(t, "it is received", func() bool { return relay.End() == uint64(100+len(waits)) })
	srv.upstream.link.Load().stream.Load().acknowledge()
	p.hears("REPLCONF ACK 100")
	release()
	eventually(t, "it is executed", func() bool { return c.do("GET", "k") == "v" })
	srv.upstream.link.Load().stream.Load().acknowledge()
	for {
		v, err := p.r.ReadReply()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := text(v), fmt.Sprintf("[REPLCONF ACK %d]", 100+len(waits)); got == want {
			return
		} else if got != "[REPLCONF ACK 100]" {
			t.Fatalf("it acknowledges %s, want %s", got, want)
		}
	}
}
