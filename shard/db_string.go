package shard

import (
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// SetString makes val the value of a key, whatever it had before, and expireAtMs its expiry, 0 meaning none.
// The block is used again if the new value is of its size.
func (db *DB) SetString(k Key, val []byte, expireAtMs int64) {
	kind, n := object.StringInline, len(val)
	if !object.FitsInline(len(k.Bytes), n, expireAtMs != 0) {
		kind, n = object.StringPaged, object.PagedSize
	}
	x := db.x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		db.beforeChange(p)
		db.shard.freeValue(x.Entry(p))
		e := db.reshape(p, n, expireAtMs, 0)
		e.SetTag(byte(kind))
		db.shard.renewed(e)
		db.fill(e, val)
	} else {
		e, ref := db.insert(k, byte(kind), n, expireAtMs)
		db.fill(e, val)
		x.Insert(k.Hash, ref)
	}
	db.shard.Changed(db.id, k.Bytes)
}

// fill writes the whole value of an entry whose tag and payload length are set.
func (db *DB) fill(e index.Entry, val []byte) {
	if object.KindOf(e.Tag()) == object.StringInline {
		copy(e.Payload(), val)
		return
	}
	var pages object.Paged
	pages.Write(db.shard.arena, 0, val)
	pages.Store(e.Payload())
}

// StringLen returns the length in bytes of the string in e.
func (db *DB) StringLen(e index.Entry) int { return object.StringLen(e) }

// StringView returns the string in e without copying if it is kept in one piece; it is valid until the next
// change in the shard.
func (db *DB) StringView(e index.Entry) ([]byte, bool) { return object.StringView(e) }

// AppendString appends the string in e to dst.
func (db *DB) AppendString(dst []byte, e index.Entry) []byte {
	return object.AppendString(dst, db.shard.arena.Space(), e)
}

// AppendStringRange appends the bytes from start up to, not including, end of the string in e to dst; what lies
// outside the string is left out.
func (db *DB) AppendStringRange(dst []byte, e index.Entry, start, end int) []byte {
	return object.AppendStringRange(dst, db.shard.arena.Space(), e, start, end)
}

// StringAppend appends suffix to the string in e, the entry of k, and returns the new length, which must not exceed
// object.MaxString. e is no longer valid afterwards.
func (db *DB) StringAppend(k Key, e index.Entry, suffix []byte) int {
	return db.writeString(k, object.StringLen(e), suffix)
}

// StringSetRange writes val into the string of a key at offset off, filling up with zero bytes what is missing
// before it, and returns the new length, which must not exceed object.MaxString. A key that isn't there is
// made, unless val is empty.
func (db *DB) StringSetRange(k Key, off int, val []byte) int {
	if _, ok := db.x.Load().Find(k.Hash, k.Bytes); ok {
		return db.writeString(k, off, val)
	}
	if len(val) == 0 {
		return 0
	}
	end := off + len(val)
	kind, n := object.StringInline, end
	if !object.FitsInline(len(k.Bytes), n, false) {
		kind, n = object.StringPaged, object.PagedSize
	}
	e, ref := db.insert(k, byte(kind)|object.FlagRaw, n, 0)
	if kind == object.StringInline {
		clear(e.Payload()[:off])
		copy(e.Payload()[off:], val)
	} else {
		var pages object.Paged
		pages.Write(db.shard.arena, off, val)
		pages.Store(e.Payload())
	}
	db.x.Load().Insert(k.Hash, ref)
	db.shard.Changed(db.id, k.Bytes)
	return end
}

// writeString writes val at offset off of the string of k, which is there, and returns the string's length.
func (db *DB) writeString(k Key, off int, val []byte) int {
	x, a := db.x.Load(), db.shard.arena
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		panic("BUG: shard: writing to a string that isn't there")
	}
	e := x.Entry(p)
	old, at := object.StringLen(e), e.ExpireAt()
	if len(val) == 0 {
		return old
	}
	n := max(old, off+len(val))
	db.beforeChange(p)
	switch {
	case object.KindOf(e.Tag()) == object.StringPaged:
		pages := object.LoadPaged(e.Payload())
		pages.Write(a, off, val)
		pages.Store(e.Payload())
	case object.FitsInline(len(k.Bytes), n, at != 0):
		e = db.reshape(p, n, at, old)
		payload := e.Payload()
		if off > old {
			clear(payload[old:off])
		}
		copy(payload[off:], val)
	default:
		var pages object.Paged
		pages.Write(a, 0, e.Payload())
		pages.Write(a, off, val)
		e = db.reshape(p, object.PagedSize, at, 0)
		e.SetTag(byte(object.StringPaged))
		pages.Store(e.Payload())
	}
	e.SetTag(e.Tag() | object.FlagRaw)
	db.shard.Changed(db.id, k.Bytes)
	return n
}
