package server

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/need"
)

// expectMessages compares what a subscriber gets.
func (c *client) expectMessages(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.reply(); got != w {
			c.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// publishAll publishes plainly, to shard channels, and in a transaction between writes.
func (c *client) publishAll() {
	c.do("PUBLISH", "news", "1")
	c.do("SPUBLISH", "shard", "2")
	c.do("MULTI")
	c.do("SET", "k", "v")
	c.do("PUBLISH", "news", "3")
	c.do("INCR", "n")
	c.do("EXEC")
	c.do("SELECT", "1")
	c.do("PUBLISH", "news", "4")
	c.do("SET", "k", "w")
}

var allPublished = []string{"[message news 1]", "[smessage shard 2]", "[message news 3]", "[message news 4]"}

// TestMessagesToRedis: a redis-server that follows gives our messages to its subscribers, and has the same data.
func TestMessagesToRedis(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0")
	ours := dial(t, srv.Addr())
	replica := startReplica(t, srv)
	ours.equalTo(replica)
	listener := dial(t, replica.RemoteAddr().String())
	listener.do("SUBSCRIBE", "news")
	listener.do("SSUBSCRIBE", "shard")
	ours.publishAll()
	listener.expectMessages(allPublished...)
	ours.equalTo(replica)
	if got := replica.do("GET", "k"); got != "v" {
		t.Errorf("k is %s", got)
	}
}

// TestMessagesFromRedis: our subscribers get what is published at a redis-server that we follow.
func TestMessagesFromRedis(t *testing.T) {
	primary, srv := followRedis(t, 8, nil)
	listener, ours := dial(t, srv.Addr()), dial(t, srv.Addr())
	listener.do("SUBSCRIBE", "news")
	listener.do("SSUBSCRIBE", "shard")
	primary.publishAll()
	listener.expectMessages(allPublished...)
	sameData(t, primary, ours)
	if got := ours.do("PUBLISH", "news", "here"); got != "1" {
		t.Errorf("PUBLISH on a replica replies %s", got)
	}
	listener.expectMessages("[message news here]")
}

// TestSentinel: a Redis Sentinel finds a server and its replica, hears itself through their hello channel, and has the
// replica take over when the server ends.
func TestSentinel(t *testing.T) {
	binary := need.Program(t, "redis-server")
	ports := [3]string{need.Port(t), need.Port(t), need.Port(t)}
	local := func(port string, args ...string) []string {
		return append([]string{"--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"}, args...)
	}
	primary, err := tryServer(t, t.Output(), local(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			_ = primary.Shutdown()
		}
	}()
	replica := startServer(t, local(ports[1], "--replicaof", "127.0.0.1 "+ports[0])...)
	waitLinked(t, dial(t, replica.Addr()))
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor m 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds m 3600000\nsentinel failover-timeout m 10000\n", ports[2], dir, ports[0])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(binary, conf, "--sentinel")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait() // it was killed
	})
	eventually(t, "the sentinel is there", func() bool {
		nc, err := net.Dial("tcp", "127.0.0.1:"+ports[2])
		return err == nil && nc.Close() == nil
	})
	sentinel := dial(t, "127.0.0.1:"+ports[2])
	// A machine that stands still for a moment is no reason to do nothing for half a minute.
	if got := sentinel.do("SENTINEL", "DEBUG", "tilt-trigger", "3600000"); got != "OK" {
		t.Fatal(got)
	}
	eventually(t, "the sentinel knows the replica and listens to both", func() bool {
		return strings.Contains(sentinel.do("SENTINEL", "REPLICAS", "m"), "127.0.0.1:"+ports[1]) &&
			strings.Contains(sentinel.do("SENTINEL", "REPLICAS", "m"), "master-link-status ok") &&
			primary.subscribers.Load() == 1 && replica.subscribers.Load() == 1
	})
	// Not before: a server that says nothing for so long is taken for one that has ended.
	if got := sentinel.do("SENTINEL", "SET", "m", "down-after-milliseconds", "3000"); got != "OK" {
		t.Fatal(got)
	}
	ended = true // the sentinel kills clients, so none are asked
	if err := primary.Shutdown(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica has taken over", func() bool {
		if sentinel.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m") == "[127.0.0.1 "+ports[1]+"]" {
			return !replica.following()
		}
		// An attempt that a standstill has made fail needn't wait for its turn.
		if strings.Contains(sentinel.do("SENTINEL", "MASTER", "m"), ",o_down,") {
			sentinel.do("SENTINEL", "FAILOVER", "m") // or one is under way
		}
		return false
	})
}
