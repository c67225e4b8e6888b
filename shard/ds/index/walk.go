package index

import (
	"math/bits"

	"fulmen/internal/invariant"
)

// The choke point and the walk.
//
// A walk shows every entry that the index holds at one moment, the cut, exactly as it was at that moment, while the
// index goes on changing. It is cut into steps; between them anything may happen. The rule that makes it work:
// before anything in a bucket changes for the first time after the cut, all of the bucket's entries are shown. So a
// bucket is either unchanged since the cut or has been shown. Which of them, tells its stamp: BeginWalk chooses a
// new walk id, and a bucket whose stamp differs from it is stale, which is to say, not shown. Showing a bucket
// stamps it. The walk's own steps visit the buckets in the order of their positions and show those that are stale;
// writers show the others, one at a time, each before its own change.
//
// All of this happens in preWrite. It is called by Insert, Replace, Remove, BeforeChange, BeforeMove and FreeSome for
// the one bucket they touch, and by collect for every bucket of a segment that is to be rebuilt, split or merged; a
// shown bucket's entries may go anywhere. Thus:
//
//   - Rebuild, split, merge: all buckets of the old segment, or of both, are shown first; the new segments are born
//     with the walk's stamp, so no entry is shown twice. The price is that the write which made a segment grow pays
//     for up to 396 entries, once; nothing else costs a writer more than nine.
//   - The walk remembers a position and a bucket number. If it finds another segment at its position than it left,
//     that one was born after the cut and has no stale bucket: whatever number the walk goes on with, it skips
//     nothing. A merged segment begins before the walk's position, and the walk goes on behind its end: nothing is
//     skipped, for the same reason.
//   - A segment that is moved (move.go) is the same one in another place: buckets, numbers and stamps are copied.
//   - Directory copies move no entries and take no part. Prefetches neither.
//   - Overflow counts change in buckets that an insertion passes or a removal leaves behind. They say nothing about
//     the bucket's own entries, and are not guarded.
//   - A walk that is given up leaves buckets with older stamps. The next walk's id differs from all of them, until
//     ids come round: before that, BeginWalk gives all buckets one stamp (restamp).
//
// Beside the stamp, each bucket has a change version and marks for the slots changed in it, which preWrite also
// keeps: the slots changed since NextVersion was last called are those marked in buckets of the current version. A
// bucket of an older version tells the slots changed in that version only; who asks for what changed since an
// earlier one must take all slots of all buckets with a later version. A rebuilt segment's buckets have the highest
// version of the old ones, and entries keep their marks if that is the current one; so nothing changed is ever
// missed, but what was not may be taken along. Access clocks are no changes.
//
// Invariants:
//
//  1. During a walk, a bucket's stamp equals the walk's id if and only if its entries have been shown or came after
//     the cut.
//  2. A stale bucket's entries, their blocks, and what hangs on them are as they were at the cut.
//  3. Every entry of the cut is shown once: its bucket is stale until it is shown, and it leaves no stale bucket.
//  4. Outside a walk, every stamp is an id between that of the last complete walk and that of the last one.
//  5. No entry changes without its slot being marked in a bucket of the current version.
//
// visit is called with the index in the state of the cut as far as the entry goes, and must not change the index.

// walker is the part of Index that knows about walks. Held with the baton.
type walker struct {
	visit   func(e Entry) // nil between walks
	walkID  uint16
	fault   fault
	spread  uint32 // ids used since all stamps were the same
	walkAt  uint64 // position the walk has come to; positionEnd = complete
	walkNum uint   // first bucket not yet looked at in the segment there
	version uint32 // the change version
	edits   uint64 // calls of preWrite
}

// fault is a mistake that a test plants in order to show that it would be noticed.
type fault uint8

const (
	faultNone       fault = iota
	faultNoPreWrite       // a single bucket changes unseen
	faultNoCollect        // a segment's buckets are moved unseen
	faultBirth            // new segments are born stale
)

// preWrite is the choke point: it must be called before anything in bucket b changes. changed are the slots to
// mark.
func (x *Index) preWrite(b bucket, changed uint32) {
	x.edits++
	if x.visit != nil && *b.stamp() != x.walkID {
		x.showFor(b, changed)
	}
	if changed == 0 {
		return
	}
	if v := b.version(); *v != x.version {
		*v = x.version
		*b.marks() &^= allSlots
	}
	*b.marks() |= changed
}

// showFor shows a stale bucket that is about to change; changed is 0 if its entries are about to move.
func (x *Index) showFor(b bucket, changed uint32) {
	if x.fault == faultNoPreWrite && changed != 0 || x.fault == faultNoCollect && changed == 0 {
		return
	}
	x.show(b)
}

// show gives a stale bucket's entries to the walk and stamps it. It returns their number.
func (x *Index) show(b bucket) int {
	used := b.used()
	for m := used; m != 0; m &= m - 1 {
		x.visit(x.entryAt(b.ref(uint(bits.TrailingZeros32(m)))))
	}
	*b.stamp() = x.walkID
	return bits.OnesCount32(used)
}

// BeginWalk makes a cut: visit will be given every entry that is now in the index, once, as it is now, by WalkStep
// or by whatever operation is about to change it. ids are taken to count upwards from walk to walk, coming round
// after 65,535; an index need not take part in every walk. visit must not change the index. A walk must not be
// running.
func (x *Index) BeginWalk(id uint16, visit func(e Entry)) {
	invariant.Check(x.visit == nil, "index: BeginWalk during a walk")
	if x.spread += uint32(id-x.walkID-1) + 1; x.spread > 1<<16-1 {
		x.restamp(id - 1)
		x.spread = 1
	}
	x.walkID, x.visit, x.walkAt, x.walkNum = id, visit, 0, 0
}

// Walking reports whether a walk is running.
func (x *Index) Walking() bool { return x.visit != nil }

// WalkStep goes on with the walk: it shows about budget entries, or looks at as many buckets that need no showing.
// It reports whether the walk is complete; calling it again then does nothing.
func (x *Index) WalkStep(budget int) (done bool) {
	desc := x.desc.Load()
	if desc == 0 {
		x.walkAt = positionEnd
	}
	for x.walkAt != positionEnd && budget > 0 {
		el := x.element(desc, x.walkAt)
		s := x.segmentOf(el)
		for ; x.walkNum < s.n && budget > 0; x.walkNum++ {
			if x.walkNum+2 < s.n {
				if b := s.bucket(x.walkNum + 2); *b.stamp() != x.walkID {
					x.prefetchSlots(b, b.used(), x.reach.Load())
				}
			}
			if b := s.bucket(x.walkNum); *b.stamp() != x.walkID {
				budget -= x.show(b)
			}
			budget--
		}
		if x.walkNum >= s.n {
			x.walkAt, x.walkNum = el.start(x.walkAt)+el.span(), 0
		}
	}
	return x.walkAt == positionEnd
}

// EndWalk ends the walk, complete or not.
func (x *Index) EndWalk() {
	if x.walkAt == positionEnd {
		x.spread = 0
	}
	x.visit = nil
}

// restamp gives all buckets the same stamp. It takes time proportional to the index, once in 65,535 ids without a
// complete walk.
func (x *Index) restamp(id uint16) {
	desc := x.desc.Load()
	for at := uint64(0); desc != 0 && at != positionEnd; {
		el := x.element(desc, at)
		s := x.segmentOf(el)
		for i := range s.n {
			*s.bucket(i).stamp() = id
		}
		at += el.span()
	}
}

// Edits counts changes, moves included: as long as it stays the same, so does every entry and what hangs on it.
func (x *Index) Edits() uint64 { return x.edits }

// Version returns the current change version.
func (x *Index) Version() uint32 { return x.version }

// NextVersion begins a new change version: from now on, slots are marked as changed in that one.
func (x *Index) NextVersion() { x.version++ }
