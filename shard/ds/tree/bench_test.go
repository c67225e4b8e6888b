package tree

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
)

var seed = maphash.MakeSeed()

func hash32(b []byte) uint64 { return maphash.Bytes(seed, b) >> 32 }

// fill makes a tree of n items with members like member:0000001, in the order of their numbers or in any.
func fill(b testing.TB, o Order, n int, shuffled bool) (*Heap, *Tree) {
	h := &Heap{Arena: newArena(b)}
	t := &Tree{order: o}
	perm := make([]int, n)
	for i := range perm {
		perm[i] = i
	}
	if shuffled {
		perm = rand.New(rand.NewPCG(1, 1)).Perm(n)
	}
	var p Path
	var buf []byte
	for _, i := range perm {
		buf = fmt.Appendf(buf[:0], "member:%07d", i)
		switch o {
		case ByRank:
			t.End(h.Arena.Space(), &p)
			t.Insert(h, &p, 0, 0, buf)
		case ByHash:
			t.Find(h.Arena.Space(), &p, hash32(buf), buf)
			t.Insert(h, &p, hash32(buf), 0, buf)
		case ByScore:
			t.SeekScore(h.Arena.Space(), &p, uint64(i), buf)
			t.Insert(h, &p, uint64(i), 0, buf)
		case ByHashScore:
			t.Seek(h.Arena.Space(), &p, hash32(buf))
			t.Insert(h, &p, hash32(buf), uint64(i))
		case ByValue:
			k := uint64(i) * 0x9E3779B97F4A7C15
			t.Seek(h.Arena.Space(), &p, k)
			t.Insert(h, &p, k, 0)
		}
	}
	return h, t
}

// BenchmarkFill reports the arena memory of an item, and how long it takes to insert one.
func BenchmarkFill(b *testing.B) {
	for _, o := range []Order{ByRank, ByHash, ByScore, ByHashScore, ByValue} {
		for _, shuffled := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/%v", o, shuffled), func(b *testing.B) {
				const n = 1_000_000
				for b.Loop() {
					h, _ := fill(b, o, n, shuffled)
					b.ReportMetric(float64(h.Arena.UsedBytes())/n, "B/item")
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n/float64(b.N), "ns/item")
			})
		}
	}
}

// BenchmarkFind looks up random members of a million.
func BenchmarkFind(b *testing.B) {
	const n = 1_000_000
	h, t := fill(b, ByHash, n, true)
	var p Path
	var buf []byte
	rnd := rand.New(rand.NewPCG(2, 2))
	b.ResetTimer()
	for range b.N {
		buf = fmt.Appendf(buf[:0], "member:%07d", rnd.IntN(n))
		if !t.Find(h.Arena.Space(), &p, hash32(buf), buf) {
			b.Fatal("not found")
		}
	}
}

// BenchmarkSeekScore looks up random members of a million by score.
func BenchmarkSeekScore(b *testing.B) {
	const n = 1_000_000
	h, t := fill(b, ByScore, n, true)
	var p Path
	var buf []byte
	rnd := rand.New(rand.NewPCG(2, 2))
	b.ResetTimer()
	for range b.N {
		i := rnd.IntN(n)
		buf = fmt.Appendf(buf[:0], "member:%07d", i)
		if !t.SeekScore(h.Arena.Space(), &p, uint64(i), buf) || p.Rank() != i {
			b.Fatal("not found")
		}
	}
}
