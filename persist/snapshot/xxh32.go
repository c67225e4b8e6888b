package snapshot

import (
	"encoding/binary"
	"math/bits"
)

// xxh32 is the sum that an LZ4 frame has of its content: XXH32 of the xxHash specification, seed 0.
type xxh32 struct {
	lanes [4]uint32
	n     uint64 // bytes so far
}

const (
	xxh1 = 2654435761
	xxh2 = 2246822519
	xxh3 = 3266489917
	xxh4 = 668265263
	xxh5 = 374761393
)

func newXXH32() xxh32 {
	first := uint32(xxh1)
	return xxh32{lanes: [4]uint32{first + xxh2, xxh2, 0, -first}}
}

// add adds bytes, a multiple of 16.
func (x *xxh32) add(b []byte) {
	x.n += uint64(len(b))
	v0, v1, v2, v3 := x.lanes[0], x.lanes[1], x.lanes[2], x.lanes[3]
	for ; len(b) >= 16; b = b[16:] {
		v0 = xxhLane(v0, binary.LittleEndian.Uint32(b))
		v1 = xxhLane(v1, binary.LittleEndian.Uint32(b[4:]))
		v2 = xxhLane(v2, binary.LittleEndian.Uint32(b[8:]))
		v3 = xxhLane(v3, binary.LittleEndian.Uint32(b[12:]))
	}
	x.lanes = [4]uint32{v0, v1, v2, v3}
}

func xxhLane(v, word uint32) uint32 { return bits.RotateLeft32(v+word*xxh2, 13) * xxh1 }

// sum adds the last bytes, of any number, and returns the sum.
func (x *xxh32) sum(b []byte) uint32 {
	whole := len(b) &^ 15
	x.add(b[:whole])
	b = b[whole:]
	h := uint32(xxh5)
	if x.n > 0 {
		h = bits.RotateLeft32(x.lanes[0], 1) + bits.RotateLeft32(x.lanes[1], 7) + bits.RotateLeft32(x.lanes[2], 12) +
			bits.RotateLeft32(x.lanes[3], 18)
	}
	h += uint32(x.n + uint64(len(b)))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*xxh3, 17) * xxh4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xxh5, 11) * xxh1
	}
	h = (h ^ h>>15) * xxh2
	h = (h ^ h>>13) * xxh3
	return h ^ h>>16
}
