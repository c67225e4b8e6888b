// Package crc computes the two checksums that Redis's formats fix: CRC-16 of keys, which places them in a
// slot, and CRC-64 of RDB files and DUMP payloads.
//
// It is not a general checksum package: frames of the log use CRC-32C from the standard library.
//
// Both sums are computed eight bytes a step ("slicing-by-8": table k holds the sum of a byte followed by k zero
// bytes, so the eight look-ups of a step don't depend on one another).
//
// # Parameters
//
//	CRC-16/XMODEM  poly 0x1021, most significant bit first, initial value 0, no final xor   ("123456789" → 0x31C3)
//	CRC-64/Redis   poly 0xad93d23594c935a9, reflected, initial value 0, no final xor         ("123456789" → 0xe9c6d914c4b8d9ca)
package crc

import (
	"encoding/binary"
	"hash/crc64"
)

// Slots is the number of hash slots of Redis Cluster.
const Slots = 16384

const (
	poly16 = 0x1021
	// poly64 is Redis's polynomial in the reversed notation of hash/crc64.
	poly64 = 0x95ac9329ac4bc9b5
)

// table16[k][b] is the CRC-16 of byte b followed by k zero bytes.
var table16 = func() *[8][256]uint16 {
	t := new([8][256]uint16)
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

// table64[k][b] is the CRC-64 of byte b followed by k zero bytes.
var table64 = func() *[8][256]uint64 {
	t := new([8][256]uint64)
	t[0] = *crc64.MakeTable(poly64)
	for k := 1; k < 8; k++ {
		for b := range 256 {
			c := t[k-1][b]
			t[k][b] = c>>8 ^ t[0][byte(c)]
		}
	}
	return t
}()

// Sum16 returns the CRC-16/XMODEM of p.
func Sum16(p []byte) uint16 {
	t := table16
	var c uint16
	for len(p) >= 8 {
		v := binary.LittleEndian.Uint64(p)
		c = t[7][byte(v)^byte(c>>8)] ^ t[6][byte(v>>8)^byte(c)] ^
			t[5][byte(v>>16)] ^ t[4][byte(v>>24)] ^
			t[3][byte(v>>32)] ^ t[2][byte(v>>40)] ^
			t[1][byte(v>>48)] ^ t[0][v>>56]
		p = p[8:]
	}
	if len(p) >= 4 {
		v := binary.LittleEndian.Uint32(p)
		c = t[3][byte(v)^byte(c>>8)] ^ t[2][byte(v>>8)^byte(c)] ^ t[1][byte(v>>16)] ^ t[0][v>>24]
		p = p[4:]
	}
	for _, b := range p {
		c = c<<8 ^ t[0][byte(c>>8)^b]
	}
	return c
}

// Slot returns the hash slot of key, 0..Slots-1, as Redis Cluster defines it: the CRC-16 of the hash tag, or of
// the whole key if it has none. The hash tag is what stands between the first '{' and the first '}' after it,
// if that is not empty.
func Slot(key []byte) uint16 {
	// One pass and no call: keys are short, and a call of IndexByte costs more than looking at 16 bytes.
	for i, b := range key {
		if b == '{' {
			return Sum16(hashTag(key, i+1)) & (Slots - 1)
		}
	}
	return Sum16(key) & (Slots - 1)
}

// hashTag returns key's hash tag, given where the byte after its first '{' is; key itself if there is no tag.
func hashTag(key []byte, from int) []byte {
	for i := from; i < len(key); i++ {
		if key[i] == '}' {
			if i == from {
				return key
			}
			return key[from:i]
		}
	}
	return key
}

// Sum64 returns Redis's CRC-64 of p.
func Sum64(p []byte) uint64 { return Update64(0, p) }

// Update64 returns Redis's CRC-64 of some bytes followed by p, where crc is that of the former; 0 begins a sum.
//
// It is crc64.Update of the standard library with the complements undone (^Update(^crc, …)); that one falls back to
// a byte a step, or builds its tables anew in every call, for polynomials it doesn't know.
func Update64(crc uint64, p []byte) uint64 {
	t := table64
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
