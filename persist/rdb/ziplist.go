package rdb

import "encoding/binary"

// A ziplist, all little-endian except lengths of strings, which are big-endian:
//
//	<bytes in all: 4> <where the last element begins: 4> <elements: 2, or 65535 for not kept> element … <0xFF>
//
// An element begins with the length of the one before it, 0 for the first: one byte up to 253, or 254 and 4 bytes.
// Then:
//
//	00nnnnnn                  a string of n bytes
//	01nnnnnn nnnnnnnn
//	10...... <n: 4>
//	11000000 <int16>          a number
//	11010000 <int32>
//	11100000 <int64>
//	11110000 <int24>
//	11111110 <int8>
//	1111nnnn                  n from 1 to 13: the number n-1
const (
	ziplistHeaderLen = 4 + 4 + 2
	ziplistLongPrev  = 254

	ziplistInt16 = 0xC0
	ziplistInt32 = 0xD0
	ziplistInt64 = 0xE0
	ziplistInt24 = 0xF0
	ziplistInt8  = 0xFE
	ziplistImm0  = 0xF1
	ziplistImm12 = 0xFD
)

// ziplistHeader begins the walk.
func (c *container) ziplistHeader() {
	b := c.data
	if len(b) < ziplistHeaderLen+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) {
		c.fail("its header has another length")
		return
	}
	if b[len(b)-1] != containerEnd {
		c.fail("it has no end")
		return
	}
	c.total = int(binary.LittleEndian.Uint16(b[8:]))
	c.at = ziplistHeaderLen
	c.last = c.at
}

// ziplistNext is next.
func (c *container) ziplistNext(e *element) bool {
	b := c.data
	if c.reason != "" {
		return false
	}
	if b[c.at] == containerEnd {
		if int64(binary.LittleEndian.Uint32(b[4:])) != int64(c.last) {
			return c.fail("its header has another place of the last element")
		}
		return c.finish()
	}
	prev, i := uint64(b[c.at]), c.at+1
	rest := b[i : len(b)-1] // what the element may take
	if prev == ziplistLongPrev {
		if len(rest) < 4 {
			return c.fail("an element goes beyond the end")
		}
		prev = uint64(binary.LittleEndian.Uint32(rest))
		rest = rest[4:]
	}
	if prev != uint64(c.at-c.last) {
		return c.fail("an element has another length than the next says")
	}
	n := ziplistElement(e, rest)
	if n < 0 {
		return c.fail("an element is malformed or goes beyond the end")
	}
	c.last = c.at
	c.at = len(b) - 1 - len(rest) + n
	c.n++
	return true
}

// ziplistElement reads an element, without the length of the one before, and returns how long it is; -1 if it is
// none.
func ziplistElement(e *element, b []byte) int {
	if len(b) == 0 {
		return -1
	}
	if b[0] >= ziplistInt16 {
		return ziplistNumber(e, b)
	}
	header, n := 1, int64(b[0]&0x3F)
	switch b[0] >> 6 {
	case 1:
		if len(b) < 2 {
			return -1
		}
		header, n = 2, n<<8|int64(b[1])
	case 2:
		if len(b) < 5 {
			return -1
		}
		header, n = 5, int64(binary.BigEndian.Uint32(b[1:]))
	}
	if n > int64(len(b)-header) {
		return -1
	}
	end := header + int(n)
	e.setStr(b[header:end:end])
	return end
}

// ziplistNumber is ziplistElement for numbers.
func ziplistNumber(e *element, b []byte) int {
	code, b := b[0], b[1:]
	if code >= ziplistImm0 && code <= ziplistImm12 {
		e.setNum(int64(code - ziplistImm0))
		return 1
	}
	var size int
	switch code {
	case ziplistInt8:
		size = 1
	case ziplistInt16:
		size = 2
	case ziplistInt24:
		size = 3
	case ziplistInt32:
		size = 4
	case ziplistInt64:
		size = 8
	default:
		return -1
	}
	if len(b) < size {
		return -1
	}
	e.setNum(signed(b[:size]))
	return 1 + size
}

// signed returns the little-endian number in 1 to 8 bytes.
func signed(b []byte) int64 {
	var u uint64
	for i, c := range b {
		u |= uint64(c) << (8 * i)
	}
	shift := 64 - 8*len(b)
	return int64(u<<shift) >> shift
}
