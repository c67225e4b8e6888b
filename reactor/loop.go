package reactor

import (
	"sync/atomic"
)

// bell wakes a loop's goroutine and has it call Loop.settle there. Safe from any goroutine.
type bell interface {
	ring()
	// ringLater rings after the events that wait now had their turn; on the loop's goroutine only.
	ringLater()
}

// waker tells a connection's loop when a full socket takes bytes again (writability).
type waker interface {
	watch(c *Conn) error
	forget(c *Conn)
}

// Loop is one event loop: a goroutine that owns its connections.
type Loop struct {
	// Immutable after Start.
	ID       int
	handler  Handler
	observer BufferObserver // nil if the handler is none
	limits   *atomic.Pointer[Limits]
	totals   *totals
	bell     bell
	waker    waker
	pace     *pace
	gate     *gate

	// State is the handler's own per-loop state; touched on the loop only.
	State any

	// Owned by the loop.
	conns   connList
	hungry  []*Conn  // connections with bytes to execute, each of which had its turn
	fed     []*Conn  // empty; memory for the next hungry
	lagging int      // connections that have output which the socket did not take
	spare   [][]byte // chunks of output for reuse
	// spareSmall are such of firstChunkBytes.
	spareSmall [][]byte
	gated      []*Conn // connections whose output waits for the gate next
	passed     []*Conn // empty; memory for the next gated
	// spareQuery is a query buffer above the pool's size for reuse, nil or empty.
	spareQuery []byte
	later      []*Letter
	soon       bool  // tick at the next ring of the own bell
	softMs     int64 // when soft limits were last looked at

	// Atomic.
	mail       mailbox
	maybeSleep atomic.Bool
	tickDue    atomic.Uint32 // whether it wants to be told of a tick: noTick, slowTick or nextTick
	tickNow    atomic.Bool   // the tick has come
	awaited    atomic.Uint64 // least mark that gated wait for, or noMark; written by the loop
	gateRung   atomic.Bool   // gateOpens is under way
	gateOpens  Letter
	connCount  atomic.Int64
	reads      atomic.Int64 // written by the loop
	writes     atomic.Int64 // written by the loop
}

// Post hands a letter to the loop. Safe from any goroutine; a letter may be under way only once.
func (l *Loop) Post(letter *Letter) {
	l.mail.push(letter)
	if l.maybeSleep.Load() && l.maybeSleep.CompareAndSwap(true, false) {
		l.bell.ring()
	}
}

// WantTick asks for Handler.Tick on this loop at the next tick, in 10 ms at most. Safe from any goroutine.
func (l *Loop) WantTick() {
	l.tickDue.Store(nextTick)
	l.pace.hurry()
}

// WantSlowTick asks for Handler.Tick on this loop in 100 ms or so, if nobody asks for an earlier one. Safe from any
// goroutine.
func (l *Loop) WantSlowTick() { l.tickDue.CompareAndSwap(noTick, slowTick) }

// TickSoon has Handler.Tick called again once the events that wait now had their turn; on the loop only.
func (l *Loop) TickSoon() {
	if !l.soon {
		l.soon = true
		l.bell.ringLater()
	}
}

// PostLater has a letter delivered on this loop once the events that wait now had their turn; on the loop only.
func (l *Loop) PostLater(letter *Letter) {
	if l.later = append(l.later, letter); len(l.later) == 1 {
		l.bell.ringLater()
	}
}

// deliverLater delivers what PostLater was given.
func (l *Loop) deliverLater() {
	list := l.later
	l.later = nil
	for _, letter := range list {
		letter.To.Deliver(l, letter)
	}
}

// feedSoon has the connection's next slice executed once the events that wait now had their turn.
func (l *Loop) feedSoon(c *Conn) {
	if c.hungry {
		return
	}
	c.hungry = true
	if l.hungry = append(l.hungry, c); len(l.hungry) == 1 {
		l.bell.ringLater()
	}
}

// feedHungry executes a slice of each connection that waits for that.
func (l *Loop) feedHungry() {
	list := l.hungry
	l.hungry = l.fed[:0]
	for i, c := range list {
		list[i] = nil
		c.hungry = false
		c.feed(nil)
	}
	l.fed = list
}

// rung is what the bell makes the loop do.
func (l *Loop) rung() {
	l.maybeSleep.Store(false)
	l.feedHungry()
	l.deliverLater()
	if l.soon {
		l.soon = false
		l.tick()
	}
	l.settle()
}

// Conns calls fn for each open connection of the loop; on the loop only. fn may close connections.
func (l *Loop) Conns(fn func(c *Conn)) {
	for c := l.conns.first; c != nil; {
		next := c.nextConn
		fn(c)
		c = next
	}
}

// ConnCount is the number of open connections; safe from any goroutine.
func (l *Loop) ConnCount() int { return int(l.connCount.Load()) }

// settle ends a callback: it delivers the mail until none is left and then may be asleep.
func (l *Loop) settle() {
	for {
		if l.tickNow.Load() {
			l.tickNow.Store(false)
			l.tick()
		}
		for letter := l.mail.takeAll(); letter != nil; {
			next := letter.next
			letter.next = nil
			letter.To.Deliver(l, letter)
			letter = next
		}
		l.maybeSleep.Store(true)
		if l.mail.empty() && !l.tickNow.Load() {
			return
		}
		l.maybeSleep.Store(false)
	}
}

// softEveryMs is how often soft limits are looked at.
const softEveryMs = 100

// tick looks after connections whose output isn't read, then lets the handler do its periodic work.
func (l *Loop) tick() {
	if l.lagging > 0 {
		l.WantTick()
		limits, nowMs := l.limits.Load(), l.totals.tickMs.Load()
		if max(limits.SoftOutputBytes, limits.PushSoftOutputBytes) > 0 && nowMs-l.softMs >= softEveryMs {
			l.softMs = nowMs
			l.Conns(func(c *Conn) { c.checkSoft(limits, nowMs) })
		}
	}
	l.handler.Tick(l)
}

// connList is the loop's doubly linked list of connections, oldest first.
type connList struct {
	first, last *Conn
}

func (cl *connList) add(c *Conn) {
	c.prevConn = cl.last
	if cl.last != nil {
		cl.last.nextConn = c
	} else {
		cl.first = c
	}
	cl.last = c
}

func (cl *connList) remove(c *Conn) {
	if c.prevConn != nil {
		c.prevConn.nextConn = c.nextConn
	} else {
		cl.first = c.nextConn
	}
	if c.nextConn != nil {
		c.nextConn.prevConn = c.prevConn
	} else {
		cl.last = c.prevConn
	}
	c.prevConn = nil // nextConn stays: an iteration may stand on c
}
