package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// snapshotRows: what is saved, when and how. All live.
var snapshotRows = []row{{
	name: "save", kind: savePoints, standard: "3600 1 300 100 60 10000",
	store: func(v *Values, s setting) { v.SavePoints = pointsOf(s) },
}, {
	name: "stop-writes-on-bgsave-error", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.StopWritesOnSaveError = s.n == 1 },
}, {
	name: "dbfilename", kind: text, standard: "dump.rdb", protected: true, check: checkFileName,
	store: func(v *Values, s setting) { v.DBFilename = s.text },
}, {
	name: "rdb-segments", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.RDBSegments = s.n == 1 },
}, {
	name: "rdbcompression", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.RDBCompressed = s.n == 1 },
}, {
	name: "rdb-compression", kind: enum, words: []string{"lz4", "lzf", "no"}, standard: "lz4",
	store: func(v *Values, s setting) { v.RDBCompression = Compression(s.n) },
}, {
	name: "rdbchecksum", kind: boolean, standard: "yes", immutable: true,
	store: func(v *Values, s setting) { v.RDBChecksum = s.n == 1 },
}, {
	name: "rdb-save-incremental-fsync", kind: boolean, standard: "yes",
	store: func(v *Values, s setting) { v.RDBIncrementalFsync = s.n == 1 },
}, {
	name: "rdb-save-rate-limit", kind: memory, standard: "0",
	store: func(v *Values, s setting) { v.SaveBytesPerSecond = s.n },
}, {
	name: "rdb-key-save-delay", kind: integer, standard: "0", min: math.MinInt32, max: math.MaxInt32, hidden: true,
	store: func(v *Values, s setting) { v.SaveKeyDelayUs = s.n },
}, {
	name: "key-load-delay", kind: integer, standard: "0", min: math.MinInt32, max: math.MaxInt32, hidden: true,
	store: func(v *Values, s setting) { v.LoadKeyDelayUs = s.n },
}, {
	name: "loading-process-events-interval-bytes", kind: integer, standard: "2097152", min: 1024,
	max: math.MaxInt32, hidden: true,
	store: func(v *Values, s setting) { v.LoadQuietBytes = s.n },
}, {
	name: "rdb-save-buffer-limit", kind: memory, standard: "64mb", min: 1 << 20, max: 1 << 40,
	store: func(v *Values, s setting) { v.SaveBufferBytes = s.n },
}, {
	name: "bgsave_cpulist", kind: text, standard: `""`, immutable: true, dropEmpty: true,
	store: func(v *Values, s setting) { v.SaveCPUs = s.text },
}, {
	name: "shutdown-on-sigint", kind: flags, words: shutdownWords, standard: "default", check: checkShutdown,
	store: func(v *Values, s setting) { v.OnSigint = shutdownOf(s) },
}, {
	name: "shutdown-on-sigterm", kind: flags, words: shutdownWords, standard: "default", check: checkShutdown,
	store: func(v *Values, s setting) { v.OnSigterm = shutdownOf(s) },
}, {
	name: "shutdown-timeout", kind: integer, standard: "10", max: math.MaxInt32,
	store: func(v *Values, s setting) { v.ShutdownTimeoutSeconds = s.n },
}}

// SavePoint has the data saved when at least Changes changes were made and the last save is more than Seconds ago.
type SavePoint struct{ Seconds, Changes int64 }

// Compression is how a snapshot's bytes are compressed.
type Compression int

// The values of rdb-compression.
const (
	CompressLZ4 Compression = iota // frames of LZ4 around an RDB file, which only Fulmen reads
	CompressLZF                    // strings within the file, as Redis does
	CompressNone
)

// Shutdown says how the server ends on a signal; all false: as SHUTDOWN without options.
type Shutdown struct{ Save, NoSave, Now, Force bool }

// Compression returns how snapshots are to be compressed: a file that Redis is to load never with LZ4.
func (v *Values) Compression() Compression {
	switch {
	case !v.RDBCompressed:
		return CompressNone
	case v.RDBCompression == CompressLZ4 && !v.RDBSegments:
		return CompressLZF
	}
	return v.RDBCompression
}

// parseSave takes pairs of seconds and changes; one empty word means none.
func parseSave(_ *row, args []string, _ setting, _ *Env) (setting, error) {
	bad := reason("Invalid save parameters")
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	if len(args)%2 != 0 {
		return setting{}, bad
	}
	words := make([]string, len(args))
	for i, least := range []int64{1, 0} {
		for k := i; k < len(args); k += 2 {
			n, err := strconv.ParseInt(args[k], 10, 64) // as C reads numbers: a plus sign and zeros may lead
			if err != nil || n < least {
				return setting{}, bad
			}
			words[k] = strconv.FormatInt(n, 10)
		}
	}
	return setting{text: strings.Join(words, " "), words: words}, nil
}

// joinSave adds the points of a line of a file to those of the lines before it; `save ""` takes all away.
func joinSave(old, s setting) setting {
	if len(s.words) == 0 || !old.given {
		return s
	}
	words := slices.Concat(old.words, s.words)
	return setting{text: strings.Join(words, " "), words: words}
}

// pointsOf reads words that parseSave has let pass.
func pointsOf(s setting) []SavePoint {
	points := make([]SavePoint, 0, len(s.words)/2)
	for i := 0; i+1 < len(s.words); i += 2 {
		seconds, _ := parseInt(s.words[i])
		changes, _ := parseInt(s.words[i+1])
		points = append(points, SavePoint{seconds, changes})
	}
	return points
}

func checkFileName(s setting) error {
	if s.text == "" || strings.ContainsAny(s.text, "/\\") {
		return reason("dbfilename can't be a path, just a filename")
	}
	return nil
}

// shutdownWords are options of SHUTDOWN, behind the word for none of them.
var shutdownWords = []string{"default", "save", "nosave", "now", "force"}

func checkShutdown(s setting) error {
	if how := shutdownOf(s); how.Save && how.NoSave {
		return reason("shutdown options SAVE and NOSAVE can't be used simultaneously")
	}
	return nil
}

func shutdownOf(s setting) Shutdown {
	has := func(word string) bool { return slices.Contains(s.words, word) }
	return Shutdown{Save: has("save"), NoSave: has("nosave"), Now: has("now"), Force: has("force")}
}
