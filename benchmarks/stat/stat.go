// Package stat holds the arithmetic of the benchmark report: a figure measured in several rounds (median and
// spread) and a histogram of latencies with a bounded relative error.
//
// It is not a statistics library: the rounds are few and the machine is noisy, so nothing here pretends to
// confidence intervals. The median says where a figure is, the spread (smallest and largest) says how far to trust
// it.
//
// # Ownership
//
// Nothing is shared: a Figure is a value, a Histogram belongs to the goroutine that records into it.
package stat

import (
	"math"
	"slices"
)

// Figure is one measured quantity over N rounds. A Figure with N == 0 was not measured.
type Figure struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Of summarises the values of several rounds; values that are NaN or infinite (a round that failed) are left out.
// The slice is not changed.
func Of(values []float64) Figure {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	if len(sorted) == 0 {
		return Figure{}
	}
	slices.Sort(sorted)
	mid := len(sorted) / 2
	median := sorted[mid]
	if len(sorted)%2 == 0 {
		median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return Figure{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// Ratios divides round by round: the i-th result is over[i] ÷ under[i]. Only rounds that both have count, because
// the machine's speed drifts and a ratio is worth something only within one round. Divisions by zero give NaN,
// which Of leaves out.
func Ratios(over, under []float64) []float64 {
	n := min(len(over), len(under))
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = math.NaN()
		if under[i] != 0 {
			ratios[i] = over[i] / under[i]
		}
	}
	return ratios
}

// AboveFloor compares two servers free of what both must pay: (ours − floor) ÷ (theirs − floor), round by round. A
// round in which theirs does not exceed the floor has no answer and gives NaN.
func AboveFloor(ours, theirs, floor []float64) []float64 {
	n := min(len(ours), len(theirs), len(floor))
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = math.NaN()
		if theirs[i] > floor[i] {
			ratios[i] = (ours[i] - floor[i]) / (theirs[i] - floor[i])
		}
	}
	return ratios
}
