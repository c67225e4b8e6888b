package command

import (
	"cmp"
	"math"
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

// adversary answers comparisons so that a quicksort parts off few items each time ("A Killer Adversary for Quicksort",
// McIlroy, 1999): an item is greater than all that were decided on until it is compared with another undecided one.
type adversary struct {
	ranks     map[int]int // of those decided on
	candidate int         // the undecided one that may become the pivot
}

func (a *adversary) compare(x, y sortItem) int {
	_, decidedX := a.ranks[x.rank]
	_, decidedY := a.ranks[y.rank]
	if !decidedX && !decidedY {
		if a.candidate == x.rank {
			a.ranks[x.rank] = len(a.ranks)
		} else {
			a.ranks[y.rank] = len(a.ranks)
		}
	}
	rank := func(i sortItem) int {
		if r, ok := a.ranks[i.rank]; ok {
			return r
		}
		a.candidate = i.rank
		return math.MaxInt
	}
	return cmp.Compare(rank(x), rank(y))
}

// TestSortTies: the part asked for is in order, and an input that takes quadratic time is given up.
func TestSortTies(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 0))
	compare := func(a, b sortItem) int { return cmp.Compare(a.score, b.score) }
	for range 2000 / RaceShare {
		n := rnd.IntN(300)
		items := make([]sortItem, n)
		for i := range items {
			items[i] = sortItem{score: float64(rnd.IntN(1 + rnd.IntN(n+1))), rank: i}
		}
		from := rnd.IntN(n + 1)
		to := from + rnd.IntN(n+1-from)
		all := slices.SortedFunc(slices.Values(items), compare)
		if err := sortTies(items, from, to, compare); err != nil {
			t.Fatalf("%d items: %v", n, err)
		}
		for i := from; i < to; i++ {
			if items[i].score != all[i].score {
				t.Fatalf("%d items: %d to %d are not in order", n, from, to)
			}
		}
		slices.SortFunc(items, func(a, b sortItem) int { return cmp.Compare(a.rank, b.rank) })
		for i := range items {
			if items[i].rank != i {
				t.Fatalf("of %d items some are lost", n)
			}
		}
	}
	items := make([]sortItem, 20_000)
	for i := range items {
		items[i].rank = i
	}
	a := adversary{ranks: map[int]int{}}
	if sortTies(items, 0, len(items)/2, a.compare) == nil {
		t.Error("an input made to take long was sorted")
	}
}
