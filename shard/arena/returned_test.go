package arena

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// TestReturnedBlocks has arenas free each other's blocks at the same time as they allocate and take back.
func TestReturnedBlocks(t *testing.T) {
	s := newSpace(t, 8<<30)
	const arenas, each = 4, 30_000
	var all [arenas]*Arena
	pass := make([]chan block, arenas) // blocks on their way to the arena that frees them
	for i := range all {
		all[i] = s.NewArena(uint8(i))
		pass[i] = make(chan block, 64)
	}
	var allocating, freeing sync.WaitGroup
	for i, a := range all {
		allocating.Go(func() {
			m := &model{t: t, a: a, rnd: rand.New(rand.NewPCG(uint64(i), 3)), maxRun: 4}
			for range each {
				if m.alloc(); len(m.blocks) > 100 || m.rnd.IntN(2) == 0 {
					b := m.blocks[0]
					m.check(b)
					m.blocks = m.blocks[1:]
					m.used -= int64(max(UsableSize(b.size), 8))
					pass[m.rnd.IntN(arenas)] <- b
				}
				a.TakeBack(m.rnd.IntN(4))
			}
			for _, b := range m.blocks {
				pass[(i+1)%arenas] <- b
			}
		})
	}
	var freed [arenas][]block // own blocks: an arena is used by one goroutine
	for i := range all {
		freeing.Go(func() {
			other := s.NewArena(uint8(arenas + i)) // nobody's blocks are this one's
			for b := range pass[i] {
				if b.seed%8 == 0 {
					freed[i] = append(freed[i], b)
					continue
				}
				other.Free(b.ref, b.size)
			}
		})
	}
	allocating.Wait()
	for i := range pass {
		close(pass[i])
	}
	freeing.Wait()
	for i, b := range slices.Concat(freed[:]...) {
		all[i%arenas].Free(b.ref, b.size) // its own, some of them
	}
	for i, a := range all {
		for !a.TakeBack(100) {
		}
		if a.UsedBytes() != 0 {
			t.Errorf("arena %d: %d bytes used after all was freed", i, a.UsedBytes())
		}
		a.Trim()
		if a.HeldBytes() != 0 {
			t.Errorf("arena %d: %d bytes held after all was freed", i, a.HeldBytes())
		}
	}
}

// TestReturnedBlocksCount: a block counts until its arena has taken it back, and is not handed out before.
func TestReturnedBlocksCount(t *testing.T) {
	s := newSpace(t, 1<<30)
	a, b := s.NewArena(0), s.NewArena(1)
	small, big := a.Alloc(88), a.Alloc(1<<20)
	b.Free(big, 1<<20)
	b.Free(small, 88)
	if a.UsedBytes() != 88+1<<20 || b.UsedBytes() != 0 {
		t.Errorf("%d and %d bytes used", a.UsedBytes(), b.UsedBytes())
	}
	if again := a.Alloc(88); again == small {
		t.Error("handed out before it was taken back")
	} else {
		a.Free(again, 88)
	}
	if a.TakeBack(1) || !a.TakeBack(1) || !a.TakeBack(1) || a.UsedBytes() != 0 {
		t.Errorf("%d bytes used in the end", a.UsedBytes())
	}
	if a.Alloc(88) != small {
		t.Error("lost")
	}
}
