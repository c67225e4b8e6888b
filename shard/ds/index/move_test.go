package index

import (
	"testing"
	"unsafe"

	"fulmen/shard/arena"
)

// moves is the model's part that moves blocks.
type moves struct {
	cursor   MoveCursor
	choosing bool
	running  bool
	where    map[string]unsafe.Pointer // blocks at the cut
	silent   bool                      // plants the fault of moving without announcement

	entries, stops, passes, left int
	own                          Moved
}

// noteBlocks notes where every entry's block is at the cut; checkBlock looks whether an entry is shown there. What a
// walk refers to must stay until it has been shown.
func (m *model) noteBlocks() {
	m.moves.where = make(map[string]unsafe.Pointer, len(m.want))
	for k := range m.want {
		e, _ := m.table.get([]byte(k))
		m.moves.where[k] = e.p
	}
}

func (m *model) checkBlock(k string, e Entry) {
	if m.moves.where[k] != e.p {
		m.failf("walk showed %q in another block than at the cut", k)
	}
}

// moveStep chooses slabs, moves some of what is in them, or takes them into use again.
func (m *model) moveStep() {
	v := &m.moves
	switch n := m.rnd.IntN(60); {
	case !v.running:
		m.arena.BeginEvacuation()
		v.running, v.choosing, v.cursor = true, true, MoveCursor{}
	case v.choosing:
		v.choosing = !m.arena.Choose(1 + m.rnd.IntN(5000))
	case n == 0: // given up
		v.running = !m.arena.EndEvacuation(1 << 30)
	default:
		if m.MoveSome(&v.cursor, 1+m.rnd.IntN(3000), &v.own, m.moveEntry) {
			v.passes++
			v.left += int(m.arena.Leaving())
			v.running = !m.arena.EndEvacuation(1 << 30)
		}
	}
}

func (m *model) moveEntry(p Pos, e Entry) (cost int, stop bool) {
	if stop = m.rnd.IntN(500) == 0; stop {
		m.moves.stops++
	}
	if !m.arena.Misplaced(m.Ref(p)) {
		return 0, stop
	}
	if !m.moves.silent {
		m.BeforeMove(p)
	}
	old, size := m.Ref(p), e.SizeBytes()
	m.Relocate(p, m.arena.Copy(old, size))
	m.arena.Free(old, size)
	m.moves.entries++
	return moveCost(size), stop
}

// TestMovesHappen: the model test moves all that can be moved, and often.
func TestMovesHappen(t *testing.T) {
	m := newModel(t, 3)
	if err := m.run(20_000); err != nil {
		t.Fatal(err)
	}
	v := &m.moves
	t.Logf("%d passes: %d entries, %d segments, %d directories moved, stopped %d times",
		v.passes, v.entries, v.own.Segments, v.own.Directories, v.stops)
	if v.passes < 5 || v.entries < 5000 || v.own.Segments < 5 || v.stops < 20 {
		t.Error("too little was moved for a proof")
	}
}

// TestSilentMovesAreNoticed plants moves that are not announced to the choke point.
func TestSilentMovesAreNoticed(t *testing.T) {
	m := newModel(t, 3)
	m.moves.silent = true
	err := m.run(20_000)
	if err == nil {
		t.Error("nothing noticed")
	}
	t.Log(err)
}

// TestMoveAll removes most entries, and moves everything in small slices: the arena then holds no more slabs than
// what is left needs, and a slice does not do more than its budget and one segment.
func TestMoveAll(t *testing.T) {
	x := newTable(t, mixHash)
	const n = 100_000
	for i := range n {
		x.set(keyOf(i), make([]byte, i%300), int64(i%3))
	}
	for i := range n {
		if i%10 > 2 {
			x.del(keyOf(i))
		}
	}
	for !x.Shrink(1000) {
	}
	held := x.arena.HeldBytes()
	x.arena.BeginEvacuation()
	for !x.arena.Choose(100) {
	}
	var cur MoveCursor
	var own Moved
	moved, given, slices := 0, 0, 0
	for done := false; !done; slices++ {
		before := given
		done = x.MoveSome(&cur, 64, &own, func(p Pos, e Entry) (int, bool) {
			given++
			if !x.arena.Misplaced(x.Ref(p)) {
				return 0, false
			}
			x.BeforeMove(p)
			old, size := x.Ref(p), e.SizeBytes()
			x.Relocate(p, x.arena.Copy(old, size))
			x.arena.Free(old, size)
			moved++
			return moveCost(size), false
		})
		if given-before > (64/bucketCost+1)*slotCount {
			t.Fatalf("a slice of 64 gave %d entries", given-before)
		}
	}
	if given != x.Len() || x.arena.Leaving() != 0 || !x.arena.EndEvacuation(1) {
		t.Errorf("gave %d of %d entries, %d bytes still leaving", given, x.Len(), x.arena.Leaving())
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
	now, used := x.arena.HeldBytes(), x.arena.UsedBytes()
	if now > used*115/100+int64(50)<<16 {
		t.Errorf("%d bytes held for %d used", now, used)
	}
	for i := range n {
		e, ok := x.get(keyOf(i))
		if ok != (i%10 <= 2) || ok && (len(e.Payload()) != i%300 || e.ExpireAt() != int64(i%3)) {
			t.Fatalf("key %d: there is %v", i, ok)
		}
	}
	t.Logf("%d of %d entries, %d segments, %d directories in %d slices; held %d MB, then %d MB, %d MB used",
		moved, given, own.Segments, own.Directories, slices, held>>20, now>>20, used>>20)
}

// crowd puts blocks of a size into the slab of one that is there and into another, and then frees those in the first,
// so that the one there is left alone in a slab, beside one that is nearly full.
func (t *table) crowd(there arena.Ref, size int) {
	var beside, other []arena.Ref
	for len(other) < 1<<16/arena.UsableSize(size) {
		if r := t.arena.Alloc(size); r>>13 == there>>13 {
			beside = append(beside, r)
		} else {
			other = append(other, r)
		}
	}
	for _, r := range beside {
		t.arena.Free(r, size)
	}
	t.arena.Free(other[0], size)
}

// TestMoveDirectories moves the directory and the one being built, and lets the index grow on.
func TestMoveDirectories(t *testing.T) {
	x := newTable(t, mixHash)
	const n = 60_000
	for i := range n {
		x.set(keyOf(i), nil, 0)
	}
	if x.next.ref == 0 {
		x.resize(x.directory().depth + 1)
		x.copySome(10)
	}
	if x.copied == 0 || x.copied >= 1<<x.next.depth {
		t.Fatalf("%d elements copied of %d", x.copied, 1<<x.next.depth)
	}
	old, next := x.directory(), x.next
	x.crowd(arena.Ref(old.ref), old.size())
	x.crowd(arena.Ref(next.ref), next.size())
	x.arena.BeginEvacuation()
	for !x.arena.Choose(100) {
	}
	var cur MoveCursor
	var own Moved
	for !x.MoveSome(&cur, 10, &own, func(Pos, Entry) (int, bool) { return 0, false }) {
	}
	if own.Directories != 2 || x.directory() == old || x.next == next {
		t.Errorf("%d directories moved", own.Directories)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
	for i := n; i < 3*n; i++ {
		x.set(keyOf(i), nil, 0)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
}
