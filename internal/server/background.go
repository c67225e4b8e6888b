package server

import (
	"fulmen/reactor"
	"fulmen/shard"
)

// sliceNs is the CPU time for which background work holds a baton at a time, and sliceBudget the units of
// work (some 300 ns each) between two looks at the clock.
const (
	sliceNs     = 100_000
	sliceBudget = 64
)

// Tick implements reactor.Handler: the loop works for the shards it is home to, every 10 ms. As soon as one
// of them has used up a slice the sockets get their turn, and the next shard goes on after them.
func (srv *Server) Tick(rl *reactor.Loop) {
	l := rl.State.(*loop)
	l.cameRoundMs.Store(srv.set.Clock.NowMs())
	l.worker.NowNs = srv.set.Clock.NowNs()
	srv.set.Tick(srv.set.Clock.NowMs())
	if !srv.cronPaused.Load() && !srv.set.Seized() {
		l.workInBackground()
	}
	l.goOnSaving()
	l.wakePostponed()
	l.endTimeouts()
	l.endSyncWaits()
	if l.resting() {
		rl.WantSlowTick()
	} else {
		rl.WantTick()
	}
	l.active = false
}

// resting tells whether nothing needs the loop's next tick to come soon: no command came since the last, and no work
// in the background is left. What falls due meanwhile waits up to 100 ms, as in Redis with hz 10.
func (l *loop) resting() bool {
	return !l.active && len(l.postponed) == 0 && len(l.waiting) == 0 && l.srv.defrag.percent.Load() == 0 &&
		l.srv.defrag.passes.Load() == 0 && !l.timeoutSoon() && len(l.syncWaits) == 0 && l.srv.saver.Running() == nil
}

// workInBackground does a little of all that is due on the loop.
func (l *loop) workInBackground() {
	for range l.home {
		h := l.home[l.nextHome]
		l.nextHome = (l.nextHome + 1) % len(l.home)
		if l.backgroundSlice(h.s) {
			l.active = true
			l.rl.TickSoon()
			break
		}
	}
	if l.evictInBackground() {
		l.active = true
		l.rl.TickSoon()
	}
	if l.defragInBackground() {
		l.rl.TickSoon()
	}
	l.closeIdle()
}

// backgroundSlice works on one shard for a slice and tells whether work is left.
func (l *loop) backgroundSlice(s *shard.Shard) (more bool) {
	if !s.Acquire(&l.worker) {
		l.active = true // its holder is working: next tick
		return false
	}
	srv := l.srv
	now := srv.set.Clock.NowMs()
	start := l.worker.NowNs
	until := start + sliceNs
	full := srv.saver.Overdrawn()
	for !more {
		began := l.worker.NowNs
		expired := full || srv.expireSome(s, now)
		freed := s.FreeSome(sliceBudget) || full
		shrunk := full || s.ShrinkSome(sliceBudget)
		limited := !s.LimitTracked(sliceBudget)
		l.worker.NowNs = srv.set.Clock.NowNs()
		s.Stats.ExpireCycleNs += l.worker.NowNs - began
		s.Ran("background", l.worker.NowNs-began)
		if expired && freed && shrunk && limited {
			break
		}
		more = l.worker.NowNs >= until
	}
	if more {
		s.Stats.ExpireTimeouts++
	}
	if ns := l.worker.NowNs - start; ns >= latencyUnitNs {
		srv.observation.latency.add("expire-cycle", ns, now)
	}
	if s.HasReady() { // a stream that has expired, for those who wait for entries of its groups
		l.serveReady(srv.allShards[s.ID : s.ID+1])
	}
	s.Release(&l.worker)
	l.postServed()
	return more
}

// expireSome is a slice of a shard's expire cycle. A replica waits for what its primary deletes, and deletes what its
// own clients have written.
func (srv *Server) expireSome(s *shard.Shard, nowMs int64) (done bool) {
	if srv.activeExpireOff.Load() || srv.pausing.at(srv, nowMs) != nil || srv.pushing.Load() >= crowdedBytes {
		return true
	}
	if srv.following() {
		return s.ExpireOwn(nowMs, sliceBudget)
	}
	s.ForgetOwnExpiries()
	return s.ExpireSome(nowMs, sliceBudget)
}

// closeIdle closes connections that were silent for longer than `timeout`.
func (l *loop) closeIdle() {
	timeout := int64(l.srv.cfg.Values().TimeoutSeconds) * 1000
	if timeout == 0 {
		return
	}
	now := l.srv.set.Clock.NowMs()
	if now-l.idleCheckedMs < 1000 {
		return
	}
	l.idleCheckedMs = now
	l.rl.Conns(func(c *reactor.Conn) {
		s := c.Context.(*Session)
		if now-s.lastMs.Load() > timeout && !s.parked() && !s.postponed && s.kind() == "normal" {
			l.srv.log.Debug("Closing idle client", "addr", s.addr)
			c.Abort(reactor.ErrClosedByServer)
		}
	})
}
