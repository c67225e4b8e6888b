package command

import (
	"math/bits"
	"slices"
)

// What is searched for with a COUNT is put in order only as far as it is replied. Which members at the same distance
// come first, or are left out, depends on the algorithm then: with Redis that is the quicksort of Bentley and McIlroy,
// "Engineering a Sort Function", Software: Practice and Experience 23 (11), 1993, which leaves alone what is behind the
// members that are wanted. Without a COUNT, or if no more is found, it is a stable one.

// sort puts what was found in order, as far as it is wanted.
func (g *geoSearch) sort() {
	if g.count == 0 || g.count >= int64(len(g.found)) {
		slices.SortStableFunc(g.found, g.compare)
		return
	}
	q := quicksort[geoFound]{g.compare, int(g.count), enoughTo(len(g.found))}
	q.sort(g.found, 0)
}

// quicksort sorts the first of its items.
type quicksort[T any] struct {
	compare func(a, b T) int
	wanted  int // so many of the first
	left    int // how many items partitions may still look at: the rest is put in order by a stable sort
}

// enoughTo returns quicksort.left for n items: enough for all but what the algorithm takes quadratic time for, which is
// made on purpose.
func enoughTo(n int) int { return 4 * n * bits.Len(uint(n)) }

// sort sorts s, which begins at place `from` of all items. A part in which nothing is wanted stays as it is.
func (q *quicksort[T]) sort(s []T, from int) {
	for s != nil {
		s, from = q.partition(s, from)
	}
}

// Sizes from which the middle of three, or of three such, is the pivot; smaller ones are sorted by insertion.
const (
	insertionBelow = 7
	middleOfNine   = 40
)

// partition is sort, but for the part that it returns, with the place where that begins; nil: none.
func (q *quicksort[T]) partition(s []T, from int) (rest []T, restFrom int) {
	n := len(s)
	if n < insertionBelow {
		for i := range s {
			for j := i; j > 0 && q.compare(s[j-1], s[j]) > 0; j-- {
				s[j-1], s[j] = s[j], s[j-1]
			}
		}
		return nil, 0
	}
	if q.left -= n; q.left < 0 {
		slices.SortStableFunc(s, q.compare)
		return nil, 0
	}
	p := q.pivot(s)
	s[0], s[p] = s[p], s[0]
	// Equals gather at both ends: s[1:a] and s[d+1:]. What is before the pivot is s[a:b], and what is behind it
	// s[c+1:d+1].
	a, b, c, d := 1, 1, n-1, n-1
	for {
		for ; b <= c; b++ {
			order := q.compare(s[b], s[0])
			if order > 0 {
				break
			}
			if order == 0 {
				s[a], s[b] = s[b], s[a]
				a++
			}
		}
		for ; b <= c; c-- {
			order := q.compare(s[c], s[0])
			if order < 0 {
				break
			}
			if order == 0 {
				s[c], s[d] = s[d], s[c]
				d--
			}
		}
		if b > c {
			break
		}
		s[b], s[c] = s[c], s[b]
		b++
		c--
	}
	exchange(s[:b], min(a, b-a))
	exchange(s[b:], min(d-c, n-1-d))
	before, behind := b-a, d-c
	if before > 1 && from < q.wanted {
		q.sort(s[:before], from)
	}
	if behind > 1 && from+n-behind < q.wanted {
		return s[n-behind:], from + n - behind
	}
	return nil, 0
}

// exchange swaps the first n of s with the last n.
func exchange[T any](s []T, n int) {
	last := s[len(s)-n:]
	for i := range n {
		s[i], last[i] = last[i], s[i]
	}
}

// pivot chooses the place of an item of s that is likely to be in the middle.
func (q *quicksort[T]) pivot(s []T) int {
	n := len(s)
	low, mid, high := 0, n/2, n-1
	if n == insertionBelow {
		return mid
	}
	if n > middleOfNine {
		d := n / 8
		low = q.middle(s, low, low+d, low+2*d)
		mid = q.middle(s, mid-d, mid, mid+d)
		high = q.middle(s, high-2*d, high-d, high)
	}
	return q.middle(s, low, mid, high)
}

// middle returns which of three places has what is in the middle. Of equals it is one or the other, as in the paper.
func (q *quicksort[T]) middle(s []T, i, j, k int) int {
	less := q.compare(s[i], s[j]) < 0
	switch order := q.compare(s[j], s[k]); {
	case less && order < 0, !less && order > 0:
		return j
	}
	if less == (q.compare(s[i], s[k]) < 0) {
		return k
	}
	return i
}
