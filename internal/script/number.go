package script

import (
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// appendNumber appends a number as Lua 5.1 writes it: %.14g.
func appendNumber(dst []byte, f float64) []byte { return appendG(dst, f, 14) }

// appendG appends f as C's %.<precision>g does.
func appendG(dst []byte, f float64, precision int) []byte {
	switch {
	case f == math.Trunc(f) && math.Abs(f) < 1e14 && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10) // the same digits, much cheaper
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f) && math.Signbit(f):
		return append(dst, "-nan"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	return strconv.AppendFloat(dst, f, 'g', precision, 64)
}

// formatNumber is tostring of a number.
func formatNumber(n lua.LNumber) string {
	var buf [32]byte
	return string(appendNumber(buf[:0], float64(n)))
}

// text returns what Lua's lua_tolstring makes of a string or a number; ok is false for other values.
func text(v lua.LValue) (s string, ok bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return formatNumber(v), true
	}
	return "", false
}

// number returns what Lua's lua_tonumber makes of a number, or of a string that spells one.
func number(v lua.LValue) (n float64, ok bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		return parseNumber(string(v))
	}
	return 0, false
}

// parseNumber reads a number as Lua 5.1 does with strtod: blanks around it, decimal or hexadecimal, "inf" and "nan".
func parseNumber(s string) (n float64, ok bool) {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	digits := s
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	negative := s[0] == '-'
	switch c := digits[0] | 0x20; {
	case c == 'i' || c == 'n':
		n, ok = namedNumber(digits)
	case len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x':
		n, ok = hexNumber(digits[2:])
	default:
		n, ok = decimalNumber(digits)
	}
	if negative {
		n = -n
	}
	return n, ok
}

func isBlank(c byte) bool { return c == ' ' || c-'\t' < 5 }

// namedNumber reads inf, infinity, nan and nan(word).
func namedNumber(s string) (n float64, ok bool) {
	lower := make([]byte, 0, 16)
	for i := range min(len(s), 16) {
		c := s[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	switch {
	case string(lower) == "inf" || string(lower) == "infinity":
		return math.Inf(1), true
	case string(lower) == "nan":
		return math.NaN(), true
	case len(lower) >= 5 && string(lower[:4]) == "nan(" && s[len(s)-1] == ')':
		for _, c := range []byte(s[4 : len(s)-1]) {
			if c-'0' >= 10 && c|0x20-'a' >= 26 && c != '_' {
				return 0, false
			}
		}
		return math.NaN(), true
	}
	return 0, false
}

// decimalNumber reads digits with a point and an exponent; too large a number is infinite.
func decimalNumber(s string) (n float64, ok bool) {
	if c := s[0]; len(s) < 16 && c-'0' < 10 {
		u := uint64(0)
		i := 0
		for ; i < len(s) && s[i]-'0' < 10; i++ {
			u = u*10 + uint64(s[i]-'0')
		}
		if i == len(s) {
			return float64(u), true
		}
	}
	for i := range len(s) {
		if c := s[i]; c-'0' >= 10 && c != '.' && c|0x20 != 'e' && c != '-' && c != '+' {
			return 0, false // strconv takes underscores and names, strtod doesn't
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}

// hexNumber reads what stands behind 0x: hexadecimal digits with a point and a binary exponent.
func hexNumber(s string) (n float64, ok bool) {
	exponent := false
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' < 10 || c|0x20-'a' < 6 && !exponent || c == '.':
		case c|0x20 == 'p':
			exponent = true
		case (c == '-' || c == '+') && i > 0 && s[i-1]|0x20 == 'p':
		default:
			return 0, false
		}
	}
	s = "0x" + s
	if !exponent {
		s += "p0" // strconv wants one
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}
