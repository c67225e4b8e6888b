package shard

import "sync/atomic"

// statsEveryNs is how often a shard's counters are published: at the first release this long after the last time.
// The home loop takes every baton each 10 ms, so they are never much older.
const statsEveryNs = 10_000_000

// published is what others may read of a shard without its baton. Atomic; written with the baton held, in endHold.
type published struct {
	stats [statsFields]atomic.Int64
	lazy  atomic.Int64 // objects that wait to be freed; published at every release

	count, cpu               [HoldBuckets]atomic.Int64
	maxNs, maxCPUNs, totalNs atomic.Int64
	long                     atomic.Pointer[LongHolds]

	dueNs int64 // when stats are due; plain, with the baton held
}

const statsFields = 17

// fields lists the counters in the order in which they are published.
func (st *Stats) fields() [statsFields]*int64 {
	return [statsFields]*int64{
		&st.ExpiredKeys, &st.ExpiredLazily, &st.Hits, &st.Misses, &st.Drained, &st.HandedOver, &st.LazyFreed,
		&st.ExpireCycleNs, &st.ExpireTimeouts, &st.Dirty, &st.EvictedKeys, &st.StalePPM,
		&st.DefragHits, &st.DefragMisses, &st.DefragKeyHits, &st.DefragKeyMisses,
		&st.ExpiredFields,
	}
}

func (s *Shard) publishStats(nowNs int64) {
	p := &s.hold.published
	p.dueNs = nowNs + statsEveryNs
	for i, n := range s.Stats.fields() {
		p.stats[i].Store(*n)
	}
	h := &s.hold
	for i := range h.count {
		publish(&p.count[i], int64(h.count[i]))
		publish(&p.cpu[i], int64(h.cpu[i]))
	}
	publish(&p.maxNs, h.maxNs)
	publish(&p.maxCPUNs, h.maxCPUNs)
	publish(&p.totalNs, h.totalNs)
	p.long.Store(h.long)
}

// PublishedStats returns the shard's counters and the number of objects that wait to be freed, as of a few
// milliseconds ago. Safe from any goroutine.
func (s *Shard) PublishedStats() (st Stats, lazyPending int64) {
	for i, n := range st.fields() {
		*n = s.hold.stats[i].Load()
	}
	return st, s.hold.lazy.Load()
}

// FreshStats is PublishedStats as of now, if the baton can be had. It takes the baton for a moment; others must not be
// held, unless held says that this one is.
func (s *Shard) FreshStats(w *Worker, held bool) (st Stats, lazyPending int64) {
	switch {
	case held:
		return s.Stats, int64(s.LazyPending())
	case s.Acquire(w):
		st, lazyPending = s.Stats, int64(s.LazyPending())
		s.Release(w)
		return st, lazyPending
	}
	return s.PublishedStats()
}

// Counts are a database's figures in one shard.
type Counts struct {
	Keys    int64 // expired ones that are still there included
	Expires int64 // keys that have an expiry
	// FieldExpires is the number of hashes with fields that have an expiry.
	FieldExpires int64
	// ExpireSumMs is the sum of their expiries modulo 2^64.
	ExpireSumMs int64
	IndexBytes  int64
}

// publishedCounts are a database's figures as others may read them. Written with the baton held.
type publishedCounts struct {
	keys, expires, fieldExpires, expireSumMs, indexBytes atomic.Int64
}

// publishUse publishes the memory in use, and the figures of the databases that were touched.
func (s *Shard) publishUse() {
	if used := s.arena.UsedBytes(); used != s.used.Load() {
		s.used.Store(used)
		publish(&s.defrag.held, s.arena.HeldBytes())
	}
	if s.touched != nil {
		s.publishCounts()
	}
}

// touch has the database's figures published when the baton is released: they may have changed.
func (db *DB) touch() {
	if !db.touched {
		db.touched = true
		db.nextTouched, db.shard.touched = db.shard.touched, db
	}
}

// publishCounts publishes the figures of the databases that were touched.
func (s *Shard) publishCounts() {
	for db := s.touched; db != nil; {
		p := &db.counts
		publish(&p.keys, int64(db.Len()))
		publish(&p.expires, int64(db.expires))
		publish(&p.fieldExpires, int64(db.fieldExpires))
		publish(&p.expireSumMs, db.expireSumMs)
		publish(&p.indexBytes, db.x.Load().SizeBytes())
		next := db.nextTouched
		db.touched, db.nextTouched = false, nil
		db = next
	}
	s.touched = nil
}

// publish spares the write, which is the dear part, where nothing has changed.
func publish(to *atomic.Int64, n int64) {
	if to.Load() != n {
		to.Store(n)
	}
}

// Counts is PublishedCounts, or the figures as of now if the caller says that it holds the baton.
func (db *DB) Counts(held bool) Counts {
	if !held {
		return db.PublishedCounts()
	}
	return Counts{
		Keys: int64(db.Len()), Expires: int64(db.expires), ExpireSumMs: db.expireSumMs,
		FieldExpires: int64(db.fieldExpires), IndexBytes: db.x.Load().SizeBytes(),
	}
}

// PublishedCounts returns the database's figures as of the last release of its shard's baton. Safe from any
// goroutine; two figures may be of different moments.
func (db *DB) PublishedCounts() Counts {
	p := &db.counts
	return Counts{
		Keys: p.keys.Load(), Expires: p.expires.Load(), ExpireSumMs: p.expireSumMs.Load(),
		FieldExpires: p.fieldExpires.Load(), IndexBytes: p.indexBytes.Load(),
	}
}
