package resp

import (
	"math"
	"math/big"
)

// bigLong reads a decimal number by way of math/big alone, rounded to 64 bits.
func bigLong(s string) *big.Float {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return new(big.Float).SetPrec(64).SetRat(r)
}

// toFloat64 returns the float64 nearest to v.
func toFloat64(v LongDouble) float64 {
	f, _ := new(big.Float).SetMantExp(new(big.Float).SetUint64(v.mant), int(v.exp)).Float64()
	if v.infinite {
		f = math.Inf(1)
	}
	if v.negative {
		f = -f
	}
	return f
}
