package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/shard/arena"
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
	for range 64 {
		x.space.Release(0) // huge pages
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

// BenchmarkLookup measures lookups in batches of 16 random keys, hashing them and copying the 64-byte values out:
// without prefetching, prefetching the buckets, and prefetching buckets, then entries.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{benchKeys, 10 * benchKeys} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := benchTable(b, n)
			keys := randomKeys(1<<19, n)
			absent := bytes.ReplaceAll(keys, []byte("key"), []byte("nay"))
			b.Run("plain", func(b *testing.B) { benchLookup(b, x, keys, 0, true) })
			b.Run("buckets", func(b *testing.B) { benchLookup(b, x, keys, 1, true) })
			b.Run("both", func(b *testing.B) { benchLookup(b, x, keys, 2, true) })
			b.Run("absent", func(b *testing.B) { benchLookup(b, x, absent, 2, false) })
		})
	}
}

// benchLookup looks up 16-byte keys, with the given number of prefetch passes.
func benchLookup(b *testing.B, x *table, keys []byte, passes int, there bool) {
	defer reportCPU(b)()
	var hashes [16]uint64
	var out [64]byte
	at := 0
	for i := 0; i < b.N; i += len(hashes) {
		if at == len(keys) {
			at = 0
		}
		part := keys[at : at+16*len(hashes)]
		at += len(part)
		for j := range hashes {
			hashes[j] = hashOf(part[j*16 : j*16+16])
			if passes > 0 {
				x.PrefetchBucket(hashes[j])
			}
		}
		if passes > 1 {
			for j := range hashes {
				x.PrefetchEntries(hashes[j])
			}
		}
		for j := range hashes {
			p, ok := x.Find(hashes[j], part[j*16:j*16+16])
			if ok {
				copy(out[:], x.Entry(p).Payload())
			}
			if ok != there {
				b.Fatal("lost a key")
			}
		}
	}
}

// BenchmarkInsert measures insertions, growing included and writing the entries not, into a table that grows to a
// million entries: one by one, and in batches of 16 that are prefetched as the server does it.
func BenchmarkInsert(b *testing.B) {
	for _, batch := range []int{1, 16} {
		b.Run(fmt.Sprintf("batch%d", batch), func(b *testing.B) {
			x, refs := (*table)(nil), []arena.Ref(nil)
			var hashes [16]uint64
			var cpu time.Duration
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for i := 0; i < b.N; i += batch {
				if i%benchKeys == 0 {
					b.StopTimer()
					x, refs = benchBlocks(b)
					cpu -= cpuNow()
					b.StartTimer()
				}
				part := refs[i%benchKeys:][:batch]
				for j, ref := range part {
					hashes[j] = x.hash(x.entryAt(uint64(ref)).Key())
					if batch > 1 {
						x.PrefetchBucket(hashes[j])
					}
				}
				for j, ref := range part {
					x.Insert(hashes[j], ref)
				}
				if i%benchKeys == benchKeys-batch || i >= b.N-batch {
					cpu += cpuNow()
				}
			}
			b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// benchBlocks returns an empty table and the blocks of a million entries for it.
func benchBlocks(t testing.TB) (*table, []arena.Ref) {
	x := newTable(t, hashOf)
	refs := make([]arena.Ref, benchKeys)
	val := make([]byte, 64)
	for i := range refs {
		refs[i] = x.block(keyOf(i), val, 0)
	}
	for range 64 {
		x.space.Release(0)
	}
	return x, refs
}

// BenchmarkGrow measures single insertions into a table that grows to b.N entries (run it with -benchtime=2000000x)
// in CPU time: what making a segment grow costs, and the longest insertions. The highest figures are the machine's.
func BenchmarkGrow(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	x := newTable(b, hashOf)
	val := make([]byte, 64)
	var grown, all []time.Duration
	for i := range b.N {
		key := keyOf(i)
		h, slots := hashOf(key), x.slots
		ref := x.block(key, val, 0)
		begin := cpuNow()
		x.Insert(h, ref)
		d := cpuNow() - begin
		all = append(all, d)
		if slots != x.slots {
			grown = append(grown, d)
		}
		if i%1000 == 0 {
			x.space.Prepare()
			x.space.Release(0)
		}
	}
	b.ReportMetric(0, "ns/op")
	slices.Sort(all)
	slices.Sort(grown)
	if len(grown) == 0 {
		return
	}
	b.ReportMetric(float64(grown[len(grown)/2].Nanoseconds()), "median-growth-ns")
	b.ReportMetric(float64(grown[len(grown)/2].Nanoseconds())*float64(len(grown))/float64(b.N), "growth-ns/op")
	b.ReportMetric(float64(grown[len(grown)*99/100].Nanoseconds()), "p99-growth-ns")
	b.ReportMetric(float64(all[len(all)-len(all)/100_000-1].Nanoseconds()), "p99.999-ns")
	b.ReportMetric(float64(all[len(all)-1].Nanoseconds()), "longest-ns")
}

// cpuNow returns the CPU time of the calling thread.
func cpuNow() time.Duration { return time.Duration(clock.ThreadCPU()) }

// reportCPU makes a benchmark report CPU time beside wall time: the other is no use on a busy machine. Call the
// returned function when it is done.
func reportCPU(b *testing.B) (done func()) {
	runtime.LockOSThread()
	b.ResetTimer()
	start := cpuNow()
	return func() {
		b.ReportMetric(float64(cpuNow()-start)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}
