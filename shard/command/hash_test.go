package command

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"fulmen/shard"
)

// TestHRandFieldIsUniform draws fields of hashes in both forms: each comes about as often as any other, and those of
// one call with a positive count are different. The bounds are nine standard deviations off.
func TestHRandFieldIsUniform(t *testing.T) {
	for i, size := range []int{5, 200} {
		if i > 0 && RaceShare > 1 {
			break
		}
		h := newHarness(t, 1)
		for i := range size {
			h.do("HSET", "h", strconv.Itoa(i), "v"+strconv.Itoa(i))
		}
		for _, n := range []int{1, size / 20, size / 4, size - 1, size, -1, -3 * size} {
			if n == 0 {
				continue
			}
			const drawn = 100 // of each field
			seen := map[string]int{}
			each := max(min(n, size), -n)
			calls := drawn * size / each
			for range calls {
				once := map[string]bool{}
				v := h.do("HRANDFIELD", "h", strconv.Itoa(n), "WITHVALUES")
				if len(v.Elems) != 2*each {
					t.Fatalf("%d fields, count %d: %d items", size, n, len(v.Elems))
				}
				for i := 0; i < len(v.Elems); i += 2 {
					field := string(v.Elems[i].Str)
					if once[field] && n > 0 || string(v.Elems[i+1].Str) != "v"+field {
						t.Fatalf("%d fields, count %d: %s is given twice or has %q", size, n, field, v.Elems[i+1].Str)
					}
					once[field] = true
					seen[field]++
				}
			}
			want := calls * each / size
			for i := range size {
				if k := seen[strconv.Itoa(i)]; k < want-9*10 || k > want+9*10 {
					t.Errorf("%d fields, count %d: %d is given %d times, want about %d", size, n, i, k, want)
				}
			}
		}
	}
}

// TestHRandFieldTooMany asks for more than may be replied: nothing of that is made.
func TestHRandFieldTooMany(t *testing.T) {
	for _, limit := range []int{0, 1 << 20} {
		h := newHarness(t, 1)
		h.do("HSET", "h", "f", "v")
		h.ctx.ReplyLimit = limit
		for _, count := range []string{"-4611686018427387903", "-9223372036854775807", "-1000000000"} {
			h.ctx.Overflow = false
			h.call(bytesOf([]string{"HRANDFIELD", "h", count}))
			if !h.ctx.Overflow || cap(h.ctx.Out) > 8<<20 {
				t.Errorf("limit %d, %s: overflow %v, %d bytes", limit, count, h.ctx.Overflow, cap(h.ctx.Out))
			}
		}
		h.ctx.Overflow = false
		if v := h.do("HRANDFIELD", "h", "-1000"); len(v.Elems) != 1000 || h.ctx.Overflow {
			t.Errorf("limit %d: %d items", limit, len(v.Elems))
		}
	}
}

// TestHashExTooLong: a reply that is too long cuts no change short.
func TestHashExTooLong(t *testing.T) {
	h := newHarness(t, 1)
	h.do("HSET", "h", "a", "1", "b", "2", "c", "3", "d", "4")
	tooLong := func(args ...string) {
		h.ctx.ReplyLimit, h.ctx.Overflow = 8, false
		h.call(bytesOf(args))
		if !h.ctx.Overflow {
			t.Errorf("%s: the reply is not too long", args)
		}
		h.ctx.ReplyLimit, h.ctx.Overflow = 0, false
	}
	tooLong("HGETEX", "h", "EX", "1000", "FIELDS", "3", "a", "b", "c")
	if ttl := h.do("HTTL", "h", "FIELDS", "1", "c"); ttl.Elems[0].Int != 1000 {
		t.Errorf("HGETEX left the last field without its expiry: %v", ttl)
	}
	tooLong("HGETDEL", "h", "FIELDS", "3", "a", "b", "c")
	if n := h.do("HLEN", "h"); n.Int != 1 {
		t.Errorf("HGETDEL of 3 of 4 fields left %d", n.Int)
	}
}

// TestHashEncodingFollowsLimits sets fields with other limits than by default.
func TestHashEncodingFollowsLimits(t *testing.T) {
	h := newHarness(t, 1)
	h.ctx.Limits = &Limits{MaxStringBytes: shard.MaxHashText, HashMaxListpackEntries: 3, HashMaxListpackValueBytes: 2}
	for i, c := range []struct{ args, want string }{
		{"a 1 b 2 c 3", "listpack"},
		{"a 1 b 2 c 3 d 4", "hashtable"},
		{"a 1 a 2 a 3 a 4", "hashtable"}, // pairs are counted, as in Redis from 7.2 on
		{"a 12", "listpack"},
		{"a 123", "hashtable"},
		{"abc 1", "hashtable"},
	} {
		key := fmt.Sprint("h", i)
		args := bytesOf([]string{"HSET", key})
		for _, w := range strings.Fields(c.args) {
			args = append(args, []byte(w))
		}
		h.call(args)
		h.expect(c.want, "OBJECT", "ENCODING", key)
	}
}
