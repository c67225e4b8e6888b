package server

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"fulmen/internal/resp"
	"fulmen/internal/script"
	"fulmen/shard/command"
)

// eval runs the script that the call names.
func (s *Session) eval(readOnly bool) error {
	c, l, r := s.c, s.loop, s.script
	if begins := c.Observers.Begins; begins != nil {
		begins(c, c.Row)
	}
	what, n, e := l.resolveScript(c.Row.Script, c.Args)
	function := c.Row.Script == command.ScriptByName
	if e == nil && !r.mayRun(what, n, function) { // it has come since it was looked for
		e = resp.ErrNoScript
		if function {
			e = resp.ErrFunctionReplaced
		}
	}
	if e != nil {
		return e
	}
	if e := s.refusedScript(what.Flags, readOnly); e != nil {
		return e
	}
	r.beginScript(what.SHA, what.Flags, readOnly, function)
	mark := c.Mark()
	c.Out, e = r.runner.Run(c.Out, c.Proto, what, c.Args[3:3+n], c.Args[3+n:])
	r.endScript()
	err := r.outcome(c, mark, e)
	if len(r.pushes) > 0 {
		err = r.pushFirst(c, mark, err)
	}
	return err
}

// pushFirst puts what the script has caused its own session to be sent before its reply, which stands in the context
// from mark on, or is err.
func (r *scriptRun) pushFirst(c *command.Ctx, mark command.Mark, err error) error {
	var reply command.Reply
	c.Move(&reply, mark)
	to := r.s.pushesHere()
	*to = append(*to, r.pushes...)
	if err != nil {
		c.Fail(c.Row, err)
		return nil
	}
	reply.Move(&c.Reply, command.Mark{})
	return nil
}

// mayRun tells whether the batons are held that routeScript says a script with so many keys needs.
func (r *scriptRun) mayRun(what *script.Script, keys int, function bool) bool {
	if r.heldAll {
		return true
	}
	some := len(r.s.park.tx.Shards()) > 0 // then those of the keys are among them
	return r.l.srv.scripts.declares(what) && (some || keys == 0 && !function)
}

// outcome returns a script's error to be counted and replied; one that is the script's reply stays as it is. An error
// of a command's was counted then: now only the call counts as failed. The reply stands in the context from mark on; e
// is why there is none.
func (r *scriptRun) outcome(c *command.Ctx, mark command.Mark, e *resp.Error) error {
	if e != nil {
		if len(r.lastError) == 0 || !strings.HasPrefix(e.Error(), string(r.lastError)) {
			if strings.ContainsAny(e.Code, "\r\n") { // it is counted as it is sent
				e = resp.ParseError(strings.NewReplacer("\r", " ", "\n", " ").Replace(e.Error()))
			}
			return e
		}
		c.Out = resp.AppendError(c.Out, e)
		c.Calls.Fail(c.Row)
		return nil
	}
	reply, isError := c.ErrorSince(mark)
	switch {
	case !isError:
	case len(reply) > 0 && bytes.Equal(reply, r.lastError):
		c.Calls.Fail(c.Row)
	default:
		code, _, found := bytes.Cut(reply, []byte(" "))
		if !found {
			code = []byte("ERR")
		}
		c.Calls.Errors[string(code)]++
		c.Calls.Fail(c.Row)
	}
	return nil
}

// resolveScript returns the script that a call runs, and its number of keys.
func (l *loop) resolveScript(kind command.ScriptKind, args [][]byte) (what *script.Script, n int, err *resp.Error) {
	switch kind {
	case command.ScriptByName:
		if what = l.srv.functions.script(args[1]); what == nil {
			return nil, 0, resp.ErrNoFunction
		}
		n, err = functionKeys(args)
		return what, n, err
	case command.ScriptBySHA:
		if len(args[1]) != shaBytes {
			return nil, 0, resp.ErrNoScript
		}
		if n, err = scriptKeys(args); err != nil {
			return nil, 0, err
		}
		if what = l.scriptNamed(args[1]); what == nil {
			return nil, 0, resp.ErrNoScript
		}
		return what, n, nil
	}
	if n, err = scriptKeys(args); err == nil {
		what, err = l.scriptOf(args[1])
	}
	return what, n, err
}

// beginScript prepares for a script, or a function, with these flags; name is what the log calls it.
func (r *scriptRun) beginScript(name string, flags script.Flags, readOnly, function bool) {
	s := r.s
	r.name, r.readOnly = name, readOnly || flags&script.HasShebang != 0 && flags&script.NoWrites != 0
	r.allowOOM = flags&script.HasShebang != 0 && flags&script.AllowOOM != 0
	r.function.Store(function)
	r.shows = false
	r.state.Store(scriptClean)
	r.busy.Store(false)
	r.lastError, r.pushes = r.lastError[:0], r.pushes[:0]
	r.beganNs, r.ranNs = r.l.worker.NowNs, 0
	r.sliceNs = r.beganNs + scriptSliceNs
	r.inner.DBID, r.inner.Proto, r.db = s.db, 2, s.db
	r.executing = s.executing
	s.executing = true // none of its commands waits
	s.c = &r.inner
}

// endScript ends what beginScript began.
func (r *scriptRun) endScript() {
	s := r.s
	s.c = &r.outer
	s.executing = r.executing
	if s.db != r.db {
		s.selectDB(r.db)
	}
	r.inner.Cut(command.Mark{})
	r.inner.Args, r.inner.Keys = nil, nil
	clear(r.found)
}

// refusedScript says why a script with these flags can't run now; nil: it can.
func (s *Session) refusedScript(flags script.Flags, readOnly bool) *resp.Error {
	restricted, obey := s.srv.restricted.Load(), s.obeyed()
	stale := restricted&whileStale != 0 && !obey
	if flags&script.HasShebang == 0 {
		if stale {
			return resp.ErrMasterDown
		}
		return nil
	}
	if stale && flags&script.AllowStale == 0 {
		return resp.ErrScriptStale
	}
	if flags&script.NoWrites == 0 && !obey {
		switch {
		case restricted&whileFollowing != 0:
			return resp.ErrScriptReadOnly
		case restricted&whileDiskFailing != 0:
			return resp.ErrScriptMisconf
		case restricted&whileLogFailing != 0:
			if e := s.srv.aof.refusal.Load(); e != nil {
				return resp.ErrScriptMisconfAOF(strings.TrimPrefix(e.Msg, resp.ErrMisconfAOF("").Msg))
			}
		}
		if restricted&whileFewReplicas != 0 {
			return resp.ErrNoReplicas
		}
	}
	if flags&script.NoWrites == 0 && readOnly {
		return resp.ErrScriptNotReadOnly
	}
	if s.script.oom && !obey && flags&(script.AllowOOM|script.NoWrites) == 0 {
		return resp.ErrScriptOOM
	}
	return nil
}

// Call implements script.Host.
func (r *scriptRun) Call(args [][]byte) []byte {
	c := &r.inner
	c.Cut(command.Mark{})
	r.call(c, args)
	if reply, isError := c.ErrorSince(command.Mark{}); isError {
		r.lastError = append(r.lastError[:0], reply...)
	}
	if c.Bytes() == len(c.Out) {
		return c.Out
	}
	r.reply = r.reply[:0]
	c.Give(func(piece []byte) { r.reply = append(r.reply, piece...) })
	r.reply = append(r.reply, c.Out...)
	return r.reply
}

// call executes a command of the script, or replies why it is refused.
func (r *scriptRun) call(c *command.Ctx, args [][]byte) {
	row := findRow(c.Table, args)
	if e := r.refused(row, args); e != nil {
		c.Reject(row, e)
		return
	}
	r.findKeys(row, args)
	if !r.mayTouch(row, args) {
		r.l.srv.log.Error("BUG: script " + r.name + " was taken for one that touches its keys only, and calls " +
			row.FullName + ", which touches others; it was refused")
		c.Reject(row, resp.ErrScriptUndeclared)
		return
	}
	if row.Flags&command.Write != 0 && !r.state.CompareAndSwap(scriptClean, scriptWrote) &&
		r.state.Load() == scriptKilled {
		c.Reject(row, errScriptKilled)
		return
	}
	c.Args, c.Keys, c.MayBlock = args, r.found, false
	if r.s.loads {
		c.NowMs = foreignNowMs(row, c.Set.Clock.NowMs())
	}
	r.tells = r.tells || !r.l.srv.aof.unsynced.spares(row, args, r.found)
	c.Worker.NowNs = c.Set.Clock.NowNs() // what the script has computed is no time of the command
	command.Call(c, row)
	r.s.noteEmptied()
	c.TakeThen() // what it has left to do is done in the background
	if r.l.srv.scripts.has(commitsEarly) {
		for _, k := range c.Keys {
			k.Shard.Commit(c.Worker)
		}
	}
	if c.Overflow {
		c.Cut(command.Mark{})
		c.Reject(nil, resp.ErrReplyTooLong)
	}
}

// refused says why a command is not executed for the script; nil: it is. The reasons come in Redis's order.
func (r *scriptRun) refused(row *command.Row, args [][]byte) *resp.Error {
	restricted, obey := r.l.srv.restricted.Load(), r.s.obeyed()
	switch {
	case row == nil:
		return resp.ErrScriptUnknownCommand
	case !row.ArityOK(len(args)):
		return resp.ErrScriptArity
	case (row.Flags&command.NoScript != 0 || row.NotQueued) && !r.mayDebug(row, args):
		return resp.ErrScriptDenied
	case restricted&whileStale != 0 && !obey && row.Flags&command.Stale == 0:
		return resp.ErrScriptCallStale
	case r.readOnly && row.Flags&mayWrite != 0:
		return resp.ErrScriptWrites
	}
	if r.state.Load() == scriptWrote {
		return nil // it is not stopped in the middle
	}
	if row.Flags&command.Write != 0 && !obey {
		if e := r.l.srv.writesRefused(restricted); e != nil {
			return e
		}
	}
	if r.oom && !r.allowOOM && !obey && row.Flags&command.DenyOOM != 0 {
		return resp.ErrOOM
	}
	return nil
}

// mayDebug tells whether a command is DEBUG with what scripts are not denied at present, or with no subcommand.
func (r *scriptRun) mayDebug(row *command.Row, args [][]byte) bool {
	if !r.l.srv.scriptsDebug.Load() || row.Protected != command.ProtectedDebug {
		return false
	}
	d := findDebugSub(args)
	return d == nil || slices.Contains(debugInScripts, d.name)
}

// writesRefused says why a command of a script that would be the first to write is refused; nil: it is not.
func (srv *Server) writesRefused(restricted uint32) *resp.Error {
	switch {
	case restricted&whileFollowing != 0:
		return resp.ErrReadOnly
	case restricted&whileDiskFailing != 0:
		return resp.ErrMisconf
	case restricted&whileLogFailing != 0:
		if e := srv.aof.refusal.Load(); e != nil {
			return e
		}
	}
	if restricted&whileFewReplicas != 0 {
		return resp.ErrNoReplicas
	}
	return nil
}

// findKeys finds the keys of a command of the script.
func (r *scriptRun) findKeys(row *command.Row, args [][]byte) {
	set := r.l.srv.set
	r.idx = row.KeyIndexes(r.idx[:0], args)
	clear(r.found)
	r.found = r.found[:0]
	for _, i := range r.idx {
		r.found = append(r.found, command.Keyed{
			Key: set.Key(args[i]), Shard: set.Shards[set.ShardOf(args[i])], Arg: i,
		})
	}
	if cap(r.idx) > maxScratch {
		r.idx = nil
	}
}

// mayTouch tells whether the batons are held that a command of the script needs. They always are, unless the script's
// text was misjudged.
func (r *scriptRun) mayTouch(row *command.Row, args [][]byte) bool {
	if r.heldAll {
		return true
	}
	if row.RouteFor(args) == command.RouteAll ||
		row.ForReplicas && r.l.srv.replication.feeding() && !r.held.has(r.l.srv.shardOf(args[1]).ID) {
		return false
	}
	return !slices.ContainsFunc(r.found, func(k command.Keyed) bool { return !r.held.has(k.Shard.ID) })
}

// SetProto implements script.Host.
func (r *scriptRun) SetProto(version int) { r.inner.Proto = version }

// SetRepl implements script.Host. Effects always go to the log, which both the append-only file and replicas read.
func (r *scriptRun) SetRepl(int) {}

// ACLCheck implements script.Host.
func (r *scriptRun) ACLCheck(args [][]byte) (allowed, known bool) {
	return true, findRow(r.l.srv.table, args) != nil
}

// Log implements script.Host.
func (r *scriptRun) Log(level int, line string) {
	log := r.l.srv.log
	switch level {
	case 0, 1:
		log.Debug(line)
	case 2:
		log.Info(line)
	default:
		log.Warn(line)
	}
}

// errEnding is why a script ends that stands still when the server ends.
var errEnding = errors.New("ERR The server is ending")

// Tick implements script.Host: when its slice is over the script stands still.
func (r *scriptRun) Tick() error {
	w := &r.l.worker
	w.NowNs = r.l.srv.set.Clock.NowNs()
	if r.state.Load() == scriptKilled {
		return r.killed()
	}
	if w.NowNs < r.sliceNs {
		return nil
	}
	if r.s.loads {
		return r.tickLoading()
	}
	r.ranNs += w.NowNs - (r.sliceNs - scriptSliceNs)
	r.l.srv.scripts.running.add(r)
	if !r.yield(struct{}{}) {
		return errEnding
	}
	r.sliceNs = w.NowNs + scriptSliceNs
	r.lookAtTime()
	if r.state.Load() == scriptKilled {
		return r.killed()
	}
	return nil
}

// killed says why the script ends, also in the log.
func (r *scriptRun) killed() error {
	r.l.srv.log.Info("Lua script killed by user with SCRIPT KILL.")
	return errScriptKilled
}
