package server

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard/command"
)

// A script that has run for longer than busy-reply-threshold makes the server busy, as in Redis: clients are refused
// everything but a few commands, with which scripts can be killed or the server be ended. What waited for batons by
// then is refused, too.

// scriptState says whether a script may be killed: not once it has written. Whoever is first, the script or who wants
// to kill it, changes it from clean.
type scriptState = atomic.Uint32

const (
	scriptClean uint32 = iota
	scriptWrote
	scriptKilled
)

// errScriptKilled is what a script that was killed replies.
var errScriptKilled = resp.Errorf("ERR", "Script killed by user with SCRIPT KILL...")

// runningScripts are the scripts that have stood still, on all loops.
type runningScripts struct {
	srv *Server

	mu   sync.Mutex
	list []*scriptRun // in the order in which they stood still first
	came uint64       // how many have stood still

	// Atomic; written with mu.
	refusal atomic.Pointer[resp.Error] // what clients are refused with; nil: the server is not busy
}

// shownCall is what FUNCTION STATS shows of a function that runs. Immutable.
type shownCall struct {
	name    string
	args    [][]byte
	beganNs int64
}

// add notes that a script stands still, if it is the first time.
func (v *runningScripts) add(r *scriptRun) {
	if r.standing && r.shows {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !r.standing {
		v.list = append(v.list, r)
		v.came++
		r.number = v.came
	}
	r.standing, r.shows = true, true
	r.shown = &shownCall{name: r.name, beganNs: r.beganNs}
	for _, arg := range r.outer.Args {
		r.shown.args = append(r.shown.args, bytes.Clone(arg))
	}
}

// shown returns the function that has run for longest among those that have stood still; nil: there is none. The error
// says that a script makes the server busy.
func (v *runningScripts) shown() (*shownCall, *resp.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.list {
		if r.function.Load() {
			return r.shown, nil
		}
	}
	for _, r := range v.list {
		if r.busy.Load() {
			return nil, resp.ErrBusyScript
		}
	}
	return nil, nil
}

// remove notes that a command is over.
func (v *runningScripts) remove(r *scriptRun) {
	if !r.standing {
		return
	}
	r.standing = false
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = slices.DeleteFunc(v.list, func(x *scriptRun) bool { return x == r })
	v.update()
}

// last returns the number of the script that came last.
func (v *runningScripts) last() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.came
}

// runs tells whether one up to a number still runs.
func (v *runningScripts) runs(number uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.list) > 0 && v.list[0].number <= number
}

// count returns how many there are.
func (v *runningScripts) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.list)
}

// update works out whether the server is busy; with mu.
func (v *runningScripts) update() {
	var refusal *resp.Error
	if i := slices.IndexFunc(v.list, func(r *scriptRun) bool { return r.busy.Load() }); i >= 0 {
		refusal = v.list[i].refusal()
	}
	v.refusal.Store(refusal)
	v.srv.setRestriction(whileBusy, refusal != nil)
}

// refusal is what others are refused with because of this script.
func (r *scriptRun) refusal() *resp.Error {
	if r.function.Load() {
		return resp.ErrBusyFunction
	}
	return resp.ErrBusyScript
}

// lookAtTime makes the server busy if the script has run for too long, whatever others did meanwhile. What a primary
// sends has all the time it needs.
func (r *scriptRun) lookAtTime() {
	srv := r.l.srv
	ms := srv.cfg.Values().BusyReplyMs
	elapsedMs := r.ranNs / 1_000_000
	if ms <= 0 || elapsedMs < ms || r.busy.Load() || r.s.primary != nil {
		return
	}
	r.logSlow(elapsedMs)
	v := &srv.scripts.running
	r.busy.Store(true)
	v.mu.Lock()
	v.update()
	v.mu.Unlock()
	for _, l := range srv.loops {
		if l.busyNotice.rung.CompareAndSwap(false, true) {
			l.rl.Post(&l.busyNotice.Letter)
		}
	}
}

// logSlow says that a script takes long.
func (r *scriptRun) logSlow(elapsedMs int64) {
	kill := "SCRIPT KILL"
	if r.function.Load() {
		kill = "FUNCTION KILL"
	}
	r.l.srv.log.Warn(fmt.Sprintf("Slow script detected: still in execution after %d milliseconds. You can try killing "+
		"the script using the %s command. Script name is: %s.", elapsedMs, kill, r.name))
}

// kill kills the script that has run for longest among those that may be. The error says why none was.
func (v *runningScripts) kill(function bool) *resp.Error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := resp.ErrNotBusy
	for _, r := range v.list {
		switch e := r.kill(function); {
		case e == nil:
			return nil
		case err == resp.ErrNotBusy:
			err = e
		}
	}
	return err
}

// kill has the script end, unless it must not.
func (r *scriptRun) kill(function bool) *resp.Error {
	switch {
	case r.s.isPrimary.Load():
		return resp.ErrUnkillablePrimary
	case r.state.Load() == scriptWrote:
		return resp.ErrUnkillable
	case r.function.Load() != function:
		return r.refusal()
	case !r.state.CompareAndSwap(scriptClean, scriptKilled) && r.state.Load() == scriptWrote:
		return resp.ErrUnkillable
	}
	return nil
}

// awaitHeld waits for held, which is closed when all batons are there. false: a script has some that makes the
// server busy, or stands still for as long as that would take: it may never end.
func (srv *Server) awaitHeld(held <-chan struct{}) bool {
	const patience = 5 * time.Second
	tick := time.NewTicker(lastCallTick)
	defer tick.Stop()
	for waited := time.Duration(0); ; waited += lastCallTick {
		select {
		case <-held:
			return true
		case <-tick.C:
		}
		v := &srv.scripts.running
		if v.refusal.Load() != nil || waited > patience && v.count() > 0 {
			return false
		}
	}
}

// end ends the coroutines of scripts that stand still; the loops have ended.
func (v *runningScripts) end() {
	v.mu.Lock()
	list := slices.Clone(v.list)
	v.mu.Unlock()
	for _, r := range list {
		r.abandon()
	}
	for _, l := range v.srv.loops {
		if r := l.scripts.idle; r != nil {
			r.stop()
		}
	}
}

// refuseBusy refuses a command because the server is busy with a script.
func (s *Session) refuseBusy(row *command.Row) {
	refusal := s.srv.scripts.running.refusal.Load()
	if refusal == nil { // just now
		refusal = resp.ErrBusyScript
	}
	s.refuse(row, refusal)
}

// busyNotice tells a loop that the server is busy.
type busyNotice struct {
	l *loop
	reactor.Letter
	rung ringFlag
}

// Deliver implements reactor.Recipient on the loop: commands that wait for batons are refused.
func (b *busyNotice) Deliver(*reactor.Loop, *reactor.Letter) {
	b.rung.Store(false)
	refusal := b.l.srv.scripts.running.refusal.Load()
	if refusal == nil {
		return
	}
	b.l.rl.Conns(func(c *reactor.Conn) {
		if s, ok := c.Context.(*Session); ok && s.parked() {
			s.refuseParked(refusal)
		}
	})
}

// refuseParked replies an error to a command that waits for batons, unless it may run while the server is busy. What is
// left of it in an inbox is forgotten: the session gets a new parking.
func (s *Session) refuseParked(refusal *resp.Error) {
	p := s.park
	switch {
	case p.row.Flags&command.AllowBusy != 0, s.closed, s.primary != nil, s.postponed:
		return
	case p.wait != nil, p.await != nil, p.script != nil, p.slicing && !p.waits:
		return // it waits for something else, or for nothing
	case p.slicing && p.row.Slices == nil:
		return // it was executed, and something is left to do
	case p.task && !p.claim.CompareAndSwap(parkWaiting, parkForgotten):
		return // somebody executes it
	}
	p.forgotten = true
	s.park = nil
	s.parkedBytes.Store(0)
	s.replyBytes.Store(0)
	l := s.loop
	l.worker.NowNs = l.srv.set.Clock.NowNs()
	l.begin(s)
	s.refuse(p.row, refusal)
	if p.silent {
		l.ctx.Cut(command.Mark{})
	}
	l.finish(s)
	s.conn.Resume()
}

// endForgotten is Deliver for a command that was refused while it waited: batons that it has got meanwhile go back.
func (p *parking) endForgotten() {
	w := &p.s.loop.worker
	w.NowNs = p.s.srv.set.Clock.NowNs()
	if !p.tx.Acquire(w) {
		return // still in an inbox
	}
	p.tx.Release(w)
	if p.slicing {
		p.sliced.Drop()
	}
}
