package command

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/crc"
	"fulmen/persist/rdb"
	"fulmen/shard/ds/index"
)

// sealed makes a payload of a value.
func sealed(value []byte, version uint16) []byte {
	b := binary.LittleEndian.AppendUint16(bytes.Clone(value), version)
	return binary.LittleEndian.AppendUint64(b, crc.Sum64(b))
}

// fillAll makes a few values of all types and forms, and returns their keys.
func (h *harness) fillAll() (keys []string) {
	for _, n := range []int{1, 5, 200, 600} {
		list, set, zset, hash := []string{"RPUSH", ""}, []string{"SADD", ""}, []string{"ZADD", ""}, []string{"HSET", ""}
		ints := []string{"SADD", ""}
		for i := range n {
			text := fmt.Sprint("x", i, strings.Repeat("y", i%9*i%40))
			list, set = append(list, text), append(set, text)
			zset, hash = append(zset, fmt.Sprint(i%7), text), append(hash, text, fmt.Sprint(i))
			ints = append(ints, fmt.Sprint(i*i*3000))
		}
		for i, args := range [][]string{list, set, zset, hash, ints} {
			args[1] = fmt.Sprint("value:", i, ":", n)
			h.do(args...)
			keys = append(keys, args[1])
		}
		h.do(append([]string{"HSET", fmt.Sprint("due:", n)}, hash[2:]...)...)
		h.do("HPEXPIREAT", fmt.Sprint("due:", n), "1800000000000", "FIELDS", "1", "x0")
		keys = append(keys, fmt.Sprint("due:", n))
	}
	for i, s := range []string{"", "12", "text", strings.Repeat("z", 100), strings.Repeat("paged", 3000)} {
		h.do("SET", fmt.Sprint("string:", i), s)
		keys = append(keys, fmt.Sprint("string:", i))
	}
	return keys
}

// memory returns the bytes in use in all shards but for indexes, once what is given up has been freed.
func (h *harness) memory() (n int64) {
	for _, s := range h.set.Shards {
		for !s.FreeSome(1000) {
		}
		n += s.UsedBytes()
		for i := range h.set.Databases() {
			n -= s.DB(i).Index().SizeBytes()
		}
	}
	return n
}

// TestDumpRoundTrip: a value that was dumped and restored dumps as the same bytes, is called by the same name, and
// takes the same memory.
func TestDumpRoundTrip(t *testing.T) {
	for _, compress := range []bool{false, true} {
		h := newHarness(t, 1)
		lim := *h.ctx.Limits
		lim.CompressDumps = compress
		h.ctx.Limits = &lim
		for _, key := range h.fillAll() {
			payload := bytes.Clone(h.do("DUMP", key).Str)
			name := string(h.do("OBJECT", "ENCODING", key).Str)
			version := rdb.Version7
			if strings.HasPrefix(key, "due:") {
				version = rdb.Version8
			}
			if got := binary.LittleEndian.Uint16(payload[len(payload)-10:]); int(got) != version {
				t.Errorf("%s: version %d, not %d", key, got, version)
			}
			h.expect("OK", "RESTORE", "copy", "0", string(payload))
			if again := h.do("DUMP", "copy").Str; !bytes.Equal(again, payload) {
				t.Errorf("%s (%s): dumps as %d bytes, then as %d others", key, name, len(payload), len(again))
			}
			h.expect(name, "OBJECT", "ENCODING", "copy")
			before := h.memory()
			h.expect("OK", "RESTORE", "copy", "0", string(payload), "REPLACE")
			if now := h.memory(); now != before {
				t.Errorf("%s: %d bytes more after it has been replaced by itself", key, now-before)
			}
			h.do("DEL", "copy")
		}
	}
}

// TestRestoreTakesNoMemoryForForgedLengths: what is taken stays in proportion to what is there.
func TestRestoreTakesNoMemoryForForgedLengths(t *testing.T) {
	h := newHarness(t, 1)
	huge := "\x81\x00\x00\x00\xff\xff\xff\xff\xff" // 2^40 and more
	for _, value := range []string{
		"\x00" + huge + "abc", "\x00\xc3\x05" + huge + "abcde", "\x00\xc3" + huge + huge + "abc",
		"\x01" + huge + "\x01a", "\x02" + huge + "\x01a\x01b", "\x04" + huge + "\x01a\x01b",
		"\x05" + huge + "\x01a12345678",
		"\x0b" + huge + "\x02\x00\x00\x00\xff\xff\xff\xff", "\x0b\x08\x02\x00\x00\x00\xff\xff\xff\x7f",
		"\x10" + huge, "\x10\x0b\xff\xff\xff\x7f\xff\xff\x81a\x02\x81b", "\x11\x07\xff\xff\xff\xff\x00\x00\xff",
		"\x12" + huge + "\x02\x07\x07\x00\x00\x00\x00\x00\xff", "\x12\x01\x01" + huge,
		"\x18\x00\x00\x00\x00\x00\x01\x00\x00" + huge + "\x00\x01a\x01b", "\x19\x00\x00\x00\x00\x00\x01\x00\x00" + huge,
		"\x0e" + huge + "\x01a", "\x0d" + huge, "\x09" + huge, "\x0f" + huge, "\x07" + huge,
	} {
		payload := sealed([]byte(value), 12)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used := h.memory()
		if got := brief(h.do("RESTORE", "k", "0", string(payload))); got != "ERR Bad data format" {
			t.Errorf("%q: %s", value, got)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%q takes %d bytes of the heap", value, n)
		}
		if n := h.memory() - used; n != 0 {
			t.Errorf("%q leaves %d bytes behind", value, n)
		}
	}
}

// FuzzRestore restores forged payloads in the place of a key: there is an error, and nothing has changed, or there is a
// value that can be read, dumped and restored again.
func FuzzRestore(f *testing.F) {
	h := newHarness(f, 1)
	lim := *h.ctx.Limits
	for _, compress := range []bool{true, false} {
		lim := lim
		lim.CompressDumps = compress
		h.ctx.Limits = &lim
		for _, key := range h.fillAll() {
			payload := bytes.Clone(h.do("DUMP", key).Str)
			f.Add(payload[:len(payload)-10], uint16(12))
		}
	}
	h.do("FLUSHALL")
	f.Fuzz(func(t *testing.T, value []byte, version uint16) {
		h.t = t
		h.checkRestore(t, sealed(value, version))
	})
}

func (h *harness) checkRestore(t *testing.T, payload []byte) {
	h.do("DEL", "k", "again")
	h.do("SET", "k", "old value", "PXAT", "1800000000000")
	used, dirty := h.memory(), h.dirty()
	if v := h.do("RESTORE", "k", "0", string(payload), "REPLACE"); v.Err() != nil {
		h.expect("old value", "GET", "k")
		h.expect("1800000000000", "PEXPIRETIME", "k")
		if now := h.memory(); now != used || h.dirty() != dirty {
			t.Fatalf("%q: refused, but %d bytes more are in use, %d changes", payload, now-used, h.dirty()-dirty)
		}
		return
	}
	dump := bytes.Clone(h.do("DUMP", "k").Str)
	name := string(h.do("OBJECT", "ENCODING", "k").Str)
	h.expect("OK", "RESTORE", "again", "0", string(dump))
	if again := h.do("DUMP", "again").Str; !bytes.Equal(again, dump) {
		t.Fatalf("%q (%s): dumps as %q, and then as %q", payload, name, dump, again)
	}
	for _, key := range []string{"k", "again"} {
		h.do("DEL", key)
	}
	if now := h.memory(); now != 0 {
		t.Fatalf("%q: %d bytes are left", payload, now)
	}
}

// TestRestoreOfCutPayloads restores all payloads of h that end too early or have one byte changed, but a right sum.
func TestRestoreOfCutPayloads(t *testing.T) {
	h := newHarness(t, 1)
	for _, key := range []string{"value:0:5", "value:1:5", "value:2:5", "value:3:5", "value:4:5", "due:5", "string:3",
		"value:0:200", "value:1:600", "value:2:600", "value:3:600", "value:4:600", "due:600"} {
		h.fillAll()
		payload := bytes.Clone(h.do("DUMP", key).Str)
		value := payload[:len(payload)-10]
		h.do("FLUSHALL")
		for i := 0; i < len(value); i += RaceShare * (1 + len(value)/60) {
			h.checkRestore(t, sealed(value[:i], 12))
			for _, flip := range []byte{1, 0x10, 0x80, 0xff} {
				forged := bytes.Clone(value)
				forged[i] ^= flip
				h.checkRestore(t, sealed(forged, 12))
			}
		}
	}
}

// BenchmarkDump dumps and restores values of some types.
func BenchmarkDump(b *testing.B) {
	h := newHarness(b, 1)
	h.fillAll()
	var e index.Entry
	for _, key := range []string{"string:3", "value:0:5", "value:2:5", "value:3:200", "value:2:600"} {
		e, _ = h.set.Shards[0].DB(0).Look(h.set.Key([]byte(key)), testNowMs)
		var dump []byte
		b.Run("dump "+key, func(b *testing.B) {
			for b.Loop() {
				dump = h.ctx.AppendDump(dump[:0], e)
			}
		})
		args := bytesOf([]string{"RESTORE", "copy", "0", string(dump), "REPLACE"})
		b.Run("restore "+key, func(b *testing.B) {
			for b.Loop() {
				h.call(args)
			}
		})
	}
}

// expiries is an rdb.Builder that notes when fields expire, in the order in which they come.
type expiries struct {
	rdb.Discard
	atMs []int64
}

// Field notes an expiry.
func (x *expiries) Field(_, _ []byte, atMs int64) error {
	if atMs == 0 {
		atMs = math.MaxInt64
	}
	x.atMs = append(x.atMs, atMs)
	return nil
}

// TestFieldsComeByExpiry: of a hash that is written as a listpack Redis takes the first field for the one that expires
// first, and what never expires comes last.
func TestFieldsComeByExpiry(t *testing.T) {
	for _, n := range []int{2, 20, 128, 129, 500} {
		h := newHarness(t, 1)
		for i := range n {
			h.do("HSET", "k", fmt.Sprint("f", i), "v")
		}
		for i := range n {
			if i%3 != 1 {
				at := 1_800_000_000_000 + i*7919%101
				h.do("HPEXPIREAT", "k", fmt.Sprint(at), "FIELDS", "1", fmt.Sprint("f", i))
			}
		}
		h.expect("listpackex", "OBJECT", "ENCODING", "k")
		payload := h.do("DUMP", "k").Str
		var x expiries
		if err := rdb.DecodeDump(payload, &x); err != nil || payload[0] != rdb.TypeHashListpackEx {
			t.Fatalf("%d fields: type %d, %v", n, payload[0], err)
		}
		if len(x.atMs) != n || !slices.IsSorted(x.atMs) {
			t.Errorf("%d fields expire at %d", n, x.atMs)
		}
	}
}
