package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// string.format(format, …)
func (lb *libs) strFormat(L *lua.LState) int {
	f := formatter{L: L, lb: lb, format: checkString(L, 1), arg: 1}
	f.buf = lb.takeBuffer()
	for f.at < len(f.format) {
		i := strings.IndexByte(f.format[f.at:], '%')
		if i < 0 {
			f.buf = append(f.buf, f.format[f.at:]...)
			break
		}
		f.buf = append(f.buf, f.format[f.at:f.at+i]...)
		f.at += i + 1
		if f.at < len(f.format) && f.format[f.at] == '%' {
			f.buf = append(f.buf, '%')
			f.at++
			continue
		}
		f.item()
		lb.checkRoom(L, len(f.buf))
	}
	return lb.pushBuffer(L, f.buf)
}

// formatter is a format being filled in.
type formatter struct {
	L      *lua.LState
	lb     *libs
	format string
	at     int // where in the format
	arg    int // the last argument that was used
	buf    []byte
}

// next is the format's byte here; 0: it has ended.
func (f *formatter) next() byte {
	if f.at < len(f.format) {
		return f.format[f.at]
	}
	return 0
}

// item appends an argument as the item behind a % says.
func (f *formatter) item() {
	f.arg++
	if f.arg > f.L.GetTop() {
		argError(f.L, f.arg, "no value")
	}
	spec := f.spec()
	f.at++
	switch spec.conversion {
	case 'c':
		f.appendChar(&spec, byte(int32From(checkNumber(f.L, f.arg))))
	case 'd', 'i':
		f.buf = spec.appendInt(f.buf, toInt64(checkNumber(f.L, f.arg)))
	case 'o', 'u', 'x', 'X':
		f.buf = spec.appendUint(f.buf, toUint64(checkNumber(f.L, f.arg)))
	case 'e', 'E', 'f', 'g', 'G':
		f.buf = spec.appendFloat(f.buf, checkNumber(f.L, f.arg))
	case 'q':
		f.appendQuoted(checkString(f.L, f.arg))
	case 's':
		f.appendString(&spec, checkString(f.L, f.arg))
	default:
		letter := ""
		if spec.conversion != 0 {
			letter = string([]byte{spec.conversion})
		}
		raisef(f.L, "invalid option '%%%s' to 'format'", letter)
	}
}

// spec reads flags, width, precision and the letter of the conversion, which stays next.
func (f *formatter) spec() formatSpec {
	spec := formatSpec{precision: -1}
	for n := 0; ; n++ {
		switch f.next() {
		case '-':
			spec.minus = true
		case '+':
			spec.plus = true
		case ' ':
			spec.space = true
		case '#':
			spec.alternate = true
		case '0':
			spec.zero = true
		default:
			if n > 5 {
				raisef(f.L, "invalid format (repeated flags)")
			}
			spec.width = f.twoDigits()
			if f.next() == '.' {
				f.at++
				spec.precision = f.twoDigits()
			}
			if isDigit(f.next()) {
				raisef(f.L, "invalid format (width or precision too long)")
			}
			spec.conversion = f.next()
			return spec
		}
		f.at++
	}
}

// twoDigits reads a number of up to two digits.
func (f *formatter) twoDigits() int {
	n := 0
	for range 2 {
		if !isDigit(f.next()) {
			break
		}
		n = n*10 + int(f.next()-'0')
		f.at++
	}
	return n
}

// appendChar appends a character in its field. What it makes is a string of C's, so it ends before a zero.
func (f *formatter) appendChar(spec *formatSpec, c byte) {
	start := len(f.buf)
	f.buf = spec.appendPadded(f.buf, "", []byte{c}, false)
	f.buf = append(f.buf[:start], cString(string(f.buf[start:]))...)
}

// appendString appends a string in its field. Formatted by C, it ends before a zero; long ones without a precision are
// not.
func (f *formatter) appendString(spec *formatSpec, s string) {
	if spec.precision < 0 && len(s) >= 100 {
		f.buf = append(f.buf, s...)
		return
	}
	if spec.precision >= 0 && len(s) > spec.precision {
		s = s[:spec.precision]
	}
	f.buf = spec.appendPadded(f.buf, cString(s), nil, false)
}

// appendQuoted appends a string as Lua source has it.
func (f *formatter) appendQuoted(s string) {
	f.lb.spend(f.L, len(s))
	f.buf = append(f.buf, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			f.buf = append(f.buf, '\\', c)
		case '\r':
			f.buf = append(f.buf, `\r`...)
		case 0:
			f.buf = append(f.buf, `\000`...)
		default:
			f.buf = append(f.buf, c)
		}
	}
	f.buf = append(f.buf, '"')
}
