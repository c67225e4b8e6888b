package command

import (
	"strconv"

	"fulmen/shard"
	"fulmen/shard/ds/stream"
)

// Words of effects of consumer groups.
var (
	wordXClaim         = []byte("XCLAIM")
	wordXAck           = []byte("XACK")
	wordXGroup         = []byte("XGROUP")
	wordSetID          = []byte("SETID")
	wordCreateConsumer = []byte("CREATECONSUMER")
	wordZero           = []byte("0")
	wordTime           = []byte("TIME")
	wordRetryCount     = []byte("RETRYCOUNT")
	wordForce          = []byte("FORCE")
	wordJustID         = []byte("JUSTID")
	wordLastID         = []byte("LASTID")
	wordEntriesRead    = []byte("ENTRIESREAD")
)

// maxClaims is how many entries one record has.
const maxClaims = 128

// claims logs what becomes pending for a consumer of a group, as calls of XCLAIM that set it to what it is, whatever it
// was: those that follow on each other and have their time and count in common as one record.
type claims struct {
	c               *Ctx
	k               *Keyed
	group, consumer []byte
	opened          bool
	created         bool // the consumer is new, and the log has not heard of it
	head            shard.StreamPending
	n               int  // entries of the record under way
	told            bool // a record has said what the group's last ID is
}

// claims begins the log of what a call gives to a consumer.
func (c *Ctx) claims(k *Keyed, group, consumer []byte) claims {
	c.NoEffect()
	return claims{c: c, k: k, group: group, consumer: consumer}
}

// open looks the consumer up, into con, unless it has done so. The consumer is seen now, and made if it isn't there.
func (l *claims) open(s *shard.Stream, g *shard.StreamGroup, con *shard.StreamConsumer, nowMs int64) {
	if l.opened {
		return
	}
	l.opened = true
	if s.Consumer(g, con, l.consumer) {
		s.Seen(con, nowMs)
		return
	}
	s.CreateConsumer(g, con, l.consumer, nowMs)
	l.created = true
	l.c.Dirty++
	l.c.notifyStream(l.k, "xgroup-createconsumer")
}

// add notes an entry that is pending for the consumer; last is the group's last ID by then.
func (l *claims) add(p *shard.StreamPending, last stream.ID) {
	c := l.c
	if !c.Logging() {
		return
	}
	if l.n > 0 && (l.n == maxClaims || p.DeliveredMs != l.head.DeliveredMs || p.Deliveries != l.head.Deliveries) {
		l.flush(last)
	}
	if l.n == 0 {
		l.head = *p
		c.scratch = c.scratch[:0]
		c.record = append(c.record[:0], wordXClaim, l.k.Key.Bytes, l.group, l.consumer, wordZero)
	}
	c.record = append(c.record, c.idWord(p.ID))
	l.n++
}

// flush logs the record under way.
func (l *claims) flush(last stream.ID) {
	if l.n == 0 {
		return
	}
	c := l.c
	c.record = append(c.record, wordTime, c.numberWord(l.head.DeliveredMs),
		wordRetryCount, c.numberWord(l.head.Deliveries), wordForce, wordJustID,
		wordLastID, c.idWord(last))
	c.Effect(l.k.Arg, c.record...)
	l.n, l.created, l.told = 0, false, true
}

// gone logs that an entry is no longer pending.
func (l *claims) gone(id, last stream.ID) {
	l.flush(last)
	if c := l.c; c.Logging() {
		c.scratch = c.scratch[:0]
		c.Effect(l.k.Arg, wordXAck, l.k.Key.Bytes, l.group, c.idWord(id))
	}
}

// end logs what is left: the entries noted last, or that there is a new consumer.
func (l *claims) end(last stream.ID) {
	l.flush(last)
	if l.created && l.c.Logging() {
		l.c.Effect(l.k.Arg, wordXGroup, wordCreateConsumer, l.k.Key.Bytes, l.group, l.consumer)
	}
}

// moved logs how far the group has read.
func (l *claims) moved(g *shard.StreamGroup) {
	if c := l.c; c.Logging() {
		c.scratch = c.scratch[:0]
		c.Effect(l.k.Arg, wordXGroup, wordSetID, l.k.Key.Bytes, l.group, c.idWord(g.LastID), wordEntriesRead,
			c.numberWord(g.EntriesRead))
	}
}

// idWord writes an ID behind the words of a record that are in the scratch buffer.
func (c *Ctx) idWord(id stream.ID) []byte {
	n := len(c.scratch)
	c.scratch = id.AppendTo(c.scratch)
	return c.scratch[n:len(c.scratch):len(c.scratch)]
}

// numberWord writes a number there.
func (c *Ctx) numberWord(v int64) []byte {
	n := len(c.scratch)
	c.scratch = strconv.AppendInt(c.scratch, v, 10)
	return c.scratch[n:len(c.scratch):len(c.scratch)]
}
