package server

import (
	"errors"
	"fmt"
	"sync"

	"fulmen/internal/resp"
	"fulmen/persist/snapshot"
)

// Saving. A save begins with a cut under all batons: at the place of BGSAVE, SAVE or FLUSHALL among the commands, or in
// a transaction of the server's where a save point or a schedule asks for it. The rest is the Saver's: its steps run on
// the home loops (saving.go), and it tells when it is over. One save at a time.

// saveRetryMs is how long no save is begun by itself after one that failed, as in Redis.
const saveRetryMs = 5000

// saves is the state of saving. The lock is held for a few instructions.
type saves struct {
	srv     *Server
	cut     serverTx
	limiter *snapshot.Limiter

	mu        sync.Mutex
	run       *saveRun // under way; nil: none
	rewriting bool     // the append-only file is being rewritten: no save may begin
	syncing   bool     // replicas are being sent all data: no save may begin
	next      *saveRun // was asked for by commands, and waits for the end of the one under way; nil: none
	due       bool     // cron has asked for one
	scheduled bool     // BGSAVE SCHEDULE, or BGSAVE in a transaction

	closed bool // the server ends

	// What INFO says.
	saved       int64 // changes since the start that the last good save has
	lastMs      int64 // when the last good save ended; at first when the server started
	triedMs     int64 // when the last one in the background began
	failed      bool  // the last one did
	lastSeconds int64 // the duration of the last one in the background, -1: there was none
	begun       int64
	cuts        int64 // so many in lastCutNs and …
	lastCutNs   int64
	last        snapshot.Progress // of the last one that ended
	heldBack    int64             // how often writers had to wait
}

// saveRun is a save that is under way or waits for its turn.
type saveRun struct {
	foreground bool // whoever asked for it waits
	flush      bool // FLUSHALL asked for it: it doesn't count
	held       bool // all batons are held to its end: nobody else has a use for the disk, and it goes at full speed
	beganMs    int64
	dirty      int64 // changes since the start, at the cut
	save       *snapshot.Save
	done       []func(err error) // called when it is over, on a goroutine of the save's
}

// note has done called at the end; nil: nobody waits.
func (r *saveRun) note(done func(err error)) {
	if done != nil {
		r.done = append(r.done, done)
	}
}

func (v *saves) init(srv *Server) {
	v.srv = srv
	v.lastMs, v.lastSeconds = srv.startMs, -1
	v.cut.init(srv)
	v.limiter = snapshot.NewLimiter(srv.cfg.Values().SaveBytesPerSecond, srv.set.Clock)
	srv.saver.SetBudget(srv.cfg.Values().SaveBufferBytes)
}

// dirty returns the number of changes since the start; all batons are held.
func (srv *Server) dirty() (n int64) {
	for _, s := range srv.set.Shards {
		n += s.Stats.Dirty
	}
	return n
}

// begin makes the cut of a save unless one is under way; all batons are held. An error is resp.ErrSaving, or says why
// there is no save.
func (v *saves) begin(run *saveRun) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.takenLocked() {
		return resp.ErrSaving
	}
	return v.beginLocked(run)
}

func (v *saves) beginLocked(run *saveRun) error {
	srv := v.srv
	if v.closed {
		return errClosing
	}
	run.beganMs, run.dirty = srv.set.Clock.NowMs(), srv.dirty()
	if !run.flush {
		v.begun++
	}
	if !run.foreground {
		v.triedMs = run.beganMs
		v.scheduled = false
	}
	limiter := v.limiter
	if run.held {
		limiter = nil
	}
	var err error
	run.save, err = srv.saver.Begin(snapshot.Request{
		Sinks: []snapshot.Sink{srv.snapshotSink(limiter)}, Aux: srv.savedAux(run.beganMs, run.flush && !run.held),
		Functions: srv.functions.codes(), CPUs: srv.cfg.Values().SaveCPUs, Done: v.finished,
	})
	if err != nil {
		if !run.foreground {
			v.setFailed(true)
		}
		srv.log.Warn("Can't save: " + err.Error())
		return err
	}
	v.run = run
	v.noteCutLocked(run.save.Progress().CutNs, run.beganMs)
	srv.aof.applyPolicy()
	if !run.foreground {
		srv.log.Info("Background saving started")
	}
	return nil
}

// noteCut notes how long a cut has taken.
func (v *saves) noteCut(ns, atMs int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noteCutLocked(ns, atMs)
}

func (v *saves) noteCutLocked(ns, atMs int64) {
	v.cuts++
	v.lastCutNs = ns
	v.srv.observation.latency.add("fork", ns, atMs)
}

// finished is called by the save that was under way when it is over; another one may begin.
func (v *saves) finished(r snapshot.Result) {
	srv := v.srv
	v.mu.Lock()
	run := v.run
	v.run = nil
	now := srv.set.Clock.NowMs()
	v.last = r.Progress
	v.heldBack += r.Waits
	cancelled := errors.Is(r.Err, snapshot.ErrCancelled)
	switch {
	case r.Err == nil:
		v.saved, v.lastMs = run.dirty, now
		v.setFailed(false)
	case !cancelled && !run.foreground:
		v.setFailed(true) // in the foreground its asker is told
	}
	if !run.foreground {
		v.lastSeconds = (now - run.beganMs) / 1000
	}
	if cancelled && v.next != nil {
		// FLUSHALL came in between; its save is theirs as well.
		v.next.done = append(v.next.done, run.done...)
		run.done = nil
	}
	again := v.next != nil
	v.mu.Unlock()
	srv.aof.applyPolicy()
	srv.gate.update()
	v.logEnd(run, &r, cancelled)
	for _, done := range run.done {
		done(r.Err)
	}
	if again {
		v.cut.run(v.beginAsked, nil)
	}
}

func (v *saves) logEnd(run *saveRun, r *snapshot.Result, cancelled bool) {
	log := v.srv.log
	switch {
	case r.Err == nil:
		log.Info(fmt.Sprintf("DB saved on disk: %d keys, %d bytes, %.3f s; the cut took %d us, writers copied %d kb",
			r.Saved, r.Bytes, float64(r.ElapsedNs)/1e9, r.CutNs/1000, r.CopiedBytes>>10))
		if !run.foreground {
			log.Info("Background saving terminated with success")
		}
	case cancelled:
		log.Warn("Saving was given up")
	default:
		log.Warn("Error saving DB on disk: " + r.Err.Error())
		if !run.foreground {
			log.Warn("Background saving error")
		}
	}
}

// ask begins a save whose asker waits, or has it wait for the end of another such; all batons are held. In the
// background somebody else's save may be under way: resp.ErrSaving.
func (v *saves) ask(done func(err error)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.takenLocked() {
		run := &saveRun{foreground: true}
		run.note(done)
		return v.beginLocked(run)
	}
	if v.run != nil && !v.run.foreground {
		return resp.ErrSaving
	}
	v.wait(done)
	return nil
}

// wait has a save follow the one under way, for which done waits as well as others that came before; with the lock.
func (v *saves) wait(done func(err error)) {
	if v.next == nil {
		v.next = &saveRun{foreground: true}
	}
	v.next.note(done)
}

// beginAsked begins the save that waited for the end of another one, or that cron found due; all batons are held.
func (v *saves) beginAsked(*loop) {
	v.mu.Lock()
	run := v.next
	if v.takenLocked() || run == nil && (!v.due || v.srv.isLoading()) {
		v.mu.Unlock()
		return // the end of that one comes back to it
	}
	if run == nil {
		run = &saveRun{}
	}
	v.next, v.due = nil, false
	err := v.beginLocked(run) // in the log and in INFO
	v.mu.Unlock()
	if err != nil {
		for _, done := range run.done {
			done(err)
		}
	}
}

// emptied follows FLUSHALL, all batons being held: a save under way is given up, since it would bring back what was
// removed, and where there are save points the empty data is saved. It reports whether done, if any, will be called.
func (v *saves) emptied(done func(err error)) bool {
	wanted := len(v.srv.cfg.Values().SavePoints) > 0
	if wanted {
		v.srv.aof.rewrites.cancel(true) // it begins again
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.rewriting || v.syncing { // a replica learns of it from the stream
		if wanted {
			v.wait(done)
		}
		return wanted
	}
	if v.run != nil {
		v.srv.log.Warn("There is a save under way. Giving it up!")
		v.run.save.Cancel()
		if wanted {
			v.wait(done)
		}
		return wanted
	}
	run := &saveRun{foreground: true, flush: true}
	run.note(done)
	return wanted && v.beginLocked(run) == nil
}

// underWay tells whether a save is, or the like for replicas.
func (v *saves) underWay() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.run != nil || v.syncing
}

// takenLocked tells whether something walks the data, or is about to; with the lock.
func (v *saves) takenLocked() bool { return v.run != nil || v.rewriting || v.syncing }

// claimSync has nothing else begin a walk until unclaimSync; false: something walks already, or the server ends.
func (v *saves) claimSync() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.takenLocked() || v.closed {
		return false
	}
	v.syncing = true
	return true
}

// unclaimSync ends claimSync, and has saves begin that have waited.
func (v *saves) unclaimSync() {
	v.mu.Lock()
	v.syncing = false
	again := v.next != nil
	v.mu.Unlock()
	if again {
		v.cut.run(v.beginAsked, nil)
	}
}

// whenIdle has fn called when no save is under way: now, or on a goroutine of the save's.
func (v *saves) whenIdle(fn func()) {
	v.mu.Lock()
	if v.run != nil {
		v.run.note(func(error) { fn() })
		fn = nil
	}
	v.mu.Unlock()
	if fn != nil {
		fn()
	}
}

// schedule has a save begun soon.
func (v *saves) schedule() {
	v.mu.Lock()
	v.scheduled = true
	v.mu.Unlock()
}

// cron begins a save if a save point or a schedule asks for it, or somebody has waited for the end of another one and
// that could not ask for the batons, since they had been asked for already. Every 100 ms, on the sampler's goroutine.
func (v *saves) cron() {
	srv := v.srv
	if srv.isLoading() {
		return
	}
	now := srv.set.Clock.NowMs()
	dirty := srv.publishedDirty()
	v.mu.Lock()
	idle, asked := !v.takenLocked(), v.next != nil
	due := idle && (!v.failed || now/1000-v.triedMs/1000 > saveRetryMs/1000)
	reason := ""
	if due && !v.scheduled {
		due = false
		for _, p := range srv.cfg.Values().SavePoints {
			if dirty-v.saved >= p.Changes && now/1000-v.lastMs/1000 > p.Seconds {
				due = true
				reason = fmt.Sprintf("%d changes in %d seconds. Saving...", p.Changes, p.Seconds)
				break
			}
		}
	}
	v.due = due
	v.mu.Unlock()
	if !due && !(idle && asked) || !v.cut.run(v.beginAsked, nil) {
		return
	}
	if reason != "" {
		srv.log.Info(reason)
	}
}

// publishedDirty is dirty as of a few milliseconds ago. Safe from any goroutine.
func (srv *Server) publishedDirty() (n int64) {
	for _, s := range srv.set.Shards {
		st, _ := s.PublishedStats()
		n += st.Dirty
	}
	return n
}

// lastSaveMs is when the last good save ended.
func (v *saves) lastSaveMs() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lastMs
}
