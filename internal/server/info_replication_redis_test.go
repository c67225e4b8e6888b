package server

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

// told is what a server tells of its replication in one state: the fields of INFO in their order, and values that are
// the same on two servers in the same state.
func told(c *client) (lines []string) {
	stable := []string{
		"role", "master_host", "master_link_status", "master_last_io_seconds_ago", "master_sync_in_progress",
		"slave_read_repl_offset", "slave_repl_offset", "master_sync_total_bytes", "master_sync_read_bytes",
		"master_sync_left_bytes", "master_sync_perc", "slave_priority", "slave_read_only", "replica_announced",
		"connected_slaves", "min_slaves_good_slaves", "slave0", "master_failover_state", "repl_backlog_active",
		"repl_backlog_size", "second_repl_offset",
	}
	for line := range strings.Lines(c.do("INFO", "replication")) {
		name, value, isField := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if name == "slave0" {
			value, _, _ = strings.Cut(value, ",offset=") // and the lag
		}
		if isField && slices.Contains(stable, name) && !(name == "master_last_io_seconds_ago" && value != "-1") {
			name += ":" + value
		}
		lines = append(lines, name)
	}
	return lines
}

// replicaStates has a server go through the states of a replica, and returns what it tells in each.
func replicaStates(t *testing.T, c *client) (states [][]string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	note := func(name, want string) {
		t.Helper()
		eventuallyOr(t, func() bool { return strings.Contains(c.do("ROLE"), want) }, func() string {
			return name + ": " + c.do("ROLE")
		})
		states = append(states, append([]string{name + ":"}, told(c)...))
	}
	note("alone", "[master ")
	c.do("CONFIG", "SET", "replica-announced", "no")
	c.do("CONFIG", "SET", "replica-priority", "7")
	p := &fakePrimary{t: t, ln: ln}
	open := func() {
		t.Helper()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p.client = wrap(t, nc)
		p.hears("PING")
	}
	c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	open()
	note("handshake", " handshake -1]")
	greet := func(answer string) {
		t.Helper()
		p.send("+PONG\r\n")
		p.hears("REPLCONF listening-port")
		p.send("+OK\r\n")
		p.hears("REPLCONF capa eof capa psync2")
		p.send("+OK\r\n")
		p.hears("PSYNC ") // who was a primary may ask for what follows its own history
		p.send(answer)
	}
	greet("+FULLRESYNC " + fakeID + " 100\r\n")
	note("before the snapshot", " sync -1]")
	some := func() {
		t.Helper()
		eventually(t, "some of it has come", func() bool {
			return strings.Contains(c.do("INFO", "replication"), "\r\nmaster_sync_read_bytes:9\r\n")
		})
	}
	p.send("$1000\r\nREDIS0009")
	some()
	note("within it", " sync -1]")
	_ = p.Close()
	open()
	greet(fmt.Sprintf("+FULLRESYNC %s 100\r\n$EOF:%s\r\nREDIS0009", fakeID, fakeMark))
	some()
	note("within one without length", " sync -1]")
	_ = p.Close()
	open()
	body := emptySnapshot(t)
	greet(fmt.Sprintf("+FULLRESYNC %s 100\r\n$%d\r\n%s", fakeID, len(body), body))
	note("connected", " connected 100]")
	p.send(spoken("SET", "k", "v"))
	note("behind a command", fmt.Sprintf(" connected %d]", 100+len(spoken("SET", "k", "v"))))
	_ = ln.Close()
	_ = p.Close()
	note("lost", " connect -1]")
	c.do("REPLICAOF", "NO", "ONE")
	note("promoted", "[master ")
	return states
}

// primaryStates has a server go through the states of a primary's replica, and returns what it tells in each.
func primaryStates(t *testing.T, c *client) (states [][]string) {
	addr := c.RemoteAddr().String()
	note := func(name, want string) {
		t.Helper()
		eventuallyOr(t, func() bool { return strings.Contains(c.do("INFO", "replication"), want) }, func() string {
			return name + ": " + c.do("INFO", "replication")
		})
		list := field(c.do("CLIENT", "LIST", "TYPE", "replica"), "flags")
		states = append(states, append([]string{name + ": flags=" + list}, told(c)...))
	}
	c.do("CONFIG", "SET", "repl-diskless-sync", "yes")
	c.do("CONFIG", "SET", "repl-diskless-sync-delay", "1000000")
	x := dial(t, addr)
	x.do("REPLCONF", "listening-port", "7", "capa", "eof", "capa", "psync2")
	x.send("PSYNC ? -1\r\n")
	note("it waits", "state=wait_bgsave")
	c.do("CONFIG", "SET", "min-replicas-to-write", "1")
	note("it waits, and would be needed", "min_slaves_good_slaves:0")
	c.do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
	note("it gets the data", "state=online")
	x.send("REPLCONF ACK 1\r\n")
	note("it is there", "min_slaves_good_slaves:1")
	_ = x.Close()
	note("it is gone", "connected_slaves:0")
	return states
}

// TestReplicationInfoEqualsRedis compares INFO and ROLE with redis-server in every state of a replica, and of a
// primary.
func TestReplicationInfoEqualsRedis(t *testing.T) {
	oracle := dial(t, redistest.StartOracle(t).Addr)
	ours := dial(t, startServer(t).Addr())
	for _, run := range []func(*testing.T, *client) [][]string{replicaStates, primaryStates} {
		want, got := run(t, oracle), run(t, ours)
		for i := range want {
			if !slices.Equal(want[i], got[i]) {
				t.Errorf("got  %s\nwant %s", got[i], want[i])
			}
		}
	}
}
