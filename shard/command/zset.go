package command

import (
	"math/rand/v2"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

// readZSet looks up the sorted set of a key for a command that reads it.
func (c *Ctx) readZSet(k *Keyed) (shard.ZSet, error) {
	v, err := c.readValue(k, object.ZSet)
	return shard.ZSet{Value: v}, err
}

// writeZSet looks up the sorted set of a key for a command that changes it.
func (c *Ctx) writeZSet(k *Keyed) (shard.ZSet, error) {
	v, err := c.writeValue(k, object.ZSet)
	return shard.ZSet{Value: v}, err
}

// Double replies a floating-point number.
func (c *Ctx) Double(f float64) { c.Out = resp.AppendDouble(c.Out, c.Proto, f) }

// tooLong notes that the reply has become longer than the session may have, and reports whether it has.
func (c *Ctx) tooLong() bool {
	if c.ReplyLimit > 0 && len(c.Out) > c.ReplyLimit {
		c.Overflow = true
	}
	return c.Overflow
}

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
func cmdZIncrBy(c *Ctx) error { return c.zadd(2, &zaddOptions{how: shard.ZAddIncr}) }

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
	c.Dirty += added + updated
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
	c.Dirty += n
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
	withScores := false
	if len(c.Args) > 2 {
		a := c.ArgsFrom(2)
		if count = a.Int(); count == -1<<63 {
			a.Fail(resp.ErrRandomCount)
		}
		if a.More() {
			if withScores = a.Option("withscores"); !withScores || a.More() {
				a.Syntax()
			} else if count < -(1<<62) || count > 1<<62-1 {
				a.Fail(resp.ErrOutOfRange)
			}
		}
		if a.Err() != nil {
			return a.Err()
		}
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	n := z.Len()
	switch {
	case len(c.Args) == 2 && n == 0:
		c.Null()
	case len(c.Args) == 2:
		z.Each(rand.IntN(n), 1, false, func(member []byte, _ float64) bool {
			c.Bulk(member)
			return true
		})
	case n == 0 || count == 0:
		c.Array(0)
	case count < 0:
		c.randomRepeated(&z, -count, withScores)
	default:
		c.randomDistinct(&z, int(min(count, int64(n))), withScores)
	}
	return nil
}

// maxReply is the most that a reply without a limit may take: what a count asks for beyond it is refused as too long.
const maxReply = 4 << 30

// randomRepeated replies count members by chance, any of them more than once.
func (c *Ctx) randomRepeated(z *shard.ZSet, count int64, withScores bool) {
	const least = 6 // bytes of an empty member
	limit := int64(maxReply)
	if c.ReplyLimit > 0 {
		limit = int64(c.ReplyLimit)
	}
	if count > limit/least {
		c.Overflow = true
		return
	}
	n := z.Len()
	c.pairs(int(count), withScores)
	emit := func(member []byte, score float64) bool {
		c.pair(member, score, withScores)
		return true
	}
	for range count {
		if z.Each(rand.IntN(n), 1, false, emit); int64(len(c.Out)) > limit {
			c.Overflow = true
			return
		}
	}
}

// randomDistinct replies count different members by chance, 0 < count <= their number.
func (c *Ctx) randomDistinct(z *shard.ZSet, count int, withScores bool) {
	n := z.Len()
	c.pairs(count, withScores)
	if count > n/8 {
		left := count
		z.Each(0, n, false, func(member []byte, score float64) bool {
			if rand.IntN(n) < left {
				c.pair(member, score, withScores)
				left--
			}
			n--
			return left > 0 && !c.tooLong()
		})
		return
	}
	taken := make(map[int]struct{}, count)
	emit := func(member []byte, score float64) bool {
		c.pair(member, score, withScores)
		return true
	}
	for top := n - count; top < n && !c.tooLong(); top++ {
		rank := rand.IntN(top + 1)
		if _, ok := taken[rank]; ok {
			rank = top
		}
		taken[rank] = struct{}{}
		z.Each(rank, 1, false, emit)
	}
}

// pairs begins a reply of n members, with their scores or without.
func (c *Ctx) pairs(n int, withScores bool) {
	if withScores && c.Proto < 3 {
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
func cmdZScan(c *Ctx) error {
	cursor, ok := parseCursor(c.Args[2])
	if !ok {
		return resp.ErrInvalidCursor
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	j := scanJob{count: scanCount}
	if z.Exists() {
		if err := j.parse(c.ArgsFrom(3), false); err != nil {
			return err
		}
	}
	var items []byte
	outer := c.Out
	c.Out = items
	n := 0
	next := z.Scan(cursor, j.count, func(member []byte, score float64) {
		if j.pattern.match(member) {
			c.Bulk(member)
			c.Out = resp.AppendDouble(c.Out, 2, score)
			n += 2
		}
	})
	items, c.Out = c.Out, outer
	var text [20]byte
	c.Array(2)
	c.Bulk(strconv.AppendUint(text[:0], next, 10))
	c.Array(n)
	c.Out = append(c.Out, items...)
	return nil
}
