package command_test

import (
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffRedis8 compares what the redis-server on PATH does not have, or calls by other names, with Redis 8: times to
// live of fields, and the encodings of lists and sets.
func TestDiffRedis8(t *testing.T) {
	tinySets := []string{
		"--set-max-listpack-entries", "4", "--set-max-listpack-value", "6", "--set-max-intset-entries", "3",
	}
	// What Redis 8 words in another way, or does with indexes beyond 32 bits, is left out.
	lists := append(redistest.Lists().Without("lrem", "lpos", "lset", "lindex"), redistest.Encodings()...)
	sets := append(redistest.Sets().Without("sscan"), redistest.Encodings()...)
	hashes := redistest.Hashes().Without("hscan")
	for _, c := range []struct {
		name    string
		grammar redistest.Grammar
		limits  []string
	}{
		{"field expiries", append(redistest.FieldExpiries(), hashes...), nil},
		{"encodings of lists", lists, nil},
		{"encodings of short lists", lists,
			[]string{"--list-max-listpack-size", "3"}},
		{"encodings of sets", sets, nil},
		{"encodings of small sets", sets, tinySets},
		{"encodings of hashes", append(hashes, redistest.Encodings()...),
			[]string{"--hash-max-listpack-entries", "4", "--hash-max-listpack-value", "6"}},
	} {
		for _, shards := range []int{1, 8} {
			t.Run(c.name+" "+strconv.Itoa(shards), func(t *testing.T) {
				redistest.Diff(t, redistest.Redis8(c.limits...), fulmen(shards, c.limits...), c.grammar)
			})
		}
	}
	t.Run("field expiries of values in all forms", func(t *testing.T) {
		grammar := append(append(redistest.FieldExpiries(), hashes...), redistest.Encodings()...)
		grammar = append(append(grammar, redistest.Moving()...), redistest.Connection()...)
		redistest.Diff(t, redistest.Redis8(redistest.TinyLimits()...), tinyFulmen(8), grammar)
	})
}
