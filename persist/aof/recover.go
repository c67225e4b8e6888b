package aof

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Recovery finds out what of the last life of the server is the data, before anybody is served, and makes it so that no
// other start will ever find anything else.
//
// After a power cut the files have what was synced and any part of what was not. The frames of all shards are put in
// order by LSN, and what lies before the first hole is a prefix of history: it is taken, and the rest is cut off. After
// the end of the process alone (kill -9) the ring in memory has what was published and not yet written. It is written
// to the files first; then nothing that was published is missing, and a hole is a commit that had taken its range of
// the LSN and was not published when the process ended, so nobody has seen it: the frames behind it are taken as well.
// A transaction is published shard by shard. If some of its pieces are there and others not, it is the last one in the
// logs of those shards, because their batons were held, and its pieces are cut off.
//
// Then, in this order: the files are cut and synced; a manifest is committed that says where the incarnation ends. What
// if the server is ended, or the power cut, before that is through? Until the manifest is committed, another start
// finds the same incarnation still running and comes to the same end, or, when the power was cut and the ring is gone,
// to one that the power cut explains. Cutting only removes what such a start would not take either, and what the ring
// had is synced before the manifest that makes up for the ring. Afterwards there is nothing left to be done.
//
// Without a ring it was the process alone that ended if the files are read at the site where they were written (Site).
// They have every byte of each write(2) then, but for the end of one that was under way in each; replies have waited
// for these, so they are recovered as after a power cut.
//
// What is missing below a mark, or in the middle of what a ring promises, is no torn tail but damage. So is, after the
// end of the process alone, what lies before anything that was written later to the same file. It is refused.

// RecoverOptions say what is recovered.
type RecoverOptions struct {
	FS        vfs.FS
	Dir       string           // of the files; the caller has it locked
	Name      string           // appendfilename
	Ring      *log.RingContent // nil: nothing has outlived the process in memory; ignored unless it fits the manifest
	Site      Site             // of Dir now; zero: it isn't known
	Truncated bool             // aof-load-truncated: a tail that a power cut has torn is cut off; else it is an error
	Logger    *slog.Logger

	plant recoverPlant
}

// recoverPlant lets a test break what recovery promises on purpose.
type recoverPlant struct {
	piecesMissing bool // a transaction that misses pieces counts as whole
	holeIgnored   bool // after a power cut frames behind a hole are taken
	anyRing       bool // a ring is used without a look at whose it is
	tailStays     bool // what is discarded is not cut off
	cutUnsynced   bool // the manifest is committed before the cuts are synced
	ringLate      bool // the manifest is committed before the ring's frames are synced in the files
	sumUnchecked  bool // frames are not compared with their sums
	markIgnored   bool // what is missing below a mark is taken for a torn tail
	behindIgnored bool // after the end of the process alone nobody looks at what is behind a hole
	siteIgnored   bool // without a ring it was always the power that was cut
	anySite       bool // … or always the process alone that ended
}

// Recovered is what Recover has found, and made so.
type Recovered struct {
	Manifest *Manifest // is committed; its last incarnation has ended at EndLSN
	EndLSN   uint64    // the data that the files hold corresponds to it
	Unclean  bool      // the last incarnation was found running
	Killed   bool      // … and it was the process alone that ended
	// Short: the ring had no room for all that was published. What no file had yet is cut off; nobody was answered.
	Short bool
	// HoleLSN is where the first hole begins, EndLSN if there is none: up to there the history is that of before. It is
	// true of the last incarnation also if another Recover has found it.
	HoleLSN   uint64
	RingBytes int64 // that were written from the ring to the files
	Cuts      []Cut // what was cut off
}

// Cut is the end of a file that was cut off.
type Cut struct {
	File   string
	Offset int64 // what the file has now
	Bytes  int64 // how much was cut off, without the zeros at its end
	Reason string
}

// Recover makes the files of the AOF in o.Dir what the data is, see the comment above. The caller then loads it (Load),
// makes new files, commits the manifest of a new life (Recovered.Begin) and only then serves anybody.
//
// If the AOF has no manifest the error is fs.ErrNotExist. Damage is a *CorruptError, whose text names the command that
// helps; a tail that is torn while o.Truncated is false is a *TruncatedError. After an error nothing was committed, and
// Recover may be called again.
func Recover(o *RecoverOptions) (*Recovered, error) {
	m, err := ReadManifest(o.FS, o.Dir, o.Name)
	if err != nil {
		return nil, advise(err, ManifestName(o.Dir, o.Name))
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &recovery{o: o, m: m}
	last := m.Last()
	r.found = Recovered{Manifest: m, EndLSN: last.EndLSN, HoleLSN: last.EndLSN}
	if last.MissingBytes > 0 {
		r.found.HoleLSN = max(last.HoleLSN, last.StartLSN)
	}
	if last.State != Running {
		return &r.found, nil
	}
	r.found.Unclean = true
	err = r.run()
	r.close()
	if err != nil {
		return nil, advise(err, ManifestName(o.Dir, o.Name))
	}
	return &r.found, nil
}

// recovery is a recovery under way.
type recovery struct {
	o      *RecoverOptions
	m      *Manifest
	ring   *log.RingContent // nil: none that fits
	killed bool             // the process alone has ended
	chains []chain
	begin  uint64 // LSN that the chains' frames begin at
	mark   uint64 // everything below was synced
	found  Recovered
}

// run recovers an incarnation that is running according to the manifest.
func (r *recovery) run() error {
	r.ring = r.matching()
	r.killed = r.ring != nil || r.stayed()
	r.found.Killed = r.killed
	r.begin = r.m.dataStart(r.m.Last())
	if err := r.openChains(); err != nil {
		return err
	}
	if r.ring != nil {
		if err := r.writeRing(); err != nil {
			return err
		}
	}
	if err := r.merge(); err != nil {
		return err
	}
	if err := r.judge(); err != nil {
		return err
	}
	for _, step := range []func() error{r.cut, r.sync, r.commit} {
		if err := step(); err != nil {
			return err
		}
	}
	r.o.plant = recoverPlant{}
	return r.sync() // there is nothing left but after a planted fault
}

// matching returns the ring if it is of the incarnation that has not ended.
func (r *recovery) matching() *log.RingContent {
	ring := r.o.Ring
	if ring == nil {
		return nil
	}
	last := r.m.Last()
	if r.o.plant.anyRing {
		return ring
	}
	if ring.Identity.DirID != r.m.DirID || ring.Identity.Incarnation != last.Number || len(ring.Shards) != r.m.Shards {
		r.o.Logger.Warn("what the ring in memory holds is of another life of the server, and is left alone",
			"ring", ring.Identity.Incarnation, "manifest", last.Number)
		return nil
	}
	return ring
}

// stayed reports whether the files are where they were written, by a system that goes on.
func (r *recovery) stayed() bool {
	if r.o.plant.siteIgnored {
		return false
	}
	site := r.m.Last().Site
	return site != (Site{}) && site == r.o.Site || r.o.plant.anySite
}

// dataStart returns the LSN from which on frames of an incarnation are part of the data: those of before are in a BASE.
func (m *Manifest) dataStart(i *Incarnation) uint64 {
	start := i.StartLSN
	for _, f := range m.Live(Base) {
		start = max(start, f.LSN)
	}
	return start
}

// cut cuts off what is no part of the data, the last file of a shard first: if this is broken off, no file is shorter
// than where the next one begins.
func (r *recovery) cut() error {
	if r.o.plant.tailStays {
		return nil
	}
	for i := range r.chains {
		c := &r.chains[i]
		for j := range slices.Backward(c.files) {
			if err := r.cutFile(c, &c.files[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recovery) cutFile(c *chain, f *chainFile) error {
	keep := f.keep(c.keep)
	if !f.headed || f.size <= keep {
		return nil
	}
	file, err := r.openWrite(f)
	if err != nil {
		return err
	}
	if err := file.Truncate(keep); err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	if extra := f.extra(c.keep); extra > 0 {
		reason := cmp.Or(f.tail.Reason, "is behind what is missing")
		r.found.Cuts = append(r.found.Cuts, Cut{f.path, keep, extra, reason})
	}
	f.size, f.cut = keep, true
	return nil
}

// openWrite opens a file for writing, once.
func (r *recovery) openWrite(f *chainFile) (vfs.File, error) {
	if f.file == nil {
		file, err := r.o.FS.OpenWrite(f.path)
		if err != nil {
			return nil, fmt.Errorf("aof: %w", err)
		}
		f.file = file
	}
	return f.file, nil
}

// sync makes all that is in the files last, whether it was written here or before: what of it was written by the last
// life of the server need not have been synced, and the manifest is about to promise it.
func (r *recovery) sync() error {
	for i := range r.chains {
		for j := range r.chains[i].files {
			f := &r.chains[i].files[j]
			if !f.headed || f.synced || r.o.plant.late(f) {
				continue
			}
			file, err := r.openWrite(f)
			if err != nil {
				return err
			}
			err = file.Sync()
			if closeErr := file.Close(); err == nil {
				err = closeErr
			}
			f.file, f.synced = nil, err == nil
			if err != nil {
				return fmt.Errorf("aof: %w", err)
			}
		}
	}
	return nil
}

// close closes what an error has left open.
func (r *recovery) close() {
	for i := range r.chains {
		for j := range r.chains[i].files {
			if f := &r.chains[i].files[j]; f.file != nil {
				_ = f.file.Close() // nothing was promised of it
			}
		}
	}
}

// late reports whether a planted fault has a file synced too late.
func (p *recoverPlant) late(f *chainFile) bool {
	return p.cutUnsynced && f.cut || p.ringLate && f.ringed
}

// commit commits a manifest that says where the incarnation has ended, without the files that have no frames.
func (r *recovery) commit() error {
	m := r.m.Clone()
	last := m.Last()
	last.EndLSN, last.State, last.MissingBytes = r.found.EndLSN, Unclean, r.missing()
	if last.MissingBytes > 0 {
		last.HoleLSN = r.found.HoleLSN
	}
	empty := map[string]bool{}
	for i := range r.chains {
		for j := range r.chains[i].files {
			f := &r.chains[i].files[j]
			empty[f.path] = f.keep(r.chains[i].keep) <= HeaderBytes
		}
	}
	m.Files = slices.DeleteFunc(m.Files, func(f File) bool { return empty[f.Path(r.o.Dir, r.o.Name)] })
	m.forgetIncarnations()
	if err := m.Commit(r.o.FS, r.o.Dir, r.o.Name); err != nil {
		return err
	}
	r.found.Manifest = m
	return nil
}

// forgetIncarnations drops those of which there are no files, but for the last one.
func (m *Manifest) forgetIncarnations() {
	last := m.Last().Number
	m.Incarnations = slices.DeleteFunc(m.Incarnations, func(i Incarnation) bool {
		return i.Number != last && !slices.ContainsFunc(m.Files, func(f File) bool { return f.Incarnation == i.Number })
	})
}

// Begin returns the manifest of a new life: that of a new incarnation which starts where the last one has ended, with
// INCR files, of the number Manifest.NextSeq gives, still to be made, and named before they are written to (IncrFiles).
func (r *Recovered) Begin() *Manifest {
	m := r.Manifest.Clone()
	m.Incarnations = append(m.Incarnations, Incarnation{Number: m.Last().Number + 1, StartLSN: r.EndLSN})
	m.forgetIncarnations()
	return m
}

// End notes that the last incarnation has ended at an LSN up to which everything is synced in the files, and that
// nothing follows: a clean stop.
func (m *Manifest) End(lsn uint64) { m.Last().EndLSN, m.Last().State = lsn, Clean }

// TruncatedError says that the AOF ends in what a power cut has left of a write, and that aof-load-truncated forbids to
// cut that off.
type TruncatedError struct {
	File   string
	Offset int64
	Reason string
}

// Error says where and what to do.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("Unexpected end of file reading the append only file %s at offset %d: %s. You can: 1) Make a "+
		"backup of your AOF file, then use fulmen-check repair <manifest>. 2) Alternatively you can set the "+
		"'aof-load-truncated' configuration option to yes and restart the server.", e.File, e.Offset, e.Reason)
}

// adviceError is damage, with what to do about it.
type adviceError struct {
	err    error
	advice string
}

// Error says what is damaged and what to do.
func (e *adviceError) Error() string {
	return fmt.Sprintf("%v. %s", e.err, e.advice)
}

// Unwrap returns the damage.
func (e *adviceError) Unwrap() error { return e.err }

// advise adds what to do to an error that is damage.
func advise(err error, manifest string) error {
	var corrupt *CorruptError
	var advised *adviceError
	if errors.As(err, &corrupt) && !errors.Is(err, ErrVersion) && !errors.As(err, &advised) {
		return &adviceError{err, fmt.Sprintf("`fulmen-check verify %s` says what is damaged, `fulmen-check repair %s` "+
			"saves what can be saved", manifest, manifest)}
	}
	return err
}

// missingFile is the error of a file that the manifest names and that can't be opened.
func missingFile(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &CorruptError{File: path, Reason: "is named by the manifest and is not there", Err: err}
	}
	return fmt.Errorf("aof: %w", err)
}

// missing returns how many bytes of the range that is taken are in no frame.
func (r *recovery) missing() (sum uint64) {
	sum = r.found.EndLSN - r.begin
	for i := range r.chains {
		sum -= r.chains[i].taken
	}
	return sum
}

// judge tells damage from a torn tail, and refuses the latter if it has to.
func (r *recovery) judge() error {
	missing := r.found.HoleLSN < min(r.mark, r.found.EndLSN) || r.mark > r.found.EndLSN
	if missing && !r.o.plant.markIgnored {
		return r.blame()
	}
	if r.o.Truncated {
		return nil
	}
	for i := range r.chains {
		c := &r.chains[i]
		for j := range c.files {
			if f := &c.files[j]; f.headed && f.extra(c.keep) > 0 {
				return &TruncatedError{f.path, f.keep(c.keep), cmp.Or(f.tail.Reason, "is behind what is missing")}
			}
		}
	}
	return nil
}
