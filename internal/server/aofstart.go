package server

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"fulmen/internal/config"
	"fulmen/persist/aof"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/shard"
)

// Start-up with an append-only file, in this order, all batons being held: the AOF is recovered and loaded or, if there
// is none yet, the snapshot is loaded; files of a new life are made; a manifest is committed that names them; the log
// becomes active and the Writer begins; the batons are given back. If the files have no beginning (there was only a
// snapshot, or they are for another number of shards) all that is there is saved as BASE before the manifest is
// committed: until then the next start finds what this one has found.

// find looks for the append-only file and locks its directory. exists is false where there is none yet.
func (a *appendOnly) find(v *config.Values) (exists bool, err error) {
	a.dir, a.name = filepath.Join(v.Dir, v.AppendDirname), v.AppendFilename
	if !v.AppendOnly {
		return false, nil
	}
	if err := a.lockAppendDir(); err != nil {
		return false, err
	}
	_, err = a.srv.files.Stat(aof.ManifestName(a.dir, a.name))
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	return false, a.checkUnnamed()
}

// checkUnnamed refuses to begin an append-only file beside files that have data and belong to no manifest. Such as a
// beginning leaves that was broken off are removed: nothing was written to them, or nothing was promised.
func (a *appendOnly) checkUnnamed() error {
	names, err := a.srv.files.ReadDir(a.dir)
	if err != nil {
		return err
	}
	if slices.Contains(names, filepath.Base(aof.BeginningName(a.dir, a.name))) {
		names = nil
	}
	for _, name := range names {
		f, ok := aof.ParseName(a.name, name)
		if !ok || f.Kind != aof.Incr {
			continue
		}
		path := filepath.Join(a.dir, name)
		if err := a.checkEmpty(path); err != nil {
			return err
		}
	}
	empty := &aof.Manifest{}
	removed, err := empty.RemoveUnnamed(a.srv.files, a.dir, a.name)
	if len(removed) > 0 {
		a.srv.log.Info(fmt.Sprintf("Removed %d files of an append-only file that was never begun", len(removed)))
	}
	return err
}

// checkEmpty refuses an INCR file in which something was written.
func (a *appendOnly) checkEmpty(path string) error {
	r, err := aof.OpenIncr(a.srv.files, path)
	if errors.Is(err, aof.ErrNoHeader) {
		return nil
	}
	if err == nil {
		err = r.Close()
	}
	return errors.Join(fmt.Errorf("%s has data, but there is no manifest %s: put that back from a copy, or move the "+
		"files away to begin anew", path, aof.ManifestName(a.dir, a.name)), err)
}

// newManifest is that of an append-only file without files, in its first life. Whoever commits it stamps it first.
func (srv *Server) newManifest() *aof.Manifest {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return &aof.Manifest{
		DirID: binary.LittleEndian.Uint64(id[:]) | 1, Databases: srv.set.Databases(),
		Shards: len(srv.set.Shards), Incarnations: []aof.Incarnation{{Number: 1}},
	}
}

// begin begins a life of the append-only file: m has its incarnation, which starts at the LSN that the data in memory
// corresponds to; based tells whether the files of m are that data. All batons are seized and nothing is staged.
func (a *appendOnly) begin(m *aof.Manifest, based bool) error {
	srv, life := a.srv, m.Last()
	l := srv.set.Log
	l.SetLSN(life.StartLSN)
	l.SetIncarnation(life.Number)
	l.UseRing(a.makeRing(m))
	hold := l.Resume()
	defer hold.Close()
	w := a.openWriter(m, !srv.inRing())
	seq := m.NextSeq()
	if err := w.Prepare(seq); err != nil {
		return fmt.Errorf("the append-only file can't be begun: %w", err)
	}
	incr := aof.IncrFiles(len(srv.set.Shards), seq, life.Number, life.StartLSN, srv.set.Clock.NowMs())
	m, err := a.commitFirst(m, incr, based)
	if err == nil {
		err = w.Start(hold)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the append-only file can't be begun: %w", err), w.Close())
	}
	a.rewriter.Store(a.newRewriter(m))
	a.setSizes(w, m)
	a.writer.Store(w)
	a.tellTime()
	a.advanced()
	if _, err := m.RemoveUnnamed(srv.files, a.dir, a.name); err != nil {
		srv.log.Warn("files that the append-only file has no more use for can't be removed: " + err.Error())
	}
	return nil
}

// openWriter returns a Writer for the life that m begins; prompt is that of aof.Options.
func (a *appendOnly) openWriter(m *aof.Manifest, prompt bool) *aof.Writer {
	srv := a.srv
	return aof.Open(aof.Options{
		FS: srv.files, Dir: a.dir, Name: a.name, Log: srv.set.Log, DirID: m.DirID, Incarnation: m.Last().Number,
		Policy: aof.Policy(a.policy.Load()), Prompt: prompt, Clock: srv.set.Clock, Notify: a.advanced,
		Beside: srv.processors.add, Logger: srv.log, Index: a.index,
	})
}

// newRewriter returns what keeps the manifest m, which is committed; nil: there is none.
func (a *appendOnly) newRewriter(m *aof.Manifest) *aof.Rewriter {
	return aof.NewRewriter(aof.RewriterOptions{
		FS: a.srv.files, Dir: a.dir, Name: a.name, Retain: retention(a.srv.cfg.Values()), Logger: a.srv.log,
		Index: a.index,
	}, m)
}

// readOld reads the manifest of an append-only file that was not loaded, and that another may take the place of; nil:
// there is none. One whose last life has not ended is refused: what was acknowledged in it may be nowhere else.
func (a *appendOnly) readOld() (*aof.Manifest, error) {
	m, err := aof.ReadManifest(a.srv.files, a.dir, a.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("there is an append-only file already, and it can't be read; move it away to begin "+
			"anew: %w", err)
	case m.Last().State == aof.Running:
		return nil, fmt.Errorf("there is an append-only file already, %s, and the server that wrote it was not "+
			"stopped properly; start with --appendonly yes to have it recovered, or move it away to begin anew",
			aof.ManifestName(a.dir, a.name))
	}
	return m, nil
}

// commitFirst commits the first manifest of a life and returns it.
func (a *appendOnly) commitFirst(m *aof.Manifest, incr []aof.File, based bool) (*aof.Manifest, error) {
	srv := a.srv
	m = m.Clone()
	if based {
		m.Add(incr...)
		return m, m.Commit(srv.files, a.dir, a.name)
	}
	life, seq := m.Last(), incr[0].Seq
	m.Shards, m.Files = len(srv.set.Shards), nil
	m.Incarnations = []aof.Incarnation{*life}
	format := a.baseFormat()
	err := a.saveBase(seq, format, func(c *snapshot.Cut, segments []snapshot.Segment) error {
		m.Add(a.baseFiles(m, seq, format, c, segments)...)
		m.Add(incr...)
		return m.Commit(srv.files, a.dir, a.name)
	})
	return m, err
}

// baseFormat is how a BASE is to be written.
func (a *appendOnly) baseFormat() aof.Format {
	if a.srv.cfg.Values().AOFUseRDBPreamble {
		return aof.FormatRDB
	}
	return aof.FormatAOF
}

// baseFiles are what the manifest says of a BASE.
func (a *appendOnly) baseFiles(m *aof.Manifest, seq uint64, format aof.Format, c *snapshot.Cut,
	segments []snapshot.Segment,
) []aof.File {
	files := make([]aof.File, len(segments))
	for i, s := range segments {
		files[i] = aof.File{
			Kind: aof.Base, Shard: i, Seq: seq, Incarnation: m.Last().Number, LSN: c.LSN, CreatedMs: c.CreatedMs,
			Format: format, SizeBytes: s.SizeBytes, CRC64: s.CRC64, Keys: s.Keys,
		}
	}
	return files
}

// baseSink is where the BASE of a number goes that a start makes; commit is called when its files are there to last.
// There is no limit to its speed: nobody is served before it is there.
func (a *appendOnly) baseSink(seq uint64, format aof.Format,
	commit func(c *snapshot.Cut, segments []snapshot.Segment) error,
) *snapshot.SegmentSink {
	var names []string
	for i := range a.srv.set.Shards {
		f := aof.File{Kind: aof.Base, Shard: i, Seq: seq, Format: format}
		names = append(names, f.Path(a.dir, a.name))
	}
	// The error of a last sync leaves open whether the manifest is there.
	return a.segmentSink(names, format, nil, commit, func() bool { return true })
}

// segmentSink is where a BASE of these names goes; keep tells whether its files stay if commit has failed.
func (a *appendOnly) segmentSink(names []string, format aof.Format, limiter *snapshot.Limiter,
	commit func(c *snapshot.Cut, segments []snapshot.Segment) error, keep func() bool,
) *snapshot.SegmentSink {
	srv, v := a.srv, a.srv.cfg.Values()
	o := snapshot.SegmentOptions{
		FS: srv.files, Dir: a.dir, Names: names, LZ4: v.Compression() == config.CompressLZ4,
		Commands: format == aof.FormatAOF, Limiter: limiter, Log: srv.log, Commit: commit, Keep: keep,
		WriteOptions: rdb.WriteOptions{LZF: v.Compression() == config.CompressLZF, Checksum: true},
	}
	if v.AOFIncrementalFsync {
		o.SyncEveryBytes = snapshot.SyncEveryBytes
	}
	return snapshot.NewSegmentSink(o)
}

// saveBase saves all that is there as BASE and waits for that. All batons are held.
func (a *appendOnly) saveBase(seq uint64, format aof.Format,
	commit func(c *snapshot.Cut, segments []snapshot.Segment) error,
) error {
	srv := a.srv
	began := srv.set.Clock.NowNs()
	save, err := srv.saver.Begin(snapshot.Request{
		Sinks: []snapshot.Sink{a.baseSink(seq, format, commit)}, Aux: srv.baseAux(srv.set.Clock.NowMs()),
		Functions: srv.functions.codes(), CPUs: srv.cfg.Values().AOFRewriteCPUs,
	})
	if err != nil {
		return err
	}
	r := save.RunHeld()
	if r.Err == nil {
		srv.log.Info(fmt.Sprintf("The append-only file begins with a base of %d keys, %d bytes, written in %.3f s",
			r.Saved, r.Bytes, float64(srv.set.Clock.NowNs()-began)/1e9))
	}
	return r.Err
}

// setSizes tells the Writer how much loading would read besides what it writes.
func (a *appendOnly) setSizes(w *aof.Writer, m *aof.Manifest) {
	var size int64
	for _, f := range m.Files {
		if f.History {
			continue
		}
		if info, err := a.srv.files.Stat(f.Path(a.dir, a.name)); err == nil {
			size += info.Size()
		}
	}
	w.SetSizes(size, size)
}

// beginAfterSnapshot begins an append-only file with what a snapshot has brought, or with nothing.
func (a *appendOnly) beginAfterSnapshot(z *shard.Seizure) error {
	empty := true
	for i := range a.srv.set.Shards {
		s := z.Lock(i)
		for db := range a.srv.set.Databases() {
			empty = empty && s.DB(db).Len() == 0
		}
		z.Unlock(i)
	}
	m := a.srv.newManifest()
	a.srv.replication.placeAtStart().stamp(m)
	return a.begin(m, empty)
}
