package server

import (
	"strconv"

	"fulmen/internal/config"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/shard/ds/index"
)

// snapshotSink returns where a save goes: the files that the configuration asks for. As in Redis, how much a key is
// used is saved if the eviction policy goes by it. The limiter may be nil.
func (srv *Server) snapshotSink(limiter *snapshot.Limiter) *snapshot.FileSink {
	v := srv.cfg.Values()
	o := snapshot.FileOptions{
		FS: srv.files, Dir: v.Dir, DBFilename: v.DBFilename, Segments: v.RDBSegments,
		LZ4: v.Compression() == config.CompressLZ4, Limiter: limiter, Log: srv.log,
	}
	if v.RDBIncrementalFsync {
		o.SyncEveryBytes = snapshot.SyncEveryBytes
	}
	w := rdb.WriteOptions{LZF: v.Compression() == config.CompressLZF, Checksum: v.RDBChecksum}
	first := srv.set.Shards[0] // they have the same clock
	switch policy := srv.set.Eviction().Policy; {
	case policy.LRU():
		w.Idle = first.IdleSeconds
	case policy.LFU():
		w.Freq = func(e index.Entry) int { return int(first.Frequency(e)) }
	}
	return snapshot.NewFileSink(o, w)
}

// snapshotAux are the facts at the head of an RDB file, in Redis's order.
func (srv *Server) snapshotAux(nowMs int64) [][2]string { return srv.aux(nowMs, "0") }

// baseAux are those of a BASE of an append-only file.
func (srv *Server) baseAux(nowMs int64) [][2]string { return srv.aux(nowMs, "1") }

func (srv *Server) aux(nowMs int64, base string) [][2]string {
	return [][2]string{
		{"redis-ver", RedisVersion}, {"redis-bits", "64"}, {"ctime", strconv.FormatInt(nowMs/1000, 10)},
		{"used-mem", strconv.FormatInt(srv.usedMemory(), 10)}, {"aof-base", base}, {"fulmen-ver", Version},
	}
}
