package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffSets compares the replies to random commands on sets with redis-server's, with sets that are kept packed and
// with such that lie in trees soon.
func TestDiffSets(t *testing.T) {
	grammar := append(append(redistest.Sets(), redistest.Moving()...), redistest.Keyspace()...)
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(shards), grammar)
		})
	}
}
