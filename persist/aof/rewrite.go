package aof

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// A rewrite makes the AOF short again: what it holds up to a moment, the cut, is written down as it is, and what was
// written before the cut is not needed any more. Nothing is copied from file to file and no commit waits:
//
//	1 Prepare   new INCR files are made, synced, and their names, too
//	2           a manifest is committed that names them beside the files that are in use
//	3 Cut       under all batons: what follows goes to the new files, from this position of each log on
//	4           BASE files get what the shards hold at the cut (package snapshot), are synced, and their names, too
//	5 Install   a manifest is committed that names BASE and what follows the cut; older files are gone or are history
//	6           files that it doesn't name are removed
//
// After each step the files can be loaded and have everything that was promised. Before 2 nothing has changed for
// whoever reads the manifest. From 2 to 5 what belongs together is the files in use with the new ones behind them: if
// the server ends there, or the rewrite fails, loading reads both. From 5 on it is BASE and the new ones; what was
// promised from before the cut is in BASE, synced, whatever became of the older files.
//
// PrepareAnew begins an AOF that does not go on with the one that is there, if any: appendonly is switched on while
// the server runs, or what was loaded came from somewhere else. Step 2 is left out then. Until 5 the start finds what
// was there before, and nothing of the new AOF is promised to anybody; where nothing was there before, BeginningName
// says so.
//
// If a manifest could not be committed, it may be the last step that has failed, and a power cut decides which one is
// found. Then the files of both stay until the next commit that works.

// RewriterOptions say whose manifest a Rewriter keeps.
type RewriterOptions struct {
	FS     vfs.FS
	Dir    string // of the files; the caller has it locked
	Name   string // appendfilename
	Retain Retain
	Logger *slog.Logger // nil: nothing is logged
	Index  *Index       // forgets what the manifest does; nil: there is none
}

// Rewriter keeps the manifest of an AOF while the server runs: all changes to it go through here. It does not decide
// when to rewrite, and writes no BASE. Prepare, PrepareAnew, Cut, Install, Abandon and Commit are called by one
// goroutine at a time; the others by any.
type Rewriter struct {
	o RewriterOptions

	// Atomic.
	manifest atomic.Pointer[Manifest] // was committed; never changed, but replaced, with mu; nil: there is none
	retain   atomic.Pointer[Retain]

	mu      sync.Mutex // held while the disk is waited for
	doubt   *Manifest  // may have been committed after manifest; nil: none
	highest uint64     // number given to files
	run     *rewrite   // under way; nil: none
	ready   *rewrite   // Prepare has succeeded, and no cut has followed
	plant   rewritePlant

	streams streams
}

// rewrite is a rewrite under way.
type rewrite struct {
	w     *Writer   // nil: there are to be no INCR files
	anew  *Manifest // of PrepareAnew
	seq   uint64
	made  int64  // Unix time of the making of the files, in ms
	cut   uint64 // LSN
	stamp func(m *Manifest)
	cutMs int64
	isCut bool
}

// rewritePlant lets a test break what a rewrite promises on purpose.
type rewritePlant struct {
	unnamed     bool // the INCR files are not named before the cut
	removeEarly bool // older files are removed before the second commit
	cutLate     bool // the manifest says that BASE is of a later moment than the cut
	removeDoubt bool // what a manifest may name of which it is not known whether it lasts is removed
}

// NewRewriter returns a Rewriter of an AOF whose manifest is m, which is committed; nil: there is none, and no files
// that anybody needs.
func NewRewriter(o RewriterOptions, m *Manifest) *Rewriter {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Rewriter{o: o}
	r.manifest.Store(m)
	r.SetRetain(o.Retain)
	r.streams.open = map[*StreamReader]struct{}{}
	return r
}

// Manifest returns the manifest that was committed last, nil if there is none. It must not be changed. It doesn't wait
// for one that is being committed.
func (r *Rewriter) Manifest() *Manifest { return r.manifest.Load() }

// Doubtful reports whether it is not known which manifest a power cut would leave, because committing the last one has
// failed: what that one names has to stay.
func (r *Rewriter) Doubtful() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubt != nil
}

// Commit commits a copy of the manifest that change was applied to. After an error the Rewriter has the one of before.
func (r *Rewriter) Commit(change func(m *Manifest)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.Manifest().Clone()
	change(m)
	return r.commit(m)
}

// commit makes m the manifest; with the lock.
func (r *Rewriter) commit(m *Manifest) error {
	err := m.Commit(r.o.FS, r.o.Dir, r.o.Name)
	if err == nil {
		r.manifest.Store(m)
		r.doubt = nil
		r.o.Index.keep(m)
		return nil
	}
	if r.doubt != nil || !r.unchanged() {
		r.doubt = m
		err = fmt.Errorf("%w (either this manifest or the one before will be found after a power cut; the files of "+
			"both are kept)", err)
	}
	return err
}

// unchanged reports whether the manifest in the directory is surely the one that was committed last: then the rename
// was not done.
func (r *Rewriter) unchanged() bool {
	text, err := r.o.FS.ReadFile(ManifestName(r.o.Dir, r.o.Name))
	if r.Manifest() == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && string(text) == string(r.Manifest().AppendText(nil))
}

// nextSeq returns a number above all that a file may have; with the lock.
func (r *Rewriter) nextSeq() uint64 {
	for _, m := range []*Manifest{r.Manifest(), r.doubt} {
		if m != nil {
			r.highest = max(r.highest, m.NextSeq()-1)
		}
	}
	r.highest++
	return r.highest
}

// Prepare begins a rewrite of the AOF that w writes: steps 1 and 2. It blocks on the disk. ErrBusy says that what is
// before the last cut is not synced yet; trying again later helps. After another error nothing has changed but that
// there may be files that nobody needs.
func (r *Rewriter) Prepare(w *Writer, nowMs int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != nil {
		panic("BUG: aof: a rewrite during a rewrite")
	}
	if r.ready != nil && r.ready.w == w { // the last one has come that far and no further
		r.run, r.ready = r.ready, nil
		return nil
	}
	r.ready = nil
	run := &rewrite{w: w, seq: r.nextSeq(), made: nowMs}
	if err := w.Prepare(run.seq); err != nil {
		if err != ErrBusy {
			r.tidy()
		}
		return err
	}
	m := r.Manifest().Clone()
	last := m.Last()
	m.Add(IncrFiles(m.Shards, run.seq, last.Number, max(last.StartLSN, w.SyncedLSN()), nowMs)...)
	if !r.plant.unnamed {
		if err := r.commit(m); err != nil {
			r.tidy()
			return err
		}
	}
	r.run = run
	return nil
}

// PrepareAnew begins an AOF anew; w has no files yet, and is nil if there are to be none (BGREWRITEAOF while appendonly
// is off). m has everything but files, and its last incarnation has a number above those of all that the manifest of
// before names; where it starts is set by Cut. Errors are those of Prepare.
func (r *Rewriter) PrepareAnew(w *Writer, m *Manifest, nowMs int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != nil {
		panic("BUG: aof: a rewrite during a rewrite")
	}
	run := &rewrite{w: w, anew: m.Clone(), seq: r.nextSeq(), made: nowMs}
	r.ready = nil
	if w != nil {
		err := r.markBeginning()
		if err == nil {
			err = w.Prepare(run.seq)
		}
		if err != nil {
			r.tidy()
			return err
		}
	}
	r.run = run
	return nil
}

// markBeginning makes the file of BeginningName last, unless there is a manifest; with the lock. tidy removes it.
func (r *Rewriter) markBeginning() error {
	if r.Manifest() != nil || r.doubt != nil {
		return nil
	}
	file, err := r.o.FS.Create(BeginningName(r.o.Dir, r.o.Name), 0o644)
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		err = r.o.FS.SyncDir(r.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	return nil
}

// Cut makes the cut: step 3. It is called inside the transaction in which h was attached, all batons held, and in which
// what BASE gets is determined, at an LSN, which is h's; it does not block. A Writer that had no files is started;
// errors are those of Start, after which there is no cut. Without a Writer h is not used. stamp is to have a manifest
// say where in its history the data is at the cut; it is called by Install.
func (r *Rewriter) Cut(h *log.Hold, lsn uint64, nowMs int64, stamp func(m *Manifest)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.run
	if run.w != nil {
		if run.anew != nil {
			if err := run.w.Start(h); err != nil {
				return err
			}
		} else {
			run.w.Switch(h)
		}
	}
	run.isCut, run.cut, run.cutMs, run.stamp = true, lsn, nowMs, stamp
	return nil
}

// BasePaths returns the names, with directory, that BASE files of a format are to have, by shard.
func (r *Rewriter) BasePaths(shards int, format Format) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := make([]string, shards)
	for i := range paths {
		f := File{Kind: Base, Shard: i, Seq: r.run.seq, Format: format}
		paths[i] = f.Path(r.o.Dir, r.o.Name)
	}
	return paths
}

// BaseFile is what a manifest says of a BASE file's content.
type BaseFile struct {
	Format    Format
	SizeBytes int64
	CRC64     uint64
	Keys      int64
}

// Install makes BASE files, which have what the shards held at the cut and are synced, their names, too, the beginning
// of the AOF: steps 5 and 6. bases are by shard. nil ends the rewrite; after an error Abandon is to be called.
func (r *Rewriter) Install(bases []BaseFile) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.run
	m := r.installed(bases)
	if r.plant.removeEarly {
		r.removeUnnamed(m)
	}
	if err := r.commit(m); err != nil {
		return err
	}
	r.run = nil
	size := int64(0)
	for i := range bases {
		size += bases[i].SizeBytes
	}
	if run.w != nil {
		run.w.SetSizes(size, size+run.w.newBytes.Load())
	}
	r.tidy()
	return nil
}

// installed returns the manifest with BASE; with the lock.
func (r *Rewriter) installed(bases []BaseFile) *Manifest {
	run := r.run
	var m *Manifest
	if run.anew == nil {
		m = r.Manifest().Clone()
	} else {
		m = run.anew
		m.Last().StartLSN = run.cut
		if run.w == nil {
			m.End(run.cut)
		}
		m.inherit(r.Manifest())
	}
	run.stamp(m)
	number, lsn := m.Last().Number, run.cut
	for i := range m.Files {
		m.Files[i].History = m.Files[i].Seq < run.seq
	}
	if run.w != nil && (run.anew != nil || r.plant.unnamed) {
		m.Add(IncrFiles(m.Shards, run.seq, number, run.cut, run.made)...)
	}
	if r.plant.cutLate {
		lsn = run.w.o.Log.LSN()
	}
	for i, b := range bases {
		m.Add(File{
			Kind: Base, Shard: i, Seq: run.seq, Incarnation: number, LSN: lsn, CreatedMs: run.cutMs, Format: b.Format,
			SizeBytes: b.SizeBytes, CRC64: b.CRC64, Keys: b.Keys,
		})
	}
	m.forget(r.forgotten(m, run.cutMs))
	return m
}

// inherit takes the files of another AOF, which has come to its end, over as history, if they can be told of.
func (m *Manifest) inherit(old *Manifest) {
	if old == nil || old.Shards != m.Shards || old.DirID != m.DirID || len(m.Incarnations) != 1 {
		return
	}
	end, now := old.Last(), m.Last()
	if end.State == Running || end.Number >= now.Number || end.EndLSN > now.StartLSN {
		return
	}
	if end.EndLSN == now.StartLSN && old.ReplID != m.ReplID {
		return // it would look as if the one went on with the other
	}
	m.Incarnations = append(slices.Clone(old.Incarnations), *now)
	m.Files = slices.Clone(old.Files)
}

// Abandon ends a rewrite that has failed. Before the cut nothing has changed. After it the AOF is whole without BASE,
// what follows the cut going to the new files; but one that was begun anew is not there, and its Writer is closed by
// the caller, before.
func (r *Rewriter) Abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.run
	r.run = nil
	if run != nil && run.anew == nil && !run.isCut && r.doubt == nil {
		r.ready = run
	}
	r.tidy()
}

// tidy removes what no manifest names, if it is known which one counts and nothing is being made; with the lock.
func (r *Rewriter) tidy() {
	if r.run != nil || r.doubt != nil && !r.plant.removeDoubt {
		return
	}
	m := r.Manifest()
	if m == nil {
		m = &Manifest{}
	}
	r.removeUnnamed(m)
}

func (r *Rewriter) removeUnnamed(m *Manifest) {
	removed, err := m.RemoveUnnamed(r.o.FS, r.o.Dir, r.o.Name)
	if len(removed) > 0 {
		r.o.Logger.Info("removed append-only files that are not needed any more", "files", len(removed), "first",
			removed[0])
	}
	if err != nil {
		r.o.Logger.Warn("append-only files that are not needed any more can't be removed", "error", err)
	}
}
