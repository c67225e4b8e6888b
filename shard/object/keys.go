package object

import "math"

// Keys in trees are numbers that have the order of what they stand for: scores in sorted sets. Those of integers in
// sets have one that is like a random one, so that a set's order says nothing.

const (
	// ZeroKey is the key of the score 0.
	ZeroKey = 1 << 63
	// MinusZero is the key of the score -0, which only the tree of scores by member tells from 0.
	MinusZero = ZeroKey - 1
)

// ScoreKey turns a score into a number that sorts as it does, -0 right before 0.
func ScoreKey(score float64) uint64 {
	b := math.Float64bits(score)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// ScoreOf turns such a number back.
func ScoreOf(key uint64) float64 {
	if key>>63 != 0 {
		return math.Float64frombits(key &^ (1 << 63))
	}
	return math.Float64frombits(^key)
}

// MixInt gives integers an order that is like a random one.
func MixInt(n int64) uint64 {
	x := uint64(n)
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// UnmixInt is the inverse of MixInt.
func UnmixInt(x uint64) int64 {
	x ^= x >> 32
	x *= 0xcfee444d8b59a89b
	x ^= x >> 32
	x *= 0xcfee444d8b59a89b
	return int64(x ^ x>>32)
}
