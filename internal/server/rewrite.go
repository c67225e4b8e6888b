package server

import (
	"errors"
	"fmt"
	"sync"

	"fulmen/internal/config"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/snapshot"
	"fulmen/replica"
)

// Rewrites of the append-only file. One is a save whose files become BASE (package aof, rewrite.go, has the protocol):
// a goroutine of its own makes the new files and commits the manifest that names them, then asks for all batons and
// makes the cut; the Saver does the rest, and its end is that of the rewrite. There is one walk at a time, so a rewrite
// and a save wait for each other: saves.rewriting.
//
// Turning the append-only file on while the server runs is a rewrite with files that no manifest names before the end;
// what is logged until then is promised to nobody, and nothing waits for it. Turning it off takes the same goroutine:
// it has what is written synced, and with all batons the rest.

// rewrites is the state of rewriting. The lock is held for a few instructions; that of saves is taken before it.
type rewrites struct {
	srv *Server
	tx  serverTx

	switched chan struct{} // of length 1: the Writer has told something

	mu        sync.Mutex
	run       *rewriteRun // under way; nil: none
	scheduled bool        // one is to begin when it can
	closed    bool

	// What INFO says.
	failed      bool  // the last one did
	failures    int64 // in a row
	begun       int64
	lastSeconds int64 // -1: there was none
	lastCopied  int64
	retryMinute int64 // how long automatic ones are held off after failures …
	retryMs     int64 // … and until when; 0: they are not
}

// rewriteRun is a rewrite that is under way, or something else that none may begin beside.
type rewriteRun struct {
	other    bool // it makes no BASE: it is the end of the append-only file, or hold
	forSync  bool // … which is to begin again
	logs     bool // there is an append-only file, or it begins; else a rewrite makes a BASE and no more
	beganMs  int64
	w        *aof.Writer // of an append-only file that begins; nil: there is one, or there is to be none
	ring     *log.Ring   // of the life that begins with it; nil: there is none
	anew     *aof.Manifest
	prepared bool               // the Rewriter has to be told of the end
	told     func(error)        // of how it has begun; nil: nobody waits
	quit     chan struct{}      // closed: it is given up
	over     chan struct{}      // closed: it has ended
	progress *snapshot.Progress // of a save that has ended

	// With the lock.
	save    *snapshot.Save // nil: the cut has not been made
	cutting bool           // the work under all batons has begun
	left    bool           // it is not to begin any more
	gone    bool           // quit is closed
}

var errGivenUp = errors.New("it was given up")

// givenUp tells whether that is why a run has ended.
func givenUp(err error) bool {
	return errors.Is(err, errGivenUp) || errors.Is(err, snapshot.ErrCancelled)
}

// retryMost bounds for how many minutes automatic rewrites are held off; they are from the third failure on.
const (
	retryMost     = 60
	failuresTaken = 3
	retryOwedMs   = 2_000 // while the append-only file is owed
)

func (v *rewrites) init(srv *Server) {
	v.srv, v.lastSeconds = srv, -1
	v.switched = make(chan struct{}, 1)
	v.tx.init(srv)
}

// start begins a run, unless something else is under way; until its end no save begins. told, if not nil, is called on
// another goroutine when the rewrite has begun, or has failed to.
func (v *rewrites) start(run *rewriteRun, told func(error)) bool {
	run.beganMs, run.told = v.srv.set.Clock.NowMs(), told
	run.quit, run.over = make(chan struct{}), make(chan struct{})
	if !v.claim(run) {
		return false
	}
	go v.carryOut(run)
	return true
}

// claim makes run the one that is under way; false: there is another one, or a save, or the server ends.
func (v *rewrites) claim(run *rewriteRun) bool {
	saves := &v.srv.saves
	saves.mu.Lock()
	defer saves.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if saves.takenLocked() || saves.closed || v.closed {
		return false
	}
	saves.rewriting, v.run = true, run
	if !run.other {
		v.scheduled = false
		v.begun++
	}
	return true
}

// unclaim ends claim, and has saves begin that have waited.
func (v *rewrites) unclaim() {
	saves := &v.srv.saves
	saves.mu.Lock()
	v.mu.Lock()
	saves.rewriting, v.run = false, nil
	again := saves.next != nil
	v.mu.Unlock()
	saves.mu.Unlock()
	if again {
		saves.cut.run(saves.beginAsked, nil)
	}
}

// hold has nothing begin while work is done, which is given the run that is under way instead: it may be given up, too.
// All batons are held, and nothing is under way.
func (v *rewrites) hold(work func(run *rewriteRun) error) error {
	run := &rewriteRun{other: true, quit: make(chan struct{}), over: make(chan struct{})}
	if !v.claim(run) {
		return errors.New("a save or a rewrite has just begun")
	}
	err := work(run)
	v.unclaim()
	close(run.over)
	return err
}

// carryOut is the goroutine of a run up to its cut.
func (v *rewrites) carryOut(run *rewriteRun) {
	v.srv.processors.add(1)
	defer v.srv.processors.add(-1)
	if run.other {
		v.end(run, v.turnOff(run))
		return
	}
	err := v.prepare(run)
	if err == nil {
		err = v.underBatons(run, func() error { return v.cut(run) })
	}
	if err != nil {
		v.end(run, err)
	} else {
		v.srv.log.Info("Background append only file rewriting started")
	}
	if run.told != nil {
		run.told(err)
	}
}

// prepare makes the files that the rewrite goes on with.
func (v *rewrites) prepare(run *rewriteRun) error {
	srv := v.srv
	a := &srv.aof
	w := a.writer.Load()
	if w == nil {
		return v.prepareAnew(run)
	}
	for {
		err := a.rewriter.Load().Prepare(w, srv.set.Clock.NowMs())
		if err == nil {
			run.prepared = true
			return nil
		}
		if err != aof.ErrBusy || !v.awaitSwitch(run, w) {
			return err
		}
	}
}

// awaitSwitch waits until what is before the last cut is synced; false: it can't be, or the rewrite is given up.
func (v *rewrites) awaitSwitch(run *rewriteRun, w *aof.Writer) bool {
	return v.awaitWriter(run, w, func() bool { return !w.Switching() })
}

// awaitWriter waits until the Writer has come somewhere; false: it fails, or the run is given up.
func (v *rewrites) awaitWriter(run *rewriteRun, w *aof.Writer, there func() bool) bool {
	for !there() {
		if w.Err() != nil {
			return false
		}
		select {
		case <-v.switched:
		case <-run.quit:
			return false
		}
	}
	return true
}

// noteAdvance is told what the Writer tells.
func (v *rewrites) noteAdvance() {
	select {
	case v.switched <- struct{}{}:
	default:
	}
}

// prepareAnew makes the files of an append-only file that begins.
func (v *rewrites) prepareAnew(run *rewriteRun) error {
	srv := v.srv
	a := &srv.aof
	if err := a.lockOnce(); err != nil {
		return err
	}
	r := a.rewriter.Load()
	if r == nil {
		old, err := a.readOld()
		if err == nil && old == nil {
			err = a.checkUnnamed()
		}
		if err != nil {
			return err
		}
		if old != nil {
			srv.log.Warn("There is an append-only file that was not loaded. What is in memory takes its place: " +
				aof.ManifestName(a.dir, a.name))
		}
		r = a.newRewriter(old)
	}
	run.anew = srv.newManifest()
	if old := r.Manifest(); old != nil {
		run.anew.DirID = old.DirID
		run.anew.Last().Number = old.Last().Number + 1
	}
	if run.logs {
		run.ring = a.makeRing(run.anew)
		run.w = a.openWriter(run.anew, run.ring == nil)
	}
	if err := r.PrepareAnew(run.w, run.anew, srv.set.Clock.NowMs()); err != nil {
		return err
	}
	a.rewriter.Store(r)
	run.prepared = true
	return nil
}

// underBatons has work done with all batons, on the first loop, and returns what it returns.
func (v *rewrites) underBatons(run *rewriteRun, work func() error) error {
	done := make(chan error, 1)
	begun := v.tx.run(func(*loop) {
		v.mu.Lock()
		run.cutting = !run.left
		goes := run.cutting
		v.mu.Unlock()
		if goes {
			done <- work()
		}
	}, nil)
	if !begun {
		return errGivenUp // the batons that one before has asked for are still to come
	}
	select {
	case err := <-done:
		return err
	case <-run.quit:
	}
	v.mu.Lock()
	run.left = !run.cutting
	left := run.left
	v.mu.Unlock()
	if left {
		return errGivenUp
	}
	return <-done
}

// cut makes the cut; all batons are held.
func (v *rewrites) cut(run *rewriteRun) error {
	srv := v.srv
	a, l := &srv.aof, srv.set.Log
	r := a.rewriter.Load()
	if run.anew != nil {
		if old := r.Manifest(); old != nil && old.Last().EndLSN > l.LSN() && !l.Active() {
			l.SetLSN(old.Last().EndLSN)
		}
		// Also of a log that replicas read already: its frames of before are not in the files.
		l.UseRing(nil)
		l.SetIncarnation(run.anew.Last().Number)
		l.UseRing(run.ring)
		if !l.Active() && !srv.following() {
			srv.replication.setHistory(replica.NewHistory()) // data may have changed unseen
		}
	}
	var hold *log.Hold
	if run.anew == nil || run.w != nil {
		hold = l.Attach()
		defer hold.Close()
	}
	values, nowMs := srv.cfg.Values(), srv.set.Clock.NowMs()
	save, err := srv.saver.Begin(snapshot.Request{
		Sinks: []snapshot.Sink{v.sink(run)}, Aux: srv.baseAux(nowMs), Functions: srv.functions.codes(),
		CPUs: values.AOFRewriteCPUs,
		Done: func(result snapshot.Result) {
			run.progress = &result.Progress
			v.end(run, result.Err)
		},
	})
	if err != nil {
		return err
	}
	at := srv.replication.place()
	if err := r.Cut(hold, at.lsn, nowMs, at.stamp); err != nil {
		save.Cancel() // its end is that of the rewrite
		srv.log.Warn("The append-only file can't be begun: " + err.Error())
	}
	srv.saves.noteCut(save.Progress().CutNs, nowMs)
	v.mu.Lock()
	run.save = save
	gone := run.gone
	v.mu.Unlock()
	if gone {
		save.Cancel()
	}
	a.applyPolicy()
	return nil
}

// sink is where BASE goes.
func (v *rewrites) sink(run *rewriteRun) *snapshot.SegmentSink {
	a := &v.srv.aof
	r, format := a.rewriter.Load(), a.baseFormat()
	commit := func(_ *snapshot.Cut, segments []snapshot.Segment) error {
		if w := a.writer.Load(); w != nil {
			v.awaitSwitch(run, w) // what becomes history is to be whole, if the disk lets it
		}
		bases := make([]aof.BaseFile, len(segments))
		for i, s := range segments {
			bases[i] = aof.BaseFile{Format: format, SizeBytes: s.SizeBytes, CRC64: s.CRC64, Keys: s.Keys}
		}
		return r.Install(bases)
	}
	return a.segmentSink(r.BasePaths(len(v.srv.set.Shards), format), format, v.srv.saves.limiter, commit, r.Doubtful)
}

// end ends a run: that of the save, or before the cut.
func (v *rewrites) end(run *rewriteRun, err error) {
	srv := v.srv
	a := &srv.aof
	if err != nil && run.w != nil {
		if closeErr := run.w.Close(); closeErr != nil {
			srv.log.Debug("the files of an append-only file that was not begun", "error", closeErr)
		}
	}
	if err != nil && run.prepared {
		a.rewriter.Load().Abandon()
	}
	if err == nil && run.w != nil {
		a.writer.Store(run.w)
		srv.gate.renew(run.w)
	}
	if err != nil && run.ring != nil {
		// It stays in use until the next one takes its place, but nobody will read it.
		if closeErr := run.ring.Close(); closeErr != nil {
			srv.log.Warn("the ring of an append-only file that was not begun: " + closeErr.Error())
		}
	}
	v.note(run, err)
	if err != nil && run.logs && !a.enabled() && !givenUp(err) {
		a.noteUnbegun(err)
	}
	a.renew(srv.cfg.Values())
	if a.enabled() {
		a.begun() // the gate knows
	}
	v.unclaim()
	close(run.over)
	if err == nil {
		v.cron() // what is wanted may have changed meanwhile
	}
}

// note keeps what INFO says of a run, and logs it.
func (v *rewrites) note(run *rewriteRun, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if run.other {
		return
	}
	log := v.srv.log
	now := v.srv.set.Clock.NowMs()
	if run.progress != nil {
		v.lastSeconds = (now - run.beganMs) / 1000
		v.lastCopied = run.progress.CopiedBytes
	}
	switch {
	case err == nil:
		v.failed, v.failures, v.retryMinute, v.retryMs = false, 0, 0, 0
		p := run.progress
		log.Info(fmt.Sprintf("Background AOF rewrite finished successfully: %d keys, %d bytes, %.3f s; the cut took "+
			"%d us", p.Saved, p.Bytes, float64(p.ElapsedNs)/1e9, p.CutNs/1000))
	case givenUp(err):
		log.Warn("Background AOF rewrite was given up")
	default:
		v.failed = true
		v.failures++
		state := "the append-only file goes on with the files that it has"
		if !v.srv.aof.enabled() {
			state = "there is no append-only file yet"
		}
		log.Warn("Background AOF rewrite failed; " + state + ": " + err.Error())
		switch {
		case v.failures < failuresTaken:
		case v.srv.aof.owed.Load(): // writes are refused meanwhile
			v.retryMs = now + retryOwedMs
		default:
			v.retryMinute = min(max(2*v.retryMinute, 1), retryMost)
			v.retryMs = now + v.retryMinute*60_000
			log.Warn(fmt.Sprintf("Background AOF rewrite has repeatedly failed and triggered the limit, will retry "+
				"in %d minutes", v.retryMinute))
		}
		v.scheduled = v.scheduled || v.srv.aof.wantsTurn() // as soon as the limit allows
	}
}

// turnOff ends the append-only file.
func (v *rewrites) turnOff(run *rewriteRun) error {
	srv := v.srv
	a := &srv.aof
	w := a.writer.Load()
	if w == nil {
		return nil
	}
	var ring *log.Ring
	var at place
	lsn := srv.set.Log.LSN()
	w.Sync(lsn)
	// If it can't be, closing tells. There is little left to do then with all batons.
	v.awaitWriter(run, w, func() bool { return w.SyncedLSN() >= lsn })
	err := v.underBatons(run, func() error {
		err := w.Close()
		at = srv.replication.place()
		a.writer.Store(nil)
		a.unsynced.end()
		if run.forSync {
			a.owed.Store(true)
			a.holdWrites()
		}
		ring = srv.set.Log.Ring()
		srv.set.Log.UseRing(nil)
		return err
	})
	if err == nil {
		err = a.commitEnd(at)
	}
	if ring != nil {
		err = errors.Join(err, ring.Close())
	}
	switch {
	case errors.Is(err, errGivenUp):
		return err
	case err != nil:
		srv.log.Warn("The append-only file was turned off, but could not be ended properly: " + err.Error())
	default:
		srv.log.Info("The append-only file was turned off")
	}
	return nil
}

// giveUp gives up what is under way and waits for its end; again has it begin again later. If held, the caller has all
// batons. It reports whether there was something.
func (v *rewrites) giveUp(held, again bool) bool {
	run, save := v.cancel(again)
	if run == nil {
		return false
	}
	if save != nil && held {
		save.RunHeld()
	}
	<-run.over
	return true
}

// cancel is giveUp without the wait; it returns what is given up, if there is something, and its save, if it has one.
func (v *rewrites) cancel(again bool) (*rewriteRun, *snapshot.Save) {
	v.mu.Lock()
	run := v.run
	if run == nil {
		v.mu.Unlock()
		return nil, nil
	}
	v.scheduled = v.scheduled || again && !run.other
	if !run.gone {
		run.gone = true
		close(run.quit)
	}
	save := run.save
	v.mu.Unlock()
	if save != nil {
		save.Cancel()
	}
	return run, save
}

// close gives up what is under way; nothing begins any more.
func (v *rewrites) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.giveUp(false, false)
}

// underWay tells whether a rewrite is.
func (v *rewrites) underWay() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.run != nil && !v.run.other
}

// busy tells whether something is under way that a save has to wait for.
func (v *rewrites) busy() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.run != nil
}

// unschedule has nothing begin that was asked for.
func (v *rewrites) unschedule() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.scheduled = false
}

// schedule has a rewrite begun when it can; asked tells whether somebody has asked for it, whom no limit holds off.
func (v *rewrites) schedule(asked bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.scheduled = true
	if asked {
		v.failures, v.retryMs, v.retryMinute = 0, 0, 0
	}
}

// cron begins what is due: the append-only file's beginning or end, a rewrite that was asked for, or one because it has
// grown. Every 100 ms, on the sampler's goroutine, and after each run.
func (v *rewrites) cron() {
	srv := v.srv
	a := &srv.aof
	if srv.isLoading() {
		return
	}
	if a.owed.Load() && !srv.cfg.Values().AppendOnly {
		a.begun()
	}
	wanted := a.wanted()
	v.mu.Lock()
	idle := v.run == nil && !v.closed
	now := srv.set.Clock.NowMs()
	limited := v.retryMs > now
	scheduled := v.scheduled && !limited
	v.mu.Unlock()
	switch {
	case !idle:
	case !wanted && a.enabled():
		v.start(&rewriteRun{other: true, forSync: a.syncing.Load()}, nil)
	case scheduled, wanted && !a.enabled() && !limited:
		v.start(&rewriteRun{logs: wanted}, nil)
	case a.enabled() && !limited:
		if growth, due := v.grown(); due && v.start(&rewriteRun{logs: true}, nil) {
			srv.log.Info(fmt.Sprintf("Starting automatic rewriting of AOF on %d%% growth", growth))
		}
	}
}

// grown tells whether the append-only file has grown so much that it is to be rewritten, and by how many percent.
func (v *rewrites) grown() (growth int64, due bool) {
	values, w := v.srv.cfg.Values(), v.srv.aof.writer.Load()
	if w == nil || values.AutoAOFRewritePercentage == 0 {
		return 0, false
	}
	st := w.Stats()
	growth = st.CurrentBytes*100/max(st.BaseBytes, 1) - 100
	return growth, st.CurrentBytes > values.AutoAOFRewriteMinBytes && growth >= values.AutoAOFRewritePercentage
}

// rewriteFigures are what INFO says of rewrites.
type rewriteFigures struct {
	running, scheduled, failed  bool
	begun, failures             int64
	lastSeconds, currentSeconds int64 // -1: there is none
	lastCopied                  int64
	progress                    *snapshot.Progress // nil: no cut was made
}

func (v *rewrites) figures() rewriteFigures {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := rewriteFigures{
		scheduled: v.scheduled, failed: v.failed, begun: v.begun, failures: v.failures, lastSeconds: v.lastSeconds,
		currentSeconds: -1, lastCopied: v.lastCopied,
	}
	if v.run != nil && !v.run.other {
		f.running = true
		f.currentSeconds = (v.srv.set.Clock.NowMs() - v.run.beganMs) / 1000
		if v.run.save != nil {
			p := v.run.save.Progress()
			f.progress = &p
		}
	}
	return f
}

// resetStats follows CONFIG RESETSTAT.
func (v *rewrites) resetStats() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun, v.failures = 0, 0
}

// retention is how long history is kept.
func retention(v *config.Values) aof.Retain {
	return aof.Retain{Bytes: v.AOFHistoryBytes, Seconds: v.AOFHistorySeconds}
}

// trimEveryMs is how often history is looked at.
const trimEveryMs = 10_000

// trim lets go of history whose time is over. It is the sampler's.
func (a *appendOnly) trim(nowMs int64) {
	r := a.rewriter.Load()
	if r == nil || nowMs-a.trimmedMs < trimEveryMs {
		return
	}
	a.trimmedMs = nowMs
	if err := r.Trim(nowMs); err != nil {
		a.srv.log.Warn("old append-only files can't be let go of: " + err.Error())
	}
}
