package server_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// observed are commands of one connection that are shown, noted or redacted in one way or another. (Redis shows the
// password of a HELLO whose version is wrong; this server does not.)
var observed = [][]string{
	{"PING"}, {"AUTH", "x"}, {"AUTH", "default", "x"}, {"AUTH", "a", "b", "c"}, {"HELLO", "3"},
	{"HELLO", "2", "AUTH", "default", "foo", "SETNAME", "x"}, {"HELLO", "2", "setname", "y", "auth", "default", "foo"},
	{"HELLO", "2", "AUTH", "default"}, {"HELLO", "2", "SETNAME"},
	{"SELECT", "3"}, {"MULTI"}, {"SET", "a", "b"}, {"GET", "a"}, {"CONFIG", "GET", "port"}, {"EXEC"}, {"MULTI"},
	{"DISCARD"}, {"MULTI"}, {"NOSUCH"}, {"EXEC"}, {"WATCH", "a"}, {"SET", "a", "c"}, {"MULTI"}, {"GET", "a"}, {"EXEC"},
	{"CONFIG", "SET", "requirepass", ""}, {"CONFIG", "SET", "timeout", "0", "masterauth", ""}, {"SLOWLOG", "LEN"},
	{"LATENCY", "LATEST"}, {"CLIENT", "GETNAME"}, {"CLIENT", "LIST", "ID", "1"}, {"COMMAND", "COUNT"}, {"NOSUCH", "x"},
	{"GET"}, {"GET", "x", "y"}, {"INCR", "a"}, {"SET", "x", "a\x00\n\t\a\b\r\"\\\xff'"}, {"INFO", "server"},
	{"MSET", "a", "1", "b", "2", "c", "3"}, {"SHUTDOWN", "x"}, {"CONFIG", "NOSUCH"}, {"DEBUG", "SLEEP", "0"},
	{"SET", "big", strings.Repeat("v", 128)}, {"SET", "big", strings.Repeat("v", 129)},
	append([]string{"MGET"}, slices.Repeat([]string{"k"}, 31)...),
	append([]string{"MGET"}, slices.Repeat([]string{"k"}, 32)...),
	append([]string{"MGET"}, slices.Repeat([]string{"k"}, 99)...),
	{"EVAL", "redis.call('SET',KEYS[1],ARGV[1]) redis.pcall('HGET',KEYS[1],'f') return redis.call('GET','k')", "1",
		"k", "v"},
	{"EVAL", "redis.call('SELECT',7) redis.call('SET','in','seven') return redis.call('CONFIG','GET','port')", "0"},
	{"EVAL", "return redis.call('SET','a','b','c')", "0"}, {"EVAL_RO", "return redis.call('SET','a','b')", "0"},
	{"EVAL", "return 1", "x"}, {"EVAL", "no Lua", "0"}, {"EVALSHA", "abc", "0"}, {"SCRIPT", "LOAD", "return 7"},
	{"EVALSHA", "7b2d1dd7f3d5a9e0e7a2b2b2f7b6f5c4d3e2f1a0", "0"}, {"EVAL", "#!lua flags=no-writes\nreturn 1", "0"},
	{"MULTI"}, {"EVAL", "return redis.call('GET','a')", "0"}, {"GET", "a"}, {"EXEC"},
	{"RESET"}, {"ECHO", "end"},
}

// place is what differs between two monitors of the same commands; a script's have no client, and are "lua".
var place = regexp.MustCompile(`^\d+\.\d{6} \[(\d+) (lua)?[^\]]*\] `)

// monitorLines executes commands and returns what a monitor is shown of them.
func monitorLines(t *testing.T, addr string, commands [][]string) (lines []string) {
	t.Helper()
	mon, conn := dialOne(t, addr), dialOne(t, addr)
	if v := ask(t, mon, "MONITOR"); string(v.Str) != "OK" {
		t.Fatal(v)
	}
	for _, args := range commands {
		ask(t, conn, args...)
	}
	for {
		v, err := mon.Receive()
		if err != nil {
			t.Fatal(err)
		}
		line := string(v.Str)
		if !place.MatchString(line) {
			t.Errorf("line %q", line)
		}
		lines = append(lines, place.ReplaceAllString(line, "$1 $2 "))
		if strings.HasSuffix(line, `"end"`) {
			return lines
		}
	}
}

func dialOne(t *testing.T, addr string) *redistest.Conn {
	t.Helper()
	conn, err := redistest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestMonitorEqualsRedis compares what MONITOR shows, line by line.
func TestMonitorEqualsRedis(t *testing.T) {
	params := []string{"--enable-debug-command", "yes"}
	want := monitorLines(t, redistest.Redis(params...).Start(t), observed)
	got := monitorLines(t, fulmen(8, params...).Start(t), observed)
	compareLines(t, got, want)
}

func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("line %d: got %s\nwant %s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

// slowLines executes commands and returns what the slow log, noting all, has of them, the oldest first.
func slowLines(t *testing.T, addr string, commands [][]string) (lines []string) {
	t.Helper()
	conn := dialOne(t, addr)
	ask(t, conn, "CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
	for _, args := range commands {
		ask(t, conn, args...)
	}
	for _, e := range ask(t, conn, "SLOWLOG", "GET", "-1").Elems {
		if len(e.Elems) != 6 || e.Elems[1].Int < 1e9 || e.Elems[2].Int < 0 {
			t.Errorf("entry %v", e)
		}
		lines = append(lines, fmt.Sprint(e.Elems[0].Int, " ", e.Elems[3], " ", e.Elems[5]))
	}
	slices.Reverse(lines)
	return lines
}

// TestSlowlogEqualsRedis compares ids, arguments and names.
func TestSlowlogEqualsRedis(t *testing.T) {
	params := []string{"--enable-debug-command", "yes"}
	compareLines(t, slowLines(t, fulmen(8, params...).Start(t), observed),
		slowLines(t, redistest.Redis(params...).Start(t), observed))
}

// commandEvent gives how often LATENCY LATEST has the event of commands, and the time of the latest one. On a machine
// that is busy otherwise background work has events of its own.
func commandEvent(latest resp.Value) (events int, ms int64) {
	for _, e := range latest.Elems {
		if string(e.Elems[0].Str) == "command" {
			events, ms = events+1, e.Elems[2].Int
		}
	}
	return events, ms
}

// TestLatencyEvents: both servers note commands that were slow, with times that they took at least.
func TestLatencyEvents(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"CONFIG", "SET", "latency-monitor-threshold", "1000000"}, {"DEBUG", "SLEEP", "0.005"},
	} {
		b.do(args...)
	}
	noted := func(when string, events int) (right, ours int64) {
		t.Helper()
		rightLatest, ourLatest := b.do("LATENCY", "LATEST")
		rightEvents, right := commandEvent(rightLatest)
		ourEvents, ours := commandEvent(ourLatest)
		if rightEvents != events || ourEvents != events {
			t.Errorf("%s redis has %v and fulmen %v", when, rightLatest, ourLatest)
		}
		return right, ours
	}
	noted("below the threshold", 0)
	b.do("CONFIG", "SET", "latency-monitor-threshold", "4")
	b.do("DEBUG", "SLEEP", "0.006")
	b.do("CONFIG", "SET", "latency-monitor-threshold", "0")
	right, ours := noted("above it", 1)
	b.do("DEBUG", "SLEEP", "0.02")
	stillRight, stillOurs := noted("without one", 1)
	if right < 6 || ours < 6 || stillRight != right || stillOurs != ours {
		t.Errorf("redis notes %d ms and then %d, fulmen %d and then %d", right, stillRight, ours, stillOurs)
	}
	if right, ours := b.do("LATENCY", "RESET", "command", "nosuch"); right.String() != ours.String() {
		t.Errorf("RESET: got %v, want %v", ours, right)
	}
	noted("reset", 0)
}
