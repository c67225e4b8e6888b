package index

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"fulmen/shard/arena"
)

// TestShrinkToNothing removes everything, in slices, and expects all memory back.
func TestShrinkToNothing(t *testing.T) {
	const n = 150_000
	x := newTable(t, mixHash)
	fakeEntries(x, 0, n)
	full := x.SizeBytes()
	var key [8]byte
	for i := range n {
		binary.LittleEndian.PutUint64(key[:], uint64(i))
		x.del(key[:])
		if i%100 == 0 {
			x.Shrink(1000)
		}
		if left := n - i - 1; left == n/5 || left == n/100 {
			for calls := 0; !x.Shrink(1000); calls++ {
				if calls > n {
					t.Fatal("Shrink never comes to an end")
				}
			}
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			perKey := float64(x.SizeBytes()) / float64(left)
			t.Logf("%d of %d entries left: %.1f B each", left, n, perKey)
			if perKey > 16 {
				t.Errorf("%d entries left: %.1f B each", left, perKey)
			}
		}
	}
	for range 100 {
		x.Shrink(10_000)
	}
	if x.SizeBytes() != 0 || x.arena.UsedBytes() != 0 {
		t.Errorf("%d B of %d left, arena %d", x.SizeBytes(), full, x.arena.UsedBytes())
	}
}

// TestPrefetchBesideWriter runs prefetches without any lock beside a writer that grows, shrinks and frees the
// index.
func TestPrefetchBesideWriter(t *testing.T) {
	x := newTable(t, mixHash)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(9, uint64(g)))
			for !stop.Load() {
				for range 100 {
					h := rnd.Uint64()
					x.PrefetchBucket(h)
					x.PrefetchEntries(h)
				}
			}
		})
	}
	n := 40_000
	if raceEnabled {
		n = 10_000
	}
	for range 3 {
		for i := range n {
			x.set(keyOf(i), nil, 0)
		}
		for i := range n - 50 {
			x.del(keyOf(i))
			if i%20 == 0 {
				x.Shrink(500)
			}
		}
		for !x.FreeSome(10, func(ref arena.Ref, _ Entry) { x.free(ref) }) {
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestNoAllocations(t *testing.T) {
	x := newTable(t, hashOf)
	const n = 20_000
	fakeEntries(x, 0, n)
	keys := make([][]byte, 2000)
	refs := make([]arena.Ref, len(keys))
	for i := range keys {
		keys[i] = keyOf(i)
		refs[i] = x.block(keys[i], nil, 1+int64(i%2))
	}
	var cur ExpireCursor
	given, shown := 0, 0
	count := func(Entry) { given++ }
	show := func(Entry) { shown++ }
	due := func(Pos, Entry) int {
		given++
		return 1000
	}
	id := uint16(0)
	allocs := testing.AllocsPerRun(5, func() {
		id++
		x.BeginWalk(id, show)
		for i, key := range keys {
			h := x.hash(key)
			x.PrefetchBucket(h)
			x.PrefetchEntries(h)
			if _, ok := x.Find(h, key); ok {
				t.Fatal("found too early")
			}
			p := x.Insert(h, refs[i])
			x.BeforeChange(p)
			x.Replace(p, refs[i])
		}
		x.Random(uint64(id))
		x.Scan(uint64(id)<<30, 100, count)
		x.ExpireSome(&cur, 1, 1000, due)
		x.WalkStep(1000)
		for _, key := range keys {
			p, _ := x.Find(x.hash(key), key)
			x.Remove(p)
		}
		x.Shrink(1000)
		x.EndWalk()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
