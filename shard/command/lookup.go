package command

import (
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// Words of effects.
var (
	wordSet       = []byte("SET")
	wordDel       = []byte("DEL")
	wordUnlink    = []byte("UNLINK")
	wordKeepTTL   = []byte("KEEPTTL")
	wordPXAT      = []byte("PXAT")
	wordPExpireAt = []byte("PEXPIREAT")
	wordPersist   = []byte("PERSIST")
)

// Notify tells that something happened to one of the call's keys: an event as notify-keyspace-events has it. Handlers
// call it in the order in which Redis tells of what they do.
func (c *Ctx) Notify(k *Keyed, class shard.EventClass, event string) {
	k.Shard.Notify(c.DBID, k.Key.Bytes, class, event)
}

// notifyChange is Notify for a change of v, the value of the key. If it has lost its last element with it the key is
// gone, which is told, too.
func (c *Ctx) notifyChange(k *Keyed, v *shard.Value, class shard.EventClass, event string) {
	c.Notify(k, class, event)
	if !v.Exists() {
		c.Notify(k, shard.EventGeneric, "del")
	}
}

// read looks a key up for a command that reads it, and counts the hit or miss; db is its database.
func (c *Ctx) read(k *Keyed, db *shard.DB) (index.Entry, bool) {
	e, ok := db.Get(k.Key, c.NowMs)
	c.count(k, ok)
	return e, ok
}

// look is read for a command that asks about a key without using it.
func (c *Ctx) look(k *Keyed, db *shard.DB) (index.Entry, bool) {
	e, ok := db.Look(k.Key, c.NowMs)
	c.count(k, ok)
	return e, ok
}

// readValue looks a key up, into v, for a command that reads a value of type t there, and counts the hit or miss. A
// value of another type is an error.
func (c *Ctx) readValue(v *shard.Value, k *Keyed, t object.Type) error {
	err := c.writeValue(v, k, t)
	c.count(k, v.Exists())
	return err
}

// writeValue looks a key up, into v, for a command that changes a value of type t there, or makes one. A value of
// another type is an error.
func (c *Ctx) writeValue(v *shard.Value, k *Keyed, t object.Type) error {
	k.Shard.DB(c.DBID).OpenValue(v, k.Key, c.NowMs)
	if v.Exists() && v.Type() != t {
		return resp.ErrWrongType
	}
	return nil
}

// count counts a hit or a miss of a command that reads a key. A miss is an event.
func (c *Ctx) count(k *Keyed, hit bool) {
	if hit {
		k.Shard.Stats.Hits++
		return
	}
	k.Shard.Stats.Misses++
	c.Notify(k, shard.EventKeyMiss, "keymiss")
}

// remove deletes a key that is there.
func (c *Ctx) remove(k *Keyed) {
	k.Shard.DB(c.DBID).Delete(k.Key)
	c.removed(k)
}

// removed tells of a key that the call has deleted.
func (c *Ctx) removed(k *Keyed) {
	c.Notify(k, shard.EventGeneric, "del")
	c.Dirty++
	c.Effect(k.Arg, wordDel, k.Key.Bytes)
}

// setExpire gives a key that is there an expiry.
func (c *Ctx) setExpire(k *Keyed, atMs int64) {
	db := k.Shard.DB(c.DBID)
	db.SetExpire(k.Key, atMs)
	c.noteOwn(k, db)
	c.Notify(k, shard.EventGeneric, "expire")
	c.Dirty++
	if c.Logging() {
		c.Effect(k.Arg, wordPExpireAt, k.Key.Bytes, c.number(atMs))
	}
}

// noteOwn has it noted, on a replica, whose the expiry is that a key of db was given by the call, if it has one: what
// its own clients have set its primary will never see expire.
func (c *Ctx) noteOwn(k *Keyed, db *shard.DB) {
	if c.Set.NotesOwnExpiries() {
		db.NoteOwnExpiry(k.Key, !c.obeys())
	}
}

// DBIndex consumes the number of a database.
func (c *Ctx) DBIndex(a *Args) int {
	id := a.Int32()
	if id < 0 || id >= int64(c.Set.Databases()) {
		a.Fail(resp.ErrDBIndex)
	}
	return int(id)
}

// number writes n into the scratch buffer.
func (c *Ctx) number(n int64) []byte {
	c.scratch = strconv.AppendInt(c.scratch[:0], n, 10)
	return c.scratch
}

// oneShard tells whether all keys of the call are in one shard, so that one record can hold its effect.
func (c *Ctx) oneShard() bool {
	for i := range c.Keys[1:] {
		if c.Keys[i+1].Shard != c.Keys[0].Shard {
			return false
		}
	}
	return true
}

// buffer returns n bytes of the scratch buffer, with any content.
func (c *Ctx) buffer(n int) []byte {
	c.scratch = slices.Grow(c.scratch[:0], n)[:n]
	return c.scratch
}
