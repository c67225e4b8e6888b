package server

import (
	"fulmen/reactor"
	"fulmen/shard/command"
)

// saveSliceNs is the CPU time for which a save's walk holds a baton at a time. Between two slices the sockets have
// their turn.
const saveSliceNs = 100_000

// saving is a loop's part in the saves that the server makes: it walks the shards that it is home to.
type saving struct {
	l *loop
	reactor.Letter
	rung ringFlag
	next int // whose turn it is
}

func (g *saving) init(l *loop) {
	g.l = l
	g.Letter.To = g
}

// wakeSaving has every loop go on with the running save, and look whether those who wait for it may go on.
func (srv *Server) wakeSaving() {
	for _, l := range srv.loops {
		if l.saving.rung.CompareAndSwap(false, true) {
			l.rl.Post(&l.saving.Letter)
		}
	}
}

// Deliver implements reactor.Recipient on the loop.
func (g *saving) Deliver(*reactor.Loop, *reactor.Letter) {
	g.rung.Store(false)
	l := g.l
	l.worker.NowNs = l.srv.set.Clock.NowNs()
	if l.saveSlice() {
		l.goOnSaving()
	}
	if len(l.waiting) > 0 && l.evictInBackground() {
		l.rl.TickSoon()
	}
}

// goOnSaving has the loop work for the running save once the sockets had their turn.
func (l *loop) goOnSaving() {
	if l.srv.saver.Running() != nil && l.saving.rung.CompareAndSwap(false, true) {
		l.rl.PostLater(&l.saving.Letter)
	}
}

// saveSlice walks one of the loop's shards for a slice, and tells whether one of them has more to do.
func (l *loop) saveSlice() (more bool) {
	saver := l.srv.saver
	for range l.home {
		if saver.Running() == nil {
			return false
		}
		s := l.home[l.saving.next].s
		l.saving.next = (l.saving.next + 1) % len(l.home)
		if !s.Acquire(&l.worker) {
			continue // its holder is working: next tick, if no other has anything to do
		}
		began := l.worker.NowNs
		more = saver.Step(s, began+saveSliceNs)
		l.worker.NowNs = l.srv.set.Clock.NowNs()
		s.Ran("snapshot", l.worker.NowNs-began)
		s.Release(&l.worker)
		if more {
			return true
		}
	}
	return false
}

// saveHeld goes on for a slice with the save that is under way in shards whose batons a script keeps while it stands
// still: nobody else gets to do it.
func (l *loop) saveHeld(shards []int) {
	if l.srv.saver.Running() == nil {
		return
	}
	until := l.worker.NowNs + saveSliceNs
	for _, i := range shards {
		l.srv.saver.Step(l.srv.set.Shards[i], until)
	}
	l.worker.NowNs = l.srv.set.Clock.NowNs()
}

// mustSpare tells whether a command of this row has to wait because a save that is under way has used up its buffers:
// it would have to copy what it is going to change. If they are far above their limit this holds for whatever looks at
// keys, which may have expired.
//
// It also has to wait while the log, which it is going to write to, has used up its memory because the disk is slow.
// What is refused, because the disk fails, need not wait for it.
func (s *Session) mustSpare(row *command.Row) bool {
	saver := s.srv.saver
	saving := saver.Running() != nil && saver.Overdrawn()
	if !saving && !s.srv.set.Log.OverLimit() || s.refusedForDisk(row) != nil {
		return false
	}
	switch {
	case row.RunsQueue && s.multi != nil:
		return s.multi.flags&mayWrite != 0
	case s.multi != nil:
		return false // it is only queued
	case row.Flags&mayWrite != 0:
		return true
	}
	return saving && row.Flags&command.ReadOnly != 0 && saver.Exhausted()
}
