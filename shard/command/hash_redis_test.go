package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffHashes compares the replies to random commands on hashes, and the names of their encodings, with
// redis-server's.
func TestDiffHashes(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(), fulmen(shards), append(redistest.Hashes(), redistest.Encodings()...))
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			redis := redistest.Redis(redistest.TinyLimits()...)
			redistest.Diff(t, redis, tinyFulmen(shards), append(redistest.Hashes(), redistest.Moving()...))
		})
	}
}
