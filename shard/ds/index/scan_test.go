package index

import (
	"math/rand/v2"
	"testing"
)

// scanWhile scans the table, running change between calls, and reports how often each of the first n keys was
// given.
func scanWhile(x *table, n, count int, change func()) []int {
	given := make([]int, n)
	number := map[string]int{}
	for i := range n {
		number[string(keyOf(i))] = i
	}
	for cursor := uint64(0); ; {
		cursor = x.Scan(cursor, count, func(e Entry) {
			if i, ok := number[string(e.Key())]; ok {
				given[i]++
			}
		})
		if cursor == 0 {
			return given
		}
		change()
	}
}

func TestScanWhileGrowing(t *testing.T) {
	const stay = 5000
	x := newTable(t, mixHash)
	for i := range stay {
		x.set(keyOf(i), nil, 0)
	}
	next := stay
	given := scanWhile(x, stay, 10, func() {
		for range 100 {
			if next < 100_000 {
				x.set(keyOf(next), nil, 0)
				next++
			}
		}
	})
	for i, n := range given {
		if n != 1 {
			t.Fatalf("key %d given %d times", i, n)
		}
	}
	t.Logf("grew from %d to %d entries during one scan", stay, x.Len())
}

func TestScanWhileShrinking(t *testing.T) {
	const stay, all = 500, 60_000
	x := newTable(t, mixHash)
	for i := range all {
		x.set(keyOf(i), nil, 0)
	}
	before, next := x.SizeBytes(), stay
	given := scanWhile(x, stay, 50, func() {
		for range 100 {
			if next < all {
				x.del(keyOf(next))
				next++
			}
		}
		x.Shrink(2000)
	})
	for i, n := range given {
		if n != 1 {
			t.Fatalf("key %d given %d times", i, n)
		}
	}
	during := x.SizeBytes()
	for !x.Shrink(1000) {
	}
	t.Logf("shrank from %d to %d B during one scan, then to %d", before, during, x.SizeBytes())
	if during > before/4 || x.SizeBytes() > int64(x.Len())*16 {
		t.Errorf("hardly shrank")
	}
}

// TestScanCallIsBounded: also in an index that has lost nearly everything, a call looks at few buckets.
func TestScanCallIsBounded(t *testing.T) {
	x := newTable(t, mixHash)
	for i := range 30_000 {
		x.set(keyOf(i), nil, 0)
	}
	for i := 1; i < 30_000; i++ {
		x.del(keyOf(i))
	}
	calls, given := 0, 0
	for cursor := uint64(0); ; calls++ {
		if cursor = x.Scan(cursor, 10, func(Entry) { given++ }); cursor == 0 {
			break
		}
	}
	if given != 1 || calls < x.slots/slotCount/(10*scanSpan+1) {
		t.Errorf("gave %d entries in %d calls over %d slots", given, calls, x.slots)
	}
}

func TestScanOfBadCursors(t *testing.T) {
	x := newTable(t, mixHash)
	for i := range 1000 {
		x.set(keyOf(i), nil, 0)
	}
	for range 1000 {
		if next := x.Scan(rand.Uint64(), 10, func(Entry) {}); next >= positionEnd {
			t.Fatalf("cursor %#x", next)
		}
	}
	if next := x.Scan(positionEnd-1, 1, func(Entry) {}); next != 0 {
		t.Fatalf("cursor %#x behind the last position", next)
	}
}

// TestRandomIsEven draws from an index of segments of both kinds and several depths, and compares the draws of keys
// with what chance allows.
func TestRandomIsEven(t *testing.T) {
	const n, draws = 3000, 300_000
	x := newTable(t, mixHash)
	for i := range n {
		x.set(keyOf(i), nil, 0)
	}
	got := map[string]int{}
	for i := range draws {
		e, ok := x.Random(uint64(i))
		if !ok {
			t.Fatal("none")
		}
		got[string(e.Key())]++
	}
	chi, want := 0.0, float64(draws)/n
	for i := range n {
		d := float64(got[string(keyOf(i))]) - want
		chi += d * d / want
	}
	// The mean of chi² is n-1, its deviation sqrt(2n).
	if chi > n+6*77.5 {
		t.Errorf("chi² %.0f for %d keys", chi, n)
	}
}

func TestRandomOfFew(t *testing.T) {
	x := newTable(t, mixHash)
	if _, ok := x.Random(1); ok {
		t.Error("an entry of an empty index")
	}
	const n = 50_000
	for i := range n {
		x.set(keyOf(i), nil, 0)
	}
	for i := range n - 1 {
		x.del(keyOf(i))
		if i >= n-20 {
			if e, ok := x.Random(uint64(i)); !ok || len(e.Key()) == 0 {
				t.Fatal("none")
			}
		}
	}
	if e, ok := x.Random(1); !ok || string(e.Key()) != string(keyOf(n-1)) {
		t.Error("not the only one")
	}
}

// TestCovers: a call of Scan gives just those entries whose hashes it says that it has covered.
func TestCovers(t *testing.T) {
	const all = 3000
	x := newTable(t, mixHash)
	for i := range all {
		x.set(keyOf(i), nil, 0)
	}
	for from := uint64(0); ; {
		given := map[string]bool{}
		next := x.Scan(from, 40, func(e Entry) { given[string(e.Key())] = true })
		for i := range all {
			if k := keyOf(i); Covers(from, next, x.hash(k)) != given[string(k)] {
				t.Fatalf("from %d to %d: key %d given: %v", from, next, i, given[string(k)])
			}
		}
		if from = next; from == 0 {
			return
		}
	}
}
