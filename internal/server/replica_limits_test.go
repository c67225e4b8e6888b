package server

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPrimaryHasNoQueryLimit: client-query-buffer-limit is for clients. What a primary sends has to be taken.
func TestPrimaryHasNoQueryLimit(t *testing.T) {
	primary := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb")
	srv := startServer(t, "--client-query-buffer-limit", "1mb")
	follow(t, srv, primary.Addr())
	ours, theirs := dial(t, primary.Addr()), dial(t, srv.Addr())
	ours.do("SET", "big", strings.Repeat("v", 3<<20))
	ours.do("MULTI")
	for i := range 10 {
		ours.do("SET", fmt.Sprint("k", i), strings.Repeat("v", 300<<10))
	}
	ours.do("EXEC")
	waitCaughtUp(t, ours, theirs)
	for _, field := range []string{"sync_partial_ok", "sync_partial_err"} {
		ours.wantInfo("stats", field, "0")
	}
	ours.wantInfo("stats", "sync_full", "1")
	theirs.wantInfo("stats", "client_query_buffer_limit_disconnections", "0")
}

// TestSlowSyncIsGivenUp: a replica that takes its data a little at a time, while more is written than has room in
// temporary files, is disconnected, and the next one is served.
func TestSlowSyncIsGivenUp(t *testing.T) {
	primary := startServer(t, "--repl-diskless-sync-delay", "0", "--rdbcompression", "no", "--repl-timeout", "3600",
		"--log-memory-limit", "64mb", "--repl-spool-limit", "4mb")
	c := dial(t, primary.Addr())
	for i := range 40 {
		c.do("SET", "k"+strconv.Itoa(i), strings.Repeat(strconv.Itoa(i%10), 1<<20))
	}
	slow := dialReplica(t, primary)
	slow.say("PSYNC ? -1")
	slow.line()
	quit := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		bit := make([]byte, 16)
		for tick := time.NewTicker(time.Millisecond); ; { // so slow it is, whoever looks
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if _, err := slow.Read(bit); err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer close(quit)
	for i := 0; len(*primary.replication.followers.Load()) > 0; i++ {
		c.do("SET", "n"+strconv.Itoa(i%10), strings.Repeat("v", 100<<10))
	}
	srv := startServer(t)
	follow(t, srv, primary.Addr())
	waitCaughtUp(t, c, dial(t, srv.Addr()))
}

// TestKeptInMemory: what is kept in memory for a slow replica is less than what it is disconnected for.
func TestKeptInMemory(t *testing.T) {
	srv := startServer(t)
	for _, limit := range []int64{1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 40} {
		v := *srv.cfg.Values()
		v.LogMemoryBytes = limit
		if kept := srv.replication.keptInMemory(&v); int64(kept) > v.BacklogBytes+limit/4 {
			t.Errorf("log-memory-limit %d: %d bytes are kept", limit, kept)
		}
	}
}
