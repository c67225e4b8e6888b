package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// scriptStates are ways to bring a server into a state that refuses something, and out of it again.
var scriptStates = []struct {
	name        string
	begin, over [][]string
}{
	{"well", nil, nil},
	{"out of memory", [][]string{{"CONFIG", "SET", "maxmemory", "1"}}, [][]string{{"CONFIG", "SET", "maxmemory", "0"}}},
	{"too few replicas", [][]string{{"CONFIG", "SET", "min-replicas-to-write", "1"}},
		[][]string{{"CONFIG", "SET", "min-replicas-to-write", "0"}}},
	{"a replica", [][]string{{"REPLICAOF", "127.0.0.1", "1"}}, [][]string{{"REPLICAOF", "NO", "ONE"}}},
	{"a replica that may be written to",
		[][]string{{"CONFIG", "SET", "replica-read-only", "no"}, {"REPLICAOF", "127.0.0.1", "1"}},
		[][]string{{"REPLICAOF", "NO", "ONE"}, {"CONFIG", "SET", "replica-read-only", "yes"}}},
	{"a replica with old data",
		[][]string{{"CONFIG", "SET", "replica-serve-stale-data", "no"}, {"REPLICAOF", "127.0.0.1", "1"}},
		[][]string{{"REPLICAOF", "NO", "ONE"}, {"CONFIG", "SET", "replica-serve-stale-data", "yes"}}},
}

// stateBodies are what scripts do in these states.
var stateBodies = []string{
	"return redis.call('GET',KEYS[1])",
	"return redis.call('SET',KEYS[1],'%d')",
	"return redis.call('DEL',KEYS[1])",
	"redis.call('DEL',KEYS[1]) return redis.call('SET',KEYS[1],'%d')",
	"redis.call('GET',KEYS[1]) return redis.pcall('SET',KEYS[1],'%d')",
	"return redis.call('PUBLISH','channel','%d')",
	"return redis.call('ECHO','%d')",
	"return redis.call('PING')",
}

var stateShebangs = []string{
	"", "#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=\n", "#!lua flags=allow-oom\n", "#!lua flags=allow-stale\n",
	"#!lua flags=no-writes,allow-stale\n", "#!lua flags=allow-oom,allow-stale\n",
}

// TestScriptsInEveryStateAsRedis compares what scripts with all flags get in every state of the server, and what is
// left then, with redis-server: by EVAL for the first time and again, by EVALSHA, read-only, and in MULTI.
func TestScriptsInEveryStateAsRedis(t *testing.T) {
	b := &both{t: t}
	b.right, b.ours = b.dial(redistest.Redis().Start(t)), b.dial(fulmen(8).Start(t))
	compare := func(state string, args ...string) {
		t.Helper()
		right, got := b.do(args...)
		if want := string(right.Append(nil)); string(got.Append(nil)) != want {
			t.Errorf("%s, %q: got %q, redis-server says %q", state, args, got.Append(nil), want)
		}
	}
	n := 0
	for _, state := range scriptStates {
		for _, q := range state.begin {
			compare(state.name, q...)
		}
		for _, shebang := range stateShebangs {
			for _, body := range stateBodies {
				n++
				source := shebang + body
				if strings.Contains(body, "%d") {
					source = shebang + fmt.Sprintf(body, n)
				}
				for _, q := range [][]string{
					{"EVAL", source, "1", "k"}, {"EVAL", source, "1", "k"}, {"EVAL_RO", source, "1", "k"}, {"MULTI"},
					{"EVAL", source, "1", "k"}, {"EXEC"}, {"GET", "k"},
				} {
					compare(state.name, q...)
				}
			}
		}
		for _, q := range state.over {
			compare(state.name, q...)
		}
		compare(state.name, "GET", "k")
		compare(state.name, "SCRIPT", "FLUSH")
	}
	compare("statistics", "OBJECT", "HELP")
	right, got := b.do("INFO", "errorstats")
	if want := errorStats(right); errorStats(got) != want {
		t.Errorf("errors are counted\n%s\nredis-server says\n%s", errorStats(got), want)
	}
	right, got = b.do("INFO", "commandstats")
	if want := callStats(right); callStats(got) != want {
		t.Errorf("calls are counted\n%s\nredis-server says\n%s", callStats(got), want)
	}
}

// errorStats is what INFO errorstats says.
func errorStats(v resp.Value) string { return strings.TrimSpace(string(v.Str)) }

// callStats is what INFO commandstats says of the commands above, without times.
func callStats(v resp.Value) string {
	var out []string
	for line := range strings.Lines(string(v.Str)) {
		name, counts, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch strings.TrimPrefix(name, "cmdstat_") {
		case "eval", "eval_ro", "get", "set", "del", "publish", "echo", "ping", "exec":
			var kept []string
			for _, c := range strings.Split(counts, ",") {
				if !strings.HasPrefix(c, "usec") {
					kept = append(kept, c)
				}
			}
			out = append(out, name+":"+strings.Join(kept, ","))
		}
	}
	return strings.Join(slices.Sorted(slices.Values(out)), "\n")
}

// TestScriptsMessagesToTheirCallerAsRedis: what a script publishes to its own caller comes where redis-server has it.
func TestScriptsMessagesToTheirCallerAsRedis(t *testing.T) {
	publish := func(what, then string) []string {
		return []string{"EVAL", "redis.call('PUBLISH','news','" + what + "') " + then, "0"}
	}
	commands := [][]string{
		{"SUBSCRIBE", "news"},
		publish("a", "return {redis.call('PUBLISH','news','b'), 'end'}"),
		publish("c", "error('failed')"), publish("d", "return redis.call('LPOP')"), publish("e", "return {err='f'}"),
		{"MULTI"}, publish("g", "return 1"), {"PUBLISH", "news", "h"}, publish("i", "error('failed')"), {"EXEC"},
		{"CLIENT", "REPLY", "SKIP"}, publish("j", "return 1"),
		{"CLIENT", "REPLY", "OFF"}, {"MULTI"}, {"PUBLISH", "news", "k"}, publish("l", "return 1"), {"EXEC"},
		{"CLIENT", "REPLY", "ON"}, {"PING", "over"},
	}
	said := func(addr string) string {
		conn := (&both{t: t}).dial(addr)
		ask(t, conn, "HELLO", "3")
		for _, q := range commands {
			conn.Queue(q...)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for {
			v, err := conn.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if all = v.Append(all); string(v.Str) == "over" {
				return string(all)
			}
		}
	}
	want, got := said(redistest.Redis().Start(t)), said(fulmen(8).Start(t))
	if got != want {
		t.Errorf("got\n%q\nredis-server says\n%q", got, want)
	}
}

// TestScriptErrorsAsRedis: errors that scripts reply come to the byte as redis-server's do, and are counted so.
func TestScriptErrorsAsRedis(t *testing.T) {
	b := &both{t: t}
	b.right, b.ours = b.dial(redistest.Redis().Start(t)), b.dial(fulmen(8).Start(t))
	for _, body := range []string{
		"return redis.error_reply(%s)", "return {err=%s}", "error(redis.error_reply(%s))", "error({err=%s})",
		"error(%s)", "return redis.error_reply(%s)['err']", "return redis.status_reply(%s)",
	} {
		for _, text := range []string{
			`''`, `'-'`, `' '`, `'- '`, `'a'`, `'-a'`, `'a '`, `'-a '`, `'-A b'`, `'A  b '`, `'ERR '`, `'\r\n'`,
			`'a\r\nb\r\n'`,
		} {
			source := strings.Replace(body, "%s", text, 1)
			right, got := b.do("EVAL", source, "0")
			if want := string(right.Append(nil)); string(got.Append(nil)) != want {
				t.Errorf("%s: got %q, redis-server says %q", source, got.Append(nil), want)
			}
		}
	}
	right, got := b.do("INFO", "errorstats")
	if want := errorStats(right); errorStats(got) != want {
		t.Errorf("errors are counted\n%s\nredis-server says\n%s", errorStats(got), want)
	}
}
