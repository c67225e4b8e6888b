package hll

import (
	"encoding/binary"
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

// Edit is how a register of a sparse value is raised: the Del bytes from At on give way to New.
type Edit struct {
	At, Del int

	room [maxRunBytes + maxSplitBytes + joinBytes]byte
	n    int
}

const (
	maxRunBytes   = 2
	maxSplitBytes = 5               // a rank between two XZEROs
	joinBytes     = joinSteps*2 + 1 // that joining looks at
)

// New is what comes in, a few bytes; it lies in the Edit.
func (e *Edit) New() []byte { return e.room[:e.n] }

// Plan works out how Raise would raise a register of a sparse value, and changes nothing; e is good if that is Higher.
// ok is false if the value would become dense, or isn't sound.
func (v *Value) Plan(e *Edit, register int, rank byte) (r Raised, ok bool) {
	if rank > maxSparseRank {
		return Same, false
	}
	return v.plan(e, v.find(register), register, rank)
}

// plan is Plan where the register has been looked for. An unsound value gives Unsound and true.
func (v *Value) plan(e *Edit, f found, register int, rank byte) (r Raised, ok bool) {
	if f.size == 0 {
		return Unsound, true
	}
	had := rankOf(v.B[f.at])
	if had >= rank {
		return Same, true
	}
	if had > 0 || !e.split(v.B, f, register, rank) {
		e.replace(v.B, f, register, rank)
	}
	if more := e.n - e.Del; more > 0 && int64(len(v.B)+more) > v.MaxSparse {
		return Same, false
	}
	return Higher, true
}

// replace is the general way to plan: it puts the run's parts between the run before and what is behind, and joins.
func (e *Edit) replace(v []byte, f found, register int, rank byte) {
	had := rankOf(v[f.at])
	b := append(e.room[:0], v[f.prev:f.at]...)
	if left := register - f.first; left > 0 {
		b = appendRun(b, had, left)
	}
	b = appendRun(b, rank, 1)
	if right := f.first + f.n - 1 - register; right > 0 {
		b = appendRun(b, had, right)
	}
	behind := f.at + f.size
	end := min(behind+joinBytes, len(v))
	b = join(append(b, v[behind:end]...))
	e.At, e.Del, e.n = f.prev, end-f.prev, len(b)
}

// split plans what most changes are, without branches that nothing foretells: a register of a run of zeros gets a rank,
// and there is nothing to be joined. It reports whether that is so.
func (e *Edit) split(v []byte, f found, register int, rank byte) bool {
	behind := f.at + f.size
	if behind+8 > len(v) {
		return false
	}
	left, leftBytes := zeros(register - f.first)
	right, rightBytes := zeros(f.first + f.n - 1 - register)
	val := uint64(valBit | (rank-1)<<2)
	runs := left | (val|right<<8)<<(leftBytes&7*8)
	n := leftBytes + 1 + rightBytes
	next := binary.LittleEndian.Uint64(v[behind:])
	if pairs(uint64(v[f.at-1])|runs<<8|next<<((n+1)&7*8))|pairs(next) != 0 {
		return false
	}
	binary.LittleEndian.PutUint64(e.room[:], runs)
	e.At, e.Del, e.n = f.at, f.size, n
	return true
}

// zeros returns a run of n registers that are 0, and its bytes: none if n is 0.
func zeros(n int) (run uint64, size int) {
	m := uint64(n - 1)
	none := m >> 63
	long := (maxZero - 1 - m) >> 63 &^ none // n > maxZero
	run = m&(long-1) | (xzero|m>>8|m&0xFF<<8)&-long
	return run & (none - 1), int(1 + long - none)
}

// pairs returns a bit for each byte of a word that looks like a VAL and is followed by one of the same rank.
func pairs(w uint64) uint64 {
	unlike := (w^w>>8)>>2&(0x3F*ones) + 0x7F*ones // with the highest bit of a byte set
	return w &^ unlike & (0x80 * (ones >> 8))
}

// raiseSparse raises a register of a sparse value; done is false if that has no room for it.
func (v *Value) raiseSparse(register int, rank byte) (r Raised, done bool) {
	var e Edit
	f := v.find(register)
	if r, done = v.plan(&e, f, register, rank); r == Higher {
		v.own(e.At, e.At+e.Del)
		v.B = slices.Replace(v.B, e.At, e.At+e.Del, e.New()...)
		v.at, v.first, v.next = f.earlier.at, f.earlier.first, register+1
	}
	return r, done
}

// join makes one of neighbours with the same rank, from the first run on, joinSteps far.
func join(b []byte) []byte {
	at := 0
	for step := 0; step < joinSteps && at < len(b); step++ {
		c := b[at]
		switch {
		case c&kindBits == xzero:
			at += 2
			continue
		case c&valBit != 0 && at+1 < len(b):
			next := b[at+1]
			n := shortRun(c) + shortRun(next)
			if next&valBit != 0 && rankOf(next) == rankOf(c) && n <= maxVal {
				b[at] = c&^3 | byte(n-1)
				b = slices.Delete(b, at+1, at+2)
				continue
			}
		}
		at++
	}
	return b
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
