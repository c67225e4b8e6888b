package server

import (
	"errors"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// Scripts in Redis's append-only files. Up to version 4, and up to 6 with lua-replicate-commands no, a script that had
// written stood in the file itself: as EVAL, and once its source had come, also by SCRIPT LOAD, as EVALSHA. So scripts
// are run again, and what they do is what becomes of the data, as redis-server has it: an error ends a script, not the
// load, and what came before it stays; no key's time comes while the file is loaded, so that no script finds one gone
// which it found then; times that a script says relative to now are relative to the load. Replies whose order isn't
// defined were sorted for scripts of those versions, and are neither by Redis 7 nor here.
//
// Otherwise than there, min-replicas-to-write and errors of the disk stop no script of the file (there they leave out
// what it has written), nothing is published again, and commands that fail in a script don't end the server.

// concernsScripts tells the commands that run scripts, and those of SCRIPT.
func concernsScripts(row *command.Row) bool {
	return row.Script != command.NoScripts || row.Container != nil && row.Container.Name == "script"
}

// errLoadEnding is why a load ends in a script when the server does.
var errLoadEnding = errors.New("the server is ending")

// script executes a record that runs a script, or one of SCRIPT, under all shards' locks.
func (l *applierLane) script(row *command.Row, args [][]byte) error {
	l.lockOnly(l.a.srv.allShards)
	if l.run == nil {
		l.run = l.a.srv.newLoadRun(&l.ctx)
	}
	r, c := l.run, &l.run.outer
	r.s.c, r.s.db, c.DBID = c, l.ctx.DBID, l.ctx.DBID
	c.Args = args
	c.Worker.NowNs = c.Set.Clock.NowNs()
	command.Call(c, row)
	reply, isError := c.ErrorSince(command.Mark{})
	var err error
	switch {
	case l.a.srv.stopping.Load(): // the script may have been ended
		err = errLoadEnding
	case isError:
		err = resp.ParseError(string(reply))
	}
	c.Cut(command.Mark{})
	if cap(c.Out) > flushBytes {
		c.Out = nil
	}
	return err
}

// newLoadRun returns what scripts run with that a load executes: on the goroutine of that, with a session and a loop
// of their own. of is what other records are executed with.
func (srv *Server) newLoadRun(of *command.Ctx) *scriptRun {
	l := &loop{srv: srv, calls: of.Calls, shared: newSharedStats(srv.table)}
	s := &Session{srv: srv, loop: l, proto: 2, authed: true, loads: true}
	l.worker.Owner = l
	l.ctx = command.Ctx{
		Set: of.Set, Worker: &l.worker, Calls: of.Calls, Table: of.Table, Limits: of.Limits, Observers: of.Observers,
		Session: s, Proto: 2,
	}
	r := &scriptRun{l: l, s: s, heldAll: true}
	r.runner = srv.scripts.engine.NewRunner(r)
	r.prepare()
	s.script = r
	return r
}

// tickLoading is Tick for a script of a load: it has all the time that it needs, and nobody else waits.
func (r *scriptRun) tickLoading() error {
	srv := r.l.srv
	if srv.stopping.Load() {
		return errEnding
	}
	r.sliceNs = r.l.worker.NowNs + scriptSliceNs
	ms, elapsedMs := srv.cfg.Values().BusyReplyMs, (r.l.worker.NowNs-r.beganNs)/1_000_000
	if ms > 0 && elapsedMs >= ms && !r.busy.Swap(true) {
		r.logSlow(elapsedMs)
	}
	return nil
}
