package index

import (
	"math"
	"math/bits"
)

// Position is where a key stands in the order of all keys of an index: 48 bits that grow with the hash, but not
// evenly.
//
// With evenly spread positions all segments would be equally full at any time: every doubling of the table would
// bring them to bursting together, and the memory per key would swing by the factor between a full segment and one
// just split. So positions are spread as x = 2^u − 1, where u is the hash as a fraction of 1: the keys are twice as
// dense at x = 0 as at x = 1, and falling evenly on a logarithmic scale. While the table doubles, segments then
// fill up one after the other from x = 0 to x = 1, and when the last has been split the first is full again.
// (Martin, "Spiral storage", 1979, has the function; here the directory's elements take the place of its growing
// end.)
//
// The function is a table of 64 chords; they must only be monotone, and keep the density within a percent.
const (
	positionBits = 48
	positionEnd  = 1 << positionBits
	chordBits    = 6
)

type chord struct{ start, rise uint64 } // of x as a fraction of 2^64

var chords = func() (t [1 << chordBits]chord) {
	at := func(i int) float64 { return math.Exp2(float64(i)/(1<<chordBits)) - 1 }
	for i := range t {
		t[i].start = uint64(at(i) * (1 << 64))
		if i > 0 {
			t[i-1].rise = t[i].start - t[i-1].start
		}
	}
	last := &t[len(t)-1]
	last.rise = -last.start // up to 2^64
	return t
}()

// position returns a hash's position.
func position(hash uint64) uint64 {
	c := &chords[hash>>(64-chordBits)]
	up, _ := bits.Mul64(hash<<chordBits, c.rise)
	return (c.start + up) >> (64 - positionBits)
}

// fingerprint returns a hash's fingerprint: its low byte, which has no part in the upper 48 bits of its position
// worth speaking of, made not 0.
func fingerprint(hash uint64) uint8 {
	return max(uint8(hash), 1)
}
