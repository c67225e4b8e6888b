package server

import (
	"strings"
	"testing"
)

// TestWaiterLeaves: a client that leaves while it waits for what may never come is forgotten, as one that waits for a
// key is.
func TestWaiterLeaves(t *testing.T) {
	srv := startServer(t, "--appendonly", "yes")
	c := dial(t, srv.Addr())
	for _, args := range [][]string{
		{"WAIT", "5", "0"}, {"WAIT", "5", "100000000"}, {"WAITAOF", "0", "5", "0"}, {"BLPOP", "k", "0"},
	} {
		waiter := dial(t, srv.Addr())
		waiter.send(bulk(args...))
		eventually(t, "it waits", func() bool { return strings.Contains(c.do("CLIENT", "LIST"), "flags=b") })
		if err := waiter.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, strings.Join(args, " ")+" is forgotten", func() bool {
			return strings.Count(c.do("CLIENT", "LIST"), "id=") == 1 && c.info("clients", "blocked_clients") == "0"
		})
	}
}
