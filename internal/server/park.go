package server

import (
	"sync/atomic"

	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
)

// ringFlag says that a letter is under way.
type ringFlag = atomic.Bool

// parking is what a session needs while a command of it waits for batons. Made at the first wait and
// reused; a session waits for one command at a time.
type parking struct {
	shard.Node // in a shard's inbox
	reactor.Letter
	s    *Session
	tx   shard.Tx
	busy bool // a command waits

	// The waiting command: own copies, since the read buffer is the loop's.
	row       *command.Row
	args      [][]byte
	keys      []command.Keyed
	buf       []byte
	shards    []int
	silent    bool   // CLIENT REPLY has its reply dropped
	remembers bool   // it runs with Ctx.Remembers
	paused    *pause // that held the task back; nil: none has
	forgotten bool   // the command was refused meanwhile, and the session has another parking

	script *scriptRun // that the command runs on; nil: it runs no script

	// A command that runs in slices.
	slicing bool
	waits   bool // for the baton of the next slice; else the letter is under way
	sliced  command.Sliced

	wait  *keyWait // nil unless the command waits for keys
	await *await   // nil unless the command has run and waits for something else

	// Atomic: who deals with the task; parkWaiting and so on.
	claim atomic.Uint32

	// Owned by the holder of the shard's baton from parkTask until the letter is posted.
	task bool
	ctx  command.Ctx
	lsn  uint64 // what the reply in ctx has to wait for
}

// Who deals with a parked task: changed from parkWaiting by whoever is first.
const (
	parkWaiting   uint32 = iota
	parkTaken            // who executes it
	parkForgotten        // its session, which has replied
)

func (s *Session) parked() bool { return s.park != nil && s.park.busy }

func (s *Session) parkingLot() *parking {
	if s.park == nil {
		p := &parking{s: s}
		p.Node.Task = p
		p.Letter.To = p
		p.tx.Init(s.srv.set, p)
		s.park = p
	}
	return s.park
}

// holds tells whether the session's command runs with the shard's baton held.
func (s *Session) holds(sh *shard.Shard) bool { return s.park != nil && s.park.tx.Holds(sh.ID) }

// copyCommand makes the command independent of the read buffer.
func (p *parking) copyCommand(row *command.Row, args [][]byte, keys []command.Keyed) {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	if cap(p.buf) < size || cap(p.buf) > 4*size+4096 {
		p.buf = make([]byte, 0, size)
	}
	p.buf, p.args = p.buf[:0], p.args[:0]
	for _, a := range args {
		at := len(p.buf)
		p.buf = append(p.buf, a...)
		p.args = append(p.args, p.buf[at:len(p.buf):len(p.buf)])
	}
	p.keys = append(p.keys[:0], keys...)
	for i := range p.keys {
		p.keys[i].Key.Bytes = p.args[p.keys[i].Arg]
	}
	p.row = row
	p.busy, p.silent = true, p.s.primary != nil
	p.remembers = p.s.c.Remembers
	p.s.parkedBytes.Store(int64(size))
}

// parkTask leaves a one-key command in its shard's inbox and parks the session.
func (l *loop) parkTask(s *Session, row *command.Row, args [][]byte, keys []command.Keyed) {
	p := s.parkingLot()
	p.copyCommand(row, args, keys)
	p.task = true
	p.claim.Store(parkWaiting)
	p.ctx = command.Ctx{
		Set: l.ctx.Set, Table: l.ctx.Table, Limits: l.ctx.Limits, Session: s,
		DBID: s.db, Proto: s.proto, NowMs: l.ctx.NowMs, NoTouch: l.ctx.NoTouch,
		Tracker: l.ctx.Tracker, Remembers: l.ctx.Remembers,
		Reply: command.Reply{Out: p.ctx.Out[:0]}, ReplyLimit: l.ctx.ReplyLimit, Args: p.args, Keys: p.keys,
	}
	s.lastRow.Store(int32(row.Index) + 1)
	s.conn.Pause()
	sh := keys[0].Shard
	sh.Enqueue(&p.Node, &l.worker)
}

// Serve implements shard.Task: somebody who holds the baton executes the parked command.
func (p *parking) Serve(sh *shard.Shard, w *shard.Worker) (keep bool) {
	if !p.claim.CompareAndSwap(parkWaiting, parkTaken) {
		return false
	}
	l := w.Owner.(*loop)
	srv := p.s.srv
	if pause := srv.pausing.at(srv, p.ctx.NowMs); pause != nil && pause.holds(p.row, p.s) {
		p.paused = pause
		p.s.conn.Loop().Post(&p.Letter)
		return false
	}
	p.ctx.Worker, p.ctx.Calls, p.ctx.Observers = w, l.calls, l.srv.observers.Load()
	p.runTask()
	if sh.HasReady() {
		l.serveReady(srv.allShards[sh.ID : sh.ID+1])
	}
	if p.lsn = sh.Commit(w); srv.gate.fault == parkedEarly {
		p.lsn = 0
	}
	l.publishCalls() // as in finish
	p.s.conn.Loop().Post(&p.Letter)
	l.postServed()
	return false
}

// runTask runs the parked command of one key, unless the server's role has changed so that it can't any more.
func (p *parking) runTask() {
	f := p.s.primary
	switch e := p.s.refusedForRole(p.row); {
	case f != nil && f.dead.Load():
	case e != nil:
		p.ctx.Reject(p.row, e)
	default:
		command.Call(&p.ctx, p.row)
		if f != nil {
			f.done(p.s)
			f.notePlace(p.keys[0].Shard)
		}
	}
}

// Resume implements shard.Waiter: the session's own loop goes on with the transaction.
func (p *parking) Resume(*shard.Tx) { p.s.conn.Loop().Post(&p.Letter) }

// Deliver implements reactor.Recipient on the session's loop.
func (p *parking) Deliver(*reactor.Loop, *reactor.Letter) {
	s := p.s
	if p.forgotten {
		p.endForgotten()
		return
	}
	if p.script != nil {
		p.goOnWithScript()
		return
	}
	if p.wait != nil {
		p.deliverWait()
		return
	}
	if p.await != nil {
		p.endAwait()
		return
	}
	if held := p.paused; held != nil {
		p.paused = nil
		if !s.closed {
			s.postpone(held)
			return
		}
	}
	if p.task {
		p.endTask()
		return
	}
	if p.slicing {
		p.nextSlices()
		return
	}
	l := s.loop
	l.worker.NowNs = s.srv.set.Clock.NowNs() // holds begin now
	if !p.tx.Acquire(&l.worker) {
		return // still waiting
	}
	if s.closed {
		p.busy = false
		p.tx.Release(&l.worker)
		s.leave()
		return
	}
	l.begin(s)
	if s.heldBack(p.row) {
		p.tx.Release(&l.worker)
		l.finish(s)
		return
	}
	p.busy, l.ctx.Remembers = false, p.remembers
	mark := l.ctx.Mark()
	l.ctx.Wait = command.Wait{}
	s.silenced = p.silent
	if !s.barredByRole(p.row) && !s.runApart(p.row, p.args, p.keys) {
		s.silenced = false
		l.finish(s)
		return
	}
	p.endHeld(mark)
}

// endHeld ends a parked command that was executed, and whose reply stands in the context from mark on.
func (p *parking) endHeld(mark command.Mark) {
	s, l := p.s, p.s.loop
	waits := false
	if l.ctx.Wait.On {
		p.busy = true
		waits = p.beginWait(l.ctx.Wait.UntilMs)
	}
	l.serveReady(p.shards)
	if s.primary != nil {
		s.primary.failed(&l.ctx.Reply, p.args)
	}
	if p.silent {
		l.ctx.Cut(mark)
	}
	s.speakUp()
	p.tx.Release(&l.worker)
	l.postServed()
	l.unmark(0)
	if s.awaits != nil {
		p.beginAwait(mark)
		waits = true
	}
	if waits {
		l.finish(s)
		return
	}
	if job := l.ctx.TakeThen(); job != nil && !p.goOn(p.row, job, mark, p.silent) {
		l.finish(s)
		return
	}
	l.finish(s)
	p.trim()
	s.conn.Resume()
}

// endTask is Deliver for a session whose command was executed by whoever had the baton.
func (p *parking) endTask() {
	s := p.s
	p.task, p.busy = false, false
	if s.closed {
		s.leave()
		return
	}
	if s.primary != nil {
		s.primary.endTask(p)
	}
	s.send(&p.ctx, p.lsn, flushBytes)
	p.trim()
	s.conn.Resume()
}

// again has the parked command tried once more after a pause.
func (p *parking) again() {
	if p.await != nil {
		p.await.again()
		return
	}
	if p.task {
		p.ctx.NowMs = p.s.srv.set.Clock.NowMs()
		p.claim.Store(parkWaiting)
		p.keys[0].Shard.Enqueue(&p.Node, &p.s.loop.worker)
		return
	}
	if p.wait != nil {
		p.wait.begun = false
	} else {
		p.tx.Begin(p.shards)
	}
	p.Deliver(nil, nil)
}

// trim lets go of a big command's memory, which the session would keep otherwise.
func (p *parking) trim() {
	p.s.parkedBytes.Store(0)
	if cap(p.buf) > flushBytes || cap(p.args) > maxScratch || cap(p.keys) > maxScratch {
		p.buf, p.args, p.keys = nil, nil, nil
		p.ctx.Args, p.ctx.Keys = nil, nil
	}
}

// withBatons executes the command with the batons of the given shards, ascending, at once or later.
func (s *Session) withBatons(shards []int, row *command.Row, args [][]byte, keys []command.Keyed) {
	l := s.loop
	mark, lsn := s.c.Mark(), l.worker.LSN
	l.spared = false
	if len(shards) == 0 && !s.runsScript(row) {
		s.runHeld(row, args, keys)
		if s.awaits != nil {
			s.park.copyCommand(row, args, keys)
			s.park.beginAwait(mark)
		}
		return
	}
	p := s.parkingLot()
	p.shards = append(p.shards[:0], shards...)
	p.tx.Begin(p.shards)
	// The command is copied first: once Acquire has put the transaction into an inbox it may be resumed
	// at any moment, though only by a letter that this loop reads after this callback.
	if p.tx.Acquire(&l.worker) {
		if !l.gateChanged() || !s.heldBack(row) && !s.barredByRole(row) {
			if !s.runApart(row, args, keys) {
				return
			}
			if s.c.Wait.On {
				p.copyCommand(row, args, keys)
				p.beginWait(s.c.Wait.UntilMs)
			}
			l.serveReady(p.shards)
		}
		p.tx.Release(&l.worker)
		l.postServed()
		l.unmark(lsn)
		if s.awaits != nil {
			p.copyCommand(row, args, keys)
			p.beginAwait(mark)
			return
		}
		if job := s.c.TakeThen(); job != nil {
			p.copyCommand(row, args, keys)
			if !p.goOn(row, job, mark, s.reply != replyOn) {
				s.conn.Pause()
			}
		}
		return
	}
	p.copyCommand(row, args, keys)
	s.conn.Pause()
}
