package server

import (
	"bytes"
	"fmt"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/snapshot"
	"fulmen/shard"
	"fulmen/shard/command"
)

// loadForeign loads an append-only file of Redis's into the seized shards and tells the log about it; truncated is
// aof-load-truncated. It changes no file (keepLeftOut may give them second names). What was loaded becomes an
// append-only file of ours as the content of a snapshot does: a BASE of it is saved, and the manifest is committed.
// Before that, Foreign.Keep saves Redis's.
func (srv *Server) loadForeign(f *aof.Foreign, truncated bool, z *shard.Seizure, p *aof.LoadProgress) error {
	began := srv.set.Clock.NowNs()
	limits := srv.limits.Load().Build()
	apply := newApplier(srv, z, 1)
	apply.foreign = true
	left := leftOut{}
	loaded, err := aof.LoadForeign(f, &aof.ForeignOptions{
		FS: srv.files, Databases: srv.set.Databases(), Truncated: truncated, Applier: apply, Logger: srv.log,
		Known: func(name []byte) bool { return apply.find([][]byte{name}) != nil },
		LoadRDB: func(file string) (int64, error) {
			srv.log.Info("Reading RDB base file on AOF loading...")
			src := &snapshot.Source{Parts: []snapshot.Part{snapshot.EmbeddedPart(file)}}
			// Keys whose time has come stay: the commands that follow say when they have gone.
			o := snapshot.LoadOptions{Limits: &limits, KeepExpired: true}
			r, err := snapshot.Load(srv.files, src, z, o, &snapshot.LoadProgress{})
			left.add(r.Skipped)
			if err == nil {
				err = srv.functions.add(r.Functions, false)
			}
			return r.EndOffset, err
		},
	}, p)
	if err != nil {
		return err
	}
	if loaded.Failed > 0 {
		srv.log.Warn(fmt.Sprintf("%d commands of the append only file have replied with an error, and had no effect; "+
			"of scripts that have, what came before the error had", loaded.Failed))
	}
	srv.log.Info(fmt.Sprintf("DB loaded from append only file: %.3f seconds, %d commands",
		float64(srv.set.Clock.NowNs()-began)/1e9, loaded.Commands))
	return srv.keepLeftOut(left, f.Paths())
}

// findForeign looks for an append-only file of Redis's; nil: there is none, or one of ours. The directory is locked.
func (a *appendOnly) findForeign(v *config.Values) (*aof.Foreign, error) {
	if !v.AppendOnly {
		return nil, nil
	}
	return aof.FindForeign(a.srv.files, v.Dir, v.AppendDirname, v.AppendFilename)
}

// takeOver loads an append-only file of Redis's and begins one of ours with what it has brought.
func (a *appendOnly) takeOver(f *aof.Foreign, z *shard.Seizure) error {
	srv := a.srv
	err := srv.loadForeign(f, srv.cfg.Values().AOFLoadTruncated, z, &srv.loading.now.Load().log)
	if err != nil {
		return err
	}
	kept, err := f.Keep(srv.files)
	if err != nil {
		return err
	}
	if err := a.beginAfterSnapshot(z); err != nil {
		return err
	}
	text := "The data of Redis's append-only file is in an append-only file of Fulmen's now. Redis's files stay as " +
		"they were and are not needed any more"
	if kept != "" {
		text += "; " + kept + " is their manifest"
	}
	srv.log.Info(text)
	return nil
}

// foreignNowMs is what time it is for a record of Redis's: nowMs for those that say a time relative to it, which
// versions before 7 have let through in places; else never, because keys go when the file says so.
func foreignNowMs(row *command.Row, nowMs int64) int64 {
	switch row.Name {
	case "expire", "pexpire", "setex", "psetex", "set", "getex", "restore", "hexpire", "hpexpire", "hgetex", "hsetex":
		return nowMs
	}
	return 0
}

// foreignReply gives the error of a reply.
func foreignReply(reply []byte) *resp.Error {
	code, text, _ := bytes.Cut(bytes.TrimSuffix(reply[1:], []byte("\r\n")), []byte(" "))
	return &resp.Error{Code: string(code), Msg: string(text)}
}
