package snapshot

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// SegmentSink is a Sink that writes a file for each shard, of names that it is given, and has somebody else commit
// them: the BASE of an append-only file.
type SegmentSink struct {
	o     SegmentOptions
	cut   *Cut   // nil before Begin
	files *Files // likewise
}

var _ Sink = (*SegmentSink)(nil)

// SegmentOptions say where the files of a SegmentSink go.
type SegmentOptions struct {
	FS             vfs.FS
	Dir            string
	Names          []string // by shard, with their directory, which is Dir; what has a name of these is overwritten
	LZ4            bool     // as FileOptions
	Commands       bool     // the files have commands in RESP instead of an RDB file; LZ4 is not for them
	SyncEveryBytes int64    // as FileOptions
	Limiter        *Limiter
	Log            *slog.Logger // nil: nothing is logged
	rdb.WriteOptions
	// Commit is called when all files are there, synced, and their names last. An error is that of the save, after
	// which the files are removed unless Keep says otherwise.
	Commit func(c *Cut, segments []Segment) error
	// Keep tells, after Commit has failed, whether the files may be named by something that lasts. nil: they are not.
	Keep func() bool
}

// NewSegmentSink returns a sink for one save.
func NewSegmentSink(o SegmentOptions) *SegmentSink { return &SegmentSink{o: o} }

// Begin implements Sink.
func (s *SegmentSink) Begin(c *Cut) (Form, error) {
	if len(s.o.Names) != c.Shards {
		return Form{}, fmt.Errorf("snapshot: %d names for %d files", len(s.o.Names), c.Shards)
	}
	log := s.o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s.cut = c
	s.files = &Files{
		o: FileOptions{FS: s.o.FS, Dir: s.o.Dir, LZ4: s.o.LZ4 && !s.o.Commands, commands: s.o.Commands,
			SyncEveryBytes: s.o.SyncEveryBytes, Limiter: s.o.Limiter},
		names: slices.Clone(s.o.Names), log: log, files: make([]*segmentFile, c.Shards), keys: make([]int64, c.Shards),
		cancelled: c.Cancelled,
		steps:     []fileStep{{"finish", (*Files).finishAll}, {"sync names", (*Files).syncDir}, {"commit", s.commit}},
	}
	form := Form{WriteOptions: s.o.WriteOptions}
	if s.o.Commands { // it goes no further than to the next goroutine
		form.LZF, form.Checksum = false, false
	}
	return form, nil
}

// commit has the files committed.
func (s *SegmentSink) commit(f *Files) error {
	segments := make([]Segment, len(f.files))
	for i, file := range f.files {
		segments[i] = Segment{SizeBytes: file.sizeBytes, CRC64: file.sum, Keys: f.keys[i]}
	}
	err := s.o.Commit(s.cut, segments)
	if err != nil && s.o.Keep != nil {
		f.undecided = s.o.Keep()
	}
	return err
}

// Open implements Sink.
func (s *SegmentSink) Open(i int) (io.Writer, error) { return s.files.Open(i) }

// Commit implements Sink.
func (s *SegmentSink) Commit(keys []int64) error { return s.files.Commit(keys) }

// Abort implements Sink.
func (s *SegmentSink) Abort(error) { s.files.Abort() }
