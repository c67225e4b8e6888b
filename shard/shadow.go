package shard

import (
	"fulmen/persist/log"
	"fulmen/shard/ds/index"
)

// A shadow is a second set of data that is made beside the one in use, which goes on being used meanwhile: a replica
// that receives everything anew. It is a Set like the other one, of as many shards that have the same keys, but nobody
// serves it: whoever makes it has its batons (Seize) and works on it without those of the set in use. It takes its
// memory from the same space, by twins of the shards' arenas; so when it is complete it takes the other one's place
// in a moment (Replace), however much there is.

// Shadow returns an empty shadow of the set. It ends with Replace or Discard.
func (set *Set) Shadow() *Set {
	shadow := &Set{
		Space: set.Space, Log: log.New(len(set.Shards), log.Limits{}), Clock: set.Clock,
		seed: set.seed, mask: set.mask, dbs: set.dbs, packed: set.packed,
	}
	shadow.eviction.Store(set.Eviction())
	shadow.access.Store(set.access.Load())
	for i, s := range set.Shards {
		t := &Shard{ID: i, set: shadow, arena: set.Space.NewTwin(uint8(i)), log: shadow.Log.Shard(i), bell: s.bell}
		t.random = s.random
		t.init(set.dbs)
		shadow.Shards = append(shadow.Shards, t)
	}
	return shadow
}

// Replace puts what a shadow has in the place of what the set has, which is freed later like after Flush, and tells who
// watches or waits for keys. All batons are held, of the set and of the shadow, which must not be used any more. It
// takes no longer for more data, only for keys that are being watched. Nothing is staged.
func (set *Set) Replace(shadow *Set) {
	for i, s := range set.Shards {
		s.replace(shadow.Shards[i])
	}
	set.AllChanged()
}

// replace is Replace for one shard.
func (s *Shard) replace(t *Shard) {
	s.arena.Absorb(t.arena)
	s.lazy.items = append(s.lazy.items, t.lazy.items...)
	s.ForgetOwnExpiries()
	for id := range s.dbs {
		db, from := &s.dbs[id], &t.dbs[id]
		old, x := db.x.Load(), from.x.Load()
		if old.SizeBytes() == 0 && x.SizeBytes() == 0 {
			continue
		}
		s.exchanged(db, x)
		x.Rehome(s.arena, s.hash, s.dueOf)
		db.x.Store(x)
		db.content = from.content
		db.touch()
		s.swapped(id, id)
		if old.SizeBytes() > 0 {
			s.lazy.addIndex(old)
		}
	}
}

// exchanged tells the watchers of all keys that are in db, or in the index that is to be its, that they changed.
func (s *Shard) exchanged(db *DB, next *index.Index) {
	old := db.x.Load()
	for k, list := range s.watches.by {
		if k.db != db.id {
			continue
		}
		key := s.set.Key([]byte(k.key))
		_, was := old.Find(key.Hash, key.Bytes)
		_, is := next.Find(key.Hash, key.Bytes)
		if was || is {
			markDirty(list)
			delete(s.watches.by, k)
		}
	}
}

// discardSlice is how many entries of a shadow are freed before Discard asks whether it is to go on.
const discardSlice = 1 << 14

// Discard frees all memory of a shadow that is not to be used. If stop says so it is left as it is, for a process that
// is about to end.
func (shadow *Set) Discard(stop func() bool) {
	for _, t := range shadow.Shards {
		for id := range t.dbs {
			x := t.dbs[id].x.Load()
			for !x.FreeSome(discardSlice, t.freeEntry) {
				if stop() {
					return
				}
			}
		}
		for !t.FreeSome(discardSlice) {
			if stop() {
				return
			}
		}
		t.arena.Trim()
	}
}
