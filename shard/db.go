package shard

import (
	"sync/atomic"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Key is a key with its hash, computed once by Set.Key.
type Key struct {
	Bytes []byte
	Hash  uint64
}

// DB is one database of one shard. Except for the prefetches its methods need the shard's baton. Entries and
// views that they return are valid until the next change in the shard; arguments must not lie in the shard's
// own memory.
//
// Every change in here takes the same way: the index is told before (BeforeChange, or by Insert, Replace and Remove
// themselves), then blocks and nodes are written or freed, then watchers are told. What a command means for the
// log is staged by its caller; only the disappearance of expired keys is staged here, since nobody asked for it.
type DB struct {
	// atomic, for the prefetches; changed by Flush and SwapDBs with the baton held
	x atomic.Pointer[index.Index]

	// immutable
	id    int
	shard *Shard
	due   func(p index.Pos, e index.Entry) int // expireDue, as a value

	_ [64]byte // keep what follows off the prefetchers' line

	// held with the baton
	content
	// faults that tests plant: changes in place, and moves, that remain unannounced
	skip      int
	skipMoves bool
	// counts are to be published; the databases of which that is true are a list from keyspace.touched
	touched     bool
	nextTouched *DB

	counts publishedCounts
}

// content is what is said about a database's index, and goes with it when databases are swapped.
type content struct {
	expires      int // entries that have an expiry
	fieldExpires int // hashes with fields that have one
	// expireSumMs is the sum of their expiries modulo 2^64.
	expireSumMs int64
	cursor      index.ExpireCursor
	swept       uint64 // the expire cycle that was here last
	// sampleAt is where the search for candidates of eviction goes on if it came by none; 0: anywhere.
	sampleAt uint64
	// own are the keys that clients of a replica have given their expiry; nil: none. See NoteOwnExpiry.
	own map[string]struct{}
}

// keyspace is a shard's databases and its background work on them; held with the baton.
type keyspace struct {
	dbs   []DB
	hash  func(key []byte) uint64
	lazy  lazyList
	cycle uint64 // number of the running expire cycle, from 1
	// cycleFrom is how many keys earlier cycles have deleted, stalePPM what Stats.StalePPM is rounded from.
	cycleFrom int64
	stalePPM  float64
	expireDB  int // the database that the cycle looks at next
	owned     int // keys in content.own, of all databases
	ownDB     int // the database that ExpireOwn looks at next
	shrinkDB  int
	touched   *DB // first of the databases whose figures may have changed in this hold
	defrag    defragger

	dueOf  func(e index.Entry) int64 // Shard.dueAt, as a value
	dueMs  int64                     // the time of the running slice of the expire cycle
	dueKey []byte                    // for expireDue
	// for Hash: a field that has expired, a value that is written anew
	expiredField, copied []byte
	streams              streamRoom
	ahead                aheadScores
}

// init makes the shard's databases.
func (s *Shard) init(databases int) {
	s.hash = func(key []byte) uint64 { return s.set.Key(key).Hash }
	s.dueOf = s.dueAt
	s.cycle = 1
	s.lazy.init(s)
	s.heap = tree.Heap{Arena: s.arena, Version: 1, Later: s.lazy.addNodes}
	s.initEvict()
	s.defrag.move = s.moveEntry
	s.dbs = make([]DB, databases)
	for i := range s.dbs {
		db := &s.dbs[i]
		db.id, db.shard, db.due = i, s, db.expireDue
		db.x.Store(db.newIndex())
		db.touch()
	}
	s.publishCounts()
	s.used.Store(s.arena.UsedBytes())
}

// DB returns database number i.
func (s *Shard) DB(i int) *DB { return &s.dbs[i] }

// UsedBytes returns the bytes of the shard's arena that are in use: entries, indexes, and what waits to be freed.
func (s *Shard) UsedBytes() int64 { return s.arena.UsedBytes() }

func (db *DB) newIndex() *index.Index {
	a := db.shard.arena
	x := index.New(a.Space(), a, db.shard.hash)
	x.DueBy(object.FlagMixed, db.shard.dueOf)
	return x
}

// ID returns the database's number.
func (db *DB) ID() int { return db.id }

// Index returns the database's index as it is now; Flush puts another in its place, and SwapDBs that of another
// database. It is for walks: nothing else but the DB may change it.
func (db *DB) Index() *index.Index { return db.x.Load() }

// PrefetchBucket fetches the line in which the key with the given hash would be found. Anyone may call it at
// any time.
func (db *DB) PrefetchBucket(hash uint64) { db.x.Load().PrefetchBucket(hash) }

// PrefetchEntries fetches the entries that the key with the given hash may be, once its bucket has arrived.
// Anyone may call it at any time.
func (db *DB) PrefetchEntries(hash uint64) { db.x.Load().PrefetchEntries(hash) }

// Len returns the number of keys, expired ones that are still there included.
func (db *DB) Len() int { return db.x.Load().Len() }

// Expires returns the number of keys that have an expiry.
func (db *DB) Expires() int { return db.expires }

// FieldExpires returns the number of hashes that have fields with an expiry.
func (db *DB) FieldExpires() int { return db.fieldExpires }

// noteExpiry keeps the figures on expiries: an entry had one and now has another; 0: none.
func (db *DB) noteExpiry(hadMs, hasMs int64) {
	if hadMs == hasMs {
		return
	}
	if hadMs != 0 {
		db.expires--
	}
	if hasMs != 0 {
		db.expires++
	}
	db.expireSumMs += hasMs - hadMs // may wrap around: what counts are differences
	db.touch()
}

// noteFieldExpiry counts a hash that has fields with an expiry and comes (has) or goes, and reports whether it is one.
func (db *DB) noteFieldExpiry(e index.Entry, has bool) bool {
	if e.Tag()&object.FlagMixed == 0 || db.shard.fieldsDueAt(e) == 0 {
		return false
	}
	db.countFieldExpiry(has)
	return true
}

func (db *DB) countFieldExpiry(has bool) {
	if has {
		db.fieldExpires++
	} else {
		db.fieldExpires--
	}
	db.touch()
}

// dropValue frees the value of the entry at p, which is going to get another one.
func (db *DB) dropValue(p index.Pos, e index.Entry) {
	if db.noteFieldExpiry(e, false) {
		db.x.Load().NoteExpire(p, e.ExpireAt())
	}
	db.shard.freeValue(e)
}

// expired reports whether an entry's time has passed: in the very millisecond it is still there.
func expired(e index.Entry, nowMs int64) bool {
	at := e.ExpireAt()
	return at != 0 && at < nowMs
}

// Get returns the entry of a key and notes that it was used. An expired one is deleted, which is staged as an effect,
// and reported absent.
func (db *DB) Get(k Key, nowMs int64) (index.Entry, bool) {
	e, ok := db.Look(k, nowMs)
	if ok {
		db.shard.Touch(e)
	}
	return e, ok
}

// Look is Get for those who only look at a key, which is no use of it: the access clock stays. Also for those who
// go on to SetString, which notes the use.
func (db *DB) Look(k Key, nowMs int64) (index.Entry, bool) {
	_, e, ok := db.find(k, nowMs)
	return e, ok
}

// find looks a key up. An expired one is deleted, which is staged as an effect, and reported absent.
func (db *DB) find(k Key, nowMs int64) (index.Pos, index.Entry, bool) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		return p, index.Entry{}, false
	}
	e := x.Entry(p)
	if expired(e, nowMs) {
		if nowMs < db.shard.set.frozenMs.Load() {
			return p, index.Entry{}, false
		}
		db.shard.Stats.ExpiredLazily++
		db.expire(p, e)
		return p, index.Entry{}, false
	}
	return p, e, true
}

// HasExpired reports whether a key is there though its time has passed. It changes nothing.
func (db *DB) HasExpired(k Key, nowMs int64) bool {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	return ok && expired(x.Entry(p), nowMs)
}

// Delete removes a key and reports whether it was there, expired or not: who cares calls Get first. The value
// of a big one is freed later.
func (db *DB) Delete(k Key) bool {
	p, ok := db.x.Load().Find(k.Hash, k.Bytes)
	if !ok {
		return false
	}
	db.remove(p)
	db.shard.Changed(db.id, k.Bytes)
	return true
}

// remove takes an entry out and frees it.
func (db *DB) remove(p index.Pos) {
	x := db.x.Load()
	e, ref := x.Entry(p), x.Ref(p)
	db.noteExpiry(e.ExpireAt(), 0)
	db.noteFieldExpiry(e, false)
	x.Remove(p)
	db.touch()
	db.shard.freeEntry(ref, e)
}

// beforeChange announces a change to the bytes of the entry at p or to its nodes.
func (db *DB) beforeChange(p index.Pos) {
	if db.skip > 0 {
		db.skip--
		return
	}
	db.x.Load().BeforeChange(p)
}

// reshape gives the entry at p a payload of n bytes and another expiry (0 = none), and returns it where it is
// then: in the same block if it fits that as well as it would fit another. The first keep bytes of the payload,
// the key, the tag and the access clock stay; the rest of the payload is undefined. The change must have been
// announced.
func (db *DB) reshape(p index.Pos, n int, expireAtMs int64, keep int) index.Entry {
	x, a := db.x.Load(), db.shard.arena
	e := x.Entry(p)
	key, had, has := e.Key(), e.ExpireAt() != 0, expireAtMs != 0
	db.noteExpiry(e.ExpireAt(), expireAtMs)
	oldSize, size := e.SizeBytes(), index.EntrySize(len(key), n, has)
	if had == has && arena.UsableSize(oldSize) == arena.UsableSize(size) {
		e.SetPayloadLen(n)
		if has {
			e.SetExpireAt(expireAtMs)
			x.NoteExpire(p, expireAtMs)
		}
		return e
	}
	db.touch()
	ref, old := a.Alloc(size), x.Ref(p)
	moved := index.InitEntry(a.Space().Pointer(ref), e.Tag(), key, n, expireAtMs)
	moved.SetAccess(e.Access())
	copy(moved.Payload(), e.Payload()[:keep])
	if keep < max(n, len(e.Payload())) { // until the payload is written it can't be asked when fields expire
		moved.SetTag(e.Tag() &^ object.FlagMixed)
	}
	x.Replace(p, ref)
	moved.SetTag(e.Tag())
	a.Free(old, oldSize)
	return moved
}

// insert is enter for a key that comes to be, which is told.
func (db *DB) insert(k Key, tag byte, n int, expireAtMs int64) (index.Entry, arena.Ref) {
	db.Notify(k.Bytes, EventNew, "new")
	return db.enter(k, tag, n, expireAtMs)
}

// enter makes an entry for a key that isn't there. The caller writes its payload of n bytes before the index sees it.
func (db *DB) enter(k Key, tag byte, n int, expireAtMs int64) (index.Entry, arena.Ref) {
	a := db.shard.arena
	db.touch()
	ref := a.Alloc(index.EntrySize(len(k.Bytes), n, expireAtMs != 0))
	db.noteExpiry(0, expireAtMs)
	e := index.InitEntry(a.Space().Pointer(ref), tag, k.Bytes, n, expireAtMs)
	e.SetAccess(db.shard.fresh())
	return e, ref
}

// Flush removes all keys. The index is detached at once; what it held is freed later (FreeSome). A walk that is
// running on the detached index goes on there.
func (db *DB) Flush() {
	x := db.x.Load()
	if x.Len() == 0 {
		return
	}
	s := db.shard
	s.flushed(db)
	db.forgetAllOwn()
	db.x.Store(db.newIndex())
	db.expires, db.fieldExpires, db.expireSumMs, db.cursor = 0, 0, 0, index.ExpireCursor{}
	db.touch()
	s.swapped(db.id, db.id)
	s.lazy.addIndex(x)
}

// Scan calls fn for about count keys that are not expired, beginning at cursor, and returns the cursor to go on
// with; see index.Index.Scan. fn must not change anything.
func (db *DB) Scan(cursor uint64, count int, nowMs int64, fn func(e index.Entry)) (next uint64) {
	return db.x.Load().Scan(cursor, count, func(e index.Entry) {
		if !expired(e, nowMs) {
			fn(e)
		}
	})
}

const randomTries = 100

// Random returns some key's entry, each with the same probability; false if there is none, or if 100 in a row
// were expired. rnd is the source of randomness. Expired ones that it meets are deleted as by Get.
func (db *DB) Random(rnd uint64, nowMs int64) (index.Entry, bool) {
	for i := range uint64(randomTries) {
		e, ok := db.x.Load().Random(rnd + i)
		if !ok || !expired(e, nowMs) {
			return e, ok
		}
		db.Look(Key{e.Key(), db.shard.hash(e.Key())}, nowMs)
	}
	return index.Entry{}, false
}

// Type returns the type of the value in e.
func (db *DB) Type(e index.Entry) object.Type { return object.TypeOf(e.Tag()) }

// indexShare is the most that a key is said to take of an index, in bytes: a small index has room for many more.
const indexShare = 16

// UsageBytes returns the memory that a key takes, expired or not: its entry's block, what hangs on it, and its share of
// the index.
func (db *DB) UsageBytes(k Key) (n int64, ok bool) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		return 0, false
	}
	e := x.Entry(p)
	n = int64(arena.UsableSize(e.SizeBytes())) + min(x.SizeBytes()/int64(x.Len()), indexShare)
	nodes := object.NodesOf(e)
	return n + int64(nodes.UsedBytes(db.shard.arena.Space())), true
}
