package server

import (
	"fmt"

	"fulmen/internal/config"
	"fulmen/internal/script"
	"fulmen/persist/snapshot"
	"fulmen/replica"
	"fulmen/shard"
)

// A full sync without a file: the snapshot is read from the socket into a shadow of the data, without a baton, and when
// all of it is there and good the shadow takes the place of the data in one moment, with all batons held. What may be
// seen meanwhile says repl-diskless-load: with swapdb the old data, which stays if the transfer fails; otherwise there
// is none, and clients are told LOADING.

// loadMode says how the snapshot that comes next is received.
type loadMode struct {
	direct bool // from the socket, else into a file
	flush  bool // the old data goes first
	serve  bool // the old data is served until then
}

// loadMode follows repl-diskless-load.
func (srv *Server) loadMode(v *config.Values) loadMode {
	switch v.DisklessLoad {
	case config.LoadSwapDB:
		return loadMode{direct: true, serve: true}
	case config.LoadFlushBefore:
		return loadMode{direct: true, flush: true}
	case config.LoadOnEmptyDB:
		return loadMode{direct: srv.isEmpty()}
	}
	return loadMode{}
}

// isEmpty tells whether there is no key.
func (srv *Server) isEmpty() bool {
	for _, s := range srv.set.Shards {
		for id := range srv.set.Databases() {
			if s.DB(id).PublishedCounts().Keys > 0 {
				return false
			}
		}
	}
	return true
}

// socketName is what errors call a snapshot that comes from a primary.
const socketName = "the primary's snapshot"

// incoming is a snapshot that is coming.
type incoming struct {
	parts []snapshot.Part
	// failed is told that there is an error, so that nobody need wait for what still comes; nil: nobody is.
	failed func()
}

// loadSocket replaces the data by a snapshot that is coming.
func (p *primaryLink) loadSocket(link *replica.Link, answer replica.Answer, m loadMode, in *incoming) error {
	srv := p.srv
	if !m.serve { // nothing ends an append-only file while clients are told LOADING
		if err := srv.aof.endForSync(p.ctx); err != nil {
			return err
		}
		defer srv.aof.endedForSync()
	}
	u, shadow := srv.newLoad(), srv.set.Shadow()
	if !p.beginSocketLoad(u, shadow, m) {
		return p.ctx.Err()
	}
	beating := p.keepAlive(link)
	defer beating()
	r, err := p.loadShadow(in, u, shadow, m)
	var libraries *script.Libraries
	if err == nil {
		libraries, err = srv.functions.join(nil, r.Functions, false)
	}
	if err == nil || p.up.fault == faultSwapsEarly {
		err = p.swap(shadow, libraries, r, answer, m)
	}
	p.endSocketLoad()
	if err != nil {
		shadow.Discard(p.up.ending)
		return err
	}
	srv.logLeftOut(r.Skipped, "the data of the primary")
	srv.log.Info("MASTER <-> REPLICA sync: Finished with success")
	return nil
}

// loadShadow loads into a shadow.
func (p *primaryLink) loadShadow(in *incoming, u *loadUnderWay, shadow *shard.Set, m loadMode) (
	snapshot.LoadResult, error,
) {
	srv := p.srv
	if m.flush {
		if err := p.flush(); err != nil {
			return snapshot.LoadResult{}, err
		}
	}
	srv.log.Info("MASTER <-> REPLICA sync: Loading DB in memory")
	z := shadow.Seize()
	defer z.Release(&shard.Worker{})
	defer srv.processors.whileLoading()()
	r, err := srv.loadResult(u, &snapshot.Source{Parts: in.parts}, z, snapshot.LoadOptions{
		KeepExpired: true, CheckMemory: true, Goroutines: len(in.parts), Failed: in.failed,
	})
	if err != nil {
		err = fmt.Errorf("Failed trying to load the MASTER synchronization DB from socket: %w", err)
	}
	return r, err
}

// flush empties the data, which is nobody's from now on.
func (p *primaryLink) flush() error {
	srv := p.srv
	srv.log.Info("MASTER <-> REPLICA sync: Flushing old data")
	return p.underBatons(func() {
		srv.saves.giveUpHeld()
		srv.flushHeld()
		p.lost()
	})
}

// lost notes that the data belongs to no history any more; all batons are held.
func (p *primaryLink) lost() {
	p.srv.replication.setHistory(replica.NewHistory())
	p.up.anonymous.Store(true)
	p.srv.replication.dropReplicas("everything is received anew")
}

// swap puts what was loaded in the place of the data.
func (p *primaryLink) swap(shadow *shard.Set, libraries *script.Libraries, r snapshot.LoadResult,
	answer replica.Answer, m loadMode,
) error {
	srv := p.srv
	if m.serve {
		if err := srv.aof.endForSync(p.ctx); err != nil {
			return err
		}
		defer srv.aof.endedForSync()
	}
	return p.underBatons(func() {
		srv.saves.giveUpHeld()
		srv.set.Replace(shadow)
		if !srv.functions.has(faultFunctionsStay) {
			srv.functions.replace(libraries)
		}
		p.replaced(r.Aux, answer)
		srv.log.Info("MASTER <-> REPLICA sync: Swapped active DB with loaded DB")
	})
}

// beginSocketLoad says that a load is under way, unless the link has been stopped.
func (p *primaryLink) beginSocketLoad(u *loadUnderWay, shadow *shard.Set, m loadMode) bool {
	srv := p.srv
	p.up.mu.Lock()
	defer p.up.mu.Unlock()
	if p.stopped.Load() {
		return false
	}
	srv.loading.shadow.Store(shadow)
	if m.serve {
		srv.loading.beside.Store(u)
		srv.setRestriction(whileLoadingBeside, true)
		return true
	}
	srv.loading.now.Store(u)
	srv.setRestriction(whileLoading|whileReceiving, true)
	return true
}

// endSocketLoad says that no load is under way any more, unless the link has been stopped, and it was said then.
func (p *primaryLink) endSocketLoad() {
	p.up.mu.Lock()
	defer p.up.mu.Unlock()
	if !p.stopped.Load() {
		p.srv.noSocketLoad()
	}
}

// noSocketLoad ends what beginSocketLoad has begun, if it has.
func (srv *Server) noSocketLoad() {
	l := &srv.loading
	if l.shadow.Swap(nil) == nil {
		return
	}
	srv.setRestriction(whileLoadingBeside|whileLoading|whileReceiving, false)
	l.beside.Store(nil)
	l.now.Store(nil)
}

// underWay is the load under way, nil if none is; beside: the old data is served meanwhile.
func (l *loading) underWay() (u *loadUnderWay, beside bool) {
	if u = l.beside.Load(); u != nil {
		return u, true
	}
	return l.now.Load(), false
}

// shadowBytes is the memory that data takes which is not in use yet.
func (srv *Server) shadowBytes() (n int64) {
	if shadow := srv.loading.shadow.Load(); shadow != nil {
		for _, s := range shadow.Shards {
			n += s.PublishedBytes()
		}
	}
	return n
}

// cameIn notes that some of a transfer has come.
func (p *primaryLink) cameIn(n int) {
	p.totalRead.Add(int64(n))
	p.lastMs.Store(p.srv.set.Clock.NowMs())
	p.up.netInput.Add(int64(n))
}
