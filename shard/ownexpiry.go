package shard

// maxOwnExpiries is how many keys of a shard are noted that clients of a replica have given an expiry, each of at most
// maxOwnBytes. What exceeds that goes when it is looked at.
const (
	maxOwnExpiries = 1 << 17
	maxOwnBytes    = 512
)

// ownExpiry is a key that a client of a replica, and not its primary, has given an expiry.
type ownExpiry struct {
	dbID int
	key  string
}

// NoteOwnExpiries has keys noted that clients write, from now on or no longer: the server is a replica that they may
// write to.
func (set *Set) NoteOwnExpiries(on bool) { set.notesOwn.Store(on) }

// NotesOwnExpiries tells whether NoteOwnExpiry is to be told of what clients write.
func (set *Set) NotesOwnExpiries() bool { return set.notesOwn.Load() }

// NoteOwnExpiry notes that the replica's own client has written a key, if it has an expiry: no primary will have it
// deleted. With the baton held.
func (s *Shard) NoteOwnExpiry(dbID int, k Key) {
	if len(k.Bytes) > maxOwnBytes {
		return
	}
	x := s.dbs[dbID].x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); !ok || x.Entry(p).ExpireAt() == 0 || len(s.ownExpiries) >= maxOwnExpiries {
		return
	}
	if s.ownExpiries == nil {
		s.ownExpiries = make(map[ownExpiry]struct{})
	}
	s.ownExpiries[ownExpiry{dbID, string(k.Bytes)}] = struct{}{}
}

// ExpireOwn is one slice of the active expire cycle of a replica: it looks at some of the noted keys, at most budget,
// deletes those that have expired and forgets those that have no expiry any more. While nothing expires it leaves them
// alone: a key whose time has come is not found then, and is still there.
func (s *Shard) ExpireOwn(nowMs int64, budget int) {
	if s.set.Frozen(nowMs) {
		return
	}
	for own := range s.ownExpiries {
		if budget--; budget < 0 {
			return
		}
		key := []byte(own.key)
		if e, ok := s.dbs[own.dbID].Look(Key{key, s.hash(key)}, nowMs); !ok || e.ExpireAt() == 0 {
			delete(s.ownExpiries, own)
		}
	}
}

// ForgetOwnExpiries forgets the noted keys: all that have an expiry are this server's to delete, or its primary's.
func (s *Shard) ForgetOwnExpiries() { clear(s.ownExpiries) }
