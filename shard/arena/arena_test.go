package arena

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"
)

// newSpace returns a space that is unmapped when the test ends.
func newSpace(t testing.TB, reserveBytes int64) *Space {
	t.Helper()
	s, err := NewSpace(reserveBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestClasses(t *testing.T) {
	for size := 1; size <= MaxSmall; size++ {
		got := UsableSize(size)
		if got < size || got%8 != 0 || slabSize/got < 2 {
			t.Fatalf("size %d: class of %d bytes", size, got)
		}
		switch waste := got - (size+7)&^7; {
		case size <= exactLimit && waste > 0, size <= 4096 && waste*16 > got:
			t.Fatalf("size %d: class of %d bytes wastes too much", size, got)
		case size > 4096 && slabSize/got < slabSize/((size+7)&^7):
			t.Fatalf("size %d: class of %d bytes puts fewer blocks in a slab than could be", size, got)
		}
	}
	for _, exact := range []int{8, 32, 88, 4096, 5952, 8192, MaxSmall} {
		if got := UsableSize(exact); got != exact {
			t.Errorf("size %d is not a class: %d", exact, got)
		}
	}
	if got := UsableSize(MaxSmall + 1); got != MaxSmall+pageSize {
		t.Errorf("big block of %d bytes occupies %d", MaxSmall+1, got)
	}
	t.Logf("%d classes: %v", classes.count, classes.size[:classes.count])
}

// model is an arena beside what it should hold: every live block, filled with a pattern of its own.
type model struct {
	t      *testing.T
	a      *Arena
	rnd    *rand.Rand
	blocks []block
	used   int64
	maxRun int // largest big block in slabs
}

type block struct {
	ref  Ref
	size int
	seed uint64
}

func (m *model) bytes(b block) []byte {
	return unsafe.Slice((*byte)(m.a.space.Pointer(b.ref)), b.size)
}

// fill and check use the first and last bytes and a few between: a neighbour that overlaps changes one end at
// least.
func (m *model) fill(b block) {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], b.seed)
	buf := m.bytes(b)
	if b.size <= 256 {
		for i := range buf {
			buf[i] = word[i&7]
		}
		return
	}
	for i := 0; i < b.size; i += 509 {
		buf[i] = word[i&7]
	}
	copy(buf, word[:])
	copy(buf[b.size-8:], word[:])
}

func (m *model) check(b block) {
	m.t.Helper()
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], b.seed)
	buf := m.bytes(b)
	step := 1
	if b.size > 256 {
		step = 509
		if string(buf[b.size-8:]) != string(word[:]) {
			m.t.Fatalf("end of block %x of %d bytes overwritten", b.ref, b.size)
		}
	}
	for i := 0; i < b.size; i += step {
		if buf[i] != word[i&7] && (step == 1 || i < b.size-8) {
			m.t.Fatalf("block %x of %d bytes overwritten at %d", b.ref, b.size, i)
		}
	}
}

func (m *model) size() int {
	switch m.rnd.IntN(20) {
	case 0:
		return m.rnd.IntN(MaxSmall + 1)
	case 1:
		if m.rnd.IntN(4) > 0 {
			return m.rnd.IntN(20000)
		}
		return MaxSmall + m.rnd.IntN(m.maxRun*slabSize-MaxSmall)
	case 2, 3, 4:
		return m.rnd.IntN(4097)
	case 5, 6:
		return []int{4096, 5952}[m.rnd.IntN(2)]
	default:
		return m.rnd.IntN(160)
	}
}

func (m *model) alloc() {
	b := block{size: m.size(), seed: m.rnd.Uint64()}
	b.ref = m.a.Alloc(b.size)
	if b.ref == 0 || b.ref >= 1<<40 {
		m.t.Fatalf("Alloc(%d) = %x", b.size, b.ref)
	}
	if got := m.a.Owner(b.ref); got != m.a.owner {
		m.t.Fatalf("owner %d, want %d", got, m.a.owner)
	}
	m.fill(b)
	m.used += int64(max(UsableSize(b.size), 8))
	m.blocks = append(m.blocks, b)
}

func (m *model) free(i int) {
	b := m.blocks[i]
	m.check(b)
	m.blocks[i] = m.blocks[len(m.blocks)-1]
	m.blocks = m.blocks[:len(m.blocks)-1]
	m.a.Free(b.ref, b.size)
	m.used -= int64(max(UsableSize(b.size), 8))
}

// run makes steps random changes around a target number of blocks that moves up and down.
func (m *model) run(steps int) {
	target := 0
	for i := range steps {
		if i%2000 == 0 {
			target = m.rnd.IntN(3000)
		}
		grow := m.rnd.IntN(100) < 80
		if (len(m.blocks) < target) == grow || len(m.blocks) == 0 {
			m.alloc()
		} else {
			m.free(m.rnd.IntN(len(m.blocks)))
		}
		if m.a.UsedBytes() != m.used {
			m.t.Fatalf("UsedBytes %d, want %d", m.a.UsedBytes(), m.used)
		}
		if i%5000 == 0 {
			m.verify()
		}
	}
}

// verify looks for overlaps and damage in everything that lives.
func (m *model) verify() {
	m.t.Helper()
	starts := make(map[Ref]bool, len(m.blocks))
	for _, b := range m.blocks {
		if starts[b.ref] {
			m.t.Fatalf("block %x handed out twice", b.ref)
		}
		starts[b.ref] = true
		m.check(b)
	}
}

func (m *model) empty() {
	m.rnd.Shuffle(len(m.blocks), func(i, j int) { m.blocks[i], m.blocks[j] = m.blocks[j], m.blocks[i] })
	for len(m.blocks) > 0 {
		m.free(len(m.blocks) - 1)
	}
	m.a.Trim()
	if m.a.UsedBytes() != 0 || m.a.HeldBytes() != 0 {
		m.t.Fatalf("empty arena: used %d, held %d", m.a.UsedBytes(), m.a.HeldBytes())
	}
	for class, slab := range m.a.partial {
		if slab != 0 {
			m.t.Fatalf("empty arena has slab %d in class %d", slab, class)
		}
	}
}

// checkPool verifies the invariants 1 and 2 of the package over the whole space, and returns its free slabs.
func checkPool(t *testing.T, s *Space) int64 {
	t.Helper()
	p := &s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	listed := map[uint32]bool{}
	for bin, slab := range p.bins {
		if (slab != 0) != (p.filled[bin>>6]>>(bin&63)&1 != 0) {
			t.Fatalf("bin %d: bitmap is wrong", bin)
		}
		for prev := uint32(0); slab != 0; prev, slab = slab, p.at(slab).next {
			m := p.at(slab)
			if m.prev != prev || m.state != stateFree || binOf(m.runSlabs) != bin {
				t.Fatalf("bin %d holds slab %d: %+v", bin, slab, *m)
			}
			listed[slab] = true
		}
	}
	free, touched := int64(0), int64(0)
	last, atRun := stateUsed, false
	for slab := uint32(0); slab < p.frontier; {
		head := p.at(slab)
		n := head.runSlabs
		tail := p.at(slab + n - 1)
		if tail.state != head.state || head.state == stateFree && (tail.runSlabs != n || last == stateFree) {
			t.Fatalf("run at %d: head %+v tail %+v", slab, *head, *tail)
		}
		if head.state == stateFree {
			free += int64(n)
			resident := uint32(0)
			for i := slab; i < slab+n; i++ {
				resident += uint32(p.at(i).touched)
			}
			if resident != head.resident {
				t.Fatalf("free run at %d of %d slabs: %d resident, kept %d", slab, n, resident, head.resident)
			}
			if !listed[slab] {
				t.Fatalf("free run at %d of %d slabs is in no bin", slab, n)
			}
			delete(listed, slab)
		}
		last = head.state
		atRun = atRun || p.sweepAt == slab
		slab += n
	}
	if !atRun && p.sweepAt != p.frontier {
		t.Fatalf("the sweep is at %d, inside a run", p.sweepAt)
	}
	for slab := range p.frontier {
		touched += int64(p.at(slab).touched)
	}
	if len(listed) != 0 || free != p.freed || touched != p.touched {
		t.Fatalf("left in bins %v; free %d, counted %d; touched %d, counted %d",
			listed, p.freed, free, p.touched, touched)
	}
	return free
}

func TestArenaModel(t *testing.T) {
	for seed := range uint64(3) {
		s := newSpace(t, 8<<30)
		m := &model{t: t, a: s.NewArena(uint8(seed)), rnd: rand.New(rand.NewPCG(seed, 1)), maxRun: 70}
		for range 4 {
			m.run(6000)
			checkPool(t, s)
			s.Release(1 << 20)
			m.verify()
			checkPool(t, s)
		}
		m.empty()
		if free := checkPool(t, s); free != int64(s.pool.frontier)-1 {
			t.Fatalf("%d slabs free of %d", free, s.pool.frontier-1)
		}
	}
}

// TestArenasShareSpace runs several arenas on one space, each in its own goroutine, beside a releasing one.
func TestArenasShareSpace(t *testing.T) {
	s := newSpace(t, 8<<30)
	var workers, releaser sync.WaitGroup
	stop := make(chan struct{})
	releaser.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.Release(4 << 20)
				s.Stats()
			}
		}
	})
	for owner := range 4 {
		workers.Go(func() {
			m := &model{t: t, a: s.NewArena(uint8(owner)), rnd: rand.New(rand.NewPCG(7, uint64(owner))), maxRun: 40}
			m.run(8000)
			m.empty()
		})
	}
	workers.Wait()
	close(stop)
	releaser.Wait()
	if free := checkPool(t, s); free != int64(s.pool.frontier)-1 {
		t.Fatalf("%d slabs free of %d", free, s.pool.frontier-1)
	}
}

func TestFreeChecks(t *testing.T) {
	s := newSpace(t, 1<<30)
	a, b := s.NewArena(1), s.NewArena(2)
	small, big := a.Alloc(88), a.Alloc(1<<20)
	mustPanic(t, "another class", func() { a.Free(small, 96) })
	mustPanic(t, "another arena and class", func() { b.Free(small, 96) })
	mustPanic(t, "big, another length", func() { a.Free(big, 1<<20+1) })
	mustPanic(t, "another arena, as if it were small", func() { b.Free(big, 88) })
	mustPanic(t, "negative", func() { a.Alloc(-1) })
	mustPanic(t, "too big", func() { a.Alloc(MaxSize + 1) })
	a.Free(small, 88)
	a.Free(big, 1<<20)
	mustPanic(t, "big, twice", func() { a.Free(big, 1<<20) })
	mustPanic(t, "slab gone", func() { a.Free(small, 88) })
	mustPanic(t, "slab gone, another arena", func() { b.Free(small, 88) })
	mustPanic(t, "big, gone, another arena", func() { b.Free(big, 1<<20) })
}

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	fn()
}

func TestReservationUsedUp(t *testing.T) {
	s := newSpace(t, 4<<20)
	a := s.NewArena(0)
	mustPanic(t, "more than reserved", func() { a.Alloc(5 << 20) })
	r := a.Alloc(3 << 20)
	mustPanic(t, "more than is left", func() { a.Alloc(3 << 20) })
	a.Free(r, 3<<20)
	a.Free(a.Alloc(3<<20), 3<<20)
	checkPool(t, s)
}

func TestNoGoAllocations(t *testing.T) {
	s := newSpace(t, 1<<30)
	a := s.NewArena(0)
	if n := testing.AllocsPerRun(1000, func() {
		r, big := a.Alloc(88), a.Alloc(100_000)
		a.Free(r, 88)
		a.Free(big, 100_000)
	}); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}

func BenchmarkAllocFree(b *testing.B) {
	s := newSpace(b, 8<<30)
	a := s.NewArena(0)
	const live = 20000
	refs := make([]Ref, live)
	rnd := rand.New(rand.NewPCG(1, 1))
	order := make([]uint16, 1<<16)
	for i := range order {
		order[i] = uint16(rnd.IntN(live))
	}
	for i := range refs {
		refs[i] = a.Alloc(88)
	}
	b.ResetTimer()
	for i := range b.N {
		j := order[i&0xFFFF]
		a.Free(refs[j], 88)
		refs[j] = a.Alloc(88)
	}
}
