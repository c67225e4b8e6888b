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
// What stands behind a zero byte doesn't count.
func parseNumber(s string) (f float64, ok bool) {
	if f, ok := parseShort(s); ok {
		return f, true
	}
	s = cString(s)
	f, n := strtod(s)
	if n == 0 {
		return 0, false
	}
	for n < len(s) && isBlank(s[n]) {
		n++
	}
	return f, n == len(s)
}

// parseShort reads what most numbers are: a few digits.
func parseShort(s string) (f float64, ok bool) {
	if len(s) == 0 || len(s) > 15 {
		return 0, false
	}
	n := uint64(0)
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return float64(n), true
}

func isBlank(c byte) bool { return c == ' ' || c-'\t' < 5 }
