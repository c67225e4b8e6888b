package server

import (
	"strings"

	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
)

// dispatch decides about one command that does not take the short way. The refusals come in Redis's order;
// each is small. Special commands are flags in their rows.
func (s *Session) dispatch(b *parsed) {
	c := s.c
	mark, reply := c.Mark(), s.reply
	if s.reply == replySkipNext {
		s.reply = replySkip
	}
	s.silenced = s.reply != replyOn
	s.decide(b)
	if s.postponed && !s.parked() {
		s.reply = reply // it is decided about once more
		s.silenced = false
		return
	}
	if (s.multi == nil || s.parked()) && (b.row == nil || !b.row.KeepsCaching) {
		s.endCaching()
	}
	if s.reply == replyOn {
		s.speakUp()
		return
	}
	c.Cut(mark)
	s.speakUp()
	if s.parked() {
		s.park.silent = true
	}
	if s.reply == replySkip {
		s.reply = replyOn
		s.refresh()
	}
}

func (s *Session) decide(b *parsed) {
	row := b.row
	s.lastRow.Store(0)
	if row == nil && isHTTP(b.args[0]) {
		s.abortHTTP()
		return
	}
	if row == nil {
		s.refuse(nil, resp.ErrUnknownCommand(b.args[0], b.args[1:]))
		return
	}
	if len(row.Subs) > 0 && len(b.args) > 1 {
		sub := row.Sub(b.args[1])
		if sub == nil {
			s.refuse(nil, resp.ErrUnknownSubcommand(b.args[0], b.args[1]))
			return
		}
		row = sub
	}
	if row.Script != command.NoScripts {
		row = s.loop.scriptRow(row, b.args)
	}
	s.lastRow.Store(int32(row.Index) + 1)
	if s.primary != nil && row.ArityOK(len(b.args)) {
		if noPartOfStream(row) {
			s.refuse(row, resp.Errorf("ERR", "'%s' is no part of a replication stream", row.FullName))
			return
		}
		s.proceed(row, b)
		return
	}
	if !s.authed && s.srv.cfg.Values().RequirePass == "" {
		s.setAuthed(true) // the password was taken away
	}
	misconf := s.refusedForDisk(row)
	switch {
	case !row.ArityOK(len(b.args)):
		s.refuse(row, resp.ErrWrongArity(row.FullName))
		return
	case row.Protected != command.Unprotected && s.forbidden(row) != nil:
		s.refuse(row, s.forbidden(row))
		return
	case !s.authed && row.Flags&command.NoAuth == 0:
		s.refuse(row, resp.ErrNoAuth)
		return
	case s.multi != nil && (row.Flags&command.NoMulti != 0 || row.NotQueued):
		s.refuse(row, resp.ErrInMulti)
		return
	case s.outOfMemory(row):
		s.refuse(row, resp.ErrOOM)
		return
	case misconf != nil:
		s.refuse(row, misconf)
		return
	case s.refusedForReplicas(row):
		s.refuse(row, resp.ErrNoReplicas)
		return
	case s.listens() && !row.Listener && s.refusedForRole(row) != resp.ErrReadOnly:
		s.refuse(row, resp.ErrListening(row.FullName))
		return
	case s.refusedForRole(row) != nil:
		s.refuse(row, s.refusedForRole(row))
		return
	case s.refusedForLoading(row):
		s.refuse(row, resp.ErrLoading)
		return
	case s.srv.restricted.Load()&whileBusy != 0 && row.Flags&command.AllowBusy == 0:
		s.refuseBusy(row)
		return
	case s.monitor != nil && row.Flags&(command.Write|command.ReadOnly|command.MayReplicate) != 0:
		s.refuse(row, resp.ErrReplicaKeys)
		return
	case s.monitor == nil && s.heldBack(row):
		return
	}
	s.proceed(row, b)
}

// proceed runs a command that is not refused, or queues it.
func (s *Session) proceed(row *command.Row, b *parsed) {
	if s.multi != nil && !row.InMulti {
		s.enqueue(row, b.args)
		return
	}
	l := s.loop
	keys := l.keys[b.keyLo:b.keyHi]
	if row.Container != nil {
		keys = l.keysOf(row, b.args)
	}
	if row.RunsQueue && s.multi != nil {
		s.exec(row, b.args)
		return
	}
	if row.Script != command.NoScripts {
		l.sendParcel() // what was caused before is not the script's
		shards := l.routeScript(row, b.args, keys, false)
		if len(shards) == 0 {
			keys = nil // there is no such script: it is said without their shards' batons
		}
		s.withBatons(shards, row, b.args, keys)
		return
	}
	if row.Slices != nil {
		s.beginSlices(row, b.args, keys)
		return
	}
	s.withBatons(l.route(row, b.args, keys), row, b.args, keys)
}

// runHeld executes a command whose batons are held.
func (s *Session) runHeld(row *command.Row, args [][]byte, keys []command.Keyed) {
	w := &s.loop.worker
	began := w.NowNs
	s.c.Wait = command.Wait{}
	spared := s.mayBeSpared(row, args, keys)
	if row.RunsQueue && s.multi != nil {
		s.runQueue(row, args)
	} else {
		s.c.Args, s.c.Keys, s.c.MayBlock = args, keys, true
		command.Call(s.c, row)
		s.c.MayBlock = false
		s.noteEmptied()
	}
	s.loop.spared = spared && s.awaits == nil && (s.script == nil || !s.script.tells)
	if s.primary != nil {
		s.primary.done(s)
		if p := s.park; p != nil && p.tx.Held() && len(p.tx.Shards()) > 0 {
			s.primary.notePlace(s.srv.set.Shards[p.tx.Shards()[0]])
		}
	}
	if s.park != nil {
		s.park.tx.Ran(row.FullName, w.NowNs-began) // all its holds, also those of shards without a key of it
	}
}

// forbidden says why the configuration doesn't let the session use a command; nil: it does.
func (s *Session) forbidden(row *command.Row) *resp.Error {
	v := s.srv.cfg.Values()
	switch {
	case row.Protected == command.ProtectedDebug && !v.EnableDebugCommand.Allows(s.local):
		return resp.ErrDebugRefused
	case row.Protected == command.ProtectedModule && !v.EnableModuleCommand.Allows(s.local):
		return resp.ErrModuleRefused
	}
	return nil
}

// refuse replies an error for a command that is not run; inside MULTI it dooms the transaction. A refused EXEC
// discards it, and outside MULTI ends the watches all the same.
func (s *Session) refuse(row *command.Row, e *resp.Error) {
	if row != nil && row.RunsQueue {
		e = resp.ErrExecDiscarded(e)
		s.endMulti()
	}
	if s.multi != nil {
		s.multi.doomed = true
	}
	s.c.Reject(row, e)
}

// keysOf finds the keys of a subcommand.
func (l *loop) keysOf(row *command.Row, args [][]byte) []command.Keyed {
	lo := len(l.keys)
	l.addKeys(row, args)
	return l.keys[lo:]
}

// route returns the shards that a command needs, ascending; valid until the next call.
func (l *loop) route(row *command.Row, args [][]byte, keys []command.Keyed) []int {
	if row.RouteFor(args) == command.RouteAll {
		return l.srv.allShards
	}
	var set shardSet
	for i := range keys {
		set.add(keys[i].Shard.ID)
	}
	if row.ForReplicas && l.srv.replication.feeding() {
		set.add(l.srv.shardOf(args[1]).ID)
	}
	l.shards = set.appendTo(l.shards[:0])
	return l.shards
}

// shardOf returns the shard that a key belongs to.
func (srv *Server) shardOf(key []byte) *shard.Shard { return srv.set.Shards[srv.set.ShardOf(key)] }

// httpWords begin lines of an HTTP request that a browser can be made to send, with commands of an attacker's in
// its body. They are no commands, and COMMAND doesn't list them: a connection that sends one is closed before it
// comes to the body. GET, which every request may begin with, is a command.
var httpWords = [...]string{"post", "host:"}

func isHTTP(word []byte) bool {
	for _, w := range httpWords {
		if len(word) == len(w) && strings.EqualFold(string(word), w) {
			return true
		}
	}
	return false
}

// attackLogMs is how often a loop logs such a connection.
const attackLogMs = 60_000

// abortHTTP closes the connection at once, as Redis does, also before replies that have not left yet.
func (s *Session) abortHTTP() {
	if now := s.c.NowMs; s.loop.attackLoggedMs == 0 || now-s.loop.attackLoggedMs > attackLogMs {
		s.loop.attackLoggedMs = now
		s.srv.log.Warn("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands " +
			"to Fulmen. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise " +
			"your Fulmen instance. Connection from " + s.addr + " aborted.")
	}
	s.conn.Abort(reactor.ErrClosedByServer)
}
