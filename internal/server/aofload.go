package server

import (
	"errors"
	"fmt"

	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/shard"
)

// load recovers and loads the append-only file and begins its next life.
func (a *appendOnly) load(z *shard.Seizure) error {
	srv := a.srv
	last, err := aof.ReadManifest(srv.files, a.dir, a.name)
	var ring *log.RingContent
	if err == nil { // else Recover says what to do
		ring = a.readRing(last)
	}
	found, err := aof.Recover(&aof.RecoverOptions{
		FS: srv.files, Dir: a.dir, Name: a.name, Ring: ring, Site: a.site(),
		Truncated: srv.cfg.Values().AOFLoadTruncated, Logger: srv.log,
	})
	if err != nil {
		return err
	}
	a.logRecovered(found, last.RingName() != "" && ring == nil)
	m := found.Manifest
	apply := newApplier(srv, z, m.Shards)
	if err := a.loadFiles(m, z, apply); err != nil {
		return err
	}
	based := m.Shards == len(srv.set.Shards) && m.Databases == srv.set.Databases()
	next := found.Begin()
	next.Databases = srv.set.Databases()
	srv.replication.restore(apply.placeAt(m, found.EndLSN), found.HoleLSN).stamp(next)
	if err := a.begin(next, based); err != nil {
		return err
	}
	a.dropRing(last, next.Last().RingDir)
	return nil
}

// loadFiles loads what a manifest names, the last life of which has ended.
func (a *appendOnly) loadFiles(m *aof.Manifest, z *shard.Seizure, apply *applier) error {
	srv := a.srv
	began := srv.set.Clock.NowNs()
	if err := a.loadBase(m, z); err != nil {
		return err
	}
	u := srv.loading.now.Load()
	o := aof.LoadOptions{
		FS: srv.files, Dir: a.dir, Name: a.name, Manifest: m, Applier: apply,
		Index: a.index,
	}
	err := aof.LoadBase(&o, &u.log)
	if err == nil {
		err = aof.Load(&o, &u.log)
	}
	if err != nil {
		return err
	}
	srv.log.Info(fmt.Sprintf("DB loaded from append only file: %.3f seconds, %d commands",
		float64(srv.set.Clock.NowNs()-began)/1e9, u.log.Commands.Load()))
	return nil
}

// loadBase loads the BASE files that are RDB files. Keys whose time has come are loaded as well: what follows may be
// about them, and says when they went.
func (a *appendOnly) loadBase(m *aof.Manifest, z *shard.Seizure) error {
	src := &snapshot.Source{Dir: a.dir}
	for _, f := range m.Live(aof.Base) {
		if f.Format != aof.FormatRDB {
			continue // aof.LoadBase
		}
		s := snapshot.Segment{SizeBytes: f.SizeBytes, CRC64: f.CRC64, Keys: f.Keys}
		src.Parts = append(src.Parts, snapshot.SegmentPart(f.Path(a.dir, a.name), s))
	}
	if len(src.Parts) == 0 {
		return nil
	}
	err := a.srv.load(src, z, snapshot.LoadOptions{KeepExpired: true})
	var damaged *rdb.CorruptError
	if errors.As(err, &damaged) {
		err = fmt.Errorf("%w. No start does without this BASE of the append-only file: put it back from a copy", err)
	}
	return err
}

// logRecovered tells what the last stop has left; ringLost: there was a ring, and nothing of it could be used.
func (a *appendOnly) logRecovered(r *aof.Recovered, ringLost bool) {
	log := a.srv.log
	switch {
	case !r.Unclean:
		return
	case r.Killed && r.Short:
		log.Warn(fmt.Sprintf("The server was not stopped properly. %d bytes came from the ring in memory, which had "+
			"no room for all; what is cut off was in no file as a whole, so nobody can have been answered for it",
			r.RingBytes))
	case r.Killed && ringLost:
		log.Warn("The server was not stopped properly. All that was written to the append-only file is there up to " +
			"the last whole change; what was in the ring in memory alone is lost")
	case r.Killed:
		log.Warn(fmt.Sprintf("The server was not stopped properly. Nothing that was acknowledged is lost; %d bytes "+
			"came from the ring in memory", r.RingBytes))
	default:
		log.Warn("The server was not stopped properly. What the append-only file has is complete up to its last " +
			"whole change; what is lost after a power cut is what appendfsync allows for")
	}
	for _, cut := range r.Cuts {
		log.Warn(fmt.Sprintf("%s: %d bytes behind offset %d were cut off: %s", cut.File, cut.Bytes, cut.Offset,
			cut.Reason))
	}
}
