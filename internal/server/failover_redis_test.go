package server

import (
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// TestFailoverWithRedis: a redis-server is asked to take over, and then asks us to.
func TestFailoverWithRedis(t *testing.T) {
	srv, ours := failoverServer(t)
	grammar := redistest.Everything()
	redistest.Pour(t, srv.Addr(), grammar, 1, 300)
	theirs := startReplica(t, srv, "--repl-diskless-sync-delay", "0")
	for round, c := range []struct{ from, to *client }{{ours, theirs}, {theirs, ours}, {ours, theirs}} {
		eventually(t, "the replica is online", func() bool {
			return strings.Contains(c.from.do("INFO", "replication"), ",state=online,")
		})
		count := counting(t, c.from.RemoteAddr().String())
		if got := c.from.do("FAILOVER"); got != "OK" {
			t.Fatal(got)
		}
		count()
		waitLinked(t, c.from)
		c.from.wantInfo("replication", "master_failover_state", "no-failover")
		redistest.Pour(t, c.to.RemoteAddr().String(), grammar, uint64(2+round), 300)
		sameData(t, c.to, c.from)
	}
	if a, b := ours.info("stats", "sync_full"), theirs.info("stats", "sync_full"); a != "1" || b != "0" {
		t.Errorf("%s full synchronizations here and %s there, want the first alone", a, b)
	}
}
