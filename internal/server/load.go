package server

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"fulmen/internal/config"
	"fulmen/persist/aof"
	"fulmen/persist/snapshot"
	"fulmen/persist/vfs"
	"fulmen/shard"
)

// Loading. Listeners are opened first, so that whoever asks is told LOADING and how far it is, unless there is so
// little to load that a reply may wait for it. The batons are seized before the loops run and given back when
// everything is there; commands that may run meanwhile and need one wait.

// loading is what the server knows of the load under way and of the last one.
type loading struct {
	now     atomic.Pointer[loadUnderWay] // nil: none, or one beside
	beside  atomic.Pointer[loadUnderWay] // of data that is going to replace the one in use, which is served; nil: none
	shadow  atomic.Pointer[shard.Set]    // what is being loaded from a primary; nil: nothing is, or not into a shadow
	keys    atomic.Int64                 // of the last one
	expired atomic.Int64
	delay   *snapshot.KeyDelay // immutable
	done    chan struct{}      // closed when the load at the start is over, or found nothing to do
	locked  io.Closer          // of the directory; held with listenMu
}

// loadUnderWay is a load: immutable but for its progress.
type loadUnderWay struct {
	startMs  int64
	progress snapshot.LoadProgress
	log      aof.LoadProgress // of what follows in an append-only file
}

func (srv *Server) isLoading() bool { return srv.loading.now.Load() != nil }

// lockDir takes the data directory for this process, so that no other server writes to it.
func (srv *Server) lockDir(dir string) (io.Closer, error) {
	lock, err := srv.files.Lock(dir)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("the directory %s is in use by another Fulmen server: give each a directory of its own "+
			"with --dir", dir)
	case err != nil:
		srv.log.Warn("The directory can't be locked; see to it that no other server uses it: " + err.Error())
		return nil, nil
	}
	return lock, nil
}

// moveDir follows CONFIG SET dir: the new directory is locked before the old one is let go, which a save that is under
// way still needs.
func (srv *Server) moveDir(dir string) error {
	lock, err := srv.lockDir(dir)
	if err != nil {
		return err
	}
	if err := chdir(dir); err != nil {
		return errors.Join(err, closeLock(lock))
	}
	srv.listenMu.Lock()
	old := srv.loading.locked
	srv.loading.locked = lock
	srv.listenMu.Unlock()
	srv.saves.whenIdle(func() {
		if err := closeLock(old); err != nil {
			srv.log.Warn("unlocking the old directory: " + err.Error())
		}
	})
	return nil
}

func closeLock(lock io.Closer) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// findSnapshot looks for what is to be loaded at the start, and removes what broken-off saves have left.
func (srv *Server) findSnapshot() (*snapshot.Source, error) {
	v := srv.cfg.Values()
	src, err := snapshot.Find(srv.files, v.Dir, v.DBFilename)
	if err != nil {
		return nil, snapshot.WithAdvice(err)
	}
	for _, text := range src.Warnings {
		srv.log.Warn(text)
	}
	snapshot.CleanUp(srv.files, src, srv.log)
	return src, nil
}

// loadJob does what has to be done before anybody is served; all batons are seized.
type loadJob func(z *shard.Seizure) error

// beginLoad seizes all batons if there is something to load, and returns what has to be done with them. What is done in
// no time it does at once. The loops don't run yet.
func (srv *Server) beginLoad() (loadJob, *shard.Seizure, error) {
	v := srv.cfg.Values()
	logged, err := srv.aof.find(v)
	if err != nil {
		return nil, nil, fatalLoad(err)
	}
	foreign, err := srv.aof.findForeign(v)
	if err != nil {
		return nil, nil, fatalLoad(err)
	}
	job := srv.aof.load
	if logged || foreign != nil {
		snapshot.CleanUpTemporary(srv.files, v.Dir, v.DBFilename, srv.log)
	}
	switch {
	case foreign != nil:
		job = func(z *shard.Seizure) error { return srv.aof.takeOver(foreign, z) }
	case !logged:
		src, err := srv.findSnapshot()
		if err != nil {
			return nil, nil, fatalLoad(err)
		}
		job = func(z *shard.Seizure) error { return srv.loadSnapshot(src, z) }
		if len(src.Parts) == 0 {
			close(srv.loading.done)
			return nil, nil, srv.beginEmpty(v)
		}
	}
	srv.startLoading()
	return job, srv.set.Seize(), nil
}

func fatalLoad(err error) error { return fmt.Errorf("Fatal error loading the DB: %w", err) }

// beginEmpty begins with nothing.
func (srv *Server) beginEmpty(v *config.Values) error {
	if !v.AppendOnly {
		return nil
	}
	z := srv.set.Seize()
	err := srv.aof.beginAfterSnapshot(z)
	z.Release(&shard.Worker{})
	return err
}

// loadSnapshot loads a snapshot, and has the append-only file, if there is to be one, begin with it.
func (srv *Server) loadSnapshot(src *snapshot.Source, z *shard.Seizure) error {
	r, err := srv.loadResult(srv.loading.now.Load(), src, z, snapshot.LoadOptions{
		KeepExpired: srv.cfg.Values().PrimaryHost != "", KeepPlaced: true,
	})
	if err == nil {
		err = srv.functions.add(r.Functions, false)
	}
	if err == nil {
		err = srv.keepLeftOut(r.Skipped, src.Files())
	}
	if err == nil && len(r.Skipped) == 0 { // else it isn't what replicas have
		srv.replication.restoreFrom(r.Aux)
	}
	if err == nil && srv.cfg.Values().AppendOnly {
		err = srv.aof.beginAfterSnapshot(z)
	}
	return err
}

func (srv *Server) newLoad() *loadUnderWay { return &loadUnderWay{startMs: srv.set.Clock.NowMs()} }

func (srv *Server) startLoading() {
	srv.loading.now.Store(srv.newLoad())
	srv.setRestriction(whileLoading, true)
}

func (srv *Server) endLoading() {
	srv.setRestriction(whileLoading, false)
	srv.loading.now.Store(nil)
}

// awaitSmallLoad waits for the load at the start, but not for one of much data. Nobody is accepted before, so who
// connects meanwhile finds no error but waits for a reply, as in Redis, which looks at its clients each time that it
// has loaded so many bytes.
func (srv *Server) awaitSmallLoad() {
	const patience, poll = time.Second, 2 * time.Millisecond
	for range patience / poll {
		load := srv.loading.now.Load()
		if load == nil || load.progress.ReadBytes.Load()+load.log.ReadBytes.Load() >= srv.cfg.Values().LoadQuietBytes {
			return
		}
		select {
		case <-srv.loading.done:
			return
		case <-time.After(poll):
		}
	}
}

// loadAtStart is the goroutine that loads before anybody is served.
func (srv *Server) loadAtStart(job loadJob, z *shard.Seizure) {
	defer close(srv.loading.done)
	loaded := srv.processors.whileLoading()
	err := job(z)
	loaded()
	if err == nil {
		srv.replication.goOn()
		srv.followAtStart()
		srv.endLoading() // before others have batons: DEBUG LOADAOF, which has waited for them, begins another load
	}
	z.Release(&shard.Worker{})
	if err != nil {
		stop := "."
		if strings.HasSuffix(err.Error(), stop) {
			stop = ""
		}
		srv.loadFailed <- fmt.Errorf("%w%s Exiting.", fatalLoad(err), stop)
		return
	}
	srv.aof.warnLeftRings()
	srv.logReady()
}

// load reads a snapshot into the seized shards and tells the log about it.
func (srv *Server) load(src *snapshot.Source, z *shard.Seizure, o snapshot.LoadOptions) error {
	r, err := srv.loadResult(srv.loading.now.Load(), src, z, o)
	if err == nil {
		err = srv.functions.add(r.Functions, o.Merge)
	}
	if err != nil {
		return err
	}
	return srv.keepLeftOut(r.Skipped, src.Files())
}

// loadResult is load for who wants to know what was in the snapshot; u is told how far it is. o.Goroutines is the least
// there are to be.
func (srv *Server) loadResult(u *loadUnderWay, src *snapshot.Source, z *shard.Seizure, o snapshot.LoadOptions) (
	snapshot.LoadResult, error,
) {
	limits := srv.limits.Load().Build()
	o.Limits, o.KeyDelay, o.Goroutines = &limits, srv.loading.delay, max(o.Goroutines, srv.processors.cores)
	ended := make(chan struct{})
	go srv.logProgress(u, ended)
	began := srv.set.Clock.NowNs()
	r, err := snapshot.Load(srv.files, src, z, o, &u.progress)
	close(ended)
	srv.loading.keys.Store(r.Keys)
	srv.loading.expired.Store(r.Expired)
	if err != nil {
		return r, err
	}
	srv.logLoaded(&r, srv.set.Clock.NowNs()-began)
	return r, nil
}

func (srv *Server) logLoaded(r *snapshot.LoadResult, ns int64) {
	if version := r.Aux["redis-ver"]; version != "" {
		srv.log.Info("Loading RDB produced by version " + version)
	}
	if created, err := strconv.ParseInt(r.Aux["ctime"], 10, 64); err == nil {
		srv.log.Info(fmt.Sprintf("RDB age %d seconds", max(srv.set.Clock.NowMs()/1000-created, 0)))
	}
	srv.log.Info(fmt.Sprintf("Done loading RDB, keys loaded: %d, keys expired: %d.", r.Keys, r.Expired))
	srv.log.Info(fmt.Sprintf("DB loaded from disk: %.3f seconds", float64(ns)/1e9))
}

// progressEvery is how often a long load is mentioned in the log.
const progressEvery = 5 * time.Second

// logProgress tells the log how far a load is until it has ended.
func (srv *Server) logProgress(u *loadUnderWay, ended <-chan struct{}) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		select {
		case <-ended:
			return
		case <-t.C:
		}
		srv.log.Info(fmt.Sprintf("Loading: %.1f %%, %d keys", u.percent(), u.progress.Keys.Load()))
	}
}

// percent is how much has been read. Where that isn't known it is guessed, as in Redis: of as much as the server has
// in memory that it comes from.
func (u *loadUnderWay) percent() float64 {
	total := u.totalBytes()
	if total == 0 {
		total = u.progress.SavedMemory.Load()
	}
	return 100 * float64(u.readBytes()) / float64(max(total, 1))
}

// totalBytes is how much there is to read, 0 if that isn't known in advance.
func (u *loadUnderWay) totalBytes() int64 {
	return u.progress.TotalBytes.Load() + u.log.TotalBytes.Load()
}

func (u *loadUnderWay) readBytes() int64 { return u.progress.ReadBytes.Load() + u.log.ReadBytes.Load() }

// etaSeconds estimates how long it is going to take from now on.
func (u *loadUnderWay) etaSeconds(elapsedSeconds int64) int64 {
	if u.log.TotalBytes.Load() > 0 {
		return u.log.ETASeconds(elapsedSeconds)
	}
	return u.progress.ETASeconds(elapsedSeconds)
}
