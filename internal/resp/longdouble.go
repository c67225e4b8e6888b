package resp

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

const (
	// maxLongDoubleChars is the length from which on Redis doesn't read a number as a long double.
	maxLongDoubleChars = 5 * 1024
	// maxLongExp is the exponent of the largest long double: it is below 2^(maxLongExp+1).
	maxLongExp = 16383
	// minLongExp is the exponent of half the smallest long double: what is not above 2^minLongExp is rounded to 0.
	minLongExp = -16446
)

// LongDouble is a floating-point number as INCRBYFLOAT and HINCRBYFLOAT calculate with: C's long double on x86, which
// has a mantissa of 64 bits. Results differ from those of a float64 in digits that clients see, so 0.1 + 0.2 is 0.3.
//
// The usual numbers, up to 19 digits and below 2^64, are read, added and written with integers; the rest goes through
// math/big. Both round to the nearest even. Numbers below the smallest normal long double keep all their bits here,
// which shows in no output.
type LongDouble struct {
	mant     uint64 // highest bit set, or the number is 0
	exp      int32  // the number is mant * 2^exp
	negative bool
	infinite bool
	nan      bool
}

// ParseLongDouble reads a number as Redis does with strtold: the forms of ParseFloat in the range of a long double,
// and not more than 5119 bytes.
func ParseLongDouble(b []byte) (v LongDouble, ok bool) {
	if len(b) >= maxLongDoubleChars {
		return v, false
	}
	kind, zero := floatSyntax(b)
	if kind == floatInvalid {
		return v, false
	}
	negative := b[0] == '-'
	switch {
	case kind == floatInf:
		return LongDouble{negative: negative, infinite: true}, true
	case zero:
		return LongDouble{negative: negative}, true
	case kind == floatHex:
		v, ok = parseLongHex(b)
	default:
		v, ok = parseLongDecimal(b)
	}
	v.negative = negative
	return v, ok && v.mant != 0
}

// LongDoubleFromInt returns n.
func LongDoubleFromInt(n int64) LongDouble {
	u := uint64(n)
	if n < 0 {
		u = -u
	}
	v := normalized(u, 0)
	v.negative = n < 0
	return v
}

// Finite reports whether v is neither infinite nor NaN, which are no results that Redis stores.
func (v LongDouble) Finite() bool { return !v.infinite && !v.nan }

// CeilThousandfold returns 1000 times v, rounded up as C does it with long doubles; false: an int64 does not hold it.
func (v LongDouble) CeilThousandfold() (n int64, ok bool) {
	if !v.Finite() {
		return 0, false
	}
	hi, lo := bits.Mul64(v.mant, 1000)
	r := rounded(hi, lo, false, v.exp)
	switch {
	case r.infinite, r.mant != 0 && r.exp >= 0:
		return 0, false
	case r.mant == 0:
		return 0, true
	case r.exp > -64:
		n = int64(r.mant >> -r.exp)
	}
	switch whole := r.exp > -64 && r.mant<<(64+r.exp) == 0; {
	case v.negative:
		return -n, true
	case whole:
		return n, true
	case n == math.MaxInt64:
		return 0, false
	}
	return n + 1, true
}

// Add returns v + w, rounded; it is infinite beyond the range of a long double.
func (v LongDouble) Add(w LongDouble) LongDouble {
	switch {
	case v.nan || w.nan || v.infinite && w.infinite && v.negative != w.negative:
		return LongDouble{nan: true}
	case v.infinite:
		return v
	case w.infinite:
		return w
	case v.mant == 0 && w.mant != 0:
		return w
	case w.mant == 0 && v.mant != 0:
		return v
	case v.mant == 0:
		return LongDouble{negative: v.negative && w.negative}
	}
	if v.exp < w.exp || v.exp == w.exp && v.mant < w.mant {
		v, w = w, v
	}
	// v is the larger one. Both as 128 bits, v's highest bit set; what w loses on its right is only known not to be 0.
	hi, lo, sticky := w.mant, uint64(0), false
	if shift := uint(v.exp - w.exp); shift < 128 {
		hi, lo, sticky = shiftRight(hi, lo, shift)
	} else {
		hi, sticky = 0, true
	}
	exp := v.exp - 64
	if v.negative == w.negative {
		var carry uint64
		hi, carry = bits.Add64(v.mant, hi, 0)
		if carry != 0 {
			sticky = sticky || lo&1 != 0
			lo = lo>>1 | hi<<63
			hi = hi>>1 | 1<<63
			exp++
		}
	} else {
		var borrow uint64
		if sticky { // w is a little more than hi:lo
			lo++ // not all ones: then w's bits would reach further to the right than 64 bits can
		}
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(v.mant, hi, borrow)
	}
	sum := rounded(hi, lo, sticky, exp)
	sum.negative = v.negative && sum.mant != 0
	return sum
}

// FormatLongDouble appends v without exponent and with at most 17 decimals, trailing zeros dropped (ld2string's
// human mode); v must be finite.
func FormatLongDouble(dst []byte, v LongDouble) []byte {
	if v.exp > 0 { // an integer of more than 64 bits
		if v.negative {
			dst = append(dst, '-')
		}
		n := new(big.Int).SetUint64(v.mant)
		return n.Lsh(n, uint(v.exp)).Append(dst, 10)
	}
	// The number times 10^17, rounded to an integer: below 2^64 * 10^17.
	const scale = 1e17
	hi, lo := bits.Mul64(v.mant, scale)
	if shift := uint(-v.exp); shift < 128 {
		var sticky bool
		up := shift > 0 && bitAt(hi, lo, shift-1)
		if up {
			_, _, sticky = shiftRight(hi, lo, shift-1)
		}
		hi, lo, _ = shiftRight(hi, lo, shift)
		if up && (sticky || lo&1 != 0) {
			var carry uint64
			lo, carry = bits.Add64(lo, 1, 0)
			hi += carry
		}
	} else {
		hi, lo = 0, 0
	}
	whole, decimals := bits.Div64(hi, lo, scale)
	if v.negative && whole|decimals != 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(dst, whole, 10)
	if decimals == 0 {
		return dst
	}
	from := len(dst)
	dst = strconv.AppendUint(dst, scale+decimals, 10) // the leading 1 keeps the zeros
	dst[from] = '.'
	return trimDecimals(dst, from)
}

// parseLongDecimal reads a decimal number other than 0 of valid syntax, without its sign. ok is false if it is
// beyond the range.
func parseLongDecimal(b []byte) (v LongDouble, ok bool) {
	var buf [64]byte
	d := scanDecimal(b, buf[:0])
	switch magnitude := len(d.digits) + d.exp; { // the number is in [10^(magnitude-1), 10^magnitude)
	case magnitude > 4940 || magnitude < -4970:
		return v, false
	case len(d.digits) <= 19 && -19 <= d.exp && d.exp <= 19:
		var m uint64
		for _, c := range d.digits {
			m = m*10 + uint64(c-'0')
		}
		if d.exp < 0 {
			return divided(m, pow10(-d.exp)), true
		}
		hi, lo := bits.Mul64(m, pow10(d.exp))
		return rounded(hi, lo, false, 0), true
	}
	m, _ := new(big.Int).SetString(string(d.digits), 10)
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.exp, -d.exp))), nil)
	f := new(big.Float).SetPrec(64)
	if d.exp >= 0 {
		f.SetInt(m.Mul(m, scale))
	} else {
		f.Quo(new(big.Float).SetInt(m), new(big.Float).SetInt(scale)) // exact operands, so rounded once
	}
	return fromBig(f)
}

// decimal is digits * 10^exp, without zeros at either end of digits.
type decimal struct {
	digits []byte
	exp    int
}

// scanDecimal takes a decimal number of valid syntax apart, appending its digits to buf. Exponents beyond any range
// are cut short.
func scanDecimal(b, buf []byte) (d decimal) {
	d.digits = buf
	point := false
	i := 0
	if b[0] == '+' || b[0] == '-' {
		i = 1
	}
	for ; i < len(b) && b[i]|0x20 != 'e'; i++ {
		if b[i] == '.' {
			point = true
			continue
		}
		if point {
			d.exp--
		}
		if b[i] != '0' || len(d.digits) > 0 {
			d.digits = append(d.digits, b[i])
		}
	}
	for len(d.digits) > 0 && d.digits[len(d.digits)-1] == '0' {
		d.digits = d.digits[:len(d.digits)-1]
		d.exp++
	}
	if i++; i >= len(b) {
		return d
	}
	negative := b[i] == '-'
	exp := 0
	for _, c := range b[i:] {
		if isDigit(c) {
			exp = min(exp*10+int(c-'0'), 1_000_000)
		}
	}
	if negative {
		exp = -exp
	}
	d.exp += exp
	return d
}

// parseLongHex reads a hexadecimal number of valid syntax, without its sign.
func parseLongHex(b []byte) (v LongDouble, ok bool) {
	s := string(b)
	if !hasExponent(s) {
		s += "p0"
	}
	f, _, err := new(big.Float).SetPrec(64).Parse(s, 0)
	if err != nil || f.IsInf() {
		return v, false
	}
	return fromBig(f.Abs(f))
}

// fromBig converts a number of 64 bits, not negative. ok is false if it is beyond the range of a long double.
func fromBig(f *big.Float) (v LongDouble, ok bool) {
	mant := new(big.Float)
	exp := f.MantExp(mant) // mant in [0.5, 1)
	if f.Sign() == 0 || exp-1 > maxLongExp || exp-1 < minLongExp {
		return v, false
	}
	u, _ := mant.SetMantExp(mant, 64).Uint64()
	if exp-1 == minLongExp && u == 1<<63 {
		return v, false
	}
	return LongDouble{mant: u, exp: int32(exp - 64)}, true
}

// normalized returns u * 2^exp.
func normalized(u uint64, exp int32) LongDouble {
	if u == 0 {
		return LongDouble{}
	}
	shift := bits.LeadingZeros64(u)
	return LongDouble{mant: u << shift, exp: exp - int32(shift)}
}

// divided returns a / b, rounded; neither may be 0.
func divided(a, b uint64) LongDouble {
	na, nb := bits.LeadingZeros64(a), bits.LeadingZeros64(b)
	a, b = a<<na, b<<nb
	exp := int32(nb - na - 64)
	var q, r uint64 // a / b * 2^64, or half of that: highest bit set
	if a < b {
		q, r = bits.Div64(a, 0, b)
	} else {
		q, r = bits.Div64(a>>1, a<<63, b)
		exp++
	}
	// What is lost is r / b: below, at or above one half.
	if r > b-r || r == b-r && q&1 != 0 {
		if q++; q == 0 {
			q = 1 << 63
			exp++
		}
	}
	return LongDouble{mant: q, exp: exp}
}

// rounded returns (hi:lo + sticky) * 2^exp, where sticky is something below 1 and above 0.
func rounded(hi, lo uint64, sticky bool, exp int32) LongDouble {
	if hi == 0 {
		if lo == 0 {
			return LongDouble{}
		}
		return normalized(lo, exp) // sticky can't be: it comes with a high bit
	}
	shift := uint(bits.LeadingZeros64(hi))
	hi, lo = hi<<shift|lo>>(64-shift), lo<<shift
	exp += 64 - int32(shift)
	half := uint64(1) << 63
	if lo > half || lo == half && (sticky || hi&1 != 0) {
		if hi++; hi == 0 {
			hi = half
			exp++
		}
	}
	if exp+63 > maxLongExp {
		return LongDouble{infinite: true}
	}
	return LongDouble{mant: hi, exp: exp}
}

// shiftRight shifts hi:lo right by n, 0..127. lost reports whether a bit was shifted out.
func shiftRight(hi, lo uint64, n uint) (h, l uint64, lost bool) {
	if n >= 64 {
		lost = lo != 0
		hi, lo, n = 0, hi, n-64
	}
	lost = lost || lo&(1<<n-1) != 0
	return hi >> n, lo>>n | hi<<(64-n), lost
}

// bitAt returns bit n of hi:lo, 0..127.
func bitAt(hi, lo uint64, n uint) bool {
	if n >= 64 {
		return hi>>(n-64)&1 != 0
	}
	return lo>>n&1 != 0
}

// pow10 returns 10^n, n in 0..19.
func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
