package resp

import "math/big"

// bigLong reads a decimal number by way of math/big alone, rounded to 64 bits.
func bigLong(s string) *big.Float {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return new(big.Float).SetPrec(64).SetRat(r)
}
