package shard

import "sync/atomic"

// Watcher is one WATCH of a connection, from its first key to EXEC, DISCARD or UNWATCH. Shards hold
// pointers to it; a dropped one is forgotten when they next come across it, so that dropping needs no
// baton.
type Watcher struct {
	dirty, dropped atomic.Bool
}

// Dirty tells whether a watched key has changed. Safe from any goroutine; exact under the batons of all
// watched keys.
func (w *Watcher) Dirty() bool { return w.dirty.Load() }

// Drop ends the watch. Safe from any goroutine.
func (w *Watcher) Drop() { w.dropped.Store(true) }

type watchKey struct {
	db  int
	key string
}

// watchTable says who watches which key of a shard; held with the baton.
type watchTable struct {
	by      map[watchKey][]*Watcher
	sweepAt int // number of keys at which dropped watchers are swept out
}

// sweepMin is the least number of watched keys that is worth a sweep.
const sweepMin = 64

// Watch registers w for a key of db.
func (s *Shard) Watch(db int, key []byte, w *Watcher) {
	t := &s.watches
	if t.by == nil {
		t.by = map[watchKey][]*Watcher{}
		t.sweepAt = sweepMin
	}
	if len(t.by) >= t.sweepAt {
		t.sweep()
	}
	k := watchKey{db, string(key)}
	list := live(t.by[k])
	for _, have := range list {
		if have == w {
			return
		}
	}
	t.by[k] = append(list, w)
}

// live removes dropped watchers from a list, in place.
func live(list []*Watcher) []*Watcher {
	kept := list[:0]
	for _, w := range list {
		if !w.dropped.Load() {
			kept = append(kept, w)
		}
	}
	clear(list[len(kept):])
	return kept
}

// sweep removes all dropped watchers; its cost is paid for by the registrations since the last one.
func (t *watchTable) sweep() {
	for k, list := range t.by {
		if list = live(list); len(list) == 0 {
			delete(t.by, k)
		} else {
			t.by[k] = list
		}
	}
	t.sweepAt = max(2*len(t.by), sweepMin)
}

// Changed tells who watches or tracks a key that it changed, and notes it for those that wait for it. Called by every
// change of a key's value, expiry or existence.
func (s *Shard) Changed(db int, key []byte) { s.changed(db, key, false) }

// vanished is Changed for a key whose time has come, or whose memory is needed.
func (s *Shard) vanished(db int, key []byte) { s.changed(db, key, true) }

func (s *Shard) changed(db int, key []byte, vanished bool) {
	if s.set.Events()&tracked != 0 {
		s.invalidate(key, vanished)
	}
	if len(s.waits.by) > 0 {
		s.keyReady(db, key)
	}
	if len(s.watches.by) == 0 {
		return
	}
	k := watchKey{db, string(key)}
	list := s.watches.by[k]
	markDirty(list)
	if len(list) > 0 { // dirty for good: they need not hear of this key again
		delete(s.watches.by, k)
	}
}

func markDirty(list []*Watcher) {
	for _, w := range list {
		w.dirty.Store(true)
	}
}

// flushed tells the watchers of all keys that are in db that they changed. Called before they go. One that has expired
// meanwhile was there when the watch began, as WATCH removes what has expired, and so has changed, too.
func (s *Shard) flushed(db *DB) {
	x := db.x.Load()
	for k, list := range s.watches.by {
		if k.db != db.id {
			continue
		}
		key := s.set.Key([]byte(k.key))
		if _, ok := x.Find(key.Hash, key.Bytes); ok {
			markDirty(list)
			delete(s.watches.by, k)
		}
	}
}
