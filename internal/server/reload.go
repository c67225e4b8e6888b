package server

import (
	"errors"
	"fmt"

	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/snapshot"
	"fulmen/shard"
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
		srv.flushHeld()
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
	o.KeepExpired = srv.set.Log.Active() || srv.following() // whoever reads the log is told when they go
	return s.loadHeld(func(z *shard.Seizure) error { return srv.load(src, z, o) })
}

// loadHeld has something loaded with the batons of the session's transaction, which holds all.
func (s *Session) loadHeld(load func(z *shard.Seizure) error) error {
	s.srv.startLoading()
	defer s.srv.endLoading()
	w := &s.loop.worker
	z := s.park.tx.Lend(w)
	defer z.Release(w)
	return load(z)
}

// flushHeld removes all data, functions too, without a word to the log; all batons are held.
func (srv *Server) flushHeld() {
	srv.functions.replace(nil)
	for id := range srv.set.Databases() {
		for _, sh := range srv.set.Shards {
			sh.DB(id).Flush()
		}
	}
	srv.set.AllChanged()
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

// DEBUG LOADAOF: the data is removed and loaded from the append-only file, under all batons as in DEBUG RELOAD. In a
// transaction it is refused: what that has changed so far is in no file yet.
func debugLoadAOF(s *Session, _ [][]byte) error {
	if s.executing {
		return resp.Errorf("ERR", "DEBUG LOADAOF is not allowed in transactions")
	}
	srv := s.srv
	srv.saves.giveUpHeld()
	m, err := srv.aof.written()
	if err == nil {
		srv.flushHeld()
		srv.set.Log.Mute()
		err = s.loadHeld(func(z *shard.Seizure) error { return srv.aof.loadFiles(m, z, newApplier(srv, z, m.Shards)) })
		srv.set.Log.Unmute()
	}
	if err != nil {
		srv.log.Warn("Error trying to load the AOF files: " + err.Error())
		return resp.Errorf("ERR", "Error trying to load the AOF files, check server logs")
	}
	srv.log.Warn("Append Only File loaded by DEBUG LOADAOF")
	s.c.OK()
	return nil
}

// written has everything written that was logged, and returns the manifest of that as if this life ended here. While
// there is no append-only file it is that of the last one. All batons are held, and no rewrite is under way.
func (a *appendOnly) written() (*aof.Manifest, error) {
	w := a.writer.Load()
	if w == nil {
		m, err := a.readOld()
		if err == nil && m == nil {
			err = errors.New("there is none")
		}
		return m, err
	}
	lsn := a.srv.set.Log.LSN()
	if err := a.rewrites.hold(func(run *rewriteRun) error {
		w.Sync(lsn)
		if !a.rewrites.awaitWriter(run, w, func() bool { return w.WrittenLSN() >= lsn }) {
			return errors.Join(errGivenUp, w.Err())
		}
		return nil
	}); err != nil {
		return nil, err
	}
	m := a.rewriter.Load().Manifest().Clone()
	m.End(lsn)
	return m, nil
}
