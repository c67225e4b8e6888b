package server

import "fulmen/shard/command"

// await is what a command waits for that has been executed and has not replied: the end of a save. Its session is
// parked; nobody else waits for it.
type await struct {
	p     *parking
	reply func(s *Session) error // nil: what the command has replied already
	out   []byte                 // what it has replied already
	job   command.Job            // what it has left to do afterwards; nil: nothing
	bytes int64                  // that the session keeps for it
	again func()                 // goes on with what waits for the end of a pause; nil: nothing does
}

// await has the session wait when its handler returns. The caller has end called, once.
func (s *Session) await() *await {
	s.awaits = &await{p: s.parkingLot()}
	return s.awaits
}

// end has the command reply, on its session's loop: with reply, or with what it has replied before it began to wait.
// Safe from any goroutine.
func (a *await) end(reply func(s *Session) error) {
	a.reply = reply
	a.p.s.conn.Loop().Post(&a.p.Letter)
}

// beginAwait has the parked command wait as its handler asked for. Its reply so far stands in the context from mark on.
// The letter that ends the wait is read by this loop, so it can't come before.
func (p *parking) beginAwait(mark int) {
	s := p.s
	a := s.awaits
	s.awaits = nil
	if len(s.c.Out) > mark {
		a.out = append(a.out, s.c.Out[mark:]...)
		s.c.Out = s.c.Out[:mark]
	}
	a.job = s.c.TakeThen()
	p.await, p.busy = a, true
	s.parkedBytes.Add(a.bytes)
	s.conn.Pause()
}

// endAwait is Deliver for a session whose command has ceased to wait.
func (p *parking) endAwait() {
	s, l, a := p.s, p.s.loop, p.await
	p.await, p.busy = nil, false
	if s.closed {
		s.forgetWatches()
		return
	}
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	l.begin(s)
	l.ctx.Out = append(l.ctx.Out, a.out...)
	if a.reply != nil {
		if err := a.reply(s); err != nil {
			s.c.Fail(p.row, err)
		}
	}
	if a.job != nil && !p.goOn(p.row, a.job, 0, p.silent) {
		l.finish(s)
		return
	}
	if p.silent && a.job == nil {
		l.ctx.Out = l.ctx.Out[:0]
	}
	l.finish(s)
	p.trim()
	s.conn.Resume()
}
