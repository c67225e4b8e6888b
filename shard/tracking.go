package shard

import "sync/atomic"

// Client-side caching: a client that tracks keys is told when one changes that it has read. A shard's table says who
// has read which of its keys; it is held with the baton, so a client is noted before anybody can change what it read.
// A change takes the key out of the table and hands those who have read it to the set's Listener. Keys are known by
// name alone, as in Redis: a change in another database counts.

// Tracker is a client that tracks keys. Tables refer to it for as long as they like: it must not hold on to more than
// it needs.
type Tracker struct {
	// Owner is the client as the listener knows it. Immutable.
	Owner any
}

// tracking is who has read which keys of a shard; held with the baton.
type tracking struct {
	by    map[string]readers
	epoch uint64   // of Set.trackingEpoch
	actor *Tracker // whose command runs; nil: of somebody who tracks nothing
	list  []*Tracker
}

// readers are those who have read a key: mostly one.
type readers struct {
	one  *Tracker
	more map[*Tracker]struct{} // others; nil: there are none
}

// trackingState is what a set knows of tracking. Atomic.
type trackingState struct {
	maxKeys     atomic.Int64 // in all tables together; 0: any number
	keys, items atomic.Int64 // in all tables; items counts a key for each of its readers
	epoch       atomic.Uint64
}

// What SetTracking says, beside the classes of events in one word.
const (
	tracked   EventClass = 1 << (31 - iota) // somebody tracks keys, or all of some prefix
	broadcast                               // somebody tracks all keys of some prefix
)

// SetTracking says whether anybody tracks the keys that it reads, and whether anybody tracks all keys of a prefix. When
// nobody does any more, what tables have is forgotten. Safe from any goroutine; calls have to be put in order by their
// callers.
func (set *Set) SetTracking(reads, prefixes bool) {
	w := &set.eventSwitch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients = 0; reads || prefixes {
		w.clients = tracked
	} else {
		set.tracking.epoch.Add(1)
	}
	if prefixes {
		w.clients |= broadcast
	}
	w.publish()
}

// SetTrackingLimit bounds the number of keys in all tables together, 0: it is not bounded. Safe from any goroutine.
func (set *Set) SetTrackingLimit(keys int64) { set.tracking.maxKeys.Store(keys) }

// TrackedKeys returns how many keys are in the tables, and for how many readers in all. Safe from any goroutine.
func (set *Set) TrackedKeys() (keys, items int64) {
	return set.tracking.keys.Load(), set.tracking.items.Load()
}

// Acting says whose command runs in the shard, if it is somebody who tracks keys, or nil.
func (s *Shard) Acting(t *Tracker) { s.tracking.actor = t }

// overLimit is how many keys are taken out of a table when there are too many, for each that came.
const overLimit = 2

// Remember notes that a client has read a key of the shard, or looked for it.
func (s *Shard) Remember(key []byte, t *Tracker) {
	tr, sum := &s.tracking, &s.set.tracking
	s.dropStale()
	r, ok := tr.by[string(key)]
	switch {
	case !ok:
		if tr.by == nil {
			tr.by = map[string]readers{}
		}
		r.one = t
		sum.keys.Add(1)
	case r.one == t:
		return
	case r.more == nil:
		r.more = map[*Tracker]struct{}{t: {}}
	default:
		if _, there := r.more[t]; there {
			return
		}
		r.more[t] = struct{}{}
	}
	sum.items.Add(1)
	if !ok || len(r.more) == 1 {
		tr.by[string(key)] = r
	}
	if !ok {
		s.LimitTracked(overLimit)
	}
}

// LimitTracked takes up to most keys out of the shard's table if all tables have too many together; their readers are
// told that they have changed. It reports whether there are still too many, and some in this table.
func (s *Shard) LimitTracked(most int) (more bool) {
	s.dropStale()
	sum := &s.set.tracking
	if !sum.over() {
		return false
	}
	for key, r := range s.tracking.by {
		if most--; most < 0 {
			return sum.over()
		}
		if !sum.dropOne() {
			return false
		}
		s.takeOut(key, &r)
		s.set.listener.Changed(s.holder, Change{Key: []byte(key), Readers: s.tracking.list, Limit: true})
	}
	return false
}

// over tells whether all tables have too many keys together.
func (sum *trackingState) over() bool {
	limit := sum.maxKeys.Load()
	return limit > 0 && sum.keys.Load() > limit
}

// dropOne counts a key less if there are too many, and reports whether there are. Shards that look at the same time
// don't drop the same one.
func (sum *trackingState) dropOne() bool {
	for {
		limit, keys := sum.maxKeys.Load(), sum.keys.Load()
		if limit <= 0 || keys <= limit {
			return false
		}
		if sum.keys.CompareAndSwap(keys, keys-1) {
			return true
		}
	}
}

// takeOut takes a key out of the table, of which sum.keys is told elsewhere; its readers are in tracking.list then.
func (s *Shard) takeOut(key string, r *readers) {
	tr := &s.tracking
	tr.list = append(tr.list[:0], r.one)
	for t := range r.more {
		tr.list = append(tr.list, t)
	}
	delete(tr.by, key)
	s.set.tracking.items.Add(int64(-len(tr.list)))
}

// dropStale forgets what was noted before nobody tracked any more.
func (s *Shard) dropStale() {
	if epoch := s.set.tracking.epoch.Load(); s.tracking.epoch != epoch {
		s.forgetTracked()
		s.tracking.epoch = epoch
	}
}

// forgetTracked forgets who has read what.
func (s *Shard) forgetTracked() {
	tr, sum := &s.tracking, &s.set.tracking
	if len(tr.by) == 0 {
		return
	}
	items := 0
	for _, r := range tr.by {
		items += 1 + len(r.more)
	}
	sum.keys.Add(int64(-len(tr.by)))
	sum.items.Add(int64(-items))
	tr.by, tr.list = nil, nil
}

// AllChanged tells who tracks keys that all have changed. All batons are held, by one worker; while they are seized, it
// is told when those that were lent come back.
func (set *Set) AllChanged() {
	sw := &set.eventSwitch
	sw.mu.Lock()
	none := sw.clients == 0 || sw.muted
	sw.missed = sw.missed || sw.muted
	sw.mu.Unlock()
	if none {
		return
	}
	for _, s := range set.Shards {
		s.forgetTracked()
	}
	set.listener.AllChanged(set.Shards[0].holder)
}

// Change is a change of a key that is tracked. What it refers to is valid during the call only.
type Change struct {
	Key     []byte
	Readers []*Tracker // who have read it
	// By is whose command made it; nil: of nobody who tracks keys. The key's time had come, or its memory was needed,
	// if Vanished is set.
	By       *Tracker
	Vanished bool
	// Limit: it has not changed at all, but there are too many keys in the tables.
	Limit bool
}

// invalidate tells who tracks a key that it changed.
//
//go:noinline
func (s *Shard) invalidate(key []byte, vanished bool) {
	tr := &s.tracking
	r, ok := tr.by[string(key)]
	if ok {
		s.set.tracking.keys.Add(-1)
		s.takeOut(string(key), &r)
	} else {
		tr.list = tr.list[:0]
	}
	if ok || s.set.Events()&broadcast != 0 {
		s.set.listener.Changed(s.holder, Change{Key: key, Readers: tr.list, By: tr.actor, Vanished: vanished})
	}
}
