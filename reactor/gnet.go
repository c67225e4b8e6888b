package reactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"golang.org/x/sys/unix"
)

// gnetEngine runs the loops on gnet. It uses gnet's client form: sockets are accepted by the reactor
// and enrolled, so that running out of descriptors costs one connection and not the engine. Loops are
// not locked to OS threads (measured: locking costs 15 % at pipeline 1).
type gnetEngine struct {
	gnet.BuiltinEventEngine
	client  *gnet.Client
	anchors []*gnetAnchor
	stopped atomic.Bool
}

// gnetAnchor is a loop's own end of a socket pair: a connection that only serves to find the loop.
type gnetAnchor struct {
	loop *Loop
	ev   gnet.EventLoop
	peer int // the other end, kept open
	boot chan struct{}
	ctx  context.Context
}

// quietLogger drops gnet's own log lines; errors reach the handler through OnClose.
type quietLogger struct{}

func (quietLogger) Debugf(string, ...any) {}
func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Warnf(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(string, ...any) {}

var _ logging.Logger = quietLogger{}

func (e *gnetEngine) start(loops []*Loop) error {
	client, err := gnet.NewClient(e,
		gnet.WithNumEventLoop(len(loops)),
		gnet.WithLockOSThread(false),
		gnet.WithLogger(quietLogger{}))
	if err != nil {
		return fmt.Errorf("reactor: %w", err)
	}
	e.client = client
	if err := client.Start(); err != nil {
		return fmt.Errorf("reactor: %w", err)
	}
	for _, l := range loops {
		// gnet gives a new connection to the loop with the fewest: the anchors, enrolled one by
		// one while there is nothing else, land on loops of their own.
		a := &gnetAnchor{loop: l, boot: make(chan struct{}), ctx: context.Background()}
		if err := e.anchor(a); err != nil {
			return fmt.Errorf("reactor: event loop %d: %w", l.ID, err)
		}
		e.anchors = append(e.anchors, a)
		l.bell = a
		l.bell.ring() // settles: from now on the loop is known to sleep
	}
	return nil
}

func (e *gnetEngine) anchor(a *gnetAnchor) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	a.peer = pair[1]
	f := os.NewFile(uintptr(pair[0]), "anchor")
	nc, err := net.FileConn(f)
	_ = f.Close() // FileConn has its own copy
	if err != nil {
		_ = unix.Close(a.peer)
		return err
	}
	if _, err := e.client.EnrollContext(nc, a); err != nil {
		_ = unix.Close(a.peer)
		return err
	}
	<-a.boot
	for _, other := range e.anchors {
		if other.ev == a.ev {
			return fmt.Errorf("BUG: two anchors on one loop")
		}
	}
	return nil
}

// ring implements bell: Execute is the doorbell, the mail is in the loop's own mailbox.
func (a *gnetAnchor) ring() {
	_ = a.ev.Execute(a.ctx, a) // fails only when the engine is stopping: nobody will read the mail then
}

// ringLater writes into the socket pair: gnet reads it along with the other sockets. (Tasks given to Execute while
// others run are run before gnet looks at a socket again: work that goes on and on would starve them all.)
func (a *gnetAnchor) ringLater() {
	for {
		_, err := unix.Write(a.peer, later)
		if err != unix.EINTR {
			return // EAGAIN: bytes enough are under way
		}
	}
}

var later = []byte{0}

// Run implements gnet.Runnable on the loop's goroutine.
func (a *gnetAnchor) Run(context.Context) error {
	a.loop.rung()
	return nil
}

func (e *gnetEngine) adopt(nc net.Conn, l *Loop, c *Conn) error {
	ctx := gnet.NewContext(context.Background(), c)
	result, err := e.anchors[l.ID].ev.Enroll(ctx, nc)
	if err != nil {
		_ = nc.Close()
		return err
	}
	if err := (<-result).Err; err != nil {
		return err
	}
	if !c.registered {
		return errNotRegistered // gnet doesn't say why
	}
	return nil
}

func (e *gnetEngine) stop() error {
	e.stopped.Store(true)
	err := e.client.Stop()
	for _, a := range e.anchors {
		_ = unix.Close(a.peer)
	}
	return err
}

// OnOpen implements gnet.EventHandler.
func (e *gnetEngine) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	switch x := gc.Context().(type) {
	case *gnetAnchor:
		x.ev = gc.EventLoop()
		close(x.boot)
	case *Conn:
		x.registered = true
		x.raw = socket(gc.Fd())
		ev := gc.EventLoop()
		x.drop = func() { _ = ev.Close(gc) }
		x.loop.maybeSleep.Store(false)
		x.loop.conns.add(x)
		x.loop.handler.Open(x)
		x.loop.settle()
	}
	return nil, gnet.None
}

// OnTraffic implements gnet.EventHandler.
func (e *gnetEngine) OnTraffic(gc gnet.Conn) gnet.Action {
	data, err := gc.Next(-1)
	if err != nil {
		return gnet.Close
	}
	switch x := gc.Context().(type) {
	case *Conn:
		x.loop.maybeSleep.Store(false)
		x.feed(data)
		x.loop.settle()
	case *gnetAnchor:
		x.loop.rung()
	}
	return gnet.None
}

// OnClose implements gnet.EventHandler.
func (e *gnetEngine) OnClose(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	// This may be called from within other callbacks, so it does not settle: mail rings the bell if need be.
	switch {
	case err == nil:
		c.closeNow(ErrClosedByServer)
	case !errors.Is(err, io.EOF) || !c.unfinished() || !e.keepSocket(gc.Fd(), c):
		c.closeNow(err)
	}
	return gnet.None
}

// keepSocket saves a connection that still owes its peer replies, while gnet closes its descriptor because
// the peer will send no more.
func (e *gnetEngine) keepSocket(fd int, c *Conn) bool {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	c.linger(socket(own), func() {
		if own < 0 {
			return
		}
		c.closeNow(io.EOF)
		_ = unix.Close(own)
		own = -1
	})
	return true
}

// socket is a descriptor as a transport. gnet's own Write would keep what the socket doesn't take, without
// a limit and without telling when it has left.
type socket int

// Write implements transport.
func (s socket) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(int(s), p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}

// Fd implements transport.
func (s socket) Fd() int { return int(s) }
