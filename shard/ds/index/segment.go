package index

import (
	"math"
	"unsafe"

	"fulmen/shard/arena"
)

// A segment is a header line and n buckets. The header:
//
//	0  i64  minimum expiry, Unix time in ms: no entry of the segment expires earlier
//	8  u64  prefix: the position at which the segment begins
//	16 u64  ref of the block that the segment lies in
const (
	offMinExpire = 0
	offPrefix    = 8
	offBlock     = 16

	never = math.MaxInt64 // minimum expiry of a segment without expiries
)

// The kinds of segments, by the number of their buckets: 2112 bytes, 31 of which fill a slab, and 2880, 22 of which
// do. A small one that is full is a good two thirds full as a big one, and a big one likewise as two small ones.
//
// Tried: 63 and 92 buckets need as much memory and make inserting a tenth cheaper, but growing then takes twice as
// long at a time (36 µs against 18 in the median); three kinds save another 5 % of the memory and cost half
// as much again when growing.
const (
	smallBuckets = 32
	bigBuckets   = 44
	maxItems     = bigBuckets * slotCount
)

var kinds = [...]uint{smallBuckets, bigBuckets}

// segment is the address of a segment and its number of buckets.
type segment struct {
	p unsafe.Pointer
	n uint
}

func segmentSize(buckets uint) int { return int(buckets+1) * lineSize }

func (s segment) bucket(i uint) bucket { return bucket{unsafe.Add(s.p, (i+1)*lineSize)} }

func (s segment) minExpire() *int64 { return (*int64)(unsafe.Add(s.p, offMinExpire)) }

func (s segment) prefix() *uint64 { return (*uint64)(unsafe.Add(s.p, offPrefix)) }

func (s segment) block() *arena.Ref { return (*arena.Ref)(unsafe.Add(s.p, offBlock)) }

func (s segment) noteExpire(atMs int64) {
	if p := s.minExpire(); atMs < *p {
		*p = atMs
	}
}

// room returns the first bucket with empty slots for an entry of the given home, and those slots; none if the
// segment is full for it.
func (s segment) room(home uint) (number uint, empty uint32) {
	number = home
	for range probeLimit {
		if empty = s.bucket(number).match(0); empty != 0 {
			return number, empty
		}
		if number++; number == s.n {
			number = 0
		}
	}
	return 0, 0
}

// pass notes in the buckets from home up to, not including, number that an entry with the given fingerprint has
// found them full.
func (s segment) pass(home, number uint, print uint8) {
	for home != number {
		s.bucket(home).pass(wayOf(print))
		if home++; home == s.n {
			home = 0
		}
	}
}

// unpass takes back what pass noted.
func (s segment) unpass(home, number uint) {
	for home != number {
		s.bucket(home).unpass()
		if home++; home == s.n {
			home = 0
		}
	}
}

// blockSize returns the size of the block to allocate for a segment: segments begin at a cache line, blocks need
// not.
func blockSize(buckets uint) int {
	size := segmentSize(buckets)
	if arena.UsableSize(size)%lineSize != 0 {
		size += lineSize - 8
	}
	return size
}

// bytes returns the whole segment.
func (s segment) bytes() []byte { return unsafe.Slice((*byte)(s.p), segmentSize(s.n)) }

// allocSegment returns the place for a segment, in which nothing but its block is set.
func (x *Index) allocSegment(depth, buckets uint) (element, segment) {
	size := blockSize(buckets)
	block := x.arena.Alloc(size)
	x.bytes += int64(arena.UsableSize(size))
	ref := (block + 7) &^ 7
	if end := uint64(ref) + uint64(segmentSize(buckets))>>3; end > x.readable.Load() {
		x.readable.Store(end)
	}
	s := segment{unsafe.Add(x.base, uint64(ref)<<3), buckets}
	*s.block() = block
	return newElement(ref, depth, buckets), s
}

// newSegment returns an empty segment whose buckets carry the walk's stamp and the given change version.
func (x *Index) newSegment(prefix uint64, depth, buckets uint, version uint32) (element, segment) {
	el, s := x.allocSegment(depth, buckets)
	block := *s.block()
	clear(s.bytes())
	*s.minExpire() = never
	*s.prefix() = prefix
	*s.block() = block
	stamp := x.walkID
	if x.fault == faultBirth {
		stamp--
	}
	for i := range buckets {
		b := s.bucket(i)
		*b.stamp() = stamp
		*b.version() = version
	}
	return el, s
}

func (x *Index) freeSegment(el element) {
	size := blockSize(el.buckets())
	x.bytes -= int64(arena.UsableSize(size))
	x.arena.Free(*x.segmentOf(el).block(), size)
}
