package rdb

import "encoding/binary"

// An intset, all little-endian: <bytes a number: 4; 2, 4 or 8> <numbers: 4> and the numbers, signed, ascending.
type intset struct {
	data []byte // the numbers
	size int    // bytes a number
}

// parseIntset reads the header. reason says what is wrong, if anything is. That the numbers ascend is not checked.
func parseIntset(b []byte) (set intset, reason string) {
	if len(b) < 8 {
		return set, "intset: it has no header"
	}
	size, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if size != 2 && size != 4 && size != 8 {
		return set, "intset: its numbers have no size"
	}
	if uint64(n)*uint64(size) != uint64(len(b)-8) {
		return set, "intset: its header has another length"
	}
	return intset{data: b[8:], size: int(size)}, ""
}

// len returns how many numbers there are.
func (s intset) len() int { return len(s.data) / s.size }

// at returns number i.
func (s intset) at(i int) int64 {
	b := s.data[i*s.size:]
	switch s.size {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}
