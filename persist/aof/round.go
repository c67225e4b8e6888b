package aof

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// syncEveryNs is how long after the start of a sync the next one starts under everysec. It is also the longest that
	// anything waits to be written.
	syncEveryNs = int64(250 * time.Millisecond)
	// pollNs is how long what need not be written promptly may gather before somebody looks how much it is.
	pollNs = int64(20 * time.Millisecond)
	// lazyBytes is how much of it is enough to be written.
	lazyBytes = 1 << 20

	leastRetryNs = int64(50 * time.Millisecond)
	mostRetryNs  = int64(time.Second)
	closeTries   = 3

	// evacuateBlocks is how many blocks of the log are moved out of its ring at once, which takes 0.1 ms each.
	evacuateBlocks = 4

	// zeroFillBytes is how many zeros are written ahead under always.
	zeroFillBytes = 256 << 10

	forever = time.Duration(-1)
)

// retry holds off what has failed.
type retry struct{ atNs, waitNs int64 }

func (r *retry) failed(nowNs int64) {
	r.waitNs = min(max(2*r.waitNs, leastRetryNs), mostRetryNs)
	r.atNs = nowNs + r.waitNs
}

// run is the Writer's goroutine.
func (w *Writer) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !w.closing.Load() {
		var after <-chan time.Time
		switch wait := w.turn(); {
		case wait == 0:
			continue
		case wait > 0:
			timer.Reset(wait)
			after = timer.C
		}
		w.rest()
		select {
		case <-w.bell:
		case <-w.jobDone:
			w.finishJob()
		case <-after:
		}
	}
	w.closeErr = w.end()
	if w.beside {
		w.o.Beside(-1)
	}
	close(w.done)
}

// work says that system calls which may wait for the disk follow.
func (w *Writer) work() {
	if !w.beside {
		w.beside = true
		w.o.Beside(1)
	}
}

// rest says that none follow for a while. Where somebody waits for what is written, the next ones are never far.
func (w *Writer) rest() {
	if w.beside && w.lazy(Policy(w.policy.Load())) && !(w.job.running && w.job.waits) {
		w.beside = false
		w.o.Beside(-1)
	}
}

// lazy reports whether nobody waits for what is written, but for the end of the Writer and for a Sync.
func (w *Writer) lazy(policy Policy) bool { return policy != Always && !w.prompt.Load() }

// turn does what is due, and returns how long there will be nothing to do: forever until the bell rings or a job is
// done.
func (w *Writer) turn() time.Duration {
	w.nowNs = w.o.Clock.NowNs()
	policy := Policy(w.policy.Load())
	if w.next.Load() != nil {
		w.adopt()
	}
	if w.pending() == 0 {
		w.pendingNs = w.nowNs
	} else if w.unsyncedSince.Load() == 0 {
		w.unsyncedSince.Store(w.nowNs)
	}
	if w.gapErr != nil && w.noteErr() { // the policy may have changed
		w.o.Notify()
	}
	due := w.syncDue(policy)
	if w.writeDue(due || policy == Always) {
		w.writeAll(policy)
	}
	if due && w.unsynced() {
		w.sync(policy)
	}
	w.payMark()
	w.o.Log.EvacuateRing(evacuateBlocks) // what its readers have left, if a backlog keeps it
	return w.idle(policy)
}

// pending returns how many bytes of the merged stream are not written, or have to be written again.
func (w *Writer) pending() uint64 { return w.o.Log.LSN() - w.target }

// writeDue reports whether there is something to write, and it is time, which it is if now says so.
func (w *Writer) writeDue(now bool) bool {
	pending := w.pending()
	if w.writeRetry.atNs > w.nowNs || pending == 0 && !w.lost {
		return false
	}
	return now || w.lost || pending >= lazyBytes || w.prompt.Load() || w.nowNs-w.pendingNs >= syncEveryNs
}

// syncDue reports whether it is time for a sync, if there is something to sync.
func (w *Writer) syncDue(policy Policy) bool {
	if w.syncRetry.atNs > w.nowNs {
		return false
	}
	if w.wanted.Load() > w.synced.Load() || w.switching.Load() {
		return true
	}
	return policy == Always || policy == EverySec && w.nowNs-w.lastSyncNs >= syncEveryNs
}

// unsynced reports whether something was written that has not lasted.
func (w *Writer) unsynced() bool {
	return !w.lost && (w.target > w.synced.Load() || w.switching.Load())
}

// sync begins a job, and under always ends it. One that is not done yet goes on.
func (w *Writer) sync(policy Policy) {
	if w.job.running {
		if !w.job.late {
			w.job.late = true
			w.delayed.Add(1)
		}
		return
	}
	w.beginJob()
	if w.job.waits = w.syncer.Waits(len(w.job.files)); w.job.waits {
		w.work()
	}
	if policy == Always || w.inPlace {
		w.runJob()
		w.finishJob()
		return
	}
	go func() {
		w.runJob()
		w.jobDone <- struct{}{}
	}()
}

// idle returns how long to wait after all that is due was done.
func (w *Writer) idle(policy Policy) time.Duration {
	wait := forever
	until := func(atNs int64) {
		if d := time.Duration(max(atNs-w.nowNs, 1)); wait == forever || d < wait {
			wait = d
		}
	}
	if w.markOwed > 0 && !w.plant.markNever {
		until(w.markedNs + markEveryNs)
	}
	if w.syncRetry.atNs > w.nowNs {
		until(w.syncRetry.atNs)
	} else if w.unsynced() && policy == EverySec && !(w.job.running && w.job.late) {
		until(w.lastSyncNs + syncEveryNs)
	}
	if w.writeRetry.atNs > w.nowNs {
		until(w.writeRetry.atNs)
		return wait
	}
	if w.lazy(policy) && (w.unsynced() && policy != No || w.pending() > 0) {
		until(w.nowNs + pollNs)
		return wait
	}
	if !w.waiter.Park(w.target) {
		return 0
	}
	return wait
}

// writeAll writes all that is published, and reports whether that has worked.
func (w *Writer) writeAll(policy Policy) bool {
	w.work()
	lsn, readNs := w.o.Log.Contiguous(), w.nowNs // before the tails: then all below is before them
	for i := range w.streams {
		s := &w.streams[i]
		tail := s.read.Pos() + s.read.LagBytes()
		// A switch is published before what follows it in the log, so it can't be missed once that has been seen.
		if w.next.Load() != nil {
			w.adopt()
		}
		if err := s.writeTo(tail, w); err != nil {
			w.writeErr = err
			w.writeRetry.failed(w.nowNs)
			if w.noteErr() {
				w.o.Notify()
			}
			return false
		}
	}
	if w.plant.contiguousLate {
		lsn = w.o.Log.Contiguous()
	}
	w.target, w.targetNs, w.pendingNs, w.lost = lsn, readNs, readNs, false
	if policy == No || w.plant.releaseEarly {
		w.release(policy)
	}
	w.writeErr, w.writeRetry = nil, retry{}
	changed := w.noteErr()
	if lsn > w.written.Load() {
		w.written.Store(lsn)
		w.o.Log.SetWritten(lsn)
		changed = changed || policy != Always
	}
	if changed {
		w.o.Notify()
	}
	return true
}

// markLSN returns what a mark may say.
func (w *Writer) markLSN() uint64 {
	switch {
	case w.plant.markEarly:
		return w.o.Log.Contiguous()
	case w.plant.markNever:
		return 0
	}
	return w.synced.Load()
}

// zeros returns what is written ahead of the data.
func (w *Writer) zeros() []byte {
	if Policy(w.policy.Load()) != Always || w.noZeros.Load() {
		return nil
	}
	if w.zeroBytes == nil {
		w.zeroBytes = make([]byte, zeroFillBytes)
	}
	return w.zeroBytes
}

// adopt takes a switch over from who has asked for it. Nothing behind its positions was written yet.
func (w *Writer) adopt() {
	c := w.next.Load()
	for i := range w.streams {
		s := &w.streams[i]
		if s.pos > c.pos[i] {
			panic("BUG: aof: written beyond a switch")
		}
		s.switchTo(c.files[i], c.pos[i], c.lsn)
	}
	w.otherBytes.Add(w.newBytes.Swap(0))
	w.gapErr = nil
	w.switching.Store(true)
	w.next.Store(nil)
	w.retire()
}

// retire finishes files that all that belongs to them was synced in.
func (w *Writer) retire() {
	left := false
	for i := range w.streams {
		s := &w.streams[i]
		for len(s.files) > 1 && s.files[0].synced == s.files[0].end {
			w.finishFile(s.files[0])
			s.files = append(s.files[:0], s.files[1:]...)
		}
		left = left || len(s.files) > 1
	}
	if !left && w.switching.Swap(false) {
		w.o.Notify()
	}
}

// finishFile closes a file whose content is safe already.
func (w *Writer) finishFile(f *incrFile) {
	w.work()
	if err := f.finish(); err != nil {
		w.o.Logger.Warn("an append-only file that was synced could not be closed properly", "error", err)
	}
}

const errPrefix = "aof: "

// noteErr publishes what doesn't work, and reports whether that has changed.
func (w *Writer) noteErr() bool {
	now, before := cmp.Or(w.writeErr, w.syncErr), w.Err()
	if now == nil && Policy(w.policy.Load()) != No {
		now = w.gapErr
	}
	if now == nil && before == nil || now != nil && before != nil && before.Error() == errPrefix+now.Error() {
		return false
	}
	if now == nil {
		w.failed.Store(nil)
		w.o.Logger.Warn("the append-only files can be written again")
		return true
	}
	w.failed.Store(&failure{fmt.Errorf(errPrefix+"%w", now)})
	w.o.Logger.Error("the append-only files can't be written; nothing is lost, writes are refused until it works again",
		"error", now)
	return true
}
