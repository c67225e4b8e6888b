package server

import (
	"unsafe"

	"fulmen/internal/resp"
	"fulmen/internal/script"
	"fulmen/shard"
	"fulmen/shard/command"
)

// multi is what MULTI queued.
type multi struct {
	queue   []queuedCommand
	doomed  bool // a command was refused: EXEC will be too
	denyOOM bool // a command of the queue may need memory
	asleep  bool // a command of the queue is refused while the data is being loaded
	fresh   bool // … while the data may be old
	scripts bool // commands that run scripts are among them
	// calls: functions are called; libraries are those that there were when the first one was queued.
	calls     bool
	libraries *script.Libraries
	paused    bool // CLIENT PAUSE is among those that were run
	bytes     int64
	shards    shardSet
	flags     command.Flags // of all commands queued
}

type queuedCommand struct {
	row  *command.Row
	args [][]byte
	keys []command.Keyed
}

func multiRows() []*command.Row {
	flags := command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy
	return []*command.Row{
		{Info: command.Info{
			Name: "multi", Arity: 1, Flags: flags, Categories: command.CatTransaction, Group: "transactions",
			Since: "1.2.0", Summary: "Mark the start of a transaction block", Complexity: "O(1)",
		}, InMulti: true, RunSession: onSession(cmdMulti)},
		{Info: command.Info{
			Name: "exec", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.SkipSlowlog,
			Categories: command.CatTransaction, Group: "transactions", Since: "1.2.0",
			Summary:    "Execute all commands issued after MULTI",
			Complexity: "Depends on commands in the transaction",
		}, InMulti: true, RunsQueue: true, RunSession: onSession(cmdExec)},
		{Info: command.Info{
			Name: "discard", Arity: 1, Flags: flags, Categories: command.CatTransaction, Group: "transactions",
			Since: "2.0.0", Summary: "Discard all commands issued after MULTI",
			Complexity: "O(N), when N is the number of queued commands",
		}, InMulti: true, EvenOOM: true, RunSession: onSession(cmdDiscard)},
		{Info: command.Info{
			Name: "watch", Arity: -2, Flags: flags, Categories: command.CatTransaction,
			Keys: command.AllKeys(1, command.KeyRO), Group: "transactions", Since: "2.2.0",
			Summary:    "Watch the given keys to determine execution of the MULTI/EXEC block",
			Complexity: "O(1) for every key.", Args: "key*",
		}, InMulti: true, TellsNothing: true, RunSession: onSession(cmdWatch)},
		{Info: command.Info{
			Name: "unwatch", Arity: 1, Flags: flags, Categories: command.CatTransaction, Group: "transactions",
			Since: "2.2.0", Summary: "Forget about all watched keys", Complexity: "O(1)",
		}, RunSession: onSession(cmdUnwatch)},
	}
}

// MULTI
func cmdMulti(s *Session) error {
	if s.multi != nil {
		return resp.ErrNested
	}
	s.multi = &multi{}
	s.queued.Store(0)
	s.refresh()
	s.c.OK()
	return nil
}

// EXEC, where there is nothing to execute: outside MULTI, or after a refused command
func cmdExec(s *Session) error {
	if s.multi == nil {
		return resp.ErrNoMulti
	}
	s.endMulti()
	return resp.ErrExecAbort
}

// DISCARD
func cmdDiscard(s *Session) error {
	if s.multi == nil {
		return resp.ErrNoDiscard
	}
	s.endMulti()
	s.c.OK()
	return nil
}

// WATCH key [key ...]
func cmdWatch(s *Session) error {
	if s.multi != nil {
		return resp.ErrWatch
	}
	if s.watch.watcher == nil {
		s.watch.watcher = &shard.Watcher{}
		s.watching.Store(s.watch.watcher)
	}
	for _, k := range s.c.Keys {
		s.watchKey(k)
	}
	s.c.OK()
	return nil
}

// watchCost is about what a watched key costs, beside its bytes in the session's list, in its set and in the shard's
// table: an element of each.
const watchCost = int64(unsafe.Sizeof(watchedKey{})+2*unsafe.Sizeof(watchedID{})) + 64

// watchKey registers one key; the baton of its shard is held.
func (s *Session) watchKey(k command.Keyed) {
	id := watchedID{s.db, string(k.Key.Bytes)}
	if s.watch.seen[id] {
		return
	}
	if s.watch.seen == nil {
		s.watch.seen = map[watchedID]bool{}
	}
	s.watch.seen[id] = true
	key := shard.Key{Bytes: append([]byte(nil), k.Key.Bytes...), Hash: k.Key.Hash}
	// A key whose time has passed goes now: its disappearance later would look like a change.
	db := k.Shard.DB(s.db)
	db.Look(key, s.c.NowMs)
	expired := db.HasExpired(key, s.c.NowMs)
	k.Shard.Watch(s.db, key.Bytes, s.watch.watcher)
	s.watchBytes.Add(watchCost + 3*int64(len(key.Bytes)))
	s.watch.keys = append(s.watch.keys, watchedKey{db: s.db, shard: k.Shard, key: key, expired: expired})
}

// UNWATCH
func cmdUnwatch(s *Session) error {
	s.forgetWatches()
	s.c.OK()
	return nil
}

// forgetWatches ends all watches.
func (s *Session) forgetWatches() {
	if s.watch.watcher == nil {
		return
	}
	s.watch.watcher.Drop()
	s.watch.watcher = nil
	s.watching.Store(nil)
	s.watch.keys, s.watch.seen = nil, nil
	s.watchBytes.Store(0)
}

// leave ends what a session that is closed has left behind, as soon as no command of it is parked.
func (s *Session) leave() {
	s.forgetWatches()
	if s.primary != nil {
		s.primary.left()
	}
}

func (s *Session) endMulti() {
	s.multi = nil
	s.queued.Store(-1)
	s.multiBytes.Store(0)
	s.forgetWatches()
	s.refresh()
}

// sliceBytes is what a slice costs beside its elements.
const sliceBytes = int64(unsafe.Sizeof([]byte{}))

// enqueue keeps a command for EXEC, independent of the read buffer.
func (s *Session) enqueue(row *command.Row, args [][]byte) {
	m := s.multi
	size := 0
	for _, a := range args {
		size += len(a)
	}
	q := queuedCommand{row: row, args: make([][]byte, 0, len(args))}
	buf := make([]byte, 0, size)
	for _, a := range args {
		at := len(buf)
		buf = append(buf, a...)
		q.args = append(q.args, buf[at:len(buf):len(buf)])
	}
	m.denyOOM = m.denyOOM || row.Flags&command.DenyOOM != 0
	keys := s.loop.keysOf(row, q.args)
	q.keys = append(q.keys, keys...)
	m.bytes += int64(size) + int64(len(args))*sliceBytes + int64(cap(q.keys))*int64(unsafe.Sizeof(command.Keyed{}))
	route := s.loop.route(row, q.args, keys)
	if row.Script != command.NoScripts {
		m.scripts = true
		if row.Script == command.ScriptByName && !m.calls {
			m.calls, m.libraries = true, s.srv.functions.set.Load()
		}
		route = s.loop.routeScript(row, q.args, keys, true)
	}
	for _, i := range route {
		m.shards.add(i)
	}
	if row.ForReplicas { // there may be some by then
		m.shards.add(s.srv.shardOf(q.args[1]).ID)
	}
	m.queue = append(m.queue, q)
	flags := row.Flags
	if row.EndsSync { // whether it may run now was asked when it came
		flags = flags&^command.NoAsyncLoading | command.Loading
	}
	m.flags |= flags
	m.asleep = m.asleep || flags&command.Loading == 0
	m.fresh = m.fresh || flags&command.Stale == 0
	s.queued.Store(int32(len(m.queue)))
	s.multiBytes.Store(m.bytes + int64(cap(m.queue))*int64(unsafe.Sizeof(queuedCommand{})))
	s.c.Out = resp.AppendQueued(s.c.Out)
}

// exec runs EXEC: under the batons of all queued commands and watched keys.
func (s *Session) exec(row *command.Row, args [][]byte) {
	m := s.multi
	if m.doomed {
		s.c.Args, s.c.Keys = args, nil
		command.Call(s.c, row)
		return
	}
	for i := range s.watch.keys {
		m.shards.add(s.watch.keys[i].shard.ID)
	}
	if m.scripts {
		s.loop.sendParcel() // as in proceed
	}
	s.loop.shards = m.shards.appendTo(s.loop.shards[:0])
	if m.calls && m.libraries != s.srv.functions.set.Load() { // which may touch other keys
		s.loop.shards = append(s.loop.shards[:0], s.srv.allShards...)
	}
	s.withBatons(s.loop.shards, row, args, nil)
}

// runQueue executes the queue; all its batons are held.
func (s *Session) runQueue(row *command.Row, args [][]byte) {
	m := s.multi
	dirty := s.watchesDirty()
	// The queue is unwatched before it runs: its own changes are nobody's conflict.
	s.forgetWatches()
	began := s.loop.worker.NowNs
	if dirty {
		s.c.NullArray()
	} else {
		s.c.Array(len(m.queue))
		s.executing = true
		for i := range m.queue {
			q := &m.queue[i]
			s.c.Args, s.c.Keys = q.args, q.keys
			command.Call(s.c, q.row)
			s.noteEmptied()
			if s.script != nil && s.script.abandoned {
				break
			}
		}
		s.executing = false
		s.c.TakeThen() // what they left to do is done in the background
	}
	if m.paused {
		s.srv.pausing.freeze(s.srv)
	}
	s.endMulti()
	s.endCaching()
	s.loop.worker.NowNs = s.srv.set.Clock.NowNs()
	s.c.Args, s.c.Keys = args, nil
	s.c.Measured(row, s.loop.worker.NowNs-began)
}

// watchesDirty tells whether a watched key changed or expired since WATCH.
func (s *Session) watchesDirty() bool {
	if s.watch.watcher == nil {
		return false
	}
	if s.watch.watcher.Dirty() {
		return true
	}
	for i := range s.watch.keys {
		w := &s.watch.keys[i]
		if !w.expired && w.shard.DB(w.db).HasExpired(w.key, s.c.NowMs) {
			return true
		}
	}
	return false
}
