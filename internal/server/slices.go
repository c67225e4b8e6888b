package server

import "fulmen/shard/command"

// Commands that run in slices (command.Job): for sliceNs at a time, under one baton after the other, the session being
// parked in between so that its replies stay in order, and others of its loop having their turn. A small database needs
// one time only, and no parking.

// beginSlices begins a command that runs in slices.
func (s *Session) beginSlices(row *command.Row, args [][]byte, keys []command.Keyed) {
	p := s.parkingLot()
	p.copyCommand(row, args, keys) // between slices the read buffer is others'
	p.slicing = true
	s.c.Args, s.c.Keys = p.args, p.keys
	if p.sliced.Begin(s.c, row) || p.runSlices() {
		p.endSlices(s.reply != replyOn)
		return
	}
	s.conn.Pause()
}

// goOn goes on in slices with what the call of row left to do, whose reply stands in the context from mark on. false:
// it isn't done, and its letter will come.
func (p *parking) goOn(row *command.Row, job command.Job, mark command.Mark, silent bool) (done bool) {
	p.sliced.GoOn(p.s.c, row, job, mark)
	p.busy, p.slicing = true, true
	if done = p.runSlices(); done {
		p.endSlices(silent)
	}
	return done
}

// runSlices goes on with the command. false: it isn't done, and its letter will come.
func (p *parking) runSlices() (done bool) {
	l := p.s.loop
	for until := l.worker.NowNs + sliceNs; !done; {
		lsn := l.worker.LSN
		if !p.waits {
			p.shards = append(p.shards[:0], p.sliced.Shard())
			p.tx.Begin(p.shards)
		}
		if p.waits = !p.tx.Acquire(&l.worker); p.waits {
			break
		}
		done = p.sliced.Run(&l.ctx, until)
		spared := l.srv.aof.unsynced.sparesSlices(p.shards[0], p.sliced.Looker())
		p.tx.Release(&l.worker)
		if spared {
			l.worker.LSN = lsn
		}
		if !done && l.worker.NowNs >= until {
			l.rl.PostLater(&p.Letter)
			break
		}
	}
	p.s.replyBytes.Store(int64(p.sliced.Bytes()))
	return done
}

// nextSlices is Deliver for a session that is parked between two slices.
func (p *parking) nextSlices() {
	s, l := p.s, p.s.loop
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	if s.closed {
		p.abandonSlices()
		return
	}
	l.begin(s)
	s.c.Args, s.c.Keys = p.args, p.keys
	done := p.runSlices()
	if done {
		p.endSlices(p.silent)
	}
	l.finish(s)
	if done {
		s.conn.Resume()
	}
}

// endSlices replies.
func (p *parking) endSlices(silent bool) {
	p.busy, p.slicing = false, false
	if silent {
		p.sliced.Drop()
	} else {
		p.sliced.Finish(p.s.c)
	}
	p.s.replyBytes.Store(0)
	p.trim()
}

// abandonSlices ends the command of a session whose client has gone.
func (p *parking) abandonSlices() {
	w := &p.s.loop.worker
	if p.waits && !p.tx.Acquire(w) {
		return // still in an inbox
	}
	if p.waits {
		p.tx.Release(w)
	}
	p.busy, p.slicing, p.waits = false, false, false
	p.sliced.Drop()
	p.trim()
	p.s.leave()
}
