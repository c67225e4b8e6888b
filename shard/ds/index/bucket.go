package index

import "unsafe"

// A bucket is one cache line of nine slots:
//
//	 0..44  nine references of five bytes
//	45      overflow count: entries that found this bucket full and lie behind it
//	46..47  walk stamp (walk.go)
//	48..51  change version (walk.go)
//	52..54  marks: bits 0–8 slot changed, bits 9–17 slot's entry has an expiry, bits 18–23 ways
//	55..63  nine fingerprints; 0 = slot empty
//
// The ways are a filter before the overflow count: fingerprints are dealt out over six ways, and the bit of a way
// is set if an entry of that way has overflowed, until the count is back at 0. Lookups of absent keys would read
// 2.1 buckets on average by the count alone; by the ways they read 1.4.
const (
	lineSize  = 64
	slotCount = 9
	allSlots  = 1<<slotCount - 1

	refBytes   = 5
	refMask    = 1<<40 - 1
	offOvf     = 45
	offStamp   = 46
	offVersion = 48
	offMarks   = 52
	offPrints  = 55

	expireShift = slotCount     // of the expiry bits in the marks
	waysShift   = 2 * slotCount // of the ways in the marks
	wayCount    = 6
	waysMask    = (1<<wayCount - 1) << waysShift
)

// bucket is the address of a bucket's line.
type bucket struct{ p unsafe.Pointer }

// match returns the slots whose fingerprint is print, as a bit set. It is exact: no bit stands for a slot that a
// carry only made look alike, so match(0) are the empty slots.
func (b bucket) match(print uint8) uint32 {
	const (
		ones   = 0x0101010101010101
		sevens = 0x7F7F7F7F7F7F7F7F
		gather = 0x0002040810204081 // moves bit 8i+7 to bit 56+i
	)
	v := *(*uint64)(unsafe.Add(b.p, offPrints)) ^ uint64(print)*ones
	zero := ^(v&sevens + sevens | v | sevens) // 0x80 in each byte that is 0
	last := uint32(*(*uint8)(unsafe.Add(b.p, offPrints+8)) ^ print)
	return uint32(zero*gather>>56) | (last-1)>>31<<8
}

// used returns the slots that hold an entry, as a bit set.
func (b bucket) used() uint32 { return b.match(0) ^ allSlots }

func (b bucket) print(slot uint) uint8 { return *(*uint8)(unsafe.Add(b.p, offPrints+slot)) }

func (b bucket) setPrint(slot uint, print uint8) { *(*uint8)(unsafe.Add(b.p, offPrints+slot)) = print }

// ref returns the reference in a slot, as a number.
func (b bucket) ref(slot uint) uint64 {
	return *(*uint64)(unsafe.Add(b.p, slot*refBytes)) & refMask
}

// setRef writes the reference in a slot. It writes its two parts without reading first: reading what a store has
// just written next door would wait for that store.
func (b bucket) setRef(slot uint, ref uint64) {
	p := unsafe.Add(b.p, slot*refBytes)
	*(*uint32)(p) = uint32(ref)
	*(*uint8)(unsafe.Add(p, 4)) = uint8(ref >> 32)
}

// wayOf returns the bit in the marks of a fingerprint's way.
func wayOf(print uint8) uint32 { return 1 << (waysShift + uint32(print)*wayCount>>8) }

// passedBy reports whether an entry of the given way may lie behind the bucket, having found it full.
func (b bucket) passedBy(way uint32) bool { return *b.marks()&way != 0 }

// pass notes that an entry of the given way has found the bucket full.
func (b bucket) pass(way uint32) {
	*b.ovf()++
	*b.marks() |= way
}

// unpass takes back one pass.
func (b bucket) unpass() {
	n := b.ovf()
	if *n--; *n == 0 {
		*b.marks() &^= waysMask
	}
}

func (b bucket) ovf() *uint8 { return (*uint8)(unsafe.Add(b.p, offOvf)) }

func (b bucket) stamp() *uint16 { return (*uint16)(unsafe.Add(b.p, offStamp)) }

func (b bucket) version() *uint32 { return (*uint32)(unsafe.Add(b.p, offVersion)) }

// marks returns the word that holds the marks in its low 24 bits and the first fingerprint above them.
func (b bucket) marks() *uint32 { return (*uint32)(unsafe.Add(b.p, offMarks)) }

// changed returns the slots that changed in the bucket's change version, as a bit set.
func (b bucket) changed() uint32 { return *b.marks() & allSlots }

// expires returns the slots whose entry has an expiry, as a bit set.
func (b bucket) expires() uint32 { return *b.marks() >> expireShift & allSlots }

func (b bucket) setExpires(slot uint, on bool) {
	p := b.marks()
	*p &^= 1 << (expireShift + slot)
	if on {
		*p |= 1 << (expireShift + slot)
	}
}

// place fills an empty slot.
func (b bucket) place(slot uint, ref uint64, print uint8, expires bool) {
	b.setRef(slot, ref)
	b.setPrint(slot, print)
	b.setExpires(slot, expires)
}

// clear empties a slot.
func (b bucket) clear(slot uint) { b.place(slot, 0, 0, false) }
