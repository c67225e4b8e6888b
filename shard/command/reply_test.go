package command

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestReplyModel compares a reply in pieces with one in a buffer: appending, cutting, replacing, moving.
func TestReplyModel(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 61))
		var r Reply
		var want []byte
		check := func(step string) {
			t.Helper()
			if got := append(bytes.Join(r.pieces, nil), r.Out...); !bytes.Equal(got, want) || r.Bytes() != len(want) {
				t.Fatalf("seed %d: %s: %q, %d bytes, want %q", seed, step, got, r.Bytes(), want)
			}
		}
		grow := func(r *Reply, want []byte) []byte {
			for range rnd.IntN(8) {
				text := fmt.Sprint(rnd.IntN(1000))
				r.Out = append(r.Out, text...)
				if want = append(want, text...); rnd.IntN(2) == 0 {
					r.close()
				}
			}
			return want
		}
		for range 30 {
			want = grow(&r, want)
			check("grown")
			mark, at := r.Mark(), len(want)
			r.Out, want = append(r.Out, "head"...), append(want, "head"...)
			want = grow(&r, want)
			switch rnd.IntN(4) {
			case 0:
				r.Cut(mark)
				want = want[:at]
			case 1:
				if !bytes.HasPrefix(r.after(mark), []byte("he")) {
					t.Fatalf("seed %d: %q stands behind a mark", seed, r.after(mark))
				}
				r.replace(mark, 2, []byte("longer"))
				want = append(want[:at:at], append([]byte("longer"), want[at+2:]...)...)
			case 2:
				var to Reply
				moved := grow(&to, nil)
				r.Move(&to, mark)
				check2 := append(bytes.Join(to.pieces, nil), to.Out...)
				if moved = append(moved, want[at:]...); !bytes.Equal(check2, moved) || to.Bytes() != len(moved) {
					t.Fatalf("seed %d: moved to %q, want %q", seed, check2, moved)
				}
				want = want[:at]
				to.Out = append(to.Out, "no longer of r"...)
			default:
				given := 0
				r.Give(func(p []byte) { given += len(p) })
				want = want[given:]
			}
			check("changed")
		}
	}
}

// TestLongRepliesGrowInPieces: what commands reply is never in one buffer that is much longer than a piece, whatever
// they are, and is the same as ever.
func TestLongRepliesGrowInPieces(t *testing.T) {
	h := newHarness(t, 2)
	const n, size = 400, 20_000
	value := func(i int) string { return fmt.Sprintf("%04d", i) + strings.Repeat("x", size) }
	mget := []string{"MGET"}
	for i := range n {
		h.do("RPUSH", "list", value(i))
		h.do("HSET", "hash", value(i), "v")
		h.do("SADD", "set", value(i))
		h.do("ZADD", "zset", fmt.Sprint(i), value(i))
		h.do("SET", fmt.Sprint("key", i), value(i))
		mget = append(mget, fmt.Sprint("key", i))
	}
	for _, cmd := range [][]string{
		mget, {"LRANGE", "list", "0", "-1"}, {"HGETALL", "hash"}, {"HKEYS", "hash"}, {"SMEMBERS", "set"},
		{"SUNION", "set", "none"}, {"SINTER", "set", "set"}, {"SDIFF", "set"}, {"ZRANGE", "zset", "0", "-1"},
		{"ZRANGE", "zset", "0", "-1", "REV", "WITHSCORES"}, {"HSCAN", "hash", "0", "COUNT", "1000"},
		{"SSCAN", "set", "0", "COUNT", "1000"}, {"ZSCAN", "zset", "0", "COUNT", "1000"}, {"SORT", "list", "ALPHA"},
		{"SORT", "list", "BY", "none", "GET", "#"}, {"SRANDMEMBER", "set", "-400"}, {"HRANDFIELD", "hash", "400"},
		{"ZRANDMEMBER", "zset", "400", "WITHSCORES"}, {"ZUNION", "1", "zset"}, {"ZINTER", "1", "zset"},
		{"LPOP", "list", "200"}, {"RPOP", "list", "200"}, {"SPOP", "set", "400"}, {"ZPOPMIN", "zset", "400"},
		append([]string{"HGETDEL", "hash", "FIELDS", "1"}, value(0)),
	} {
		if cmd[0] == "MGET" || cmd[0] == "LRANGE" {
			if v := h.do(cmd...); len(v.Elems) != n || string(v.Elems[n-1].Str) != value(n-1) {
				t.Errorf("%s: %d elements, or another last one", cmd[0], len(v.Elems))
			}
		}
		reply := h.call(bytesOf(cmd))
		h.parse(reply)
		longest := cap(h.ctx.Out)
		for _, p := range h.ctx.pieces {
			longest = max(longest, cap(p))
		}
		if longest > 2*pieceBytes {
			t.Errorf("%.30q: %d bytes of reply have a buffer of %d", cmd, len(reply), longest)
		}
		if cmd[0] != "HGETDEL" && len(reply) < 190*size {
			t.Errorf("%.30q: a reply of %d bytes only", cmd, len(reply))
		}
	}
}

// TestRepliesStopAtTheLimit: a reply that is too long is not made to its end, whatever the command; what it changes is.
func TestRepliesStopAtTheLimit(t *testing.T) {
	h := newHarness(t, 2)
	const n, size, limit = 400, 20_000, 2 << 20
	mget := []string{"MGET"}
	for i := range n {
		value := fmt.Sprintf("%04d", i) + strings.Repeat("x", size)
		h.do("RPUSH", "list", value)
		h.do("HSET", "hash", value, "v")
		h.do("SADD", "set", value)
		h.do("ZADD", "zset", fmt.Sprint(i), value)
		h.do("SET", "key", value)
		mget = append(mget, "key")
	}
	h.do("SETRANGE", "long", "8000000", "x")
	h.ctx.ReplyLimit = limit
	for _, cmd := range [][]string{
		mget, {"LRANGE", "list", "0", "-1"}, {"HGETALL", "hash"}, {"SMEMBERS", "set"}, {"SUNION", "set"},
		{"ZRANGE", "zset", "0", "-1"}, {"SORT", "list", "ALPHA"}, {"HSCAN", "hash", "0", "COUNT", "1000"},
		{"ZSCAN", "zset", "0", "COUNT", "1000"}, {"GET", "long"}, {"GETRANGE", "long", "0", "-2"}, {"DUMP", "list"},
		{"RPOP", "list", "200"}, {"LPOP", "list", "200"}, {"SPOP", "set", "400"}, {"ZPOPMIN", "zset", "400"},
	} {
		h.call(bytesOf(cmd))
		if !h.ctx.Overflow || h.ctx.Bytes() > limit+pieceBytes {
			t.Errorf("%.30q: overflow %v, %d bytes of reply were made", cmd, h.ctx.Overflow, h.ctx.Bytes())
		}
	}
	h.ctx.ReplyLimit = 0
	h.expect("0", "EXISTS", "list", "set", "zset")
}

// TestRepliesReachTheLimit: a long reply may be as long as the session's limit, and not a byte longer.
func TestRepliesReachTheLimit(t *testing.T) {
	h := newHarness(t, 2)
	mget := []string{"MGET"}
	for i := range 60 {
		value := fmt.Sprintf("%04d", i) + strings.Repeat("x", 20_000)
		h.do("RPUSH", "list", value)
		h.do("HSET", "hash", value, "v")
		h.do("SADD", "set", value)
		h.do("ZADD", "zset", fmt.Sprint(i), value)
		h.do("SET", "key", value)
		mget = append(mget, "key")
	}
	h.do("SETRANGE", "long", "1200000", "x")
	for _, cmd := range [][]string{
		mget, {"LRANGE", "list", "0", "-1"}, {"HGETALL", "hash"}, {"SMEMBERS", "set"}, {"SUNION", "set", "none"},
		{"ZRANGE", "zset", "0", "-1"}, {"SORT", "list", "ALPHA"}, {"HSCAN", "hash", "0", "COUNT", "1000"},
		{"ZSCAN", "zset", "0", "COUNT", "1000"}, {"GET", "long"}, {"GETRANGE", "long", "0", "-2"},
	} {
		h.ctx.ReplyLimit = 0
		size := len(h.call(bytesOf(cmd)))
		for _, limit := range []int{size, size - 1} {
			h.ctx.ReplyLimit = limit
			if h.call(bytesOf(cmd)); h.ctx.Overflow != (limit < size) {
				t.Errorf("%.30q: a reply of %d bytes, limit %d: overflow %v", cmd, size, limit, h.ctx.Overflow)
			}
		}
	}
}
