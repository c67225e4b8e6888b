package command

import (
	"math"
	"math/rand/v2"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

// readZSet looks up the sorted set of a key for a command that reads it.
func (c *Ctx) readZSet(k *Keyed) (z shard.ZSet, err error) {
	err = c.readValue(&z.Value, k, object.ZSet)
	return z, err
}

// writeZSet looks up the sorted set of a key for a command that changes it.
func (c *Ctx) writeZSet(k *Keyed) (z shard.ZSet, err error) {
	err = c.writeValue(&z.Value, k, object.ZSet)
	return z, err
}

// Double replies a floating-point number.
func (c *Ctx) Double(f float64) { c.Out = resp.AppendDouble(c.Out, c.Proto, f) }

// zaddOptions are the options of ZADD.
type zaddOptions struct {
	how shard.ZAdd
	ch  bool
}

// parse reads options up to the first argument that is none.
func (o *zaddOptions) parse(a *Args) {
	for {
		switch {
		case a.Option("nx"):
			o.how |= shard.ZAddNX
		case a.Option("xx"):
			o.how |= shard.ZAddXX
		case a.Option("gt"):
			o.how |= shard.ZAddGT
		case a.Option("lt"):
			o.how |= shard.ZAddLT
		case a.Option("incr"):
			o.how |= shard.ZAddIncr
		case a.Option("ch"):
			o.ch = true
		default:
			return
		}
	}
}

// check returns what is wrong with the options for so many arguments behind them.
func (o *zaddOptions) check(left int) error {
	nx, gt, lt := o.how&shard.ZAddNX != 0, o.how&shard.ZAddGT != 0, o.how&shard.ZAddLT != 0
	switch {
	case left == 0 || left%2 != 0:
		return resp.ErrSyntax
	case nx && o.how&shard.ZAddXX != 0:
		return resp.ErrZaddNXAndXX
	case gt && nx || lt && nx || gt && lt:
		return resp.ErrZaddGTLTNX
	case o.how&shard.ZAddIncr != 0 && left > 2:
		return resp.ErrZaddIncrPairs
	}
	return nil
}

// ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
func cmdZAdd(c *Ctx) error {
	var o zaddOptions
	a := c.ArgsFrom(2)
	o.parse(&a)
	if err := o.check(a.Left()); err != nil {
		return err
	}
	return c.zadd(a.At(), &o)
}

// ZINCRBY key increment member
func cmdZIncrBy(c *Ctx) error {
	o := zaddOptions{how: shard.ZAddIncr}
	a := c.ArgsFrom(2)
	o.parse(&a) // as Redis does, for which it is a ZADD: an option leaves too few arguments
	if err := o.check(a.Left()); err != nil {
		return err
	}
	return c.zadd(2, &o)
}

// zadd adds the pairs from argument i on.
func (c *Ctx) zadd(i int, o *zaddOptions) error {
	for j := i; j < len(c.Args); j += 2 {
		if _, ok := resp.ParseFloat(c.Args[j]); !ok {
			return resp.ErrNotFloat
		}
	}
	z, err := c.writeZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	added, updated := 0, 0
	var what shard.ZAdded
	var score float64
	for j := i; j < len(c.Args); j += 2 {
		by, _ := resp.ParseFloat(c.Args[j])
		what, score = z.Add(&c.Limits.ZSet, c.Args[j+1], by, o.how)
		switch what {
		case shard.ZNaN:
			return resp.ErrScoreNaN
		case shard.ZNew:
			added++
		case shard.ZUpdated:
			updated++
		}
	}
	if c.Dirty += added + updated; added+updated > 0 {
		event := "zadd"
		if o.how&shard.ZAddIncr != 0 {
			event = "zincr"
		}
		c.Notify(&c.Keys[0], shard.EventZSet, event)
	}
	switch {
	case o.how&shard.ZAddIncr == 0:
		if o.ch {
			added += updated
		}
		c.Int(int64(added))
	case what == shard.ZNothing:
		c.Null()
	default:
		c.Double(score)
	}
	return nil
}

// ZREM key member [member ...]
func cmdZRem(c *Ctx) error {
	z, err := c.writeZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	n := 0
	for _, member := range c.Args[2:] {
		if z.Exists() && z.Delete(member) {
			n++
		}
	}
	if c.Dirty += n; n > 0 {
		c.notifyChange(&c.Keys[0], &z.Value, shard.EventZSet, "zrem")
	}
	c.Int(int64(n))
	return nil
}

// ZCARD key
func cmdZCard(c *Ctx) error {
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Int(int64(z.Len()))
	return nil
}

// ZSCORE key member
func cmdZScore(c *Ctx) error {
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.scoreOf(&z, c.Args[2])
	return nil
}

// scoreOf replies the score of a member, or null.
func (c *Ctx) scoreOf(z *shard.ZSet, member []byte) {
	if score, ok := z.Score(member); ok {
		c.Double(score)
	} else {
		c.Null()
	}
}

// ZMSCORE key member [member ...]
func cmdZMScore(c *Ctx) error {
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		c.scoreOf(&z, member)
	}
	return nil
}

// ZRANK key member [WITHSCORE]
func cmdZRank(c *Ctx) error { return c.zrank(false) }

// ZREVRANK key member [WITHSCORE]
func cmdZRevRank(c *Ctx) error { return c.zrank(true) }

func (c *Ctx) zrank(rev bool) error {
	withScore := false
	switch a := c.ArgsFrom(3); {
	case a.Left() > 1:
		return resp.ErrWrongArity(c.Row.FullName)
	case a.Left() == 1:
		if withScore = a.Option("withscore"); !withScore {
			return resp.ErrSyntax
		}
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	rank, score, ok := z.Rank(c.Args[2])
	switch {
	case !ok && withScore:
		c.NullArray()
		return nil
	case !ok:
		c.Null()
		return nil
	}
	if rev {
		rank = z.Len() - 1 - rank
	}
	if withScore {
		c.Array(2)
	}
	c.Int(int64(rank))
	if withScore {
		c.Double(score)
	}
	return nil
}

// zpop says how members are popped and how that is replied.
type zpop struct {
	max    bool
	count  int64 // -1: one
	key    bool  // the key stands before them
	nested bool  // a member and its score are an array
}

// pop pops members of z, the sorted set of k, which is there, and replies them: also for a client that has waited.
func (p *zpop) pop(c *Ctx, k *Keyed, z *shard.ZSet) {
	total := z.Len()
	n := 1
	if p.count >= 0 {
		n = int(min(int64(total), p.count))
	}
	if n == 0 {
		c.Array(0)
		return
	}
	switch {
	case p.key && p.nested:
		c.Array(2)
		c.Bulk(k.Key.Bytes)
		c.Array(n)
	case p.key:
		c.Array(2*n + 1)
		c.Bulk(k.Key.Bytes)
	case p.nested:
		c.Array(n)
	default:
		c.Array(2 * n)
	}
	from := 0
	if p.max {
		from = total - 1
	}
	z.Each(from, n, p.max, func(member []byte, score float64) bool {
		if p.nested {
			c.Array(2)
		}
		c.Bulk(member)
		c.Double(score)
		return true
	})
	if p.max {
		from = total - n
	}
	z.DeleteRange(from, from+n)
	event := "zpopmin"
	if p.max {
		event = "zpopmax"
	}
	c.notifyChange(k, &z.Value, shard.EventZSet, event)
	c.Dirty += n
	if p.key && c.Logging() {
		word := wordZPopMin
		if p.max {
			word = wordZPopMax
		}
		c.Effect(k.Arg, word, k.Key.Bytes, c.number(int64(n)))
	}
}

// Words of effects.
var (
	wordZPopMin = []byte("ZPOPMIN")
	wordZPopMax = []byte("ZPOPMAX")
)

// popFirst pops from the first of some keys that has members, and reports whether there was one.
func (p *zpop) popFirst(c *Ctx, keys []Keyed) (bool, error) {
	for i := range keys {
		z, err := c.writeZSet(&keys[i])
		if err != nil {
			return false, err
		}
		if z.Exists() {
			p.pop(c, &keys[i], &z)
			return true, nil
		}
	}
	return false, nil
}

// ZPOPMIN key [count]
func cmdZPopMin(c *Ctx) error { return c.zpop(false) }

// ZPOPMAX key [count]
func cmdZPopMax(c *Ctx) error { return c.zpop(true) }

func (c *Ctx) zpop(most bool) error {
	p := zpop{max: most, count: -1}
	a := c.ArgsFrom(2)
	if a.Left() > 1 {
		return resp.ErrSyntax
	}
	if a.More() {
		if p.count = a.IntOr(resp.ErrNotPositive); p.count < 0 {
			a.Fail(resp.ErrNotPositive)
		}
		p.nested = c.Proto > 2
	}
	if a.Err() != nil {
		return a.Err()
	}
	found, err := p.popFirst(c, c.Keys)
	if err == nil && !found {
		c.Array(0)
	}
	return err
}

// parseZMPop reads the arguments of ZMPOP and BZMPOP, from the number of keys on.
func parseZMPop(a *Args) (p zpop, err error) {
	p = zpop{count: -1, key: true, nested: true}
	numkeys := a.IntOr(resp.ErrNumkeys)
	switch {
	case a.Err() != nil:
		return p, a.Err()
	case numkeys < 1:
		return p, resp.ErrNumkeys
	case numkeys >= int64(a.Left()):
		return p, resp.ErrSyntax
	}
	a.at += int(numkeys)
	switch {
	case a.Option("min"):
	case a.Option("max"):
		p.max = true
	default:
		a.Syntax()
	}
	for a.More() {
		if a.Left() < 2 || p.count != -1 || !a.Option("count") {
			a.Syntax()
			break
		}
		if p.count = a.IntOr(resp.ErrCountZero); p.count < 1 {
			a.Fail(resp.ErrCountZero)
		}
	}
	if p.count == -1 {
		p.count = 1
	}
	return p, a.Err()
}

// ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]
func cmdZMPop(c *Ctx) error {
	a := c.ArgsFrom(1)
	p, err := parseZMPop(&a)
	if err != nil {
		return err
	}
	found, err := p.popFirst(c, c.Keys)
	if err == nil && !found {
		c.NullArray()
	}
	return err
}

// ZRANDMEMBER key [count [WITHSCORES]]
func cmdZRandMember(c *Ctx) error {
	var count int64
	withScores, single := false, len(c.Args) == 2
	if !single {
		var err error
		if count, withScores, err = c.randomCount("withscores"); err != nil {
			return err
		}
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	size := z.Len()
	emit := func(member []byte, score float64) bool {
		c.pair(member, score, withScores)
		return true
	}
	replyRank := func(rank int) { z.Each(rank, 1, false, emit) }
	switch {
	case single && size == 0:
		c.Null()
	case single:
		replyRank(rand.IntN(size))
	case size == 0 || count == 0:
		c.Array(0)
	case count < 0:
		c.pairs(int(-count), withScores)
		c.randomTimes(-count, size, replyRank)
	default:
		c.drawScored(&z, int(min(count, int64(size))), withScores, replyRank)
	}
	return nil
}

// drawScored replies n different members.
func (c *Ctx) drawScored(z *shard.ZSet, n int, withScores bool, replyRank func(rank int)) {
	d := drawing{n, z.Len()}
	c.pairs(n, withScores)
	if n <= d.size/fewOf {
		c.randomRanks(n, d.size, replyRank)
		return
	}
	z.Each(0, d.size, false, func(member []byte, score float64) bool {
		if d.take() {
			c.pair(member, score, withScores)
		}
		return d.n > 0 && !c.full()
	})
}

// pairs begins a reply of n members or fields, with their scores or values or without.
func (c *Ctx) pairs(n int, with bool) {
	if with && c.Proto < 3 {
		n *= 2
	}
	c.Array(n)
}

// pair replies one of them.
func (c *Ctx) pair(member []byte, score float64, withScores bool) {
	if withScores && c.Proto > 2 {
		c.Array(2)
	}
	c.Bulk(member)
	if withScores {
		c.Double(score)
	}
}

// ZSCAN key cursor [MATCH pattern] [COUNT count]
func cmdZScan(c *Ctx) error { return c.scanValue(object.ZSet, "") }

// scanZSet does the same for members of a sorted set. Where many share a score it asks for more of them than count, in
// steps.
func scanZSet(c *Ctx, j *valueScan, v *shard.Value, count int) {
	z := shard.ZSet{Value: *v}
	at, items := c.Mark(), j.items
	give := func(member []byte, score float64) {
		if !c.full() && j.pattern.match(member) {
			c.Bulk(member)
			c.scannedScore(score, z.Big())
			j.items += 2
		}
	}
	if j.long == nil {
		next, ok := z.Scan(j.cursor, count, give)
		if ok {
			j.cursor = next
			return
		}
		c.Cut(at)
		j.items = items
		j.long = z.NewZSetScan(j.cursor, count+j.left) // j.left is without those that were just tried
	}
	if j.left = 1; j.long.Step(&z, give) {
		j.cursor, j.left = j.long.Next(), 0
	}
}

// scannedScore replies a score as ZSCAN does: in what is called a listpack, which has them as integers if they are,
// in full up to 2^62.
func (c *Ctx) scannedScore(score float64, big bool) {
	if n := int64(score); !big && math.Abs(score) <= 1<<62 && float64(n) == score {
		var text [20]byte
		c.Bulk(strconv.AppendInt(text[:0], n, 10))
		return
	}
	c.Out = resp.AppendDouble(c.Out, 2, score)
}
