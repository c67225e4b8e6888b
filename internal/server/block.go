package server

import (
	"container/heap"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/command"
	"fulmen/shard/object"
)

// Commands that wait for keys. One that found nothing is parked and has a link in the list of each of its keys
// (shard/block.go). Whoever changes such a key, on whatever loop, serves those that wait as soon as its command, or
// EXEC as a whole, is done: under the same batons, so that nobody sees the element in between. It runs the parked
// command; the reply leaves on the session's own loop. A command that needs the baton of another shard, too (BLMOVE),
// departs: its own loop runs it with all batons, and those behind it wait until it is back.

// keyWait is one wait of a parked command.
type keyWait struct {
	shard.Claim
	// Immutable once the links are in lists.
	p        *parking
	links    []waitLink
	waitsFor object.Type
	timed    bool
	// Written by whoever took the claim, read by the session's loop after its letter.
	away *waitLink // it has departed because of this key
	// Owned by the session's loop.
	untilMs int64 // 0: for ever
	slot    int   // in loop.timeouts, -1: not there
	begun   bool  // away, and the transaction has begun
}

// Why a wait was ended: reasons of shard.Claim.
const (
	notEnded uint32 = iota
	endedByTime
	endedByCommand // CLIENT UNBLOCK
	endedByError   // CLIENT UNBLOCK ERROR
	endedByClose
	endedByRole // REPLICAOF
)

// waitFault is a mistake that a test plants in order to show that it would be noticed.
type waitFault uint8

const (
	waitSound       waitFault = iota
	servesClosed              // clients that are gone are served
	servesLastFirst           // who came last is served first
)

// waitLink is a wait's place among those that wait for one key. As a task it takes itself out.
type waitLink struct {
	shard.Node
	shard.Link
	w    *keyWait
	sh   *shard.Shard
	key  int  // in parking.keys
	gone bool // it is in no list; written with the baton held
}

// linkBytes is about what a link costs, with its list.
const linkBytes = 256

// beginWait has the parked command wait; the batons of all its keys are held. false: it must not, since its client has
// ended its sending side and would have been closed if it had waited already.
func (p *parking) beginWait(untilMs int64) bool {
	s := p.s
	if s.conn.Ended() {
		p.busy = false
		s.killed = true
		return false
	}
	w := &keyWait{p: p, waitsFor: p.row.WaitsFor, timed: untilMs != 0, untilMs: untilMs, slot: -1}
	w.links = make([]waitLink, p.row.WaitKeys(len(p.keys)))
	for i := range w.links {
		k, link := &p.keys[i], &w.links[i]
		link.w, link.sh, link.key = w, k.Shard, i
		link.Claim, link.Owner, link.Task = &w.Claim, link, link
		link.EvenGone = p.row.EvenGone
		link.gone = !k.Shard.Block(s.db, k.Key.Bytes, &link.Link)
		s.parkedBytes.Add(linkBytes + int64(len(k.Key.Bytes)))
	}
	p.wait = w
	if w.timed {
		heap.Push(&s.loop.timeouts, w)
	}
	var b blocked = w
	s.blocked.Store(&b)
	s.conn.Suspend()
	return true
}

// Unblock implements blocked.
func (w *keyWait) Unblock(withError bool) bool {
	reason := endedByCommand
	if withError {
		reason = endedByError
	}
	e := w.End(reason)
	if e == shard.EndedWaiting {
		w.p.s.conn.Loop().Post(&w.p.Letter)
	}
	return e != shard.TooLate
}

// RoleChanged implements blocked.
func (w *keyWait) RoleChanged() {
	if w.End(endedByRole) == shard.EndedWaiting {
		w.p.s.conn.Loop().Post(&w.p.Letter)
	}
}

// Timed implements blocked.
func (w *keyWait) Timed() bool { return w.timed }

// Serve implements shard.Task: the link of a wait that is over is taken out.
func (link *waitLink) Serve(sh *shard.Shard, w *shard.Worker) (keep bool) {
	sh.Unblock(&link.Link)
	link.gone = true
	if sh.HasReady() {
		l := w.Owner.(*loop)
		l.serveReady(l.srv.allShards[sh.ID : sh.ID+1])
		sh.Commit(w)
		l.postServed()
	}
	return false
}

// serveReady serves those that wait for keys of the given shards that changed, in the order in which they changed. The
// batons are held.
func (l *loop) serveReady(held []int) {
	for {
		var first *shard.Shard
		for _, i := range held {
			sh := l.srv.set.Shards[i]
			if sh.HasReady() && (first == nil || sh.ReadySeq() < first.ReadySeq()) {
				first = sh
			}
		}
		if first == nil {
			return
		}
		l.serveKey(first, first.TakeReady(), held)
	}
}

// serveKey serves those that wait for one key, the one that has waited longest first, as long as something is there.
func (l *loop) serveKey(sh *shard.Shard, wl *shard.WaitList, held []int) {
	if wl.Away() || wl.First() == nil {
		return // it is ready once more when the one that is away is back
	}
	db, key := sh.DB(wl.DB()), l.srv.set.Key([]byte(wl.Key()))
	nowMs := l.srv.set.Clock.NowMs()
	first := wl.First()
	for l.srv.waitFault == servesLastFirst && first.Next() != nil {
		first = first.Next()
	}
	for k := first; k != nil; {
		e, ok := db.Look(key, nowMs)
		if !ok && !wl.EvenGone() {
			return
		}
		link, next := k.Owner.(*waitLink), k.Next()
		if (link.EvenGone || ok && link.w.waitsFor == object.TypeOf(e.Tag())) && link.w.Take() {
			if !l.serveLink(link, held, nowMs) {
				wl.SetAway(k)
				link.w.Depart()
				link.w.p.s.conn.Loop().Post(&link.w.p.Letter)
				return
			}
		}
		k = next
	}
}

// serveLink runs a command that waited, and was taken, for the key of one of its links. false: it needs batons that
// aren't held.
func (l *loop) serveLink(link *waitLink, held []int, nowMs int64) bool {
	w, p := link.w, link.w.p
	keys := p.keys[link.key : link.key+1 : link.key+1]
	if len(w.links) < len(p.keys) {
		keys = p.keys
	}
	var have shardSet
	for _, i := range held {
		have.add(i)
	}
	for i := range keys {
		if !have.has(keys[i].Shard.ID) {
			w.away = link
			return false
		}
	}
	p.ctx = command.Ctx{
		Set: l.srv.set, Table: l.srv.table, Limits: l.srv.limits.Load(), Session: p.s,
		DBID: p.s.db, Proto: p.s.proto, NowMs: nowMs, NoTouch: p.s.noTouch.Load(),
		Worker: &l.worker, Calls: l.calls, Observers: l.srv.observers.Load(),
		Reply: command.Reply{Out: p.ctx.Out[:0]}, ReplyLimit: int(l.srv.replyLimit.Load()),
		Args: p.args, Keys: keys, MayBlock: true, Woken: true,
	}
	command.Call(&p.ctx, p.row)
	if p.ctx.Wait.On {
		w.Return()
		return true
	}
	link.sh.Unblock(&link.Link)
	link.gone = true
	l.served = append(l.served, p)
	w.Served()
	return true
}

// postServed has the replies of those that were served leave: what was done for them is committed.
func (l *loop) postServed() {
	if len(l.served) == 0 {
		return
	}
	l.publishCalls() // as in finish
	for i, p := range l.served {
		if p.lsn = l.worker.LSN; l.srv.gate.fault == servedEarly {
			p.lsn = 0
		}
		p.s.conn.Loop().Post(&p.Letter)
		l.served[i] = nil
	}
	l.served = l.served[:0]
}

// deliverWait is Deliver for a session whose command waits for keys, or did so.
func (p *parking) deliverWait() {
	w, s, l := p.wait, p.s, p.s.loop
	if w.away == nil {
		p.endWait()
		return
	}
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	if !w.begun {
		w.begun = true
		p.tx.Begin(p.shards)
	}
	if !p.tx.Acquire(&l.worker) {
		return // still waiting
	}
	if !w.Retake() {
		p.tx.Release(&l.worker)
		p.endWait()
		return
	}
	l.begin(s)
	if s.heldBack(p.row) {
		w.Depart()
		p.tx.Release(&l.worker)
		l.finish(s)
		return
	}
	mark := l.ctx.Mark()
	l.ctx.Woken = true
	s.runHeld(p.row, p.args, p.keys)
	l.ctx.Woken = false
	link := w.away
	served := !l.ctx.Wait.On
	if served {
		link.sh.Unblock(&link.Link)
		link.gone = true
		w.Served()
	} else {
		w.away, w.begun = nil, false
		link.sh.Back(&link.Link)
		w.Return()
	}
	l.serveReady(p.shards)
	if p.silent {
		l.ctx.Cut(mark)
	}
	p.tx.Release(&l.worker)
	l.postServed()
	if served {
		p.forgetWait()
	}
	l.finish(s)
	if served {
		p.trim()
		s.conn.Resume()
	}
}

// endWait replies to a command that was served, or whose wait was ended, and goes on with the session.
func (p *parking) endWait() {
	w, s, l := p.wait, p.s, p.s.loop
	p.forgetWait()
	if s.closed {
		s.leave()
		return
	}
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	l.begin(s)
	switch reason := w.Reason(); reason {
	case notEnded:
		l.worker.LSN = p.lsn
		p.ctx.Move(&l.ctx.Reply, command.Mark{})
	case endedByError, endedByRole:
		e := resp.ErrUnblocked
		if reason == endedByRole {
			e, s.killed = resp.ErrDemoted, true
		}
		l.ctx.Out = resp.AppendError(l.ctx.Out, e)
		l.calls.Errors[e.Code]++
	default:
		l.ctx.NullArray()
	}
	if r := w.Reason(); r == endedByCommand || r == endedByError || r == endedByRole {
		l.calls.Fail(p.row)
	}
	if w.Reason() != notEnded { // the call is measured when it is over
		s.c.Args, s.c.Keys, s.c.Woken = p.args, nil, true
		s.c.Measured(p.row, 0)
		s.c.Woken = false
	}
	if p.silent {
		l.ctx.Cut(command.Mark{})
	}
	l.finish(s)
	if cap(p.ctx.Out) > flushBytes {
		p.ctx.Out = nil
	}
	p.trim()
	s.conn.Resume()
}

// forgetWait takes a wait that is over out of everything; the session is no longer parked.
func (p *parking) forgetWait() {
	w, l := p.wait, p.s.loop
	p.wait, p.busy = nil, false
	p.s.blocked.Store(nil)
	if w.slot >= 0 {
		heap.Remove(&l.timeouts, w.slot)
	}
	for i := range w.links {
		if link := &w.links[i]; !link.gone {
			link.sh.Enqueue(&link.Node, &l.worker)
		}
	}
}

// closeWait ends the wait of a session that is closed. If somebody is serving it, a letter comes.
func (s *Session) closeWait(postponed bool) {
	p := s.park
	if p == nil || p.wait == nil || s.srv.waitFault == servesClosed {
		return
	}
	if e := p.wait.End(endedByClose); e == shard.EndedWaiting || e == shard.EndedAway && postponed {
		p.forgetWait()
	}
}

// endTimeouts ends the waits whose time is up.
func (l *loop) endTimeouts() {
	for nowMs := l.srv.set.Clock.NowMs(); len(l.timeouts) > 0 && l.timeouts[0].untilMs <= nowMs; {
		w := l.timeouts[0]
		switch w.End(endedByTime) {
		case shard.EndedWaiting:
			w.p.endWait()
		case shard.EndedAway: // its letter comes
			heap.Pop(&l.timeouts)
		default: // it is being served, or comes back
			w.untilMs = nowMs + 1
			heap.Fix(&l.timeouts, 0)
		}
	}
}

// timeoutSoonMs is how near a timeout must be for the loop to want the next tick because of it.
const timeoutSoonMs = 250

// timeoutSoon tells whether the wait of a command may end before a slow tick comes.
func (l *loop) timeoutSoon() bool {
	return len(l.timeouts) > 0 && l.timeouts[0].untilMs-l.srv.set.Clock.NowMs() < timeoutSoonMs
}

// timeouts are the waits of a loop's sessions whose time will be up, as a heap.
type timeouts []*keyWait

// Len implements heap.Interface.
func (t timeouts) Len() int { return len(t) }

// Less implements heap.Interface.
func (t timeouts) Less(i, j int) bool { return t[i].untilMs < t[j].untilMs }

// Swap implements heap.Interface.
func (t timeouts) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i, j
}

// Push implements heap.Interface.
func (t *timeouts) Push(x any) {
	w := x.(*keyWait)
	w.slot = len(*t)
	*t = append(*t, w)
}

// Pop implements heap.Interface.
func (t *timeouts) Pop() any {
	last := len(*t) - 1
	w := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	w.slot = -1
	return w
}
