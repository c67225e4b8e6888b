package reactor

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// engine turns sockets into callbacks. gnet is the one there is; another (io_uring) needs these methods
// and must call Loop and Conn as gnetEngine does.
type engine interface {
	// start creates the loops' goroutines; afterwards every loop has its bell.
	start(loops []*Loop) error
	// adopt registers an accepted connection with a loop and waits until Open ran there.
	adopt(nc net.Conn, l *Loop, c *Conn) error
	// stop ends the loops after closing their connections.
	stop() error
}

// Options configure a Reactor.
type Options struct {
	Loops  int
	Limits Limits
	// KeepAlive is the TCP keepalive period for accepted connections; 0 = off. Read at each accept.
	KeepAlive func() time.Duration
	// Admit decides about a new connection before a loop sees it: a non-nil refusal is written to the
	// peer, then the connection is closed. Runs on acceptor goroutines.
	Admit func(nc net.Conn) (refusal []byte)
	// Log reports trouble that has no connection to be told to.
	Log func(format string, args ...any)
}

// Reactor is a set of loops and listeners.
type Reactor struct {
	opts   Options
	engine engine
	loops  []*Loop
	limits atomic.Pointer[Limits]
	totals totals
	gate   gate
	nextID atomic.Uint64
	accept acceptors
	waker  writability
	pace   pace
	done   chan struct{}
	ticker sync.WaitGroup
}

// New returns a reactor that is not running yet.
func New(opts Options, h Handler) *Reactor {
	r := &Reactor{opts: opts, engine: &gnetEngine{}, done: make(chan struct{}), pace: newPace()}
	r.limits.Store(&opts.Limits)
	observer, _ := h.(BufferObserver)
	r.gate.released.Store(AllReleased)
	for i := range opts.Loops {
		l := &Loop{
			ID: i, handler: h, observer: observer, limits: &r.limits, totals: &r.totals, waker: &r.waker,
			pace: &r.pace, gate: &r.gate,
		}
		l.awaited.Store(noMark)
		l.gateOpens.To = (*gatekeeper)(l)
		r.loops = append(r.loops, l)
	}
	return r
}

// Loops returns the loops; their number is fixed.
func (r *Reactor) Loops() []*Loop { return r.loops }

// SetLimits changes the limits of all connections from now on.
func (r *Reactor) SetLimits(l Limits) { r.limits.Store(&l) }

// ConnCount is the number of open connections, those being adopted included.
func (r *Reactor) ConnCount() int { return int(r.totals.live.Load()) }

// Totals are counters over all connections since the start or the last ResetTotals.
type Totals struct {
	NetInputBytes, NetOutputBytes     int64
	Reads, Writes                     int64 // system calls
	QueryLimitHits, OutputLimitHits   int64
	Accepted, Refused, AcceptFailures int64
}

// Totals returns the counters; safe from any goroutine.
func (r *Reactor) Totals() Totals {
	var reads, writes int64
	for _, l := range r.loops {
		reads += l.reads.Load()
		writes += l.writes.Load()
	}
	return Totals{
		Reads: reads, Writes: writes,
		NetInputBytes: r.totals.netInput.Load(), NetOutputBytes: r.totals.netOutput.Load(),
		QueryLimitHits: r.totals.queryLimitHits.Load(), OutputLimitHits: r.totals.outputLimitHits.Load(),
		Accepted: r.accept.accepted.Load(), Refused: r.accept.refused.Load(), AcceptFailures: r.accept.failed.Load(),
	}
}

// ResetTotals zeroes the counters (CONFIG RESETSTAT).
func (r *Reactor) ResetTotals() {
	for _, l := range r.loops {
		l.reads.Store(0)
		l.writes.Store(0)
	}
	r.totals.netInput.Store(0)
	r.totals.netOutput.Store(0)
	r.totals.queryLimitHits.Store(0)
	r.totals.outputLimitHits.Store(0)
	r.accept.accepted.Store(0)
	r.accept.refused.Store(0)
	r.accept.failed.Store(0)
}

// Start starts loops and ticker. Listeners are added with Listen.
func (r *Reactor) Start() error {
	if err := r.waker.start(); err != nil {
		return err
	}
	if err := r.engine.start(r.loops); err != nil {
		r.waker.halt()
		return errors.Join(err, r.waker.close())
	}
	r.ticker.Add(1)
	go r.runTicker()
	return nil
}

// Stop closes listeners and connections and ends all goroutines of the reactor. Whoever else rings bells
// must have stopped before.
func (r *Reactor) Stop() error {
	close(r.done)
	r.ticker.Wait()
	r.accept.stop()
	r.waker.halt()
	err := r.engine.stop()
	for _, l := range r.loops {
		// The loops have ended: what the engine no longer knew is closed here.
		l.Conns(func(c *Conn) { c.Abort(ErrClosedByServer) })
	}
	return errors.Join(err, r.waker.close())
}
