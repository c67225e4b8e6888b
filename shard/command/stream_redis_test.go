package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffStreams compares the replies to random commands on streams and their consumer groups with redis-server's.
func TestDiffStreams(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(redistest.Streams(), redistest.Encodings()...)
			grammar = append(append(grammar, redistest.Keyspace()...), redistest.Moving()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			grammar := append(redistest.Streams(), redistest.Moving()...)
			redistest.Diff(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(shards), grammar)
		})
	}
}
