package shard

import (
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// expireShare is the budget that a database gets before the expire cycle turns to the next.
const expireShare = 32

// SetExpire gives a key an expiry, and reports whether the key is there. atMs is not 0.
func (db *DB) SetExpire(k Key, atMs int64) bool {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if ok {
		db.setExpire(p, atMs)
		db.shard.Changed(db.id, k.Bytes)
	}
	return ok
}

// Persist takes a key's expiry away, and reports whether it had one.
func (db *DB) Persist(k Key) bool {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok || x.Entry(p).ExpireAt() == 0 {
		return false
	}
	db.setExpire(p, 0)
	db.shard.Changed(db.id, k.Bytes)
	return true
}

// setExpire gives the entry at p another expiry. Gaining or losing one moves it: the field is there only if used.
func (db *DB) setExpire(p index.Pos, atMs int64) {
	db.beforeChange(p)
	n := len(db.x.Load().Entry(p).Payload())
	db.reshape(p, n, atMs, n)
}

// expireDue has what is due of the entry at p disappear: the key, or some of a hash's fields. It returns how many of
// them.
func (db *DB) expireDue(p index.Pos, e index.Entry) (n int) {
	s := db.shard
	if at := e.ExpireAt(); at != 0 && at < s.dueMs {
		db.expire(p, e)
		return 1
	}
	s.dueKey = append(s.dueKey[:0], e.Key()...) // the entry may move
	h := Hash{Value: Value{db: db, key: Key{s.dueKey, s.hash(s.dueKey)}, pos: p, e: e, ok: true}, nowMs: s.dueMs}
	return h.expireFields(expireShare)
}

// expire deletes the entry at p because its time has come. Its disappearance is an effect like any other: logs
// and replicas see a DEL.
func (db *DB) expire(p index.Pos, e index.Entry) {
	s, key := db.shard, e.Key()
	if fn := s.set.expiring.Load(); fn != nil {
		(*fn)(s.hash(key))
	}
	s.StageDel(db.id, key)
	db.Notify(key, EventExpired, "expired")
	s.vanished(db.id, key)
	s.Stats.ExpiredKeys++
	db.remove(p)
}

// ExpireSome is one slice of the active expire cycle: it deletes expired keys and fields, and reports whether the cycle
// is complete: everything that was due when it began, in all databases, is gone. Call it again soon if not. One
// unit of budget is a deleted key, a deleted field or a segment of an index looked at (some 500 keys), at 100 to 500 ns
// each; a slice may take 50 units longer.
//
// A cycle visits the databases by turns, so that one in which everything expires doesn't keep the others waiting.
func (s *Shard) ExpireSome(nowMs int64, budget int) (done bool) {
	s.dueMs = nowMs
	for idle := 0; idle < len(s.dbs); {
		if budget <= 0 {
			return false
		}
		db := &s.dbs[s.expireDB]
		if s.expireDB++; s.expireDB == len(s.dbs) {
			s.expireDB = 0
		}
		if db.swept == s.cycle || db.expires+db.fieldExpires == 0 {
			idle++
			continue
		}
		idle = 0
		before := s.Stats.ExpiredKeys + s.Stats.ExpiredFields
		if db.x.Load().ExpireSome(&db.cursor, nowMs-1, min(budget, expireShare), db.due) {
			db.swept = s.cycle
			budget -= int(s.Stats.ExpiredKeys+s.Stats.ExpiredFields-before) + 1
		} else {
			budget -= expireShare
		}
	}
	s.cycle++
	s.noteStale()
	return true
}

// noteStale ends a cycle's account of how many keys it found due. As in Redis a cycle counts for a twentieth of the
// average.
func (s *Shard) noteStale() {
	gone := s.Stats.ExpiredKeys - s.Stats.ExpiredLazily - s.cycleFrom
	s.cycleFrom += gone
	expires := gone
	for i := range s.dbs {
		expires += int64(s.dbs[i].expires)
	}
	ppm := float64(0)
	if expires > 0 {
		ppm = float64(max(gone, 0)) * 1e6 / float64(expires)
	}
	s.stalePPM += (ppm - s.stalePPM) / 20
	s.Stats.StalePPM = int64(s.stalePPM)
}

// ShrinkSome is one slice of giving back the memory of indexes that lost most of their keys. budget is in keys
// moved, at some 50 ns each. It reports whether there is nothing to do for now.
func (s *Shard) ShrinkSome(budget int) (done bool) {
	for range s.dbs {
		db := &s.dbs[s.shrinkDB]
		x := db.x.Load()
		before := x.SizeBytes()
		done := x.Shrink(budget)
		if x.SizeBytes() != before {
			db.touch()
		}
		if !done {
			return false
		}
		if s.shrinkDB++; s.shrinkDB == len(s.dbs) {
			s.shrinkDB = 0
		}
	}
	return true
}

// Encoding returns the name that OBJECT ENCODING gives the value in e.
func (db *DB) Encoding(e index.Entry) string { return object.Encoding(e) }
