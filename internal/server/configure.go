package server

import (
	"errors"
	"fmt"
	"log/slog"

	"fulmen/internal/config"
	"fulmen/shard"
	"fulmen/shard/command"
)

// apply hands the parameters that are read on data paths to those who read them.
func (srv *Server) apply(v *config.Values) {
	srv.limits.Store(&command.Limits{
		MaxStringBytes: v.ProtoMaxBulkLenBytes,
		ListFill:       v.ListMaxListpackSize,
		LazyUserFlush:  v.LazyFlushByDefault,
		CompressDumps:  v.RDBCompressed,

		HLLSparseMaxBytes: v.HLLSparseMaxBytes,

		HashMaxListpackEntries:    v.HashMaxListpackEntries,
		HashMaxListpackValueBytes: v.HashMaxListpackValueBytes,

		ZSet: shard.ZSetLimits{
			Entries: v.ZSetMaxListpackEntries, ValueBytes: v.ZSetMaxListpackValueBytes,
		},
		Sets: shard.SetLimits{
			IntsetEntries: v.SetMaxIntsetEntries, ListpackEntries: v.SetMaxListpackEntries,
			ListpackValue: v.SetMaxListpackValue,
		},
		Stream: shard.StreamLimits{NodeBytes: v.StreamNodeMaxBytes, NodeEntries: v.StreamNodeMaxEntries},
	})
	srv.observe(v)
	srv.set.SetEvents(shard.ParseEvents(v.KeyspaceEvents))
	srv.set.SetTrackingLimit(v.TrackingMaxKeys)
	srv.applyMemory(v)
	srv.replyLimit.Store(v.OutputLimits[config.ClassNormal].HardBytes)
	if srv.logLevel != nil {
		srv.logLevel.Set(slogLevel(v.LogLevel))
	}
}

// watchConfig has CONFIG SET take effect.
func (srv *Server) watchConfig() {
	cfg := srv.cfg
	cfg.OnApply(func(_, v *config.Values) error {
		srv.apply(v)
		return nil
	}, "proto-max-bulk-len", "lazyfree-lazy-user-flush", "loglevel", "client-output-buffer-limit",
		"list-max-listpack-size", "rdbcompression", "hll-sparse-max-bytes",
		"slowlog-log-slower-than", "slowlog-max-len", "latency-monitor-threshold", "latency-tracking",
		"notify-keyspace-events", "tracking-table-max-keys",
		"maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity", "lfu-log-factor", "lfu-decay-time",
		"hash-max-listpack-entries", "hash-max-listpack-value",
		"zset-max-listpack-entries", "zset-max-listpack-value",
		"set-max-intset-entries", "set-max-listpack-entries", "set-max-listpack-value",
		"stream-node-max-bytes", "stream-node-max-entries")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.apply(v)
		srv.warnOfLimit(v.MaxMemoryBytes)
		return nil
	}, "maxmemory")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.applyClientLimit(v)
		return nil
	}, "maxmemory", "maxmemory-clients")
	cfg.OnApply(func(_, v *config.Values) error { return raiseFileLimit(v.MaxClients) }, "maxclients")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.reactor.SetLimits(connLimits(v))
		return nil
	}, "client-query-buffer-limit", "client-output-buffer-limit")
	cfg.OnApply(func(_, v *config.Values) error { return srv.relisten(v) }, "bind", "port")
	cfg.OnApply(func(_, v *config.Values) error { return srv.console.apply(srv, v) }, "http-port", "http-bind")
	cfg.OnApply(func(_, v *config.Values) error { return srv.moveDir(v.Dir) }, "dir")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.saver.SetBudget(v.SaveBufferBytes)
		srv.saves.limiter.SetRate(v.SaveBytesPerSecond)
		return nil
	}, "rdb-save-buffer-limit", "rdb-save-rate-limit")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.saver.SetKeyDelay(v.SaveKeyDelayUs)
		srv.loading.delay.Set(v.LoadKeyDelayUs)
		return nil
	}, "rdb-key-save-delay", "key-load-delay")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.aof.apply(v)
		return nil
	}, "appendfsync", "no-appendfsync-on-rewrite", "aof-history-retain-bytes", "aof-history-retain-seconds")
	cfg.OnApply(func(_, v *config.Values) error { return srv.aof.turn(v.AppendOnly) }, "appendonly")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.upstream.apply(v)
		return nil
	}, "replica-read-only", "replica-serve-stale-data", "replica-ignore-maxmemory")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.replication.applyLimits(v)
		srv.wakeSaving()
		return nil
	}, "log-memory-limit", "repl-backlog-size", "repl-spool-limit")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.replication.countGood(v)
		return nil
	}, "min-replicas-to-write", "min-replicas-max-lag")
	cfg.OnApply(func(_, v *config.Values) error {
		srv.saves.mu.Lock()
		defer srv.saves.mu.Unlock()
		srv.saves.restrict(v)
		return nil
	}, "save", "stop-writes-on-bgsave-error")
}

// warnOfLimit says that a new maxmemory is exceeded already. Ticks begin to evict.
func (srv *Server) warnOfLimit(limit int64) {
	if used := srv.usedMemory(); limit > 0 && limit < used {
		srv.log.Warn(fmt.Sprintf("WARNING: the new maxmemory value set via CONFIG SET (%d) is smaller than the "+
			"current memory usage (%d). This will result in key eviction and/or the inability to accept new "+
			"write commands depending on the maxmemory-policy.", limit, used))
	}
}

// relisten binds the new addresses before it lets go of the old ones.
func (srv *Server) relisten(v *config.Values) error {
	srv.listenMu.Lock()
	defer srv.listenMu.Unlock()
	old := srv.listeners
	// Addresses in both sets can't be bound twice: those that stay are closed first and bound again.
	for _, ln := range old {
		srv.reactor.CloseListener(ln)
	}
	listeners, err := listenTCP(v)
	if err != nil {
		srv.log.Warn("CONFIG SET: " + err.Error())
		back, backErr := listenTCP(srv.cfg.Values())
		if backErr != nil {
			srv.log.Warn("binding the old addresses again: " + backErr.Error())
		}
		listeners = back
		if err = errors.New("Unable to listen on this port. Check server logs."); v.Port == srv.cfg.Values().Port {
			err = errors.New("Failed to bind to specified addresses.")
		}
	}
	srv.listeners = listeners
	for _, ln := range listeners {
		srv.reactor.Listen(ln)
	}
	return err
}

func slogLevel(l config.LogLevel) slog.Level {
	switch l {
	case config.LogDebug, config.LogVerbose:
		return slog.LevelDebug
	case config.LogNotice:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
