package server

import (
	"testing"

	"fulmen/internal/redistest"
)

// TestLoadModes: in every mode a replica that has data of its own has the primary's in the end, of a redis-server that
// sends a file or without one, and of one of ours; and so has a redis-server below it, also when everything comes anew
// once more.
func TestLoadModes(t *testing.T) {
	addr := redistest.StartOracle(t, "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0").Addr
	top := dial(t, addr)
	redistest.Pour(t, addr, redistest.Everything(), 1, 2000)
	ours := startServer(t, "--shards", "2", "--repl-diskless-sync-delay", "0")
	redistest.Pour(t, ours.Addr(), redistest.Everything(), 2, 2000)
	for i, mode := range []string{"swapdb", "on-empty-db", "flush-before-load", "disabled"} {
		t.Run(mode, func(t *testing.T) {
			srv := startServer(t, "--shards", "8", "--repl-diskless-load", mode, "--repl-diskless-sync-delay", "0")
			c := dial(t, srv.Addr())
			if i%2 == 0 {
				redistest.Pour(t, srv.Addr(), redistest.Everything(), 3, 500)
			}
			top.do("CONFIG", "SET", "repl-diskless-sync", []string{"yes", "no"}[i/2])
			follow(t, srv, ours.Addr())
			sameData(t, dial(t, ours.Addr()), c)
			follow(t, srv, addr)
			sameData(t, top, c)
			wantTemporary(t, srv, 0)
			if mode != "swapdb" {
				return
			}
			last := redisFollowing(t, srv.Addr())
			top.do("DEBUG", "CHANGE-REPL-ID")
			top.do("CLIENT", "KILL", "TYPE", "replica")
			redistest.Pour(t, addr, redistest.Everything(), 4, 500)
			eventually(t, "everything came anew", func() bool {
				return c.info("replication", "master_replid") == top.info("replication", "master_replid") &&
					c.info("replication", "master_link_status") == "up"
			})
			sameData(t, top, c)
			waitLinked(t, last)
			sameData(t, top, last)
		})
	}
}
