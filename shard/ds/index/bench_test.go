package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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
				defer reportCPU(b)()
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
// in CPU time: what making a segment grow costs per time and per insertion, and the three longest insertions.
func BenchmarkGrow(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	x := newTable(b, hashOf)
	val := make([]byte, 64)
	var worst [3]time.Duration
	var growing, grown time.Duration
	empty := cpuNow()
	for range 1000 {
		cpuNow()
	}
	empty = (cpuNow() - empty) / 1000
	for i := range b.N {
		key := keyOf(i)
		h, slots := hashOf(key), x.slots
		ref := x.block(key, val, 0)
		begin := cpuNow()
		x.Insert(h, ref)
		d := cpuNow() - begin - empty
		if slots != x.slots {
			grown++
			growing += d
		}
		for j := range worst {
			if d > worst[j] {
				worst[j], d = d, worst[j]
			}
		}
		if i%1000 == 0 {
			x.space.Prepare()
			x.space.Release(0)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(growing)/float64(max(grown, 1)), "ns/growth")
	b.ReportMetric(float64(growing)/float64(b.N), "growth-ns/op")
	for i, d := range worst {
		b.ReportMetric(float64(d.Microseconds()), fmt.Sprintf("worst%d-us", i+1))
	}
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
