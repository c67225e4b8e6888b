package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/config"
	"fulmen/replica"
)

// Following a primary. REPLICAOF changes the server's role with all batons held, so that nobody writes any more when
// it has replied, or may write at once. What follows is a goroutine's (primaryLink): it connects, asks for what is
// missing of the history that the data belongs to, and either receives everything anew, or gives the connection to
// the reactor, whose session executes the stream (primary.go). When the connection is lost it comes back with the
// position that the data has.
//
// While the server follows, its own log, if an append-only file needs one, has positions of its own. What goes down
// to its replicas are the primary's bytes, kept by the Relay, at the primary's positions.

// upstream is the server's part as a replica.
type upstream struct {
	srv *Server
	tx  serverTx

	link atomic.Pointer[primaryLink] // nil: the server is a primary. Changed with all batons held
	// anonymous: nobody can be asked for the rest of the history, as it isn't known which position the data has.
	// Changed with all batons held.
	anonymous atomic.Bool
	linked    atomic.Bool  // there was a stream since the server became a replica
	netInput  atomic.Int64 // bytes from primaries
	errors    atomic.Int64 // commands of primaries that have replied with an error

	fault      upstreamFault // set by tests
	retryAfter time.Duration // that; tests change it before there is a primary

	// settings has parameters take effect with all batons held.
	settings serverTx
	wanted   atomic.Pointer[config.Values] // those that it is about; nil: they have

	mu     sync.Mutex
	closed bool
	done   sync.WaitGroup // the goroutines of runs
}

// upstreamFault is a mistake that a test plants in order to show that it would be noticed.
type upstreamFault uint8

const (
	_                   upstreamFault = iota
	faultSwapsEarly                   // what has come of a snapshot replaces the data though it isn't complete
	faultInsistsOnFlows               // flows are asked for again though they can't be opened
	faultWritesUnlogged               // a replica that is promoted writes though there is no append-only file yet
)

func (u *upstream) init(srv *Server) {
	u.srv, u.retryAfter = srv, retryAfter
	u.tx.init(srv)
	u.settings.init(srv)
}

// following tells whether the server is a replica. With a baton held the answer stays true or false until it is given
// back.
func (srv *Server) following() bool { return srv.upstream.link.Load() != nil }

// start makes the server a replica, of one that is to take over if takeover is not nil; all batons are held.
func (u *upstream) start(host string, port int, takeover *takeover) {
	if u.link.Load() == nil {
		// While nobody keeps the log, its position stands still though the data changes.
		u.anonymous.Store(!u.srv.set.Log.Active())
	}
	u.begin(host, port, 0, takeover)
	u.srv.replication.notePlace()
}

// begin is start, also for who has all batons seized or serves nobody yet; db is selected in the stream at the position
// that the data has, unless the server was a replica already.
func (u *upstream) begin(host string, port, db int, takeover *takeover) {
	srv := u.srv
	old := u.link.Load()
	if old != nil {
		old.stop()
	}
	offset, selected := u.position()
	if old != nil {
		db = selected
	}
	link := &primaryLink{
		up: u, srv: srv, host: host, port: port, takeover: takeover, position: offset, db: db,
		over: make(chan struct{}),
	}
	link.ctx, link.cancel = context.WithCancel(context.Background())
	link.downMs.Store(srv.set.Clock.NowMs())
	relay := replica.NewRelay(offset, srv.cfg.Values().BacklogBytes)
	if old != nil {
		relay = old.relay.Load()
		relay.Publish(offset)
	}
	link.relay.Store(relay)
	u.link.Store(link)
	srv.replication.beginRelay()
	srv.roleChanged(srv.cfg.Values())
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		close(link.over)
		return
	}
	u.done.Add(1)
	go func() {
		defer u.done.Done()
		defer close(link.over)
		if old != nil {
			<-old.over
			relay.Discard()
		}
		link.loop()
	}()
}

// followAtStart makes the server a replica if its configuration says so; nobody is served yet.
func (srv *Server) followAtStart() {
	v, r, u := srv.cfg.Values(), &srv.replication, &srv.upstream
	if v.PrimaryHost == "" {
		return
	}
	if r.restored {
		srv.log.Info("Before turning into a replica, using my own master parameters to synthesize a " +
			"cached master: I may be able to synchronize with the new master with just a partial transfer.")
	}
	u.anonymous.Store(!r.restored)
	u.linked.Store(r.restored) // by what was loaded
	u.begin(v.PrimaryHost, v.PrimaryPort, r.restoredDB, nil)
}

// promote makes the server a primary; all batons are held. It goes on with what it has, under a name of its own.
func (u *upstream) promote() {
	srv := u.srv
	u.link.Load().stop()
	offset, _ := u.position()
	srv.replication.endRelay(offset, u.linked.Swap(false), func() { u.link.Store(nil) })
	srv.roleChanged(srv.cfg.Values())
}

// apply follows CONFIG SET: what is refused at once, what needs all batons as soon as they are free. Before somebody
// else than the primary may write keys expire again.
func (u *upstream) apply(v *config.Values) {
	u.mu.Lock()
	if link := u.link.Load(); link != nil && !link.stopped.Load() {
		if !v.ReplicaReadOnly {
			u.srv.pausing.thaw(u.srv)
		}
		u.restrict(link, v)
	}
	u.mu.Unlock()
	u.wanted.Store(v)
	u.cron()
}

// restrict has commands refused that a replica refuses.
func (u *upstream) restrict(link *primaryLink, v *config.Values) {
	stale := link != nil && linkState(link.state.Load()) != linkConnected
	u.srv.setRestriction(whileFollowing, link != nil && v.ReplicaReadOnly)
	u.srv.set.NoteOwnExpiries(link != nil)
	u.srv.setRestriction(whileStale, stale && !v.ReplicaServeStale)
}

// cron has parameters take effect that have not yet. Safe from any goroutine.
func (u *upstream) cron() {
	if u.wanted.Load() == nil {
		return
	}
	u.settings.run(func(*loop) {
		if v := u.wanted.Swap(nil); v != nil {
			u.srv.roleChanged(v)
		}
	}, nil)
}

// position returns what the data corresponds to: a position of the history and the database selected there. All batons
// are held.
func (u *upstream) position() (offset uint64, db int) {
	link := u.link.Load()
	if link == nil {
		return u.srv.replication.stream().Offset(), 0
	}
	if st := link.stream.Load(); st != nil {
		return st.position()
	}
	return link.relay.Load().Published(), link.db
}

// ending tells whether the server ends.
func (u *upstream) ending() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.closed
}

// close ends following, when the server ends or is about to. The loops still run, and the batons are free: a command of
// the stream that waits for some is executed first.
func (u *upstream) close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	if link := u.link.Load(); link != nil {
		link.cancel()
	}
	u.done.Wait()
}

// reopen takes close back, when the server goes on; all batons are held.
func (u *upstream) reopen() {
	u.mu.Lock()
	u.closed = false
	u.mu.Unlock()
	if link := u.link.Load(); link != nil {
		u.start(link.host, link.port, link.takeover)
	}
}

// roleChanged has everybody look at the server's role again: those who wait for batons when they get them, those who
// wait for keys now. All batons are held, or nobody is served yet.
func (srv *Server) roleChanged(v *config.Values) {
	link := srv.upstream.link.Load()
	srv.markRole(link != nil)
	srv.upstream.restrict(link, v)
	srv.restricted.Add(roleEpoch)
	srv.aof.holdWrites()
	srv.pausing.refreeze(srv)
	srv.applyMemory(v)
	if link == nil {
		return
	}
	for _, s := range srv.clients.all() {
		if b := s.blocked.Load(); b != nil {
			(*b).RoleChanged()
		}
	}
}
