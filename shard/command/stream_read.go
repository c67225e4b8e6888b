package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// XREAD and XREADGROUP reply what is in the first place behind the IDs they name, of all streams that have something.
// Where none has and they may wait, whoever adds an entry to one of them runs them again for this stream alone (see
// block.go): XREAD with the IDs that were the last when it began to wait, XREADGROUP with what its group has read by
// then, or to learn that the stream or its group is gone.

// findStreams finds the keys of XREAD and XREADGROUP: the first half of what stands behind STREAMS, which may also be
// the name of a group or a consumer.
func findStreams(dst []int, args [][]byte) []int {
	a := Args{args: args, at: 1}
	for a.More() {
		switch {
		case a.Option("block"), a.Option("count"):
			a.at++
		case a.Option("group"):
			a.at += 2
		case a.Option("noack"):
		case a.Option("streams"):
			for i := range a.Left() / 2 {
				dst = append(dst, a.at+i)
			}
			return dst
		default:
			return dst
		}
	}
	return dst
}

// namesBlock tells whether a call of XREAD or XREADGROUP has the option BLOCK.
func namesBlock(args [][]byte) bool {
	a := Args{args: args, at: 1}
	for a.More() {
		switch {
		case a.Option("block"):
			return true
		case a.Option("count"):
			a.at++
		case a.Option("group"):
			a.at += 2
		case a.Option("noack"):
		default:
			return false
		}
	}
	return false
}

// wokenCount is how many entries a command that has waited gets if it names no COUNT.
const wokenCount = 1000

// fewStreams is how many streams a call may name for their IDs to take no memory of their own.
const fewStreams = 8

// xread are the arguments of XREAD or XREADGROUP.
type xread struct {
	group, consumer []byte // nil: XREAD
	noAck           bool
	count           int64 // 0: all
	waits           bool
	untilMs         int64 // 0: for ever
	keysAt, streams int   // position of the first key, and how many there are

	served int
	reply  openArray
}

// parse reads all arguments but the IDs.
func (x *xread) parse(c *Ctx, grouped bool) error {
	a := c.ArgsFrom(1)
	for a.More() && x.keysAt == 0 {
		switch {
		case a.Left() > 1 && a.Option("block"):
			if c.Scripted {
				a.Fail(resp.ErrBlockInScript(c.Args[0]))
			}
			x.waits = true
			x.untilMs = c.millis(&a)
		case a.Left() > 1 && a.Option("count"):
			x.count = max(a.Int(), 0)
		case a.Left() > 1 && a.Option("streams"):
			if a.Left()%2 != 0 {
				a.Fail(resp.ErrUnbalancedStreams)
			}
			x.keysAt, x.streams = a.At(), a.Left()/2
		case a.Left() > 2 && a.Option("group"):
			if !grouped {
				a.Fail(resp.ErrXReadGroup)
			}
			x.group, x.consumer = a.Bytes(), a.Bytes()
		case a.Option("noack"):
			if x.noAck = true; !grouped {
				a.Fail(resp.ErrXReadNoAck)
			}
		default:
			a.Syntax()
		}
	}
	switch {
	case a.Err() != nil:
		return a.Err()
	case x.keysAt == 0:
		return resp.ErrSyntax
	case grouped && x.group == nil:
		return resp.ErrXReadNoGroup
	}
	return nil
}

// millis reads a timeout in milliseconds: when it ends, 0 for never.
func (c *Ctx) millis(a *Args) (untilMs int64) {
	ms := a.IntOr(resp.ErrTimeoutNotInt)
	switch {
	case a.Err() != nil || ms == 0:
		return 0
	case ms < 0:
		a.Fail(resp.ErrTimeoutNegative)
	case ms > math.MaxInt64-c.NowMs:
		return math.MaxInt64
	}
	return c.NowMs + ms
}

// id returns the argument that is the ID for the stream of a key.
func (x *xread) id(c *Ctx, k *Keyed) []byte { return c.Args[k.Arg+x.streams] }

// XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id | $ [id | $ ...]
func cmdXRead(c *Ctx) error { return c.xread(false) }

// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id | > [id | > ...]
func cmdXReadGroup(c *Ctx) error {
	c.NoEffect()
	return c.xread(true)
}

func (c *Ctx) xread(grouped bool) error {
	var x xread
	if err := x.parse(c, grouped); err != nil {
		return err
	}
	if c.Woken {
		return x.again(c)
	}
	var few [fewStreams]stream.ID
	after := few[:0]
	for i := range c.Keys {
		id, err := x.resolve(c, &c.Keys[i])
		if err != nil {
			return err
		}
		after = append(after, id)
	}
	for i := range c.Keys {
		if err := x.read(c, &c.Keys[i], after[i]); err != nil {
			return err
		}
	}
	switch {
	case x.served > 0:
		x.reply.end(c, x.served)
	case x.waits && c.MayBlock:
		c.Wait = Wait{On: true, UntilMs: x.untilMs, Pins: x.pins(c, after)}
	default:
		c.NullArray()
	}
	return nil
}

// resolve returns the ID behind which a stream is read: that of the argument, or what "$" says. ">" is the greatest
// one, as in Redis.
func (x *xread) resolve(c *Ctx, k *Keyed) (id stream.ID, err error) {
	var s shard.Stream
	if err := c.readStream(&s, k); err != nil {
		return id, err
	}
	var g shard.StreamGroup
	if x.group != nil && !(s.Exists() && s.Group(&g, x.group)) {
		return id, resp.ErrNoGroupToRead(k.Key.Bytes, x.group)
	}
	switch arg := x.id(c, k); string(cString(arg)) {
	case "$":
		if x.group != nil {
			return id, resp.ErrXReadGroupLast
		}
		return s.Info().LastID, nil
	case ">":
		if x.group == nil {
			return id, resp.ErrXReadNew
		}
		return stream.MaxID(), nil
	default:
		return parseStrictID(arg, 0)
	}
}

// pins are the IDs that take the place of "$" while the call waits.
func (x *xread) pins(c *Ctx, after []stream.ID) (pins []Pin) {
	for i := range c.Keys {
		if arg := x.id(c, &c.Keys[i]); len(arg) > 0 && arg[0] == '$' {
			pins = append(pins, Pin{Arg: c.Keys[i].Arg + x.streams, Text: after[i].AppendTo(nil)})
		}
	}
	return pins
}

// read replies what a stream has behind an ID, if it has something, or what is pending behind it.
func (x *xread) read(c *Ctx, k *Keyed, after stream.ID) error {
	var s shard.Stream
	if err := c.readStream(&s, k); err != nil || !s.Exists() {
		return err
	}
	if x.group == nil {
		x.readEntries(c, k, &s, after)
		return nil
	}
	var g shard.StreamGroup
	if !s.Group(&g, x.group) {
		panic("BUG: " + c.Row.FullName + ": a group has gone meanwhile")
	}
	if after != stream.MaxID() {
		x.readPending(c, k, &s, &g, after)
		return nil
	}
	x.deliver(c, k, &s, &g)
	return nil
}

// head begins the reply of one more stream.
func (x *xread) head(c *Ctx, k *Keyed) {
	if x.served++; x.served == 1 {
		x.reply = c.openMap(len(c.Keys))
	}
	if c.Proto < 3 {
		c.Array(2)
	}
	c.Bulk(k.Key.Bytes)
}

// likely is how many entries of a stream a reply is expected to have.
func (x *xread) likely() int {
	if x.count == 0 {
		return likelyEntries
	}
	return int(min(x.count, pieceBytes))
}

// readEntries is read for XREAD.
func (x *xread) readEntries(c *Ctx, k *Keyed, s *shard.Stream, after stream.ID) {
	start, ok := after.Next()
	var r shard.StreamRange
	if s.Range(&r, start, stream.MaxID(), false); !ok || !r.Next() {
		return
	}
	x.head(c, k)
	all, n := c.openArray(x.likely()), 0
	for {
		c.replyEntry(&r)
		if n++; int64(n) == x.count || c.full() || !r.Next() {
			break
		}
	}
	all.end(c, n)
}

// deliver is read for XREADGROUP with ">": what the group has not read becomes pending for the consumer.
func (x *xread) deliver(c *Ctx, k *Keyed, s *shard.Stream, g *shard.StreamGroup) {
	start, ok := g.LastID.Next()
	var r shard.StreamRange
	if s.Range(&r, start, stream.MaxID(), false); !ok || !r.Next() {
		return
	}
	x.head(c, k)
	now, log := c.streamNowMs(), c.claims(k, x.group, x.consumer)
	var consumer shard.StreamConsumer
	log.open(s, g, &consumer, now)
	p := shard.StreamPending{DeliveredMs: now, Deliveries: 1, Consumer: consumer.Number}
	var last stream.ID
	in, read := s.Info(), g.EntriesRead
	all, n := c.openArray(x.likely()), 0
	for {
		last, read = r.ID, readThrough(&in, read, r.ID)
		c.replyEntry(&r)
		if !x.noAck {
			p.ID = r.ID
			s.SetPending(g, &p)
			log.add(&p, last)
		}
		if n++; int64(n) == x.count || c.full() || !r.Next() {
			break
		}
	}
	all.end(c, n)
	s.SetGroup(g, last, read)
	log.end(last)
	log.moved(g)
	c.Dirty++
}

// readPending is read for XREADGROUP with an ID: it replies what is pending for the consumer behind that, which is one
// more delivery. Of entries that have been deleted it replies the ID and null.
func (x *xread) readPending(c *Ctx, k *Keyed, s *shard.Stream, g *shard.StreamGroup, after stream.ID) {
	x.head(c, k)
	now, log := c.streamNowMs(), c.claims(k, x.group, x.consumer)
	var consumer shard.StreamConsumer
	log.open(s, g, &consumer, now)
	start, _ := after.Next()
	all, n := c.openArray(likelyEntries), 0
	var r shard.PendingRange
	for s.PendingRange(&r, g, &consumer, start); !c.full() && (x.count == 0 || int64(n) < x.count) && r.Next(); n++ {
		p := r.StreamPending
		if !c.replyEntryOf(s, p.ID) {
			c.Array(2)
			c.replyID(p.ID)
			c.NullArray()
			continue
		}
		p.DeliveredMs = now
		p.Deliveries++
		s.SetPending(g, &p)
		log.add(&p, g.LastID)
	}
	all.end(c, n)
	log.end(g.LastID)
	c.Dirty++
}

// again is a call that has waited and is run for one of its streams, to which something has happened.
func (x *xread) again(c *Ctx) error {
	if x.count == 0 {
		x.count = wokenCount
	}
	k := &c.Keys[0]
	e, there := k.Shard.DB(c.DBID).Look(k.Key, c.NowMs)
	there = there && object.TypeOf(e.Tag()) == object.Stream
	var s shard.Stream
	if there {
		if err := c.writeStream(&s, k); err != nil {
			return err
		}
	}
	if x.group == nil {
		after, err := parseStrictID(x.id(c, k), 0)
		if err != nil {
			return err
		}
		if there {
			x.readEntries(c, k, &s, after)
		}
	} else {
		var g shard.StreamGroup
		switch {
		case !there:
			return resp.ErrStreamGone
		case !s.Group(&g, x.group):
			return resp.ErrGroupGone
		}
		x.deliver(c, k, &s, &g)
	}
	if x.served == 0 {
		c.Wait = Wait{On: true, UntilMs: x.untilMs}
	} else {
		x.reply.end(c, x.served)
	}
	return nil
}
