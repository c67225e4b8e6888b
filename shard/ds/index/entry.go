package index

import "unsafe"

// An entry is one block: header, optional fields, key, payload. Numbers are in the machine's order: entries never
// leave the process in this form.
//
//	0  u8   tag: low 4 bits the object's type and encoding, TagExpire, TagLongKey, 2 bits for the object
//	1  u24  access clock (LRU or LFU)
//	4  u16  key length (0 with TagLongKey)
//	6  u16  payload length
//	8  i64  expiry, Unix time in ms; only with TagExpire
//	   u32  key length, u32 0; only with TagLongKey
//	   key
//	   payload
const (
	// TagObject are the tag bits that belong to the object: type, encoding and flags.
	TagObject = 0xCF
	// TagExpire is set if the entry has an expiry field.
	TagExpire = 0x10
	// TagLongKey is set if the key is longer than 65,535 bytes.
	TagLongKey = 0x20

	entryHeader = 8
	maxShortKey = 1<<16 - 1

	// MaxPayload is the largest payload in bytes.
	MaxPayload = 1<<16 - 1
)

// Entry is a view of an entry's block. It is valid until the block is freed or moved.
type Entry struct{ p unsafe.Pointer }

// EntryAt returns the entry whose block begins at p.
func EntryAt(p unsafe.Pointer) Entry { return Entry{p} }

// EntrySize returns the size in bytes of the block for an entry.
func EntrySize(keyLen, payloadLen int, hasExpire bool) int {
	n := entryHeader + keyLen + payloadLen
	if hasExpire {
		n += 8
	}
	if keyLen > maxShortKey {
		n += 8
	}
	return n
}

// InitEntry writes header, expiry (if expireAtMs is not 0) and key of an entry to a block of EntrySize bytes at p.
// The low four and the high two bits of tag are the object's. The payload is left to the caller, and the access
// clock is 0. key must not lie in the block.
func InitEntry(p unsafe.Pointer, tag byte, key []byte, payloadLen int, expireAtMs int64) Entry {
	if uint(payloadLen) > MaxPayload {
		panic("BUG: index: payload length out of range")
	}
	tag &= TagObject
	head := uint64(len(key)) << 32
	at := uintptr(entryHeader)
	if expireAtMs != 0 {
		tag |= TagExpire
		*(*int64)(unsafe.Add(p, at)) = expireAtMs
		at += 8
	}
	if len(key) > maxShortKey {
		tag |= TagLongKey
		head = 0
		*(*uint64)(unsafe.Add(p, at)) = uint64(len(key))
		at += 8
	}
	*(*uint64)(p) = head | uint64(payloadLen)<<48 | uint64(tag)
	copy(unsafe.Slice((*byte)(unsafe.Add(p, at)), len(key)), key)
	return Entry{p}
}

func (e Entry) head() uint64 { return *(*uint64)(e.p) }

// keySpan returns the key's offset in the block and its length, given the block's first eight bytes.
func (e Entry) keySpan(head uint64) (off, n uintptr) {
	off = entryHeader + uintptr(head&TagExpire)>>1
	if head&TagLongKey == 0 {
		return off, uintptr(head >> 32 & 0xFFFF)
	}
	return off + 8, uintptr(*(*uint64)(unsafe.Add(e.p, off)))
}

// Key returns the key. The bytes are the block's: they must not be changed.
func (e Entry) Key() []byte {
	off, n := e.keySpan(e.head())
	return unsafe.Slice((*byte)(unsafe.Add(e.p, off)), n)
}

// Payload returns the payload. The bytes are the block's: whoever writes to them calls Index.BeforeChange first.
func (e Entry) Payload() []byte {
	head := e.head()
	off, n := e.keySpan(head)
	return unsafe.Slice((*byte)(unsafe.Add(e.p, off+n)), head>>48)
}

// SetPayloadLen changes the payload's length within the block's usable size.
func (e Entry) SetPayloadLen(n int) {
	if uint(n) > MaxPayload {
		panic("BUG: index: payload length out of range")
	}
	*(*uint16)(unsafe.Add(e.p, 6)) = uint16(n)
}

// ExpireAt returns the expiry as Unix time in ms, or 0 if the entry has none.
func (e Entry) ExpireAt() int64 {
	if e.head()&TagExpire == 0 {
		return 0
	}
	return *(*int64)(unsafe.Add(e.p, entryHeader))
}

// SetExpireAt changes the expiry of an entry that has one. The index must be told: Index.BeforeChange before,
// Index.NoteExpire after.
func (e Entry) SetExpireAt(atMs int64) {
	if e.head()&TagExpire == 0 || atMs == 0 {
		panic("BUG: index: SetExpireAt would change the block's layout")
	}
	*(*int64)(unsafe.Add(e.p, entryHeader)) = atMs
}

// Tag returns the tag byte.
func (e Entry) Tag() byte { return *(*byte)(e.p) }

// SetTag changes the object's bits of the tag and leaves TagExpire and TagLongKey as they are.
func (e Entry) SetTag(tag byte) {
	p := (*byte)(e.p)
	*p = *p&^TagObject | tag&TagObject
}

// Access returns the access clock, 24 bits.
func (e Entry) Access() uint32 { return *(*uint32)(e.p) >> 8 }

// SetAccess sets the access clock to the low 24 bits of clock. It is not a change that a snapshot must see, and
// needs no BeforeChange.
func (e Entry) SetAccess(clock uint32) {
	p := (*uint32)(e.p)
	*p = *p&0xFF | clock<<8
}

// SizeBytes returns the bytes of the block that are in use: EntrySize of its parts.
func (e Entry) SizeBytes() int {
	head := e.head()
	off, n := e.keySpan(head)
	return int(off + n + uintptr(head>>48))
}

// keyEnd returns the offset in the block behind the key.
func (e Entry) keyEnd() uintptr {
	off, n := e.keySpan(e.head())
	return off + n
}

// Pointer returns the block's address.
func (e Entry) Pointer() unsafe.Pointer { return e.p }

// hasKey reports whether the entry's key is key.
func (e Entry) hasKey(key []byte) bool {
	off, n := e.keySpan(e.head())
	return n == uintptr(len(key)) && string(unsafe.Slice((*byte)(unsafe.Add(e.p, off)), n)) == string(key)
}
