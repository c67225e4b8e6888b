package server

import (
	"math/bits"

	"fulmen/shard"
)

// shardSet is a set of shards.
type shardSet [shard.MaxShards / 64]uint64

func (s *shardSet) add(i int) { s[i>>6] |= 1 << (i & 63) }

func (s *shardSet) has(i int) bool { return s[i>>6]>>(i&63)&1 != 0 }

// appendTo appends the members in ascending order.
func (s *shardSet) appendTo(dst []int) []int {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			dst = append(dst, w<<6+bits.TrailingZeros64(word))
		}
	}
	return dst
}
