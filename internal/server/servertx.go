package server

import (
	"sync"

	"fulmen/reactor"
	"fulmen/shard"
)

// serverTx is work of the server's own that needs all batons: it is asked for on any goroutine and done on the first
// loop, as a transaction like those of clients. One at a time.
type serverTx struct {
	srv *Server
	reactor.Letter
	tx shard.Tx

	mu   sync.Mutex
	work func(l *loop)          // nil: nothing is under way
	take func(z *shard.Seizure) // gets the batons afterwards; nil: nobody does
	over func()                 // called when they are free again; nil: nobody waits for that

	// Owned by the loop.
	begun bool
	lent  *shard.Seizure // the batons, to another goroutine until giveBack; nil: they are not
}

func (t *serverTx) init(srv *Server) {
	t.srv = srv
	t.Letter.To = t
	t.tx.Init(srv.set, t)
}

// run has work done under all batons, soon. If take is not nil it is given the batons afterwards, on the same loop,
// and may pass them on: they are held until giveBack is called. run returns false if one is under way already.
// Safe from any goroutine.
func (t *serverTx) run(work func(l *loop), take func(z *shard.Seizure)) bool {
	return t.runThen(work, take, nil)
}

// runThen is run, and calls over on the loop when the batons are free again and the next work may be asked for.
func (t *serverTx) runThen(work func(l *loop), take func(z *shard.Seizure), over func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work != nil {
		return false
	}
	t.work, t.take, t.over = work, take, over
	t.srv.loops[0].rl.Post(&t.Letter)
	return true
}

// giveBack ends the loan of the batons. Safe from any goroutine.
func (t *serverTx) giveBack() { t.srv.loops[0].rl.Post(&t.Letter) }

// Resume implements shard.Waiter.
func (t *serverTx) Resume(*shard.Tx) { t.srv.loops[0].rl.Post(&t.Letter) }

// Deliver implements reactor.Recipient on the first loop.
func (t *serverTx) Deliver(*reactor.Loop, *reactor.Letter) {
	l := t.srv.loops[0]
	l.worker.NowNs = t.srv.set.Clock.NowNs()
	if t.lent != nil {
		t.lent.Release(&l.worker)
		t.lent = nil
		t.done(l)
		return
	}
	if !t.begun {
		t.begun = true
		t.tx.Begin(t.srv.allShards)
	}
	if !t.tx.Acquire(&l.worker) {
		return // still waiting
	}
	t.begun = false
	t.mu.Lock()
	work, take := t.work, t.take
	t.mu.Unlock()
	began := l.worker.NowNs
	work(l)
	l.worker.NowNs = t.srv.set.Clock.NowNs()
	t.tx.Ran("snapshot", l.worker.NowNs-began)
	if take == nil {
		t.done(l)
		return
	}
	t.lent = t.tx.Lend(&l.worker)
	take(t.lent)
}

// done releases the batons; another one may be asked for.
func (t *serverTx) done(l *loop) {
	t.mu.Lock()
	over := t.over
	t.work, t.over = nil, nil
	t.mu.Unlock()
	t.tx.Release(&l.worker)
	l.postServed()
	if over != nil {
		over()
	}
}
