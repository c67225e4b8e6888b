package command

import (
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/shard"
)

// TestStringLimit: proto-max-bulk-len bounds what APPEND and SETRANGE make.
func TestStringLimit(t *testing.T) {
	h := newHarness(t, 1)
	h.ctx.Limits = &Limits{MaxStringBytes: 100}
	tooLong := "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	h.expect("100", "SETRANGE", "k", "99", "x")
	h.expect(tooLong, "SETRANGE", "k", "100", "x")
	h.expect(tooLong, "SETRANGE", "new", "99", "xy")
	h.expect("100", "SETRANGE", "k", "100", "")
	h.expect("100", "SETRANGE", "k", "98", "yz")
	h.expect(tooLong, "APPEND", "k", "x")
	h.expect("100", "APPEND", "k", "")
	h.expect("0", "EXISTS", "new")
	h.expect("100", "STRLEN", "k")
}

// TestHitsAndMisses compares what counts as a hit or a miss with redis-server.
func TestHitsAndMisses(t *testing.T) {
	h := newHarness(t, 8)
	conn, err := redistest.Dial(redistest.StartOracle(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, command := range []string{
		"SET k v", "SET k v GET", "SET new v NX GET", "SET k v XX", "GET k", "GET x", "GETSET k v",
		"GETSET y v", "SETNX k v", "MGET k x k y", "MSET a 1 b 2", "MSETNX a 1 c 2", "INCR n", "INCR a",
		"INCRBYFLOAT a 1", "APPEND k x", "STRLEN k", "STRLEN x", "GETRANGE k 0 1", "GETRANGE x 0 1",
		"GETRANGE k x 1", "SETRANGE k 1 x", "GETEX k", "GETEX x", "GETEX k EX x", "GETDEL y", "GETDEL y",
		"EXISTS k x k", "TOUCH k x", "TYPE k", "TYPE x", "TTL k", "PTTL x", "EXPIRETIME k", "PERSIST k",
		"EXPIRE k 100", "EXPIRE x 100", "DEL x a", "UNLINK x", "KEYS *", "SCAN 0 COUNT 1000",
		"SCAN 0 COUNT 1000 TYPE string", "SCAN 0 COUNT 1000 TYPE list MATCH k*", "DBSIZE", "RANDOMKEY",
		"SET gone v PXAT 1", "GET gone", "SET gone v PXAT 1", "EXISTS gone", "SET gone v PXAT 1", "DEL gone",
	} {
		args := strings.Fields(command)
		if _, err := conn.Do(args...); err != nil {
			t.Fatal(err)
		}
		h.do(args...)
		info, err := conn.Do("INFO", "stats")
		if err != nil {
			t.Fatal(err)
		}
		var got shard.Stats
		for _, s := range h.set.Shards {
			got.Hits += s.Stats.Hits
			got.Misses += s.Stats.Misses
		}
		hits, misses := field(info.Str, "keyspace_hits"), field(info.Str, "keyspace_misses")
		if have := (resultOf{got.Hits, got.Misses}); have != (resultOf{hits, misses}) {
			t.Fatalf("after %s: %+v, want %d hits and %d misses", command, have, hits, misses)
		}
	}
}

type resultOf struct{ hits, misses int64 }

// field gives a number of INFO.
func field(info []byte, name string) (n int64) {
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			for _, c := range strings.TrimSpace(value) {
				n = n*10 + int64(c-'0')
			}
		}
	}
	return n
}
