package server

import "fulmen/shard/command"

// await is what a command waits for that has been executed and has not replied: the end of a save. Its session is
// parked; nobody else waits for it.
type await struct {
	p     *parking
	reply func(s *Session) error // nil: what the command has replied already
	out   command.Reply          // what it has replied already
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
func (p *parking) beginAwait(mark command.Mark) {
	s := p.s
	a := s.awaits
	s.awaits = nil
	s.c.Move(&a.out, mark)
	a.job = s.c.TakeThen()
	p.await, p.busy = a, true
	s.parkedBytes.Add(a.bytes)
	if s.syncWait != nil { // it may never end by itself
		s.conn.Suspend()
	} else {
		s.conn.Pause()
	}
}

// endAwait is Deliver for a session whose command has ceased to wait.
func (p *parking) endAwait() {
	s, l, a := p.s, p.s.loop, p.await
	p.await, p.busy = nil, false
	if s.closed {
		s.leave()
		return
	}
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	l.begin(s)
	a.out.Move(&l.ctx.Reply, command.Mark{})
	if a.reply != nil {
		if err := a.reply(s); err != nil {
			s.c.Fail(p.row, err)
		}
	}
	if a.job != nil && !p.goOn(p.row, a.job, command.Mark{}, p.silent) {
		l.finish(s)
		return
	}
	if p.silent && a.job == nil {
		l.ctx.Cut(command.Mark{})
	}
	l.finish(s)
	p.trim()
	s.conn.Resume()
}
