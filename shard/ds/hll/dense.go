package hll

import (
	"encoding/binary"
	"slices"
)

// A dense value is worked on in words of eight registers, 48 bits.
const (
	wordRegisters = 8
	wordBytes     = wordRegisters * rankBits / 8
	words         = Registers / wordRegisters
)

// word returns word i of dense registers; above 48 bits it may have any.
func word(registers []byte, i int) uint64 {
	if i == words-1 { // there are no eight bytes
		return binary.LittleEndian.Uint64(registers[len(registers)-8:]) >> 16
	}
	return binary.LittleEndian.Uint64(registers[i*wordBytes:])
}

// Place returns where a register of a dense value is: in the n bytes from byte at on, 1 or 2.
func Place(register int) (at, n int) {
	bit := register * rankBits
	n = 1
	if bit%8 > 8-rankBits {
		n = 2
	}
	return HeaderBytes + bit/8, n
}

// RaiseIn raises a register of a dense value to a rank, given the bytes of its place, and reports whether it was lower.
func RaiseIn(place []byte, register int, rank byte) bool {
	shift := register * rankBits % 8
	b := uint16(place[0])
	if len(place) > 1 {
		b |= uint16(place[1]) << 8
	}
	if byte(b>>shift)&rankMask >= rank {
		return false
	}
	b = b&^(rankMask<<shift) | uint16(rank)<<shift
	place[0] = byte(b)
	if len(place) > 1 {
		place[1] = byte(b >> 8)
	}
	return true
}

// Ranks are the ranks of all registers, a byte each. They are as good as a value, without a header.
type Ranks []byte

// Count estimates how many elements the registers have met.
func (r Ranks) Count() uint64 {
	var h histogram
	for _, rank := range r {
		h[rank&rankMask]++
	}
	return h.estimate()
}

// Merge raises each register to that of a valid value; false: that is not sound, and some may have been raised.
func (r Ranks) Merge(b []byte) bool {
	if !IsDense(b) {
		return r.mergeSparse(b)
	}
	registers := b[HeaderBytes:DenseBytes]
	for i := range words {
		eight := r[i*wordRegisters:]
		a, b := binary.LittleEndian.Uint64(eight), spread(word(registers, i))
		binary.LittleEndian.PutUint64(eight, greater(a, b))
	}
	return true
}

func (r Ranks) mergeSparse(b []byte) bool {
	w := runsOf(b)
	for from := 0; w.next(); from += w.n {
		if w.rank == 0 {
			continue
		}
		if from+w.n > Registers {
			return false
		}
		for i := range w.n {
			r[from+i] = max(r[from+i], w.rank)
		}
	}
	return w.sound()
}

// PutDense writes the registers to those of a dense value, whose header stays.
func (r Ranks) PutDense(b []byte) {
	registers := b[HeaderBytes:DenseBytes]
	for i := range words {
		w := gather(binary.LittleEndian.Uint64(r[i*wordRegisters:]))
		at := i * wordBytes
		binary.LittleEndian.PutUint32(registers[at:], uint32(w))
		binary.LittleEndian.PutUint16(registers[at+4:], uint16(w>>32))
	}
}

// DenseOf returns a dense value, in memory of its own, with the header and the registers of a valid one; false: that is
// not sound.
func DenseOf(b []byte) ([]byte, bool) {
	if IsDense(b) {
		return slices.Clone(b), true
	}
	ranks := make(Ranks, Registers)
	if !ranks.Merge(b) {
		return nil, false
	}
	return ranks.Dense(b), true
}

// Dense returns a dense value, in memory of its own, of the registers, with the header of some value but for the
// encoding.
func (r Ranks) Dense(head []byte) []byte {
	d := make([]byte, DenseBytes)
	copy(d, head[:HeaderBytes])
	d[encodingAt] = dense
	r.PutDense(d)
	return d
}

// spread puts the eight registers of a word into a byte each.
func spread(w uint64) uint64 {
	w = w&0x0000_0000_00FF_FFFF | w&0x0000_FFFF_FF00_0000<<8
	w = w&0x0000_0FFF_0000_0FFF | w&0x00FF_F000_00FF_F000<<4
	return w&0x003F_003F_003F_003F | w&0x0FC0_0FC0_0FC0_0FC0<<2
}

// gather is spread backwards.
func gather(w uint64) uint64 {
	w = w&0x003F_003F_003F_003F | w&0x3F00_3F00_3F00_3F00>>2
	w = w&0x0000_0FFF_0000_0FFF | w&0x0FFF_0000_0FFF_0000>>4
	return w&0x0000_0000_00FF_FFFF | w&0x00FF_FFFF_0000_0000>>8
}

// greater returns the greater of each pair of bytes, all of which are below 128.
func greater(a, b uint64) uint64 {
	const high = 0x8080_8080_8080_8080
	not := (a | high) - b&^high // the high bit of a byte stays where a's is not less
	mask := not & high
	mask |= mask - mask>>7 // and becomes all of its byte
	return a&mask | b&^mask
}
