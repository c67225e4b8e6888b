package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// rows is the table of parameters, in the order of CONFIG GET * and fulmen.conf.
var rows = slices.Concat(
	networkRows, processRows, dataRows, snapshotRows, appendRows, collectionRows, defragRows, watchRows, setRows,
	replicaRows, followRows, laterRows,
	inertRows)

// networkRows: where clients come in and what a connection may use. All live.
var networkRows = []row{{
	name: "bind", kind: list, standard: "* -::*", max: 16, tooMany: "Too many bind addresses specified.",
	dropDefault: true,
	store:       func(v *Values, s setting) { v.Bind = s.words },
}, {
	name: "port", kind: integer, standard: "6379", max: math.MaxUint16,
	store: func(v *Values, s setting) { v.Port = int(s.n) },
}, {
	name: "unixsocket", kind: text, standard: `""`, immutable: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.UnixSocket = s.text },
}, {
	name: "unixsocketperm", kind: octal, standard: "0", max: 0o777, immutable: true,
	store: func(v *Values, s setting) { v.UnixSocketPerm = uint32(s.n) },
}, {
	name: "protected-mode", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ProtectedMode = s.n == 1 },
}, {
	name: "tcp-backlog", kind: integer, standard: "511", max: math.MaxInt32, immutable: true,
	store: func(v *Values, s setting) { v.TCPBacklog = int(s.n) },
}, {
	name: "timeout", kind: integer, standard: "0", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.TimeoutSeconds = int(s.n) },
}, {
	name: "tcp-keepalive", kind: integer, standard: "300", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.TCPKeepaliveSeconds = int(s.n) },
}, {
	name: "maxclients", kind: integer, standard: "10000", min: 1, max: math.MaxUint32,
	store: func(v *Values, s setting) { v.MaxClients = int(s.n) },
}, {
	name: "busy-reply-threshold", aliases: []string{"lua-time-limit"}, kind: integer, standard: "5000",
	max:   math.MaxInt64,
	store: func(v *Values, s setting) { v.BusyReplyMs = s.n },
}, {
	name: "proto-max-bulk-len", kind: memory, standard: "512mb", min: 1 << 20, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.ProtoMaxBulkLenBytes = s.n },
}, {
	name: "zset-max-listpack-entries", aliases: []string{"zset-max-ziplist-entries"}, kind: integer, standard: "128",
	max:   math.MaxInt64,
	store: func(v *Values, s setting) { v.ZSetMaxListpackEntries = s.n },
}, {
	name: "zset-max-listpack-value", aliases: []string{"zset-max-ziplist-value"}, kind: memory, standard: "64",
	store: func(v *Values, s setting) { v.ZSetMaxListpackValueBytes = s.n },
}, {
	name: "stream-node-max-bytes", kind: memory, standard: "4096",
	store: func(v *Values, s setting) { v.StreamNodeMaxBytes = s.n },
}, {
	name: "stream-node-max-entries", kind: integer, standard: "100", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.StreamNodeMaxEntries = s.n },
}, {
	name: "client-query-buffer-limit", kind: memory, standard: "1gb", min: 1 << 20, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.QueryBufferLimitBytes = s.n },
}, {
	name: "client-output-buffer-limit", kind: outputLimit,
	standard: "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
	store:    func(v *Values, s setting) { v.OutputLimits = s.limits },
}, {
	name: "requirepass", kind: text, standard: `""`, sensitive: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.RequirePass = s.text },
}, {
	name: "enable-debug-command", kind: enum, words: []string{"no", "yes", "local"}, standard: "no", immutable: true,
	store: func(v *Values, s setting) { v.EnableDebugCommand = ProtectedUse(s.n) },
}, {
	name: "enable-module-command", kind: enum, words: []string{"no", "yes", "local"}, standard: "no", immutable: true,
	store: func(v *Values, s setting) { v.EnableModuleCommand = ProtectedUse(s.n) },
}, {
	name: "enable-protected-configs", kind: enum, words: []string{"no", "yes", "local"}, standard: "no",
	immutable: true,
	store:     func(v *Values, s setting) { v.EnableProtectedConfigs = ProtectedUse(s.n) },
}, {
	name: "http-port", kind: integer, standard: "0", max: math.MaxUint16,
	store: func(v *Values, s setting) { v.HTTPPort = int(s.n) },
}, {
	name: "http-bind", kind: list, standard: "127.0.0.1 -::1", max: 16, tooMany: "Too many bind addresses specified.",
	store: func(v *Values, s setting) { v.HTTPBind = s.words },
}}

// defaultShards: where one event loop uses all shards, which is the default up to two processors, more of them only
// break pipelines up (with an append-only file a SET at pipeline 16 takes 1.65 µs with 8 shards, 1.40 with 2 and 1.34
// with 1), but as many as there are processors are loaded at the same time. Several loops get in each other's way the
// less the more shards there are.
func defaultShards(cpus int) int {
	if cpus <= 2 {
		return cpus
	}
	return min(max(8, cpus), 256)
}

// processRows: the process and its threads. All live.
var processRows = []row{{
	name: "daemonize", kind: boolean, standard: "no", immutable: true,
	store: func(v *Values, s setting) { v.Daemonize = s.n == 1 },
}, {
	name: "pidfile", kind: text, standard: `""`, immutable: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.PidFile = s.text },
}, {
	name: "loglevel", kind: enum, words: []string{"debug", "verbose", "notice", "warning"}, standard: "notice",
	store: func(v *Values, s setting) { v.LogLevel = LogLevel(s.n) },
}, {
	name: "logfile", kind: text, standard: `""`, immutable: true,
	store: func(v *Values, s setting) { v.LogFile = s.text },
}, {
	name: "dir", kind: path, standard: "./", protected: true,
	store: func(v *Values, s setting) { v.Dir = s.text },
}, {
	name: "shards", kind: integer, standard: "0", max: 256, immutable: true,
	store: func(v *Values, s setting) {
		if v.Shards = int(s.n); s.n == 0 {
			v.Shards = defaultShards(v.cpus)
		}
	},
}, {
	name: "event-loops", aliases: []string{"io-threads"}, kind: integer, standard: "0", max: 128, immutable: true,
	store: func(v *Values, s setting) {
		if v.EventLoops = int(s.n); s.n == 0 {
			v.EventLoops = min(max(1, v.cpus-1), 128)
		}
	},
}, {
	name: "io-engine", kind: enum, words: []string{"epoll", "io_uring"}, standard: "epoll", immutable: true,
	later: "an io_uring engine",
}, {
	name: "hz", kind: integer, standard: "10", max: math.MaxInt32, clamp: [2]int64{1, 500},
	store: func(v *Values, s setting) { v.Hz = int(s.n) },
}}

// dataRows: the dataset. All live.
var dataRows = []row{{
	name: "databases", kind: integer, standard: "16", min: 1, max: math.MaxInt32, immutable: true,
	store: func(v *Values, s setting) { v.Databases = int(s.n) },
}, {
	name: "maxmemory", kind: memory, standard: "0",
	store: func(v *Values, s setting) { v.MaxMemoryBytes = s.n },
}, {
	name: "maxmemory-clients", kind: share, standard: "0",
	store: func(v *Values, s setting) { v.MaxMemoryClients = s.n },
}, {
	name: "maxmemory-policy", kind: enum, standard: "noeviction",
	words: []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"},
	store: func(v *Values, s setting) { v.MaxMemoryPolicy = int(s.n) },
}, {
	name: "maxmemory-samples", kind: integer, standard: "5", min: 1, max: math.MaxInt32,
	store: func(v *Values, s setting) { v.MaxMemorySamples = int(s.n) },
}, {
	name: "maxmemory-eviction-tenacity", kind: integer, standard: "10", max: 100,
	store: func(v *Values, s setting) { v.MaxMemoryTenacity = int(s.n) },
}, {
	name: "lfu-log-factor", kind: integer, standard: "10", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.LFULogFactor = s.n },
}, {
	name: "lfu-decay-time", kind: integer, standard: "1", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.LFUDecayMinutes = s.n },
}, {
	name: "lazyfree-lazy-user-flush", kind: boolean, standard: "no",
	store: func(v *Values, s setting) { v.LazyFlushByDefault = s.n == 1 },
}, {
	name: "list-max-listpack-size", aliases: []string{"list-max-ziplist-size"}, kind: integer, standard: "-2",
	min: math.MinInt32, max: math.MaxInt32,
	store: func(v *Values, s setting) { v.ListMaxListpackSize = int(s.n) },
}}

// collectionRows: the names of encodings, and sizes. All live.
var collectionRows = []row{{
	name: "hash-max-listpack-entries", aliases: []string{"hash-max-ziplist-entries"}, kind: integer, standard: "512",
	max:   math.MaxInt64,
	store: func(v *Values, s setting) { v.HashMaxListpackEntries = s.n },
}, {
	name: "hash-max-listpack-value", aliases: []string{"hash-max-ziplist-value"}, kind: memory, standard: "64",
	store: func(v *Values, s setting) { v.HashMaxListpackValueBytes = s.n },
}, {
	name: "hll-sparse-max-bytes", kind: memory, standard: "3000",
	store: func(v *Values, s setting) { v.HLLSparseMaxBytes = s.n },
}}

// defragRows: active defragmentation. All live. It is on by default, and begins earlier than in Redis: it takes no
// time while memory is not fragmented, and a pass is short.
var defragRows = []row{{
	name: "activedefrag", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.ActiveDefrag = s.n == 1 },
}, {
	name: "active-defrag-ignore-bytes", kind: memory, standard: "10mb", min: 1, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.DefragIgnoreBytes = s.n },
}, {
	name: "active-defrag-threshold-lower", kind: integer, standard: "10", max: 1000,
	store: func(v *Values, s setting) { v.DefragLowerPercent = s.n },
}, {
	name: "active-defrag-threshold-upper", kind: integer, standard: "100", max: 1000,
	store: func(v *Values, s setting) { v.DefragUpperPercent = s.n },
}, {
	name: "active-defrag-cycle-min", kind: integer, standard: "1", min: 1, max: 99,
	store: func(v *Values, s setting) { v.DefragCycleMin = s.n },
}, {
	name: "active-defrag-cycle-max", kind: integer, standard: "25", min: 1, max: 99,
	store: func(v *Values, s setting) { v.DefragCycleMax = s.n },
}, {
	name: "active-defrag-max-scan-fields", kind: integer, standard: "1000", min: 1, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.DefragMaxScanFields = s.n },
}}

// setRows: sizes at which sets get another encoding. All live.
var setRows = []row{{
	name: "set-max-intset-entries", kind: integer, standard: "512", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SetMaxIntsetEntries = s.n },
}, {
	name: "set-max-listpack-entries", kind: integer, standard: "128", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SetMaxListpackEntries = s.n },
}, {
	name: "set-max-listpack-value", kind: integer, standard: "64", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SetMaxListpackValue = s.n },
}}

// watchRows: what is noted of commands. All live.
var watchRows = []row{{
	name: "slowlog-log-slower-than", kind: integer, standard: "10000", min: -1, max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SlowLogFromUs = s.n },
}, {
	name: "slowlog-max-len", kind: integer, standard: "128", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.SlowLogEntries = s.n },
}, {
	name: "latency-monitor-threshold", kind: integer, standard: "0", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.LatencyFromMs = s.n },
}, {
	name: "latency-tracking", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.LatencyTracking = s.n == 1 },
}, {
	name: "latency-tracking-info-percentiles", kind: percentileList, standard: "50 99 99.9",
	store: func(v *Values, s setting) { v.LatencyPercentiles = percentiles(s) },
}, {
	name: "notify-keyspace-events", kind: events, standard: `""`,
	store: func(v *Values, s setting) { v.KeyspaceEvents = eventLetters(s) },
}, {
	name: "tracking-table-max-keys", kind: integer, standard: "1000000", max: math.MaxInt64,
	store: func(v *Values, s setting) { v.TrackingMaxKeys = s.n },
}}

// parsePercentiles words percentiles as Redis does: with six digits behind the point and without zeros at the end.
func parsePercentiles(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	words := strings.Fields(strings.Join(args, " "))
	for i, a := range words {
		f, err := strconv.ParseFloat(a, 64)
		if err != nil {
			return setting{}, reason("Invalid latency-tracking-info-percentiles parameters")
		}
		if !(f >= 0 && f <= 100) {
			return setting{}, reason("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
		}
		words[i] = PercentileText(f)
	}
	return setting{text: strings.Join(words, " "), words: words}, nil
}

// PercentileText is how Redis writes a percentile.
func PercentileText(percent float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(percent, 'f', 6, 64), "0"), ".")
}

// percentiles reads words that parsePercentiles has let pass.
func percentiles(s setting) []float64 {
	all := make([]float64, len(s.words))
	for i, w := range s.words {
		all[i], _ = strconv.ParseFloat(w, 64)
	}
	return all
}
