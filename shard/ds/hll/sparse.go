package hll

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

const (
	valBit        = 0x80
	kindBits      = 0xC0
	xzero         = 0x40
	maxZero       = 64
	maxVal        = 4
	maxSparseRank = 32
	joinSteps     = 5
)

// runs walks the runs of a sparse value.
type runs struct {
	b       []byte
	at      int // where the next run begins
	covered int // registers of all runs so far
	broken  bool

	// the run that next has read
	n    int  // registers
	rank byte // of each
}

func runsOf(b []byte) runs { return runs{b: b, at: HeaderBytes} }

// next reads the next run; false: there is none, or only half of one.
func (w *runs) next() bool {
	if w.at >= len(w.b) {
		return false
	}
	n, size := runAt(w.b, w.at)
	if size == 0 {
		w.broken = true
		return false
	}
	w.n, w.rank = n, rankOf(w.b[w.at])
	w.at += size
	w.covered += n
	return true
}

// sound reports whether the value is, once there is no next run.
func (w *runs) sound() bool { return !w.broken && w.covered == Registers }

// runAt returns how many registers the run at b[at] is about, and its size in bytes: 0 if only half of it is there.
func runAt(b []byte, at int) (n, size int) {
	c := b[at]
	if c&kindBits != xzero {
		return shortRun(c), 1
	}
	if at+1 == len(b) {
		return 0, 0
	}
	return int(c&^kindBits)<<8 | int(b[at+1]) + 1, 2
}

// shortRun is how many registers a ZERO or a VAL is about.
func shortRun(c byte) int { return int(c&(0x3F>>(c>>7<<2))) + 1 }

// rankOf returns the rank of a run that begins with c.
func rankOf(c byte) byte {
	if c&valBit == 0 {
		return 0
	}
	return c>>2&0x1F + 1
}

// appendRun appends a run of n registers.
func appendRun(dst []byte, rank byte, n int) []byte {
	switch n--; {
	case rank > 0:
		return append(dst, valBit|(rank-1)<<2|byte(n))
	case n < maxZero:
		return append(dst, byte(n))
	}
	return append(dst, xzero|byte(n>>8), byte(n))
}

// Raised says what came of raising a register.
type Raised uint8

// What comes of raising a register.
const (
	Same    Raised = iota // it was no lower
	Higher                // it is now
	Unsound               // the value has no such register
)

// Value is a valid value whose registers are raised.
type Value struct {
	// B is the value, in memory of the caller's until it grows beyond the capacity.
	B []byte
	// MaxSparse is the size up to which a sparse value may grow.
	MaxSparse int64

	room []byte // see Borrowed; nil: B is written to
	// Of a value that has changed, so many bytes at the beginning and at the end are as they were.
	head, tail int
	changed    bool

	// A search for a register behind the last one that was raised begins at a run that ends before that.
	next      int // the first such register
	at, first int // where the run begins, and its first register
}

// Borrowed says that B must not be written to: it is copied to the empty room, which isn't nil, before it first
// changes. It may lie there already.
func (v *Value) Borrowed(room []byte) { v.room = room }

// Changed tells how many bytes at the beginning and at the end of the value are those that it had at first. A value
// that has become dense has none.
func (v *Value) Changed() (head, tail int) {
	if !v.changed {
		return len(v.B), 0
	}
	return v.head, v.tail
}

// own sees to it that the bytes from `from` up to, not including, to may be changed.
func (v *Value) own(from, to int) {
	if v.room != nil {
		v.B, v.room = append(v.room, v.B...), nil
	}
	tail := len(v.B) - to
	if !v.changed {
		v.head, v.tail, v.changed = from, tail, true
	}
	v.head, v.tail = min(v.head, from), min(v.tail, tail)
}

// Stale marks the last estimate as out of date.
func (v *Value) Stale() {
	if v.B[staleAt]&staleBit == 0 {
		v.own(staleAt, staleAt+1)
		Stale(v.B)
	}
}

// Raise raises a register to a rank. Where the sparse form ends, the value becomes dense. An unsound value may stay as
// it is or not. That the last estimate is out of date is the caller's to note: Stale.
func (v *Value) Raise(register int, rank byte) Raised {
	if IsDense(v.B) {
		at, n := Place(register)
		v.own(at, at+n)
		if RaiseIn(v.B[at:at+n], register, rank) {
			return Higher
		}
		return Same
	}
	if rank <= maxSparseRank {
		if raised, done := v.raiseSparse(register, rank); done {
			return raised
		}
	}
	d, ok := DenseOf(v.B)
	if !ok {
		return Unsound
	}
	v.B, v.room, v.head, v.tail, v.changed = d, nil, 0, 0, true
	return v.Raise(register, rank)
}

// place is a run among others.
type place struct{ at, first int }

// raiseSparse raises a register of a sparse value; done is false if that has no room for it.
func (v *Value) raiseSparse(register int, rank byte) (r Raised, done bool) {
	earlier, run := v.find(register)
	if run.at >= len(v.B) {
		return Unsound, true
	}
	n, size := runAt(v.B, run.at)
	if size == 0 {
		return Unsound, true
	}
	had := rankOf(v.B[run.at])
	if had >= rank {
		return Same, true
	}
	var room [5]byte
	with := room[:0]
	if left := register - run.first; left > 0 {
		with = appendRun(with, had, left)
	}
	with = appendRun(with, rank, 1)
	if right := run.first + n - 1 - register; right > 0 {
		with = appendRun(with, had, right)
	}
	if more := len(with) - size; more > 0 && int64(len(v.B)+more) > v.MaxSparse {
		return Same, false
	}
	prev, before := v.before(run, earlier)
	v.own(prev.at, run.at+size)
	v.B = slices.Replace(v.B, run.at, run.at+size, with...)
	v.join(prev.at)
	v.at, v.first, v.next = before.at, before.first, register+1
	return Higher, true
}

// find looks for the run of a register, which is at the end of the value or broken if there is none. An earlier one is
// two runs before that at least, or is where there are no two.
func (v *Value) find(register int) (earlier, run place) {
	b, at, first := v.B, v.at, v.first
	if register < v.next || at == 0 {
		at, first = HeaderBytes, 0
	}
	earlier = place{at, first}
	for at+8 <= len(b) {
		n, size := eightBytes(binary.LittleEndian.Uint64(b[at:]))
		if first+n > register {
			break
		}
		earlier = place{at, first} // eight bytes have three runs at least
		at += size
		first += n
	}
	for at < len(b) {
		n, size := runAt(b, at)
		if size == 0 || register < first+n {
			break
		}
		at += size
		first += n
	}
	return earlier, place{at, first}
}

// before returns the run before one and the one before that, having an earlier one. Where there is none they are the
// run behind.
func (v *Value) before(run, earlier place) (last, lastButOne place) {
	last, lastButOne = earlier, earlier
	for p := earlier; p.at < run.at; {
		last, lastButOne = p, last
		n, size := runAt(v.B, p.at)
		p = place{p.at + size, p.first + n}
	}
	return last, lastButOne
}

// eightBytes returns how many registers the whole runs in eight bytes are about that begin with a run, and their size
// in bytes, 7 if an XZERO begins with the last one. Where there are XZEROs it has no branches, since nothing foretells
// which kind of run comes next.
func eightBytes(w uint64) (n, size int) {
	const (
		ones = 0x0101_0101_0101_0101
		even = 0x00FF_00FF_00FF_00FF
	)
	size = 8
	like := w >> 6 &^ (w >> 7) & ones // bytes that look like the first of an XZERO
	var high, tails uint64
	if like != 0 {
		// The second byte of one may look so, too: of such bytes in a row each other one is a first, beginning with the
		// row. The carry goes through the rows that begin at an even place.
		all := like<<8 - like
		rest := all + like&^(like<<8)&even
		heads := all&^rest&even | all&rest&^even
		cut := heads >> 63
		size -= int(cut)
		w &= ^uint64(0) >> (cut << 3)
		tails = heads << 8
		high = w & heads & (0x3F * ones) * ones >> 56 << 8 // four of 63 at most
		w &^= heads
	}
	val := w &^ tails >> 7 & ones
	low := w & (0x3F*ones - val*0x3C | tails) // 3 for a VAL
	low = (low&even + low>>8&even) * 0x0001_0001_0001_0001 >> 48
	return int(high+low) + size - bits.OnesCount64(tails)>>3, size
}

// join makes one of neighbours with the same rank, from the run at b[at] on, joinSteps far.
func (v *Value) join(at int) {
	for step := 0; step < joinSteps && at < len(v.B); step++ {
		c := v.B[at]
		switch {
		case c&kindBits == xzero:
			at += 2
			continue
		case c&valBit != 0 && at+1 < len(v.B):
			next := v.B[at+1]
			n := shortRun(c) + shortRun(next)
			if next&valBit != 0 && rankOf(next) == rankOf(c) && n <= maxVal {
				v.own(at, at+2)
				v.B[at] = c&^3 | byte(n-1)
				v.B = slices.Delete(v.B, at+1, at+2)
				continue
			}
		}
		at++
	}
}

// EachRun calls fn for each run of a sparse value: the rank of its n registers, and its size in bytes. It reports
// whether the value is sound.
func EachRun(b []byte, fn func(rank byte, n, size int)) bool {
	w := runsOf(b)
	for at := w.at; w.next(); at = w.at {
		fn(w.rank, w.n, w.at-at)
	}
	return w.sound()
}
