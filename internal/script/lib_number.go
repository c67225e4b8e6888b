package script

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Numbers as text, as the C library reads and writes them in the C locale.

// formatSpec is a conversion of printf: flags, width, precision.
type formatSpec struct {
	minus, plus, space, alternate, zero bool
	width                               int
	precision                           int // -1: none
	conversion                          byte
}

// appendPadded appends a sign or prefix, zeros if the zero flag asks for them, and digits, in the field's width.
func (s *formatSpec) appendPadded(dst []byte, prefix string, digits []byte, zeros bool) []byte {
	pad := s.width - len(prefix) - len(digits)
	if !s.minus && !zeros {
		dst = appendRepeated(dst, ' ', pad)
	}
	dst = append(dst, prefix...)
	if !s.minus && zeros {
		dst = appendRepeated(dst, '0', pad)
	}
	dst = append(dst, digits...)
	if s.minus {
		dst = appendRepeated(dst, ' ', pad)
	}
	return dst
}

func appendRepeated(dst []byte, c byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, c)
	}
	return dst
}

// sign is what stands before a signed number.
func (s *formatSpec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case s.plus:
		return "+"
	case s.space:
		return " "
	}
	return ""
}

// appendInt appends a signed integer: %d, %i.
func (s *formatSpec) appendInt(dst []byte, n int64) []byte {
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	return s.appendDigits(dst, s.sign(n < 0), magnitude, 10)
}

// appendUint appends an unsigned integer: %u, %o, %x, %X.
func (s *formatSpec) appendUint(dst []byte, n uint64) []byte {
	switch s.conversion {
	case 'o':
		return s.appendDigits(dst, "", n, 8)
	case 'x', 'X':
		prefix := ""
		if s.alternate && n != 0 {
			prefix = "0" + string(s.conversion)
		}
		return s.appendDigits(dst, prefix, n, 16)
	}
	return s.appendDigits(dst, "", n, 10)
}

func (s *formatSpec) appendDigits(dst []byte, prefix string, n uint64, base int) []byte {
	var room [128]byte
	digits := strconv.AppendUint(room[:0], n, base)
	if n == 0 && s.precision == 0 {
		digits = digits[:0]
	}
	if s.conversion == 'X' {
		upper(digits)
	}
	missing := s.precision - len(digits)
	if base == 8 && s.alternate && missing <= 0 && (len(digits) == 0 || digits[0] != '0') {
		missing = 1
	}
	if missing > 0 {
		digits = append(digits, room[:missing]...) // makes room
		copy(digits[missing:], digits[:len(digits)-missing])
		for i := range missing {
			digits[i] = '0'
		}
	}
	return s.appendPadded(dst, prefix, digits, s.zero && s.precision < 0)
}

func upper(b []byte) {
	for i, c := range b {
		b[i] = upperByte(c)
	}
}

// appendFloat appends a number: %e, %E, %f, %g, %G.
func (s *formatSpec) appendFloat(dst []byte, f float64) []byte {
	sign := s.sign(math.Signbit(f))
	var room [512]byte
	digits := room[:0]
	switch {
	case math.IsNaN(f):
		digits = append(digits, "nan"...)
	case math.IsInf(f, 0):
		digits = append(digits, "inf"...)
	default:
		digits = s.appendFinite(digits, math.Abs(f))
	}
	if s.conversion == 'E' || s.conversion == 'G' {
		upper(digits)
	}
	finite := !math.IsNaN(f) && !math.IsInf(f, 0)
	return s.appendPadded(dst, sign, digits, s.zero && finite)
}

func (s *formatSpec) appendFinite(digits []byte, f float64) []byte {
	precision := s.precision
	if precision < 0 {
		precision = 6
	}
	switch s.conversion {
	case 'e', 'E':
		digits = strconv.AppendFloat(digits, f, 'e', precision, 64)
		if s.alternate && precision == 0 {
			digits = slices.Insert(digits, 1, '.')
		}
		return digits
	case 'f':
		digits = strconv.AppendFloat(digits, f, 'f', precision, 64)
		if s.alternate && precision == 0 {
			digits = append(digits, '.')
		}
		return digits
	}
	return s.appendGeneral(digits, f, max(precision, 1))
}

// appendGeneral is %g: the exponent of the number, rounded to the precision, decides between %e and %f, and zeros at
// the end are left out.
func (s *formatSpec) appendGeneral(digits []byte, f float64, precision int) []byte {
	start := len(digits)
	digits = strconv.AppendFloat(digits, f, 'e', precision-1, 64)
	e := bytes.LastIndexByte(digits, 'e')
	exponent, err := strconv.Atoi(string(digits[e+1:]))
	if err != nil {
		panic("BUG: an exponent that is no number")
	}
	if exponent < -4 || exponent >= precision {
		if s.alternate {
			if precision == 1 {
				digits = slices.Insert(digits, 1, '.')
			}
			return digits
		}
		mantissa := trimZeros(digits[start:e])
		return append(digits[:start+len(mantissa)], digits[e:]...)
	}
	digits = strconv.AppendFloat(digits[:start], f, 'f', precision-1-exponent, 64)
	if s.alternate {
		if precision-1-exponent == 0 {
			digits = append(digits, '.')
		}
		return digits
	}
	return digits[:start+len(trimZeros(digits[start:]))]
}

// trimZeros takes zeros from the end of a fraction, and the point if nothing is left behind it.
func trimZeros(digits []byte) []byte {
	if bytes.IndexByte(digits, '.') < 0 {
		return digits
	}
	return bytes.TrimSuffix(bytes.TrimRight(digits, "0"), []byte{'.'})
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// strtod converts the longest beginning of s that is a number, and says how long that is; 0: there is none.
func strtod(s string) (f float64, n int) {
	i := 0
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	negative := false
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		negative = s[i] == '-'
		i++
	}
	f, n = strtodUnsigned(s[i:])
	if n == 0 {
		return 0, 0
	}
	if negative {
		f = -f
	}
	return f, i + n
}

func strtodUnsigned(s string) (f float64, n int) {
	switch n := nameLength(s, "infinity"); {
	case n == 8:
		return math.Inf(1), n
	case n >= 3:
		return math.Inf(1), 3
	}
	if nameLength(s, "nan") == 3 {
		tail := nanTail(s[3:])
		return math.Float64frombits(0x7ff8000000000000 | nanPayload(s[3:3+tail])), 3 + tail
	}
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		if f, n := parseHex(s[2:]); n > 0 {
			return f, n + 2
		}
	}
	n = decimalLength(s)
	if n == 0 {
		return 0, 0
	}
	f, err := strconv.ParseFloat(s[:n], 64)
	if err != nil && !math.IsInf(f, 0) {
		panic("BUG: a decimal number that can't be parsed")
	}
	return f, n
}

// nameLength is how many characters s has in common with a name in lower case.
func nameLength(s, name string) int {
	n := 0
	for n < len(s) && n < len(name) && s[n]|0x20 == name[n] {
		n++
	}
	return n
}

// nanTail is the length of "(letters, digits and underscores)" behind nan.
func nanTail(s string) int {
	if s == "" || s[0] != '(' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == ')' {
			return i + 1
		}
		if c != '_' && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return 0
		}
	}
	return 0
}

// nanPayload is the number in parentheses behind nan, which is a part of the NaN; 0: there is none.
func nanPayload(tail string) uint64 {
	if tail == "" {
		return 0
	}
	digits, base := tail[1:len(tail)-1], 10
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X") {
		base = 16
	} else if strings.HasPrefix(digits, "0") {
		base = 8
	}
	payload, n := strtoul(digits, base)
	if n < len(digits) {
		return 0
	}
	return payload & (1<<51 - 1)
}

// decimalLength is the length of digits with a point and an exponent; 0: there are none.
func decimalLength(s string) int {
	i, digits := 0, 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		i++
		for ; i < len(s) && isDigit(s[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return 0
	}
	return i + exponentLength(s[i:], 'e')
}

// exponentLength is the length of a letter, a sign and digits; 0: there are none.
func exponentLength(s string, letter byte) int {
	if s == "" || s[0]|0x20 != letter {
		return 0
	}
	i := 1
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	first := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i == first {
		return 0
	}
	return i
}

// parseHex converts what stands behind 0x: hexadecimal digits with a point, and a binary exponent.
func parseHex(s string) (f float64, n int) {
	i, digits := 0, 0
	point := false
	for ; i < len(s); i++ {
		if s[i] == '.' && !point {
			point = true
			continue
		}
		if hexDigit(s[i]) < 0 {
			break
		}
		digits++
	}
	if digits == 0 {
		return 0, 0
	}
	text := "0x" + s[:i]
	exponent := exponentLength(s[i:], 'p')
	if exponent > 0 {
		text += s[i : i+exponent]
	} else {
		text += "p0"
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		panic("BUG: a hexadecimal number that can't be parsed")
	}
	return f, i + exponent
}

// hexDigit is the value of a hexadecimal digit; -1: it is none.
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// strtoul converts the longest beginning of s that is an integer of a base from 2 to 36, and says how long that is; 0:
// there is none. Too big a number is the biggest one; a minus sign negates modulo 2^64.
func strtoul(s string, base int) (value uint64, n int) {
	i := 0
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	negative := false
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		negative = s[i] == '-'
		i++
	}
	if base == 16 && len(s) > i+2 && s[i] == '0' && s[i+1]|0x20 == 'x' && hexDigit(s[i+2]) >= 0 {
		i += 2
	}
	first, overflow := i, false
	for ; i < len(s); i++ {
		d := strings.IndexByte("0123456789abcdefghijklmnopqrstuvwxyz", lowerByte(s[i]))
		if d < 0 || d >= base {
			break
		}
		high, low := bits.Mul64(value, uint64(base))
		sum, carry := bits.Add64(low, uint64(d), 0)
		overflow = overflow || high != 0 || carry != 0
		value = sum
	}
	switch {
	case i == first:
		return 0, 0
	case overflow:
		return math.MaxUint64, i
	case negative:
		return -value, i
	}
	return value, i
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c - 'A' + 'a'
	}
	return c
}

func upperByte(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
