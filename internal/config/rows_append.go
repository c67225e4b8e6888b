package config

import (
	"math"
	"strings"
)

// appendRows: the append-only file, and the log that it is written from.
var appendRows = []row{{
	name: "appendonly", kind: boolean, standard: "no",
	store: func(v *Values, s setting) { v.AppendOnly = s.n == 1 },
}, {
	name: "appendfilename", kind: text, standard: "appendonly.aof", immutable: true,
	check: bareName("appendfilename", "filename"),
	store: func(v *Values, s setting) { v.AppendFilename = s.text },
}, {
	name: "appenddirname", kind: text, standard: "appendonlydir", immutable: true,
	check: bareName("appenddirname", "dirname"),
	store: func(v *Values, s setting) { v.AppendDirname = s.text },
}, {
	name: "appendfsync", kind: enum, words: []string{"everysec", "always", "no"}, standard: "everysec",
	store: func(v *Values, s setting) { v.AppendFsync = AppendFsync(s.n) },
}, {
	name: "aof-load-truncated", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.AOFLoadTruncated = s.n == 1 },
}, {
	name: "aof-timestamp-enabled", kind: boolean, standard: "no",
	store: func(v *Values, s setting) { v.AOFTimestamp = s.n == 1 },
}, {
	name: "aof-use-rdb-preamble", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.AOFUseRDBPreamble = s.n == 1 },
}, {
	name: "aof-ring-dir", kind: text, standard: "/dev/shm", immutable: true,
	store: func(v *Values, s setting) {
		if v.AOFRingDir = s.text; s.text == "no" {
			v.AOFRingDir = ""
		}
	},
}, {
	name: "aof-ring-size", kind: memory, standard: "32mb", min: 1 << 20, max: 1 << 36, immutable: true,
	store: func(v *Values, s setting) { v.AOFRingBytes = s.n },
}, {
	name: "no-appendfsync-on-rewrite", kind: boolean, standard: "no",
	store: func(v *Values, s setting) { v.NoFsyncOnRewrite = s.n == 1 },
}, {
	name: "auto-aof-rewrite-percentage", kind: integer, standard: "100", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.AutoAOFRewritePercentage = s.n },
}, {
	name: "auto-aof-rewrite-min-size", kind: memory, standard: "64mb",
	store: func(v *Values, s setting) { v.AutoAOFRewriteMinBytes = s.n },
}, {
	name: "aof-rewrite-incremental-fsync", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.AOFIncrementalFsync = s.n == 1 },
}, {
	name: "aof_rewrite_cpulist", kind: text, standard: `""`, immutable: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.AOFRewriteCPUs = s.text },
}, {
	name: "aof-history-retain-bytes", kind: memory, standard: "0", max: 1 << 60,
	store: func(v *Values, s setting) { v.AOFHistoryBytes = s.n },
}, {
	name: "aof-history-retain-seconds", kind: integer, standard: "0", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.AOFHistorySeconds = s.n },
}, {
	name: "log-memory-limit", kind: memory, standard: "256mb", min: 1 << 20, max: 1 << 40,
	store: func(v *Values, s setting) { v.LogMemoryBytes = s.n },
}}

// AppendFsync is when what was written to the append-only file is synced.
type AppendFsync int32

// The values of appendfsync.
const (
	FsyncEverySec AppendFsync = iota
	FsyncAlways
	FsyncNo
)

// bareName checks that a name is not empty and no path.
func bareName(parameter, what string) func(s setting) error {
	return func(s setting) error {
		switch {
		case s.text == "":
			return reason(parameter + " can't be empty")
		case strings.ContainsAny(s.text, "/\\"):
			return reason(parameter + " can't be a path, just a " + what)
		}
		return nil
	}
}
