package reactor

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fulmen/internal/clock"
)

// acceptors owns the listening sockets. The reactor accepts by itself and hands sockets to the engine,
// because gnet's own acceptor stops the whole engine when descriptors run out.
type acceptors struct {
	mu        sync.Mutex
	listeners []net.Listener
	stopped   bool
	wg        sync.WaitGroup

	accepted atomic.Int64
	refused  atomic.Int64
	failed   atomic.Int64
}

// acceptPause is how long an acceptor waits after accept(2) failed for want of descriptors or memory.
const acceptPause = 50 * time.Millisecond

// refuseWait bounds the time for which the acceptor tries to tell a refused peer why.
const refuseWait = 50 * time.Millisecond

// Listen accepts connections from ln until the reactor stops or the listener is closed.
func (r *Reactor) Listen(ln net.Listener) {
	r.accept.mu.Lock()
	defer r.accept.mu.Unlock()
	if r.accept.stopped {
		_ = ln.Close()
		return
	}
	r.accept.listeners = append(r.accept.listeners, ln)
	r.accept.wg.Add(1)
	go r.acceptLoop(ln)
}

// CloseListener stops accepting on ln.
func (r *Reactor) CloseListener(ln net.Listener) {
	r.accept.mu.Lock()
	for i, have := range r.accept.listeners {
		if have == ln {
			r.accept.listeners = append(r.accept.listeners[:i], r.accept.listeners[i+1:]...)
			break
		}
	}
	r.accept.mu.Unlock()
	_ = ln.Close()
}

func (a *acceptors) stop() {
	a.mu.Lock()
	a.stopped = true
	for _, ln := range a.listeners {
		_ = ln.Close()
	}
	a.mu.Unlock()
	a.wg.Wait()
}

func (r *Reactor) acceptLoop(ln net.Listener) {
	defer r.accept.wg.Done()
	for {
		nc, err := ln.Accept()
		if err == nil {
			if r.awaitDescriptor() {
				r.admit(nc)
				continue
			}
			_ = nc.Close()
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if !r.acceptLater(err) {
			return
		}
	}
}

// awaitDescriptor waits until a descriptor is free: the engine makes a copy of each that it adopts, and closes
// the connection if it can't. Meanwhile other connections wait in the listener's queue. false: the reactor stops.
func (r *Reactor) awaitDescriptor() bool {
	for {
		fd, err := unix.FcntlInt(uintptr(r.waker.epoll), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			return unix.Close(fd) == nil
		}
		if !r.acceptLater(os.NewSyscallError("dup", err)) {
			return false
		}
	}
}

// acceptLater pauses after something failed for want of descriptors or memory; false: the reactor stops.
func (r *Reactor) acceptLater(err error) bool {
	if r.accept.failed.Add(1) == 1 {
		r.opts.Log("accepting a connection failed: %v (raise the limit of open files or lower maxclients)", err)
	}
	select {
	case <-r.done:
		return false
	case <-time.After(acceptPause):
		return true
	}
}

// admit hands an accepted socket to the loop with the fewest connections.
func (r *Reactor) admit(nc net.Conn) {
	r.accept.accepted.Add(1)
	if r.opts.Admit != nil {
		if refusal := r.opts.Admit(nc); refusal != nil {
			r.accept.refused.Add(1)
			r.refuse(nc, refusal)
			return
		}
	}
	if err := r.Adopt(nc, nil); err != nil && r.accept.failed.Add(1) == 1 {
		r.opts.Log("adopting a connection failed: %v", err)
	}
}

// Adopt gives a connection to the loop with the fewest. context is its Context when Open is told of it. The reactor
// owns nc from then on, also if it fails: then nobody is told. Safe from any goroutine.
func (r *Reactor) Adopt(nc net.Conn, context any) error {
	r.setKeepAlive(nc)
	l := r.loops[0]
	for _, other := range r.loops[1:] {
		if other.connCount.Load() < l.connCount.Load() {
			l = other
		}
	}
	c := newConn(r.nextID.Add(1), l, copyAddr(nc.RemoteAddr()), copyAddr(nc.LocalAddr()))
	c.Context = context
	r.totals.live.Add(1)
	l.connCount.Add(1)
	err := r.engine.adopt(nc, l, c)
	if err != nil {
		r.totals.live.Add(-1)
		l.connCount.Add(-1)
	}
	return err
}

// copyAddr makes a unix address independent of the socket's: the engine changes that one.
func copyAddr(a net.Addr) net.Addr {
	if u, ok := a.(*net.UnixAddr); ok && u != nil {
		c := *u
		return &c
	}
	return a
}

func (r *Reactor) refuse(nc net.Conn, refusal []byte) {
	// Best effort: the peer may be gone, and a refused peer must not hold up the acceptor.
	_ = nc.SetWriteDeadline(time.UnixMilli(clock.Real{}.NowMs()).Add(refuseWait))
	_, _ = nc.Write(refusal)
	_ = nc.Close()
}

func (r *Reactor) setKeepAlive(nc net.Conn) {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	period := r.opts.KeepAlive()
	cfg := net.KeepAliveConfig{Enable: period > 0, Idle: period, Interval: max(period/3, time.Second), Count: 3}
	if err := tc.SetKeepAliveConfig(cfg); err != nil {
		r.opts.Log("setting keepalive of %v: %v", nc.RemoteAddr(), err)
	}
}
