package aof

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"fulmen/persist/vfs"
)

// job is a sync of all files that need it. While it runs its files and errs belong to the goroutine that runs it.
type job struct {
	running bool
	waits   bool   // it keeps a processor of the Go scheduler while it waits for the disk
	late    bool   // the next one was due before this one was done
	lsn     uint64 // all below will be synced
	readNs  int64  // when lsn was the contiguous LSN
	files   []vfs.File
	errs    []error
	of      []jobFile
}

// jobFile is what is synced of one file.
type jobFile struct {
	f  *incrFile
	s  *stream
	to uint64 // was written when the job began
}

// plant lets a test break what the Writer promises on purpose.
type plant struct {
	contiguousLate bool // the contiguous LSN is read after the tails
	releaseEarly   bool // the log is let go of when it is written
	ackEarly       bool // SyncedLSN is published before the sync
	trustFailed    bool // after a failed sync another one alone is enough
	newestOnly     bool // files before a switch are not synced
	markEarly      bool // the mark says what is written, not what is synced
	markNever      bool // there are no marks: as files that are lost before there was one
}

// beginJob notes what is to be synced.
func (w *Writer) beginJob() {
	j := &w.job
	j.running, j.late, j.lsn, j.readNs = true, false, w.target, w.targetNs
	clear(j.files)
	j.files, j.of, j.errs = j.files[:0], j.of[:0], j.errs[:0]
	for i := range w.streams {
		s := &w.streams[i]
		for _, f := range s.files {
			if !f.dirty() || w.plant.newestOnly && f != s.newest() {
				continue
			}
			j.files = append(j.files, f.file)
			j.of = append(j.of, jobFile{f, s, f.written})
			j.errs = append(j.errs, errNotRun)
		}
	}
	w.lastSyncNs = w.nowNs
	w.syncs.Add(1)
	w.syncing.Store(true)
	if w.plant.ackEarly {
		w.synced.Store(j.lsn)
	}
}

var (
	errNotRun = errors.New("not synced")
	errLate   = errors.New("aof: something was committed while the writer was closed")
)

// runJob syncs. It touches nothing but the job's files and errs.
func (w *Writer) runJob() { w.syncer.SyncData(w.job.files, w.job.errs) }

// finishJob takes notice of what a job has done.
func (w *Writer) finishJob() {
	j := &w.job
	j.running = false
	w.syncing.Store(false)
	w.work()
	var failed error
	for i, jf := range j.of {
		if err := j.errs[i]; err == nil {
			jf.f.synced = max(jf.f.synced, jf.to)
			jf.f.forget(cachedBytes / int64(len(w.streams)))
		} else if failed == nil {
			failed = err
		}
	}
	if failed != nil {
		w.jobFailed(failed)
		return
	}
	w.syncErr, w.syncRetry = nil, retry{}
	if j.lsn > w.synced.Load() && w.gapErr == nil {
		w.markOwed = j.lsn
		w.payMark() // before anybody is told, so that after the end of the process no mark is below what was promised
		w.synced.Store(j.lsn)
	}
	if w.o.Log.LSN() == j.lsn {
		w.unsyncedSince.Store(0)
	} else {
		w.unsyncedSince.Store(j.readNs)
	}
	w.noteErr()
	w.release(Policy(w.policy.Load()))
	w.retire()
	w.o.Notify()
}

// payMark notes in the files what was synced last, if it is time. The next sync makes the note last, or the system does
// within some seconds; of what a file has after the end of the process alone nothing needs that.
func (w *Writer) payMark() {
	if w.markOwed == 0 || w.plant.markNever {
		return
	}
	if Policy(w.policy.Load()) == Always && w.nowNs-w.markedNs < markEveryNs {
		return
	}
	for i := range w.streams {
		for _, f := range slices.Backward(w.streams[i].files) {
			if !f.headed {
				continue
			}
			if err := f.markNow(w.markOwed, w.nowNs); err != nil {
				w.o.Logger.Warn("a note of what is on the disk could not be written; the next write tries it again",
					"file", f.name, "error", err)
			}
			break
		}
	}
	w.markOwed, w.markedNs = 0, w.nowNs
}

// jobFailed goes back to what a failed sync may have lost: the system may have dropped the pages that it could not
// write and taken them for written, so that another sync would report nothing and do nothing for them. All that was
// written since the last good sync is written again, and only then synced.
func (w *Writer) jobFailed(err error) {
	w.syncErr = err
	w.syncRetry.failed(w.nowNs)
	if w.plant.trustFailed {
		return
	}
	for i, jf := range w.job.of {
		if w.job.errs[i] == nil {
			continue
		}
		if gone := jf.s.rewind(); gone > 0 {
			w.o.Logger.Error("the system could not write part of an append-only file, and what it was is no longer in "+
				"memory; it may be missing after a power cut: BGREWRITEAOF makes files without this gap",
				"file", jf.f.name, "bytes", gone, "error", err)
			w.gapErr = fmt.Errorf("%w (and a part was already gone from memory: BGREWRITEAOF is needed)", err)
		}
	}
	w.lost = true
	w.target = w.synced.Load()
	if w.noteErr() {
		w.o.Notify()
	}
}

// release lets go of what the log need not keep for the Writer: what was synced, or under no, written.
func (w *Writer) release(policy Policy) {
	for i := range w.streams {
		s := &w.streams[i]
		if policy == No || w.plant.releaseEarly {
			s.release(s.pos)
		} else {
			s.release(s.syncedTo())
		}
	}
}

// end writes and syncs all that there is, closes everything, and returns the error that has kept it from that.
func (w *Writer) end() error {
	if w.job.running {
		<-w.jobDone
		w.finishJob()
	}
	var err error
	for try := range closeTries {
		w.nowNs = w.o.Clock.NowNs()
		if w.writeAll(Policy(w.policy.Load())) {
			w.beginJob()
			w.runJob()
			w.finishJob()
		}
		if err = cmp.Or(w.Err(), w.gapErr); err == nil {
			break
		}
		w.o.Logger.Warn("closing the append-only files failed", "try", try+1, "error", err)
	}
	if err == nil && w.synced.Load() != w.o.Log.LSN() {
		err = errLate
	}
	for i := range w.streams {
		s := &w.streams[i]
		for _, f := range s.files {
			w.finishFile(f)
		}
		s.close()
	}
	w.waiter.Close()
	w.o.Log.KeepUnwritten(false)
	if closeErr := w.syncer.Close(); closeErr != nil {
		w.o.Logger.Warn("closing what syncs files failed", "error", closeErr)
	}
	return err
}
