package command

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSortPart: the part asked for is that of all items sorted, and few out of many take few comparisons.
func TestSortPart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 0))
	compared := 0
	compare := func(a, b sortItem) int {
		compared++
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.rank, b.rank))
	}
	for _, n := range []int{0, 1, 2, 3, 7, 100, 10_000} {
		for range 50 / RaceShare {
			items := make([]sortItem, n)
			scores := 1 + rnd.IntN(n+1)
			for i := range items {
				items[i] = sortItem{score: float64(rnd.IntN(scores)), rank: i}
			}
			from := rnd.IntN(n + 1)
			to := from + rnd.IntN(n+1-from)
			if rnd.IntN(2) == 0 {
				to = min(to, from+5)
			}
			all := slices.SortedFunc(slices.Values(items), compare)
			compared = 0
			sortPart(items, from, to, compare, rnd.IntN)
			if !slices.Equal(items[from:to], all[from:to]) {
				t.Fatalf("%d items: %d to %d are not in order", n, from, to)
			}
			if few := to-from <= 5; few && n == 10_000 && compared > 6*n {
				t.Errorf("%d of %d items took %d comparisons", to-from, n, compared)
			}
		}
	}
}
