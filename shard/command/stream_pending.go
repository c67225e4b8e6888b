package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/stream"
)

// openPending looks up the stream and the group of a call's first two arguments, which must be there.
func (c *Ctx) openPending(s *shard.Stream, g *shard.StreamGroup) error {
	if err := c.readStream(s, &c.Keys[0]); err != nil {
		return err
	}
	if !s.Exists() || !s.Group(g, c.Args[2]) {
		return resp.ErrNoGroup(c.Args[1], c.Args[2])
	}
	return nil
}

// xpending are the arguments of XPENDING with an interval.
type xpending struct {
	minIdleMs int64
	from, to  stream.ID
	count     int64
	consumer  []byte // nil: any
}

// parse reads them. The count comes first, as in Redis.
func (x *xpending) parse(c *Ctx) (err error) {
	at := 3
	a := c.ArgsFrom(at)
	if a.Option("idle") {
		x.minIdleMs = a.Int()
		if len(c.Args) < 8 {
			a.Syntax()
		}
		at += 2
	}
	if a.Err() != nil {
		return a.Err()
	}
	a = c.ArgsFrom(at + 2)
	if x.count = max(a.Int(), 0); a.Err() != nil {
		return a.Err()
	}
	if x.from, err = parseStart(c.Args[at]); err != nil {
		return err
	}
	if x.to, err = parseEnd(c.Args[at+1]); err != nil {
		return err
	}
	if at+3 < len(c.Args) {
		x.consumer = c.Args[at+3]
	}
	return nil
}

// XPENDING key group [[IDLE min-idle-time] start end count [consumer]]
func cmdXPending(c *Ctx) error {
	if n := len(c.Args); n != 3 && (n < 6 || n > 9) {
		return resp.ErrSyntax
	}
	var x xpending
	if len(c.Args) > 3 {
		if err := x.parse(c); err != nil {
			return err
		}
	}
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.openPending(&s, &g); err != nil {
		return err
	}
	if len(c.Args) == 3 {
		c.pendingSummary(&s, &g)
		return nil
	}
	of := (*shard.StreamConsumer)(nil)
	if x.consumer != nil {
		of = new(shard.StreamConsumer)
		if !s.Consumer(&g, of, x.consumer) {
			c.Array(0)
			return nil
		}
	}
	all, n := c.openArray(likelyEntries), 0
	var r shard.PendingRange
	s.PendingRange(&r, &g, of, x.from)
	for x.count > 0 && !c.full() && r.Next() && !x.to.Less(r.ID) {
		idle := c.NowMs - r.DeliveredMs
		if x.minIdleMs != 0 && idle < x.minIdleMs {
			continue
		}
		x.count--
		n++
		c.Array(4)
		c.replyID(r.ID)
		c.replyConsumer(&s, r.Consumer)
		c.Int(max(idle, 0))
		c.Int(r.Deliveries)
	}
	all.end(c, n)
	return nil
}

// replyConsumer replies the name of a consumer.
func (c *Ctx) replyConsumer(s *shard.Stream, number uint32) {
	c.scratch = s.AppendConsumerName(c.scratch[:0], number)
	c.Bulk(c.scratch)
}

// pendingSummary replies how many entries of a group are pending, the first and the last of them, and how many each
// consumer has.
func (c *Ctx) pendingSummary(s *shard.Stream, g *shard.StreamGroup) {
	c.Array(4)
	n := s.PendingLen(g)
	c.Int(int64(n))
	if n == 0 {
		c.Null()
		c.Null()
		c.NullArray()
		return
	}
	first, last := s.PendingEdges(g)
	c.replyID(first)
	c.replyID(last)
	all, names := c.openArray(likelyEntries), 0
	s.EachConsumer(g, func(name []byte, con *shard.StreamConsumer) bool {
		if pending := s.ConsumerPendingLen(con); pending > 0 {
			c.Array(2)
			c.Bulk(name)
			c.Out = resp.AppendBulkInt(c.Out, int64(pending))
			names++
		}
		return !c.full()
	})
	all.end(c, names)
}

// xclaim are the arguments of XCLAIM.
type xclaim struct {
	minIdleMs     int64
	idsEnd        int // position behind the last ID
	force, justID bool
	at            int64 // when the entries are said to be delivered; -1: now
	retries       int64 // … and how often; negative: once more
	last          stream.ID
}

// parse reads them; the group has been found.
func (x *xclaim) parse(c *Ctx) error {
	a := c.ArgsFrom(4)
	x.at, x.retries = -1, -1
	if x.minIdleMs = max(a.IntOr(resp.ErrXClaimIdle), 0); a.Err() != nil {
		return a.Err()
	}
	for x.idsEnd = 5; x.idsEnd < len(c.Args); x.idsEnd++ {
		if _, err := parseStrictID(c.Args[x.idsEnd], 0); err != nil {
			break
		}
	}
	a = c.ArgsFrom(x.idsEnd)
	for a.More() {
		switch {
		case a.Option("force"):
			x.force = true
		case a.Option("justid"):
			x.justID = true
		case a.Left() > 1 && a.Option("idle"):
			x.at = c.streamNowMs() - a.IntOr(resp.ErrXClaimIdleOption)
		case a.Left() > 1 && a.Option("time"):
			x.at = a.IntOr(resp.ErrXClaimTime)
		case a.Left() > 1 && a.Option("retrycount"):
			x.retries = a.IntOr(resp.ErrXClaimRetryCount)
		case a.Left() > 1 && a.Option("lastid"):
			id, err := parseStrictID(a.Bytes(), 0)
			if x.last = id; err != nil {
				a.Fail(err)
			}
		default:
			a.Fail(resp.ErrXClaimOption(c.Args[a.At()]))
		}
	}
	return a.Err()
}

// deliveredMs is the time at which the entries are said to be delivered: none in the future.
func (x *xclaim) deliveredMs(c *Ctx) int64 {
	now := c.streamNowMs()
	if x.at < 0 || x.at > now && !c.obeys() {
		return now
	}
	return x.at
}

// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-ms] [RETRYCOUNT count] [FORCE] [JUSTID]
// [LASTID id]
func cmdXClaim(c *Ctx) error {
	c.NoEffect()
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.openPending(&s, &g); err != nil {
		return err
	}
	var x xclaim
	if err := x.parse(c); err != nil {
		return err
	}
	moved := g.LastID.Less(x.last)
	if moved {
		s.SetGroup(&g, x.last, g.EntriesRead)
	}
	at, seen := x.deliveredMs(c), c.streamNowMs()
	if c.obeys() {
		seen = at
	}
	log := c.claims(&c.Keys[0], c.Args[2], c.Args[3])
	var consumer shard.StreamConsumer
	all, n, changed := c.openArray(x.idsEnd-5), 0, 0
	for _, b := range c.Args[5:x.idsEnd] {
		id, _ := parseStrictID(b, 0)
		p := shard.StreamPending{ID: id}
		had := s.Pending(&g, id, &p)
		switch {
		case !s.Has(id):
			if had {
				s.Ack(&g, id)
				log.gone(id, g.LastID)
				changed++
			}
			continue
		case !had && !x.force:
			continue
		case had && x.minIdleMs > 0 && c.NowMs-p.DeliveredMs < x.minIdleMs:
			continue
		case !had:
			p.Deliveries = 1
		}
		log.open(&s, &g, &consumer, seen)
		p.DeliveredMs, p.Consumer = at, consumer.Number
		if x.retries >= 0 {
			p.Deliveries = x.retries
		} else if !x.justID {
			p.Deliveries++
		}
		s.SetPending(&g, &p)
		log.add(&p, g.LastID)
		changed++
		c.replyClaimed(&s, id, x.justID)
		n++
	}
	if c.Dirty += changed; moved && changed == 0 {
		c.Dirty++ // else it is a part of the other changes, as Redis counts
	}
	all.end(c, n)
	log.end(g.LastID)
	if moved && !log.told {
		log.moved(&g)
	}
	return nil
}

// replyClaimed replies an entry that is there and was claimed.
func (c *Ctx) replyClaimed(s *shard.Stream, id stream.ID, justID bool) {
	switch {
	case c.full():
	case justID:
		c.replyID(id)
	default:
		c.replyEntryOf(s, id)
	}
}

const (
	autoClaimCount = 100 // how many entries XAUTOCLAIM replies if it doesn't say so
	autoClaimTries = 10  // how many times as many it looks at

	maxAutoClaims = math.MaxInt64 / 16
	// autoClaimRoom is for how many entries Redis finds memory for sure, or rather, from how many on it can't have any.
	autoClaimRoom = 1 << 43
)

// xautoclaim are the arguments of XAUTOCLAIM.
type xautoclaim struct {
	minIdleMs int64
	start     stream.ID
	count     int64
	justID    bool
}

func (x *xautoclaim) parse(c *Ctx) (err error) {
	a := c.ArgsFrom(4)
	x.count = autoClaimCount
	if x.minIdleMs = max(a.IntOr(resp.ErrXAutoClaimIdle), 0); a.Err() != nil {
		return a.Err()
	}
	if x.start, err = parseStart(a.Bytes()); err != nil {
		return err
	}
	for a.More() {
		switch {
		case a.Left() > 1 && a.Option("count"):
			if x.count = a.IntOr(resp.ErrCountNotPositive); x.count < 1 || x.count > maxAutoClaims {
				a.Fail(resp.ErrCountNotPositive)
			}
		case a.Option("justid"):
			x.justID = true
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
func cmdXAutoClaim(c *Ctx) error {
	c.NoEffect()
	var s shard.Stream
	var g shard.StreamGroup
	notThere := c.openPending(&s, &g) // arguments that are wrong come first, but the key has been looked up
	var x xautoclaim
	if err := x.parse(c); err != nil {
		return err
	}
	if notThere != nil {
		return notThere
	}
	if x.count >= autoClaimRoom {
		return resp.ErrXAutoClaimRoom
	}
	now, log := c.streamNowMs(), c.claims(&c.Keys[0], c.Args[2], c.Args[3])
	var consumer shard.StreamConsumer
	c.Array(3)
	cursor := c.Mark()
	all, n := c.openArray(likelyEntries), 0
	var deleted []stream.ID
	var r shard.PendingRange
	s.PendingRange(&r, &g, nil, x.start)
	more := r.Next()
	for tries := x.count * autoClaimTries; more && tries > 0 && x.count > 0 && !c.full(); more = r.Next() {
		tries--
		p := r.StreamPending
		if !s.Has(p.ID) {
			s.Ack(&g, p.ID)
			log.gone(p.ID, g.LastID)
			deleted = append(deleted, p.ID)
			x.count--
			c.Dirty++
			continue
		}
		if x.minIdleMs > 0 && now-p.DeliveredMs < x.minIdleMs {
			continue
		}
		log.open(&s, &g, &consumer, now)
		p.DeliveredMs, p.Consumer = now, consumer.Number
		if !x.justID {
			p.Deliveries++
		}
		s.SetPending(&g, &p)
		log.add(&p, g.LastID)
		c.Dirty++
		c.replyClaimed(&s, p.ID, x.justID)
		x.count--
		n++
	}
	all.end(c, n)
	log.end(g.LastID)
	next := stream.ID{}
	if more {
		next = r.ID
	}
	c.insertID(cursor, next)
	c.Array(len(deleted))
	for _, id := range deleted {
		c.replyID(id)
	}
	return nil
}

// insertID puts an ID into a reply at a place before its end.
func (c *Ctx) insertID(at Mark, id stream.ID) {
	var text [maxIDText]byte
	var bulk [maxIDText + headBytes]byte
	c.replace(at, 0, resp.AppendBulk(bulk[:0], id.AppendTo(text[:0])))
}
