package tree

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"fulmen/shard/arena"
)

func newArena(t testing.TB) *arena.Arena {
	t.Helper()
	space, err := arena.NewSpace(8 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return space.NewArena(0)
}

func TestPagedModel(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	rnd := rand.New(rand.NewPCG(3, 1))
	var buf []byte
	for round := range 60 {
		var p Paged
		var model []byte
		limit := []int{5000, 3 * pageBytes, 600 * pageBytes, 2000}[round%4]
		for range 60 {
			off := rnd.IntN(limit)
			switch rnd.IntN(4) {
			case 0:
				off = len(model)
			case 1:
				off = off / pageBytes * pageBytes
			}
			b := make([]byte, rnd.IntN([]int{20, 3000, 3 * pageBytes}[rnd.IntN(3)]))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			p.Write(h, off, b)
			if len(b) > 0 {
				model = append(model, make([]byte, max(0, off+len(b)-len(model)))...)
				copy(model[off:], b)
			}
			var desc [PagedSize]byte
			p.Store(desc[:])
			p = LoadPaged(desc[:])
			if p.Len() != len(model) {
				t.Fatalf("length %d, want %d", p.Len(), len(model))
			}
			start := rnd.IntN(len(model) + 1)
			end := start + rnd.IntN(len(model)+1-start)
			if buf = p.AppendRange(buf[:0], a.Space(), start, end); !bytes.Equal(buf, model[start:end]) {
				t.Fatalf("round %d: bytes %d to %d of %d differ", round, start, end, len(model))
			}
		}
		if buf = p.AppendRange(append(buf[:0], "head"...), a.Space(), 0, p.Len()); string(buf[:4]) != "head" ||
			!bytes.Equal(buf[4:], model) {
			t.Fatalf("round %d: content differs", round)
		}
		if used := int64(p.UsedBytes(a.Space())); used != a.UsedBytes() {
			t.Fatalf("round %d: %d bytes used, arena says %d", round, used, a.UsedBytes())
		}
		if round%2 == 0 {
			p.Free(a)
		} else {
			freeInSlices(t, a, &p, 1+rnd.IntN(5))
		}
		if a.UsedBytes() != 0 {
			t.Fatalf("round %d: %d bytes left", round, a.UsedBytes())
		}
	}
}

func freeInSlices(t *testing.T, a *arena.Arena, p *Paged, budget int) {
	t.Helper()
	most := p.Nodes() + p.Nodes()/fanout + 2
	for i := 0; ; i++ {
		left := budget
		if p.FreeSome(a, &left) {
			return
		}
		if i*budget > most {
			t.Fatalf("freeing %d nodes in slices of %d doesn't end", most, budget)
		}
	}
}

// TestPagedSparse jumps to the greatest offset: what is jumped over takes no memory and reads as zero.
func TestPagedSparse(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	var p Paged
	p.Write(h, 0, []byte("first"))
	p.Write(h, MaxPaged-4, []byte("last"))
	if p.Len() != MaxPaged {
		t.Fatalf("length %d", p.Len())
	}
	if used := a.UsedBytes(); used > 5*NodeBytes {
		t.Errorf("%d bytes used", used)
	}
	for _, c := range []struct {
		start, end int
		want       string
	}{
		{0, 7, "first\x00\x00"},
		{MaxPaged - 6, MaxPaged, "\x00\x00last"},
		{100 << 20, 100<<20 + 3, "\x00\x00\x00"},
	} {
		if got := p.AppendRange(nil, a.Space(), c.start, c.end); string(got) != c.want {
			t.Errorf("%d to %d: %q, want %q", c.start, c.end, got, c.want)
		}
	}
	p.Free(a)
	if a.UsedBytes() != 0 {
		t.Errorf("%d bytes left", a.UsedBytes())
	}
}

// TestPagedTouchesItsPages changes a few bytes of a big string and looks which pages changed: those, and no other.
func TestPagedTouchesItsPages(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	var p Paged
	const pages = 1200
	p.Write(h, 0, bytes.Repeat([]byte{'x'}, pages*pageBytes))
	before := make([]*byte, pages)
	for i := range before {
		before[i] = &p.page(a.Space(), i)[0]
	}
	used := a.UsedBytes()
	p.Write(h, 700*pageBytes-5, []byte("0123456789"))
	p.Write(h, p.Len(), []byte("tail"))
	for i := range before {
		b := p.page(a.Space(), i)
		if &b[0] != before[i] {
			t.Errorf("page %d moved", i)
		}
		if changed := !bytes.Equal(b, bytes.Repeat([]byte{'x'}, pageBytes)); changed != (i == 699 || i == 700) {
			t.Errorf("page %d changed: %v", i, changed)
		}
	}
	if more := a.UsedBytes() - used; more > 64 {
		t.Errorf("%d bytes more", more)
	}
	p.Free(a)
}

func TestPagedNoGoAllocations(t *testing.T) {
	a := newArena(t)
	h := &Heap{Arena: a}
	var p Paged
	block := bytes.Repeat([]byte{'x'}, 10000)
	buf := make([]byte, 0, 20000)
	desc := make([]byte, PagedSize)
	if n := testing.AllocsPerRun(100, func() {
		p.Write(h, 0, block)
		p.Write(h, 9995, block)
		p.Store(desc)
		buf = LoadPaged(desc).AppendRange(buf[:0], a.Space(), 10, 19000)
		p.Free(a)
	}); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}
