package stats

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBuckets: every duration lies in its bucket, buckets follow one another without gap or overlap, and none is wider
// than a 128th of what it holds.
func TestBuckets(t *testing.T) {
	next := int64(0)
	for at := range groups * groupSize {
		end := last(at/groupSize, at%groupSize)
		for _, ns := range []int64{next, end} {
			if ns > maxNs {
				return
			}
			if g, i := place(ns); g*groupSize+i != at {
				t.Fatalf("%d ns is in bucket %d,%d, want %d", ns, g, i, at)
			}
		}
		if end-next > next/128 {
			t.Fatalf("bucket %d holds %d to %d", at, next, end)
		}
		next = end + 1
	}
	t.Fatalf("the last bucket ends at %d", next-1)
}

// TestPercentiles compares with the sorted durations.
func TestPercentiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var a, b Histogram
	var all []int64
	for i := range 10_000 {
		ns := int64(r.ExpFloat64() * 3000)
		all = append(all, ns)
		if i%3 == 0 {
			a.Add(ns)
		} else {
			b.Add(ns)
		}
	}
	slices.Sort(all)
	var sum Counts
	sum.Sum(&a)
	sum.Sum(&b)
	for _, percent := range []float64{0, 0.01, 25, 50, 99, 99.9, 100} {
		want := all[max(int(percent/100*float64(len(all))+0.5), 1)-1]
		if got := sum.Percentile(percent); got < want || got > want+want/128 {
			t.Errorf("p%v is %d, want %d", percent, got, want)
		}
	}
	if n := (&Counts{}).Percentile(50); n != 0 {
		t.Errorf("the median of nothing is %d", n)
	}
}

// TestSteps has the steps of redis-server: durations and what LATENCY HISTOGRAM said of them.
func TestSteps(t *testing.T) {
	for _, test := range []struct {
		ns   []int64
		want string
	}{
		{nil, ""},
		{[]int64{0, 1023, 1024, 1031}, "1:4 "},
		{[]int64{1031, 1032}, "1:1 2:2 "},
		{[]int64{500, 16_511, 16_512, 33_000, 131_072, 900_000, 5_000_000_000},
			"1:1 16:2 33:4 132:5 1056:6 1073741:7 "},
	} {
		var h Histogram
		for _, ns := range test.ns {
			h.Add(ns)
		}
		var c Counts
		c.Sum(&h)
		got := ""
		c.Steps(func(us int64, upTo uint64) { got += fmt.Sprintf("%d:%d ", us, upTo) })
		if got != test.want {
			t.Errorf("%d: got %q, want %q", test.ns, got, test.want)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Add(int64(300 + i&511))
	}
}
