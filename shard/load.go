package shard

import (
	"fulmen/shard/object"
)

// LoadedString is a key with a string that comes from a file.
type LoadedString struct {
	Key        Key
	Value      []byte
	DB         int
	ExpireAtMs int64  // 0: none
	Access     uint32 // what the entry's access clock is set to
}

// Expect makes room for keys in a database of which the index has had none yet: in any other it grows as they come.
// See index.Index.Reserve for how to bound their number.
func (s *Shard) Expect(db, keys int) {
	s.dbs[db].x.Load().Reserve(keys)
	s.dbs[db].touch()
}

// AddStrings makes keys that are not there yet, all of this shard. It stops at a key that is there and returns its
// place in list; len(list) if all were added. The lines of the index that the keys belong to are fetched together; that
// makes a key, in lists of 32 and more, cheaper by a quarter (3 M keys: 680 against 910 ns of processor time).
func (s *Shard) AddStrings(list []LoadedString) int {
	for i := range list {
		l := &list[i]
		s.dbs[l.DB].PrefetchBucket(l.Key.Hash)
	}
	for i := range list {
		l := &list[i]
		if !s.dbs[l.DB].addString(l) {
			return i
		}
	}
	return len(list)
}

// addString adds a key unless it is there.
func (db *DB) addString(l *LoadedString) bool {
	kind, n := object.StringInline, len(l.Value)
	if !object.FitsInline(len(l.Key.Bytes), n, l.ExpireAtMs != 0) {
		return db.addPaged(l)
	}
	x := db.x.Load()
	if _, ok := x.Find(l.Key.Hash, l.Key.Bytes); ok {
		return false
	}
	e, ref := db.enter(l.Key, byte(kind), n, l.ExpireAtMs)
	e.SetAccess(l.Access)
	copy(e.Payload(), l.Value)
	x.Insert(l.Key.Hash, ref)
	db.shard.Changed(db.id, l.Key.Bytes)
	return true
}

// addPaged is addString for a string that does not fit in the entry.
func (db *DB) addPaged(l *LoadedString) bool {
	if _, ok := db.x.Load().Find(l.Key.Hash, l.Key.Bytes); ok {
		return false
	}
	db.SetString(l.Key, l.Value, l.ExpireAtMs)
	x := db.x.Load()
	if p, ok := x.Find(l.Key.Hash, l.Key.Bytes); ok {
		x.Entry(p).SetAccess(l.Access)
	}
	return true
}
