package index

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestEntryLayout(t *testing.T) {
	for _, c := range []struct {
		key, payload int
		expire       int64
		size         int
	}{{16, 64, 0, 88}, {16, 8, 0, 32}, {16, 8, 1, 40}, {0, 0, 0, 8}, {65535, 1, 0, 65544}, {65536, 1, 0, 65553},
		{70000, 65535, 9, 8 + 8 + 8 + 70000 + 65535}} {
		if got := EntrySize(c.key, c.payload, c.expire != 0); got != c.size {
			t.Errorf("EntrySize(%d, %d, %v) = %d, want %d", c.key, c.payload, c.expire != 0, got, c.size)
		}
		block := make([]byte, c.size+8)
		block[c.size] = 0xEE
		key := bytes.Repeat([]byte{'k'}, c.key)
		e := InitEntry(unsafe.Pointer(&block[0]), 0xFF, key, c.payload, c.expire)
		for i := range e.Payload() {
			e.Payload()[i] = 'p'
		}
		e.SetAccess(0xABCDEF01)
		if e.SetTag(0x85); e.Tag()&TagObject != 0x85 || e.Tag()&TagExpire != 0 != (c.expire != 0) {
			t.Errorf("tag %#x", e.Tag())
		}
		if !bytes.Equal(e.Key(), key) || len(e.Payload()) != c.payload || e.ExpireAt() != c.expire ||
			e.SizeBytes() != c.size || e.Access() != 0xCDEF01 || !e.hasKey(key) || e.hasKey(append(key, 1)) {
			t.Errorf("%+v: key %d, payload %d, expiry %d, size %d, access %#x", c,
				len(e.Key()), len(e.Payload()), e.ExpireAt(), e.SizeBytes(), e.Access())
		}
		if block[c.size] != 0xEE {
			t.Errorf("%+v: written past its end", c)
		}
		if c.expire != 0 {
			e.SetExpireAt(77)
		}
		if e.SetPayloadLen(0); e.SizeBytes() != c.size-c.payload || c.expire != 0 && e.ExpireAt() != 77 {
			t.Errorf("%+v: size %d, expiry %d after the change", c, e.SizeBytes(), e.ExpireAt())
		}
	}
}

func TestBucketMatchIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	var line [8]uint64
	b := bucket{unsafe.Pointer(&line)}
	for range 100_000 {
		print := uint8(rnd.Uint32())
		want := uint32(0)
		for slot := range uint(slotCount) {
			f := uint8(rnd.Uint32())
			switch rnd.IntN(4) {
			case 0:
				f = print
			case 1:
				f = print ^ 1 // what a carry would make look alike
			}
			b.setPrint(slot, f)
			if f == print {
				want |= 1 << slot
			}
		}
		if got := b.match(print); got != want {
			t.Fatalf("match(%#x) = %b, want %b, line %x", print, got, want, line)
		}
	}
}

func TestBucketFieldsAreApart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var line [8]uint64
	b := bucket{unsafe.Pointer(&line)}
	var refs [slotCount]uint64
	var prints [slotCount]uint8
	expires, changed := uint32(0), uint32(0)
	*b.ovf(), *b.stamp(), *b.version() = 0xA1, 0xB2B3, 0xC4C5C6C7
	for range 10_000 {
		slot := uint(rnd.IntN(slotCount))
		refs[slot], prints[slot] = rnd.Uint64N(1<<40), uint8(rnd.Uint32())
		on := rnd.IntN(2) == 0
		b.place(slot, refs[slot], prints[slot], on)
		expires &^= 1 << slot
		if on {
			expires |= 1 << slot
		}
		changed |= 1 << slot
		*b.marks() |= 1 << slot
		for i := range uint(slotCount) {
			if b.ref(i) != refs[i] || b.print(i) != prints[i] {
				t.Fatalf("slot %d: ref %#x, print %#x", i, b.ref(i), b.print(i))
			}
		}
		if b.expires() != expires || b.changed() != changed ||
			*b.ovf() != 0xA1 || *b.stamp() != 0xB2B3 || *b.version() != 0xC4C5C6C7 {
			t.Fatalf("line %x", line)
		}
	}
}

func TestPositionIsMonotoneAndSpread(t *testing.T) {
	last := uint64(0)
	var counts [8]int
	const steps = 1 << 20
	for i := range uint64(steps) {
		p := position(i << 44)
		if p < last || p >= positionEnd {
			t.Fatalf("position(%#x) = %#x after %#x", i<<44, p, last)
		}
		last = p
		counts[p>>(positionBits-3)]++
	}
	if p := position(^uint64(0)); p != positionEnd-1 {
		t.Errorf("last position %#x", p)
	}
	// Twice as dense at the beginning as at the end; in between, density times (1+x) is the same everywhere.
	for i, n := range counts {
		x := (float64(i) + 0.5) / 8
		if even := float64(n) * (1 + x) / steps * 8 * 0.6931; even < 0.99 || even > 1.01 {
			t.Errorf("eighth %d holds %d hashes", i, n)
		}
	}
}

func TestElementEdges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 3))
	for range 100_000 {
		depth := uint(rnd.IntN(maxDepth - 8))
		el := newElement(5, depth, kinds[rnd.IntN(len(kinds))])
		p := rnd.Uint64N(positionEnd)
		home := el.home(p)
		if home >= el.buckets() || el.depth() != depth || el.ref() != 5 {
			t.Fatalf("element %#x: home %d, depth %d", uint64(el), home, el.depth())
		}
		start := el.start(p)
		if p < start || p-start >= el.span() || p-start < el.edge(home) || p-start >= el.edge(home+1) {
			t.Fatalf("element %#x: position %#x not between the edges of bucket %d", uint64(el), p, home)
		}
		if el.edge(el.buckets()) != el.span() {
			t.Fatalf("element %#x: the last edge is not the end", uint64(el))
		}
	}
}
