package shard

import (
	"math"
	"sync/atomic"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
)

// Eviction, as Redis does it, approximates: for each victim a few entries that stand side by side in the index (a
// random choice) are looked at, and the best candidates seen so far are kept in a small pool, the best of which goes.
// Every shard has a pool and publishes its best score, so that whoever needs memory takes the victim from the shard
// that has the best; scores of different shards, taken at different moments, can be compared.
//
// Unlike Redis a candidate is looked at again before it goes: one that was used meanwhile is spared. And the pool
// keeps no keys but hashes and references: a reference that is no longer in the index stands for nothing, and one
// that has come to stand for another entry is as good as a new sample.
const (
	poolSize = 16

	// evictLooks bounds the buckets looked at for one sample.
	evictLooks = 64
	// evictRound is how much is done between two looks at the clock, in samples, at up to 1 us each. A sample that
	// comes to nothing, or a slice of freeing, counts as evictIdle.
	evictRound = 16
	evictIdle  = 6

	scoreUnknown = 0 // published: the pool is empty, and the shard's best candidate has yet to be found
)

// candidate is an entry that may be evicted: the higher its score, the rather.
type candidate struct {
	score uint64
	hash  uint64
	ref   arena.Ref
	db    *DB
}

// evictor is a shard's part in eviction; held with the baton, but for best.
type evictor struct {
	pool   [poolSize]candidate // by score, the best last
	n      int                 // candidates in pool
	params *EvictionParams     // by which the scores were given
	nowMs  int64
	from   *DB // that is being sampled
	turn   int // database whose turn it is, with a random policy
	seen   int // entries of a random sample
	work   int // done since the clock was looked at, as evictRound counts
	look   func(e index.Entry, ref arena.Ref)
	best   atomic.Uint64
}

func (s *Shard) initEvict() { s.evict.look = s.consider }

// score rates an entry. With LRU and TTL it depends on a point in time and not on when it is asked; with LFU on the
// counter as it has decayed now.
func (s *Shard) score(e index.Entry) uint64 {
	v := &s.evict
	switch now := uint32(s.set.access.Load()); {
	case v.params.Policy == VolatileTTL:
		return math.MaxUint64 - 1 - uint64(e.ExpireAt())
	case v.params.Policy.LFU():
		return 256 - uint64(v.params.frequency(e.Access(), now))
	default:
		return math.MaxUint64 - 1 - uint64(v.nowMs/1000-idleSeconds(e.Access(), now))
	}
}

// consider puts an entry into the pool if it is better than the worst there, or there is room.
func (s *Shard) consider(e index.Entry, ref arena.Ref) {
	v := &s.evict
	if !v.params.Policy.ranked() { // one of those seen, each with the same probability
		v.seen++
		if s.random = index.NextRandom(s.random); s.random%uint64(v.seen) == 0 {
			v.pool[0] = candidate{score: 1, hash: s.hash(e.Key()), ref: ref, db: v.from}
			v.n = 1
		}
		return
	}
	score := s.score(e)
	if v.n == poolSize && score <= v.pool[0].score {
		return
	}
	for i := range v.pool[:v.n] {
		if v.pool[i].ref == ref && v.pool[i].db == v.from {
			return
		}
	}
	if v.n == poolSize {
		copy(v.pool[:], v.pool[1:])
		v.n--
	}
	i := v.n
	for ; i > 0 && v.pool[i-1].score > score; i-- {
		v.pool[i] = v.pool[i-1]
	}
	v.pool[i] = candidate{score: score, hash: s.hash(e.Key()), ref: ref, db: v.from}
	v.n++
}

// sample looks at some entries of every database, or with a random policy at one database. any tells whether there is
// anything to choose from.
func (s *Shard) sample() (any bool) {
	v := &s.evict
	for range s.dbs {
		db := &s.dbs[v.turn]
		if v.turn++; v.turn == len(s.dbs) {
			v.turn = 0
		}
		if db.candidates(v.params.Policy) == 0 {
			continue
		}
		any = true
		v.from = db
		from := db.sampleAt
		if from == 0 {
			s.random = index.NextRandom(s.random)
			from = index.RandomPosition(s.random)
		}
		given, next := db.x.Load().Sample(from, v.params.Samples, evictLooks, v.params.Policy.Volatile(), v.look)
		db.sampleAt = 0
		v.work++
		if given == 0 {
			db.sampleAt = next // few and far between: go on there
			v.work += evictIdle
		}
		if given > 0 && !v.params.Policy.ranked() {
			break
		}
	}
	return any
}

// candidates is the number of keys that the policy chooses among.
func (db *DB) candidates(p EvictionPolicy) int {
	if p.Volatile() {
		return db.expires
	}
	return db.Len()
}

// EvictEnd says why EvictSome ended.
type EvictEnd uint8

// Reasons to end.
const (
	EvictedEnough EvictEnd = iota
	EvictedSlice           // the time is up
	EvictRival             // the best candidate is now another shard's
	EvictNothing           // the policy has no key here
)

// EvictSome frees memory until goal bytes are free, or the best candidate is worse than rival, or the time untilNs has
// come, at which it looks now and then; w.NowNs is the time at the end. What is waiting to be freed goes first: it is
// no longer of use to anybody.
func (s *Shard) EvictSome(w *Worker, nowMs, goal int64, rival uint64, untilNs int64) (freed int64, end EvictEnd) {
	v := &s.evict
	if p := s.set.Eviction(); p != v.params {
		v.params, v.n = p, 0
	}
	v.nowMs = nowMs
	began, start := s.UsedBytes(), w.NowNs
	for end = EvictedSlice; ; {
		done := false
		for v.work = 0; v.work < evictRound && !done; {
			switch freed = began - s.UsedBytes(); {
			case freed >= goal:
				end, done = EvictedEnough, true
			case !s.FreeSome(2 * lazySlice): // before anybody else has to go
				v.work += evictIdle
			case v.params.Policy == NoEviction:
				end, done = EvictNothing, true
			default:
				switch end = s.evictOne(rival); end {
				case EvictedSlice:
				case EvictedEnough:
					end = EvictedSlice
					done = s.UsedBytes() == began-freed && s.LazyPending() == 0 // another shard has to free it
				default:
					done = true
				}
			}
		}
		if w.NowNs = s.set.Clock.NowNs(); done || w.NowNs >= untilNs {
			break
		}
	}
	best := uint64(scoreUnknown)
	if v.n > 0 {
		best = v.pool[v.n-1].score
	}
	publish64(&v.best, best)
	s.Ran("eviction", w.NowNs-start)
	return began - s.UsedBytes(), end
}

// evictOne evicts one key: EvictedEnough if it did, EvictedSlice if it has not found one yet.
func (s *Shard) evictOne(rival uint64) EvictEnd {
	v := &s.evict
	if v.params.Policy.ranked() {
		if !s.sample() {
			v.n = 0
			return EvictNothing
		}
	} else {
		v.n = 0
	}
	for {
		for v.n > 0 {
			c := &v.pool[v.n-1]
			if c.score < rival {
				return EvictRival
			}
			v.n--
			x := c.db.x.Load()
			p, ok := x.FindRef(c.hash, c.ref)
			if !ok {
				continue
			}
			e := x.Entry(p)
			if v.params.Policy.Volatile() && e.ExpireAt() == 0 || v.params.Policy.ranked() && s.score(e) < c.score {
				continue
			}
			c.db.evict(p, e)
			return EvictedEnough
		}
		if v.work >= evictRound {
			return EvictedSlice
		}
		v.seen = 0
		if !s.sample() {
			return EvictNothing
		}
	}
}

// evict deletes the entry at p for the sake of its memory. As with expiry, logs and replicas see a DEL.
func (db *DB) evict(p index.Pos, e index.Entry) {
	s, key := db.shard, e.Key()
	s.StageDel(db.id, key)
	s.vanished(db.id, key)
	db.Notify(key, EventEvicted, "evicted")
	s.Stats.EvictedKeys++
	db.remove(p)
}

// EvictionRank says how well a shard serves for finding a victim: the score of its best candidate, and more than any
// if memory waits to be freed or nothing is known of its keys; 0 if the policy can free nothing there. Safe from any
// goroutine.
func (s *Shard) EvictionRank(p EvictionPolicy) uint64 {
	if s.hold.lazy.Load() > 0 || s.arena.Owed() {
		return math.MaxUint64
	}
	if p == NoEviction {
		return 0
	}
	for i := range s.dbs {
		n := &s.dbs[i].counts.keys
		if p.Volatile() {
			n = &s.dbs[i].counts.expires
		}
		if n.Load() > 0 {
			if best := s.evict.best.Load(); best != scoreUnknown {
				return best
			}
			return math.MaxUint64 - 1
		}
	}
	return 0
}

// publish64 spares the write where nothing has changed.
func publish64(to *atomic.Uint64, n uint64) {
	if to.Load() != n {
		to.Store(n)
	}
}
