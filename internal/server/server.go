package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/pubsub"
	"fulmen/persist/log"
	"fulmen/persist/snapshot"
	"fulmen/persist/vfs"
	"fulmen/reactor"
	"fulmen/replica"
	"fulmen/shard"
	"fulmen/shard/arena"
	"fulmen/shard/command"
)

// Version is Fulmen's own version; RedisVersion is what client libraries are told.
const (
	Version      = "0.1.0"
	RedisVersion = "7.2.4"
)

// Server is one running Fulmen.
type Server struct {
	// Immutable after New.
	cfg       *config.Config
	files     vfs.FS
	log       *slog.Logger
	logLevel  *slog.LevelVar
	set       *shard.Set
	space     *arena.Space
	table     *command.Table
	reactor   *reactor.Reactor
	loops     []*loop
	allShards []int
	homes     []*homeShard // by shard
	runID     string
	startMs   int64
	shared    []*sharedStats // by loop
	clients   registry

	limits          atomic.Pointer[command.Limits]
	memory          atomic.Pointer[memoryPolicy]
	evict           evictor
	observers       atomic.Pointer[command.Observers]
	observation     observation
	replyLimit      atomic.Int64 // hard output limit of normal clients, 0 = none
	clientMemory    atomic.Int64 // sum of the sessions' memoryBytes
	cronPaused      atomic.Bool  // DEBUG PAUSE-CRON 1
	activeExpireOff atomic.Bool  // DEBUG SET-ACTIVE-EXPIRE 0
	scriptsDebug    atomic.Bool  // DEBUG SET-DISABLE-DENY-SCRIPTS 1
	pausing         pausing
	clientEvictor   clientEvictor
	waitFault       waitFault // set by tests, before there are clients
	stopping        atomic.Bool
	stops           stopDesk
	stopTx          serverTx
	lastCallTx      serverTx
	lastCallMs      atomic.Int64 // until when the server, which is to end, waits for replicas; 0: it does not
	saves           saves
	restricted      atomic.Uint32 // restrict.go
	loading         loading
	aof             appendOnly
	replication     replication
	gate            replyGate
	loadFailed      chan error // why the load at the start has failed
	listenMu        sync.Mutex
	listeners       []net.Listener // TCP ones, replaced by CONFIG SET bind/port
	unix            net.Listener
	sampler         sampler
	defrag          defragmenter
	saver           *snapshot.Saver // immutable
	processors      processors
	peakMemory      atomic.Int64
	startBytes      int64 // memory in use before there was a client or a key
	startIndexBytes int64 // of these, indexes
	bufferPeaks     bufferPeaks
	console         consoleServer
	migrator        migrator
	upstream        upstream
	failover        failover
	trackers        trackers
	scripts         scripts
	functions       functions

	// Pub/sub; push.go and pubsub.go.
	channels    *pubsub.Registry[*Session]
	subscribers atomic.Int64 // sessions that subscribe to something
	pushing     atomic.Int64 // bytes that loops have not handed out
	parcels     sync.Pool    // of *parcel
}

// Options are what New needs beside the configuration.
type Options struct {
	Config *config.Config
	Files  vfs.FS
	Log    *slog.Logger
	Level  *slog.LevelVar // the logger's level, changed by CONFIG SET loglevel
	Clock  clock.Clock    // nil: the real one
	// PackedBytes is that of shard.Options; 0 but in tests.
	PackedBytes int
}

// New makes a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	v := o.Config.Values()
	space, err := arena.NewSpace(0)
	if err != nil {
		return nil, fmt.Errorf("reserving address space: %w", err)
	}
	srv := &Server{
		cfg: o.Config, files: o.Files, log: o.Log, logLevel: o.Level, space: space,
		runID: replica.NewHistory().ID, startMs: o.Clock.NowMs(), channels: pubsub.New[*Session](),
	}
	srv.set, err = shard.NewSet(shard.Options{
		Shards: v.Shards, Databases: v.Databases, Space: space, Log: log.New(v.Shards, srv.logLimits(v)),
		Clock: o.Clock, Bell: srv, PackedBytes: o.PackedBytes,
	})
	if err != nil {
		return nil, errors.Join(err, space.Close())
	}
	srv.set.Listen(srv)
	srv.table = command.NewTable(command.Rows(), sessionRows())
	for _, r := range o.Config.Renames() {
		if err := srv.table.Rename(r.Old, r.New); err != nil {
			return nil, errors.Join(fmt.Errorf("rename-command %s: %w", r.Old, err), space.Close())
		}
	}
	srv.scripts.init(srv)
	srv.processors.init(v.EventLoops)
	srv.saver = snapshot.NewSaver(snapshot.Options{
		Set: srv.set, Workers: srv.processors.saveWorkers(), Wake: srv.wakeSaving, Beside: srv.processors.add,
	})
	srv.saver.SetKeyDelay(v.SaveKeyDelayUs)
	srv.loading.delay = snapshot.NewKeyDelay(v.LoadKeyDelayUs, srv.set.Clock)
	srv.clients.init()
	srv.gate.srv = srv
	srv.aof.init(srv, v)
	srv.apply(v)
	srv.applyClientLimit(v)
	srv.makeLoops(v)
	srv.stops.bell = make(chan struct{}, 1)
	srv.loading.done, srv.loadFailed = make(chan struct{}), make(chan error, 1)
	srv.stopTx.init(srv)
	srv.lastCallTx.init(srv)
	srv.saves.init(srv)
	srv.upstream.init(srv)
	srv.failover.init(srv)
	srv.functions.srv = srv
	srv.watchConfig()
	srv.replication.init(srv)
	srv.startBytes, srv.startIndexBytes = srv.usedMemory(), srv.indexBytes()
	return srv, nil
}

func (srv *Server) makeLoops(v *config.Values) {
	srv.reactor = reactor.New(reactor.Options{
		Loops:     v.EventLoops,
		Limits:    connLimits(v),
		KeepAlive: srv.keepAlive,
		Admit:     srv.admit,
		Log:       func(format string, args ...any) { srv.log.Warn(fmt.Sprintf(format, args...)) },
	}, srv)
	for i := range srv.set.Shards {
		srv.allShards = append(srv.allShards, i)
	}
	for _, rl := range srv.reactor.Loops() {
		l := &loop{srv: srv, rl: rl, calls: command.NewCallStats(srv.table), shared: newSharedStats(srv.table)}
		l.worker.Owner = l
		l.saving.init(l)
		l.desk.l, l.desk.Letter.To = l, &l.desk
		l.unpaused.l = l
		l.unpaused.Letter.To = &l.unpaused
		l.busyNotice.l, l.busyNotice.Letter.To = l, &l.busyNotice
		l.ctx = command.Ctx{Set: srv.set, Worker: &l.worker, Calls: l.calls, Table: srv.table}
		rl.State = l
		srv.loops = append(srv.loops, l)
		srv.shared = append(srv.shared, l.shared)
	}
	for i, s := range srv.set.Shards {
		h := &homeShard{s: s, l: srv.loops[i%len(srv.loops)]}
		h.Letter.To = h
		h.mail.srv, h.mail.Task = srv, &h.mail
		h.l.home = append(h.l.home, h)
		srv.homes = append(srv.homes, h)
	}
}

// Start opens the listeners, starts the loops and begins to load what was saved: until that is there clients are told
// LOADING.
func (srv *Server) Start() error {
	v := srv.cfg.Values()
	srv.log.Info(fmt.Sprintf("Fulmen version=%s, pid=%d, %d shards, %d event loops, just started",
		Version, os.Getpid(), v.Shards, v.EventLoops))
	srv.markRole(v.PrimaryHost != "")
	srv.log.Info(fmt.Sprintf("Port: %d", v.Port))
	srv.log.Info(fmt.Sprintf(" PID: %d", os.Getpid()))
	srv.checkFileLimit(v)
	if _, err := snapshot.ParseCPUs(v.SaveCPUs); err != nil {
		srv.log.Warn("bgsave_cpulist: " + err.Error() + "; snapshots are written on any processor")
	}
	if err := reactor.CalmSysmon(srv.files); err != nil {
		srv.log.Debug(err.Error() + ": on few cores the Go runtime's monitor costs more processor time than it need " +
			"(CAP_SYS_NICE, or TimerSlackNSec=1ms in a systemd unit, would help)")
	}
	var err error
	if srv.loading.locked, err = srv.lockDir(v.Dir); err != nil {
		return err
	}
	listeners, err := listenTCP(v)
	if err != nil {
		return errors.Join(err, closeLock(srv.loading.locked))
	}
	srv.listeners = listeners
	err = srv.listenUnix(v)
	if err == nil && len(listeners) == 0 && srv.unix == nil {
		err = errors.New("Configured to not listen anywhere, exiting.")
	}
	if err != nil {
		return errors.Join(err, closeAll(listeners), closeLock(srv.loading.locked))
	}
	job, seized, err := srv.beginLoad()
	if err == nil {
		err = srv.reactor.Start()
	}
	if err != nil {
		return errors.Join(err, closeAll(listeners), srv.aof.abandon(), closeLock(srv.loading.locked))
	}
	srv.log.Info("Server initialized")
	for _, l := range srv.loops {
		l.cameRoundMs.Store(srv.set.Clock.NowMs())
		l.rl.WantTick()
	}
	if seized == nil {
		srv.followAtStart()
	}
	srv.sampler.start(srv)
	if seized != nil {
		go srv.loadAtStart(job, seized)
		srv.awaitSmallLoad()
	}
	for _, ln := range srv.listeners {
		srv.reactor.Listen(ln)
	}
	if srv.unix != nil {
		srv.reactor.Listen(srv.unix)
	}
	if err := srv.console.apply(srv, v); err != nil {
		return errors.Join(err, srv.Shutdown())
	}
	if seized == nil {
		srv.aof.warnLeftRings()
		srv.logReady()
	}
	return srv.writePidFile(v)
}

// logReady says that commands are executed now.
func (srv *Server) logReady() {
	v := srv.cfg.Values()
	if v.UnixSocket != "" {
		srv.log.Info("Ready to accept connections unix")
	}
	if v.Port != 0 {
		srv.log.Info("Ready to accept connections tcp")
	}
}

// Addr returns the address of the first TCP listener; for tests that listen on port 0.
func (srv *Server) Addr() string {
	srv.listenMu.Lock()
	defer srv.listenMu.Unlock()
	if len(srv.listeners) == 0 {
		return ""
	}
	return srv.listeners[0].Addr().String()
}

// Set returns the server's shards.
func (srv *Server) Set() *shard.Set { return srv.set }

// Shutdown stops serving, without saving: a load is waited for and a save given up, the append-only file is written out
// and synced, then listeners, connections and loops end.
func (srv *Server) Shutdown() error {
	if srv.stopping.Swap(true) {
		return nil
	}
	srv.console.close()
	srv.sampler.close()
	<-srv.loading.done
	srv.upstream.close()
	srv.aof.rewrites.close()
	srv.replication.stop()
	srv.saves.close()
	srv.migrator.close()
	err := srv.aof.close()
	srv.replication.close()
	err = errors.Join(err, srv.reactor.Stop())
	srv.scripts.running.end()
	if save := srv.saver.Running(); save != nil {
		save.Cancel()
		save.RunHeld() // nobody else is there
	}
	v := srv.cfg.Values()
	if srv.unix != nil {
		if e := srv.files.Remove(v.UnixSocket); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if v.PidFile != "" {
		srv.log.Info("Removing the pid file.")
		if e := srv.files.Remove(v.PidFile); e != nil && !errors.Is(e, os.ErrNotExist) {
			srv.log.Warn("removing the pid file: " + e.Error())
		}
	}
	return errors.Join(err, srv.space.Close(), closeLock(srv.loading.locked))
}

func (srv *Server) writePidFile(v *config.Values) error {
	if v.PidFile == "" {
		return nil
	}
	f, err := srv.files.Create(v.PidFile, 0o644)
	if err != nil {
		srv.log.Warn("Failed to write PID file: " + err.Error())
		return nil // as Redis: a server without a pid file is better than none
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err = errors.Join(err, f.Close()); err != nil {
		srv.log.Warn("Failed to write PID file: " + err.Error())
	}
	return nil
}

// Ring implements shard.Bell: the home loop of s is asked to serve its inbox.
func (srv *Server) Ring(s *shard.Shard) {
	h := srv.homes[s.ID]
	if h.rung.CompareAndSwap(false, true) {
		h.l.rl.Post(&h.Letter)
	}
}

// Deliver implements reactor.Recipient on the home loop.
func (h *homeShard) Deliver(*reactor.Loop, *reactor.Letter) {
	h.rung.Store(false)
	h.l.worker.NowNs = h.l.srv.set.Clock.NowNs()
	h.s.Serve(&h.l.worker)
}
