package index

import (
	"math/bits"

	"fulmen/shard/arena"
)

// Active expiry reads the header of every segment in turn, and of those whose minimum expiry is due the buckets,
// and of these the entries that have an expiry. The minimum is only lowered when entries come; a complete look at a
// segment raises it again.

// ExpireCursor is the place where ExpireSome goes on. Its zero value is the beginning.
type ExpireCursor struct {
	at     uint64 // position
	number uint   // bucket of the segment there
}

// headersAhead is how many segments ahead headers are prefetched.
const headersAhead = 8

// expireLooks is how many entries that turn out not to be due cost as much as one that is.
const expireLooks = 16

// ExpireSome calls due for entries whose expiry is not after nowMs, and moves cur on, until the budget is used up
// or the end of the index is reached, which it reports; cur is then back at the beginning. One unit of budget is a
// unit of what due does and returns, a segment looked at, or 16 entries looked at. A segment is left in its middle only
// for the sake of due entries, so a call may take some 50 units longer. An entry of which something is still due after
// due is given again.
//
// due may remove and change entries, but must not insert.
func (x *Index) ExpireSome(cur *ExpireCursor, nowMs int64, budget int, due func(p Pos, e Entry) int) (done bool) {
	desc := x.desc.Load()
	for desc != 0 && budget > 0 && cur.at != positionEnd {
		el := x.element(desc, cur.at)
		s := x.segmentOf(el)
		if *s.minExpire() <= nowMs {
			left, whole := x.expireSegment(el, cur, nowMs, budget, due)
			if !whole {
				return false
			}
			budget = left
		}
		budget--
		cur.at = el.start(cur.at) + el.span()
		if ahead := cur.at + headersAhead*el.span(); ahead < positionEnd {
			arena.Prefetch(x.address(uint64(x.element(desc, ahead).ref())))
		}
	}
	if desc == 0 || cur.at == positionEnd {
		*cur = ExpireCursor{}
		return true
	}
	return false
}

// expireSegment looks at the segment at cur and returns what is left of the budget; false if it stopped before the
// segment's end, to go on at cur.
func (x *Index) expireSegment(el element, cur *ExpireCursor, nowMs int64, budget int,
	due func(p Pos, e Entry) int) (left int, whole bool) {
	s := x.segmentOf(el)
	least := *s.minExpire()
	if cur.number == 0 {
		*s.minExpire() = never // found out anew; a look that began in the middle leaves it due
	}
	looks := 0
	for ; cur.number < s.n; cur.number++ {
		if budget <= 0 {
			s.noteExpire(least)
			return 0, false
		}
		if next := cur.number + 2; next < s.n {
			x.prefetchSlots(s.bucket(next), s.bucket(next).expires(), minReach)
		}
		b := s.bucket(cur.number)
		for m := b.expires(); m != 0; m &= m - 1 {
			slot := uint(bits.TrailingZeros32(m))
			e := x.entryAt(b.ref(slot))
			looks++
			at := x.dueAt(e)
			for at <= nowMs && budget > 0 {
				budget -= due(newPos(b, slot, cur.number, el.home(position(x.hash(e.Key()))), s.n), e)
				if at = never; b.expires()>>slot&1 != 0 { // it is still there
					e = x.entryAt(b.ref(slot))
					at = x.dueAt(e)
				}
			}
			s.noteExpire(at)
			if at <= nowMs {
				s.noteExpire(least)
				return 0, false
			}
		}
	}
	cur.number = 0
	return budget - looks/expireLooks, true
}
