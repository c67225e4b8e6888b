package reactor

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
)

// Reasons for which the reactor itself closes a connection; given to Handler.Close.
var (
	ErrQueryBufferLimit  = errors.New("reactor: query buffer limit reached")
	ErrOutputBufferLimit = errors.New("reactor: output buffer limit reached")
	ErrSlowReader        = errors.New("reactor: sends without reading its replies, and buffers are full")
	ErrClosedByServer    = errors.New("reactor: closed by the server")
)

// Handler gives meaning to the bytes. All methods run on the connection's loop.
type Handler interface {
	// Open is told of a new connection.
	Open(c *Conn)
	// Data offers all bytes not consumed so far; it returns how many it consumed. p is valid during the
	// call only. When it leaves an incomplete piece it says with c.SetNeed how many bytes it needs.
	Data(c *Conn, p []byte) (consumed int)
	// Close is told that the connection is gone; err says why (io.EOF for the peer's close).
	Close(c *Conn, err error)
	// Tick runs on a loop that asked for it with WantTick, about every 10 ms.
	Tick(l *Loop)
	// Stalled is told that a connection began or ceased to wait for its reader.
	Stalled(c *Conn, on bool)
}

// Limits bound what a connection may make the reactor hold; all in bytes, 0 = no limit.
type Limits struct {
	QueryBufferBytes  int // one connection's bytes not yet executed
	OutputBytes       int // one connection's bytes not yet read by the peer: closed above
	StallBytes        int // one connection's bytes not yet read by the peer: not executed above
	StalledTotalBytes int // query bytes of all stalled connections: a stalled sender is closed above
}

// totals are the sums over all connections; atomic.
type totals struct {
	live              atomic.Int64 // connections accepted and not closed
	stalledQueryBytes atomic.Int64
	netInput          atomic.Int64
	netOutput         atomic.Int64
	queryLimitHits    atomic.Int64
	outputLimitHits   atomic.Int64
}

// transport is a connection as the engine offers it; used on the loop only.
type transport interface {
	Write(p []byte) (int, error) // takes all: what the socket doesn't is kept by the engine
	OutboundBuffered() int
	Fd() int
}

// Conn is one client connection. Its methods are for its loop's goroutine unless they say otherwise.
type Conn struct {
	// Immutable after Open.
	ID     uint64
	loop   *Loop
	raw    transport
	remote net.Addr
	local  net.Addr
	drop   func() // makes the engine close the socket and report it

	// Context is the handler's own state.
	Context any

	// Owned by the loop.
	pending    *bytebufferpool.ByteBuffer // query buffer: bytes not consumed, from pendingOff
	pendingOff int
	need       int // do not call Data with fewer bytes
	paused     bool
	stalled    bool
	closing    bool // close once the output is flushed
	closed     bool
	inData     bool
	counted    int // bytes counted in totals.stalledQueryBytes

	prevConn, nextConn *Conn
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

// QueryBytes is the number of bytes received and not consumed; QueryCapacity is the buffer's size.
func (c *Conn) QueryBytes() int {
	if c.pending == nil {
		return 0
	}
	return len(c.pending.B) - c.pendingOff
}

// QueryCapacity is the number of bytes that the query buffer occupies.
func (c *Conn) QueryCapacity() int {
	if c.pending == nil {
		return 0
	}
	return cap(c.pending.B)
}

// OutputBytes is the number of bytes written and not yet taken by the socket.
func (c *Conn) OutputBytes() int {
	if c.closed {
		return 0
	}
	return c.raw.OutboundBuffered()
}

// Closing tells whether the connection is closed or will be once its output is flushed.
func (c *Conn) Closing() bool { return c.closing || c.closed }

// Ready tells whether Data may go on executing: not paused, not stalled, not closing.
func (c *Conn) Ready() bool { return !c.paused && !c.stalled && !c.closing && !c.closed }

// SetNeed says that Data is of no use before n bytes are there.
func (c *Conn) SetNeed(n int) { c.need = n }

// Pause stops calls of Data until Resume; bytes go on being collected up to the limits.
func (c *Conn) Pause() { c.paused = true }

// Resume lets Data be called again and offers at once what was collected meanwhile.
func (c *Conn) Resume() {
	if !c.paused {
		return
	}
	c.paused = false
	if !c.inData {
		c.feed(nil)
	}
}

// Write queues p for the peer and sends what the socket takes. p is not kept.
func (c *Conn) Write(p []byte) {
	if c.closed || len(p) == 0 {
		return
	}
	c.loop.totals.netOutput.Add(int64(len(p)))
	if _, err := c.raw.Write(p); err != nil || c.closed {
		return // the engine closes and reports
	}
	out := c.raw.OutboundBuffered()
	if out == 0 {
		return
	}
	limits := c.loop.limits.Load()
	if limits.OutputBytes > 0 && out > limits.OutputBytes {
		c.loop.totals.outputLimitHits.Add(1)
		c.Abort(ErrOutputBufferLimit)
		return
	}
	if limits.StallBytes > 0 && out > limits.StallBytes {
		c.stall()
	}
}

func (c *Conn) stall() {
	if c.stalled {
		return
	}
	c.stalled = true
	c.loop.stalled++
	c.loop.WantTick()
	c.loop.handler.Stalled(c, true)
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
	if c.raw.OutboundBuffered() == 0 {
		c.drop()
		return
	}
	if !c.stalled {
		c.stalled = true
		c.loop.stalled++
	}
	c.loop.WantTick()
}

// Abort closes the connection now; output that did not leave yet is lost. err goes to Handler.Close.
func (c *Conn) Abort(err error) {
	if c.closed {
		return
	}
	c.closeNow(err)
	c.drop()
}

// closeNow ends the connection on our side: the handler is told, buffers go back.
func (c *Conn) closeNow(err error) {
	if c.closed {
		return
	}
	c.closed = true
	if c.stalled {
		c.stalled = false
		c.loop.stalled--
	}
	c.count(0)
	c.loop.conns.remove(c)
	c.loop.connCount.Add(-1)
	c.loop.totals.live.Add(-1)
	c.loop.handler.Close(c, err)
	if !c.inData {
		c.dropPending()
	}
}

// checkOutput runs at ticks for connections whose output was full or that close after it.
func (c *Conn) checkOutput() {
	if !c.stalled || c.closed {
		return
	}
	out := c.raw.OutboundBuffered()
	if c.closing {
		if out == 0 {
			c.drop()
		}
		return
	}
	if out > c.loop.limits.Load().StallBytes/2 {
		return
	}
	c.stalled = false
	c.loop.stalled--
	c.count(0)
	c.loop.handler.Stalled(c, false)
	c.feed(nil)
}

// feed offers the collected bytes and data, which is valid during the call only, to the handler.
func (c *Conn) feed(data []byte) {
	if c.closed || c.closing {
		return
	}
	c.loop.totals.netInput.Add(int64(len(data)))
	in := data
	if c.pending != nil {
		c.grow(data)
		in = c.pending.B[c.pendingOff:]
	}
	if len(in) >= c.need && len(in) > 0 && c.Ready() {
		c.need = 0
		c.inData = true
		n := c.loop.handler.Data(c, in)
		c.inData = false
		if c.closed {
			c.dropPending()
			return
		}
		if c.pending != nil {
			c.pendingOff += n
		}
		in = in[n:]
	}
	if c.closing {
		c.dropPending()
		c.finishClosing()
		return
	}
	c.keep(in)
}

// keep stores what was not consumed. in aliases either the engine's buffer or the query buffer.
func (c *Conn) keep(in []byte) {
	switch {
	case len(in) == 0:
		c.dropPending()
		return
	case c.pending == nil:
		c.pending = bytebufferpool.Get()
		c.pending.B = append(c.pending.B[:0], in...)
		c.pendingOff = 0
	}
	limits := c.loop.limits.Load()
	if limits.QueryBufferBytes > 0 && len(in) > limits.QueryBufferBytes {
		c.loop.totals.queryLimitHits.Add(1)
		c.Abort(ErrQueryBufferLimit)
		return
	}
	if c.stalled {
		c.count(len(in))
		if limits.StalledTotalBytes > 0 && c.loop.totals.stalledQueryBytes.Load() > int64(limits.StalledTotalBytes) {
			c.loop.totals.outputLimitHits.Add(1)
			c.Abort(ErrSlowReader)
		}
	}
}

// count keeps this connection's share of the stalled connections' query bytes.
func (c *Conn) count(n int) {
	if n != c.counted {
		c.loop.totals.stalledQueryBytes.Add(int64(n - c.counted))
		c.counted = n
	}
}

// grow appends data to the query buffer: consumed bytes go first, then capacity doubles, but not past
// what the handler said it needs, so that a big argument is copied a bounded number of times and a
// promised size alone reserves nothing.
func (c *Conn) grow(data []byte) {
	b := c.pending.B
	if c.pendingOff > 0 && (c.pendingOff == len(b) || len(b)+len(data) > cap(b)) {
		n := copy(b, b[c.pendingOff:])
		b = b[:n]
		c.pendingOff = 0
	}
	if want := len(b) + len(data); want > cap(b) {
		size := 2 * cap(b)
		if c.need > want && size > c.need {
			size = c.need
		}
		if size < want {
			size = want
		}
		b = append(make([]byte, 0, size), b...)
	}
	c.pending.B = append(b, data...)
}

// maxPooledBytes is the largest query buffer that goes back to the pool.
const maxPooledBytes = 128 << 10

func (c *Conn) dropPending() {
	if c.pending == nil {
		return
	}
	if cap(c.pending.B) <= maxPooledBytes {
		bytebufferpool.Put(c.pending)
	}
	c.pending = nil
	c.pendingOff = 0
}
