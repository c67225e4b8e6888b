package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestBacklogBeforeAppendOnly: where a backlog was kept before the append-only file is turned on, nobody waits for the
// file's writer for the sake of shards that rest beside the ring. That is so after rewrites, replicas that come and
// go, and the file turned off and on, and what was acknowledged outlives kill -9.
func TestBacklogBeforeAppendOnly(t *testing.T) {
	for _, shards := range []string{"1", "2", "8"} {
		t.Run(shards+" shards", func(t *testing.T) {
			args := []string{
				"--shards", shards, "--dir", t.TempDir(), "--save", "",
				"--repl-diskless-sync-delay", "0", "--auto-aof-rewrite-percentage", "0",
				"--aof-ring-dir", ringDir(t), "--aof-ring-size", "1mb", "--enable-debug-command", "yes",
			}
			p := startProcess(t, args...)
			c := restingClient{dial(t, p.addr), p}
			c.sets(100)
			c.replicate()
			for range 2 {
				c.turn("yes")
				c.calm("with the append-only file")
				c.sets(1)
				c.calm("after writes in one shard")
				c.sets(100) // more than the ring has room for
				c.sets(1)
				c.calm("after writes in all shards")
				c.replicate()
				c.sets(1)
				c.calm("after a replica")
				c.rewrite()
				c.sets(1)
				c.calm("after a rewrite")
				c.turn("no")
			}
			c.turn("yes")
			for i := range 100 {
				c.do("SET", fmt.Sprint("key", i), strconv.Itoa(i))
			}
			digest := c.do("DEBUG", "DIGEST")
			p.kill()
			again := dial(t, startProcess(t, append(args, "--appendonly", "yes")...).addr)
			again.loaded()
			if got := again.do("DEBUG", "DIGEST"); got != digest {
				t.Errorf("digest %s, want %s", got, digest)
			}
		})
	}
}

// restingClient drives a server that shards rest in.
type restingClient struct {
	*client
	p *process
}

// calm waits until no reply waits for the Writer.
func (c *restingClient) calm(when string) {
	c.t.Helper()
	eventually(c.t, when+", nobody waits", func() bool {
		return c.info("persistence", "aof_replies_await_writes") == "0"
	})
}

// sets sets so many keys to 100 KB, and the first then until it was set 30 times.
func (c *restingClient) sets(keys int) {
	c.t.Helper()
	value := strings.Repeat("x", 100_000)
	for i := range keys + 30 {
		if got := c.do("SET", fmt.Sprint("key", max(0, keys-1-i)), value); got != "OK" {
			c.t.Fatal(got)
		}
	}
}

// replicate has a replica come and go.
func (c *restingClient) replicate() {
	c.t.Helper()
	r := dialReplicaAt(c.t, c.p.addr)
	r.full()
	if err := r.Close(); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the replica is gone", func() bool { return c.info("replication", "connected_slaves") == "0" })
}

// turn turns the append-only file on or off.
func (c *restingClient) turn(to string) {
	c.t.Helper()
	c.logs(map[string]string{"yes": rewriteEnd, "no": "The append-only file was turned off"}[to], func() {
		if got := c.do("CONFIG", "SET", "appendonly", to); got != "OK" {
			c.t.Fatal(got)
		}
	})
}

const rewriteEnd = "AOF rewrite finished successfully"

// rewrite rewrites the append-only file.
func (c *restingClient) rewrite() {
	c.t.Helper()
	c.logs(rewriteEnd, func() {
		if got := c.do("BGREWRITEAOF"); !strings.Contains(got, "started") && !strings.Contains(got, "scheduled") {
			c.t.Fatal(got)
		}
	})
}

// logs waits until the server has logged something once more since what is done was begun.
func (c *restingClient) logs(what string, do func()) {
	c.t.Helper()
	before := strings.Count(c.p.log.String(), what)
	do()
	eventually(c.t, what, func() bool { return strings.Count(c.p.log.String(), what) > before })
}
