package server

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestPromotedServesThoseBehind: who has followed the same primary and lacks some of what it has sent gets that from
// the replica that was promoted, as far as its backlog goes, and what that one has done since behind it.
func TestPromotedServesThoseBehind(t *testing.T) {
	for _, appendOnly := range []string{"no", "yes"} {
		primary := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600")
		ours := dial(t, primary.Addr())
		srv := startServer(t, "--repl-backlog-size", "1mb", "--appendonly", appendOnly,
			"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "3600", "--repl-timeout", "3600")
		follow(t, srv, primary.Addr())
		theirs := dial(t, srv.Addr())
		id, lsn := dialReplica(t, srv).full()
		ours.do("SELECT", "3")
		for i := range 300 {
			ours.do("SET", fmt.Sprint("k", i), strings.Repeat("v", 3000))
		}
		waitCaughtUp(t, ours, theirs)
		position, _ := strconv.ParseInt(theirs.info("replication", "slave_repl_offset"), 10, 64)
		before := dialReplica(t, srv)
		before.say(fmt.Sprintf("PSYNC %s %d", id, lsn+1))
		if got := before.line(); got != "+CONTINUE "+id {
			t.Fatal(got)
		}
		text := before.take(int(position - lsn))
		if got := theirs.do("REPLICAOF", "NO", "ONE"); got != "OK" {
			t.Fatal(got)
		}
		theirs.do("SET", "new", "x")
		theirs.wantInfo("replication", "second_repl_offset", strconv.FormatInt(position+1, 10))
		now := srv.replication.history.Load().ID
		if got := theirs.info("replication", "repl_backlog_first_byte_offset"); got != strconv.FormatInt(lsn+1, 10) {
			t.Errorf("the backlog begins at %s, want %d", got, lsn+1)
		}
		for _, lacks := range []int64{0, 1, 3000, position - lsn - 1, position - lsn} {
			c := dialReplica(t, srv)
			c.say(fmt.Sprintf("PSYNC %s %d", id, position-lacks+1))
			if got := c.line(); got != "+CONTINUE "+now {
				t.Fatalf("who lacks %d bytes: %s", lacks, got)
			}
			want := text[int64(len(text))-lacks:]
			if got := c.take(len(want)); got != want {
				t.Errorf("who lacks %d bytes gets others", lacks)
			}
			if got := string(c.takeTo(record("SET", "new", "x"))); !strings.Contains(got, record("SELECT", "0")) {
				t.Errorf("behind that comes %q", got)
			}
			_ = c.Close()
		}
		for i := range 300 { // the backlog has room for a part of the past, and then for none
			theirs.do("SET", fmt.Sprint("k", i), strings.Repeat("v", 3000))
			if i == 100 {
				eventually(t, "some is forgotten", func() bool {
					past := srv.replication.past.Load()
					return past != nil && past.Oldest() > uint64(lsn)
				})
			}
		}
		theirs.do("SET", "big", strings.Repeat("v", 300_000))
		eventually(t, "the past is forgotten", func() bool { return srv.replication.past.Load() == nil })
		c := dialReplica(t, srv)
		c.say(fmt.Sprintf("PSYNC %s %d", id, position))
		if got := c.line(); !strings.HasPrefix(got, "+FULLRESYNC "+now) {
			t.Errorf("when it is forgotten: %s", got)
		}
	}
}

// TestPromotionKeepsThePast: what a primary has sent stays while the replica becomes one itself, though the sampler
// looks just then whether there is a backlog that it belongs to.
func TestPromotionKeepsThePast(t *testing.T) {
	primary := startServer(t, "--repl-diskless-sync-delay", "0")
	srv := startServer(t)
	follow(t, srv, primary.Addr())
	ours, theirs := dial(t, primary.Addr()), dial(t, srv.Addr())
	quit := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
				srv.replication.shortenPast(srv.cfg.Values())
			}
		}
	})
	defer looking.Wait()
	defer close(quit)
	for round := range 5 {
		ours.do("SET", "k", strconv.Itoa(round))
		waitCaughtUp(t, ours, theirs)
		if got := theirs.do("REPLICAOF", "NO", "ONE"); got != "OK" {
			t.Fatal(got)
		}
		if srv.replication.past.Load() == nil {
			t.Fatal("what the primary has sent is gone")
		}
		follow(t, srv, primary.Addr())
	}
}
