package reactor

import (
	"errors"
	"net"
	"sync/atomic"
)

// Reasons for which the reactor itself closes a connection; given to Handler.Close.
var (
	ErrQueryBufferLimit  = errors.New("reactor: query buffer limit reached")
	ErrOutputBufferLimit = errors.New("reactor: output buffer limit reached")
	ErrSlowReader        = errors.New("reactor: sends without reading its replies, and buffers are full")
	ErrClosedByServer    = errors.New("reactor: closed by the server")

	errNotRegistered = errors.New("reactor: the event loop did not take the socket")
)

// Handler gives meaning to the bytes. All methods run on the connection's loop.
type Handler interface {
	// Open is told of a new connection.
	Open(c *Conn)
	// Data offers the bytes not consumed so far, of very many only the first ones; it returns how many it
	// consumed. p is valid during the call only. When it leaves an incomplete piece it says with c.SetNeed
	// how many bytes it needs.
	Data(c *Conn, p []byte) (consumed int)
	// Close is told that the connection is gone; err says why (io.EOF for the peer's close).
	Close(c *Conn, err error)
	// Tick runs on a loop that asked for it with WantTick, about every 10 ms.
	Tick(l *Loop)
	// Stalled is told that a connection began or ceased to wait for its reader.
	Stalled(c *Conn, on bool)
}

// BufferObserver is implemented by a Handler that wants to know what a connection's buffers occupy.
type BufferObserver interface {
	// Buffers is told, on the connection's loop, that QueryBytes, QueryCapacity or OutputBytes changed.
	Buffers(c *Conn)
}

// Limits bound what a connection may make the reactor hold; all in bytes, 0 = no limit.
type Limits struct {
	QueryBufferBytes int // one connection's bytes not yet executed
	OutputBytes      int // one connection's bytes not yet read by the peer: closed above
	SoftOutputBytes  int // one connection's bytes not yet read by the peer: closed if above for longer than
	SoftOutputMs     int64
	// Instead of these three, of connections that get what they have not asked for (SetSubscriber).
	PushOutputBytes     int
	PushSoftOutputBytes int
	PushSoftOutputMs    int64

	StallBytes        int // one connection's bytes not yet read by the peer: not executed above, see credit
	StalledTotalBytes int // query and output bytes of all connections that don't read: one that sends is closed above

	// Of connections that are not trusted yet (SetTrusted).
	UntrustedQueryBytes  int
	UntrustedOutputBytes int
}

// totals are the sums over all connections; atomic.
type totals struct {
	live            atomic.Int64 // connections accepted and not closed
	lagging         atomic.Int64 // connections that have output which the socket did not take
	laggingBytes    atomic.Int64 // what their buffers occupy
	tickMs          atomic.Int64 // time of the last tick, since the reactor's start
	netInput        atomic.Int64
	netOutput       atomic.Int64
	queryLimitHits  atomic.Int64
	outputLimitHits atomic.Int64
}

// transport is a connection's socket; used on the loop only.
type transport interface {
	// Write sends what the socket takes now; n < len(p) without an error: it is full.
	Write(p []byte) (n int, err error)
	Fd() int
}

// Conn is one client connection. Its methods are for its loop's goroutine unless they say otherwise.
type Conn struct {
	// Immutable after Open.
	ID         uint64
	loop       *Loop
	remote     net.Addr
	local      net.Addr
	registered bool // the engine has taken it

	// Context is the handler's own state.
	Context any

	// Owned by the loop.
	raw       transport
	drop      func() // makes the engine close the socket and report it
	query     query
	out       outbox
	need      int // do not call Data with fewer bytes
	held      int // bytes of queries that the handler keeps
	credit    int // query bytes executed since output began to lag: that much more output is allowed
	counted   int // bytes counted in totals.laggingBytes
	softSince int64
	mark      uint64 // of what is written from now on
	gateSlot  int    // in Loop.gated, -1: not there
	heldBack  int    // bytes counted in gate.bytes
	toldQuery int    // what the observer was told
	toldOut   int
	paused    bool
	suspended bool // paused by Suspend
	stalled   bool
	full      bool // the socket did not take all that could leave
	hungry    bool // in Loop.hungry
	untrusted bool
	unbounded bool // SetUnbounded
	pushed    bool // SetSubscriber
	closing   bool // close once the output is flushed
	closed    bool
	eof       bool // the peer will not send any more: close when all is executed and flushed
	inData    bool
	watched   bool // by writability

	writable  Letter // the socket takes bytes again
	letterOut atomic.Bool

	prevConn, nextConn *Conn
}

// newConn returns a connection that has no socket yet.
func newConn(id uint64, l *Loop, remote, local net.Addr) *Conn {
	c := &Conn{ID: id, loop: l, remote: remote, local: local, gateSlot: -1}
	c.query.loop = l
	c.writable.To = (*sender)(c)
	return c
}

// Loop returns the loop that the connection is pinned to. Safe from any goroutine.
func (c *Conn) Loop() *Loop { return c.loop }

// RemoteAddr and LocalAddr return the ends of the connection. Safe from any goroutine.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr returns the server's end of the connection. Safe from any goroutine.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// Fd returns the socket's descriptor, for information only.
func (c *Conn) Fd() int {
	if c.closed {
		return -1
	}
	return c.raw.Fd()
}

// QueryBytes is the number of bytes received and not consumed; inside Data, when the call began.
func (c *Conn) QueryBytes() int { return len(c.query.bytes()) }

// QueryCapacity is the number of bytes that the query buffer occupies.
func (c *Conn) QueryCapacity() int { return c.query.sizeBytes() }

// OutputBytes is the number of bytes written and not yet taken by the socket.
func (c *Conn) OutputBytes() int { return c.out.bytes }

// OutputChunks is the number of pieces of memory that these bytes lie in.
func (c *Conn) OutputChunks() int { return len(c.out.chunks) - c.out.first }

// Closing tells whether the connection is closed or will be once its output is flushed.
func (c *Conn) Closing() bool { return c.closing || c.closed }

// Ready tells whether Data may go on executing: not paused, not stalled, not closing.
func (c *Conn) Ready() bool { return !c.paused && !c.stalled && !c.closing && !c.closed }

// SetNeed says that Data is of no use before n bytes are there.
func (c *Conn) SetNeed(n int) { c.need = n }

// Pause stops calls of Data until Resume; bytes go on being collected up to the limits.
func (c *Conn) Pause() { c.paused = true }

// Suspend is Pause before a command that has not begun and may never have to, or has nothing left to do but to wait: if
// the peer ends its sending side meanwhile, the connection is closed like one that waits for nothing.
func (c *Conn) Suspend() { c.paused, c.suspended = true, true }

// Ended tells whether the peer has ended its sending side.
func (c *Conn) Ended() bool { return c.eof }

// Resume lets Data be called again and offers at once what was collected meanwhile.
func (c *Conn) Resume() {
	if !c.paused {
		return
	}
	c.paused, c.suspended = false, false
	if !c.inData {
		c.feed(nil)
	}
}

// SetTrusted says whether the peer has shown who it is; until then the limits for strangers hold. New
// connections are trusted.
func (c *Conn) SetTrusted(on bool) { c.untrusted = !on }

// SetUnbounded lifts the limit of the query buffer: what the peer sends has to be taken as it is.
func (c *Conn) SetUnbounded() { c.unbounded = true }

// SetSubscriber says whether the connection gets what it has not asked for: other limits of output hold then.
func (c *Conn) SetSubscriber(on bool) { c.pushed = on }

// outputLimits returns the limits of the connection's output: at which it is closed, and above which it is for how
// long.
func (c *Conn) outputLimits(l *Limits) (hardBytes, softBytes int, softMs int64) {
	if c.pushed {
		return l.PushOutputBytes, l.PushSoftOutputBytes, l.PushSoftOutputMs
	}
	return l.OutputBytes, l.SoftOutputBytes, l.SoftOutputMs
}

// SetHeld says how many bytes of the peer's queries the handler keeps by itself: they count as query buffer.
func (c *Conn) SetHeld(n int) {
	if n == c.held {
		return
	}
	c.held = n
	if !c.inData { // else feed checks when it knows what was consumed
		c.checkQuery()
	}
}

// CloseAfterFlush closes the connection as soon as everything written has left; nothing more is read.
func (c *Conn) CloseAfterFlush() {
	if c.Closing() {
		return
	}
	c.closing = true
	if c.inData {
		return // feed closes
	}
	c.finishClosing()
}

func (c *Conn) finishClosing() {
	c.query.drop()
	if c.out.empty() {
		c.drop()
	}
	// else drain does it
}

// Abort closes the connection now; output that did not leave yet is lost. err goes to Handler.Close.
func (c *Conn) Abort(err error) {
	if c.closed {
		return
	}
	c.closeNow(err)
	c.drop()
}

// closeNow ends the connection on our side: the handler is told, buffers go back. The socket is still open.
func (c *Conn) closeNow(err error) {
	if c.closed {
		return
	}
	c.closed = true
	c.loop.waker.forget(c)
	c.leaveGate()
	c.out.clear(c.loop)
	if c.full {
		c.caughtUp()
	}
	c.countHeld()
	c.loop.conns.remove(c)
	c.loop.connCount.Add(-1)
	c.loop.totals.live.Add(-1)
	c.loop.handler.Close(c, err)
	if !c.inData {
		c.query.drop()
	}
}

// unfinished tells whether the peer has a reply to come, though it will send nothing more.
func (c *Conn) unfinished() bool {
	return !c.closed && (c.paused && !c.suspended || c.stalled || c.hungry || !c.out.empty())
}

// linger goes on without the peer's sending side: what it sent is executed and answered, then the
// connection is closed. raw and drop replace what the engine is about to close.
func (c *Conn) linger(raw transport, drop func()) {
	c.loop.waker.forget(c)
	c.raw, c.drop, c.eof = raw, drop, true
	if c.full {
		if err := c.loop.waker.watch(c); err != nil {
			c.Abort(err)
			return
		}
	}
	if !c.closing {
		c.feed(nil)
	}
}

// sliceBytes is how much Data is offered at a time beyond what it asked for. More than one read's worth is
// there when a connection was paused or stalled: the others of the loop have their turn in between.
const sliceBytes = 128 << 10

// feed offers the collected bytes and data, which is valid during the call only, to the handler.
func (c *Conn) feed(data []byte) {
	if c.closed || c.closing {
		return
	}
	if len(data) > 0 {
		c.loop.totals.netInput.Add(int64(len(data)))
		c.loop.reads.Add(1)
	}
	in := data
	if c.query.buf != nil {
		c.query.add(data, c.need)
		in = c.query.bytes()
	}
	n := 0
	if len(in) >= c.need && len(in) > 0 && c.Ready() {
		offer := in[:min(len(in), c.need+sliceBytes)]
		c.need = 0
		c.inData = true
		n = c.loop.handler.Data(c, offer)
		c.inData = false
		if c.closed {
			c.query.drop()
			return
		}
		if !c.out.empty() {
			c.credit += n
		}
		if len(offer) < len(in) && c.Ready() {
			if n == 0 {
				c.need = max(c.need, len(offer)+1)
			}
			if len(in)-n >= c.need {
				c.loop.feedSoon(c)
			}
		}
	}
	switch {
	case c.closing:
	case c.query.buf != nil:
		c.query.consume(n)
	case n < len(in):
		c.query.add(in[n:], c.need)
	}
	if c.eof && c.Ready() && !c.hungry {
		c.closing = true // what is left is not a whole command, and never will be
	}
	if c.closing {
		c.finishClosing()
		return
	}
	c.checkQuery()
}

// checkQuery holds the query buffer to its limits after it changed.
func (c *Conn) checkQuery() {
	limits := c.loop.limits.Load()
	size := c.QueryBytes() + c.held
	if !c.unbounded && tooMuch(size, limits.QueryBufferBytes) ||
		c.untrusted && tooMuch(size, limits.UntrustedQueryBytes) {
		c.loop.totals.queryLimitHits.Add(1)
		c.Abort(ErrQueryBufferLimit)
		return
	}
	c.account(limits)
}

func tooMuch(size, limit int) bool { return limit > 0 && size > limit }
