package command

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// zby is what a range of a sorted set is by.
type zby uint8

const (
	byRank zby = iota
	byScore
	byLex
)

// lexEdge is an edge of a range by member.
type lexEdge struct {
	member    []byte
	exclusive bool
	inf       int // -1: before all, 1: behind all
}

// zrange is a range of a sorted set.
type zrange struct {
	by           zby
	from, to     int64 // ranks, to included; negative ones from the end
	min, max     float64
	minEx, maxEx bool
	low, high    lexEdge
}

// parse reads the edges, the lower one first.
func (r *zrange) parse(low, high []byte) error {
	var ok1, ok2 bool
	switch r.by {
	case byScore:
		r.min, r.minEx, ok1 = parseScoreEdge(low)
		r.max, r.maxEx, ok2 = parseScoreEdge(high)
		if !ok1 || !ok2 {
			return resp.ErrMinMaxNotFloat
		}
	case byLex:
		ok1, ok2 = r.low.parse(low), r.high.parse(high)
		if !ok1 || !ok2 {
			return resp.ErrMinMaxNotString
		}
	default:
		r.from, ok1 = resp.ParseInt(low)
		r.to, ok2 = resp.ParseInt(high)
		if !ok1 || !ok2 {
			return resp.ErrNotInteger
		}
	}
	return nil
}

// parseScoreEdge reads an edge as Redis does, with strtod, which takes nothing for 0.
func parseScoreEdge(b []byte) (f float64, exclusive, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		b, exclusive = b[1:], true
	}
	if b = cString(b); len(b) == 0 {
		return 0, exclusive, true
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	if f, ok = resp.ParseFloat(b); ok {
		return f, exclusive, true
	}
	if bytes.IndexByte(b, '_') >= 0 {
		return 0, false, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if math.IsNaN(f) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false, false
	}
	return f, exclusive, true
}

func (e *lexEdge) parse(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case '(':
		e.exclusive = true
	case '[':
	case '-', '+':
		e.inf = 1
		if b[0] == '-' {
			e.inf = -1
		}
		return len(cString(b)) == 1
	default:
		return false
	}
	e.member = b[1:]
	return true
}

// rank returns how many members are before the edge, or up to it.
func (e *lexEdge) rank(z *shard.ZSet, through bool) int {
	switch {
	case e.inf < 0:
		return 0
	case e.inf > 0:
		return z.Len()
	}
	return z.LexRank(e.member, through)
}

// ranks returns what the range is in z: ranks from `from` up to, not including, `to`.
func (r *zrange) ranks(z *shard.ZSet) (from, to int) {
	n := z.Len()
	if n == 0 {
		return 0, 0
	}
	switch r.by {
	case byScore:
		from, to = z.ScoreRank(r.min, r.minEx), z.ScoreRank(r.max, !r.maxEx)
	case byLex:
		from, to = r.low.rank(z, r.low.exclusive), r.high.rank(z, !r.high.exclusive)
	default:
		first, last := r.from, r.to
		if first < 0 {
			first = max(first+int64(n), 0)
		}
		if last < 0 {
			last += int64(n)
		}
		if first > last || first >= int64(n) {
			return 0, 0
		}
		from, to = int(first), int(min(last, int64(n)-1))+1
	}
	return from, max(from, to)
}

// zrangeCall is a call of ZRANGE or of one of the commands like it.
type zrangeCall struct {
	zrange
	rev           bool
	offset, limit int64
	withScores    bool
}

// zrangeForm is what a command says before its options do.
type zrangeForm struct {
	by         zby
	rev, fixed bool // fixed: the options of the direction and of what the range is by are none of the command's
}

// parse reads the arguments from the first edge on.
func (r *zrangeCall) parse(c *Ctx, at int, form zrangeForm, store bool) error {
	r.by, r.rev, r.limit = form.by, form.rev, -1
	chosen := form.fixed
	a := c.ArgsFrom(at + 2)
	for a.More() {
		switch {
		case !store && a.Option("withscores"):
			r.withScores = true
		case a.Left() > 2 && a.Option("limit"):
			r.offset, r.limit = a.Int(), a.Int()
		case !form.fixed && !r.rev && a.Option("rev"):
			r.rev = true
		case !chosen && a.Option("bylex"):
			r.by, chosen = byLex, true
		case !chosen && a.Option("byscore"):
			r.by, chosen = byScore, true
		default:
			a.Syntax()
		}
	}
	switch {
	case a.Err() != nil:
		return a.Err()
	case r.limit != -1 && r.by == byRank:
		return resp.ErrZrangeLimit
	case r.withScores && r.by == byLex:
		return resp.ErrZrangeLexScores
	}
	low, high := c.Args[at], c.Args[at+1]
	if r.rev && r.by != byRank {
		low, high = high, low
	}
	return r.zrange.parse(low, high)
}

// members returns which members of z the call is about: n from rank `from` on, or from there backwards.
func (r *zrangeCall) members(z *shard.ZSet) (from, n int) {
	if r.by == byRank {
		from, to := r.ranks(z)
		if r.rev {
			return z.Len() - 1 - from, to - from
		}
		return from, to - from
	}
	from, to := r.ranks(z)
	size := int64(to - from)
	if r.offset < 0 || r.offset >= size {
		return 0, 0
	}
	n = int(size - r.offset)
	if r.limit >= 0 {
		n = int(min(int64(n), r.limit))
	}
	if r.rev {
		return to - 1 - int(r.offset), n
	}
	return from + int(r.offset), n
}

func (c *Ctx) zrangeReply(form zrangeForm) error {
	var r zrangeCall
	if err := r.parse(c, 2, form, false); err != nil {
		return err
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	from, n := r.members(&z)
	c.pairs(n, r.withScores)
	z.Each(from, n, r.rev, func(member []byte, score float64) bool {
		c.pair(member, score, r.withScores)
		return !c.full()
	})
	return nil
}

// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
func cmdZRange(c *Ctx) error { return c.zrangeReply(zrangeForm{}) }

// ZREVRANGE key start stop [WITHSCORES]
func cmdZRevRange(c *Ctx) error { return c.zrangeReply(zrangeForm{rev: true, fixed: true}) }

// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
func cmdZRangeByScore(c *Ctx) error { return c.zrangeReply(zrangeForm{by: byScore, fixed: true}) }

// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
func cmdZRevRangeByScore(c *Ctx) error {
	return c.zrangeReply(zrangeForm{by: byScore, rev: true, fixed: true})
}

// ZRANGEBYLEX key min max [LIMIT offset count]
func cmdZRangeByLex(c *Ctx) error { return c.zrangeReply(zrangeForm{by: byLex, fixed: true}) }

// ZREVRANGEBYLEX key max min [LIMIT offset count]
func cmdZRevRangeByLex(c *Ctx) error {
	return c.zrangeReply(zrangeForm{by: byLex, rev: true, fixed: true})
}

// ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
func cmdZRangeStore(c *Ctx) error {
	var r zrangeCall
	if err := r.parse(c, 3, zrangeForm{}, true); err != nil {
		return err
	}
	z, err := c.readZSet(&c.Keys[1])
	if err != nil {
		return err
	}
	var b shard.ZBuild
	c.Keys[0].Shard.DB(c.DBID).NewZBuild(&b)
	from, n := r.members(&z)
	big := r.by == byRank && int64(n) > c.Limits.ZSet.Entries // only here Redis knows how many there will be
	z.Each(from, n, r.rev, func(member []byte, score float64) bool {
		// Redis adds them to a listpack until they are too many, and there -0 becomes 0.
		if big = big || c.Limits.ZSet.Passed(member, b.Len()+1); !big {
			score += 0
		}
		b.Put(member, score, nil)
		return true
	})
	c.storeZSet(&b)
	return nil
}

// storeZSet makes what was collected the value of the first key and replies the number of members.
func (c *Ctx) storeZSet(b *shard.ZBuild) {
	n := b.Len()
	if b.Store(c.Keys[0].Key, &c.Limits.ZSet) {
		if n > 0 {
			c.Notify(&c.Keys[0], shard.EventZSet, c.Row.Name)
		} else {
			c.Notify(&c.Keys[0], shard.EventGeneric, "del")
		}
		c.Dirty++
		c.EffectOfKeys()
	}
	c.Int(int64(n))
}

// ZCOUNT key min max
func cmdZCount(c *Ctx) error { return c.zcount(byScore) }

// ZLEXCOUNT key min max
func cmdZLexCount(c *Ctx) error { return c.zcount(byLex) }

func (c *Ctx) zcount(by zby) error {
	r := zrange{by: by}
	if err := r.parse(c.Args[2], c.Args[3]); err != nil {
		return err
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	from, to := r.ranks(&z)
	c.Int(int64(to - from))
	return nil
}

// ZREMRANGEBYRANK key start stop
func cmdZRemRangeByRank(c *Ctx) error { return c.zremrange(byRank) }

// ZREMRANGEBYSCORE key min max
func cmdZRemRangeByScore(c *Ctx) error { return c.zremrange(byScore) }

// ZREMRANGEBYLEX key min max
func cmdZRemRangeByLex(c *Ctx) error { return c.zremrange(byLex) }

func (c *Ctx) zremrange(by zby) error {
	r := zrange{by: by}
	if err := r.parse(c.Args[2], c.Args[3]); err != nil {
		return err
	}
	z, err := c.writeZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	from, to := r.ranks(&z)
	if from < to {
		z.DeleteRange(from, to)
		c.notifyChange(&c.Keys[0], &z.Value, shard.EventZSet, c.Row.Name)
		c.Dirty += to - from
	}
	c.Int(int64(to - from))
	return nil
}
