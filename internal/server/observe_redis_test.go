package server_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
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

// TestLatencyEvents: both servers note the same sort of events, with times that the commands took at least.
func TestLatencyEvents(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"CONFIG", "SET", "latency-monitor-threshold", "1000000"}, {"DEBUG", "SLEEP", "0.001"},
		{"CONFIG", "SET", "latency-monitor-threshold", "4"}, {"DEBUG", "SLEEP", "0.006"},
		{"CONFIG", "SET", "latency-monitor-threshold", "0"}, {"DEBUG", "SLEEP", "0.02"},
	} {
		b.do(args...)
	}
	right, ours := b.do("LATENCY", "LATEST")
	for _, v := range []struct {
		name   string
		events int
		event  string
		ms     int64
	}{
		{"redis", len(right.Elems), string(right.Elems[0].Elems[0].Str), right.Elems[0].Elems[2].Int},
		{"fulmen", len(ours.Elems), string(ours.Elems[0].Elems[0].Str), ours.Elems[0].Elems[2].Int},
	} {
		if v.events != 1 || v.event != "command" || v.ms < 6 || v.ms > 1000 {
			t.Errorf("%+v", v)
		}
	}
	for _, args := range [][]string{{"LATENCY", "RESET", "command", "nosuch"}, {"LATENCY", "LATEST"}} {
		if right, ours := b.do(args...); right.String() != ours.String() {
			t.Errorf("%q: got %v, want %v", args, ours, right)
		}
	}
}
