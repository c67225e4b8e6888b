package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffHyperLogLogs compares the replies to random commands on HyperLogLogs, and all their bytes, with
// redis-server's: with few bytes for the sparse form, as many as by default, and so many that there is hardly another.
func TestDiffHyperLogLogs(t *testing.T) {
	for _, c := range []struct {
		bytes  string
		shards int
	}{{"200", 1}, {"3000", 8}, {"40000", 8}} {
		t.Run(c.bytes+" "+strconv.Itoa(c.shards), func(t *testing.T) {
			grammar := append(redistest.HyperLogLogs(), redistest.ForgedHyperLogLogs()...)
			grammar = append(grammar, redistest.Encodings()...)
			limit := []string{"--hll-sparse-max-bytes", c.bytes}
			redistest.Diff(t, redistest.Redis(limit...), fulmen(c.shards, limit...), grammar)
		})
	}
}
