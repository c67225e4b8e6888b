package server

import (
	"sync"
	"sync/atomic"

	"fulmen/reactor"
	"fulmen/shard/command"
)

// pause holds commands back; immutable.
type pause struct {
	all       bool // everything waits, else what may write
	publishes bool // … but for what publishes, and changes no data
	endMs     int64
}

// pausePurpose is what a pause is for. Each purpose has its own, and ends no other's.
type pausePurpose uint8

const (
	pauseByClient    pausePurpose = iota // CLIENT PAUSE
	pauseForShutdown                     // replicas are to get everything before the server ends
	pauseForFailover                     // one of them is to take over
	pauseForLog                          // the append-only file is to begin: see appendOnly.holdWrites
	pausePurposes
)

// pausing is the server's pause. It begins under all batons, and whoever takes a baton looks at it again: when
// CLIENT PAUSE has replied nothing that it holds back runs any more, on no loop. While it is on keys do not expire,
// though they are reported absent, and nothing is evicted, so that the data stays as it is.
type pausing struct {
	now atomic.Pointer[pause] // the strictest of all purposes, until the last of that kind ends; nil: none
	mu  sync.Mutex            // held by whoever changes it
	by  [pausePurposes]*pause // with mu
}

// mayWrite are the flags of commands that a pause of writes holds back.
const mayWrite = command.Write | command.MayReplicate

// holds tells whether the session has to wait with the command. Inside MULTI also queueing has to wait. Neither a
// primary nor a replica waits.
func (p *pause) holds(row *command.Row, s *Session) bool {
	if s.primary != nil || s.follower.Load() != nil {
		return false
	}
	if p.publishes && row.Flags&command.Write == 0 && row.Script == command.NoScripts && !row.RunsQueue {
		return false
	}
	return p.all || row.Flags&mayWrite != 0 || row.RunsQueue && s.multi != nil && s.multi.flags&mayWrite != 0
}

// strictness orders pauses by how much they hold back.
func (p *pause) strictness() int { return btoi(p.all) + btoi(!p.publishes) }

// at returns the pause that is on, nil if there is none, and ends one whose time has come.
func (ps *pausing) at(srv *Server, nowMs int64) *pause {
	p := ps.now.Load()
	if p == nil || nowMs < p.endMs {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.now.Load() == p {
		ps.choose(srv, nowMs)
	}
	return ps.now.Load()
}

// begin starts a pause for a purpose or extends the one that is on: the later end and the stricter mode count. frozen
// says whether keys cease to expire now; else freeze has to be called before the batons, all of which are held, are
// released.
func (ps *pausing) begin(srv *Server, purpose pausePurpose, p pause, frozen bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if was := ps.by[purpose]; was != nil {
		p.all = p.all || was.all
		p.endMs = max(p.endMs, was.endMs)
	}
	ps.by[purpose] = &p
	ps.now.Store(ps.strictest(srv.set.Clock.NowMs()))
	if frozen {
		srv.freeze(ps.endMs())
	}
}

// strictest forgets pauses whose time has come, and returns the others as one: as strict as the strictest of them, and
// until the last of that kind ends; nil if there is none. The lock is held.
func (ps *pausing) strictest(nowMs int64) *pause {
	var sum *pause
	for i, p := range ps.by {
		switch {
		case p == nil:
		case nowMs >= p.endMs:
			ps.by[i] = nil
		case sum == nil || p.strictness() > sum.strictness() ||
			p.strictness() == sum.strictness() && p.endMs > sum.endMs:
			sum = p
		}
	}
	return sum
}

// freeze has keys cease to expire during the pause that is on, if one is; all batons are held.
func (ps *pausing) freeze(srv *Server) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if end := ps.endMs(); end != 0 {
		srv.freeze(end)
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

// endMs is when the last pause that is on ends, 0 if there is none; the lock is held.
func (ps *pausing) endMs() (last int64) {
	for _, p := range ps.by {
		if p != nil {
			last = max(last, p.endMs)
		}
	}
	return last
}

// freeze has expired keys stay until the end of a pause, 0: there is none; those of a replica that nobody else writes
// to until the primary deletes them.
func (srv *Server) freeze(untilMs int64) {
	if srv.restricted.Load()&whileFollowing != 0 {
		untilMs = forever
	}
	srv.set.Freeze(untilMs)
}

// choose goes on with the pauses that are left; the lock is held. Keys expire before anybody may write again: a command
// that writes never meets an expired key that stays.
func (ps *pausing) choose(srv *Server, nowMs int64) {
	sum := ps.strictest(nowMs)
	srv.freeze(ps.endMs())
	ps.now.Store(sum)
}

// paused tells whether a pause is on.
func (srv *Server) paused() bool { return srv.pausing.at(srv, srv.set.Clock.NowMs()) != nil }

// unpause ends the pause for a purpose and has all loops go on with the commands that wait for nothing else.
func (srv *Server) unpause(purpose pausePurpose) {
	srv.pausing.mu.Lock()
	srv.pausing.by[purpose] = nil
	srv.pausing.choose(srv, srv.set.Clock.NowMs())
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
	s.postpone(l.pause)
	return true
}

// postpone has the session wait for the end of a pause. Its command is still the next one in the query buffer, or
// parked: then it is run from there.
func (s *Session) postpone(p *pause) {
	s.postponed, s.heldBy = true, p
	s.waiting.Store(true)
	s.conn.Suspend()
	s.loop.postponed = append(s.loop.postponed, s)
}

// wakePostponed has the sessions that wait go on unless the pause that holds them back is on. They wait again if
// another one does.
func (l *loop) wakePostponed() {
	if len(l.postponed) == 0 {
		return
	}
	p := l.srv.pausing.at(l.srv, l.srv.set.Clock.NowMs())
	list := l.postponed
	l.postponed = nil
	var still []*Session
	for _, s := range list {
		switch {
		case s.closed: // by one of those before
		case p != nil && s.heldBy == p:
			still = append(still, s)
		default:
			s.postponed, s.heldBy = false, nil
			s.waiting.Store(false)
			if s.parked() {
				s.park.again()
			} else {
				s.conn.Resume()
			}
		}
	}
	l.postponed = append(still, l.postponed...)
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
	s.srv.pausing.begin(s.srv, pauseByClient, p, s.multi == nil)
	c.OK()
	return nil
}

// CLIENT UNPAUSE
func cmdClientUnpause(s *Session) error {
	s.srv.unpause(pauseByClient)
	s.c.OK()
	return nil
}
