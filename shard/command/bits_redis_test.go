package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffBitmaps compares the replies to random commands on bits with redis-server's.
func TestDiffBitmaps(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(redistest.Bitmaps(), redistest.Moving()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
	}
}
