package reactor

import (
	"errors"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// gnet's pool of goroutines for enrolling connections is one of the process.
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
	)
}

// The tests of connections against limits run on a loop without an engine: fakes stand for the socket, the
// handler and whoever watches full sockets.

// fakeSocket takes as many bytes as it has room for.
type fakeSocket struct {
	got  []byte
	room int
	err  error
}

func (s *fakeSocket) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n := min(len(p), s.room)
	s.got = append(s.got, p[:n]...)
	s.room -= n
	return n, nil
}

func (*fakeSocket) Fd() int { return -1 }

// fakeWaker remembers who waits for its socket.
type fakeWaker struct {
	waiting map[*Conn]bool
	err     error
}

func (w *fakeWaker) watch(c *Conn) error {
	if w.err != nil {
		return w.err
	}
	w.waiting[c] = true
	return nil
}

func (w *fakeWaker) forget(c *Conn) { delete(w.waiting, c) }

// script is a Handler whose Data is given by the test.
type script struct {
	data    func(c *Conn, p []byte) int
	opened  int
	closed  []error
	stalled []bool
	told    int
	ticks   int
}

func (h *script) Open(*Conn)                 { h.opened++ }
func (h *script) Data(c *Conn, p []byte) int { return h.data(c, p) }
func (h *script) Close(_ *Conn, err error)   { h.closed = append(h.closed, err) }
func (h *script) Tick(*Loop)                 { h.ticks++ }
func (h *script) Stalled(_ *Conn, on bool)   { h.stalled = append(h.stalled, on) }
func (h *script) Buffers(*Conn)              { h.told++ }

// closedWith tells whether one connection was closed, and for this reason.
func (h *script) closedWith(want error) bool {
	return len(h.closed) == 1 && errors.Is(h.closed[0], want)
}

// swallow and leave consume everything and nothing.
func swallow(_ *Conn, p []byte) int { return len(p) }

func leave(*Conn, []byte) int { return 0 }

// bench is a loop without an engine.
type bench struct {
	reactor *Reactor
	loop    *Loop
	handler *script
	waker   *fakeWaker
	dropped int
	rings   int
}

// ring implements bell.
func (b *bench) ring() { b.rings++ }

func (b *bench) ringLater() { b.rings++ }

func newBench(limits Limits, data func(c *Conn, p []byte) int) *bench {
	b := &bench{handler: &script{data: data}, waker: &fakeWaker{waiting: map[*Conn]bool{}}}
	b.reactor = New(Options{Loops: 1, Limits: limits}, b.handler)
	b.loop = b.reactor.loops[0]
	b.loop.waker = b.waker
	b.loop.bell = b
	return b
}

// deliver mails the connection that its socket takes bytes again.
func (b *bench) deliver(c *Conn) {
	delete(b.waker.waiting, c)
	(*sender)(c).Deliver(b.loop, &c.writable)
}

func (b *bench) tickAt(ms int64) {
	b.reactor.totals.tickMs.Store(ms)
	b.loop.tick()
}

// conn opens a connection whose socket has room for so many bytes.
func (b *bench) conn(room int) (*Conn, *fakeSocket) {
	s := &fakeSocket{room: room}
	c := newConn(b.reactor.nextID.Add(1), b.loop, nil, nil)
	c.raw = s
	c.drop = func() {
		b.dropped++
		c.closeNow(ErrClosedByServer)
	}
	b.reactor.totals.live.Add(1)
	b.loop.connCount.Add(1)
	b.loop.conns.add(c)
	b.handler.Open(c)
	return c, s
}

// makeRoom lets the socket take n more bytes, and tells the connection if it waits for that.
func (b *bench) makeRoom(c *Conn, n int) {
	c.raw.(*fakeSocket).room += n
	if b.waker.waiting[c] {
		b.deliver(c)
	}
}

// mustBeOver fails the test unless all connections and all that was held for them are gone.
func (b *bench) mustBeOver(t *testing.T) {
	t.Helper()
	lagging, held := b.reactor.totals.lagging.Load(), b.reactor.totals.laggingBytes.Load()+b.reactor.HeldBytes()
	if lagging != 0 || held != 0 || len(b.loop.gated) != 0 ||
		b.reactor.ConnCount() != 0 || b.loop.ConnCount() != 0 || b.loop.lagging != 0 ||
		len(b.waker.waiting) != 0 || b.loop.conns.first != nil || len(b.handler.closed) != b.handler.opened {
		t.Fatalf("left: %d lagging with %d bytes, %d and %d connections, %d on the loop, %d watched; "+
			"%d opened, closed %v",
			lagging, held, b.reactor.ConnCount(), b.loop.ConnCount(), b.loop.lagging, len(b.waker.waiting),
			b.handler.opened, b.handler.closed)
	}
}
