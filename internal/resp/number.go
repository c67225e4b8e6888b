package resp

import (
	"math"
	"strconv"
)

const (
	// maxInt64Digits is the length of the longest int64, with its sign.
	maxInt64Digits = 20
	// maxDouble is how many bytes %.17g may take.
	maxDouble = 32
	// maxHumanDouble is how many bytes %.17f may take: 309 digits, sign, point and 17 more.
	maxHumanDouble = 336
)

// ParseInt reads an integer as Redis's string2ll does: only the one way of writing a number that FormatInt would
// produce. No blanks, no plus sign, no leading zeros, no "-0".
func ParseInt(b []byte) (n int64, ok bool) {
	if len(b) == 1 && b[0]-'0' < 10 {
		return int64(b[0] - '0'), true
	}
	if len(b) == 0 || len(b) > maxInt64Digits {
		return 0, false
	}
	i, negative := 0, b[0] == '-'
	if negative {
		i = 1
	}
	if i == len(b) || b[i]-'1' >= 9 {
		return 0, false
	}
	var u uint64 // below 10^19 after 19 digits, so only a 20th can overflow
	for ; i < len(b); i++ {
		d := uint64(b[i] - '0')
		if d > 9 || u > (math.MaxUint64-9)/10 {
			return 0, false
		}
		u = u*10 + d
	}
	if negative {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u <= math.MaxInt64
}

// ParseFloat reads a floating-point number as Redis does with strtod: all of b, without leading blanks. Decimal and
// hexadecimal numbers, "inf" and "infinity" in any case are accepted; NaN is not, nor a number that overflows, nor
// one that becomes zero though its digits are not.
func ParseFloat(b []byte) (f float64, ok bool) {
	if n, ok := ParseInt(b); ok {
		return float64(n), true // rounds to the nearest even, as strtod does
	}
	kind, mantissaZero := floatSyntax(b)
	switch kind {
	case floatInvalid:
		return 0, false
	case floatInf:
		if b[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	s := string(b)
	if kind == floatHex && !hasExponent(s) {
		s += "p0" // strconv wants one
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || (f == 0 && !mantissaZero) {
		return 0, false
	}
	return f, true
}

// The kinds of floatSyntax.
const (
	floatInvalid = iota
	floatInf
	floatDecimal
	floatHex
)

// floatSyntax reports which of strtod's forms, NaN apart, the whole of b has, and whether all digits of its mantissa
// are 0.
func floatSyntax(b []byte) (kind int, mantissaZero bool) {
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	if equalFold(b, "inf") || equalFold(b, "infinity") {
		return floatInf, false
	}
	kind = floatDecimal
	exponent, hex := byte('e'), false
	if len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		kind, exponent, hex, b = floatHex, 'p', true, b[2:]
	}
	digits, i := 0, 0
	mantissaZero = true
	for point := false; i < len(b); i++ {
		if b[i] == '.' && !point {
			point = true
			continue
		}
		if !isDigit(b[i]) && !(hex && isHex(b[i])) {
			break
		}
		digits++
		mantissaZero = mantissaZero && b[i] == '0'
	}
	if digits == 0 {
		return floatInvalid, false
	}
	if i == len(b) {
		return kind, mantissaZero
	}
	if b[i]|0x20 != exponent {
		return floatInvalid, false
	}
	i++
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	if i == len(b) {
		return floatInvalid, false
	}
	for ; i < len(b); i++ {
		if !isDigit(b[i]) {
			return floatInvalid, false
		}
	}
	return kind, mantissaZero
}

// hasExponent reports whether the hexadecimal number s has one.
func hasExponent(s string) bool {
	for i := range len(s) {
		if s[i]|0x20 == 'p' {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c-'0' < 10 }

// equalFold reports whether b is word, which is in lower case, in any case.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range len(word) {
		if b[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

// FormatDouble appends f as Redis 7.0 replies and stores it: 17 significant digits (%.17g), so 0.1 is
// 0.10000000000000001; "inf", "-inf", "nan".
func FormatDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case f == math.Trunc(f) && math.Abs(f) < 1<<52 && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10) // same digits, much cheaper
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

// FormatHumanDouble appends f without exponent and with at most 17 decimals (%.17f, trailing zeros dropped).
func FormatHumanDouble(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return FormatDouble(dst, f)
	}
	from := len(dst)
	return trimDecimals(strconv.AppendFloat(dst, f, 'f', 17, 64), from)
}

// trimDecimals drops the trailing zeros, and a point left bare, of the number dst[from:], which has decimals. Minus
// zero becomes 0.
func trimDecimals(dst []byte, from int) []byte {
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if len(dst) == from+2 && dst[from] == '-' && dst[from+1] == '0' {
		dst = append(dst[:from], '0')
	}
	return dst
}
