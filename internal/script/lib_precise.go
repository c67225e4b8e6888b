package script

import "math"

// Exponentials and logarithms, rounded as the C library rounds them: all but correctly. Go's own are an ulp off here
// and there, which a script sees (17^13), and wrong for the tiniest powers. They are computed with pairs of doubles,
// some 100 bits, in about a microsecond at most.

// pair is the number hi + lo, of which lo is at most half an ulp of hi.
type pair struct{ hi, lo float64 }

// The constants, as pairs.
var (
	ln2     = pair{math.Ln2, 2.3190468138462996e-17}
	invLn10 = pair{1 / math.Ln10, 1.098319650216765e-17}
)

// sum is the exact sum of two doubles, of which a isn't the smaller one.
func sum(a, b float64) pair {
	s := a + b
	return pair{s, b - (s - a)}
}

// sumAny is the exact sum of two doubles.
func sumAny(a, b float64) pair {
	s := a + b
	v := s - a
	return pair{s, (a - (s - v)) + (b - v)}
}

func (x pair) add(y pair) pair {
	s := sumAny(x.hi, y.hi)
	return sum(s.hi, s.lo+x.lo+y.lo)
}

func (x pair) mul(y pair) pair {
	p := x.hi * y.hi
	return sum(p, math.FMA(x.hi, y.hi, -p)+x.hi*y.lo+x.lo*y.hi)
}

func (x pair) scale(n int) pair { return pair{math.Ldexp(x.hi, n), math.Ldexp(x.lo, n)} }

// halvings is how often expPair halves its argument, and squares the result then.
const halvings = 8

// expReduced is e^x as m·2^n, for |x| < 800.
func expReduced(x pair) (m pair, n int) {
	k := math.Round(x.hi / math.Ln2)
	r := x.add(ln2.mul(pair{-k, 0})).scale(-halvings)
	// e^r - 1 by its series: |r| is below 0.0014, so that eight terms are enough. Without the 1 no digit is lost.
	term, s := r, r
	for i := 2.0; i < 9; i++ {
		q := 1 / i
		term = term.mul(r).mul(pair{q, math.FMA(-q, i, 1) / i})
		s = s.add(term)
	}
	for range halvings { // (1+s)² - 1
		s = s.mul(s).add(pair{2 * s.hi, 2 * s.lo})
	}
	return s.add(pair{1, 0}), int(k)
}

// rounded is m·2^n as a double.
func rounded(m pair, n int) float64 {
	if n > -1020 {
		return math.Ldexp(m.hi, n)
	}
	// Below the normal numbers hi has too many bits; lo decides if they are just in the middle.
	exact := math.Ldexp(m.hi, n+1074) // in units of the smallest number
	f := math.RoundToEven(exact)
	if exact-f == 0.5 && m.lo > 0 {
		f++
	} else if exact-f == -0.5 && m.lo < 0 {
		f--
	}
	return math.Ldexp(f, -1074)
}

// logPair is the logarithm of a positive number: that of its mantissa by a step of Newton's method from Go's, and that
// of its power of two.
func logPair(x float64) pair {
	m, n := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		n--
	}
	l := math.Log(m)
	e, k := expReduced(pair{-l, 0})
	step := e.scale(k).mul(pair{m, 0}).add(pair{-1, 0}) // m·e^-l - 1, so that ln m is l + ln(1 + step)
	return ln2.mul(pair{float64(n), 0}).add(pair{l, 0}.add(step).add(pair{-step.hi * step.hi / 2, 0}))
}

// isOrdinary reports whether a number is positive and finite.
func isOrdinary(x float64) bool { return x > 0 && !math.IsInf(x, 1) }

// expC is math.exp.
func expC(x float64) float64 {
	if !(math.Abs(x) < 750) || math.Abs(x) < 1e-300 {
		return math.Exp(x)
	}
	return rounded(expReduced(pair{x, 0}))
}

// logC is math.log.
func logC(x float64) float64 {
	if !isOrdinary(x) {
		return math.Log(x)
	}
	return logPair(x).hi
}

// log10C is math.log10.
func log10C(x float64) float64 {
	if !isOrdinary(x) {
		return math.Log10(x)
	}
	return logPair(x).mul(invLn10).hi
}

// powC is math.pow, and the operator ^.
func powC(x, y float64) float64 {
	switch {
	case x != x && y != 0: // odd powers lose the sign
		if math.Signbit(x) && isOdd(y) {
			return -x
		}
		return x
	case y != y && x != 1:
		return y
	case y == 2:
		return x * x
	case y == 0.5 && x >= 0 && x <= math.MaxFloat64:
		return math.Sqrt(x)
	case x < 0 && y != math.Trunc(y) && !math.IsInf(x, 0):
		return invalid
	case !isOrdinary(math.Abs(x)) || math.IsInf(y, 0) || y == 0 || y != y:
		return math.Pow(x, y)
	}
	sign := 1.0
	if x < 0 && isOdd(y) {
		sign = -1
	}
	x = math.Abs(x)
	if y == math.Trunc(y) && 0 < y && y <= 64 {
		if f := powerPair(x, int(y)); f < math.MaxFloat64 && f > 1e-290 {
			return sign * f
		}
	}
	l := logPair(x)
	switch e := y * l.hi; {
	case e > 750: // infinities don't fit in a pair
		return sign * math.Inf(1)
	case e < -750:
		return sign * 0
	}
	return sign * rounded(expReduced(l.mul(pair{y, 0})))
}

func isOdd(y float64) bool { return math.Abs(math.Mod(y, 2)) == 1 }

// powerPair is x^n by squaring, far from the ends of what doubles can be.
func powerPair(x float64, n int) float64 {
	result, square := pair{1, 0}, pair{x, 0}
	for {
		if n&1 != 0 {
			result = result.mul(square)
		}
		if n >>= 1; n == 0 {
			return result.hi
		}
		square = square.mul(square)
	}
}
