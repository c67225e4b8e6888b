package server

import (
	"sync"
	"sync/atomic"

	"fulmen/persist/aof"
	"fulmen/reactor"
)

// lateNs is how old the oldest write that is not synced may be under everysec. Beyond, nothing is acknowledged that is
// not synced: then no more than a second of acknowledged writes can ever be lost.
const lateNs = 800_000_000

// replyGate decides how much of the log what clients are sent may tell of. always: what is synced. everysec and no:
// what outlives the process, because it is in the ring or written; under everysec, while the oldest write that is not
// synced is older than lateNs, what is synced. If that is because the disk fails, writes are refused, and the gate
// stays as it was when it began to: nothing more is acknowledged, and reads go on.
type replyGate struct {
	srv *Server

	fault gateFault // set by tests, before there are clients

	lazy atomic.Bool // everything may leave, because nothing is beside the ring

	mu       sync.Mutex
	prompt   bool  // replies wait for writes
	late     bool  // the oldest write that is not synced is too old
	lateRuns int64 // how often that has begun
	lateNs   int64 // how long it was so, without the present time
	sinceNs  int64 // when the present time began
}

// gateFault is a mistake that a test plants in order to show that it would be noticed.
type gateFault uint8

const (
	gateSound   gateFault = iota
	acksEarly             // under always replies leave before what they tell of is synced
	readsEarly            // what has written nothing doesn't wait for what it has seen
	servedEarly           // a reply to a command that has waited for a key doesn't wait for who has written that
	besideRing            // nobody notices that the log goes on beside the ring
	parkedEarly           // a reply to a command that another loop has executed doesn't wait
	pushesEarly           // what a command has caused others to be sent doesn't wait
	sparesAll             // while the Writer fails all keys are taken for unchanged
	sparesDels            // … keys that were deleted are
)

// look follows commits: what they wrote may be beside the ring.
func (g *replyGate) look() {
	if g.lazy.Load() && !g.srv.inRing() {
		g.update()
	}
}

// update works out what may leave. Safe from any goroutine.
func (g *replyGate) update() {
	g.mu.Lock()
	defer g.mu.Unlock()
	srv := g.srv
	w := srv.aof.writer.Load()
	if w == nil {
		g.noteLate(false)
		g.lazy.Store(false)
		srv.reactor.Release(reactor.AllReleased)
		return
	}
	if aof.Policy(srv.aof.policy.Load()) == aof.Always {
		g.noteLate(false)
		g.lazy.Store(false)
		if g.fault == acksEarly {
			srv.reactor.Release(reactor.AllReleased)
			return
		}
		srv.reactor.Release(w.SyncedLSN())
		return
	}
	g.judge(w)
	released := uint64(reactor.AllReleased)
	// Before the ring is looked at: who commits beside it from now on will come here.
	g.lazy.Store(true)
	all := srv.inRing() || g.fault == besideRing
	g.lazy.Store(all && !g.late)
	if g.prompt == all {
		g.prompt = !all
		w.SetPrompt(g.prompt)
	}
	switch {
	case g.late:
		released = w.SyncedLSN()
	case !all:
		released = srv.set.Log.SafeLSN()
	}
	srv.reactor.Release(released)
}

// renew follows the beginning of an append-only file.
func (g *replyGate) renew(w *aof.Writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.prompt = !g.srv.inRing()
	w.SetPrompt(g.prompt)
}

// judge finds out whether the oldest write that is not synced is too old.
func (g *replyGate) judge(w *aof.Writer) {
	now := g.srv.set.Clock.NowNs()
	since := w.UnsyncedSinceNs()
	late := aof.Policy(g.srv.aof.policy.Load()) == aof.EverySec && since != 0 && now-since >= lateNs
	if w.Err() == nil {
		g.noteLate(late)
	}
}

// noteLate keeps count of when the oldest write that is not synced is too old.
func (g *replyGate) noteLate(late bool) {
	if late == g.late {
		return
	}
	g.late = late
	now := g.srv.set.Clock.NowNs()
	if late {
		g.lateRuns++
		g.sinceNs = now
		return
	}
	g.lateNs += now - g.sinceNs
}

// gateFigures are what INFO says about the gate.
type gateFigures struct {
	lateRuns, lateNs int64
	late             bool
	heldBytes        int64
}

func (g *replyGate) figures() gateFigures {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := gateFigures{lateRuns: g.lateRuns, lateNs: g.lateNs, late: g.late, heldBytes: g.srv.reactor.HeldBytes()}
	if g.late {
		f.lateNs += g.srv.set.Clock.NowNs() - g.sinceNs
	}
	return f
}
