package command

import (
	"math"
	"math/rand/v2"

	"fulmen/internal/resp"
)

// mostReply is the most bytes of reply that a call with a negative count may make if its session has no limit: it says
// itself how often it wants the same, so its length has no other bound.
const mostReply = 1 << 30

// leastItem is the length of the shortest item of a reply.
const leastItem = len("$0\r\n\r\n")

// randomCount reads the arguments behind the key of HRANDFIELD and its like: a count, negative for items that may come
// several times, and perhaps a word that asks for more about each.
func (c *Ctx) randomCount(word string) (n int64, with bool, err error) {
	a := c.ArgsFrom(2)
	n = a.Int()
	if n == math.MinInt64 {
		a.Fail(resp.ErrRandomCount)
	}
	if with = a.Option(word); a.More() {
		a.Syntax()
	}
	if with && (n < -math.MaxInt64/2 || n > math.MaxInt64/2) {
		a.Fail(resp.ErrOutOfRange)
	}
	return n, with, a.Err()
}

// tooMuch reports whether the reply has become too long, and says so to the executor.
func (c *Ctx) tooMuch() bool {
	if c.ReplyLimit > 0 && len(c.Out) > c.ReplyLimit {
		c.Overflow = true
	}
	return c.Overflow
}

// randomTimes calls fn n times with a random rank below size, unless the reply gets too long by that.
func (c *Ctx) randomTimes(n int64, size int, fn func(rank int)) {
	limit := mostReply
	if c.ReplyLimit > 0 {
		limit = c.ReplyLimit
	}
	if n > int64(limit/leastItem) {
		c.Overflow = true
		return
	}
	for from := len(c.Out); n > 0; n-- {
		if len(c.Out)-from > limit {
			c.Overflow = true
			return
		}
		fn(rand.IntN(size))
	}
}

// fewOf is how many times more there must be than are wanted for drawing ranks to be better than passing all.
const fewOf = 8

// randomRanks calls fn with n different ranks below size, every choice being as likely as any other, unless the reply
// gets too long by that. n is less than size.
func (c *Ctx) randomRanks(n, size int, fn func(rank int)) {
	if n > size/fewOf {
		for rank := 0; n > 0 && !c.tooMuch(); rank++ {
			if rand.IntN(size-rank) < n {
				fn(rank)
				n--
			}
		}
		return
	}
	taken := make(map[int]struct{}, n)
	for top := size - n; top < size && !c.tooMuch(); top++ { // after Floyd
		rank := rand.IntN(top + 1)
		if _, ok := taken[rank]; ok {
			rank = top
		}
		taken[rank] = struct{}{}
		fn(rank)
	}
}
