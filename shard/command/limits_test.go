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
		"SETBIT k 1 1", "GETBIT k 1", "GETBIT x 1", "GETBIT k x",
		"BITCOUNT k", "BITCOUNT x", "BITCOUNT k 0", "BITPOS k 1", "BITPOS x 2", "BITPOS x 1", "BITOP OR d k x k",
		"BITOP NOT d x", "BITFIELD k", "BITFIELD x GET u8 0", "BITFIELD k SET u8 0 1", "BITFIELD_RO k GET u8 0",
		"BITFIELD_RO k SET u8 0 1", "LCS k x", "LCS k x FOO", "SET gone v PXAT 1", "GET gone", "SET gone v PXAT 1",
		"EXISTS gone", "SET gone v PXAT 1", "DEL gone",
		"HSET h f v", "HSET new2 f v g", "HSETNX h f v", "HMSET h g w", "HGET h f", "HGET h x", "HGET x f", "HGET k f",
		"HMGET h f x", "HMGET x f", "HGETALL h", "HGETALL x", "HKEYS h", "HVALS x", "HEXISTS h f", "HLEN x", "HLEN h",
		"HSTRLEN h f", "HINCRBY h n 1", "HINCRBYFLOAT h n 1", "HRANDFIELD h", "HRANDFIELD x", "HRANDFIELD x 3",
		"HRANDFIELD h x", "HSCAN h 0", "HSCAN x 0", "HSCAN h x", "HSCAN h 0 x", "HDEL h f x", "HDEL x f",
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

// TestBitLimit: proto-max-bulk-len bounds what bits can be written, and LCS's table.
func TestBitLimit(t *testing.T) {
	h := newHarness(t, 1)
	h.ctx.Limits = &Limits{MaxStringBytes: 100}
	h.expect("0", "SETBIT", "k", "799", "1")
	h.expect("ERR bit offset is not an integer or out of range", "SETBIT", "k", "800", "1")
	h.expect("ERR bit offset is not an integer or out of range", "GETBIT", "k", "800")
	h.expect("ERR bit offset is not an integer or out of range", "BITFIELD", "k", "GET", "u8", "#100")
	h.expect("[16]", "BITFIELD", "k", "SET", "u8", "796", "255")
	h.expect("101", "STRLEN", "k") // a field may end behind the limit, as in Redis
	h.expect("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len", "LCS", "k", "x")
	h.do("SET", "a", "abcd")
	h.do("SET", "b", "bcde")
	h.expect("bcd", "LCS", "a", "b")

	h.ctx.Limits = &Limits{MaxStringBytes: 1 << 40}
	tooLong := "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	h.expect("0", "SETBIT", "end", "4294967295", "1")
	h.expect(tooLong, "SETBIT", "end", "4294967296", "1")
	h.expect(tooLong, "BITFIELD", "end", "SET", "u8", "4294967295", "1")
	h.expect("536870912", "STRLEN", "end")
	h.expect("1", "BITCOUNT", "end")
	h.expect("4294967295", "BITPOS", "end", "1")
	h.expect("0", "GETBIT", "end", "8796093022207")
	if used := h.set.Shards[0].UsedBytes(); used > 1<<20 {
		t.Errorf("a string of one bit takes %d bytes", used)
	}
}
