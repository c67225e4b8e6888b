package command_test

import (
	"slices"
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffEvents compares what a subscriber hears of keyspace events with what redis-server's hears.
func TestDiffEvents(t *testing.T) {
	// What SORT looks up for the members of a set is in no order; so events of missing keys are left out with it.
	all := redistest.Everything().Without("sort", "sort_ro")
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			redistest.DiffEvents(t, redistest.Redis(), fulmen(shards, "--event-loops", "2"), all, "KEAnm")
		})
	}
	t.Run("tiny", func(t *testing.T) {
		grammar := slices.Concat(redistest.Lists().Without("lpos"), redistest.Sets(), redistest.Keyspace())
		redistest.DiffEvents(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(8), grammar, "KAn")
	})
	t.Run("fields", func(t *testing.T) {
		grammar := append(redistest.FieldExpiries(), redistest.Hashes().Without("hscan")...)
		redistest.DiffEvents(t, redistest.Redis8(), fulmen(8), grammar, "EAnm")
	})
}
