package server

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"fulmen/internal/config"
)

// minClientLimit is the least that maxmemory-clients means, as in Redis: less would leave nobody to change it.
const minClientLimit = 128 << 10

// clientEvictor closes clients that hold the most when all of them hold more than maxmemory-clients allows. It is asked
// whenever a client has grown, by that client's loop: no later than at the end of a batch, of a read or of a write.
type clientEvictor struct {
	limit   atomic.Int64 // 0: none
	evicted atomic.Int64 // clients since CONFIG RESETSTAT
	doomed  atomic.Int64 // bytes of clients that are about to be closed
	mu      sync.Mutex   // held by whoever chooses victims
	// fruitlessMs is when nobody was left but protected clients.
	fruitlessMs atomic.Int64
}

// fruitlessPauseMs is how long a protected client that grows doesn't look for victims again when there was none.
const fruitlessPauseMs = 10

// clientLimit is maxmemory-clients in bytes, 0: no limit.
func clientLimit(v *config.Values) int64 {
	limit := v.MaxMemoryClients
	switch {
	case limit == 0, limit < 0 && v.MaxMemoryBytes == 0:
		return 0
	case limit < 0: // a percentage
		limit = int64(float64(v.MaxMemoryBytes) * float64(-limit) / 100)
	}
	return max(limit, minClientLimit)
}

// applyClientLimit has a changed maxmemory-clients, or maxmemory, take effect at once.
func (srv *Server) applyClientLimit(v *config.Values) {
	srv.clientEvictor.limit.Store(clientLimit(v))
	if srv.clientExcess() > 0 {
		srv.evictClients(nil)
	}
}

// clientExcess is by how much clients hold too much, those left out that are about to be closed.
func (srv *Server) clientExcess() int64 {
	limit := srv.clientEvictor.limit.Load()
	if limit == 0 {
		return math.MinInt64
	}
	return srv.clientMemory.Load() - srv.clientEvictor.doomed.Load() - limit
}

// evictClients closes the clients that hold the most until the others hold little enough. grown is the one that grew,
// on whose loop this runs: it stops at once if it is among them.
func (srv *Server) evictClients(grown *Session) {
	e := &srv.clientEvictor
	now := srv.set.Clock.NowMs()
	if grown != nil && grown.noEvict.Load() && now-e.fruitlessMs.Load() < fruitlessPauseMs {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if srv.clientExcess() <= 0 {
		return // somebody else has done it
	}
	type candidate struct {
		s     *Session
		bytes int64
	}
	var all []candidate
	for _, x := range srv.clients.all() {
		if !x.noEvict.Load() && !x.feeds() && x.doomedBytes.Load() == 0 {
			all = append(all, candidate{x, x.memoryBytes()})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, x := range all {
		if srv.clientExcess() <= 0 {
			return
		}
		x.s.doomedBytes.Store(x.bytes)
		e.doomed.Add(x.bytes)
		if x.s.gone.Load() {
			x.s.undoom()
			continue
		}
		e.evicted.Add(1)
		srv.log.Info("Evicting client: " + x.s.describe(now))
		if x.s == grown {
			grown.killed = true
		}
		if x.s.killNow.CompareAndSwap(false, true) {
			x.s.conn.Loop().Post(&x.s.killMail)
		}
	}
	e.fruitlessMs.Store(now)
}

// undoom notes that a client that was to be closed is, if nobody has noted it.
func (s *Session) undoom() { s.srv.clientEvictor.doomed.Add(-s.doomedBytes.Swap(0)) }
