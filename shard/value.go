package shard

import (
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Value is what a key of a database has while a command works with it. It stays good over its own changes; any other
// change in the shard makes it invalid. It is embedded in Hash, List, MemberSet, Stream, String and ZSet, which know
// what a payload means.
//
// A collection is packed in its entry's payload as long as it is small (object.FitsPacked), and in trees above. Which
// encoding it is said to have is another matter: FlagBig and FlagMixed of its tag say that.
type Value struct {
	db  *DB
	key Key
	pos index.Pos
	e   index.Entry
	ok  bool
	// again: the key was there before, and what is made of it now takes that one's place: it is not told as new.
	again bool
}

// Value looks a key up and notes that it was used, as Get does.
func (db *DB) Value(k Key, nowMs int64) (v Value) {
	db.OpenValue(&v, k, nowMs)
	return v
}

// OpenValue is Value for one that is to lie in a certain place: a Value is big enough for its copies to be felt.
func (db *DB) OpenValue(v *Value, k Key, nowMs int64) {
	v.db, v.key = db, k
	if v.pos, v.e, v.ok = db.find(k, nowMs); v.ok {
		db.shard.Touch(v.e)
	}
}

// LookValue looks a key up as Look does.
func (db *DB) LookValue(k Key, nowMs int64) Value {
	v := Value{db: db, key: k}
	v.pos, v.e, v.ok = db.find(k, nowMs)
	return v
}

// Exists reports whether the key is there.
func (v *Value) Exists() bool { return v.ok }

// Again says of a value that is not there that it is going to take the place of one that was there a moment ago.
func (v *Value) Again() { v.again = true }

// Type returns the type of the value of a key that is there.
func (v *Value) Type() object.Type { return object.TypeOf(v.e.Tag()) }

// Kind returns the kind of the value of a key that is there.
func (v *Value) Kind() object.Kind { return object.KindOf(v.e.Tag()) }

// Key returns the key.
func (v *Value) Key() Key { return v.key }

// Entry returns the key's entry.
func (v *Value) Entry() index.Entry { return v.e }

// Remove removes the key, which is there.
func (v *Value) Remove() {
	v.db.remove(v.pos)
	v.ok = false
	v.changed()
}

// payload returns the value's payload. It must not be written to but in what change, splice and reform return.
func (v *Value) payload() []byte { return v.e.Payload() }

// has reports whether the value's tag has a flag.
func (v *Value) has(flag byte) bool { return v.e.Tag()&flag != 0 }

// set sets a flag of the tag. The change must have been announced.
func (v *Value) set(flag byte) { v.e.SetTag(v.e.Tag() | flag) }

// space is where the nodes of all values are.
func (v *Value) space() *arena.Space { return v.db.shard.arena.Space() }

// changed tells those who want to know of changes to the key. To be called once by every method that changes something.
func (v *Value) changed() {
	v.db.touch()
	v.db.shard.Changed(v.db.id, v.key.Bytes)
}

// create makes the key, which isn't there, with a payload of n bytes that fill writes.
func (v *Value) create(k object.Kind, flags byte, n int, fill func(payload []byte)) {
	if !v.again {
		v.db.Notify(v.key.Bytes, EventNew, "new")
	}
	e, ref := v.db.enter(v.key, byte(k)|flags, n, 0)
	fill(e.Payload())
	v.pos, v.e, v.ok = v.db.x.Load().Insert(v.key.Hash, ref), e, true
}

// change announces a change and returns the payload for writing to it.
func (v *Value) change() []byte {
	v.db.beforeChange(v.pos)
	return v.e.Payload()
}

// splice announces a change, puts room for ins bytes in the place of del bytes at offset at of the payload, and returns
// the payload. What is in the new room is undefined.
func (v *Value) splice(at, del, ins int) []byte {
	v.db.beforeChange(v.pos)
	old := v.e.Payload()
	n := len(old) - del + ins
	size := index.EntrySize(len(v.key.Bytes), n, v.e.ExpireAt() != 0)
	if arena.UsableSize(size) == arena.UsableSize(v.e.SizeBytes()) {
		if ins > del {
			v.e.SetPayloadLen(n)
		}
		all := v.e.Payload()[:max(n, len(old))]
		copy(all[at+ins:n], all[at+del:len(old)])
		v.e.SetPayloadLen(n)
		return v.e.Payload()
	}
	x, a := v.db.x.Load(), v.db.shard.arena
	oldSize, oldRef := v.e.SizeBytes(), x.Ref(v.pos)
	ref := a.Alloc(size)
	e := index.InitEntry(a.Space().Pointer(ref), v.e.Tag(), v.key.Bytes, n, v.e.ExpireAt())
	e.SetAccess(v.e.Access())
	payload := e.Payload()
	copy(payload, old[:at])
	copy(payload[at+ins:], old[at+del:])
	x.Replace(v.pos, ref)
	a.Free(oldRef, oldSize)
	v.e = e
	return payload
}

// reform announces a change and gives the value another kind and a payload of n bytes, which is undefined. What hangs
// on the old payload is the caller's. Flags and expiry stay.
func (v *Value) reform(k object.Kind, n int) []byte {
	v.db.beforeChange(v.pos)
	v.e = v.db.reshape(v.pos, n, v.e.ExpireAt(), 0)
	v.e.SetTag(object.WithKind(v.e.Tag(), k))
	return v.e.Payload()
}

// trees returns the trees of a value that has some.
func (v *Value) trees() object.Trees { return object.LoadTrees(v.Kind(), v.e.Payload()) }

// heap is where nodes of t, the trees of the value, come from, until the next call for any value. The change must have
// been announced: change.
func (v *Value) heap(t *object.Trees) *tree.Heap { return v.db.shard.heapOf(t.Pin()) }

// store writes the trees back after they changed.
func (v *Value) store(t *object.Trees) { t.Store(v.e.Payload()) }

// fitsPacked reports whether the value may stay packed with a payload of n bytes.
func (v *Value) fitsPacked(n int) bool {
	return n <= v.db.shard.set.packed && object.FitsPacked(len(v.key.Bytes), n, v.ok && v.e.ExpireAt() != 0)
}

// hash is the hash of a member or field by which trees are ordered, 32 bits.
func (v *Value) hash(member []byte) uint64 { return v.db.shard.hash(member) >> 32 }
