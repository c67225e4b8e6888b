package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffSortedSets compares the replies to random commands on sorted sets, sets among their inputs, and the names of
// their encodings, with redis-server's.
func TestDiffSortedSets(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(redistest.SortedSets(), redistest.Overflows()...)
			grammar = append(append(grammar, redistest.Encodings()...), redistest.Keyspace()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			grammar := append(append(redistest.SortedSets(), redistest.Moving()...), redistest.Encodings()...)
			redistest.Diff(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(shards), grammar)
		})
	}
}
