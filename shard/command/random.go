package command

import (
	"math"
	"math/rand/v2"

	"fulmen/internal/resp"
)

// hugeReply is the length in bytes of a reply that is too long whatever the session's limit, if its length is only
// bounded by what the call asks for, and not by what is there.
const hugeReply = 1 << 32

// leastItem is the length of the shortest item of a reply.
const leastItem = len("$0\r\n\r\n")

// randomCount reads the arguments behind the key of HRANDFIELD and its like: a count, negative for items that may come
// several times, and perhaps a word that asks for more about each; "": there is no such word.
func (c *Ctx) randomCount(word string) (n int64, with bool, err error) {
	if word == "" && len(c.Args) > 3 {
		return 0, false, resp.ErrSyntax // whatever the count is
	}
	a := c.ArgsFrom(2)
	n = a.Int()
	if n == math.MinInt64 {
		a.Fail(resp.ErrRandomCount)
	}
	if with = word != "" && a.Option(word); a.More() {
		a.Syntax()
	}
	if with && (n < -math.MaxInt64/2 || n > math.MaxInt64/2) {
		a.Fail(resp.ErrOutOfRange)
	}
	return n, with, a.Err()
}

// randomTimes calls fn n times with a random rank below size, unless the reply gets too long by that: the call says
// itself how often it wants the same, so its length has no other bound.
func (c *Ctx) randomTimes(n int64, size int, fn func(rank int)) {
	limit := int64(hugeReply)
	if c.ReplyLimit > 0 {
		limit = int64(c.ReplyLimit)
	}
	if n > limit/int64(leastItem) {
		c.Overflow = true
		return
	}
	for ; n > 0 && !c.full(); n-- {
		fn(rand.IntN(size))
		c.Overflow = c.Overflow || c.Bytes() > hugeReply
	}
}

// fewOf is how many times more there must be than are wanted for drawing ranks to be better than passing all.
const fewOf = 8

// drawing goes past `size` items and takes n of them, every choice of that many being as likely as any other.
type drawing struct{ n, size int }

// take decides about the next item.
func (d *drawing) take() bool {
	take := rand.IntN(d.size) < d.n
	d.size--
	if take {
		d.n--
	}
	return take
}

// randomRanks calls fn with n different ranks below size, every choice being as likely as any other, unless the reply
// gets too long by that. It is for few out of many.
func (c *Ctx) randomRanks(n, size int, fn func(rank int)) {
	taken := make(map[int]struct{}, n)
	for top := size - n; top < size && !c.full(); top++ { // after Floyd
		rank := rand.IntN(top + 1)
		if _, ok := taken[rank]; ok {
			rank = top
		}
		taken[rank] = struct{}{}
		fn(rank)
	}
}
