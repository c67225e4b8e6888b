// Package crc computes the two checksums that Redis's formats fix: CRC-16 of keys, which places them in a
// slot, and CRC-64 of RDB files and DUMP payloads; and the CRC-64 that our own files have.
//
// It is not a general checksum package: frames of the log use CRC-32C from the standard library.
//
// All sums are computed eight bytes a step ("slicing-by-8": table k holds the sum of a byte followed by k zero
// bytes, so the eight look-ups of a step don't depend on one another). Of longer input, CRC-64 is computed 64 bytes a
// step where the processor multiplies polynomials (crc64.go).
//
// # Parameters
//
//	CRC-16/XMODEM  poly 0x1021, most significant bit first; of "123456789" 0x31C3
//	CRC-64/Redis   poly 0xad93d23594c935a9, reflected; of "123456789" 0xe9c6d914c4b8d9ca
//	CRC-64/XZ      poly 0x42f0e1eba9ea3693, reflected; of "123456789" 0x995dc9bbdf1939fa
//
// The first two begin with 0 and have no final xor; CRC-64/XZ begins with all bits set and ends with their complement.
package crc

import (
	"encoding/binary"
	"math"
)

// Slots is the number of hash slots of Redis Cluster.
const Slots = 16384

const poly16 = 0x1021

// table16[k][b] is the CRC-16 of byte b followed by k zero bytes.
var table16 = func() (t [8][256]uint16) {
	for b := range 256 {
		c := uint16(b) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ poly16
			} else {
				c <<= 1
			}
		}
		t[0][b] = c
	}
	for k := 1; k < 8; k++ {
		for b := range 256 {
			c := t[k-1][b]
			t[k][b] = c<<8 ^ t[0][c>>8]
		}
	}
	return t
}()

// Sum16 returns the CRC-16/XMODEM of p.
func Sum16(p []byte) uint16 {
	c, _ := sum16(p, 0)
	return c
}

// Slot returns the hash slot of key, 0..Slots-1, as Redis Cluster defines it: the CRC-16 of the hash tag, or of
// the whole key if it has none. The hash tag is what stands between the first '{' and the first '}' after it,
// if that is not empty.
func Slot(key []byte) uint16 {
	c, brace := sum16(key, highBits)
	if brace {
		c = Sum16(hashTag(key))
	}
	return c & (Slots - 1)
}

// highBits has the highest bit of each byte set.
const highBits = 0x8080808080808080

// sum16 returns the CRC-16 of p; but if p has a '{' and stop is highBits, it only says so. Looking for the brace on the
// way costs 1 ns for 16 bytes, where a pass of its own takes 8. With stop 0 it is not looked for.
//
// Measured slower: 16 bytes a step for keys of all lengths, and filling up the first step with zero bytes in place of
// the steps of 4 and 1.
func sum16(p []byte, stop uint64) (c uint16, brace bool) {
	const ones = 0x0101010101010101
	t := &table16
	for len(p) >= 8 {
		q := (*[8]byte)(p)
		x := binary.LittleEndian.Uint64(q[:]) ^ '{'*ones // a byte is 0 where p has a brace
		if (x-ones)&^x&stop != 0 {
			return 0, true
		}
		// What depends on the former step comes last: that chain is what a step takes.
		c = t[5][q[2]] ^ t[4][q[3]] ^ t[3][q[4]] ^ t[2][q[5]] ^ t[1][q[6]] ^ t[0][q[7]] ^
			(t[7][q[0]^byte(c>>8)] ^ t[6][q[1]^byte(c)])
		p = p[8:]
	}
	if len(p) >= 4 {
		q := (*[4]byte)(p)
		x := binary.LittleEndian.Uint32(q[:]) ^ '{'*(ones&math.MaxUint32)
		if (x-ones&math.MaxUint32)&^x&uint32(stop) != 0 {
			return 0, true
		}
		c = t[1][q[2]] ^ t[0][q[3]] ^ (t[3][q[0]^byte(c>>8)] ^ t[2][q[1]^byte(c)])
		p = p[4:]
	}
	for _, b := range p {
		if b == '{' && stop != 0 {
			return 0, true
		}
		c = c<<8 ^ t[0][byte(c>>8)^b]
	}
	return c, false
}

// hashTag returns the hash tag of a key that has a '{'; key itself if there is no tag.
func hashTag(key []byte) []byte {
	from := 0
	for key[from] != '{' {
		from++
	}
	from++
	for end := from; end < len(key); end++ {
		if key[end] == '}' {
			if end == from {
				return key
			}
			return key[from:end]
		}
	}
	return key
}
