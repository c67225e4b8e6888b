package shard

import (
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Values move and are copied between keys, databases and shards; the batons of both shards are held.
//
// Entries are copied: they lie in the arena of the shard whose index refers to them. What hangs on an entry moves as
// it is, whosever blocks it is made of: references reach over all arenas, and the content of a block belongs to the
// shard of the entry that it hangs on, not to the arena that it came from. So nobody but Arena.Free has to know: a
// node that is replaced or freed goes back to its arena, by the list of returned blocks, which that one's home loop
// empties (FreeSome). New nodes come from the shard's own arena. A value that is written to moves over node by node.

// MoveTo gives the value of k, which is there, with its expiry and access clock to the key `to` of dst, in the place
// of what that one had, and removes k. It takes the time of a small value for one of any size. k of db and `to` of
// dst must not be the same.
func (db *DB) MoveTo(k Key, dst *DB, to Key) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		panic("BUG: shard: moving a key that isn't there")
	}
	e, ref := x.Entry(p), x.Ref(p)
	db.noteExpiry(e.ExpireAt(), 0)
	db.noteFieldExpiry(e, false)
	x.Remove(p)
	db.touch()
	db.shard.Changed(db.id, k.Bytes)
	dst.adopt(to, e, e.Payload()).SetAccess(e.Access())
	db.shard.arena.Free(ref, e.SizeBytes())
}

// CopyTo gives a copy of the value of k, which is there, with its expiry to the key `to` of dst, in the place of what
// that one had. It takes time proportional to the value's size. k of db and `to` of dst must not be the same.
func (db *DB) CopyTo(k Key, dst *DB, to Key) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		panic("BUG: shard: copying a key that isn't there")
	}
	e := x.Entry(p)
	if !object.HasNodes(e.Tag()) {
		dst.adopt(to, e, e.Payload()).SetAccess(dst.shard.fresh())
		return
	}
	var payload [maxNodesPayload]byte
	n := copy(payload[:], e.Payload())
	nodes := object.NodesOf(e)
	nodes = nodes.Clone(dst.shard.newHeap())
	nodes.Store(payload[:])
	dst.adopt(to, e, payload[:n]).SetAccess(dst.shard.fresh())
}

// maxNodesPayload is the size of the biggest payload that refers to nodes.
const maxNodesPayload = max(tree.PagedSize, object.TreesSize, object.StreamSize)

// adopt makes payload, with the tag and the expiry of e, the value of k, whatever it had before, and leaves the access
// clock to its caller. e lies in no index or under another key.
func (db *DB) adopt(k Key, e index.Entry, payload []byte) index.Entry {
	return db.place(k, e.Tag(), payload, e.ExpireAt())
}

// place is adopt for a tag and an expiry, 0 meaning none.
func (db *DB) place(k Key, tag byte, payload []byte, at int64) index.Entry {
	if object.KindOf(tag) == object.StringInline && !object.FitsInline(len(k.Bytes), len(payload), at != 0) {
		var pages tree.Paged // under this key it is too long to be kept in one piece
		pages.Write(db.shard.newHeap(), 0, payload)
		tag = object.WithKind(tag, object.StringPaged)
		payload = make([]byte, tree.PagedSize)
		pages.Store(payload)
	}
	db.Notify(k.Bytes, EventNew, "new") // also if another value goes for it, as when it is deleted first
	x := db.x.Load()
	var made index.Entry
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		db.beforeChange(p)
		db.dropValue(p, x.Entry(p))
		made = db.reshape(p, len(payload), at, 0)
		made.SetTag(tag)
		copy(made.Payload(), payload)
		x.NoteExpire(p, db.shard.dueAt(made))
	} else {
		e, ref := db.enter(k, tag, len(payload), at)
		copy(e.Payload(), payload)
		x.Insert(k.Hash, ref)
		made = e
	}
	db.noteFieldExpiry(made, true)
	db.shard.Changed(db.id, k.Bytes)
	return made
}

// SwapDBs exchanges what two databases hold; all shards do it at the same time. It takes no longer for big ones, only
// for keys that are being watched: whoever watches one that is in either of the databases is told. Those that have
// expired go first, which is staged as an effect, as they do when WATCH comes across them.
func (s *Shard) SwapDBs(i, j int, nowMs int64) {
	if i == j {
		return
	}
	a, b := &s.dbs[i], &s.dbs[j]
	for k, list := range s.watches.by {
		if k.db != i && k.db != j {
			continue
		}
		key := s.set.Key([]byte(k.key))
		_, inA := a.Look(key, nowMs)
		_, inB := b.Look(key, nowMs)
		if inA || inB {
			markDirty(list)
			delete(s.watches.by, k)
		}
	}
	x := a.x.Load()
	a.x.Store(b.x.Load())
	b.x.Store(x)
	a.content, b.content = b.content, a.content
	a.touch()
	b.touch()
	s.swapped(i, j)
}

// GiveAway removes a key that is somewhere else from now on, and stages that as an effect. It need not be there.
func (db *DB) GiveAway(k Key) {
	if db.Delete(k) {
		db.shard.StageDel(db.id, k.Bytes)
		db.shard.AddDirty(1)
	}
}
