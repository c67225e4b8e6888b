package crc

import (
	"encoding/binary"
	"hash/crc64"
)

// The polynomials in the reversed notation of hash/crc64: bit 63-i is the coefficient of x^i.
const (
	polyRedis = 0x95ac9329ac4bc9b5
	polyXZ    = crc64.ECMA
)

// sum64 is a CRC-64, whose bits are in the reversed order throughout.
//
// Many bytes are folded first: a sum is the remainder of the input times x^64, so 16 bytes may be replaced by any that
// have the same remainder further on. Two multiplications bring 16 bytes D bits on: the eight that come first times
// x^(D+64), and the others times x^D, both modulo the polynomial; the products, of 128 bits, are added to the 16 bytes
// there. Four such lines go on side by side, 64 bytes a step, and become one at the end, which is summed by the tables.
// (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009.)
type sum64 struct {
	table [8][256]uint64 // table[k][b] is the sum of byte b followed by k zero bytes
	// factors bring 16 bytes on by 512 bits, and by 128: x^(D+63) and x^(D-1) for both. A product of two reversed
	// numbers stands one bit too low, which is once more x.
	factors [4]uint64
}

var (
	redis64 = newSum64(polyRedis)
	xz64    = newSum64(polyXZ)
)

func newSum64(poly uint64) *sum64 {
	s := &sum64{}
	s.table[0] = *crc64.MakeTable(poly)
	for k := 1; k < 8; k++ {
		for b := range 256 {
			c := s.table[k-1][b]
			s.table[k][b] = c>>8 ^ s.table[0][byte(c)]
		}
	}
	for i, power := range [4]int{512 + 63, 512 - 1, 128 + 63, 128 - 1} {
		x := uint64(1) << 63
		for range power {
			x = x>>1 ^ poly&-(x&1)
		}
		s.factors[i] = x
	}
	return s
}

const (
	foldStep = 64
	// foldFrom is the length from which folding pays.
	foldFrom = 4 * foldStep
)

// update returns the sum of some bytes followed by p, where crc is that of the former.
func (s *sum64) update(crc uint64, p []byte) uint64 {
	if canFold && len(p) >= foldFrom {
		var rest [16]byte
		n := len(p) &^ (foldStep - 1)
		fold64(&rest, p[:n], crc, &s.factors)
		crc, p = s.slice(0, rest[:]), p[n:]
	}
	return s.slice(crc, p)
}

// slice is update by the tables.
func (s *sum64) slice(crc uint64, p []byte) uint64 {
	t := &s.table
	for len(p) >= 8 {
		v := crc ^ binary.LittleEndian.Uint64(p)
		crc = t[7][byte(v)] ^ t[6][byte(v>>8)] ^ t[5][byte(v>>16)] ^ t[4][byte(v>>24)] ^
			t[3][byte(v>>32)] ^ t[2][byte(v>>40)] ^ t[1][byte(v>>48)] ^ t[0][v>>56]
		p = p[8:]
	}
	for _, b := range p {
		crc = crc>>8 ^ t[0][byte(crc)^b]
	}
	return crc
}

// Sum64 returns Redis's CRC-64 of p.
func Sum64(p []byte) uint64 { return Update64(0, p) }

// Update64 returns Redis's CRC-64 of some bytes followed by p, where crc is that of the former; 0 begins a sum.
func Update64(crc uint64, p []byte) uint64 { return redis64.update(crc, p) }

// UpdateXZ returns the CRC-64/XZ of some bytes followed by p, where crc is that of the former; 0 begins a sum. It is
// crc64.Update of the standard library with the table of crc64.ECMA.
func UpdateXZ(crc uint64, p []byte) uint64 { return ^xz64.update(^crc, p) }
