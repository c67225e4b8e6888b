package tree

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPieces compares what Pieces gives with what AppendRange gives, in strings with holes of all sizes.
func TestPieces(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, pageBytes, 10 * pageBytes, 3 * fanout * pageBytes} {
		var p Paged
		for range 20 {
			p.Write(h, rnd.IntN(size), bytes.Repeat([]byte{'x'}, 1+rnd.IntN(3*pageBytes)))
			p.Extend(h, rnd.IntN(size))
			for range 20 {
				start := rnd.IntN(p.Len() + 1)
				end := start + rnd.IntN(p.Len()-start+1)
				var got []byte
				p.Pieces(a.Space(), start, end, func(b []byte, n int) bool {
					got = append(append(got, b...), make([]byte, n-len(b))...)
					return true
				})
				if want := p.AppendRange(nil, a.Space(), start, end); !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: pieces from %d to %d differ", p.Len(), start, end)
				}
			}
			calls := 0
			p.Pieces(a.Space(), 0, p.Len(), func([]byte, int) bool { calls++; return false })
			if calls != 1 {
				t.Fatalf("%d calls after the one that wanted no more", calls)
			}
		}
		p.Free(a)
	}
	if a.UsedBytes() != 0 {
		t.Errorf("%d bytes are left", a.UsedBytes())
	}
}

// TestHoleIsOnePiece: what was never written to costs nothing, neither memory nor time.
func TestHoleIsOnePiece(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	var p Paged
	p.Extend(h, MaxPaged)
	calls := 0
	count := func(b []byte, n int) bool { calls++; return true }
	if p.Pieces(a.Space(), 0, MaxPaged, count); calls != 1 || a.UsedBytes() != 0 {
		t.Errorf("%d pieces, %d bytes", calls, a.UsedBytes())
	}
	p.Write(h, MaxPaged-1, []byte{1})
	if p.Pieces(a.Space(), 0, MaxPaged, count); calls > 1500 {
		t.Errorf("%d pieces", calls)
	}
	p.Free(a)
}
