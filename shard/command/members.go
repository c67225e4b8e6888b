package command

import (
	"math/rand/v2"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

// readSet looks a key up for a command that reads a set there.
func (c *Ctx) readSet(k *Keyed) (s shard.MemberSet, err error) {
	err = c.readValue(&s.Value, k, object.Set)
	return s, err
}

// writeSet looks a key up for a command that changes a set there.
func (c *Ctx) writeSet(k *Keyed) (s shard.MemberSet, err error) {
	err = c.writeValue(&s.Value, k, object.Set)
	return s, err
}

// checkMembers looks whether all of them can be stored.
func checkMembers(members [][]byte) error {
	for _, m := range members {
		if len(m) > object.MaxString {
			return resp.ErrStringTooLong
		}
	}
	return nil
}

// SADD key member [member ...]
func cmdSAdd(c *Ctx) error {
	v, err := c.writeSet(&c.Keys[0])
	if err == nil {
		err = checkMembers(c.Args[2:])
	}
	if err != nil {
		return err
	}
	n := v.Add(c.Args[2:], &c.Limits.Sets)
	if c.Dirty += n; n > 0 {
		c.Notify(&c.Keys[0], shard.EventSet, "sadd")
	}
	c.Int(int64(n))
	return nil
}

// SREM key member [member ...]
func cmdSRem(c *Ctx) error {
	v, err := c.writeSet(&c.Keys[0])
	if err != nil {
		return err
	}
	n := v.Delete(c.Args[2:])
	if c.Dirty += n; n > 0 {
		c.notifyChange(&c.Keys[0], &v.Value, shard.EventSet, "srem")
	}
	c.Int(int64(n))
	return nil
}

// SISMEMBER key member
func cmdSIsMember(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Bool(v.Has(c.Args[2]))
	return nil
}

// SMISMEMBER key member [member ...]
func cmdSMIsMember(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Array(len(c.Args) - 2)
	for _, m := range c.Args[2:] {
		c.Bool(v.Has(m))
	}
	return nil
}

// SMEMBERS key
func cmdSMembers(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.SetOf(v.Len())
	v.Each(true, c.member)
	return nil
}

// member replies a member, unless the reply has become too long.
func (c *Ctx) member(m []byte) bool {
	if c.full() {
		return false
	}
	c.Bulk(m)
	return true
}

// SCARD key
func cmdSCard(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Int(int64(v.Len()))
	return nil
}

// SMOVE source destination member
func cmdSMove(c *Ctx) error {
	from, to, m := &c.Keys[0], &c.Keys[1], c.Args[3:4]
	src, err := c.writeSet(from)
	if !src.Exists() {
		c.Bool(false)
		return nil
	}
	if err == nil {
		_, err = c.writeSet(to)
	}
	if err == nil {
		err = checkMembers(m)
	}
	if err != nil {
		return err
	}
	// What was found of the destination may have been an expired key, whose removal changed the shard.
	src = shard.MemberSet{Value: from.Shard.DB(c.DBID).LookValue(from.Key, c.NowMs)}
	if string(from.Key.Bytes) == string(to.Key.Bytes) {
		c.Bool(src.Has(m[0]))
		return nil
	}
	n := src.Delete(m)
	c.Bool(n > 0)
	if n == 0 {
		return nil
	}
	c.notifyChange(from, &src.Value, shard.EventSet, "srem")
	dst := shard.MemberSet{Value: to.Shard.DB(c.DBID).LookValue(to.Key, c.NowMs)}
	c.Dirty++
	if dst.AddOne(m[0], &c.Limits.Sets) {
		c.Dirty++
		c.Notify(to, shard.EventSet, "sadd")
	}
	c.EffectOfKeys()
	return nil
}

// SPOP key [count]
func cmdSPop(c *Ctx) error {
	a := c.ArgsFrom(2)
	count := int64(-1)
	if a.Left() == 1 {
		if count = a.IntOr(resp.ErrNotPositive); count < 0 {
			a.Fail(resp.ErrNotPositive)
		}
	} else if a.Left() > 1 {
		a.Syntax()
	}
	if a.Err() != nil {
		return a.Err()
	}
	k := &c.Keys[0]
	v, err := c.writeSet(k)
	switch {
	case err != nil:
		return err
	case !v.Exists() && count < 0:
		c.Null()
	case !v.Exists() || count == 0:
		c.SetOf(0)
	case count < 0:
		m := v.Take(c.scratch[:0], rand.IntN(v.Len()))
		v.Taken(false, &c.Limits.Sets)
		c.notifyChange(k, &v.Value, shard.EventSet, "spop")
		c.Bulk(m)
		c.Dirty++
		c.Effect(k.Arg, wordSRem, k.Key.Bytes, m)
		c.scratch = m
	case count >= int64(v.Len()):
		n := v.Len()
		c.SetOf(n)
		v.Each(true, c.member)
		v.Remove()
		c.notifyChange(k, &v.Value, shard.EventSet, "spop")
		c.Dirty += n
		c.Effect(k.Arg, wordDel, k.Key.Bytes)
	default:
		c.popSome(&v, int(count))
	}
	return nil
}

var wordSRem = []byte("SREM")

// What SPOP takes is logged in pieces of as many members, or bytes.
const (
	popPiece      = 1024
	popPieceBytes = 64 << 10
)

// popSome takes fewer members than there are.
func (c *Ctx) popSome(v *shard.MemberSet, count int) {
	k, size, logs := &c.Keys[0], v.Len(), c.Logging()
	c.SetOf(count)
	c.Notify(k, shard.EventSet, "spop")
	c.Dirty += count
	c.NoEffect()
	var args [][]byte
	held := 0
	stage := func() {
		c.Effect(k.Arg, args...)
		args, held = args[:2], 0
	}
	if logs {
		args = append(args, wordSRem, k.Key.Bytes)
	}
	for i := range count {
		m := v.Take(c.scratch[:0], rand.IntN(size-i))
		c.member(m)
		if !logs {
			c.scratch = m
			continue
		}
		args, c.scratch = append(args, m), nil
		if held += len(m); len(args)-2 == popPiece || held >= popPieceBytes {
			stage()
		}
	}
	if len(args) > 2 {
		stage()
	}
	v.Taken((size-count)*5 <= count, &c.Limits.Sets)
}

// SRANDMEMBER key [count]
func cmdSRandMember(c *Ctx) error {
	var count int64
	single := len(c.Args) == 2
	if !single {
		var err error
		if count, _, err = c.randomCount(""); err != nil {
			return err
		}
	}
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	size := v.Len()
	replyRank := func(rank int) { c.Bulk(v.At(rank, c.buffer(0))) }
	switch {
	case single && size == 0:
		c.Null()
	case single:
		replyRank(rand.IntN(size))
	case size == 0:
		c.Array(0)
	case count < 0:
		c.Array(int(-count))
		c.randomTimes(-count, size, replyRank)
	default:
		c.drawMembers(&v, int(min(count, int64(size))), replyRank)
	}
	return nil
}

// drawMembers replies n different members.
func (c *Ctx) drawMembers(v *shard.MemberSet, n int, replyRank func(rank int)) {
	d := drawing{n, v.Len()}
	c.Array(n)
	if n <= d.size/fewOf {
		c.randomRanks(n, d.size, replyRank)
		return
	}
	v.Each(true, func(m []byte) bool {
		if d.take() {
			c.Bulk(m)
		}
		return d.n > 0 && !c.full()
	})
}

// SSCAN key cursor [MATCH pattern] [COUNT count]
func cmdSScan(c *Ctx) error { return c.scanValue(object.Set, "") }

// scanSet does the same for members of a set.
func scanSet(c *Ctx, j *valueScan, v *shard.Value, count int) {
	m := shard.MemberSet{Value: *v}
	j.cursor = m.Scan(j.cursor, count, func(m []byte) {
		if !c.full() && j.pattern.match(m) {
			c.Bulk(m)
			j.items++
		}
	})
}
