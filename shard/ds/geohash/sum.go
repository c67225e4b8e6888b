package geohash

import "math"

// sum is a number as the sum of two, the second of which is at most half a unit in the last place of the first: about
// 106 bits. What is added or multiplied here must not be fused by the compiler, hence the conversions.
type sum struct{ hi, lo float64 }

// add returns a + b, which needs no rounding.
func add(a, b float64) sum {
	s := a + b
	t := s - a
	return sum{s, (a - (s - t)) + (b - t)}
}

// times returns a · b, which needs no rounding.
func times(a, b float64) sum {
	p := float64(a * b)
	return sum{p, math.FMA(a, b, -p)}
}

func (x sum) plus(y sum) sum {
	s := add(x.hi, y.hi)
	return add(s.hi, s.lo+(x.lo+y.lo))
}

func (x sum) times(y sum) sum {
	p := times(x.hi, y.hi)
	return add(p.hi, p.lo+(float64(x.hi*y.lo)+float64(x.lo*y.hi)))
}

func (x sum) negative() sum { return sum{-x.hi, -x.lo} }

// halfPi is π/2 as the sum of three numbers.
var halfPi = [3]float64{1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33}

// A power series in z: the first coefficients as sums, the others are small enough for one number. They are 1/3!, 1/5!
// … and 1/2!, 1/4! …, with changing signs.
type series struct {
	sums [4]sum
	rest [6]float64
}

var sineSeries = series{
	[4]sum{
		{-0.16666666666666666, -9.25185853854297e-18}, {0.008333333333333333, 1.1564823173178714e-19},
		{-0.0001984126984126984, -1.7209558293420705e-22}, {2.7557319223985893e-06, -1.858393274046472e-22},
	},
	[6]float64{
		-2.505210838544172e-08, 1.6059043836821613e-10, -7.647163731819816e-13, 2.8114572543455206e-15,
		-8.22063524662433e-18, 1.9572941063391263e-20,
	},
}

var cosineSeries = series{
	[4]sum{
		{-0.5, 0}, {0.041666666666666664, 2.3129646346357427e-18},
		{-0.001388888888888889, 5.300543954373577e-20}, {2.48015873015873e-05, 2.1511947866775882e-23},
	},
	[6]float64{
		-2.755731922398589e-07, 2.08767569878681e-09, -1.1470745597729725e-11, 4.779477332387385e-14,
		-1.5619206968586225e-16, 4.110317623312165e-19,
	},
}

// at returns 1 + z·c₀ + z²·c₁ ….
func (c series) at(z sum) sum {
	r := 0.0
	for i := len(c.rest) - 1; i >= 0; i-- {
		r = c.rest[i] + float64(r*z.hi)
	}
	s := sum{r, 0}
	for i := len(c.sums) - 1; i >= 0; i-- {
		s = c.sums[i].plus(s.times(z))
	}
	return sum{1, 0}.plus(s.times(z))
}

// sineCosine returns sine and cosine of x, |x| ≤ 4.
func sineCosine(x float64) (sine, cosine sum) {
	quarters := math.Round(x / halfPi[0])
	r := add(x, -quarters*halfPi[0])
	r = r.plus(sum{-quarters * halfPi[1], -quarters * halfPi[2]})
	z := r.times(r)
	s, c := r.times(sineSeries.at(z)), cosineSeries.at(z)
	switch int(quarters) & 3 {
	case 1:
		return c, s.negative()
	case 2:
		return s.negative(), c.negative()
	case 3:
		return c.negative(), s
	}
	return s, c
}

// arcsine returns the arcsine of x, 0 ≤ x ≤ 1, rounded to the nearest; beyond it is no number.
func arcsine(x float64) float64 {
	switch {
	case !(x <= 1):
		return math.NaN()
	case x < 0.7:
		return smallArcsine(sum{x, 0}).hi
	}
	// From there on x says little of its arcsine, and 1-x, which needs no rounding, says all.
	half := (1 - x) / 2
	root := math.Sqrt(half)
	s := sum{root, 0}
	if root > 0 {
		s = add(root, -math.FMA(root, root, -half)/(2*root))
	}
	a := smallArcsine(s)
	return sum{halfPi[0], halfPi[1]}.plus(sum{-2 * a.hi, -2 * a.lo}).hi
}

// smallArcsine does one step of Newton's from what Go thinks it is. 0 ≤ x ≤ 0.7.
func smallArcsine(x sum) sum {
	y := math.Asin(x.hi)
	s, c := sineCosine(y)
	return add(y, ((x.hi-s.hi)+(x.lo-s.lo))/c.hi)
}
