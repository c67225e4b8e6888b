package server

import (
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// TestDemotionEqualsRedis compares what becomes of clients that wait, and of transactions, when a server becomes a
// replica.
func TestDemotionEqualsRedis(t *testing.T) {
	run := func(addr string) (got []string) {
		c := dial(t, addr)
		queued, blocked, waits := dial(t, addr), dial(t, addr), dial(t, addr)
		for _, q := range []string{"SET k v", "MULTI", "SET k w"} {
			queued.do(strings.Fields(q)...)
		}
		for x, ask := range map[*client]string{blocked: "BLPOP none 0\r\n", waits: "WAIT 1 0\r\n"} {
			id := x.do("CLIENT", "ID")
			x.send(ask)
			untilFlag(t, c, id, "b")
		}
		c.do("REPLICAOF", "127.0.0.1", "1")
		for _, x := range []*client{blocked, waits} {
			got = append(got, x.reply())
			x.wantClosed()
		}
		got = append(got, queued.do("EXEC"), queued.do("GET", "k"))

		// A key whose time has passed stays until the primary deletes it: that is no change.
		c.do("CONFIG", "SET", "replica-read-only", "no")
		c.do("SET", "gone", "v", "PX", "1")
		eventually(t, "its time has passed", func() bool { return c.do("GET", "gone") == "nil" })
		for _, q := range []string{"CONFIG SET replica-read-only yes", "WATCH gone", "MULTI", "GET gone", "EXEC"} {
			got = append(got, c.do(strings.Fields(q)...))
		}

		// What Sentinel sends.
		for _, q := range []string{
			"MULTI", "REPLICAOF 127.0.0.1 2", "CONFIG REWRITE", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub",
			"EXEC", "CONFIG GET replicaof",
		} {
			got = append(got, c.do(strings.Fields(q)...))
		}
		queued.wantClosed()
		return got
	}
	want := run(redistest.StartOracle(t).Addr)
	got := run(startServer(t).Addr())
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("reply %d is %q, want %q", i, got[i], want[i])
		}
	}
}
