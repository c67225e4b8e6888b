package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/persist/snapshot"
	"fulmen/replica"
	"fulmen/shard"
)

// linkState is how far a replica is with its primary; ROLE tells it by these names.
type linkState int32

const (
	linkConnect linkState = iota
	linkConnecting
	linkHandshake
	linkTransfer
	linkConnected
)

func (s linkState) String() string {
	return [...]string{"connect", "connecting", "handshake", "sync", "connected"}[s]
}

// primaryLink is the time from one REPLICAOF to the next.
type primaryLink struct {
	up   *upstream
	srv  *Server
	host string
	port int
	// takeover is what has made this server, which was the primary, follow one of its replicas; nil: nothing has.
	takeover *takeover

	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{} // closed: its goroutine has ended

	state     atomic.Int32 // linkState
	downMs    atomic.Int64 // since when there is no link, 0: there is one
	stopped   atomic.Bool  // set with all batons held: nothing of it is executed any more
	stream    atomic.Pointer[primaryStream]
	relay     atomic.Pointer[replica.Relay] // changed with all batons held
	totalRead atomic.Int64                  // of the transfer under way
	totalSize atomic.Int64                  // -1: it has not begun, 0: the primary doesn't tell
	lastMs    atomic.Int64                  // when some of it came

	// The goroutine's while no stream runs: what the data corresponds to.
	position uint64
	db       int

	// noFlows: a flow has failed, so everything is asked for as Redis does until it has come once. The goroutine's.
	noFlows bool
}

// stop ends a link: nothing of it is executed any more. All batons are held.
func (p *primaryLink) stop() {
	p.up.mu.Lock()
	p.stopped.Store(true) // from now on setState is silent
	p.srv.noSocketLoad()
	p.up.mu.Unlock()
	if st := p.stream.Load(); st != nil {
		st.stop()
	}
	p.cancel()
}

// roleOffset is what ROLE says of how much has come; -1: there is no link.
func (p *primaryLink) roleOffset() int64 {
	if st := p.stream.Load(); st != nil {
		return int64(st.executed.Load())
	}
	return -1
}

// setState notes how far the link is.
func (p *primaryLink) setState(s linkState) {
	was := linkState(p.state.Swap(int32(s)))
	now := p.srv.set.Clock.NowMs()
	switch {
	case s == linkConnected:
		p.downMs.Store(0)
	case was == linkConnected:
		p.downMs.Store(now)
	}
	p.up.mu.Lock()
	defer p.up.mu.Unlock()
	if !p.stopped.Load() {
		p.up.restrict(p, p.srv.cfg.Values())
	}
}

// retryAfter is how long a replica waits before it tries again to connect, as in Redis.
const retryAfter = time.Second

// loop connects until the link ends.
func (p *primaryLink) loop() {
	log := p.srv.log
	log.Info(fmt.Sprintf("Connecting to MASTER %s:%d", p.host, p.port))
	for p.ctx.Err() == nil {
		err := p.once()
		if p.ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Warn(p.explain(err))
		}
		// Of a connection that stood the next one comes at once: meanwhile the primary's backlog moves on.
		wait := p.up.retryAfter
		if linkState(p.state.Load()) == linkConnected && !errors.Is(err, errStreamGarbled) {
			wait = 0
		}
		p.setState(linkConnect)
		select {
		case <-p.ctx.Done():
		case <-time.After(wait):
			log.Info(fmt.Sprintf("Reconnecting to MASTER %s:%d", p.host, p.port))
		}
	}
}

// explain is what the log says of an error, in Redis's words if the primary has said nothing for too long.
func (p *primaryLink) explain(err error) string {
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() {
		return err.Error()
	}
	switch linkState(p.state.Load()) {
	case linkConnecting, linkHandshake:
		return "Timeout connecting to the MASTER... (" + err.Error() + ")"
	case linkTransfer:
		return "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' " +
			"parameter to a larger value. (" + err.Error() + ")"
	}
	return err.Error()
}

// once connects, synchronizes and lets the stream be executed until the connection is lost.
func (p *primaryLink) once() error {
	srv := p.srv
	p.setState(linkConnecting)
	o := srv.linkOptions(p.host, p.port)
	if p.noFlows {
		o.Flows.Number = 0
	}
	link, err := replica.Dial(p.ctx, o)
	if err != nil {
		return fmt.Errorf("Error condition on socket for SYNC: %w", err)
	}
	owned := true
	stopWatch := context.AfterFunc(p.ctx, func() { _ = link.Close() })
	defer func() {
		stopWatch()
		if owned {
			_ = link.Close()
		}
	}()
	srv.log.Info("MASTER <-> REPLICA sync started")
	p.setState(linkHandshake)
	if err := link.Handshake(); err != nil {
		return err
	}
	id := srv.replication.history.Load().ID
	if p.up.anonymous.Load() {
		id = ""
		srv.log.Info("Partial resynchronization not possible (no cached master)")
	} else {
		srv.log.Info(fmt.Sprintf("Trying a partial resynchronization (request %s:%d).", id, p.position+1))
	}
	answer, err := p.ask(link, id)
	if err != nil {
		return err
	}
	if answer.Full {
		if err := p.receive(link, answer); err != nil {
			return err
		}
		p.noFlows = false
	} else if err := p.goOn(answer.ID); err != nil {
		return err
	}
	stopWatch()
	owned = false
	return p.execute(link)
}

// ask asks for what follows the position in the history named id, and the primary to become one if it isn't yet.
func (p *primaryLink) ask(link *replica.Link, id string) (replica.Answer, error) {
	f := &p.srv.failover
	if p.takeover == nil || f.now.Load() != p.takeover {
		return link.Sync(id, int64(p.position))
	}
	answer, err := link.TakeOver(id, int64(p.position))
	if err != nil {
		return answer, errors.Join(err, p.underBatons(func() { f.abort("Failover target rejected psync request") }))
	}
	f.clear(p.takeover)
	return answer, nil
}

// underBatons has work done with all batons held, unless the link has been stopped by then.
func (p *primaryLink) underBatons(work func()) error {
	goes := false
	p.withBatons(func(*loop) {
		if goes = !p.stopped.Load(); goes {
			work()
		}
	}, nil)
	if !goes {
		return context.Canceled
	}
	return nil
}

// withBatons is serverTx.run, and returns when the batons are free again: what was done is seen by everybody then, and
// the next work may be asked for. Only the link's goroutine asks.
func (p *primaryLink) withBatons(work func(l *loop), take func(z *shard.Seizure)) {
	over := make(chan struct{})
	if !p.up.tx.runThen(work, take, func() { close(over) }) {
		panic("BUG: two links work at a time")
	}
	<-over
}

// goOn follows +CONTINUE, after which the history may have another name.
func (p *primaryLink) goOn(id string) error {
	srv := p.srv
	srv.log.Info("Successful partial resynchronization with master.")
	if id == "" || id == srv.replication.history.Load().ID {
		return nil
	}
	srv.log.Info("Master replication ID changed to " + id)
	return p.underBatons(func() {
		h := srv.replication.history.Load().Shift(p.position)
		h.ID = id
		srv.replication.setHistory(h)
		srv.replication.notePlace()
		srv.replication.dropReplicas("the name of the history has changed")
	})
}

// transferName is the file that a snapshot is received into.
func (srv *Server) transferName() string {
	return filepath.Join(srv.cfg.Values().Dir, fmt.Sprintf("temp-%d.%d.rdb", srv.set.Clock.NowMs()/1000, os.Getpid()))
}

// receive takes everything anew: the old data is served until the snapshot is here, then it goes.
func (p *primaryLink) receive(link *replica.Link, answer replica.Answer) (err error) {
	srv := p.srv
	srv.log.Info(fmt.Sprintf("Full resync from master: %s:%d", answer.ID, answer.Offset))
	answer.Offset = max(answer.Offset, 0) // after SYNC: nobody can be asked for the rest of it
	p.totalRead.Store(0)
	p.totalSize.Store(-1)
	p.lastMs.Store(srv.set.Clock.NowMs())
	p.setState(linkTransfer)
	if answer.Flows.Number > 0 {
		return p.receiveFlows(link, answer)
	}
	t, err := link.Expect()
	if err != nil {
		return err
	}
	p.totalSize.Store(max(t.SizeBytes, 0))
	t.Progress = p.cameIn
	mode := srv.loadMode(srv.cfg.Values())
	what, to := "streamed RDB from master with EOF", "disk"
	if t.SizeBytes >= 0 {
		what = fmt.Sprintf("%d bytes from master", t.SizeBytes)
	}
	if mode.direct {
		to = "parser"
	}
	srv.log.Info("MASTER <-> REPLICA sync: receiving " + what + " to " + to)
	if mode.direct {
		return p.loadSocket(link, answer, mode, &incoming{
			parts: []snapshot.Part{snapshot.StreamPart(socketName, t, t.SizeBytes)},
		})
	}
	name := srv.transferName()
	defer func() {
		if e := srv.files.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			srv.log.Warn("removing what was received: " + e.Error())
		}
	}()
	if err := p.store(t, name); err != nil {
		return err
	}
	return p.load(link, name, answer)
}

// transferBytes is how much is read of a snapshot at a time.
const transferBytes = 256 << 10

// store writes the snapshot to a file.
func (p *primaryLink) store(t *replica.Transfer, name string) error {
	file, err := p.srv.files.Create(name, 0o644)
	if err != nil {
		return fmt.Errorf("Opening the temp file needed for MASTER <-> REPLICA synchronization: %w", err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, t, make([]byte, transferBytes))
	return errors.Join(err, file.Close())
}

// load replaces the data by a snapshot that was received. The batons are taken for as long as it takes.
func (p *primaryLink) load(link *replica.Link, name string, answer replica.Answer) error {
	srv := p.srv
	if err := srv.aof.endForSync(p.ctx); err != nil {
		return err
	}
	defer srv.aof.endedForSync()
	beating := p.keepAlive(link)
	defer beating()
	var err error
	p.withBatons(func(*loop) {
		if !p.stopped.Load() {
			srv.saves.giveUpHeld()
			srv.startLoading()
		}
	}, func(z *shard.Seizure) {
		go func() {
			defer p.up.tx.giveBack()
			if p.stopped.Load() {
				err = context.Canceled
				return
			}
			err = p.replace(z, name, answer)
			srv.endLoading()
		}()
	})
	return err
}

// replace is load with the batons seized.
func (p *primaryLink) replace(z *shard.Seizure, name string, answer replica.Answer) error {
	srv := p.srv
	defer srv.processors.whileLoading()()
	srv.log.Info("MASTER <-> REPLICA sync: Flushing old data")
	p.empty(z)
	srv.log.Info("MASTER <-> REPLICA sync: Loading DB in memory")
	src := &snapshot.Source{Parts: []snapshot.Part{snapshot.PlainPart(name)}}
	r, err := srv.loadResult(srv.loading.now.Load(), src, z, snapshot.LoadOptions{KeepExpired: true})
	if err == nil {
		err = srv.functions.add(r.Functions, false)
	}
	if err != nil {
		p.empty(z)
		srv.replication.setHistory(replica.NewHistory())
		p.up.anonymous.Store(true)
		return fmt.Errorf("Failed trying to load the MASTER synchronization DB from disk: %w", err)
	}
	srv.logLeftOut(r.Skipped, "the data of the primary")
	p.replaced(r.Aux, answer)
	srv.log.Info("MASTER <-> REPLICA sync: Finished with success")
	return nil
}

// replaced notes that the data is what a primary has sent; aux are the facts about that. All batons are held.
func (p *primaryLink) replaced(aux map[string]string, answer replica.Answer) {
	srv := p.srv
	h := replica.NewHistory()
	if answer.ID != "" {
		h.ID = answer.ID
	}
	srv.replication.setHistory(h)
	p.up.anonymous.Store(answer.ID == "")
	srv.replication.dropReplicas("everything was received anew")
	p.position, p.db = uint64(answer.Offset), streamDB(aux)
	p.relay.Store(replica.NewRelay(p.position, srv.cfg.Values().BacklogBytes))
}

// streamDB is the database that the stream behind a snapshot begins in.
func streamDB(aux map[string]string) int {
	if id, ok := parseDB([]byte(strings.TrimSpace(aux["repl-stream-db"]))); ok {
		return id
	}
	return 0
}

// emptySlice is how much is freed before others may look how far it is.
const emptySlice = 1 << 16

// empty removes everything, and frees it: while the batons are seized nobody else does, and what comes needs the room.
func (p *primaryLink) empty(z *shard.Seizure) {
	p.srv.functions.replace(nil)
	set := p.srv.set
	var all sync.WaitGroup
	for i := range set.Shards {
		all.Go(func() {
			for done := false; !done; {
				sh := z.Lock(i)
				for id := range set.Databases() {
					sh.DB(id).Flush()
				}
				done = sh.FreeSome(emptySlice)
				z.Unlock(i)
			}
		})
	}
	all.Wait()
}

// keepAlive tells the primary every second that we are there, until what it returns is called.
func (p *primaryLink) keepAlive(link *replica.Link) (stop func()) {
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
			}
			if link.KeepAlive() != nil {
				return // who uses the link next is told
			}
		}
	}()
	return func() {
		close(quit)
		<-over
	}
}

// execute gives the connection to the reactor and waits for its end.
func (p *primaryLink) execute(link *replica.Link) error {
	srv := p.srv
	conn := link.Conn()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return errors.Join(err, link.Close())
	}
	st := newPrimaryStream(srv, p.relay.Load(), p.position, p.db)
	p.stream.Store(st)
	p.up.linked.Store(true)
	if p.stopped.Load() {
		st.stop()
	}
	p.setState(linkConnected)
	if err := srv.reactor.Adopt(conn, st); err != nil {
		st.closed(err)
		st.left()
	}
	p.watch(st)
	<-st.ended
	if p.stopped.Load() {
		return nil // who has stopped it knows where it stood
	}
	srv.log.Warn("Connection with master lost.")
	srv.log.Info("Caching the disconnected master state.")
	p.position, p.db = st.position()
	st.relay.Discard()
	p.stream.Store(nil)
	return st.why()
}

// watch has a stream acknowledged every second until it ends, and ends it if the link does, or if nothing has come for
// repl-timeout.
func (p *primaryLink) watch(st *primaryStream) {
	srv := p.srv
	t := time.NewTicker(time.Second)
	defer t.Stop()
	stopped := p.ctx.Done()
	for {
		select {
		case <-st.ended:
			return
		case <-stopped:
			stopped = nil
			st.abort(nil)
		case <-t.C:
			silentMs := srv.set.Clock.NowMs() - st.lastMs.Load()
			if silentMs > srv.cfg.Values().ReplTimeoutSeconds*1000 {
				st.abort(errPrimarySilent)
			}
			st.acknowledge()
		}
	}
}

// forever is a moment that doesn't come.
const forever = math.MaxInt64
