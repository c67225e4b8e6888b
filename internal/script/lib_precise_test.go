package script

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigBits is the precision that functions are compared in.
const bigBits = 220

func bigOf(x float64) *big.Float { return new(big.Float).SetPrec(bigBits).SetFloat64(x) }

// bigExp is e^x by its series, for |x| < 1000.
func bigExp(x *big.Float) *big.Float {
	const halvings = 30
	r := new(big.Float).SetMantExp(x, -halvings)
	sum, term := bigOf(1), bigOf(1)
	for i := 1; i < 12; i++ {
		term.Quo(term.Mul(term, r), bigOf(float64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLog is the logarithm of x, by Newton's method.
func bigLog(x *big.Float) *big.Float {
	f, _ := x.Float64()
	l := bigOf(math.Log(f))
	for range 3 {
		e := bigExp(l)
		l.Add(l, new(big.Float).Quo(new(big.Float).Sub(x, e), e))
	}
	return l
}

// TestPreciseFunctionsAreRoundedCorrectly compares with results of many more digits: the nearest double, unless two are
// as near as 100 bits can tell.
func TestPreciseFunctionsAreRoundedCorrectly(t *testing.T) {
	random := rand.New(rand.NewPCG(*flagFrom, 1))
	ln10 := bigLog(bigOf(10))
	for range 3000 {
		x := math.Exp(random.NormFloat64() * 20)
		y := random.NormFloat64() * 10
		n := float64(1 + random.IntN(64))
		small := 1 + random.NormFloat64()*0.01
		l := bigLog(bigOf(x))
		for _, c := range []struct {
			name string
			got  float64
			want *big.Float
		}{
			{"exp", expC(y), bigExp(bigOf(y))}, {"exp", expC(y * 60), bigExp(bigOf(y * 60))},
			{"log", logC(x), l}, {"log", logC(small), bigLog(bigOf(small))}, {"log10", log10C(x),
				new(big.Float).Quo(l, ln10)},
			{"pow", powC(x, y), bigExp(new(big.Float).Mul(l, bigOf(y)))},
			{"pow", powC(small, n), bigExp(new(big.Float).Mul(bigLog(bigOf(small)), bigOf(n)))},
		} {
			want, _ := c.want.Float64()
			if c.got == want {
				continue
			}
			// How far the true value is from the middle between two doubles, in units of the last place.
			unit := math.Nextafter(math.Abs(want), math.Inf(1)) - math.Abs(want)
			off := new(big.Float).Sub(c.want, bigOf(c.got))
			ulps, _ := off.Quo(off, bigOf(unit)).Float64()
			if !(math.Abs(math.Abs(ulps)-0.5) < 1e-12) {
				t.Errorf("%s at x=%v y=%v small=%v n=%v: %v, want %v (%v ulp)", c.name, x, y, small, n, c.got, want,
					ulps)
			}
		}
	}
}

// TestPreciseFunctionsAtTheirEnds compares with what C says of infinities, NaNs, zeros and the tiniest numbers.
func TestPreciseFunctionsAtTheirEnds(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	special := []float64{0, math.Copysign(0, -1), 1, -1, 2, -2, 3, 0.5, -0.5, inf, -inf, nan, math.MaxFloat64,
		-math.MaxFloat64, 5e-324}
	for _, x := range special {
		checkSame(t, "exp", x, 0, expC(x), math.Exp(x))
		if x != 5e-324 { // where Go's is wrong
			checkSame(t, "log", x, 0, logC(x), math.Log(x))
		}
		for _, y := range special {
			if math.Abs(x) == 5e-324 && y == math.Trunc(y) || math.Abs(x) != 5e-324 {
				checkSame(t, "pow", x, y, powC(x, y), math.Pow(x, y))
			}
		}
	}
	for _, c := range []struct{ got, want float64 }{
		{expC(-745), 5e-324}, {expC(-746), 0}, {expC(709.78), 1.7928227943945155e308}, {expC(710), inf}, {powC(2,
			-1074), 5e-324},
		{powC(2, -1075), 0}, {powC(2, 1023), 8.98846567431158e307}, {powC(2, 1024), inf}, {powC(-2, 3), -8},
		{powC(10, 22), 1e22},
		{powC(10, -5), 1e-5}, {powC(5e-324, 0.5), 2.2227587494850775e-162}, {logC(5e-324), -744.4400719213812},
		{log10C(1e-320), -320.0000048}, {log10C(1000), 3},
	} {
		if c.got != c.want && !(math.Abs(c.got-c.want) < 1e-7*math.Abs(c.want)) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

func checkSame(t *testing.T, name string, x, y, got, want float64) {
	t.Helper()
	if got != want && got == got && !(math.Abs(got-want) <= 1e-15*math.Abs(want)) || (got == got) != (want == want) {
		t.Errorf("%s(%v, %v) is %v, want %v", name, x, y, got, want)
	}
}
