package server

import (
	"iter"
	"sync/atomic"

	"fulmen/internal/script"
	"fulmen/shard/command"
)

// A script runs on its session's own loop, on a coroutine, under the batons of all that it may touch. After a slice it
// stands still: the coroutine stops where it is, in the middle of the script, the session is parked with the batons,
// and the loop does other work until the letter comes. So a script may take as long as it wants: who needs its batons
// waits for it, and nobody else.
//
// What the loop has for the command that it executes, the script has of its own: contexts, and what its commands have
// caused others to be sent. What a command of the script has done is committed with all others when the script ends.

// scriptSliceNs is how long a script runs before it stands still.
const scriptSliceNs = 1_000_000

// maxStanding is how many scripts of a loop may stand still before other sessions have to wait with theirs. Scripts
// with batons are no more than there are shards; others could be as many as there are connections.
const maxStanding = 64

// scriptRun is a Lua state, the coroutine that scripts run in on it, and the command that runs one.
type scriptRun struct {
	// Immutable.
	l      *loop
	runner *script.Runner
	next   func() (struct{}, bool) // goes on with the coroutine until it stops
	stop   func()
	yield  func(struct{}) bool // stops the coroutine; set when it begins

	// Of the command: EVAL and its kin, or an EXEC with one in its queue.
	s    *Session
	row  *command.Row
	args [][]byte
	keys []command.Keyed
	over bool
	// outer is what the command runs with, inner what the commands of its scripts do. ctx is the session's one of them
	// while it stands still.
	outer, inner command.Ctx
	ctx          *command.Ctx
	held         shardSet // its batons
	heldAll      bool
	oom          bool // memory was short when the command came
	tells        bool // some of their commands tell of what is not synced, or that is not known

	// Of the script that runs.
	name      string
	readOnly  bool // it must not write
	allowOOM  bool // it may write though memory is short
	executing bool // the session's, before the script
	db        int  // the session's database
	beganNs   int64
	ranNs     int64  // for how long it has run, without the times in which it stood still
	sliceNs   int64  // until when it runs
	lastError []byte // that one of its commands has replied
	pushes    []byte // for its own session, which gets them before the reply

	// What was caused while it ran, while it stands still.
	parcel     *parcel
	broadcasts []broadcastKeys
	aloud      []byte // the session's

	// Scratch.
	idx   []int
	found []command.Keyed
	reply []byte

	standing  bool       // it has stood still: it is in runningScripts
	shows     bool       // shown is about the script that runs
	shown     *shownCall // held with the lock of runningScripts
	number    uint64     // in the order in which scripts stood still first; as shown
	abandoned bool       // the server has ended: nothing of the command is to be done any more

	// Atomic.
	state    scriptState
	function atomic.Bool // the script is a function
	busy     atomic.Bool // it makes the server busy
}

// takeRun returns a coroutine that nothing runs on.
func (l *loop) takeRun() *scriptRun {
	if r := l.scripts.idle; r != nil {
		l.scripts.idle = nil
		return r
	}
	v := &l.srv.scripts
	v.ballastOnce.Do(func() { v.ballast = make([]byte, ballastBytes) })
	r := &scriptRun{l: l}
	r.runner = l.srv.scripts.engine.NewRunner(r)
	r.next, r.stop = iter.Pull(r.run)
	v.states.Add(1)
	return r
}

// putRun keeps the coroutine for the next script, or ends it if there is one already.
func (l *loop) putRun(r *scriptRun) {
	r.s, r.row, r.args, r.keys = nil, nil, nil, nil
	if cap(r.reply) > flushBytes {
		r.reply = nil
	}
	if cap(r.pushes) > flushBytes {
		r.pushes = nil
	}
	if cap(r.found) > maxScratch {
		r.found = nil
	}
	for _, c := range []*command.Ctx{&r.outer, &r.inner} {
		c.Session, c.Tracker, c.Args, c.Keys = nil, nil, nil, nil
		if cap(c.Out) > flushBytes {
			c.Out = nil
		}
	}
	if l.scripts.idle == nil {
		l.scripts.idle = r
		return
	}
	l.srv.scripts.states.Add(-1)
	r.stop()
}

// run is the coroutine.
func (r *scriptRun) run(yield func(struct{}) bool) {
	r.yield = yield
	for {
		r.s.runHeld(r.row, r.args, r.keys)
		r.over = true
		if !yield(struct{}{}) {
			return
		}
	}
}

// runsScript tells whether the command runs scripts.
func (s *Session) runsScript(row *command.Row) bool {
	return row.Script != command.NoScripts || row.RunsQueue && s.multi != nil && s.multi.scripts
}

// mustStandBack tells whether a command of this row has to wait because many scripts stand still. While the server is
// busy it is refused instead.
func (s *Session) mustStandBack(row *command.Row) bool {
	l := s.loop
	return l.scripts.standing >= maxStanding && l.restricted&whileBusy == 0 && s.runsScript(row) &&
		(s.multi == nil || row.RunsQueue)
}

// runApart executes a command whose batons are held, on a coroutine if it runs scripts. false: a script stands still,
// the session is parked, and its letter will come.
func (s *Session) runApart(row *command.Row, args [][]byte, keys []command.Keyed) (done bool) {
	if !s.runsScript(row) {
		s.runHeld(row, args, keys)
		return true
	}
	p, l := s.park, s.loop
	r := l.takeRun()
	if row.RunsQueue { // it tells of its arguments when it is over; they are few
		p.keepCommand(row, args, keys)
		p.busy, args, keys = false, p.args, p.keys
	}
	r.begin(s, row, args, keys)
	p.script = r
	if r.step() {
		r.end()
		return true
	}
	if !row.RunsQueue {
		p.keepCommand(row, args, keys)
		r.outer.Args, r.outer.Keys = p.args, p.keys
	}
	p.busy = true
	r.stand()
	s.conn.Pause()
	return false
}

// keepCommand is copyCommand for a command that may have been copied when it began to wait.
func (p *parking) keepCommand(row *command.Row, args [][]byte, keys []command.Keyed) {
	if len(p.args) == 0 || &args[0] != &p.args[0] {
		p.copyCommand(row, args, keys)
	}
}

// begin prepares the contexts for a command of the session whose batons are held.
func (r *scriptRun) begin(s *Session, row *command.Row, args [][]byte, keys []command.Keyed) {
	r.s, r.row, r.args, r.keys, r.over = s, row, args, keys, false
	r.held, r.oom, r.tells = shardSet{}, s.loop.oom, false
	for _, i := range s.park.tx.Shards() {
		r.held.add(i)
	}
	r.heldAll = len(s.park.tx.Shards()) == len(r.l.srv.allShards)
	r.prepare()
}

// prepare makes the contexts those of the session, as the loop's is.
func (r *scriptRun) prepare() {
	for _, c := range []*command.Ctx{&r.outer, &r.inner} {
		of := &r.l.ctx
		c.Set, c.Worker, c.Calls, c.Table, c.Limits, c.Observers = of.Set, of.Worker, of.Calls, of.Table, of.Limits,
			of.Observers
		c.Session, c.DBID, c.Proto, c.NowMs, c.NoTouch = of.Session, of.DBID, of.Proto, of.NowMs, of.NoTouch
		c.Tracker, c.Remembers, c.ReplyLimit = of.Tracker, of.Remembers, of.ReplyLimit
		c.Cut(command.Mark{})
	}
	r.inner.Scripted = true
	r.ctx = &r.outer
}

// step goes on with the coroutine. true: the command is over.
func (r *scriptRun) step() (over bool) {
	s := r.s
	s.script = r
	s.c = r.ctx
	r.next()
	r.ctx = s.c
	s.c = &r.l.ctx
	s.script = nil
	return r.over
}

// end hands what a command that is over has replied and changed over to the loop's context.
func (r *scriptRun) end() {
	s, c := r.s, &r.l.ctx
	s.park.script = nil
	r.outer.Move(&c.Reply, command.Mark{})
	c.DBID, c.Proto, c.NoTouch = s.db, s.proto, r.outer.NoTouch
	c.Tracker, c.Remembers, c.Observers = r.outer.Tracker, r.outer.Remembers, r.outer.Observers
	c.Wait = command.Wait{}
	r.l.srv.scripts.running.remove(r)
	r.l.putRun(r)
}

// stand has the command stand still: it takes along what its commands have caused.
func (r *scriptRun) stand() {
	l := r.l
	r.parcel, r.broadcasts, r.aloud = l.parcel, l.broadcasts, r.s.aloud
	l.parcel, l.broadcasts, l.worker.Courier, r.s.aloud = nil, nil, nil, nil
	l.scripts.standing++
	if l.srv.scripts.has(letsGoEarly) {
		r.s.park.tx.Release(&l.worker)
	}
	l.rl.PostLater(&r.s.park.Letter)
}

// rise is what has to be done before the command goes on.
func (r *scriptRun) rise() {
	l := r.l
	l.scripts.standing--
	if r.parcel != nil || len(r.broadcasts) > 0 {
		l.parcel, l.broadcasts = r.parcel, r.broadcasts
		l.worker.Courier = (*courier)(l)
	}
	r.s.aloud = r.aloud
	r.parcel, r.broadcasts, r.aloud = nil, nil, nil
}

// abandon ends the command in the middle of its script; the loops have ended.
func (r *scriptRun) abandon() {
	r.s.script, r.s.c, r.abandoned = r, r.ctx, true
	r.stop()
}

// goOnWithScript is Deliver for a session whose script stands still.
func (p *parking) goOnWithScript() {
	s, l, r := p.s, p.s.loop, p.script
	l.worker.NowNs = s.srv.set.Clock.NowNs()
	if s.srv.scripts.has(letsGoEarly) && !p.tx.Acquire(&l.worker) {
		return
	}
	l.begin(s)
	l.saveHeld(p.tx.Shards())
	r.rise()
	mark := l.ctx.Mark()
	s.silenced = p.silent
	if !r.step() {
		r.stand()
		s.silenced = false
		l.ctx.Session = nil
		return
	}
	r.end()
	p.busy = false
	if !s.closed {
		p.endHeld(mark)
		return
	}
	l.serveReady(p.shards)
	p.tx.Release(&l.worker)
	l.postServed()
	l.ctx.Cut(mark)
	s.aloud = nil
	l.publishCalls()
	l.sendParcel()
	l.ctx.Session = nil
	l.trim()
	s.leave()
}
