package server

import (
	"sync"
	"sync/atomic"

	"fulmen/reactor"
	"fulmen/shard/command"
)

// pause is what CLIENT PAUSE asked for; immutable.
type pause struct {
	all   bool // everything waits, else what may write
	endMs int64
}

// pausing is the server's pause. It begins under all batons, and whoever takes a baton looks at it again: when
// CLIENT PAUSE has replied nothing that it holds back runs any more, on no loop. While it is on keys do not expire,
// though they are reported absent, and nothing is evicted, so that the data stays as it is.
type pausing struct {
	now atomic.Pointer[pause] // nil: none
	mu  sync.Mutex            // held by whoever changes it
}

// mayWrite are the flags of commands that a pause of writes holds back.
const mayWrite = command.Write | command.MayReplicate

// holds tells whether the session has to wait with the command. Inside MULTI also queueing has to wait.
func (p *pause) holds(row *command.Row, s *Session) bool {
	return p.all || row.Flags&mayWrite != 0 || row.RunsQueue && s.multi != nil && s.multi.flags&mayWrite != 0
}

// at returns the pause that is on, nil if there is none, and ends one whose time has come.
func (ps *pausing) at(srv *Server, nowMs int64) *pause {
	p := ps.now.Load()
	if p == nil || nowMs < p.endMs {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.now.Load() == p {
		ps.end(srv)
	}
	return nil
}

// begin starts a pause or extends the one that is on: the later end and the stricter mode count. frozen says whether
// keys cease to expire now; else freeze has to be called before the batons, all of which are held, are released.
func (ps *pausing) begin(srv *Server, p pause, frozen bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if was := ps.now.Load(); was != nil {
		p.all = p.all || was.all
		p.endMs = max(p.endMs, was.endMs)
	}
	ps.now.Store(&p)
	if frozen {
		srv.freeze(p.endMs)
	}
}

// freeze has keys cease to expire during the pause that is on, if one is; all batons are held.
func (ps *pausing) freeze(srv *Server) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.now.Load(); p != nil {
		srv.freeze(p.endMs)
	}
}

// refreeze has keys cease or begin to expire, the server's role having changed; all batons are held.
func (ps *pausing) refreeze(srv *Server) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	srv.freeze(ps.endMs())
}

// thaw has keys expire on a replica, unless a pause is on.
func (ps *pausing) thaw(srv *Server) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	srv.set.Freeze(ps.endMs())
}

// endMs is when the pause that is on ends, 0 if there is none; the lock is held.
func (ps *pausing) endMs() int64 {
	if p := ps.now.Load(); p != nil {
		return p.endMs
	}
	return 0
}

// freeze has expired keys stay until the end of a pause, 0: there is none; those of a replica that nobody else writes
// to until the primary deletes them.
func (srv *Server) freeze(untilMs int64) {
	if srv.restricted.Load()&whileFollowing != 0 {
		untilMs = forever
	}
	srv.set.Freeze(untilMs)
}

// end ends the pause; the lock is held. Keys expire before anybody may write again: a command that writes never meets
// an expired key that stays.
func (ps *pausing) end(srv *Server) {
	srv.freeze(0)
	ps.now.Store(nil)
}

// paused tells whether a pause is on.
func (srv *Server) paused() bool { return srv.pausing.at(srv, srv.set.Clock.NowMs()) != nil }

// unpause ends the pause and has all loops go on with the commands that wait.
func (srv *Server) unpause() {
	srv.pausing.mu.Lock()
	srv.pausing.end(srv)
	srv.pausing.mu.Unlock()
	for _, l := range srv.loops {
		if l.unpaused.rung.CompareAndSwap(false, true) {
			l.rl.Post(&l.unpaused.Letter)
		}
	}
}

// unpaused tells a loop that the pause is over.
type unpaused struct {
	l *loop
	reactor.Letter
	rung ringFlag
}

// Deliver implements reactor.Recipient on the loop.
func (u *unpaused) Deliver(*reactor.Loop, *reactor.Letter) {
	u.rung.Store(false)
	u.l.wakePostponed()
}

// regate looks at the pause that is on, which may hold back commands with a flag in l.barred.
func (l *loop) regate() {
	l.restricted = l.srv.restricted.Load()
	l.pause = l.srv.pausing.at(l.srv, l.ctx.NowMs)
	switch {
	case l.pause == nil:
		l.barred = 0
	case l.pause.all:
		l.barred = ^command.Flags(0)
	default:
		l.barred = mayWrite
	}
	l.barred |= barredBy(l.restricted)
}

// gateChanged tells whether a pause began or ended, or the server's role has changed, since regate. It is asked with
// batons held.
func (l *loop) gateChanged() bool {
	return l.srv.pausing.now.Load() != l.pause || l.srv.restricted.Load() != l.restricted
}

// heldBack tells whether the pause holds the command back, and has the session wait for its end if so.
func (s *Session) heldBack(row *command.Row) bool {
	l := s.loop
	if s.primary != nil {
		return false
	}
	if l.gateChanged() {
		l.regate()
	}
	if l.pause == nil || !l.pause.holds(row, s) {
		return false
	}
	s.postpone()
	return true
}

// postpone has the session wait for the end of the pause. Its command is still the next one in the query buffer, or
// parked: then it is run from there.
func (s *Session) postpone() {
	s.postponed = true
	s.waiting.Store(true)
	s.conn.Suspend()
	s.loop.postponed = append(s.loop.postponed, s)
}

// wakePostponed has the sessions that wait go on unless a pause is on. They wait again if a new one has begun.
func (l *loop) wakePostponed() {
	if len(l.postponed) == 0 || l.srv.pausing.at(l.srv, l.srv.set.Clock.NowMs()) != nil {
		return
	}
	list := l.postponed
	l.postponed = nil
	for _, s := range list {
		if s.closed { // by one of those before
			continue
		}
		s.postponed = false
		s.waiting.Store(false)
		if s.parked() {
			s.park.again()
		} else {
			s.conn.Resume()
		}
	}
}

// forgetPostponed takes a session that is closed out of those that wait, and what it left parked with it: no letter
// will come.
func (l *loop) forgetPostponed(s *Session) {
	for i, x := range l.postponed {
		if x == s {
			l.postponed = append(l.postponed[:i], l.postponed[i+1:]...)
			break
		}
	}
	s.postponed = false
	if s.parked() {
		if s.park.await != nil {
			s.park.again() // which sees that the client has gone
		}
		s.park.task, s.park.busy = false, false
	}
}

func clientPauseRows() []*command.Row {
	pauseRow := clientSub("pause", -3, "2.9.50", "Stop processing commands from clients for some time",
		"timeout:integer mode?@6.2.0(WRITE|ALL)", cmdClientPause)
	pauseRow.Flags |= command.Admin
	pauseRow.Route = command.RouteAll
	pauseRow.History = []command.Change{
		{Since: "6.2.0", What: "`CLIENT PAUSE WRITE` mode added along with the `mode` option."},
	}
	unpauseRow := clientSub("unpause", 2, "6.2.0", "Resume processing of clients that were paused", "",
		cmdClientUnpause)
	unpauseRow.Flags |= command.Admin
	unpauseRow.Complexity = "O(N) Where N is the number of paused clients"
	return []*command.Row{pauseRow, unpauseRow}
}

// CLIENT PAUSE timeout [WRITE|ALL]
func cmdClientPause(s *Session) error {
	c := s.c
	if len(c.Args) > 4 {
		return errSubcommandUse(c.Args[1])
	}
	p := pause{all: true}
	if mode := c.ArgsFrom(3); mode.More() && !mode.Option("all") {
		if !mode.Option("write") {
			return errPauseMode
		}
		p.all = false
	}
	var e error
	if p.endMs, e = timeoutMs(c.Args[2], c.NowMs); e != nil {
		return e
	}
	if s.multi != nil {
		s.multi.paused = true // what is queued behind it may still write
	}
	s.srv.pausing.begin(s.srv, p, s.multi == nil)
	c.OK()
	return nil
}

// CLIENT UNPAUSE
func cmdClientUnpause(s *Session) error {
	s.srv.unpause()
	s.c.OK()
	return nil
}
