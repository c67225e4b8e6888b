package server

import (
	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// Restrictions of what clients may do now: bits of Server.restricted. They change between batches of commands; loops
// look at them when they begin one.
const (
	whileLoading       uint32 = 1 << iota // the data is being loaded: LOADING
	whileDiskFailing                      // the last save in the background has failed: MISCONF
	whileLogFailing                       // the append-only file can't be written or synced: MISCONF
	whileFewReplicas                      // fewer than min-replicas-to-write are there: NOREPLICAS
	whileFollowing                        // only the primary writes: READONLY
	whileStale                            // the data may be old, and must not be looked at: MASTERDOWN
	whileLoadingBeside                    // data is being loaded that is going to replace the one in use
	whileReceiving                        // with whileLoading: it comes from a primary, and REPLICAOF ends that

	whileBusy // a script takes very long: BUSY

	// roleEpoch is added whenever the server's role changes, so that who has looked before sees that something has.
	roleEpoch = 1 << 9
)

// setFailed notes whether the last save in the background has failed, and works out whether commands that write are
// refused for it; with the lock of saves.
func (v *saves) setFailed(failed bool) {
	v.failed = failed
	v.restrict(v.srv.cfg.Values())
}

// restrict is the second part of setFailed, with parameters that may not be current yet.
func (v *saves) restrict(values *config.Values) {
	refuse := v.failed && values.StopWritesOnSaveError && len(values.SavePoints) > 0
	v.srv.setRestriction(whileDiskFailing, refuse)
}

func (srv *Server) setRestriction(bit uint32, on bool) {
	if on {
		srv.restricted.Or(bit)
	} else {
		srv.restricted.And(^bit)
	}
}

// barredBy are the flags of commands that don't take the short way: some of them may be refused.
func barredBy(restricted uint32) (f command.Flags) {
	if restricted&(whileDiskFailing|whileLogFailing|whileFewReplicas|whileFollowing) != 0 {
		f = command.Write
	}
	if restricted&whileLogFailing != 0 {
		f |= command.ReadOnly // they are not refused, but runHeld looks at what they tell of
	}
	if restricted&whileLoadingBeside != 0 {
		f |= command.NoAsyncLoading
	}
	if restricted&(whileLoading|whileStale|whileBusy) != 0 {
		f = ^command.Flags(0)
	}
	return f
}

// refusedForDisk says why a command that would write, or is to tell how the server is, is refused while nothing can be
// saved or logged; nil: it is not.
func (s *Session) refusedForDisk(row *command.Row) *resp.Error {
	restricted := s.srv.restricted.Load()
	writes := row.Flags&command.Write != 0 || row.Canary ||
		row.RunsQueue && s.multi != nil && s.multi.flags&command.Write != 0
	switch {
	case !writes:
		return nil
	case restricted&whileDiskFailing != 0:
		return resp.ErrMisconf
	case restricted&whileLogFailing != 0:
		return s.srv.aof.refusal.Load() // nil: it works again
	}
	return nil
}

// refusedForReplicas tells whether the command would write while too few replicas would get it.
func (s *Session) refusedForReplicas(row *command.Row) bool {
	return s.srv.restricted.Load()&whileFewReplicas != 0 && (row.Flags&command.Write != 0 ||
		row.RunsQueue && s.multi != nil && s.multi.flags&command.Write != 0)
}

// refusedForRole says why a command is refused on a replica; nil: it is not.
func (s *Session) refusedForRole(row *command.Row) *resp.Error {
	restricted := s.srv.restricted.Load()
	if restricted&(whileFollowing|whileStale) == 0 || s.primary != nil {
		return nil
	}
	flags, fresh := row.Flags, row.Flags&command.Stale == 0
	if row.RunsQueue && s.multi != nil {
		flags |= s.multi.flags
		fresh = fresh || s.multi.fresh
	}
	switch {
	case restricted&whileFollowing != 0 && flags&command.Write != 0:
		return resp.ErrReadOnly
	case restricted&whileStale != 0 && fresh:
		return resp.ErrMasterDown
	}
	return nil
}

// barredByRole tells whether the server's role has changed so that a command can't run any more whose batons are held
// now, and replies then. What a primary has sent that is no longer followed is dropped.
func (s *Session) barredByRole(row *command.Row) bool {
	if f := s.primary; f != nil {
		if f.dead.Load() {
			s.killed = true
		}
		return f.dead.Load()
	}
	e := s.refusedForRole(row)
	if e != nil {
		s.refuse(row, e)
	}
	return e != nil
}

// refusedForLoading tells whether the command has to be refused while the data is being loaded.
func (s *Session) refusedForLoading(row *command.Row) bool {
	restricted := s.srv.restricted.Load()
	queue := row.RunsQueue && s.multi != nil
	switch {
	case restricted&(whileLoading|whileLoadingBeside) == 0:
		return false
	case row.EndsSync && restricted&(whileReceiving|whileLoadingBeside) != 0:
		return false
	case restricted&whileLoading == 0:
		return row.Flags&command.NoAsyncLoading != 0 || queue && s.multi.flags&command.NoAsyncLoading != 0
	}
	return row.Flags&command.Loading == 0 || queue && s.multi.asleep
}
