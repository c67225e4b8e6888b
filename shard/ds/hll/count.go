package hll

import "math"

// histogram is how many registers have which rank.
type histogram [rankMask + 1]int32

// addDense adds the registers of a dense value. Four histograms are filled in turns: the next register mostly has the
// rank of one of the last, whose counter would have to be waited for.
func (h *histogram) addDense(registers []byte) {
	var a, b, c, d histogram
	for i := range words {
		w := word(registers, i)
		a[w&rankMask]++
		b[w>>6&rankMask]++
		c[w>>12&rankMask]++
		d[w>>18&rankMask]++
		a[w>>24&rankMask]++
		b[w>>30&rankMask]++
		c[w>>36&rankMask]++
		d[w>>42&rankMask]++
	}
	for i := range h {
		h[i] += a[i] + b[i] + c[i] + d[i]
	}
}

// addSparse adds the registers of a sparse value; false: it is not sound.
func (h *histogram) addSparse(b []byte) bool {
	w := runsOf(b)
	for w.next() && w.covered <= Registers {
		h[w.rank] += int32(w.n)
	}
	return w.sound()
}

// estimate returns about how many elements there were. Every step is rounded to 64 bits, as in Redis.
func (h *histogram) estimate() uint64 {
	const m = float64(Registers)
	const alpha = 0.721347520444481703680 // 1 / (2 ln 2)
	z := m * tau((m-float64(h[maxRank]))/m)
	for rank := maxRank - 1; rank > 0; rank-- {
		z = (z + float64(h[rank])) * 0.5
	}
	z += float64(m * sigma(float64(h[0])/m))
	n := math.Round(alpha * m * m / z)
	if n >= 1<<63 { // only of a forged value; this is what x86 makes of it
		return 1 << 63
	}
	return uint64(n)
}

// sigma is x + x²·1 + x⁴·2 + x⁸·4 … for 0 ≤ x ≤ 1: what registers that are 0 stand for.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := -1.0; last != z; {
		x *= x
		last = z
		z += float64(x * y)
		y += y
	}
	return z
}

// tau is (1-x - (1-√x)²/2 - (1-⁴√x)²/4 …) / 3 for 0 ≤ x ≤ 1: what registers of the greatest rank stand for.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := -1.0; last != z; {
		x = math.Sqrt(x)
		last = z
		y *= 0.5
		d := 1 - x
		z -= float64(float64(d*d) * y)
	}
	return z / 3
}
