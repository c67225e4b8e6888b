package arena

import (
	"math/rand/v2"
	"testing"
)

// TestTwin: what an arena has absorbed from its twin is its own: it can be freed, room in it is filled, and nothing is
// lost when all of it is gone.
func TestTwin(t *testing.T) {
	s := newSpace(t, minReserve)
	a := s.NewArena(3)
	type block struct {
		ref  Ref
		size int
	}
	fill := func(a *Arena, rnd *rand.Rand, n int) (live []block) {
		for range n {
			if len(live) > 0 && rnd.IntN(3) == 0 {
				i := rnd.IntN(len(live))
				a.Free(live[i].ref, live[i].size)
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
				continue
			}
			size := 8 + rnd.IntN(2000)
			if rnd.IntN(200) == 0 {
				size = rnd.IntN(1 << 20)
			}
			live = append(live, block{a.Alloc(size), size})
		}
		return live
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	live := fill(a, rnd, 5000)
	for range 3 {
		twin := s.NewTwin(3)
		live = append(live, fill(twin, rnd, 5000)...)
		used, held := a.UsedBytes()+twin.UsedBytes(), a.HeldBytes()+twin.HeldBytes()
		a.Absorb(twin)
		if a.UsedBytes() != used || twin.UsedBytes() != 0 || twin.HeldBytes() != 0 || a.HeldBytes() > held {
			t.Fatalf("%d bytes used and %d held, of the twin %d and %d", a.UsedBytes(), a.HeldBytes(), twin.UsedBytes(),
				twin.HeldBytes())
		}
		before := a.HeldBytes()
		small := a.Alloc(64)
		a.Free(small, 64)
		if a.HeldBytes() != before {
			t.Error("there was room for a block, and it was not used")
		}
		live = append(live, fill(a, rnd, 3000)...)
	}
	sum := int64(0)
	for _, b := range live {
		sum += int64(UsableSize(b.size))
	}
	if a.UsedBytes() != sum {
		t.Fatalf("%d bytes used, want %d", a.UsedBytes(), sum)
	}
	for _, b := range live {
		a.Free(b.ref, b.size)
	}
	a.Trim()
	if st := s.Stats(); a.UsedBytes() != 0 || a.HeldBytes() != 0 || st.UsedBytes != 0 {
		t.Errorf("%d bytes used, %d held, %d of the space", a.UsedBytes(), a.HeldBytes(), st.UsedBytes)
	}
}

// TestRoom: what there is room for can be allocated, and what there is none for is refused with an error.
func TestRoom(t *testing.T) {
	s := newSpace(t, minReserve)
	s.Limit(64 << 20)
	a := s.NewArena(0)
	for range 3 {
		if err := s.Room(16 << 20); err != nil {
			t.Fatal(err)
		}
		a.Alloc(16 << 20)
	}
	if err := s.Room(16 << 20); err == nil {
		t.Error("there is room above the limit")
	}
	if err := s.Room(8 << 20); err != nil {
		t.Error(err)
	}
}
