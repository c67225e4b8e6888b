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
		Name: "waitaof", Arity: 4, Flags: command.Blocking, Group: "generic", Since: "7.2.0",
		Categories: command.CatConnection,
		Summary: "Blocks until all of the preceding write commands sent by the connection are written to the " +
			"append-only file of the master and/or replicas.",
		Tips:       []string{"request_policy:all_shards", "response_policy:agg_min"},
		Complexity: "O(1)", Args: "numlocal:integer numreplicas:integer timeout:integer",
	}, RunSession: onSession(cmdWaitaof)}}
}

var (
	errNumLocal   = resp.Errorf("ERR", "value is out of range, value must between 0 and 1")
	errWaitaofOff = resp.Errorf("ERR", "WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
)

// syncWait is a WAITAOF that waits.
type syncWait struct {
	s     *Session
	await *await
	lsn   uint64
	// beyond: for what does not come, replicas, so until its time is up
	beyond bool
	timed  bool
	over   atomic.Bool // somebody ends it
	// Owned by the session's loop.
	untilMs int64
}

// WAITAOF numlocal numreplicas timeout. It waits for all that the session has written, or seen of others.
func cmdWaitaof(s *Session) error {
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
	lsn := max(s.conn.Marked(), s.loop.worker.LSN)
	if s.executing || replicas == 0 && (local == 0 || w.SyncedLSN() >= lsn) {
		s.replyAcks(lsn)
		return nil
	}
	s.beginSyncWait(lsn, untilMs, replicas > 0)
	return nil
}

// replyAcks replies whether the log is synced here up to lsn, and on how many replicas.
func (s *Session) replyAcks(lsn uint64) {
	w := s.srv.aof.writer.Load()
	s.c.Array(2)
	s.c.Int(int64(btoi(w != nil && w.SyncedLSN() >= lsn)))
	s.c.Int(0)
}

// beginSyncWait has the session wait until the log is synced up to lsn; for replicas, of which there are none, until
// its time is up.
func (s *Session) beginSyncWait(lsn uint64, untilMs int64, replicas bool) {
	a := &s.srv.aof
	wait := &syncWait{s: s, await: s.await(), lsn: lsn, beyond: replicas, timed: untilMs != 0, untilMs: untilMs}
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
	if w := a.writer.Load(); w != nil && aof.Policy(a.policy.Load()) == aof.No {
		w.Sync(lsn) // nobody else would
	}
	a.endWaits() // it may have come to that meanwhile
}

// endWaits ends the waits that the log is synced far enough for. Safe from any goroutine.
func (a *appendOnly) endWaits() {
	list := *a.waits.Load()
	if len(list) == 0 {
		return
	}
	w := a.writer.Load()
	for _, wait := range list {
		if !wait.beyond && (w == nil || w.SyncedLSN() >= wait.lsn) {
			wait.end(false)
		}
	}
}

// end ends the wait, unless somebody else does, and tells whether it was that.
func (wait *syncWait) end(withError bool) bool {
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
		if withError {
			return resp.ErrUnblocked
		}
		s.replyAcks(wait.lsn)
		return nil
	})
	return true
}

// Unblock implements blocked.
func (wait *syncWait) Unblock(withError bool) bool { return wait.end(withError) }

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
		wait.end(false)
	}
}

// endSyncWaits ends the waits of the loop's sessions whose time is up.
func (l *loop) endSyncWaits() {
	nowMs := l.srv.set.Clock.NowMs()
	for _, wait := range l.syncWaits {
		if wait.untilMs <= nowMs {
			wait.end(false)
		}
	}
}
