package server

import (
	"slices"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/shard/command"
)

func waitRows() []*command.Row {
	return []*command.Row{{Info: command.Info{
		Name: "wait", Arity: 3, Flags: command.NoScript, Categories: command.CatConnection, Group: "generic",
		Since: "3.0.0", Complexity: "O(1)", Args: "numreplicas:integer timeout:integer",
		Summary: "Wait for the synchronous replication of all the write commands sent in the context of the current " +
			"connection",
		Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
	}, RunSession: onSession(cmdWait)}, {Info: command.Info{
		Name: "waitaof", Arity: 4, Flags: command.Blocking, Group: "generic", Since: "7.2.0",
		Categories: command.CatConnection,
		Summary: "Blocks until all of the preceding write commands sent by the connection are written to the " +
			"append-only file of the master and/or replicas.",
		Tips:       []string{"request_policy:all_shards", "response_policy:agg_min"},
		Complexity: "O(1)", Args: "numlocal:integer numreplicas:integer timeout:integer",
	}, RunSession: onSession(cmdWaitaof)}}
}

var (
	errNumLocal    = resp.Errorf("ERR", "value is out of range, value must between 0 and 1")
	errWaitReplica = resp.Errorf("ERR", "WAIT cannot be used with replica instances. Please also note that since "+
		"Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just "+
		"local and are not propagated.")
	errWaitaofReplica = resp.Errorf("ERR", "WAITAOF cannot be used with replica instances. Please also note that "+
		"writes to replicas are just local and are not propagated.")
	errWaitaofOff = resp.Errorf("ERR", "WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
)

// syncGoal is what a WAIT or WAITAOF waits for: that all up to a position is there, and there.
type syncGoal struct {
	lsn      uint64
	local    bool  // synced here, if there is an append-only file
	replicas int64 // so many replicas have it, …
	onDisk   bool  // … on disk; what is replied tells of this server, too
}

// reached tells whether there is no more to wait for. Safe from any goroutine.
func (g *syncGoal) reached(srv *Server) bool {
	if g.local {
		if w := srv.aof.writer.Load(); w != nil && w.SyncedLSN() < g.lsn {
			return false
		}
	}
	return g.replicas <= 0 || srv.replication.countAcks(g.lsn, g.onDisk) >= g.replicas
}

// reply replies how far it is.
func (g *syncGoal) reply(s *Session) {
	acks := s.srv.replication.countAcks(g.lsn, g.onDisk)
	if g.onDisk {
		w := s.srv.aof.writer.Load()
		s.c.Array(2)
		s.c.Int(int64(btoi(w != nil && w.SyncedLSN() >= g.lsn)))
	}
	s.c.Int(acks)
}

// syncWait is a WAIT or WAITAOF that waits.
type syncWait struct {
	syncGoal
	s     *Session
	await *await
	timed bool
	over  atomic.Bool // somebody ends it
	// Owned by the session's loop.
	untilMs int64
}

// WAIT numreplicas timeout. It waits for all that the session has written, or seen of others.
func cmdWait(s *Session) error {
	if s.srv.following() {
		return errWaitReplica
	}
	c := s.c
	replicas, ok := resp.ParseInt(c.Args[1])
	if !ok {
		return resp.ErrNotInteger
	}
	untilMs, err := timeoutMs(c.Args[2], c.NowMs)
	if err != nil {
		return err
	}
	s.waitFor(syncGoal{lsn: s.lastSeen(), replicas: replicas}, untilMs)
	return nil
}

// lastSeen is a position behind all that the session has written, or seen of others.
func (s *Session) lastSeen() uint64 {
	if s.loads {
		return 0
	}
	return max(s.conn.Marked(), s.loop.worker.LSN)
}

// waitFor replies when the goal is reached, or the time is up; inside a transaction at once.
func (s *Session) waitFor(goal syncGoal, untilMs int64) {
	if s.executing || goal.reached(s.srv) {
		goal.reply(s)
		return
	}
	s.beginSyncWait(goal, untilMs)
}

// WAITAOF numlocal numreplicas timeout. It waits for all that the session has written, or seen of others.
func cmdWaitaof(s *Session) error {
	if s.srv.following() {
		return errWaitaofReplica
	}
	c := s.c
	local, ok := resp.ParseInt(c.Args[1])
	switch {
	case !ok:
		return resp.ErrNotInteger
	case local < 0 || local > 1:
		return errNumLocal
	}
	replicas, ok := resp.ParseInt(c.Args[2])
	if !ok || replicas < 0 {
		return resp.ErrNotPositive
	}
	untilMs, err := timeoutMs(c.Args[3], c.NowMs)
	if err != nil {
		return err
	}
	w := s.srv.aof.writer.Load()
	if local > 0 && w == nil {
		return errWaitaofOff
	}
	s.waitFor(syncGoal{lsn: s.lastSeen(), local: local > 0, replicas: replicas, onDisk: true}, untilMs)
	return nil
}

// beginSyncWait has the session wait until the goal is reached.
func (s *Session) beginSyncWait(goal syncGoal, untilMs int64) {
	a := &s.srv.aof
	wait := &syncWait{syncGoal: goal, s: s, await: s.await(), timed: untilMs != 0, untilMs: untilMs}
	var b blocked = wait
	s.blocked.Store(&b)
	s.syncWait = wait
	if wait.timed {
		s.loop.syncWaits = append(s.loop.syncWaits, wait)
	}
	a.mu.Lock()
	list := append(slices.Clone(*a.waits.Load()), wait)
	a.waits.Store(&list)
	a.mu.Unlock()
	if goal.replicas > 0 {
		s.srv.replication.askForAcks()
	}
	if w := a.writer.Load(); w != nil && goal.local && aof.Policy(a.policy.Load()) == aof.No {
		w.Sync(goal.lsn) // nobody else would
	}
	a.endWaits() // it may have come to that meanwhile
}

// endWaits ends the waits for what is reached. Safe from any goroutine.
func (a *appendOnly) endWaits() {
	for _, wait := range *a.waits.Load() {
		if wait.reached(a.srv) {
			wait.end(nil)
		}
	}
}

// end ends the wait, with an error if e is not nil, unless somebody else does, and tells whether it was that.
func (wait *syncWait) end(e *resp.Error) bool {
	if wait.over.Swap(true) {
		return false
	}
	a := &wait.s.srv.aof
	a.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(*a.waits.Load()), func(x *syncWait) bool { return x == wait })
	a.waits.Store(&list)
	a.mu.Unlock()
	wait.await.end(func(s *Session) error {
		s.forgetSyncWait()
		if e != nil {
			s.killed = s.killed || e == resp.ErrDemoted
			return e
		}
		wait.reply(s)
		return nil
	})
	return true
}

// Unblock implements blocked.
func (wait *syncWait) Unblock(withError bool) bool {
	if withError {
		return wait.end(resp.ErrUnblocked)
	}
	return wait.end(nil)
}

// RoleChanged implements blocked.
func (wait *syncWait) RoleChanged() { wait.end(resp.ErrDemoted) }

// Timed implements blocked.
func (wait *syncWait) Timed() bool { return wait.timed }

// forgetSyncWait takes a wait that is over out of what the loop knows.
func (s *Session) forgetSyncWait() {
	wait := s.syncWait
	s.syncWait = nil
	s.blocked.Store(nil)
	if wait.timed {
		s.loop.syncWaits = slices.DeleteFunc(s.loop.syncWaits, func(x *syncWait) bool { return x == wait })
	}
}

// closeSyncWait ends the wait of a session that is closed; its letter comes.
func (s *Session) closeSyncWait() {
	if wait := s.syncWait; wait != nil {
		s.forgetSyncWait()
		wait.end(nil)
	}
}

// endSyncWaits ends the waits of the loop's sessions whose time is up.
func (l *loop) endSyncWaits() {
	nowMs := l.srv.set.Clock.NowMs()
	for _, wait := range l.syncWaits {
		if wait.untilMs <= nowMs {
			wait.end(nil)
		}
	}
}
