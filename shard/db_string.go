package shard

import (
	"bytes"
	"encoding/binary"

	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// SetString makes val the value of a key, whatever it had before, and expireAtMs its expiry, 0 meaning none.
// The block is used again if the new value is of its size.
func (db *DB) SetString(k Key, val []byte, expireAtMs int64) {
	kind, n := object.StringInline, len(val)
	if !object.FitsInline(len(k.Bytes), n, expireAtMs != 0) {
		kind, n = object.StringPaged, tree.PagedSize
	}
	x := db.x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		db.beforeChange(p)
		db.dropValue(p, x.Entry(p))
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

// SetFloatText is SetString for the text of a floating-point number, which OBJECT ENCODING doesn't call an integer even
// if it is one.
func (db *DB) SetFloatText(k Key, val []byte, expireAtMs int64) {
	db.SetString(k, val, expireAtMs)
	x := db.x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		e := x.Entry(p)
		e.SetTag(e.Tag() | object.FlagText)
	}
}

// fill writes the whole value of an entry whose tag and payload length are set.
func (db *DB) fill(e index.Entry, val []byte) {
	if object.KindOf(e.Tag()) == object.StringInline {
		copy(e.Payload(), val)
		return
	}
	var pages tree.Paged
	pages.Write(db.shard.newHeap(), 0, val)
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

// StringPieces calls fn for the bytes from start up to, not including, end of the string in e, from left to right,
// until it returns false: n bytes at a time, the first of which are b and the others zero. Nothing is copied, and a
// hole of any size is one piece or few. 0 ≤ start ≤ end ≤ the string's length.
func (db *DB) StringPieces(e index.Entry, start, end int, fn func(b []byte, n int) bool) {
	object.StringPieces(db.shard.arena.Space(), e, start, end, fn)
}

// StringEqual reports whether the string in e is b.
func (db *DB) StringEqual(e index.Entry, b []byte) bool {
	if object.StringLen(e) != len(b) {
		return false
	}
	equal := true
	db.StringPieces(e, 0, len(b), func(piece []byte, n int) bool {
		equal = bytes.Equal(piece, b[:len(piece)]) && zero(b[len(piece):n])
		b = b[n:]
		return equal
	})
	return equal
}

// StringRead copies the bytes of the string in e from off on to dst; what lies behind the string's end is zero.
func (db *DB) StringRead(dst []byte, e index.Entry, off int) {
	clear(dst)
	end, at := min(off+len(dst), object.StringLen(e)), 0
	if off >= end {
		return
	}
	db.StringPieces(e, off, end, func(b []byte, n int) bool {
		copy(dst[at:], b)
		at += n
		return true
	})
}

// StringRaw marks the string in the entry of k, which is there, as one that was written to, as StringSetRange does. It
// is still the same value: neither watchers nor the log are told.
func (db *DB) StringRaw(k Key) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		panic("BUG: shard: marking a string that isn't there")
	}
	if e := x.Entry(p); e.Tag()&object.FlagRaw == 0 {
		db.beforeChange(p)
		e.SetTag(e.Tag() | object.FlagRaw)
	}
}

// StringReplace makes val the string in the entry of k, which is there: one that was written to, with the expiry and
// the access clock that it has. Where both are paged and of one length the pages stay.
func (db *DB) StringReplace(k Key, val []byte) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		panic("BUG: shard: replacing a string that isn't there")
	}
	e := x.Entry(p)
	at := e.ExpireAt()
	db.beforeChange(p)
	switch inline := object.FitsInline(len(k.Bytes), len(val), at != 0); {
	case inline:
		db.dropValue(p, e)
		e = db.reshape(p, len(val), at, 0)
		e.SetTag(byte(object.StringInline) | object.FlagRaw)
		copy(e.Payload(), val)
	case object.KindOf(e.Tag()) == object.StringPaged && object.StringLen(e) == len(val):
		pages := tree.LoadPaged(e.Payload())
		pages.Write(db.shard.heapOf(pages.Pin()), 0, val)
		pages.Store(e.Payload())
		e.SetTag(e.Tag() | object.FlagRaw)
	default:
		db.dropValue(p, e)
		e = db.reshape(p, tree.PagedSize, at, 0)
		e.SetTag(byte(object.StringPaged) | object.FlagRaw)
		db.fill(e, val)
	}
	db.shard.Changed(db.id, k.Bytes)
}

// StringBuild gives a key a string of n bytes, 0 < n ≤ object.MaxString, without expiry, whatever it had before. part
// writes the bytes from off on to b, which is zero: len(buf) bytes at a time, from left to right. To make a
// part the old value may be read, from off on. Parts that stay zero
// take no memory.
func (db *DB) StringBuild(k Key, n int, buf []byte, part func(b []byte, off int)) {
	if object.FitsInline(len(k.Bytes), n, false) && n <= len(buf) {
		b := buf[:n]
		clear(b)
		part(b, 0)
		db.SetString(k, b, 0)
		db.StringRaw(k)
		return
	}
	if db.rebuild(k, n, buf, part) {
		return
	}
	var pages tree.Paged
	for off := 0; off < n; off += len(buf) {
		b := buf[:min(len(buf), n-off)]
		clear(b)
		part(b, off)
		if !zero(b) {
			pages.Write(db.shard.newHeap(), off, b)
		}
	}
	pages.Extend(db.shard.newHeap(), n)
	db.setPages(k, pages)
}

// rebuild is StringBuild for a key that has a paged string of that length, in whose pages the new one is written; false
// if it hasn't. Making new pages costs more than all the rest. What is read of the old string to make a part lies in
// this part, or behind it.
func (db *DB) rebuild(k Key, n int, buf []byte, part func(b []byte, off int)) bool {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		return false
	}
	e := x.Entry(p)
	if object.KindOf(e.Tag()) != object.StringPaged || object.StringLen(e) != n {
		return false
	}
	db.beforeChange(p)
	for off := 0; off < n; off += len(buf) {
		b := buf[:min(len(buf), n-off)]
		clear(b)
		part(b, off)
		pages := tree.LoadPaged(e.Payload())
		if zero(b) && pages.Hole(db.shard.arena.Space(), off, off+len(b)) {
			continue
		}
		pages.Write(db.shard.heapOf(pages.Pin()), off, b)
		pages.Store(e.Payload()) // at once: the next part may be made from it
	}
	e = db.reshape(p, tree.PagedSize, 0, tree.PagedSize)
	e.SetTag(e.Tag() | object.FlagRaw)
	db.shard.renewed(e)
	db.shard.Changed(db.id, k.Bytes)
	return true
}

// setPages makes pages, written to as by StringSetRange, the value of a key, without expiry.
func (db *DB) setPages(k Key, pages tree.Paged) {
	const tag = byte(object.StringPaged) | object.FlagRaw
	x := db.x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		db.beforeChange(p)
		db.dropValue(p, x.Entry(p))
		e := db.reshape(p, tree.PagedSize, 0, 0)
		e.SetTag(tag)
		db.shard.renewed(e)
		pages.Store(e.Payload())
	} else {
		e, ref := db.insert(k, tag, tree.PagedSize, 0)
		pages.Store(e.Payload())
		x.Insert(k.Hash, ref)
	}
	db.shard.Changed(db.id, k.Bytes)
}

// zero reports whether all bytes are zero.
func zero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
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
		kind, n = object.StringPaged, tree.PagedSize
	}
	e, ref := db.insert(k, byte(kind)|object.FlagRaw, n, 0)
	if kind == object.StringInline {
		clear(e.Payload()[:off])
		copy(e.Payload()[off:], val)
	} else {
		var pages tree.Paged
		pages.Write(db.shard.newHeap(), off, val)
		pages.Store(e.Payload())
	}
	db.x.Load().Insert(k.Hash, ref)
	db.shard.Changed(db.id, k.Bytes)
	return end
}

// writeString writes val at offset off of the string of k, which is there, and returns the string's length.
func (db *DB) writeString(k Key, off int, val []byte) int {
	x := db.x.Load()
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
		pages := tree.LoadPaged(e.Payload())
		pages.Write(db.shard.heapOf(pages.Pin()), off, val)
		pages.Store(e.Payload())
	case object.FitsInline(len(k.Bytes), n, at != 0):
		e = db.reshape(p, n, at, old)
		payload := e.Payload()
		if off > old {
			clear(payload[old:off])
		}
		copy(payload[off:], val)
	default:
		var pages tree.Paged
		pages.Write(db.shard.newHeap(), 0, e.Payload())
		pages.Write(db.shard.newHeap(), off, val)
		e = db.reshape(p, tree.PagedSize, at, 0)
		e.SetTag(byte(object.StringPaged))
		pages.Store(e.Payload())
	}
	e.SetTag(e.Tag() | object.FlagRaw)
	db.shard.Changed(db.id, k.Bytes)
	return n
}
