package server

import (
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func saveRows() []*command.Row {
	flags := command.Admin | command.NoScript | command.NoAsyncLoading
	return []*command.Row{
		{Info: command.Info{
			Name: "bgsave", Arity: -1, Flags: flags, Group: "server", Since: "1.0.0", Route: command.RouteAll,
			Summary: "Asynchronously save the dataset to disk", Complexity: "O(1)",
			History: []command.Change{{Since: "3.2.2", What: "Added the `SCHEDULE` option."}},
			Args:    "SCHEDULE?@3.2.2",
		}, RunSession: onSession(cmdBgsave)},
		{Info: command.Info{
			Name: "save", Arity: 1, Flags: flags | command.NoMulti, Group: "server", Since: "1.0.0",
			Route: command.RouteAll, Summary: "Synchronously save the dataset to disk",
			Complexity: "O(N) where N is the total number of keys in all databases",
		}, RunSession: onSession(cmdSave)},
		{Info: command.Info{
			Name: "lastsave", Arity: 1, Flags: command.Loading | command.Stale | command.Fast,
			Categories: command.CatAdmin | command.CatDangerous, Group: "server", Since: "1.0.0",
			Summary:    "Get the UNIX time stamp of the last successful save to disk",
			Complexity: "O(1)", Tips: []string{"nondeterministic_output"},
		}, RunSession: onSession(cmdLastsave)},
	}
}

// errSaveFailed is all that Redis says of a save that failed; the log says more.
var errSaveFailed = &resp.Error{Code: "ERR"}

// BGSAVE [SCHEDULE]: the cut is made here, at the command's place among all others, but soon afterwards if that is in a
// transaction. With SCHEDULE it waits for the end of a rewrite of the append-only file.
func cmdBgsave(s *Session) error {
	a := s.c.ArgsFrom(1)
	schedule := a.More()
	if schedule && (!a.Option("schedule") || a.More()) {
		return resp.ErrSyntax
	}
	v := &s.srv.saves
	rewriting := s.srv.aof.rewrites.busy()
	switch {
	case v.underWay():
		return resp.ErrSaving
	case rewriting && !schedule && !s.executing:
		return resp.ErrChildActive
	case rewriting, s.executing:
		v.schedule()
		s.c.Simple("Background saving scheduled")
		return nil
	}
	if err := v.begin(&saveRun{}); err != nil {
		if err == resp.ErrSaving {
			return resp.ErrSaving
		}
		return errSaveFailed
	}
	s.c.Simple("Background saving started")
	return nil
}

// SAVE: the cut is made here; the caller waits until the data is saved, and nobody else.
func cmdSave(s *Session) error {
	a := s.await()
	err := s.srv.saves.ask(func(err error) {
		a.end(func(s *Session) error {
			if err != nil {
				return errSaveFailed
			}
			s.c.OK()
			return nil
		})
	})
	switch {
	case err == nil:
		return nil
	case err != resp.ErrSaving:
		err = errSaveFailed
	}
	s.awaits = nil
	return err
}

// LASTSAVE
func cmdLastsave(s *Session) error {
	s.c.Int(s.srv.saves.lastSaveMs() / 1000)
	return nil
}

// noteEmptied saves that nothing is left if the command that has just run was FLUSHALL, and has it wait for that unless
// it is part of a transaction. All batons are held.
func (s *Session) noteEmptied() {
	if !s.c.EmptiedAll {
		return
	}
	s.c.EmptiedAll = false
	if s.loads { // what is loaded is saved when all of it is there
		return
	}
	if s.executing {
		s.srv.saves.emptied(nil)
		return
	}
	a := s.await()
	if !s.srv.saves.emptied(func(error) { a.end(nil) }) {
		s.awaits = nil
	}
}
