package rdb

import (
	"encoding/binary"

	lpack "fulmen/internal/listpack"
)

// Listpacks that come from outside; the form is described in the package that makes them. Here every byte is checked,
// and an element is read no further than it goes.
const (
	listpackHeaderLen = lpack.HeaderLen

	listpackString32 = 0xF0
	listpackInt16    = 0xF1
	listpackInt24    = 0xF2
	listpackInt32    = 0xF3
	listpackInt64    = 0xF4
)

// listpackHeader begins the walk.
func (c *container) listpackHeader() {
	b := c.data
	if len(b) < listpackHeaderLen+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) {
		c.fail("its header has another length")
		return
	}
	if b[len(b)-1] != containerEnd {
		c.fail("it has no end")
		return
	}
	c.total = int(binary.LittleEndian.Uint16(b[4:]))
	c.at = listpackHeaderLen
}

// listpackNext is next.
func (c *container) listpackNext(e *element) bool {
	if c.reason != "" {
		return false
	}
	rest := c.data[c.at : len(c.data)-1]
	if len(rest) == 0 || rest[0] == containerEnd {
		return c.finish()
	}
	n := listpackElement(e, rest)
	if n < 0 {
		return c.fail("an element is malformed or goes beyond the end")
	}
	back := backLen(rest[n:], n)
	if back < 0 {
		return c.fail("an element has another length than stands behind it")
	}
	c.last = c.at
	c.at += n + back
	c.n++
	return true
}

// listpackElement reads an element, without the length behind it, and returns how long it is; -1 if it is none.
func listpackElement(e *element, b []byte) int {
	c := b[0]
	switch {
	case c < 0x80:
		e.setNum(int64(c))
		return 1
	case c < 0xC0:
		return listpackString(e, b, 1, int64(c&0x3F))
	case c >= listpackString32:
		return listpackLong(e, b)
	case len(b) < 2:
		return -1
	case c < 0xE0:
		e.setNum(int64(int16(uint16(c)<<11|uint16(b[1])<<3)) >> 3)
		return 2
	}
	return listpackString(e, b, 2, int64(c&0x0F)<<8|int64(b[1]))
}

// listpackString makes e the string of n bytes behind a header.
func listpackString(e *element, b []byte, header int, n int64) int {
	if n > int64(len(b)-header) {
		return -1
	}
	end := header + int(n)
	e.setStr(b[header:end:end])
	return end
}

// listpackLong is listpackElement for what begins with a byte of its own.
func listpackLong(e *element, b []byte) int {
	var size int
	switch b[0] {
	case listpackString32:
		if len(b) < 5 {
			return -1
		}
		return listpackString(e, b, 5, int64(binary.LittleEndian.Uint32(b[1:])))
	case listpackInt16:
		size = 2
	case listpackInt24:
		size = 3
	case listpackInt32:
		size = 4
	case listpackInt64:
		size = 8
	default:
		return -1
	}
	if len(b) < 1+size {
		return -1
	}
	e.setNum(signed(b[1 : 1+size]))
	return 1 + size
}

// backLen returns how many bytes at the start of b say that an element is n long; -1 if they don't.
func backLen(b []byte, n int) int {
	size := lpack.BackSize(n)
	if len(b) < size {
		return -1
	}
	for i := size - 1; i >= 0; i-- {
		want := byte(n & 0x7F)
		if i > 0 {
			want |= 0x80
		}
		if b[i] != want {
			return -1
		}
		n >>= 7
	}
	return size
}
