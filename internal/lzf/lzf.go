// Package lzf is the LZF compression in which RDB files and DUMP payloads hold longer strings.
//
// It is not a frame format: neither the length of the data nor a checksum is part of it.
//
// # Format
//
// A sequence of runs. The first byte's high three bits say what it is:
//
//	000nnnnn <n+1 bytes>                    a literal: 1..32 bytes as they are
//	lllooooo <o>                            a copy, l 1..6: l+2 bytes …
//	111ooooo <n> <o>                        a copy: n+9 bytes …
//
// … from distance o+1 back in the output, o being 13 bits of which the high five stand in the first byte. A copy may
// reach into what it writes itself: at distance 1 it repeats a byte.
//
// Three bytes stand for at most 264, so that nothing expands to more than MaxRatio times its length.
package lzf

import (
	"encoding/binary"
	"errors"
)

// MaxRatio bounds the expansion: n bytes hold less than n*MaxRatio.
const MaxRatio = 88

const (
	maxLiteral = 32
	maxCopy    = 2 + 7 + 255
	maxOffset  = 1 << 13
	minCopy    = 3
)

// ErrCorrupt says that data is not LZF, or not of the length that it is said to have.
var ErrCorrupt = errors.New("lzf: corrupt data")

// AppendDecompress appends the size bytes that src holds to dst. It is ErrCorrupt if src doesn't hold exactly size
// bytes; no memory is taken for a size that src cannot have. After an error the returned slice is dst.
func AppendDecompress(dst, src []byte, size uint64) ([]byte, error) {
	if size > uint64(len(src))*MaxRatio {
		return dst, ErrCorrupt
	}
	start := len(dst)
	out := grow(dst, int(size))
	if !decompress(out[start:], src) {
		return dst, ErrCorrupt
	}
	return out, nil
}

// grow returns b longer by n bytes of any content.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}

// decompress fills dst from src and reports whether that takes all of src and fills all of dst.
func decompress(dst, src []byte) bool {
	at, i := 0, 0
	for i < len(src) {
		c := int(src[i])
		i++
		if c < maxLiteral {
			n := c + 1
			if n > len(src)-i || n > len(dst)-at {
				return false
			}
			copy(dst[at:at+n], src[i:i+n])
			at, i = at+n, i+n
			continue
		}
		n := c>>5 + 2
		if n == 7+2 {
			if i == len(src) {
				return false
			}
			n += int(src[i])
			i++
		}
		if i == len(src) {
			return false
		}
		offset := (c&0x1F)<<8 | int(src[i]) + 1
		i++
		if offset > at || n > len(dst)-at {
			return false
		}
		at = repeat(dst, at, offset, n)
	}
	return at == len(dst)
}

// repeat appends n bytes of dst from distance offset back to dst[:at] and returns the new end.
func repeat(dst []byte, at, offset, n int) int {
	from, end := at-offset, at+n
	for at < end { // each round doubles what may be copied at once
		at += copy(dst[at:end], dst[from:at])
	}
	return end
}

const (
	hashBits = 14
	// maxInput is the longest input that is compressed: positions are kept in 32 bits.
	maxInput = 1 << 30
)

// Compressor compresses. It holds 64 KiB that are used again and again; the zero value is ready. It serves one
// goroutine at a time.
type Compressor struct {
	// table has for each hash of three bytes where they were last seen, plus base. What is below base is of earlier
	// inputs: so nothing is ever cleared, and the output depends on the input only.
	table [1 << hashBits]uint32
	base  uint32
}

// Bound is a limit for n bytes that AppendCompress always keeps: they are no longer as literals.
func Bound(n int) int { return n + (n+maxLiteral-1)/maxLiteral }

// AppendCompress appends the compressed form of src to dst, if that takes no more than limit bytes; else the returned
// slice is dst and it is false. The longer src is, the more a limit well below len(src) saves: it gives up when the
// limit is reached.
func (c *Compressor) AppendCompress(dst, src []byte, limit int) ([]byte, bool) {
	if len(src) == 0 || len(src) > maxInput || limit <= 0 {
		return dst, false
	}
	if c.base > 1<<32-1-maxInput-1 {
		*c = Compressor{}
	}
	c.base++ // 0 in the table is nothing seen
	out, ok := c.compress(dst, src, len(dst)+limit)
	c.base += uint32(len(src))
	if !ok {
		return dst, false
	}
	return out, true
}

// compress is AppendCompress for lengths that fit; the output ends at most at limit.
func (c *Compressor) compress(out, src []byte, limit int) ([]byte, bool) {
	literal, i := 0, 0 // src[literal:i] is still to be written
	ok := true
	for i+4 <= len(src) {
		word := binary.LittleEndian.Uint32(src[i:])
		slot := &c.table[hash3(word)]
		seen := *slot
		*slot = c.base + uint32(i)
		from := int(seen - c.base)
		if seen < c.base || i-from > maxOffset || (binary.LittleEndian.Uint32(src[from:])^word)&0xFFFFFF != 0 {
			i += 1 + min((i-literal)>>6, 7) // the longer nothing comes again, the less is looked for
			continue
		}
		if out, ok = appendLiterals(out, src[literal:i], limit); !ok {
			return nil, false
		}
		n := matchLen(src, from, i)
		out = appendCopy(out, i-from, n)
		if len(out) > limit {
			return nil, false
		}
		end := i + n
		for i++; i < end && i+4 <= len(src); i++ {
			c.table[hash3(binary.LittleEndian.Uint32(src[i:]))] = c.base + uint32(i)
		}
		literal, i = end, end
	}
	return appendLiterals(out, src[literal:], limit)
}

// hash3 returns a hash of the low three bytes of word.
func hash3(word uint32) uint32 { return (word << 8) * 0x9E3779B1 >> (32 - hashBits) }

// matchLen returns how many bytes at i are those at from, up to maxCopy; the first minCopy are.
func matchLen(src []byte, from, i int) int {
	n, most := minCopy, min(maxCopy, len(src)-i)
	for n < most && src[from+n] == src[i+n] {
		n++
	}
	return n
}

// appendCopy appends a copy of n bytes from distance offset.
func appendCopy(out []byte, offset, n int) []byte {
	offset, n = offset-1, n-2
	if n < 7 {
		return append(out, byte(n<<5|offset>>8), byte(offset))
	}
	return append(out, byte(7<<5|offset>>8), byte(n-7), byte(offset))
}

// appendLiterals appends src as literals. It is false if the output would end beyond limit.
func appendLiterals(out, src []byte, limit int) ([]byte, bool) {
	if len(out)+Bound(len(src)) > limit {
		return nil, false
	}
	for len(src) > 0 {
		n := min(len(src), maxLiteral)
		out = append(out, byte(n-1))
		out = append(out, src[:n]...)
		src = src[n:]
	}
	return out, true
}
