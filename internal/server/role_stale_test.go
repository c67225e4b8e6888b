package server

import (
	"strings"
	"testing"
)

// TestStaleQueue: a transaction that looks at data is refused when the data has become stale since it was queued.
func TestStaleQueue(t *testing.T) {
	srv := startServer(t, "--replica-serve-stale-data", "no")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "OK", "SET", "k", "1")
	for _, queued := range [][]string{{"GET", "k"}, {"PING"}} {
		wantReply(t, c, "OK", "MULTI")
		wantReply(t, c, "QUEUED", queued...)
		wantReply(t, other, "OK", "REPLICAOF", "127.0.0.1", "1")
		if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") || !strings.Contains(got, "MASTERDOWN") {
			t.Errorf("%q: %s", queued, got)
		}
		wantReply(t, other, "OK", "REPLICAOF", "NO", "ONE")
	}
	wantReply(t, other, "OK", "REPLICAOF", "127.0.0.1", "1")
	wantReply(t, c, "OK", "MULTI")
	wantReply(t, other, "OK", "REPLICAOF", "NO", "ONE")
	wantReply(t, c, "QUEUED", "GET", "k")
	wantReply(t, c, "[1]", "EXEC")
}
