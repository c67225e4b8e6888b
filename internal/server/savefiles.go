package server

import (
	"io"
	"strconv"

	"fulmen/internal/config"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
)

// fileSink has a save written to the files that the configuration asks for. It is the snapshot package's Files, made
// when the cut is known.
type fileSink struct {
	options  snapshot.FileOptions
	encoding rdb.WriteOptions
	files    *snapshot.Files
}

// snapshotSink returns where the next save goes.
func (srv *Server) snapshotSink() *fileSink {
	v := srv.cfg.Values()
	k := &fileSink{
		options: snapshot.FileOptions{
			FS: srv.files, Dir: v.Dir, DBFilename: v.DBFilename, Segments: v.RDBSegments,
			LZ4: v.Compression() == config.CompressLZ4, Limiter: srv.saves.limiter, Log: srv.log,
		},
		encoding: rdb.WriteOptions{LZF: v.Compression() == config.CompressLZF, Checksum: v.RDBChecksum},
	}
	if v.RDBIncrementalFsync {
		k.options.SyncEveryBytes = snapshot.SyncEveryBytes
	}
	return k
}

// Begin implements snapshot.Sink.
func (k *fileSink) Begin(c *snapshot.Cut) (form snapshot.Form, err error) {
	k.files, err = snapshot.BeginFiles(k.options, snapshot.FileMeta{
		LSN: c.LSN, CreatedMs: c.CreatedMs, Shards: c.Shards, Databases: c.Databases,
	})
	return snapshot.Form{Merged: !k.options.Segments, WriteOptions: k.encoding}, err
}

// Open implements snapshot.Sink.
func (k *fileSink) Open(i int) (io.Writer, error) { return k.files.Open(i) }

// Commit implements snapshot.Sink.
func (k *fileSink) Commit(keys []int64) error { return k.files.Commit(keys) }

// Abort implements snapshot.Sink.
func (k *fileSink) Abort(error) { k.files.Abort() }

// snapshotAux are the facts at the head of an RDB file, in Redis's order.
func (srv *Server) snapshotAux(nowMs int64) [][2]string {
	return [][2]string{
		{"redis-ver", RedisVersion}, {"redis-bits", "64"}, {"ctime", strconv.FormatInt(nowMs/1000, 10)},
		{"used-mem", strconv.FormatInt(srv.usedMemory(), 10)}, {"aof-base", "0"}, {"fulmen-ver", Version},
	}
}
