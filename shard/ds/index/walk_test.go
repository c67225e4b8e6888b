package index

import "testing"

// TestPlantedFaults shows that the model test would notice if a change went past the choke point.
func TestPlantedFaults(t *testing.T) {
	for _, f := range []fault{faultNoPreWrite, faultNoCollect, faultBirth} {
		m := newModel(t, 7)
		m.fault, m.noCheck = f, true
		err := m.run(20_000)
		if err == nil {
			t.Errorf("fault %d: nothing noticed", f)
		}
		t.Logf("fault %d: %v", f, err)
	}
}

// TestWalkIDsComeRound lets every walk be given up, so that buckets with any id are about, until ids have come
// round several times.
func TestWalkIDsComeRound(t *testing.T) {
	x := newTable(t, mixHash)
	const n = 1500
	for i := range n {
		x.set(keyOf(i), nil, 0)
	}
	id := uint16(0)
	for range 200_000 {
		x.BeginWalk(id, func(Entry) {})
		x.set(keyOf(int(id)%n), nil, 0) // stamps one bucket
		x.EndWalk()
		id++
	}
	seen := map[string]bool{}
	x.BeginWalk(id, func(e Entry) { seen[string(e.Key())] = true })
	for !x.WalkStep(100) {
	}
	x.EndWalk()
	if len(seen) != n {
		t.Fatalf("walk showed %d of %d entries", len(seen), n)
	}
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	x.BeginWalk(id, func(e Entry) { delete(seen, string(e.Key())) }) // the same id again: 65,536 later
	for !x.WalkStep(100) {
	}
	if x.EndWalk(); len(seen) != 0 {
		t.Fatalf("walk with the same id missed %d entries", len(seen))
	}
}

// TestWalkStepIsBounded: a step shows no more than its budget and a bucket.
func TestWalkStepIsBounded(t *testing.T) {
	x := newTable(t, mixHash)
	for i := range 20_000 {
		x.set(keyOf(i), nil, 0)
	}
	shown, total := 0, 0
	x.BeginWalk(1, func(Entry) { shown++ })
	for done := false; !done; {
		shown = 0
		done = x.WalkStep(50)
		if total += shown; shown > 50+slotCount {
			t.Fatalf("a step of 50 showed %d", shown)
		}
	}
	if x.EndWalk(); total != x.Len() {
		t.Fatalf("showed %d of %d", total, x.Len())
	}
}

// TestWriterPaysForOneBucket: whatever is changed during a walk, the change shows nine entries at most, unless a
// segment grows.
func TestWriterPaysForOneBucket(t *testing.T) {
	x := newTable(t, mixHash)
	for i := range 20_000 {
		x.set(keyOf(i), nil, 0)
	}
	shown := 0
	x.BeginWalk(1, func(Entry) { shown++ })
	defer x.EndWalk()
	pay := func(what string, most int, fn func()) {
		shown = 0
		fn()
		if shown > most {
			t.Errorf("%s showed %d entries", what, shown)
		}
	}
	for i := range 5000 {
		key := keyOf(i)
		pay("Replace", slotCount, func() { x.set(key, nil, 5) })
		pay("Remove", slotCount, func() { x.del(key) })
		slots := x.slots
		pay("Insert", slotCount, func() {
			if x.set(key, nil, 0); x.slots != slots {
				shown = min(shown-maxItems, 0)
			}
		})
	}
}
