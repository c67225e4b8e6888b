package log

import (
	"sync"
	"sync/atomic"
)

// waiter is somebody who wants to be told once, after having armed himself, that there is more to read.
type waiter struct {
	armed  atomic.Bool
	above  atomic.Uint64 // tell once the tail (of a shard's waiters) or contiguous LSN is above this
	notify func()
}

// waiters are those who wait for one thing. Its fast path, nobody armed, is one atomic load.
type waiters struct {
	armed atomic.Int32
	list  atomic.Pointer[[]*waiter] // replaced, not changed
	mu    sync.Mutex                // orders replacements
	shard *ShardLog                 // whose tail is waited for; nil: the contiguous LSN
}

func (ws *waiters) add(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var list []*waiter
	if old := ws.list.Load(); old != nil {
		list = append(list, *old...)
	}
	list = append(list, w)
	ws.list.Store(&list)
}

func (ws *waiters) remove(w *waiter) {
	ws.mu.Lock()
	var list []*waiter
	if old := ws.list.Load(); old != nil {
		for _, o := range *old {
			if o != w {
				list = append(list, o)
			}
		}
	}
	ws.list.Store(&list)
	ws.mu.Unlock()
	ws.disarm(w)
}

// reached returns what is waited for.
func (ws *waiters) reached(l *Log) uint64 {
	if ws.shard != nil {
		return ws.shard.tail.Load()
	}
	return l.Contiguous()
}

// park arms w, unless more than above is reached already, and reports whether it did.
func (ws *waiters) park(l *Log, w *waiter, above uint64) bool {
	w.above.Store(above)
	if w.armed.CompareAndSwap(false, true) {
		ws.armed.Add(1)
	}
	if ws.reached(l) <= above {
		return true // whoever goes beyond publishes first and looks for the armed then
	}
	ws.disarm(w)
	return false
}

// disarm reports whether w was armed; then no one else will tell it.
func (ws *waiters) disarm(w *waiter) bool {
	if !w.armed.CompareAndSwap(true, false) {
		return false
	}
	ws.armed.Add(-1)
	return true
}

// wake tells those of the armed who have something to read.
func (ws *waiters) wake(l *Log) {
	if ws.armed.Load() != 0 {
		ws.wakeArmed(l)
	}
}

func (ws *waiters) wakeArmed(l *Log) {
	list := ws.list.Load()
	if list == nil {
		return
	}
	at := ws.reached(l)
	for _, w := range *list {
		if w.armed.Load() && w.above.Load() < at && ws.disarm(w) {
			w.notify()
		}
	}
}

// A Waiter tells somebody who reads nothing (the commit gate) how far the log is contiguous. One
// goroutine at a time may call its methods.
type Waiter struct {
	log *Log
	w   waiter
}

// NewWaiter returns a Waiter that will call notify, on a goroutine that has just committed, with its
// batons held: it must neither block nor call into the log. Ringing somebody's bell is what it is for.
func (l *Log) NewWaiter(notify func()) *Waiter {
	w := &Waiter{log: l, w: waiter{notify: notify}}
	l.waiters.add(&w.w)
	return w
}

// Park asks to be notified once as soon as the contiguous LSN is above lsn. It returns false, asking for
// nothing, if it is already. A second Park replaces the first. A notification may still arrive after
// Park has returned false, or Close, if it was on its way.
func (w *Waiter) Park(lsn uint64) bool { return w.log.waiters.park(w.log, &w.w, lsn) }

// Close ends the Waiter.
func (w *Waiter) Close() { w.log.waiters.remove(&w.w) }
