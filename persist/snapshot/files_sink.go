package snapshot

import (
	"io"

	"fulmen/persist/rdb"
)

// FileSink is a Sink that writes files: one for each shard and a manifest, or a single one.
type FileSink struct {
	o     FileOptions
	w     rdb.WriteOptions
	files *Files // nil before Begin
}

var _ Sink = (*FileSink)(nil)

// NewFileSink returns a sink for one save. Of w only Version (0: the lowest that will do), LZF and Checksum count.
func NewFileSink(o FileOptions, w rdb.WriteOptions) *FileSink {
	return &FileSink{o: o, w: w}
}

// Begin implements Sink.
func (s *FileSink) Begin(c *Cut) (Form, error) {
	f, err := BeginFiles(s.o, FileMeta{LSN: c.LSN, CreatedMs: c.CreatedMs, Shards: c.Shards, Databases: c.Databases})
	if err != nil {
		return Form{}, err
	}
	f.cancelled = c.Cancelled
	s.files = f
	form := Form{WriteOptions: s.w}
	if !s.o.Segments {
		form.Streams = 1
	}
	return form, nil
}

// Open implements Sink.
func (s *FileSink) Open(i int) (io.Writer, error) { return s.files.Open(i) }

// Commit implements Sink.
func (s *FileSink) Commit(keys []int64) error { return s.files.Commit(keys) }

// Abort implements Sink.
func (s *FileSink) Abort(error) { s.files.Abort() }
