package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/config"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/reactor"
	"fulmen/replica"
)

// replication is the server's part in replication: the history that its data belongs to, the stream that replicas are
// fed from, and the replicas that are connected (follower). Full syncs are in fullsync.go.
type replication struct {
	srv *Server
	tx  serverTx // of what needs all batons: cuts, and the begin of the backlog

	// Replaced as a whole.
	history   atomic.Pointer[replica.History] // under all batons, or before there are clients
	followers atomic.Pointer[[]*follower]     // with mu

	// shift is by how much positions of the stream are above those of the log, which has positions of its own if it was
	// kept for an append-only file while the server followed a primary. Changed with all batons held.
	shift atomic.Int64
	// past is what a primary has sent that this server followed before that, of which some is backlog; nil: there
	// is none. Changed with all batons held, and dropped by the sampler.
	past atomic.Pointer[replica.Relay]
	// since is where, as the log counts, it began to be the stream. Changed with all batons held.
	since atomic.Uint64

	// Written before anybody is served: what was loaded has a place in a history, and the database selected there.
	restored   bool
	restoredDB int

	// What INFO says.
	fullSyncs, partialSyncs, refusedPartials atomic.Int64

	// The sampler's.
	pingedMs, keptAliveMs int64

	pings, getAcks aside

	spools     *replica.Spools // of what slow replicas lack, while there is no append-only file; immutable
	acksWanted atomic.Bool     // as soon as no pause is on

	fault atomic.Uint32 // a replicationFault; set by tests

	hadTime atomic.Bool // replicas were waited for before the end, or are not to be

	kept atomic.Bool // there is a backlog; written with mu

	mu          sync.Mutex
	backlog     replica.Pin // keeps what a replica may ask for that comes back; nil: nobody has followed
	wantBacklog bool        // one is to begin
	aloneMs     int64       // since when nobody follows, 0: somebody does
	sync        *fullSync   // under way; nil: none
	claimed     bool        // one is to begin: nothing else may walk, and the batons are asked for
	closed      bool        // the server ends
	running     sync.WaitGroup
}

// replicationFault is a mistake that a test plants in order to show that it would be noticed.
type replicationFault = uint32

const (
	_                 replicationFault = iota
	faultFlowUnsummed                  // flows have no sum of their content
	faultStreamLate                    // a replica gets the stream from a place behind the cut
)

func (r *replication) init(srv *Server) {
	r.srv = srv
	r.tx.init(srv)
	r.followers.Store(&[]*follower{})
	r.spools = replica.NewSpools(srv.files, func() string {
		return filepath.Join(srv.cfg.Values().Dir, fmt.Sprintf("temp-spool-%d", os.Getpid()))
	}, r.spoolFailed)
	r.pings.init(srv, "PING")
	r.getAcks.init(srv, "REPLCONF", "GETACK", "*")
	r.pingedMs = srv.startMs
	r.setHistory(replica.NewHistory())
	r.countGood(srv.cfg.Values())
}

// setHistory changes what the data is called; all batons are held, or nobody is served.
func (r *replication) setHistory(h replica.History) { r.history.Store(&h) }

// stream is what replicas are sent: the log or, while the server follows a primary, what that one sends. Safe from any
// goroutine.
func (r *replication) stream() replica.Stream {
	if link := r.srv.upstream.link.Load(); link != nil {
		return relayStream{link}
	}
	return r.logStream()
}

func (r *replication) logStream() replica.LogStream {
	s := replica.LogStream{Log: r.srv.set.Log, Shift: r.shift.Load(), From: r.since.Load(), Past: r.past.Load()}
	a := &r.srv.aof
	if w := a.writer.Load(); w != nil {
		s.Archive = aofArchive{a.rewriter.Load(), w}
	} else {
		s.Archive = r.spools
	}
	return s
}

// aofArchive is the append-only file as a replica.Archive.
type aofArchive struct {
	files *aof.Rewriter
	w     *aof.Writer
}

// Open implements replica.Archive.
func (a aofArchive) Open(lsn uint64) (replica.ArchiveReader, error) {
	s, err := a.files.OpenStream(a.w, lsn)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Take implements replica.Archive: what is logged is written anyhow.
func (a aofArchive) Take(*log.MergedReader) (replica.ArchiveReader, error) {
	return nil, replica.ErrNoSpool
}

// spoolFailed is told why what is kept for slow replicas can't be written.
func (r *replication) spoolFailed(err error) {
	r.srv.log.Warn("What slow replicas have not been sent can't be kept in temporary files any more, so they are " +
		"disconnected (repl-spool-limit): " + err.Error())
	for _, f := range *r.followers.Load() {
		pin, src := f.pin.Load(), f.src.Load()
		// Its goroutine, or the walk's, may be waiting for it to take something in. Before it was handed over it is the
		// Pin that has lost what follows.
		if src != nil && (*src).OnDisk() || src == nil && pin != nil && (*pin).OnDisk() {
			f.drop("Disconnecting replica, as what it has not been sent has no room: " + f.name())
		}
	}
}

// relayStream is what comes from a primary as a replica.Stream: it may be pinned where the data is.
type relayStream struct{ link *primaryLink }

// Offset implements replica.Stream.
func (s relayStream) Offset() uint64 { return s.link.relay.Load().Published() }

// Oldest implements replica.Stream.
func (s relayStream) Oldest() uint64 { return s.link.relay.Load().Oldest() }

// Open implements replica.Stream.
func (s relayStream) Open(lsn uint64, notify func()) (replica.Source, error) {
	m, err := s.link.relay.Load().Reader(lsn, notify)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Pin implements replica.Stream.
func (s relayStream) Pin() replica.Pin {
	position, _ := s.link.up.position()
	return s.link.relay.Load().Pin(position)
}

// beginRelay has replicas fed with what comes from a primary from now on; all batons are held.
func (r *replication) beginRelay() {
	r.past.Store(nil)
	r.dropReplicas("this server follows another one now")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeBacklog()
	r.limitLocked(r.srv.cfg.Values())
}

// endRelay goes on from a position under a new name, which has the old one's data up to there; all batons are held.
// The log, and with it the backlog, begins at once, so that those who have followed the same primary find all that
// they lack; unless linked is false: there was no primary.
//
// Replicas may ask at any moment: those that were served from the relay, before turn ends it, are dropped afterwards.
func (r *replication) endRelay(position uint64, linked bool, turn func()) {
	l := r.srv.set.Log
	if !l.Active() {
		l.SetLSN(position)
	}
	r.shift.Store(int64(position - l.LSN()))
	r.since.Store(l.LSN())
	var backlog replica.Pin
	var past *replica.Relay
	if linked {
		past = r.srv.upstream.link.Load().relay.Load()
		past.Publish(position)
	}
	r.past.Store(past)
	if linked {
		backlog = r.logStream().Resume()
		backlog.Unpin()
		// Replicas go on with the database selected that the old primary wrote to; every frame of ours begins in 0.
		r.srv.set.Shards[0].Stage(-1, []byte("SELECT"), []byte("0"))
	}
	turn()
	r.setHistory(r.history.Load().Shift(position))
	r.notePlace()
	r.dropReplicas("this server is a primary now")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeBacklog()
	r.backlog, r.aloneMs = backlog, r.srv.set.Clock.NowMs()
	r.past.Store(past) // the sampler may have dropped it, while there was no backlog
	r.limitLocked(r.srv.cfg.Values())
}

// closeBacklog lets go of the backlog, with the lock.
func (r *replication) closeBacklog() {
	if r.backlog != nil {
		r.backlog.Close()
		r.backlog = nil
	}
}

// dropReplicas closes the connections to all replicas, which come back and ask for what they lack.
func (r *replication) dropReplicas(why string) {
	list := *r.followers.Load()
	if len(list) > 0 {
		r.srv.log.Info("Disconnecting replicas: " + why)
	}
	for _, f := range list {
		f.drop("")
	}
}

// add counts a replica; false: the server ends.
func (r *replication) add(f *follower) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	list := append(slices.Clone(*r.followers.Load()), f)
	r.followers.Store(&list)
	r.aloneMs = 0
	r.running.Add(1)
	return true
}

// remove ends add.
func (r *replication) remove(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*r.followers.Load()), func(x *follower) bool { return x == f })
	r.followers.Store(&list)
	if len(list) == 0 {
		r.aloneMs = r.srv.set.Clock.NowMs()
	}
}

// keepBacklog begins the backlog unless there is one; all batons are held. If nobody has kept a log until now the data
// may have changed unseen, so from here on it has another name.
func (r *replication) keepBacklog() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wantBacklog = false
	if r.backlog != nil {
		return
	}
	if !r.srv.set.Log.Active() && !r.srv.following() {
		r.setHistory(replica.NewHistory())
		r.srv.log.Info("Replication backlog created, my new replication IDs are '" + r.history.Load().ID + "' and '" +
			replica.NoID + "'")
	}
	r.backlog = r.stream().Pin()
	r.backlog.Unpin()
	r.limitLocked(r.srv.cfg.Values())
}

// feeding tells whether what changes no data is to be sent to replicas, or to be kept for those that come back. Safe
// from any goroutine.
func (r *replication) feeding() bool {
	return (r.kept.Load() || len(*r.followers.Load()) > 0) && !r.srv.following()
}

// applyLimits has the log follow its parameters.
func (r *replication) applyLimits(v *config.Values) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limitLocked(v)
}

func (r *replication) limitLocked(v *config.Values) {
	if link := r.srv.upstream.link.Load(); link != nil {
		link.relay.Load().SetKeep(v.BacklogBytes)
	}
	r.spools.SetLimit(v.SpoolBytes)
	r.kept.Store(r.backlog != nil)
	backlog := int64(0)
	if r.backlog != nil && !r.srv.following() {
		backlog = v.BacklogBytes
	}
	r.srv.set.Log.SetLimits(backlog, backlog+v.LogMemoryBytes)
}

// freeBacklog lets go of the backlog when nobody has followed for long.
func (r *replication) freeBacklog(v *config.Values, nowMs int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ttlMs := v.BacklogTTLSeconds * 1000
	if r.backlog == nil || r.aloneMs == 0 || r.srv.following() || ttlMs == 0 || nowMs-r.aloneMs < ttlMs {
		return
	}
	r.closeBacklog()
	r.limitLocked(v)
	r.srv.log.Info(fmt.Sprintf("Replication backlog freed after %d seconds without connected replicas.",
		v.BacklogTTLSeconds))
}

// shortenPast forgets what a primary has sent as far as it is beyond the backlog, of which our own stream is a part.
func (r *replication) shortenPast(v *config.Values) {
	past := r.past.Load()
	if past == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock() // the backlog begins with the past, see endRelay
	s := r.logStream()
	keep := v.BacklogBytes - int64(s.Offset()-past.Published())
	if keep > 0 && r.kept.Load() {
		past.Shorten(keep)
		return
	}
	r.past.CompareAndSwap(past, nil)
}

// keepAliveMs is how often a replica that waits is sent a sign of life, and the backlog of quiet shards is trimmed.
const keepAliveMs = 1000

// shedBytes is how much of the stream may be kept in memory for a slow replica, unless the backlog is longer, if it can
// be read from the append-only files. What several replicas need is kept once.
const shedBytes = 16 << 20

// spoolShare is which part of log-memory-limit that is at most, and without such files: writing one for the replica
// costs more.
const spoolShare = 8

// keptInMemory is how much of the stream is kept in memory for a slow replica, if it can be read from elsewhere: less
// than what checkLimits finds too much.
func (r *replication) keptInMemory(v *config.Values) uint64 {
	most := min(shedBytes, v.LogMemoryBytes/spoolShare)
	if r.srv.aof.writer.Load() == nil {
		most = v.LogMemoryBytes / spoolShare
	}
	return uint64(max(v.BacklogBytes, most))
}

// cron does what is due. Every 100 ms, on the sampler's goroutine.
func (r *replication) cron() {
	v, nowMs := r.srv.cfg.Values(), r.srv.set.Clock.NowMs()
	list := *r.followers.Load()
	most, archive := r.keptInMemory(v), r.logStream().Archive
	for _, f := range list {
		f.shed(archive, most)
		f.checkLimits(v, nowMs)
	}
	if nowMs-r.keptAliveMs >= keepAliveMs {
		r.keptAliveMs = nowMs
		r.freeBacklog(v, nowMs)
		r.shortenPast(v)
		r.srv.set.Log.Trim()
	}
	switch due := nowMs-r.pingedMs >= v.PingReplicaSeconds*1000; {
	case len(list) == 0 || r.srv.following():
		r.pingedMs = nowMs
	case due && !r.srv.failover.hurries(): // it would wait for those to be acknowledged
		r.pingedMs = nowMs
		r.pings.put()
	}
	if r.acksWanted.Load() && !r.srv.paused() {
		r.acksWanted.Store(false)
		r.getAcks.put()
	}
	r.changed()
	r.beginDue(v, nowMs)
}

// aside is a record that changes nothing: it says something to replicas, and counts in the stream as all others do.
type aside struct {
	srv *Server
	reactor.Letter
	rung ringFlag
	args [][]byte
}

func (a *aside) init(srv *Server, args ...string) {
	a.srv, a.Letter.To = srv, a
	for _, arg := range args {
		a.args = append(a.args, []byte(arg))
	}
}

// put has the record staged soon. Safe from any goroutine.
func (a *aside) put() {
	if a.rung.CompareAndSwap(false, true) {
		a.srv.homes[0].l.rl.Post(&a.Letter)
	}
}

// Deliver implements reactor.Recipient on the loop that the first shard is at home on.
func (a *aside) Deliver(rl *reactor.Loop, _ *reactor.Letter) {
	h := a.srv.homes[0]
	w := &h.l.worker
	w.NowNs = a.srv.set.Clock.NowNs()
	if !h.s.Acquire(w) {
		if a.srv.set.Seized() {
			a.rung.Store(false) // for long, and it can be done without
			return
		}
		rl.PostLater(&a.Letter) // its holder is working
		return
	}
	a.rung.Store(false)
	h.s.Stage(-1, a.args...)
	h.s.Release(w)
	h.l.postServed()
	for _, f := range *a.srv.replication.followers.Load() {
		f.feed.Hurry()
	}
}

// giveUp gives up the full sync that is under way, if one is, and waits for its end; held tells whether the caller has
// all batons. Its replicas have to ask again.
func (r *replication) giveUp(held bool) {
	r.unclaim()
	job := r.syncUnderWay()
	if job == nil {
		return
	}
	for _, f := range job.all() {
		if !f.handed() || f.loading() != nil {
			f.end()
		}
	}
	job.save.Cancel()
	if held {
		job.save.RunHeld()
	}
	<-job.over
}

// behind tells whether a replica has not been sent everything.
func (r *replication) behind() bool {
	for _, f := range *r.followers.Load() {
		select {
		case <-f.feed.Closed():
		default:
			if f.shownState() == online && f.feed.Sent() < r.stream().Offset() {
				return true
			}
		}
	}
	return false
}

// onDisk returns how many replicas read from the append-only files.
func (r *replication) onDisk() (n int) {
	for _, f := range *r.followers.Load() {
		if src := f.src.Load(); src != nil && (*src).OnDisk() {
			n++
		}
	}
	return n
}

// memory returns what the stream takes in memory: what is kept for replicas that come back, and what is beyond that
// because some are slow. The stream being the log, what an append-only file has not written yet is among it; of a
// primary's stream only what is kept for any replica is counted.
func (r *replication) memory() (backlog, slow int64) {
	total := int64(0)
	r.mu.Lock()
	kept := r.backlog != nil
	r.mu.Unlock()
	if link := r.srv.upstream.link.Load(); link != nil {
		relay := link.relay.Load()
		total = int64(relay.End() - relay.Oldest())
	} else if kept {
		total = r.srv.set.Log.MemoryBytes()
		if past := r.past.Load(); past != nil {
			total += int64(past.Published() - past.Oldest())
		}
	}
	backlog = total
	if len(*r.followers.Load()) > 0 {
		backlog = min(total, r.srv.cfg.Values().BacklogBytes)
	}
	return backlog, total - backlog
}

// resetStats follows CONFIG RESETSTAT.
func (r *replication) resetStats() {
	r.fullSyncs.Store(0)
	r.partialSyncs.Store(0)
	r.refusedPartials.Store(0)
}

// countAcks returns how many replicas have all up to lsn, perhaps on disk. Safe from any goroutine.
func (r *replication) countAcks(lsn uint64, onDisk bool) (n int64) {
	lsn += uint64(r.shift.Load())
	for _, f := range *r.followers.Load() {
		has := f.ackLSN.Load()
		if onDisk {
			has = f.fsyncLSN.Load()
		}
		if f.is(online) && has >= lsn {
			n++
		}
	}
	return n
}

// askForAcks has replicas say how much they have. Safe from any goroutine.
func (r *replication) askForAcks() {
	switch {
	case len(*r.followers.Load()) == 0:
	case r.srv.paused(): // whoever paused waits for the stream to end somewhere; they say it every second, too
		r.acksWanted.Store(true)
	default:
		r.getAcks.put()
	}
}

// changed follows a change of what replicas are there and how much they have. Safe from any goroutine.
func (r *replication) changed() {
	r.srv.aof.endWaits()
	r.srv.failover.check()
	if v := r.srv.cfg.Values(); v.MinReplicas > 0 {
		r.countGood(v)
	}
}

// countGood refuses writes while fewer replicas than are asked for have said of late that they are there, and returns
// their number; wanted is false if none are asked for.
func (r *replication) countGood(v *config.Values) (good int64, wanted bool) {
	wanted = v.MinReplicas > 0 && v.MinReplicasLagSeconds > 0 && !r.srv.following()
	if wanted {
		now := r.srv.set.Clock.NowMs() / 1000
		for _, f := range *r.followers.Load() {
			if f.shownState() == online && now-f.ackMs.Load()/1000 <= v.MinReplicasLagSeconds {
				good++
			}
		}
	}
	r.srv.setRestriction(whileFewReplicas, wanted && good < v.MinReplicas)
	return good, wanted
}

// stop accepts no more replicas, and gives up those that have not been sent all data yet. The loops still run.
func (r *replication) stop() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, f := range *r.followers.Load() {
		if f.shownState() != online {
			f.feed.Close()
		}
	}
	r.giveUp(false)
}

// How long replicas have at the very end to take in what they have not been sent: lastBytesNow if they had time before,
// or are not to have any.
const (
	lastBytesFor = 2 * time.Second
	lastBytesNow = 50 * time.Millisecond
)

// close ends all replicas' connections, once they have everything if that doesn't take long: then they can go on where
// they are when the server comes back. The loops still run; with an append-only file nobody writes any more.
func (r *replication) close() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := lastBytesFor
	if r.hadTime.Load() {
		patience = lastBytesNow
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	for late := false; !late && r.behind(); {
		select {
		case <-tick.C:
		case <-end.C:
			late = true
		}
	}
	for _, f := range *r.followers.Load() {
		f.feed.Close()
	}
	r.running.Wait()
	r.spools.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeBacklog()
}
