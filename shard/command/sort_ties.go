package command

import (
	"errors"
	"math/bits"
)

// SORT … BY … ALPHA takes elements for equal whose values are. If all are asked for, Redis sorts them stably. If a part
// is (LIMIT), it uses the quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993), which leaves out what
// lies beside the part, and among equal elements LIMIT then shows what that makes of their order. This is the same
// sequence of comparisons and exchanges, so the same elements are shown where the input comes in the same order: lists
// and sets of integers. Other sets and sorted sets are read in the order of a hash table, which differs from one Redis
// to the next.
//
// The choice of the pivot is known, so an input can be made for which it takes quadratic time. Therefore comparisons
// are counted, and when there are too many of them, the sort is given up.
type tieSort struct {
	items    []sortItem
	from, to int // the part asked for
	compare  func(a, b sortItem) int
	left     int // how many comparisons may still be made
}

// errTieSort says that an input takes too many comparisons.
var errTieSort = errors.New("command: too many comparisons")

// sortTies puts items[from:to] in the order that Redis has them in, equal ones too, and fails if that takes far more
// comparisons than sorting has to; the items are in no certain order then.
func sortTies(items []sortItem, from, to int, compare func(a, b sortItem) int) error {
	t := tieSort{items: items, from: from, to: to, compare: compare}
	t.left = 1024 + 2*len(items)*bits.Len(uint(len(items)))
	return t.sort(0, len(items))
}

// order compares the items at two places.
func (t *tieSort) order(i, j int) int {
	t.left--
	return t.compare(t.items[i], t.items[j])
}

func (t *tieSort) swap(i, j int) { t.items[i], t.items[j] = t.items[j], t.items[i] }

// exchange swaps n items from i on with those from j on.
func (t *tieSort) exchange(i, j, n int) {
	for k := range n {
		t.swap(i+k, j+k)
	}
}

// sort sorts the items from lo to hi, as far as they are asked for.
func (t *tieSort) sort(lo, hi int) error {
	const few = 7
	for hi-lo >= few {
		t.swap(lo, t.pivot(lo, hi))
		less, more := t.part(lo, hi)
		if t.left < 0 {
			return errTieSort
		}
		if less > 1 && t.wants(lo, lo+less) {
			if err := t.sort(lo, lo+less); err != nil {
				return err
			}
		}
		if lo = hi - more; more < 2 || !t.wants(lo, hi) {
			return nil
		}
	}
	t.insert(lo, hi)
	return nil
}

// wants tells whether something from lo to hi is asked for.
func (t *tieSort) wants(lo, hi int) bool { return t.from < hi && t.to > lo }

// insert sorts few items by insertion.
func (t *tieSort) insert(lo, hi int) {
	for i := lo + 1; i < hi; i++ {
		for j := i; j > lo && t.order(j-1, j) > 0; j-- {
			t.swap(j-1, j)
		}
	}
}

// pivot returns the place of the item to part by: the middle one, the median of three, or of three medians of three.
func (t *tieSort) pivot(lo, hi int) int {
	const small, medium = 7, 40
	n := hi - lo
	first, mid, last := lo, lo+n/2, hi-1
	if n == small {
		return mid
	}
	if n > medium {
		d := n / 8
		first = t.median(first, first+d, first+2*d)
		mid = t.median(mid-d, mid, mid+d)
		last = t.median(last-2*d, last-d, last)
	}
	return t.median(first, mid, last)
}

// median returns the place of the middle one of three.
func (t *tieSort) median(a, b, c int) int {
	up := t.order(a, b) < 0
	if ends := t.order(b, c); up && ends < 0 || !up && ends > 0 {
		return b
	}
	if (t.order(a, c) < 0) == up {
		return c
	}
	return a
}

// part parts the items from lo to hi by the one at lo: less ones, then equal ones, then more greater ones. Equal ones
// are put to both ends as they are met, and between the others when all have been seen.
func (t *tieSort) part(lo, hi int) (less, more int) {
	equalL, i := lo+1, lo+1
	j, equalR := hi-1, hi-1
	for {
		for ; i <= j; i++ {
			order := t.order(i, lo)
			if order > 0 {
				break
			}
			if order == 0 {
				t.swap(equalL, i)
				equalL++
			}
		}
		for ; i <= j; j-- {
			order := t.order(j, lo)
			if order < 0 {
				break
			}
			if order == 0 {
				t.swap(j, equalR)
				equalR--
			}
		}
		if i > j {
			break
		}
		t.swap(i, j)
		i++
		j--
	}
	less, more = i-equalL, equalR-j
	n := min(equalL-lo, less)
	t.exchange(lo, i-n, n)
	n = min(more, hi-1-equalR)
	t.exchange(i, hi-n, n)
	return less, more
}
