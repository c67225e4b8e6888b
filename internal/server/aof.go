package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/reactor"
	"fulmen/shard"
)

// appendOnly is the append-only file as the server has it. It is begun before anybody is served, with all batons
// (aofstart.go), and ended with all batons again when the server ends. In between the Writer goes its way, and tells
// how far it is: advanced. Rewrites (rewrite.go) also turn it on and off while the server runs: they make the Writer
// and the manifest, and the rest follows what is in writer.
type appendOnly struct {
	srv *Server

	// Atomic.
	policy  atomic.Int32                // aof.Policy
	writer  atomic.Pointer[aof.Writer]  // nil: there is no append-only file
	refusal atomic.Pointer[resp.Error]  // of writes, because the Writer fails
	waits   atomic.Pointer[[]*syncWait] // of WAIT and WAITAOF; replaced as a whole, with mu
	syncing atomic.Bool                 // see endForSync
	owed    atomic.Bool                 // it ended for a sync, and nothing has taken its place: see holdWrites
	unbegun atomic.Pointer[error]       // why it could not be begun when that was last tried; nil: it could

	unsynced unsyncedKeys // while the Writer fails

	rewriter atomic.Pointer[aof.Rewriter] // keeps the manifest; nil: none was read or made
	rewrites rewrites
	index    *aof.Index // of the files; immutable

	trimmedMs int64 // the sampler's: when history was looked at

	policyMu sync.Mutex // held while policy follows what decides on it
	fsync    aof.Policy // appendfsync
	lax      bool       // no-appendfsync-on-rewrite

	mu     sync.Mutex
	dir    string    // of the files
	name   string    // appendfilename
	locked io.Closer // of dir
}

func (a *appendOnly) init(srv *Server, v *config.Values) {
	a.srv, a.index = srv, aof.NewIndex()
	a.rewrites.init(srv)
	a.unsynced.srv = srv
	a.fsync, a.lax = aof.Policy(v.AppendFsync), v.NoFsyncOnRewrite
	a.policy.Store(int32(a.fsync))
	a.waits.Store(&[]*syncWait{})
}

// enabled tells whether there is an append-only file.
func (a *appendOnly) enabled() bool { return a.writer.Load() != nil }

// apply follows CONFIG SET.
func (a *appendOnly) apply(v *config.Values) {
	a.policyMu.Lock()
	a.fsync, a.lax = aof.Policy(v.AppendFsync), v.NoFsyncOnRewrite
	a.policyMu.Unlock()
	a.renew(v)
}

// renew follows changes of what there is: the Writer, the Rewriter, a save under way.
func (a *appendOnly) renew(v *config.Values) {
	if r := a.rewriter.Load(); r != nil {
		r.SetRetain(retention(v))
	}
	a.applyPolicy()
	a.advanced()
}

// tellTime has the log say what time it is, if aof-timestamp-enabled wants it: every 100 ms, which is when that
// parameter takes effect, too. Safe from any goroutine.
func (a *appendOnly) tellTime() {
	a.mu.Lock()
	defer a.mu.Unlock()
	sec := int64(0)
	if a.srv.cfg.Values().AOFTimestamp && a.enabled() {
		sec = a.srv.set.Clock.NowMs() / 1000
	}
	a.srv.set.Log.SetTime(sec)
}

// applyPolicy has the Writer follow appendfsync or, while the disk is busy with a save or a rewrite and
// no-appendfsync-on-rewrite allows it, not sync at all: then all is as if that were no. What the parameters are apply
// knows before the configuration does: a save may end in between.
func (a *appendOnly) applyPolicy() {
	a.policyMu.Lock()
	defer a.policyMu.Unlock()
	policy := a.fsync
	if a.lax && a.srv.saver.Running() != nil {
		policy = aof.No
	}
	a.policy.Store(int32(policy))
	w := a.writer.Load()
	if w == nil {
		return
	}
	w.SetPolicy(policy)
	if policy != aof.No {
		return
	}
	for _, wait := range *a.waits.Load() { // that have begun under another policy; see beginSyncWait
		if wait.local {
			w.Sync(wait.lsn)
		}
	}
}

// turn follows CONFIG SET appendonly. What takes time is done by a goroutine, now or, if something else is under way,
// soon: rewrites.cron does what the parameter wants.
func (a *appendOnly) turn(on bool) error {
	if a.srv.isLoading() {
		return nil
	}
	v := &a.rewrites
	if !on {
		v.unschedule()
		if run, _ := v.cancel(false); run == nil && a.enabled() {
			v.start(&rewriteRun{other: true}, nil)
		}
		return nil
	}
	if a.enabled() {
		return nil
	}
	if err := a.checkTurnOn(); err != nil {
		a.srv.log.Warn("The append-only file can't be turned on: " + err.Error())
		return errors.New("Unable to turn on AOF. Check server logs.")
	}
	if a.syncing.Load() {
		return nil // rewrites.cron, when that is over
	}
	if !v.start(&rewriteRun{logs: true}, nil) {
		a.srv.log.Info("AOF was enabled but there is already another background operation. An AOF background was " +
			"scheduled to start when possible.")
		v.schedule(true)
	}
	return nil
}

// checkTurnOn refuses at once what a rewrite that begins an append-only file would refuse.
func (a *appendOnly) checkTurnOn() error {
	if err := a.lockOnce(); err != nil {
		return err
	}
	if _, err := a.readOld(); err != nil && a.rewriter.Load() == nil { // else what is there is of this life
		return err
	}
	return a.tryFile()
}

// tryFile finds out whether a file can be made in the directory of the append-only file.
func (a *appendOnly) tryFile() error {
	name := filepath.Join(a.dir, fmt.Sprintf("temp-rewriteaof-%d.aof", os.Getpid())) // as Redis has it
	file, err := a.srv.files.Create(name, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), a.srv.files.Remove(name))
}

// unwrittenBytes is how much of what was logged is in no file yet.
func (a *appendOnly) unwrittenBytes() int64 {
	w := a.writer.Load()
	if w == nil {
		return 0
	}
	written := w.WrittenLSN() // before the end is looked up, which goes on meanwhile
	return int64(a.srv.set.Log.Contiguous() - written)
}

// wantsTurn tells whether the append-only file is to be turned on.
func (a *appendOnly) wantsTurn() bool { return a.wanted() && !a.enabled() }

// wanted tells whether there is to be an append-only file now. There is none while a replica receives everything anew.
func (a *appendOnly) wanted() bool { return a.srv.cfg.Values().AppendOnly && !a.syncing.Load() }

// endForSync ends the append-only file, because everything is about to be replaced beside the log, until endedForSync:
// then one begins with what there is.
func (a *appendOnly) endForSync(ctx context.Context) error {
	a.syncing.Store(true)
	for a.enabled() || a.rewrites.busy() {
		if run, _ := a.rewrites.cancel(false); run == nil {
			a.rewrites.cron()
		}
		select {
		case <-ctx.Done():
			a.syncing.Store(false)
			return ctx.Err()
		case <-time.After(syncPoll):
		}
	}
	return nil
}

// syncPoll is how often endForSync looks.
const syncPoll = 10 * time.Millisecond

func (a *appendOnly) endedForSync() {
	a.syncing.Store(false)
	a.rewrites.cron()
}

// holdWrites has writes wait until there is an append-only file again, if the last one ended for a sync and the server
// is a primary now: what a kill leaves until then is data of before. On a replica, or if it can't be begun, nobody
// waits: writes are refused. All batons are held.
func (a *appendOnly) holdWrites() {
	srv := a.srv
	if !a.owed.Load() {
		return
	}
	if srv.following() || a.unbegun.Load() != nil || srv.upstream.fault == faultWritesUnlogged {
		srv.unpause(pauseForLog)
		return
	}
	srv.log.Warn("Writes wait until the append-only file, which has ended for a full resynchronization, has begun " +
		"again. CONFIG SET appendonly no lets them go on without it.")
	srv.pausing.begin(srv, pauseForLog, pause{publishes: true, endMs: forever}, true)
}

// begun notes that there is an append-only file, or is to be none.
func (a *appendOnly) begun() {
	a.unbegun.Store(nil)
	if a.owed.Swap(false) {
		a.noteFailure()
		a.srv.unpause(pauseForLog)
	}
}

// noteUnbegun notes why it can't be begun: then writes are refused that have waited for that.
func (a *appendOnly) noteUnbegun(err error) {
	a.unbegun.Store(&err)
	if a.owed.Load() {
		a.noteFailure()
		a.srv.unpause(pauseForLog)
	}
}

// advanced is told by the Writer how far it is, or that it fails or works again. Safe from any goroutine.
func (a *appendOnly) advanced() {
	a.rewrites.noteAdvance()
	a.noteFailure()
	a.srv.gate.update()
	a.endWaits()
}

// noteFailure has writes refused while the Writer fails.
func (a *appendOnly) noteFailure() {
	if a.writerErr() == nil && a.refusal.Load() == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.writerErr() // of now: who notes last knows best
	if err == nil {
		a.srv.setRestriction(whileLogFailing, false)
		a.refusal.Store(nil)
		a.unsynced.end()
		return
	}
	a.refusal.Store(resp.ErrMisconfAOF(systemText(err)))
	a.srv.setRestriction(whileLogFailing, true)
	a.srv.wakeSaving() // who waits for room in the log
	a.followUnsynced()
}

// keepUp has unsynced follow what changes while the Writer fails, every 100 ms.
func (a *appendOnly) keepUp() {
	if a.refusal.Load() == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.followUnsynced()
}

// followUnsynced has unsynced begin, or read on, if the Writer fails; with the mutex.
func (a *appendOnly) followUnsynced() {
	if w := a.writer.Load(); w != nil && a.refusal.Load() != nil {
		a.unsynced.follow(w)
	}
}

// writerErr is what keeps the Writer from working, or from being there though writes need it; nil if nothing does.
func (a *appendOnly) writerErr() error {
	if w := a.writer.Load(); w != nil {
		return w.Err()
	}
	if err := a.unbegun.Load(); err != nil && a.owed.Load() {
		return *err
	}
	return nil
}

// systemText is what the C library says of the system's error in err.
func systemText(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	text := no.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// close writes and syncs what there is, and notes that this life has ended well. The loops still run, and get the
// replies that have waited; afterwards nothing is executed any more. If it fails, replies that have waited don't leave.
func (a *appendOnly) close() error {
	srv, w := a.srv, a.writer.Load()
	if w == nil {
		return a.unlock()
	}
	held := make(chan struct{})
	if srv.stopTx.run(func(*loop) {}, func(*shard.Seizure) { close(held) }) {
		if !srv.awaitHeld(held) {
			srv.log.Warn("A script has not ended: what it has done is lost, and the append-only file is left as " +
				"after a crash. The next start recovers what was acknowledged.")
			return a.unlock()
		}
	} // else the last save has all batons already
	srv.log.Info("Calling fsync() on the AOF file.")
	err := w.Close()
	if err == nil {
		srv.gate.update()
		srv.flushLoops()
		err = errors.Join(a.commitEnd(srv.replication.place()), a.closeRing())
	}
	if err != nil {
		srv.log.Error("The append-only file could not be ended properly; what was acknowledged is safe as far as "+
			"appendfsync promises, and the next start recovers it", "error", err)
	}
	return errors.Join(err, a.unlock())
}

// commitEnd notes in the manifest that nothing follows, and where the data is.
func (a *appendOnly) commitEnd(p place) error {
	return a.rewriter.Load().Commit(func(m *aof.Manifest) {
		m.End(p.lsn)
		p.stamp(m)
	})
}

// abandon is close before the loops run: nothing was executed.
func (a *appendOnly) abandon() error {
	var err error
	if w := a.writer.Load(); w != nil {
		if err = w.Close(); err == nil {
			err = errors.Join(a.commitEnd(a.srv.replication.place()), a.closeRing())
		}
	}
	return errors.Join(err, a.unlock())
}

func (a *appendOnly) unlock() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsynced.end()
	err := closeLock(a.locked)
	a.locked = nil
	return err
}

// flushLoops waits until all loops have read the letters that they have got so far.
func (srv *Server) flushLoops() {
	var all sync.WaitGroup
	for _, l := range srv.loops {
		p := &passing{all: &all}
		p.To = p
		all.Add(1)
		l.rl.Post(&p.Letter)
	}
	all.Wait()
}

// passing is a letter that tells when it is read.
type passing struct {
	reactor.Letter
	all *sync.WaitGroup
}

// Deliver implements reactor.Recipient.
func (p *passing) Deliver(*reactor.Loop, *reactor.Letter) { p.all.Done() }

// lockOnce is lockAppendDir, unless that was done.
func (a *appendOnly) lockOnce() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.locked != nil {
		return nil
	}
	return a.lockAppendDir()
}

// logLimits are the limits of the log's memory.
func (srv *Server) logLimits(v *config.Values) log.Limits {
	return log.Limits{MemoryBytes: v.LogMemoryBytes, BelowLimit: srv.wakeSaving}
}

// lockAppendDir makes the directory of the append-only file and takes it for this process.
func (a *appendOnly) lockAppendDir() error {
	if err := a.srv.files.MkdirAll(a.dir, 0o755); err != nil {
		return fmt.Errorf("the directory of the append-only file: %w", err)
	}
	// Its name must outlive a power cut as well as what is in it.
	if err := a.srv.files.SyncDir(filepath.Dir(a.dir)); err != nil {
		return fmt.Errorf("the directory of the append-only file: %w", err)
	}
	lock, err := a.srv.lockDir(a.dir)
	a.locked = lock
	return err
}
