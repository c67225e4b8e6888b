package reactor

import (
	"math"
	"sync/atomic"
)

// The reply gate. What a connection writes may have a mark, a position in the server's log; it leaves when that
// position is released, and all that was written later leaves after it. While everything is released, or a mark is
// below what is, a write costs one load more. What is held lies where output lies that the socket did not take, and
// counts as output, but it is not the peer's fault: at a limit the connection is not closed, it is not executed any
// more (Conn.checkHeld). A connection that is closed while something is held either waits until that has left
// (CloseAfterFlush) or drops it (Abort).
//
// No wake-up is lost: a loop states what it waits for and then looks at what is released, Release stores what is
// released and then looks at what loops wait for, and all four are sequentially consistent.

// AllReleased is a position that releases all output, whatever its mark.
const AllReleased = math.MaxUint64

// noMark is what a loop awaits while none of its connections waits for the gate.
const noMark = math.MaxUint64

// maxMarks is how many marks of a connection's output are told apart. Beyond, what is written gets the last one,
// raised: it may leave a little later than it could.
const maxMarks = 64

// keptMarks is for how many marks a connection keeps memory while it has none.
const keptMarks = 4

// gate is what all loops look at. It has cache lines of its own.
type gate struct {
	_        [64]byte
	released atomic.Uint64
	_        [56]byte
	bytes    atomic.Int64 // held back by it, of all connections
}

// overfull tells whether it holds too much for all connections together.
func (g *gate) overfull(limits *Limits) bool {
	return tooMuch(int(g.bytes.Load()), limits.StalledTotalBytes)
}

// outMark says from where on output waits for a position.
type outMark struct {
	at  uint64 // counted in bytes over the life of the outbox
	lsn uint64
}

// Release sets the position up to which output may leave: what is marked with it or less. It may fall, which holds for
// what is written from then on and for what waits already. Loops with output that may leave now are told by one letter
// each. Safe from any goroutine; calls that mean different positions have to be put in order by their callers.
func (r *Reactor) Release(lsn uint64) {
	r.gate.released.Store(lsn)
	for _, l := range r.loops {
		if at := l.awaited.Load(); at != noMark && at <= lsn {
			l.ringGate()
		}
	}
}

// HeldBytes is how much output waits for the gate, and for what waits before it. Safe from any goroutine.
func (r *Reactor) HeldBytes() int64 { return r.gate.bytes.Load() }

// ringGate has the loop look at its connections that wait for the gate.
func (l *Loop) ringGate() {
	if l.gateRung.CompareAndSwap(false, true) {
		l.Post(&l.gateOpens)
	}
}

// gatekeeper is a Loop as the recipient of its letter gateOpens.
type gatekeeper Loop

// Deliver implements Recipient: output may leave that waited for the gate.
func (k *gatekeeper) Deliver(*Loop, *Letter) {
	l := (*Loop)(k)
	l.gateRung.Store(false)
	l.awaited.Store(noMark)
	list := l.gated
	l.gated = l.passed[:0]
	for _, c := range list {
		c.gateSlot = -1
	}
	for i, c := range list {
		list[i] = nil
		if !c.closed {
			c.drain()
		}
	}
	l.passed = list
}

// Mark has what is written from now on wait until lsn is released; a mark never falls. On the connection's loop.
func (c *Conn) Mark(lsn uint64) {
	if lsn > c.mark {
		c.mark = lsn
	}
}

// Marked returns the connection's mark: what it has written, or is about to, tells of nothing behind it.
func (c *Conn) Marked() uint64 { return c.mark }

// mayPass tells whether what is written now may leave, if nothing is before it.
func (c *Conn) mayPass() bool { return c.mark <= c.loop.gate.released.Load() }

// awaitGate has the loop send the connection's output when its first mark is released.
func (c *Conn) awaitGate() {
	l, lsn := c.loop, c.out.marks[0].lsn
	if c.gateSlot < 0 {
		c.gateSlot = len(l.gated)
		l.gated = append(l.gated, c)
	}
	if lsn < l.awaited.Load() {
		l.awaited.Store(lsn)
	}
	if l.gate.released.Load() >= lsn {
		l.ringGate()
	}
}

// leaveGate takes the connection out of those that wait for the gate.
func (c *Conn) leaveGate() {
	l := c.loop
	if c.gateSlot >= 0 {
		last := len(l.gated) - 1
		l.gated[c.gateSlot] = l.gated[last]
		l.gated[c.gateSlot].gateSlot = c.gateSlot
		l.gated[last] = nil
		l.gated = l.gated[:last]
		c.gateSlot = -1
	}
}

// countHeld keeps the connection's share of what the gate holds.
func (c *Conn) countHeld() {
	held := 0
	if !c.full {
		held = c.out.bytes
	}
	if held != c.heldBack {
		c.loop.gate.bytes.Add(int64(held - c.heldBack))
		c.heldBack = held
	}
}

// checkHeld is checkOutput for output that the gate holds back: at a limit the connection is not executed any more, and
// neither is one that adds to what is held when that is too much for all connections together.
func (c *Conn) checkHeld(limits *Limits) {
	out := c.out.bytes
	hard, _, _ := c.outputLimits(limits)
	c.countHeld()
	if !c.stalled && (limits.StallBytes > 0 && out > limits.StallBytes+c.credit || tooMuch(out, hard) ||
		c.loop.gate.overfull(limits)) {
		c.stalled = true
		c.loop.handler.Stalled(c, true)
	}
	c.account(limits)
}

// mark notes that what is added from now on waits for lsn.
func (o *outbox) mark(lsn uint64) {
	n := len(o.marks)
	switch {
	case n > 0 && o.marks[n-1].lsn >= lsn:
	case n == maxMarks:
		o.marks[n-1].lsn = lsn
	default:
		o.marks = append(o.marks, outMark{o.sent + uint64(o.bytes), lsn})
	}
}

// free returns how many bytes at the head may leave.
func (o *outbox) free(released uint64) int {
	n := 0
	for n < len(o.marks) && o.marks[n].lsn <= released {
		n++
	}
	if n > 0 {
		o.marks = append(o.marks[:0], o.marks[n:]...)
	}
	if len(o.marks) == 0 {
		if cap(o.marks) > keptMarks {
			o.marks = nil
		}
		return o.bytes
	}
	return int(o.marks[0].at - o.sent)
}
