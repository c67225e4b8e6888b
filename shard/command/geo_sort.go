package command

import "slices"

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
	for s, from := g.found, 0; s != nil; {
		s, from = g.partition(s, from)
	}
}

// Sizes from which the middle of three, or of three such, is the pivot; smaller ones are sorted by insertion.
const (
	insertionBelow = 7
	middleOfNine   = 40
)

// partition sorts s, which begins at place `from` of what was found, but for the part that it returns, where that
// begins; nil: none. A part in which nothing is wanted stays as it is.
func (g *geoSearch) partition(s []geoFound, from int) (rest []geoFound, restFrom int) {
	n := len(s)
	if n < insertionBelow {
		for i := range s {
			for j := i; j > 0 && g.compare(s[j-1], s[j]) > 0; j-- {
				s[j-1], s[j] = s[j], s[j-1]
			}
		}
		return nil, 0
	}
	p := g.pivot(s)
	s[0], s[p] = s[p], s[0]
	// Equals gather at both ends: s[1:a] and s[d+1:]. What is before the pivot is s[a:b], and what is behind it
	// s[c+1:d+1].
	a, b, c, d := 1, 1, n-1, n-1
	for {
		for ; b <= c; b++ {
			order := g.compare(s[b], s[0])
			if order > 0 {
				break
			}
			if order == 0 {
				s[a], s[b] = s[b], s[a]
				a++
			}
		}
		for ; b <= c; c-- {
			order := g.compare(s[c], s[0])
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
	if before > 1 && int64(from) < g.count {
		for t, at := s[:before], from; t != nil; {
			t, at = g.partition(t, at)
		}
	}
	if behind > 1 && int64(from+n-behind) < g.count {
		return s[n-behind:], from + n - behind
	}
	return nil, 0
}

// exchange swaps the first n of s with the last n.
func exchange(s []geoFound, n int) {
	last := s[len(s)-n:]
	for i := range n {
		s[i], last[i] = last[i], s[i]
	}
}

// pivot chooses the place of an item of s that is likely to be in the middle.
func (g *geoSearch) pivot(s []geoFound) int {
	n := len(s)
	low, mid, high := 0, n/2, n-1
	if n == insertionBelow {
		return mid
	}
	if n > middleOfNine {
		d := n / 8
		low = g.middle(s, low, low+d, low+2*d)
		mid = g.middle(s, mid-d, mid, mid+d)
		high = g.middle(s, high-2*d, high-d, high)
	}
	return g.middle(s, low, mid, high)
}

// middle returns which of three places has what is in the middle. Of equals it is one or the other, as in the paper.
func (g *geoSearch) middle(s []geoFound, i, j, k int) int {
	less := g.compare(s[i], s[j]) < 0
	switch order := g.compare(s[j], s[k]); {
	case less && order < 0, !less && order > 0:
		return j
	}
	if less == (g.compare(s[i], s[k]) < 0) {
		return k
	}
	return i
}
