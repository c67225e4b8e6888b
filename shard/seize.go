package shard

import (
	"sync"

	"fulmen/internal/invariant"
)

// Seizure has the batons of all shards for a job whose own goroutines work on them side by side: a load. Those who come
// meanwhile find the batons taken, as if one command ran for so long; what they leave in the inboxes is served when the
// batons are given back. Inside, a mutex a shard takes the baton's place.
//
// What is held is not counted as a hold: there is no command that it could be attributed to, and nobody waits whom the
// server has not told so (-LOADING, or the caller of DEBUG RELOAD). No effect is staged meanwhile.
type Seizure struct {
	set   *Set
	tx    *Tx // that has lent the batons; nil: Seize took them
	locks []seizedShard
}

// seizedShard is a shard's mutex, on a line of its own.
type seizedShard struct {
	mu sync.Mutex
	_  [56]byte
}

// Seize takes all batons, for a load before anybody else is there: a baton that is taken is a mistake of the caller.
func (set *Set) Seize() *Seizure {
	for _, s := range set.Shards {
		if !s.tryTake() {
			panic("BUG: shard: Seize found a baton taken")
		}
	}
	return set.newSeizure(nil)
}

// Lend makes a seizure of the batons of a transaction that holds those of all shards. The transaction may not be used
// until Release gives them back to it. w is the worker that took them; its reading of the clock ends the holds.
func (t *Tx) Lend(w *Worker) *Seizure {
	if !t.Held() || t.held != len(t.set.Shards) {
		panic("BUG: shard: Lend of a transaction without all batons")
	}
	for _, s := range t.set.Shards {
		s.endHold(w)
	}
	return t.set.newSeizure(t)
}

func (set *Set) newSeizure(t *Tx) *Seizure {
	set.seized.Store(true)
	set.mute(true)
	return &Seizure{set: set, tx: t, locks: make([]seizedShard, len(set.Shards))}
}

// Seized tells whether a seizure is under way, so that background work need not try the batons. Safe from any
// goroutine.
func (set *Set) Seized() bool { return set.seized.Load() }

// Set returns the shards that are seized.
func (z *Seizure) Set() *Set { return z.set }

// Lock gives shard i to the calling goroutine, which may do with it what the holder of a baton may, but stage no
// effect. A goroutine locks one shard at a time, or several in ascending order.
func (z *Seizure) Lock(i int) *Shard {
	z.locks[i].mu.Lock()
	return z.set.Shards[i]
}

// Unlock takes shard i back and publishes its figures.
func (z *Seizure) Unlock(i int) {
	s := z.set.Shards[i]
	s.publishUse()
	z.locks[i].mu.Unlock()
}

// Release gives the batons back: to the transaction that lent them, whose holds begin anew, or to whoever wants them; a
// shard in whose inbox something waits rings its home loop. w is the worker of the transaction, or of the caller. No
// goroutine may be at work on a shard any more.
func (z *Seizure) Release(w *Worker) {
	z.set.seized.Store(false)
	allChanged := z.set.mute(false)
	w.NowNs = z.set.Clock.NowNs()
	for _, s := range z.set.Shards {
		if z.tx != nil {
			s.beginHold(w)
			continue
		}
		s.publishUse()
		waits := s.waiting()
		s.baton.Store(0)
		if invariant.Enabled && s.plant.at(stepReleased) {
			continue
		}
		if waits || !s.inbox.empty() {
			s.bell.Ring(s)
		}
	}
	if allChanged && z.tx != nil {
		z.set.AllChanged()
	}
}
