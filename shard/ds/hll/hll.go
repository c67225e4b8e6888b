package hll

import (
	"encoding/binary"
	"math/bits"
)

const (
	// HeaderBytes is how many bytes come before the registers.
	HeaderBytes = 16
	// Registers is how many registers there are.
	Registers = 1 << registerBits
	// DenseBytes is the size of a dense value.
	DenseBytes = HeaderBytes + Registers*rankBits/8
	// MaxSparseBytes is the size of the longest sparse value that can be sound.
	MaxSparseBytes = HeaderBytes + 2*Registers
	// CacheAt is where the last estimate stands.
	CacheAt = 8
	// CacheBytes is the size of the last estimate.
	CacheBytes = 8

	registerBits = 14
	rankBits     = 6
	rankMask     = 1<<rankBits - 1
	hashBits     = 64 - registerBits // of the hash, for the rank
	maxRank      = hashBits + 1      // that elements have

	encodingAt = 4
	dense      = 0
	sparse     = 1
	staleAt    = CacheAt + CacheBytes - 1
	staleBit   = 0x80
)

const magic = "HYLL"

// Hash returns the register of an element and its rank, 1 to 51.
func Hash(element []byte) (register int, rank byte) {
	h := hash64(element)
	return int(h & (Registers - 1)), byte(bits.TrailingZeros64(h>>registerBits|1<<hashBits) + 1)
}

// hash64 is MurmurHash64A with the seed that Redis uses.
func hash64(b []byte) uint64 {
	const seed, m, r = 0xadc83b19, 0xc6a4a7935bd1e995, 47
	h, all := seed^uint64(len(b))*m, b
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		var tail uint64
		if len(all) >= 8 {
			tail = binary.LittleEndian.Uint64(all[len(all)-8:]) >> (64 - 8*len(b))
		} else {
			for i, c := range b {
				tail |= uint64(c) << (8 * i)
			}
		}
		h = (h ^ tail) * m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}

// Valid reports whether a string of size bytes, of which head has the first HeaderBytes or all, is taken for a value.
// The runs of a sparse one may still be unsound.
func Valid(head []byte, size int) bool {
	if size < HeaderBytes || string(head[:len(magic)]) != magic {
		return false
	}
	switch head[encodingAt] {
	case dense:
		return size == DenseBytes
	case sparse:
		return true
	}
	return false
}

// IsDense reports whether a valid value is dense; its header is enough.
func IsDense(head []byte) bool { return head[encodingAt] == dense }

// AppendEmpty appends a value without elements to dst.
func AppendEmpty(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, sparse, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return appendRun(dst, 0, Registers)
}

// Cached returns the last estimate; false: it is out of date. The header is enough.
func Cached(head []byte) (n uint64, ok bool) {
	return binary.LittleEndian.Uint64(head[CacheAt:]), head[staleAt]&staleBit == 0
}

// PutCached notes an estimate in the header.
func PutCached(head []byte, n uint64) { binary.LittleEndian.PutUint64(head[CacheAt:], n) }

// Stale marks the last estimate as out of date.
func Stale(head []byte) { head[staleAt] |= staleBit }

// Count estimates how many elements a valid value has had; false: it is not sound.
func Count(b []byte) (n uint64, ok bool) {
	var h histogram
	if IsDense(b) {
		h.addDense(b[HeaderBytes:])
	} else if !h.addSparse(b) {
		return 0, false
	}
	return h.estimate(), true
}
