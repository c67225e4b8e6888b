package arena

import (
	"math/rand/v2"
	"testing"
)

// checkLists verifies the package's invariant 4 for an arena.
func checkLists(t *testing.T, a *Arena) {
	t.Helper()
	lists := map[uint32]bool{} // slabs that are listed: whether as leaving
	walk := func(slab uint32, leaving bool, class int) {
		for prev := uint32(0); slab != 0; prev, slab = slab, a.at(slab).next {
			m := a.at(slab)
			if m.prev != prev || (m.leaving != 0) != leaving || class >= 0 && int(uint8(m.id)) != class {
				t.Fatalf("slab %d in list of class %d, leaving %v: %+v", slab, class, leaving, *m)
			}
			if m.used == 0 || m.used >= m.capacity {
				t.Fatalf("slab %d with %d of %d blocks is in a list", slab, m.used, m.capacity)
			}
			lists[slab] = leaving
		}
	}
	for class := range classes.count {
		walk(a.partial[class], false, class)
	}
	partial := len(lists)
	walk(a.evac.leaving, true, -1)
	if got := int64(len(lists) - partial); got != a.evac.count {
		t.Fatalf("%d slabs leaving, kept %d", got, a.evac.count)
	}
}

// evacuate does one random step of an evacuation.
func (m *model) evacuate() {
	switch n := m.rnd.IntN(10); {
	case m.a.evac.class >= 0:
		m.a.Choose(1 + m.rnd.IntN(300))
	case m.a.evac.leaving == 0:
		m.a.BeginEvacuation()
	case n == 0:
		m.a.EndEvacuation(1 + m.rnd.IntN(50))
	default:
		for range min(50, len(m.blocks)) {
			m.move(m.rnd.IntN(len(m.blocks)))
		}
	}
}

func (m *model) move(i int) (moved bool) {
	b := &m.blocks[i]
	if !m.a.Misplaced(b.ref) {
		return false
	}
	old := *b
	b.ref = m.a.Copy(b.ref, b.size)
	m.check(*b)
	if m.a.Misplaced(b.ref) {
		m.t.Fatal("a block was allocated in a slab that is being emptied")
	}
	m.a.Free(old.ref, old.size)
	return true
}

// TestEvacuationModel moves blocks amid all other changes.
func TestEvacuationModel(t *testing.T) {
	for seed := range uint64(3) {
		s := newSpace(t, 8<<30)
		m := &model{t: t, a: s.NewArena(uint8(seed)), rnd: rand.New(rand.NewPCG(seed, 3)), maxRun: 3}
		for range 300 {
			m.run(40)
			for range 4 {
				m.evacuate()
			}
			checkLists(t, m.a)
			if m.a.UsedBytes() != m.used {
				t.Fatalf("UsedBytes %d, want %d", m.a.UsedBytes(), m.used)
			}
		}
		m.verify()
		for !m.a.EndEvacuation(100) {
		}
		checkLists(t, m.a)
		checkPool(t, s)
		m.empty()
	}
}

// TestEvacuationPacks frees 70 % of the blocks of several classes at random: afterwards each class has at most one
// slab that is not full, and regions have become empty as a whole. It counts what was moved: no block twice, and not
// more than lay in the slabs given up.
func TestEvacuationPacks(t *testing.T) {
	s := newSpace(t, 8<<30)
	m := &model{t: t, a: s.NewArena(1), rnd: rand.New(rand.NewPCG(5, 3))}
	sizes := []int{24, 88, 136, 600, 4096}
	for i := range 100_000 {
		b := block{size: sizes[m.rnd.IntN(len(sizes))], seed: uint64(i)}
		b.ref = m.a.Alloc(b.size)
		m.fill(b)
		m.used += int64(UsableSize(b.size))
		m.blocks = append(m.blocks, b)
	}
	held := m.a.HeldBytes()
	for range 70_000 {
		m.free(m.rnd.IntN(len(m.blocks)))
	}
	if m.a.HeldBytes() < held*9/10 {
		t.Fatal("the blocks were not freed at random")
	}
	for range idleEpochsShort + 1 {
		s.Release(0)
	}
	m.a.BeginEvacuation()
	calls := 1
	for ; !m.a.Choose(64); calls++ {
	}
	if most := 2*int(held/slabSize)/64 + 200; calls > most {
		t.Errorf("choosing took %d calls, at most %d expected", calls, most)
	}
	moved := 0
	for i := range m.blocks {
		if m.move(i) {
			moved++
		}
	}
	if m.a.Leaving() != 0 || !m.a.EndEvacuation(1) {
		t.Errorf("%d bytes are still leaving", m.a.Leaving())
	}
	m.verify()
	checkLists(t, m.a)
	checkPool(t, s)
	if got := s.Release(1 << 30); got < int(held-m.a.HeldBytes())*8/10 {
		t.Errorf("of %d bytes in slabs that were emptied, %d are released at once", held-m.a.HeldBytes(), got)
	}
	if moved > len(m.blocks)*3/4 {
		t.Errorf("%d of %d blocks moved", moved, len(m.blocks))
	}
	if waste := m.a.HeldBytes() - m.used; waste > int64(len(sizes)+1)*slabSize+m.used/50 {
		t.Errorf("%d bytes held for %d used", m.a.HeldBytes(), m.used)
	}
	whole := int64(0)
	for bin := exactBins; bin < binCount; bin++ {
		for slab := s.pool.bins[bin]; slab != 0; slab = s.pool.at(slab).next {
			whole += int64(s.pool.at(slab).runSlabs)
		}
	}
	if whole < s.pool.freed*6/10 {
		t.Errorf("of %d free slabs only %d lie in runs of a region or more", s.pool.freed, whole)
	}
	t.Logf("%d of %d blocks moved, %d MB held before, %d after, for %d used; %d of %d free slabs in long runs",
		moved, len(m.blocks), held>>20, m.a.HeldBytes()>>20, m.used>>20, whole, s.pool.freed)
}

// TestEvacuationSpares: slabs that are nearly full stay where they are.
func TestEvacuationSpares(t *testing.T) {
	s := newSpace(t, 1<<30)
	a := s.NewArena(1)
	var refs []Ref
	for range 100 * int(classes.blocks[classes.of[88/8]]) {
		refs = append(refs, a.Alloc(88))
	}
	for i := 0; i < len(refs); i += 100 {
		a.Free(refs[i], 88)
	}
	a.BeginEvacuation()
	for !a.Choose(10) {
	}
	if got := a.Leaving() / slabSize; got > 1 {
		t.Errorf("%d of 100 slabs that are 99 %% full are leaving", got)
	}
}
