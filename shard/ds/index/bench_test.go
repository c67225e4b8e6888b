package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const benchKeys = 1_000_000

// benchTable returns a table of n entries of 16-byte keys and 64-byte values.
func benchTable(t testing.TB, n int) *table {
	x := newTable(t, hashOf)
	val := make([]byte, 64)
	key := make([]byte, 0, 16)
	for i := range n {
		key = fmt.Appendf(key[:0], "key:%012d", i)
		x.Insert(hashOf(key), x.block(key, val, 0))
	}
	return x
}

// randomKeys returns n random keys out of the first `of`, one behind the other, as they'd come from the network.
func randomKeys(n, of int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	var keys []byte
	for range n {
		keys = fmt.Appendf(keys, "key:%012d", rnd.IntN(of))
	}
	return keys
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{benchKeys} {
		x := benchTable(b, n)
		const batch = 16
		keys := randomKeys(1<<19, n)
		absent := make([]byte, len(keys))
		copy(absent, keys)
		for i := 0; i < len(absent); i += 16 {
			absent[i] = 'n'
		}
		for _, mode := range []string{"plain", "buckets", "both", "absent"} {
			b.Run(fmt.Sprintf("%d/%s", n, mode), func(b *testing.B) {
				var hashes [batch]uint64
				var out [64]byte
				src := keys
				if mode == "absent" {
					src = absent
				}
				at := 0
				for i := 0; i < b.N; i += batch {
					if at == len(src) {
						at = 0
					}
					part := src[at : at+16*batch]
					at += 16 * batch
					for j := range hashes {
						hashes[j] = hashOf(part[j*16 : j*16+16])
						if mode != "plain" {
							x.PrefetchBucket(hashes[j])
						}
					}
					if mode == "both" || mode == "absent" {
						for j := range hashes {
							x.PrefetchEntries(hashes[j])
						}
					}
					for j := range hashes {
						p, ok := x.Find(hashes[j], part[j*16:j*16+16])
						if ok {
							copy(out[:], x.Entry(p).Payload())
						} else if mode != "absent" {
							b.Fatal("lost a key")
						}
					}
				}
			})
		}
	}
}

// BenchmarkInsert measures insertions, growing included and writing the entries not, into a table that grows to b.N or
// a million entries.
func BenchmarkInsert(b *testing.B) {
	var x *table
	var refs []uint64
	const n = benchKeys
	for i := range b.N {
		if i%n == 0 {
			b.StopTimer()
			x = newTable(b, hashOf)
			refs = refs[:0]
			for j := range n {
				refs = append(refs, uint64(x.block(keyOf(j), make([]byte, 64), 0)))
			}
			b.StartTimer()
		}
		ref := refs[i%n]
		x.Insert(hashOf(x.entryAt(ref).Key()), x.refOf(ref))
	}
}

// TestWorstInsert reports the longest single insertions into a growing table.
func TestWorstInsert(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	x := newTable(t, hashOf)
	val := make([]byte, 64)
	var worst [8]time.Duration
	start := time.Now()
	var total time.Duration
	for i := range 2_000_000 {
		key := keyOf(i)
		h := hashOf(key)
		ref := x.block(key, val, 0)
		begin := time.Now()
		x.Insert(h, ref)
		d := time.Since(begin)
		total += d
		for j := range worst {
			if d > worst[j] {
				worst[j], d = d, worst[j]
			}
		}
	}
	t.Logf("2 M insertions in %v of %v, the longest %v", total, time.Since(start), worst)
}
