package index

import (
	"math/bits"

	"fulmen/shard/arena"
)

// Moving for defragmentation. The arena chooses slabs that it wants empty (arena.Misplaced); the index walks all
// entries in the order of their positions and moves what lies in such slabs: its own directories and segments, and
// through the caller the entries and what hangs on them.
//
// A move changes no data: slots are not marked as changed. Still it is announced to the choke point (BeforeMove), for
// a walk may refer to the blocks of what it hasn't shown yet. A segment is copied with all of its buckets as they are,
// stamps included, and a walk's place in it stays the same place.

// MoveCursor is the place where MoveSome goes on. Its zero value is the beginning.
type MoveCursor struct {
	at     uint64  // position
	el     element // the segment there when it was left in its middle
	number uint    // bucket of it
	slot   uint    // slot of the bucket
}

// bucketCost is what looking at a bucket's entries costs, showCost what showing them to a walk does, and moveCost what
// moving one block of so many bytes does, in units of MoveSome's budget, some 100 ns each.
const (
	bucketCost = 2
	showCost   = 20
)

func moveCost(sizeBytes int) int { return 2 + sizeBytes>>11 }

// Moved says what MoveSome has moved of the index's own blocks.
type Moved struct{ Segments, Directories int }

// MoveSome moves directories and segments that lie in slabs to be emptied, and calls fn for every entry, from cur on,
// until the budget is used up, the end of the index is reached, which it reports, or fn asks it to stop; cur is then
// behind that entry. One unit of budget is some 100 ns; a call takes at most one entry or segment more. fn returns
// what it has used of the budget.
//
// An entry that is there throughout is given at least once. fn may call BeforeMove and Relocate, and change nothing
// else; the Pos it gets is for these, for Entry and for Ref, and must not be used for Remove.
func (x *Index) MoveSome(
	cur *MoveCursor, budget int, moved *Moved, fn func(Pos, Entry) (cost int, stop bool),
) (done bool) {
	if x.desc.Load() == 0 {
		*cur = MoveCursor{}
		return true
	}
	if *cur == (MoveCursor{}) {
		budget -= x.moveDirectories(moved)
	}
	for budget > 0 && cur.at != positionEnd {
		el := x.element(x.desc.Load(), cur.at)
		if el != cur.el {
			cur.at, cur.el, cur.number, cur.slot = el.start(cur.at), el, 0, 0
			if x.arena.Misplaced(*x.segmentOf(el).block()) {
				cur.el = x.moveSegment(el, cur.at)
				moved.Segments++
				budget -= 8 + moveCost(segmentSize(el.buckets()))
				continue
			}
		}
		if budget = x.moveInSegment(cur, budget, fn); cur.number < el.buckets() {
			return false
		}
		*cur = MoveCursor{at: cur.at + el.span()}
	}
	if cur.at == positionEnd {
		*cur = MoveCursor{}
		return true
	}
	return false
}

// moveInSegment gives fn the entries of the cursor's segment, and leaves the cursor behind the last bucket unless the
// budget was used up or fn asked to stop. It returns what is left of the budget.
func (x *Index) moveInSegment(cur *MoveCursor, budget int, fn func(Pos, Entry) (int, bool)) (left int) {
	s := x.segmentOf(cur.el)
	for ; cur.number < s.n && budget > 0; cur.number, cur.slot = cur.number+1, 0 {
		if next := cur.number + 2; next < s.n {
			x.prefetchSlots(s.bucket(next), s.bucket(next).used(), minReach)
		}
		b := s.bucket(cur.number)
		budget -= bucketCost
		stale := x.visit != nil && *b.stamp() != x.walkID
		for m := b.used() >> cur.slot << cur.slot; m != 0; m &= m - 1 {
			slot := uint(bits.TrailingZeros32(m))
			cost, stop := fn(newPos(b, slot, cur.number, cur.number, s.n), x.entryAt(b.ref(slot)))
			if budget -= cost; stop {
				cur.slot = slot + 1
				return budget
			}
		}
		if stale && *b.stamp() == x.walkID {
			budget -= showCost // fn's first move has shown the bucket's entries to the walk
		}
	}
	return budget
}

// BeforeMove must be called before the entry at p, or anything that hangs on it, is moved to other blocks, its content
// staying the same. It is the choke point without a mark that data changed.
func (x *Index) BeforeMove(p Pos) { x.preWrite(p.bucket(), 0) }

// Relocate puts block ref, to which the entry at p has been copied as it was, in that entry's place. BeforeMove must
// have been called. The old block is the caller's to free.
func (x *Index) Relocate(p Pos, ref arena.Ref) { p.bucket().setRef(p.slot(), uint64(ref)) }

// moveSegment moves a segment to another block and returns its new element.
func (x *Index) moveSegment(el element, prefix uint64) element {
	moved, to := x.allocSegment(el.depth(), el.buckets())
	block := *to.block()
	copy(to.bytes(), x.segmentOf(el).bytes())
	*to.block() = block
	x.publish(moved, prefix)
	x.retire(el)
	return moved
}

// moveDirectories moves the directory and the one that is being built.
func (x *Index) moveDirectories(moved *Moved) (cost int) {
	if d := x.directory(); x.arena.Misplaced(arena.Ref(d.ref)) {
		to := x.newDirectory(d.depth)
		copy(x.elements(to), x.elements(d))
		x.desc.Store(to.desc())
		x.freeDirectory(d)
		moved.Directories++
		cost += moveCost(d.size())
	}
	if d := x.next; d.ref != 0 && x.arena.Misplaced(arena.Ref(d.ref)) {
		to := x.newDirectory(d.depth)
		copy(x.elements(to)[:x.copied], x.elements(d))
		x.next = to
		x.freeDirectory(d)
		moved.Directories++
		cost += moveCost(d.size())
	}
	return cost
}
