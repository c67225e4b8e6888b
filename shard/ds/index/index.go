package index

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// probeLimit is the number of buckets, the home bucket included, that an entry may lie in. The segment is full for
// a key when all of them are, at a load of 0.94 on average. With 16, the index needs 9.4 B a key instead of 9.3 and
// lookups are 2 % faster; with 24 it needs 9.15.
const probeLimit = 20

// Index is the table. Create it with New.
type Index struct {
	// immutable after New, but for Rehome
	base    unsafe.Pointer
	arena   *arena.Arena
	hash    func(key []byte) uint64
	due     func(e Entry) int64 // of entries with dueFlag in their tags: DueBy
	dueFlag byte

	// atomic; written with the baton held, read by prefetches without it
	desc     atomic.Uint64  // directory: ref | (48 − depth) << 40; 0 = no segment yet
	readable atomic.Uint64  // Refs below it are readable memory: the end of the highest segment there ever was
	reach    atomic.Uintptr // mean size of an entry in bytes, as last seen

	_ [64]byte // what follows changes often; keep it off the lines that prefetchers of other cores read

	// held with the baton
	len      int
	keyReach uintptr // mean bytes of an entry up to its key's end, as last seen
	growth           // directory.go
	walker           // walk.go
	shrinker         // shrink.go
	frees    uint64  // FreeSome's place: a position
}

// Pos names a slot of an index. See the package comment for how long it is valid.
type Pos struct {
	line unsafe.Pointer
	at   uint32 // slot | bucket<<4 | home<<11 | buckets<<18
}

func (p Pos) slot() uint     { return uint(p.at & 15) }
func (p Pos) bucket() bucket { return bucket{p.line} }
func (p Pos) number() uint   { return uint(p.at >> 4 & 127) }
func (p Pos) home() uint     { return uint(p.at >> 11 & 127) }
func (p Pos) buckets() uint  { return uint(p.at >> 18) }

// segment returns the segment that the slot lies in.
func (p Pos) segment() segment {
	return segment{p: unsafe.Add(p.line, -int((p.number()+1)*lineSize)), n: p.buckets()}
}

func newPos(b bucket, slot, number, home, buckets uint) Pos {
	return Pos{b.p, uint32(slot | number<<4 | home<<11 | buckets<<18)}
}

// New returns an empty index that takes its memory from a. hash must be the function that gives the hashes for Find
// and Insert: growing computes them again from the entries' keys.
func New(space *arena.Space, a *arena.Arena, hash func(key []byte) uint64) *Index {
	x := &Index{base: space.Base(), arena: a, hash: hash}
	x.version = 1
	x.keyReach = minReach
	x.reach.Store(minReach)
	return x
}

// DueBy says what is due of entries with the given bit in their tags, beside their own expiry: due returns the earlier
// of both, 0 if there is neither. To be called before the index is used.
func (x *Index) DueBy(flag byte, due func(e Entry) int64) { x.dueFlag, x.due = flag, due }

// Rehome has the index, which was made elsewhere, live on in the arena that has absorbed its own; hash and due are what
// New and DueBy were given, and must give the same.
func (x *Index) Rehome(a *arena.Arena, hash func(key []byte) uint64, due func(e Entry) int64) {
	x.arena, x.hash, x.due = a, hash, due
}

// dueAt returns when something of an entry is due, 0 if never.
func (x *Index) dueAt(e Entry) int64 {
	if e.Tag()&x.dueFlag == 0 {
		return e.ExpireAt()
	}
	return x.due(e)
}

// Len returns the number of entries.
func (x *Index) Len() int { return x.len }

// SizeBytes returns the bytes of arena memory of segments and directories, the entries not included.
func (x *Index) SizeBytes() int64 { return x.bytes }

func (x *Index) entryAt(ref uint64) Entry { return Entry{unsafe.Add(x.base, ref<<3)} }

// Find returns the position of the entry with the given key, and whether there is one.
func (x *Index) Find(hash uint64, key []byte) (Pos, bool) {
	desc := x.desc.Load()
	if desc == 0 {
		return Pos{}, false
	}
	position := position(hash)
	el := x.element(desc, position)
	s, home, print := x.segmentOf(el), el.home(position), fingerprint(hash)
	number, way := home, wayOf(print)
	for range probeLimit {
		b := s.bucket(number)
		for m := b.match(print); m != 0; m &= m - 1 {
			slot := uint(bits.TrailingZeros32(m))
			if x.entryAt(b.ref(slot)).hasKey(key) {
				return newPos(b, slot, number, home, s.n), true
			}
		}
		if !b.passedBy(way) {
			break
		}
		if number++; number == s.n {
			number = 0
		}
	}
	return Pos{}, false
}

// Entry returns the entry at p.
func (x *Index) Entry(p Pos) Entry { return x.entryAt(p.bucket().ref(p.slot())) }

// Ref returns the reference at p.
func (x *Index) Ref(p Pos) arena.Ref { return arena.Ref(p.bucket().ref(p.slot())) }

// Insert adds the entry in block ref, whose key has the given hash and is known to be absent, and returns its
// position. The entry must have been written: its expiry is read. Insert makes every other Pos invalid.
func (x *Index) Insert(hash uint64, ref arena.Ref) Pos {
	invariant.Check(uint64(ref)-1 < refMask, "index: Insert of a bad ref")
	if x.desc.Load() == 0 {
		x.first()
	}
	position := position(hash)
	for {
		el := x.element(x.desc.Load(), position)
		if p, ok := x.insertAt(el, position, uint64(ref), fingerprint(hash)); ok {
			x.len++
			return p
		}
		x.grow(el, position)
	}
}

// insertAt places an entry in the segment of el unless that is full.
func (x *Index) insertAt(el element, position, ref uint64, print uint8) (Pos, bool) {
	s, home := x.segmentOf(el), el.home(position)
	number, empty := s.room(home)
	if empty == 0 {
		return Pos{}, false
	}
	b, slot := s.bucket(number), uint(bits.TrailingZeros32(empty))
	x.preWrite(b, 1<<slot)
	s.pass(home, number, print)
	at := x.dueAt(x.entryAt(ref))
	b.place(slot, ref, print, at != 0)
	if at != 0 {
		s.noteExpire(at)
	}
	return newPos(b, slot, number, home, s.n), true
}

// Replace puts another block with the same key in the place of the entry at p. The new entry must have been
// written; the old block is the caller's to free.
func (x *Index) Replace(p Pos, ref arena.Ref) {
	invariant.Check(uint64(ref)-1 < refMask, "index: Replace with a bad ref")
	b, slot := p.bucket(), p.slot()
	x.preWrite(b, 1<<slot)
	b.setRef(slot, uint64(ref))
	x.NoteExpire(p, x.dueAt(x.entryAt(uint64(ref))))
}

// Remove takes the entry at p out of the index. Its block is the caller's to free.
func (x *Index) Remove(p Pos) {
	b, slot := p.bucket(), p.slot()
	invariant.Check(b.print(slot) != 0, "index: Remove of an empty slot")
	x.preWrite(b, 1<<slot)
	b.clear(slot)
	p.segment().unpass(p.home(), p.number())
	x.len--
}

// BeforeChange must be called before bytes of the entry at p, or of anything that hangs on it, are changed in
// place.
func (x *Index) BeforeChange(p Pos) { x.preWrite(p.bucket(), 1<<p.slot()) }

// NoteExpire tells the index that something of the entry at p is now due at atMs, 0 meaning never. Insert and Replace
// note it themselves; it is for what was changed in place.
func (x *Index) NoteExpire(p Pos, atMs int64) {
	p.bucket().setExpires(p.slot(), atMs != 0)
	if atMs != 0 {
		p.segment().noteExpire(atMs)
	}
}
