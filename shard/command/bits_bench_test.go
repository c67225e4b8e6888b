package command

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
)

// benchCalls times one command after the other on a set of one shard.
func benchCalls(b *testing.B, prepare [][][]byte, call func(i int) [][]byte) {
	h := newHarness(b, 1)
	for _, args := range prepare {
		h.call(args)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.call(call(i))
		i++
	}
}

func setOf(key string, n int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	val := make([]byte, n)
	for i := range val {
		val[i] = byte(rnd.Uint32())
	}
	return [][]byte{[]byte("SET"), []byte(key), val}
}

func BenchmarkBitCount1MB(b *testing.B) {
	benchCalls(b, [][][]byte{setOf("k", 1<<20)}, func(int) [][]byte { return bytesOf([]string{"BITCOUNT", "k"}) })
}

func BenchmarkBitOp1MB(b *testing.B) {
	benchCalls(b, [][][]byte{setOf("x", 1<<20), setOf("y", 1<<20)}, func(int) [][]byte {
		return bytesOf([]string{"BITOP", "OR", "d", "x", "y"})
	})
}

func BenchmarkSetBit100MB(b *testing.B) {
	val := bytes.Repeat([]byte("a"), 100_000_000)
	args := [][]byte{[]byte("SETBIT"), []byte("k"), nil, nil}
	var text [20]byte
	benchCalls(b, [][][]byte{{[]byte("SET"), []byte("k"), val}}, func(i int) [][]byte {
		args[2] = strconv.AppendInt(text[:0], int64(i)*7919%800_000_000, 10)
		args[3] = []byte("01"[i%2 : i%2+1])
		return args
	})
}
