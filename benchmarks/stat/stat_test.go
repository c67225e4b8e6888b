package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	cases := []struct {
		values []float64
		want   Figure
	}{
		{nil, Figure{}},
		{[]float64{3}, Figure{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, Figure{3, 1, 5, 3}},
		{[]float64{4, 1, 3, 2}, Figure{2.5, 1, 4, 4}},
		{[]float64{math.NaN(), 2, math.Inf(1)}, Figure{2, 2, 2, 1}},
	}
	for _, c := range cases {
		if got := Of(c.values); got != c.want {
			t.Errorf("Of(%v) = %+v, want %+v", c.values, got, c.want)
		}
	}
	values := []float64{2, 1}
	if Of(values); values[0] != 2 {
		t.Error("Of changed its argument")
	}
}

func TestRatiosPairRounds(t *testing.T) {
	got := Ratios([]float64{1, 6, 5}, []float64{2, 3, 0, 9})
	if len(got) != 3 || got[0] != 0.5 || got[1] != 2 || !math.IsNaN(got[2]) {
		t.Errorf("Ratios = %v", got)
	}
}

func TestAboveFloor(t *testing.T) {
	got := AboveFloor([]float64{1.5, 2}, []float64{3, 1}, []float64{1, 1})
	if got[0] != 0.25 || !math.IsNaN(got[1]) {
		t.Errorf("AboveFloor = %v", got)
	}
}

// TestHistogramBuckets checks that buckets cover every value without gap or overlap and keep the promised error.
func TestHistogramBuckets(t *testing.T) {
	for i := 0; i < buckets-1; i++ {
		end := bucketEnd(i)
		if bucketOf(end) != i || bucketOf(end+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, but bucketOf gives %d and then %d", i, end, bucketOf(end), bucketOf(end+1))
		}
	}
	if got := bucketOf(math.MaxInt64); got != buckets-1 {
		t.Errorf("the largest value falls into bucket %d of %d", got, buckets)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	values := make([]int64, 50_000)
	for i := range values {
		values[i] = int64(math.Exp(rnd.Float64() * 20))
		h.Record(time.Duration(values[i]), 1)
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		rank := max(int(math.Ceil(q*float64(len(values)))), 1)
		want := float64(values[rank-1])
		got := float64(h.Quantile(q))
		if got < want || got > want*1.008+1 {
			t.Errorf("quantile %g = %g, exactly %g", q, got, want)
		}
	}
	if h.Max() != time.Duration(values[len(values)-1]) || h.Total() != uint64(len(values)) {
		t.Errorf("max %d, total %d", h.Max(), h.Total())
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	h.Record(-5, 1)
	h.Record(2*time.Hour, 1)
	if h.Quantile(0.5) != 0 || h.Max() != 2*time.Hour {
		t.Errorf("p50 %v, max %v", h.Quantile(0.5), h.Max())
	}
	var sum Histogram
	sum.Record(time.Second, 3)
	sum.Merge(&h)
	if sum.Total() != 5 || sum.Max() != 2*time.Hour {
		t.Errorf("merged: total %d, max %v", sum.Total(), sum.Max())
	}
}
