package reactor

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// writability tells loops that a socket which was full takes bytes again. gnet has no such callback: what
// it is given and can't send it keeps, without a limit, and loses it when the peer closes its end. So the
// reactor keeps unsent output itself (outbox.go) and watches the few sockets concerned with an epoll
// instance of its own. One shot per watch: the connection's loop asks again when it has sent.
type writability struct {
	epoll int
	wake  int // an eventfd that ends run
	done  sync.WaitGroup

	mu    sync.Mutex
	conns map[uint64]*Conn // those in the epoll set, by id
}

// eventBatch is how many sockets are reported at a time.
const eventBatch = 128

func (w *writability) start() error {
	w.conns = map[uint64]*Conn{}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("reactor: epoll_create: %w", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return errors.Join(fmt.Errorf("reactor: eventfd: %w", err), unix.Close(w.epoll))
	}
	if err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, w.wake, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return errors.Join(fmt.Errorf("reactor: epoll_ctl: %w", err), w.close())
	}
	w.done.Add(1)
	go w.run()
	return nil
}

// run posts the letters of sockets that take bytes again, until halt.
func (w *writability) run() {
	defer w.done.Done()
	events := make([]unix.EpollEvent, eventBatch)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic("BUG: waiting for writable sockets: " + err.Error()) // the descriptor is ours and open
		}
		for i := range max(n, 0) {
			id := eventID(&events[i])
			if id == 0 {
				return
			}
			w.mu.Lock()
			c := w.conns[id]
			w.mu.Unlock()
			if c != nil && c.letterOut.CompareAndSwap(false, true) {
				c.loop.Post(&c.writable)
			}
		}
	}
}

// A connection's id, which is never 0 and never used again, travels in the event's 64 bits.
func eventID(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// watch has c told, once, when its socket takes bytes again. On the connection's loop.
func (w *writability) watch(c *Conn) error {
	op := unix.EPOLL_CTL_MOD
	if !c.watched {
		op = unix.EPOLL_CTL_ADD
		w.mu.Lock()
		w.conns[c.ID] = c
		w.mu.Unlock()
		c.watched = true
	}
	e := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(c.ID), Pad: int32(c.ID >> 32)}
	return unix.EpollCtl(w.epoll, op, c.raw.Fd(), &e)
}

// forget ends the watch of c, whose socket is still open. On the connection's loop.
func (w *writability) forget(c *Conn) {
	if !c.watched {
		return
	}
	c.watched = false
	w.mu.Lock()
	delete(w.conns, c.ID)
	w.mu.Unlock()
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.raw.Fd(), nil) // if it fails the set no longer has it
}

// halt ends run; watch and forget may still be called.
func (w *writability) halt() {
	var one = [8]byte{1}
	_, _ = unix.Write(w.wake, one[:]) // an eventfd takes this at any time
	w.done.Wait()
}

// close gives back the descriptors; after halt, and when all loops have ended.
func (w *writability) close() error {
	return errors.Join(unix.Close(w.wake), unix.Close(w.epoll))
}
