package log

import "hash/crc32"

// The sum of a small frame is taken in one go when its line is known. That of a big frame's records is
// taken before, while the commit does not yet hold up the contiguous LSN, and then put together with the
// line's: as CRCs are remainders modulo a polynomial, the sum of a·b is that of a, shifted by b's
// length, plus that of b.

// joinSums returns the sum of a followed by b from a's, b's and b's length.
func joinSums(a, b uint32, lenB uint64) uint32 {
	shift := uint32(1) << 31 // x⁰; the highest bit is the lowest power
	for k := 3; lenB != 0; k, lenB = k+1, lenB>>1 {
		if lenB&1 != 0 {
			shift = mulSums(shift, powers[k%len(powers)])
		}
	}
	return mulSums(a, shift) ^ b
}

// powers[k] is x^(2^k) modulo the polynomial. It repeats after 31.
var powers = func() (t [31]uint32) {
	t[0] = 1 << 30
	for k := 1; k < len(t); k++ {
		t[k] = mulSums(t[k-1], t[k-1])
	}
	return t
}()

// mulSums returns a·b modulo the polynomial.
func mulSums(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			product ^= b
		}
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
