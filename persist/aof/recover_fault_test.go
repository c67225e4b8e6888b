package aof

import "testing"

// The planted faults. Each is a mistake that the crash checks must notice.

// wantFound looks at histories until one of them fails; first is the seed of one that does.
func wantFound(t *testing.T, first uint64, plant func(h *history)) {
	t.Helper()
	states := 0
	for seed := first; seed < first+60; seed++ {
		h := newHistory(t, seed, 1+int(seed%4), []Policy{Always, EverySec, No}[seed%3])
		plant(h)
		h.run(3)
		states += h.states
		if h.failed != nil {
			t.Logf("seed %d, after %d states: %v", seed, states, h.failed)
			return
		}
	}
	t.Errorf("the fault was not noticed in %d states", states)
}

func recoverFault(set func(*recoverPlant)) func(*history) {
	return func(h *history) { h.change = func(o *RecoverOptions) { set(&o.plant) } }
}

// TestFaultPieceIgnored: a transaction of which a shard has no piece counts as whole.
func TestFaultPieceIgnored(t *testing.T) {
	wantFound(t, 1, recoverFault(func(p *recoverPlant) { p.piecesMissing = true }))
}

// TestFaultNobodyMeets: a load executes the pieces of a commit each by itself.
func TestFaultNobodyMeets(t *testing.T) {
	wantFound(t, 1, func(h *history) { h.load = loadPlant{piecesMissing: true} })
}

// TestFaultHoleIgnored: after a power cut frames are taken behind a hole.
func TestFaultHoleIgnored(t *testing.T) {
	wantFound(t, 2, func(h *history) {
		recoverFault(func(p *recoverPlant) { p.holeIgnored = true })(h)
		h.load = loadPlant{uncounted: true}
	})
}

// TestFaultStaleRing: what the ring of an earlier life has is written to the files.
func TestFaultStaleRing(t *testing.T) {
	wantFound(t, 1, recoverFault(func(p *recoverPlant) { p.anyRing = true }))
}

// TestFaultTailReturns: what was discarded is loaded after the next life.
func TestFaultTailReturns(t *testing.T) {
	wantFound(t, 1, func(h *history) {
		recoverFault(func(p *recoverPlant) { p.tailStays = true })(h)
		h.load = loadPlant{endless: true, uncounted: true}
	})
}

// TestFaultCutUnsynced: files are cut, and the manifest is committed before that lasts.
func TestFaultCutUnsynced(t *testing.T) {
	wantFound(t, 3, recoverFault(func(p *recoverPlant) { p.cutUnsynced = true }))
}

// TestFaultRingLate: the manifest says that the incarnation has ended before what its ring has is safe in the files.
func TestFaultRingLate(t *testing.T) {
	wantFound(t, 1, recoverFault(func(p *recoverPlant) { p.ringLate = true }))
}

// TestFaultAnySite: what a power cut has torn counts as what a kill has left.
func TestFaultAnySite(t *testing.T) {
	wantFound(t, 1, recoverFault(func(p *recoverPlant) { p.anySite = true }))
}
