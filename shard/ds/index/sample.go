package index

import (
	"math/bits"

	"fulmen/shard/arena"
)

// RandomPosition returns a position to begin a sample at: each entry is as likely to stand next. rnd is the source of
// randomness.
func RandomPosition(rnd uint64) uint64 { return position(NextRandom(rnd)) }

// Sample gives fn about n entries that stand side by side, with their references, from position from on; entries that
// expire only if expiring is set. It looks at no more than looks buckets, and passes over a segment in which nothing
// expires as over one bucket. given is the number of entries; next is where to go on if they are too few, which comes
// round at the end of the index. fn must not change the index.
//
// What stands side by side is a random choice: its order is that of hashes.
func (x *Index) Sample(from uint64, n, looks int, expiring bool, fn func(e Entry, ref arena.Ref)) (given int,
	next uint64) {
	desc := x.desc.Load()
	if desc == 0 {
		return 0, from
	}
	at := from & (positionEnd - 1)
	for given < n && looks > 0 {
		el := x.element(desc, at)
		s, number := x.segmentOf(el), el.home(at)
		if expiring && *s.minExpire() == never {
			looks--
			at = (el.start(at) + el.span()) & (positionEnd - 1)
			continue
		}
		whole, none := number == 0, true
		for ; number < s.n && given < n && looks > 0; number++ {
			looks--
			b := s.bucket(number)
			m := b.used()
			if expiring {
				m = b.expires()
			}
			for ; m != 0; m &= m - 1 {
				none = false
				ref := b.ref(uint(bits.TrailingZeros32(m)))
				e := x.entryAt(ref)
				if expiring && e.ExpireAt() == 0 { // only a part of it is due some day
					continue
				}
				fn(e, arena.Ref(ref))
				given++
			}
		}
		if number == s.n && whole && none && expiring {
			*s.minExpire() = never // found out in passing, for the next one who comes by
		}
		at = el.start(at)
		if number < s.n {
			at += el.edge(number)
		} else {
			at += el.span()
		}
		at &= positionEnd - 1
	}
	return given, at
}

// FindRef returns the position of the entry with the given hash and reference, if it is still there. The block may
// have been freed: it is not read.
func (x *Index) FindRef(hash uint64, ref arena.Ref) (Pos, bool) {
	desc := x.desc.Load()
	if desc == 0 {
		return Pos{}, false
	}
	position := position(hash)
	el := x.element(desc, position)
	s, home, print := x.segmentOf(el), el.home(position), fingerprint(hash)
	number := home
	for range probeLimit {
		b := s.bucket(number)
		for m := b.match(print); m != 0; m &= m - 1 {
			if slot := uint(bits.TrailingZeros32(m)); b.ref(slot) == uint64(ref) {
				return newPos(b, slot, number, home, s.n), true
			}
		}
		if !b.passedBy(wayOf(print)) {
			break
		}
		if number++; number == s.n {
			number = 0
		}
	}
	return Pos{}, false
}
