package server

import (
	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// Restrictions of what clients may do now: bits of Server.restricted. They change between batches of commands; loops
// look at them when they begin one.
const (
	whileLoading     uint32 = 1 << iota // the data is being loaded: LOADING
	whileDiskFailing                    // the last save in the background has failed: MISCONF
	whileLogFailing                     // the append-only file can't be written or synced: MISCONF
	whileFewReplicas                    // fewer than min-replicas-to-write are there: NOREPLICAS
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

// barredBy are the flags of commands of which some may be refused.
func barredBy(restricted uint32) (f command.Flags) {
	if restricted&(whileDiskFailing|whileLogFailing|whileFewReplicas) != 0 {
		f = command.Write
	}
	if restricted&whileLoading != 0 {
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

// refusedForLoading tells whether the command has to be refused while the data is being loaded.
func (s *Session) refusedForLoading(row *command.Row) bool {
	if s.srv.restricted.Load()&whileLoading == 0 {
		return false
	}
	return row.Flags&command.Loading == 0 || row.RunsQueue && s.multi != nil && s.multi.asleep
}
