package config

import "strings"

// nearest gives the parameter name closest to the unknown one, or "" if none is close enough to be a likely typo.
func nearest(unknown string) string {
	unknown = strings.ToLower(unknown)
	if len(unknown) > 64 {
		return ""
	}
	best, bestDistance := "", max(1, len(unknown)/3)+1
	for _, n := range names {
		if d := editDistance(unknown, n.name); d < bestDistance {
			best, bestDistance = n.name, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b, where no
// part is edited twice (the "optimal string alignment" distance). O(len(a)·len(b)).
func editDistance(a, b string) int {
	before := make([]int, len(b)+1) // row i-2
	above := make([]int, len(b)+1)  // row i-1
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
