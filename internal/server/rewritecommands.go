package server

import (
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func rewriteRows() []*command.Row {
	return []*command.Row{{Info: command.Info{
		Name: "bgrewriteaof", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading,
		Group: "server", Since: "1.0.0",
		Summary: "Asynchronously rewrite the append-only file", Complexity: "O(1)",
	}, RunSession: onSession(cmdBgrewriteaof)}}
}

// BGREWRITEAOF: the reply waits until the new files are made and the cut is. Where that can't be now it is done later.
func cmdBgrewriteaof(s *Session) error {
	v := &s.srv.aof.rewrites
	if v.underWay() {
		return resp.ErrRewriting
	}
	if s.executing || !v.ask(s) {
		v.schedule(true)
		s.c.Simple("Background append only file rewriting scheduled")
	}
	return nil
}

// ask begins a rewrite whose asker is told how it has begun; false: something else is under way.
func (v *rewrites) ask(s *Session) bool {
	a := s.await()
	if v.start(&rewriteRun{logs: v.srv.cfg.Values().AppendOnly}, func(err error) {
		a.end(func(s *Session) error {
			if err != nil {
				return resp.ErrCantRewrite
			}
			s.c.Simple("Background append only file rewriting started")
			return nil
		})
	}) {
		return true
	}
	s.awaits = nil
	return false
}
