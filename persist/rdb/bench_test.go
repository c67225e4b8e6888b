package rdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
)

// manyKeys is a file of n keys with these values by turns.
func manyKeys(n int, values ...string) []byte {
	var parts strings.Builder
	for i := range n {
		v := values[i%len(values)]
		parts.WriteString(v[:1] + str(fmt.Sprintf("key:%012d", i)) + v[1:])
	}
	return file(Version7, parts.String())
}

// readAll reads a file and returns how many keys it has.
func readAll(t testing.TB, in []byte, b Builder) int {
	n := 0
	r := NewReader(bytes.NewReader(in), "")
	for {
		e, err := r.Next()
		if err == io.EOF {
			return n
		}
		if err == nil && e.Kind == EventKey {
			n++
			err = r.Value(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func benchKeys(b *testing.B, values ...string) {
	const n = 10_000
	in := manyKeys(n, values...)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if readAll(b, in, Discard{}) != n {
			b.Fatal("keys are missing")
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "keys/s")
}

func BenchmarkStrings(b *testing.B) { benchKeys(b, "\x00"+str(strings.Repeat("v", 60))) }

func BenchmarkIntegers(b *testing.B) { benchKeys(b, "\x00\xC1\x39\x30") }

func BenchmarkHashes(b *testing.B) {
	benchKeys(b, "\x10"+str(packed(listpack, "f1", "value1", "f2", "value2", "f3", "value3", "f4", "12", "f5",
		"value5")))
}

func BenchmarkExpiring(b *testing.B) {
	ms := string(binary.LittleEndian.AppendUint64([]byte{opExpireTimeMs}, 1<<42))
	in := file(Version7, strings.Repeat(ms+"\x00\x0Ckey:12345678"+str(strings.Repeat("v", 40)), 10_000))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		readAll(b, in, Discard{})
	}
}

// TestNoAllocations: keys and values are given as they stand in the Reader's buffers.
func TestNoAllocations(t *testing.T) {
	score := string(binary.LittleEndian.AppendUint64(nil, 0x3FF8000000000000))
	values := map[string]string{
		"string":  "\x00" + str(strings.Repeat("v", 100)),
		"integer": "\x00\xC2\x00\x00\x00\x80",
		"lzf":     "\x00\xC3\x06\x0B\x02abc\xC0\x02",
		"list":    "\x01\x02\x01a\xC0\x05",
		"zset":    "\x05\x01\x01m" + score,
		"packed":  "\x10" + str(packed(listpack, "f", "1000", "g", "v")),
		"ziplist": "\x0D" + str(packed(ziplist, "f", "1000", "g", "v")),
		"intset":  "\x0B" + str("\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x02\x00"),
	}
	for name, value := range values {
		in := manyKeys(20_000, value)
		r := NewReader(bytes.NewReader(in), "")
		next := func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			if err := r.Value(Discard{}); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			next() // the buffers are taken
		}
		if n := testing.AllocsPerRun(10_000, next); n != 0 {
			t.Errorf("%s: %v allocations a key", name, n)
		}
	}
}
