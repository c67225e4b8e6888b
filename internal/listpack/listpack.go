// Package listpack reads and makes the elements of Redis's listpacks.
//
// It knows single elements and what stands around them. Whether a whole listpack that comes from outside is right is
// the business of who reads it.
//
// # Format
//
// All little-endian:
//
//	<bytes in all: 4> <elements: 2, or 65535 for not kept> element … <0xFF>
//
// An element:
//
//	0nnnnnnn                  a number
//	110nnnnn nnnnnnnn         a number, 13 bits with sign, high bits first
//	11110001 <int16>  11110010 <int24>  11110011 <int32>  11110100 <int64>
//	10nnnnnn                  a string of n bytes
//	1110nnnn nnnnnnnn         high bits first
//	11110000 <n: 4>
//
// and behind that how long it was, to be read backwards: seven bits a byte, the lowest in the last byte, and all
// bytes but the first with their highest bit set; as few bytes as it takes (but see BackSize).
package listpack

import (
	"encoding/binary"

	"fulmen/internal/resp"
)

const (
	// HeaderLen is the size in bytes of what precedes the elements.
	HeaderLen = 4 + 2
	// End is the last byte.
	End = 0xFF
	// UnknownCount is what stands in place of the number of elements where that is not kept.
	UnknownCount = 1<<16 - 1
	// MaxHead is the size in bytes of the longest head of an element, what Read needs to see of it.
	MaxHead = 9

	string32 = 0xF0
	int16s   = 0xF1
	int24s   = 0xF2
	int32s   = 0xF3
	int64s   = 0xF4
	maxInt   = 20 // bytes of the text of a number
)

// Begin appends the room for a header to dst.
func Begin(dst []byte) []byte { return append(dst, 0, 0, 0, 0, 0, 0) }

// Close appends the end to a listpack of n elements that begins at offset from of dst, and writes its header.
func Close(dst []byte, from, n int) []byte {
	dst = append(dst, End)
	binary.LittleEndian.PutUint32(dst[from:], uint32(len(dst)-from))
	binary.LittleEndian.PutUint16(dst[from+4:], uint16(min(n, UnknownCount)))
	return dst
}

// AppendBytes appends a string, as a number if it is the text of one.
func AppendBytes(dst, b []byte) []byte {
	if len(b) <= maxInt {
		if n, ok := resp.ParseInt(b); ok {
			return AppendInt(dst, n)
		}
	}
	from := len(dst)
	switch n := len(b); {
	case n < 1<<6:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<12:
		dst = append(dst, 0xE0|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, string32), uint32(n))
	}
	dst = append(dst, b...)
	return appendBack(dst, len(dst)-from)
}

// AppendInt appends a number.
func AppendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 1<<7:
		return append(dst, byte(n), 1)
	case n >= -1<<12 && n < 1<<12:
		return append(dst, 0xC0|byte(n>>8)&0x1F, byte(n), 2)
	case n == int64(int16(n)):
		return append(binary.LittleEndian.AppendUint16(append(dst, int16s), uint16(n)), 3)
	case n >= -1<<23 && n < 1<<23:
		return append(dst, int24s, byte(n), byte(n>>8), byte(n>>16), 4)
	case n == int64(int32(n)):
		return append(binary.LittleEndian.AppendUint32(append(dst, int32s), uint32(n)), 5)
	}
	return append(binary.LittleEndian.AppendUint64(append(dst, int64s), uint64(n)), 9)
}

// appendBack appends the size of the element before.
func appendBack(dst []byte, size int) []byte {
	more := byte(0)
	for i := BackSize(size) - 1; i >= 0; i-- {
		dst = append(dst, byte(size>>(7*i))&0x7F|more)
		more = 0x80
	}
	return dst
}

// BackSize returns in how many bytes stands behind an element that it is n long. From two bytes on Redis goes over to
// one more at a length that would still fit, 2^14-1 and so on, and refuses it in fewer.
func BackSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14-1:
		return 2
	case n < 1<<21-1:
		return 3
	case n < 1<<28-1:
		return 4
	}
	return 5
}

// Element is an element of a listpack, as its head tells: a number, or a string of Len bytes that begins Head bytes
// behind the element's beginning. Size is the size of all of it, what stands behind included.
type Element struct {
	Num   int64
	IsNum bool
	Head  int
	Len   int
	Size  int
}

// Read reads the element at the beginning of b, of which MaxHead bytes, or all that there are, are enough. It is false
// if no element begins so. A string may go beyond b.
func Read(b []byte, e *Element) bool {
	if len(b) == 0 {
		return false
	}
	c := b[0]
	switch {
	case c < 0x80:
		*e = Element{Num: int64(c), IsNum: true, Size: 2}
		return true
	case c < 0xC0:
		n := int(c & 0x3F)
		*e = Element{Head: 1, Len: n, Size: n + 2}
		return true
	case c >= string32:
		return readLong(b, e)
	case len(b) < 2:
		return false
	case c < 0xE0:
		*e = Element{Num: int64(int16(uint16(c)<<11|uint16(b[1])<<3)) >> 3, IsNum: true, Size: 3}
		return true
	}
	n := int(c&0x0F)<<8 | int(b[1])
	*e = Element{Head: 2, Len: n, Size: n + 2 + BackSize(n+2)}
	return true
}

// readLong is Read for what begins with a byte of its own.
func readLong(b []byte, e *Element) bool {
	size := 0
	switch b[0] {
	case string32:
		if len(b) < 5 {
			return false
		}
		n := int(binary.LittleEndian.Uint32(b[1:]))
		*e = Element{Head: 5, Len: n, Size: n + 5 + BackSize(n+5)}
		return true
	case int16s:
		size = 2
	case int24s:
		size = 3
	case int32s:
		size = 4
	case int64s:
		size = 8
	default:
		return false
	}
	if len(b) < 1+size {
		return false
	}
	n := uint64(0)
	for i := size - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[1+i])
	}
	shift := 64 - 8*size
	*e = Element{Num: int64(n<<shift) >> shift, IsNum: true, Size: 2 + size}
	return true
}

// Next returns the offset behind the element that begins at offset at of a listpack that is known to be right.
func Next(b []byte, at int) int {
	c := b[at]
	switch {
	case c < 0x80:
		return at + 2
	case c < 0xC0:
		return at + int(c&0x3F) + 2
	case c < 0xE0:
		return at + 3
	case c < string32:
		n := 2 + int(c&0x0F)<<8 + int(b[at+1])
		return at + n + BackSize(n)
	case c == string32:
		n := 5 + int(binary.LittleEndian.Uint32(b[at+1:]))
		return at + n + BackSize(n)
	}
	return at + int(intSizes[c&0x07])
}

// intSizes are the sizes of numbers that begin with int16s … int64s.
var intSizes = [8]uint8{1: 4, 2: 5, 3: 6, 4: 10}

// Back returns how long the element is, all of it, that ends where b does, of which five bytes are enough.
func Back(b []byte) int {
	n := 0
	for i := 0; i < 5 && i < len(b); i++ {
		c := b[len(b)-1-i]
		n |= int(c&0x7F) << (7 * i)
		if c&0x80 == 0 {
			return n + i + 1
		}
	}
	return 0
}
