package server

import (
	"fmt"

	"fulmen/internal/resp"
	"fulmen/persist/snapshot"
)

// DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]: the data is saved, removed and loaded again under all batons. The session's
// loop does it; the others tell their clients LOADING.
func debugReload(s *Session, args [][]byte) error {
	flush, save := true, true
	var o snapshot.LoadOptions
	a := s.c.ArgsFrom(2)
	for a.More() {
		switch {
		case a.Option("merge"):
			o.Merge = true
		case a.Option("noflush"):
			flush = false
		case a.Option("nosave"):
			save = false
		default:
			return resp.Errorf("ERR", "DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
		}
	}
	srv := s.srv
	if save && srv.saveHeld() != nil {
		return errSaveFailed
	}
	if flush {
		for id := range srv.set.Databases() {
			for _, sh := range srv.set.Shards {
				sh.DB(id).Flush()
			}
		}
	}
	if err := s.reload(o); err != nil {
		srv.log.Warn("Error trying to load the RDB dump: " + err.Error())
		return resp.Errorf("ERR", "Error trying to load the RDB dump, check server logs")
	}
	srv.log.Warn("DB reloaded by DEBUG RELOAD")
	s.c.OK()
	return nil
}

// reload loads the snapshot; the session's transaction holds all batons.
func (s *Session) reload(o snapshot.LoadOptions) error {
	srv := s.srv
	v := srv.cfg.Values()
	src, err := snapshot.Find(srv.files, v.Dir, v.DBFilename)
	if err != nil {
		return snapshot.WithAdvice(err)
	}
	if len(src.Parts) == 0 {
		return fmt.Errorf("there is no %s in %s", v.DBFilename, v.Dir)
	}
	srv.startLoading()
	defer srv.endLoading()
	w := &s.loop.worker
	z := s.park.tx.Lend(w)
	defer z.Release(w)
	return srv.load(src, z, o)
}

// saveHeld saves while all batons are held: a save that is under way is given up for it.
func (srv *Server) saveHeld() error {
	v := &srv.saves
	v.giveUpHeld()
	result := make(chan error, 1)
	run := &saveRun{foreground: true, flush: true, held: true}
	run.note(func(err error) { result <- err })
	if err := v.begin(run); err != nil {
		return err
	}
	run.save.RunHeld()
	return <-result
}
