package command

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuicksortOfTheFirst: the first items are those of a whole sort, in its order.
func TestQuicksortOfTheFirst(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	for range 3000 {
		items := make([]int, 1+rnd.IntN(300))
		for i := range items {
			items[i] = rnd.IntN(1 + rnd.IntN(400))
		}
		want := slices.Sorted(slices.Values(items))
		q := quicksort[int]{cmp.Compare[int], 1 + rnd.IntN(len(items)), enoughTo(len(items))}
		q.sort(items, 0)
		if q.left < 0 {
			t.Fatalf("%d random items are taken for ones made on purpose", len(items))
		}
		if !slices.Equal(items[:q.wanted], want[:q.wanted]) {
			t.Fatalf("%v, want %v", items[:q.wanted], want[:q.wanted])
		}
	}
}

// TestQuicksortOfPatterns: what is regular, as places in a row or on a grid are, is far from the limit, behind which
// equals come in another order than with Redis.
func TestQuicksortOfPatterns(t *testing.T) {
	const n = 20_000
	for name, item := range map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return -i },
		"up, down":   func(i int) int { return min(i, n-i) },
		"down, up":   func(i int) int { return max(i, n-i) },
		"teeth":      func(i int) int { return i % 137 },
		"grid":       func(i int) int { return (i%100-50)*(i%100-50) + (i/100-70)*(i/100-70) },
		"equal":      func(int) int { return 1 },
	} {
		items := make([]int, n)
		for i := range items {
			items[i] = item(i)
		}
		q := quicksort[int]{cmp.Compare[int], n - 1, enoughTo(n)}
		q.sort(items, 0)
		if q.left < enoughTo(n)/2 {
			t.Errorf("%s: %d of %d are left", name, q.left, enoughTo(n))
		}
		if !slices.IsSorted(items) {
			t.Errorf("%s: not in order", name)
		}
	}
}

// TestQuicksortAgainstItself sorts what takes a quicksort quadratic time: M. D. McIlroy, "A Killer Adversary for
// Quicksort", Software: Practice and Experience 29 (4), 1999. Items get their values while they are compared: the
// pivot, which is compared with many, gets the lowest that is free.
func TestQuicksortAgainstItself(t *testing.T) {
	const n = 20_000
	var items, values [n]int
	for i := range items {
		items[i], values[i] = i, n
	}
	compared, free, pivot := 0, 0, 0
	compare := func(a, b int) int {
		compared++
		if values[a] == n && values[b] == n {
			if a == pivot {
				values[a] = free
			} else {
				values[b] = free
			}
			free++
		}
		if values[a] == n {
			pivot = a
		} else if values[b] == n {
			pivot = b
		}
		return cmp.Compare(values[a], values[b])
	}
	q := quicksort[int]{compare, n - 1, enoughTo(n)}
	q.sort(items[:], 0)
	if compared > 100*n {
		t.Errorf("%d items were compared %d times", n, compared)
	}
	if q.left >= 0 {
		t.Errorf("it was an easy case: %d", q.left)
	}
	for i := range items[1:] {
		if values[items[i]] > values[items[i+1]] {
			t.Fatalf("%d comes before %d", values[items[i]], values[items[i+1]])
		}
	}
}
