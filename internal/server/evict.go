package server

import (
	"math"
	"sync/atomic"

	"fulmen/internal/config"
	"fulmen/shard"
	"fulmen/shard/command"
)

// Memory is looked at once a batch, and again whenever the batch has let it grow by recheckBytes: the loop holds no
// baton then. Above maxmemory the loop evicts before it goes on, in slices of at most sliceNs under the baton of the
// shard that has the best candidate. A shard whose baton is taken is sent the work, and another one is tried.
//
// As in Redis there is a limit to the time that is spent before a command, maxmemory-eviction-tenacity. What is left
// over is done by the ticks of all loops. A command that needs memory is refused only if the policy can free nothing;
// but where ticks can't keep up, and memory is above the limit by 1/waitShare, its connection waits until they have.
const (
	recheckBytes = 16 << 10
	waitShare    = 256
)

// memoryPolicy is what CONFIG says of maxmemory; immutable, replaced as a whole.
type memoryPolicy struct {
	limit      int64 // 0: none
	tenacityNs int64
	eviction   shard.EvictionPolicy
}

// evictor is the server's part in eviction. Atomic.
type evictor struct {
	claimed         atomic.Int64 // bytes that somebody is about to free
	turn            atomic.Uint32
	exceededSinceNs atomic.Int64 // 0: memory is within the limit
	exceededNs      atomic.Int64 // for how long it was not, up to then
}

func (srv *Server) applyMemory(v *config.Values) {
	policy, limit := shard.EvictionPolicy(v.MaxMemoryPolicy), v.MaxMemoryBytes
	if srv.following() && v.ReplicaIgnoreMaxMemory {
		limit = 0 // the primary sees to it
	}
	srv.memory.Store(&memoryPolicy{
		limit: limit, tenacityNs: tenacityNs(v.MaxMemoryTenacity), eviction: policy,
	})
	srv.set.SetEviction(shard.EvictionParams{
		LimitBytes: limit, Policy: policy, Samples: v.MaxMemorySamples,
		LFULogFactor: v.LFULogFactor, LFUDecayMinutes: v.LFUDecayMinutes,
	})
}

// tenacityNs is how long a loop evicts before a command, as Redis has it: up to 10 in steps of 50 µs, above growing by
// 15 % each, at 100 as long as it takes.
func tenacityNs(tenacity int) int64 {
	switch {
	case tenacity <= 10:
		return int64(tenacity) * 50_000
	case tenacity < 100:
		return int64(500_000 * math.Pow(1.15, float64(tenacity-10)))
	}
	return math.MaxInt64 / 2
}

// evictMail is eviction left to the holder of a shard's baton.
type evictMail struct {
	shard.Node
	srv    *Server
	queued atomic.Bool
}

// Serve implements shard.Task.
func (m *evictMail) Serve(s *shard.Shard, w *shard.Worker) (keep bool) {
	m.queued.Store(false)
	srv := m.srv
	p := srv.memory.Load()
	if goal := srv.excess(p); p.limit > 0 && goal > 0 && !srv.paused() && !srv.saver.Overdrawn() {
		srv.evict.claimed.Add(goal)
		s.EvictSome(w, srv.set.Clock.NowMs(), goal, 0, w.NowNs+sliceNs)
		srv.evict.claimed.Add(-goal)
		s.Commit(w)
	}
	return false
}

// excess is by how much memory is above the limit, less what somebody is freeing already.
func (srv *Server) excess(p *memoryPolicy) int64 {
	return srv.usedMemory() - p.limit - srv.evict.claimed.Load()
}

// evictEnd says what a slice of eviction came to.
type evictEnd uint8

const (
	evictedSome evictEnd = iota
	evictBusy            // all shards with candidates are in use; they have mail
	evictNothing
)

// evictSlice frees up to goal bytes in one shard. The loop holds no baton.
func (l *loop) evictSlice(p *memoryPolicy, goal int64) evictEnd {
	srv := l.srv
	var tried shardSet
	any := false
	for range srv.homes {
		h, rival := srv.bestShard(p, &tried)
		if h == nil {
			break
		}
		any = true
		l.worker.NowNs = srv.set.Clock.NowNs()
		if h.s.Acquire(&l.worker) {
			if srv.memory.Load() != p {
				h.s.Release(&l.worker)
				return evictBusy // the policy is another one now, or the server a replica
			}
			srv.evict.claimed.Add(goal)
			_, end := h.s.EvictSome(&l.worker, srv.set.Clock.NowMs(), goal, rival, l.worker.NowNs+sliceNs)
			srv.evict.claimed.Add(-goal)
			h.s.Release(&l.worker)
			if end != shard.EvictNothing {
				return evictedSome
			}
		} else if h.mail.queued.CompareAndSwap(false, true) {
			h.s.Enqueue(&h.mail.Node, &l.worker)
		}
		tried.add(h.s.ID)
	}
	if any {
		return evictBusy
	}
	return evictNothing
}

// bestShard finds the shard with the best candidate among those not tried, and the score of the next one.
func (srv *Server) bestShard(p *memoryPolicy, tried *shardSet) (best *homeShard, rival uint64) {
	n := len(srv.homes)
	first := int(srv.evict.turn.Add(1) % uint32(n)) // equals take turns
	var top uint64
	for i := range n {
		h := srv.homes[(first+i)%n]
		if tried.has(h.s.ID) {
			continue
		}
		if rank := h.s.EvictionRank(p.eviction); rank > top {
			best, top, rival = h, rank, top
		} else {
			rival = max(rival, rank)
		}
	}
	if rival == math.MaxUint64 {
		rival = 0 // a shard that has something to free is no rival in choosing a victim
	}
	return best, rival
}

// checkMemory brings memory within the limit if it can, and notes whether commands that need more are to be refused or
// to wait. The loop holds no baton.
func (l *loop) checkMemory() {
	srv := l.srv
	p := srv.memory.Load()
	l.limited, l.grown, l.oom, l.wait = p.limit > 0, 0, false, false
	if !l.limited || l.pause != nil { // nothing is evicted in a pause, and nothing refused
		return
	}
	used := srv.usedMemory()
	full := used > p.limit && srv.saver.Overdrawn() // what is evicted would be copied: as for who writes
	if used > p.limit && !full {
		began := srv.set.Clock.NowNs()
		used = l.makeRoom(p, used)
		if ns := l.worker.NowNs - began; ns >= latencyUnitNs {
			srv.observation.latency.add("eviction-cycle", ns, l.ctx.NowMs)
		}
	}
	if used <= p.limit {
		srv.evict.within(srv.set.Clock.NowNs)
		return
	}
	srv.evict.exceeded(srv.set.Clock.NowNs)
	if !l.oom {
		if l.wait = used-p.limit > p.limit/waitShare; !full {
			l.rl.TickSoon()
		}
	}
}

// makeRoom evicts until memory is within the limit, the time for it is over or nothing is left, and returns what is
// used then.
func (l *loop) makeRoom(p *memoryPolicy, used int64) int64 {
	srv := l.srv
	srv.notePeak(used)
	now := srv.set.Clock.NowNs()
	for until := now + p.tenacityNs; used > p.limit; used = srv.usedMemory() {
		goal := srv.excess(p)
		if goal <= 0 {
			break // others are at it
		}
		switch end := l.evictSlice(p, goal); {
		case end == evictNothing:
			used = srv.usedMemory()
			l.oom = used > p.limit
			return used
		case end == evictBusy || l.worker.NowNs >= until:
			return srv.usedMemory()
		}
	}
	return used
}

// within notes that memory is within the limit.
func (v *evictor) within(clock func() int64) {
	if since := v.exceededSinceNs.Load(); since != 0 && v.exceededSinceNs.CompareAndSwap(since, 0) {
		v.exceededNs.Add(clock() - since)
	}
}

// exceeded notes that it is not, and that not enough could be done about it at once.
func (v *evictor) exceeded(clock func() int64) {
	if v.exceededSinceNs.Load() == 0 {
		v.exceededSinceNs.CompareAndSwap(0, clock())
	}
}

// exceededTimes returns for how long memory has been above the limit in all, and for how long it is now.
func (v *evictor) exceededTimes(nowNs int64) (total, current int64) {
	if since := v.exceededSinceNs.Load(); since != 0 {
		current = nowNs - since
	}
	return v.exceededNs.Load() + current, current
}

func (v *evictor) reset() {
	v.exceededSinceNs.Store(0)
	v.exceededNs.Store(0)
}

// evictInBackground does a slice of what commands left over, and lets those go on that wait for it. It tells whether
// more is left.
func (l *loop) evictInBackground() (more bool) {
	srv := l.srv
	p := srv.memory.Load()
	used := srv.usedMemory()
	failing := srv.restricted.Load()&whileLogFailing != 0 // then who waits for room in the log is refused
	if srv.saver.Overdrawn() || srv.set.Log.OverLimit() && !failing {
		return false // and nobody may go on
	}
	if p.limit > 0 && used > p.limit && !srv.paused() {
		srv.notePeak(used)
		end := evictBusy
		if goal := srv.excess(p); goal > 0 {
			end = l.evictSlice(p, goal)
		}
		used = srv.usedMemory()
		more = used > p.limit && end != evictNothing
	}
	if p.limit == 0 || used <= p.limit {
		srv.evict.within(srv.set.Clock.NowNs)
	}
	if len(l.waiting) > 0 && (!more || used-p.limit <= p.limit/waitShare) {
		waiting := l.waiting
		l.waiting = nil
		for _, s := range waiting {
			if !s.closed {
				s.conn.Resume()
			}
		}
	}
	return more
}

// mustWait looks at memory again if the batch has let it grow, and tells whether a command of this row has to wait.
func (l *loop) mustWait(row *command.Row) bool {
	scripted := row.Script != command.NoScripts && row.Flags&command.MayReplicate != 0
	if !l.limited || row.Flags&command.DenyOOM == 0 && !scripted {
		return false
	}
	grown := l.grown
	if l.held != nil {
		grown += l.held.UsedBytes() - l.held.PublishedBytes()
	}
	if grown > recheckBytes {
		l.drop()
		l.checkMemory()
	}
	return l.wait
}

// outOfMemory tells whether a command is refused for its need of memory. Inside MULTI that is any but those that end
// it, since a queue may take any amount.
func (s *Session) outOfMemory(row *command.Row) bool {
	switch {
	case !s.loop.oom || row.EvenOOM:
		return false
	case s.multi == nil:
		return row.Flags&command.DenyOOM != 0
	case row.RunsQueue:
		return s.multi.denyOOM
	}
	return true
}

// awaitRoom has the session wait until there is room for its next command: memory, or in the buffers of a save, or
// among the scripts that stand still.
func (l *loop) awaitRoom(s *Session) {
	s.conn.Pause()
	l.waiting = append(l.waiting, s)
	l.rl.TickSoon()
}

// notePeak keeps the highest use of memory.
func (srv *Server) notePeak(used int64) {
	for {
		peak := srv.peakMemory.Load()
		if used <= peak || srv.peakMemory.CompareAndSwap(peak, used) {
			return
		}
	}
}
