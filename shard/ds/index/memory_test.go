package index

import (
	"encoding/binary"
	"math/bits"
	"testing"
)

// fakeEntries fills an index with entries that are nothing but a key: all that counts is their number.
func fakeEntries(x *table, from, to int) {
	var key [8]byte
	for i := from; i < to; i++ {
		binary.LittleEndian.PutUint64(key[:], uint64(i))
		x.Insert(x.hash(key[:]), x.block(key[:], nil, 0))
	}
}

// inHome returns the share of the entries that lie in their home bucket.
func inHome(x *table) float64 {
	behind := 0
	for at := uint64(0); at != positionEnd; {
		el := x.element(x.desc.Load(), at)
		s := x.segmentOf(el)
		for i := range s.n {
			b := s.bucket(i)
			for m := b.used(); m != 0; m &= m - 1 {
				e := x.entryAt(b.ref(uint(bits.TrailingZeros32(m))))
				if el.home(position(x.hash(e.Key()))) != i {
					behind++
				}
			}
		}
		at += el.span()
	}
	return 1 - float64(behind)/float64(x.Len())
}

// TestMemoryPerKey shows that the index's share of an entry is small at any number of entries, not only on average.
func TestMemoryPerKey(t *testing.T) {
	if raceEnabled {
		t.Skip("takes a while with the race detector, and is about memory")
	}
	x := newTable(t, mixHash)
	const limit = 10.0
	last, sum, points := 0, 0.0, 0
	for n := 200_000; n <= 2_000_000; n += 100_000 {
		fakeEntries(x, last, n)
		last = n
		perKey := float64(x.SizeBytes()) / float64(n)
		sum, points = sum+perKey, points+1
		t.Logf("%8d entries: %.2f B a key, load %.3f, directory %d B", n, perKey,
			float64(n)/float64(x.slots), x.directory().size())
		if perKey > limit {
			t.Errorf("%d entries: %.2f B a key, limit %.1f", n, perKey, limit)
		}
	}
	t.Logf("mean %.2f B a key, in home bucket %.3f", sum/float64(points), inHome(x))
}
