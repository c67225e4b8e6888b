package script

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The library struct packs values into strings as C lays them out. A format is a sequence of:
//
//	b B       signed, unsigned byte
//	h H       short, 2 bytes
//	i I       int of 4 bytes; with a number behind it, of so many, up to 32
//	l L       long, 8 bytes
//	T         size_t, 8 bytes
//	f d       float, 4 bytes; double, 8 bytes
//	s         string that ends with a zero byte
//	cN        N characters (1); c0: the whole string, or as many as the number unpacked before says
//	x         a byte of padding
//	< >       little (the first), big endian from here on
//	!N        alignment of at most N bytes (8; 1 at first) from here on
//	space     nothing
//
// Integers and floats are aligned to their size, if that is less than the greatest alignment.

// openStruct makes the table struct.
func (lb *libs) openStruct(L *lua.LState) *lua.LTable {
	return newLibrary(L, map[string]lua.LGFunction{
		"pack": lb.structPack, "size": structSize, "unpack": lb.structUnpack,
	})
}

// Limits of struct.
const (
	maxIntBytes      = 32
	defaultAlignment = 8
)

// layout reads a format.
type layout struct {
	L      *lua.LState
	format string
	at     int
	big    bool // big endian
	align  int  // the greatest alignment
}

func newLayout(L *lua.LState, format string) layout {
	return layout{L: L, format: cString(format), align: 1}
}

// next gives the next option and the size of what it stands for.
func (l *layout) next() (option byte, size int) {
	option = l.format[l.at]
	l.at++
	switch option {
	case 'b', 'B', 'x':
		size = 1
	case 'h', 'H':
		size = 2
	case 'l', 'L', 'T', 'd':
		size = 8
	case 'f':
		size = 4
	case 'c':
		size = l.number(1)
	case 'i', 'I':
		size = l.number(4)
		if size > maxIntBytes {
			raisef(l.L, "integral size %d is larger than limit of %d", size, maxIntBytes)
		}
	}
	return option, size
}

// number reads a number, if there is one.
func (l *layout) number(otherwise int) int {
	if l.at >= len(l.format) || !isDigit(l.format[l.at]) {
		return otherwise
	}
	n := 0
	for l.at < len(l.format) && isDigit(l.format[l.at]) {
		n = n*10 + int(l.format[l.at]-'0')
		if n > math.MaxInt32 {
			raisef(l.L, "integral size overflow")
		}
		l.at++
	}
	return n
}

// padding is how many bytes stand between an offset and what is aligned.
func (l *layout) padding(offset int, option byte, size int) int {
	if size == 0 || option == 'c' {
		return 0
	}
	size = min(size, l.align)
	return (size - offset&(size-1)) & (size - 1)
}

// control follows an option that stands for no value.
func (l *layout) control(option byte) {
	switch option {
	case ' ':
	case '>':
		l.big = true
	case '<':
		l.big = false
	case '!':
		n := l.number(defaultAlignment)
		if n <= 0 || n&(n-1) != 0 {
			raisef(l.L, "alignment %d is not a power of 2", n)
		}
		l.align = n
	default:
		argError(l.L, 1, "invalid format option '"+string([]byte{option})+"'")
	}
}

func isIntOption(option byte) bool { return strings.IndexByte("bBhHlLTiI", option) >= 0 }

// struct.pack(format, …)
func (lb *libs) structPack(L *lua.LState) int {
	l := newLayout(L, checkString(L, 1))
	L.Push(lua.LNil) // what errors say of a value that is missing
	arg, total := 2, 0
	buf := lb.takeBuffer()
	for l.at < len(l.format) {
		option, size := l.next()
		pad := l.padding(total, option, size)
		buf = appendRepeated(buf, 0, pad)
		total += pad
		switch {
		case isIntOption(option):
			buf = l.appendInt(buf, checkNumber(L, arg), size)
			arg++
		case option == 'x':
			buf = append(buf, 0)
		case option == 'f':
			buf = l.appendBits(buf, uint64(math.Float32bits(float32(checkNumber(L, arg)))), size)
			arg++
		case option == 'd':
			buf = l.appendBits(buf, math.Float64bits(checkNumber(L, arg)), size)
			arg++
		case option == 'c' || option == 's':
			s := checkString(L, arg)
			arg++
			if size == 0 {
				size = len(s)
			}
			if len(s) < size {
				argError(L, arg, "string too short")
			}
			buf = append(buf, s[:size]...)
			if option == 's' {
				buf = append(buf, 0)
				size++
			}
		default:
			l.control(option)
		}
		total += size
		lb.checkRoom(L, len(buf))
	}
	return lb.pushBuffer(L, buf)
}

// appendInt appends an integer of any size; what is above 64 bits is zero.
func (l *layout) appendInt(buf []byte, f float64, size int) []byte {
	value := toUint64(f)
	if f < 0 {
		value = uint64(toInt64(f))
	}
	return l.appendBits(buf, value, size)
}

// appendBits appends the low bytes of a value.
func (l *layout) appendBits(buf []byte, value uint64, size int) []byte {
	start := len(buf)
	for range size {
		buf = append(buf, byte(value))
		value >>= 8
	}
	if l.big {
		slices.Reverse(buf[start:])
	}
	return buf
}

// struct.size(format)
func structSize(L *lua.LState) int {
	l := newLayout(L, checkString(L, 1))
	total := 0
	for l.at < len(l.format) {
		option, size := l.next()
		total += l.padding(total, option, size)
		switch {
		case option == 's':
			argError(L, 1, "option 's' has no fixed size")
		case option == 'c' && size == 0:
			argError(L, 1, "option 'c0' has no fixed size")
		case !isDigit(option) && (option|0x20 < 'a' || option|0x20 > 'z'):
			l.control(option)
		}
		total += size
	}
	pushNumber(L, total)
	return 1
}

// struct.unpack(format, data [, position])
func (lb *libs) structUnpack(L *lua.LState) int {
	l := newLayout(L, checkString(L, 1))
	data := checkString(L, 2)
	pos := optInteger(L, 3, 1)
	if pos == 0 {
		argError(L, 3, "offset must be 1 or greater")
	}
	pos--
	L.SetTop(2)
	n := 0
	for l.at < len(l.format) {
		option, size := l.next()
		pos += l.padding(pos, option, size)
		l.checkData(data, pos, size)
		checkStack(L, 2, "too many results")
		switch {
		case isIntOption(option):
			pushNumber(L, l.readInt(data[pos:pos+size], option))
			n++
		case option == 'x':
		case option == 'f':
			pushNumber(L, math.Float32frombits(uint32(l.readBits(data[pos:pos+size]))))
			n++
		case option == 'd':
			pushNumber(L, math.Float64frombits(l.readBits(data[pos:pos+size])))
			n++
		case option == 'c':
			if size == 0 {
				size = l.lastNumber(n)
				n--
				l.checkData(data, pos, size)
			}
			L.Push(lua.LString(lb.part(L, data, pos, pos+size)))
			n++
		case option == 's':
			length := strings.IndexByte(data[pos:], 0)
			if length < 0 {
				raisef(L, "unfinished string in data")
			}
			L.Push(lua.LString(lb.part(L, data, pos, pos+length)))
			size = length + 1
			n++
		default:
			l.control(option)
		}
		pos += size
	}
	pushNumber(L, pos+1)
	return n + 1
}

// checkData raises an error if size bytes at pos are not all in the data.
func (l *layout) checkData(data string, pos, size int) {
	if size < 0 || size > len(data) || pos < 0 || pos > len(data)-size {
		argError(l.L, 2, "data string too short")
	}
}

// lastNumber takes the last of n results, a number, back: it is the length of a string.
func (l *layout) lastNumber(n int) int {
	f, ok := number(l.L.Get(-1))
	if n == 0 || !ok {
		raisef(l.L, "format 'c0' needs a previous size")
	}
	l.L.Pop(1)
	return int(toUint64(f))
}

// readBits is the value of bytes, modulo 2^64.
func (l *layout) readBits(data string) uint64 {
	var room [maxIntBytes]byte
	b := room[:len(data)]
	copy(b, data)
	if l.big {
		slices.Reverse(b)
	}
	return binary.LittleEndian.Uint64(room[:])
}

// readInt is an integer of any size, signed if the option is a small letter. The sign of one above 64 bits is looked
// for where amd64 shifts it to: its place modulo 64.
func (l *layout) readInt(data string, option byte) float64 {
	value := l.readBits(data)
	if option < 'a' {
		return float64(value)
	}
	mask := ^uint64(0) << ((len(data)*8 - 1) & 63)
	if value&mask != 0 {
		value |= mask
	}
	return float64(int64(value))
}
