package shard

// maxOwnExpiries is how many keys of a shard are noted that clients of a replica have given an expiry, each of at most
// maxOwnBytes. What exceeds that goes when it is looked at.
const (
	maxOwnExpiries = 1 << 17
	maxOwnBytes    = 512
)

// NoteOwnExpiries has those keys noted whose expiry this server's clients set, from now on or no longer: the server is
// a replica.
func (set *Set) NoteOwnExpiries(on bool) { set.notesOwn.Store(on) }

// NotesOwnExpiries tells whether NoteOwnExpiry is to be told of expiries.
func (set *Set) NotesOwnExpiries() bool { return set.notesOwn.Load() }

// NoteOwnExpiry notes that the replica's own client has given a key the expiry that it has, if it has one: no primary
// will have it deleted. With own false it was the primary, which will. With the baton held.
func (db *DB) NoteOwnExpiry(k Key, own bool) {
	if !own {
		if len(db.own) > 0 {
			db.forgetOwn(string(k.Bytes))
		}
		return
	}
	s, x := db.shard, db.x.Load()
	if len(k.Bytes) > maxOwnBytes || s.owned >= maxOwnExpiries {
		return
	}
	if p, ok := x.Find(k.Hash, k.Bytes); !ok || x.Entry(p).ExpireAt() == 0 {
		return
	}
	if db.own == nil {
		db.own = make(map[string]struct{})
	}
	before := len(db.own)
	db.own[string(k.Bytes)] = struct{}{}
	s.owned += len(db.own) - before
}

// forgetOwn forgets a key, if it was noted.
func (db *DB) forgetOwn(key string) {
	before := len(db.own)
	delete(db.own, key)
	db.shard.owned -= before - len(db.own)
}

// forgetAllOwn forgets the noted keys of a database.
func (db *DB) forgetAllOwn() {
	db.shard.owned -= len(db.own)
	db.own = nil
}

// ExpireOwn is one slice of the active expire cycle of a replica: it looks at some of the noted keys, at most budget,
// deletes those that have expired and forgets those that have no expiry any more. It reports whether it is done for
// now: as in Redis, if fewer than a quarter of them had expired. While nothing expires it leaves them alone: a key
// whose time has come is not found then, and is still there.
func (s *Shard) ExpireOwn(nowMs int64, budget int) (done bool) {
	if s.owned == 0 || s.set.Frozen(nowMs) {
		return true
	}
	left, gone := budget, 0
	for range s.dbs {
		db := &s.dbs[s.ownDB]
		if s.ownDB++; s.ownDB == len(s.dbs) {
			s.ownDB = 0 // the next slice begins behind this database, however many of it there are
		}
		for own := range db.own {
			if left--; left < 0 {
				return 4*gone < budget
			}
			key := []byte(own)
			if e, ok := db.Look(Key{key, s.hash(key)}, nowMs); !ok || e.ExpireAt() == 0 {
				db.forgetOwn(own)
				gone++
			}
		}
	}
	return 4*gone < budget
}

// ForgetOwnExpiries forgets the noted keys: all that have an expiry are this server's to delete, or its primary's.
func (s *Shard) ForgetOwnExpiries() {
	for i := range s.dbs {
		if s.owned == 0 {
			return
		}
		s.dbs[i].forgetAllOwn()
	}
}
