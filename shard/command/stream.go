package command

import (
	"math"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// readStream looks up the stream of a key, into s, for a command that reads it.
func (c *Ctx) readStream(s *shard.Stream, k *Keyed) error {
	return c.readValue(&s.Value, k, object.Stream)
}

// writeStream looks up the stream of a key, into s, for a command that changes it.
func (c *Ctx) writeStream(s *shard.Stream, k *Keyed) error {
	return c.writeValue(&s.Value, k, object.Stream)
}

// notifyStream is Notify for an event of a stream.
func (c *Ctx) notifyStream(k *Keyed, event string) { c.Notify(k, shard.EventStream, event) }

// obeys tells whether the call comes from a log or a primary: no time passes then, and what it does was decided there.
func (c *Ctx) obeys() bool { return c.NowMs == 0 }

// streamNowMs is the time that consumers are said to have been seen at.
func (c *Ctx) streamNowMs() int64 {
	if c.obeys() {
		return c.Set.Clock.NowMs()
	}
	return c.NowMs
}

// Limits of the work that a trim with "~" may do, in entries, if it has no LIMIT.
const (
	trimNodes      = 100 // as many full nodes
	trimUnset      = 10_000
	trimMostlyOnce = 1_000_000
)

// trimming is how XADD and XTRIM are to trim.
type trimming struct {
	shard.StreamTrim
	on      bool
	limited bool // LIMIT was given
	edge    int  // position of the length or ID
}

// parse reads one option of trimming; false: the next argument is none.
func (t *trimming) parse(a *Args) bool {
	switch {
	case a.Left() > 1 && a.Option("maxlen"):
		t.begin(a)
		n := a.Int()
		if n < 0 {
			a.Fail(resp.ErrStreamMaxLen)
		}
		t.MaxLen = uint64(n)
	case a.Left() > 1 && a.Option("minid"):
		t.begin(a)
		t.ByID = true
		if b := a.Bytes(); a.Err() == nil {
			var err error
			if t.MinID, err = parseStrictID(b, 0); err != nil {
				a.Fail(err)
			}
		}
	case a.Left() > 1 && a.Option("limit"):
		t.limited = true
		if t.Limit = a.Int(); t.Limit < 0 {
			a.Fail(resp.ErrStreamLimit)
		}
	default:
		return false
	}
	return true
}

// begin reads what stands between a strategy and its edge.
func (t *trimming) begin(a *Args) {
	if t.on {
		a.Fail(resp.ErrStreamStrategies)
	}
	t.on, t.Approx = true, false
	if a.Left() > 1 && !a.Option("=") {
		t.Approx = a.Option("~")
	}
	t.edge = a.At()
}

// check finds what is wrong with the options together, and sets the limit.
func (t *trimming) check(c *Ctx, mustTrim bool) error {
	switch {
	case t.Limit != 0 && !t.on:
		return resp.ErrStreamLimitAlone
	case mustTrim && !t.on:
		return resp.ErrStreamNoStrategy
	case c.obeys():
		t.Limit = 0 // the edge is what the trim came to
	case t.limited && !t.Approx:
		return resp.ErrStreamLimitExact
	case !t.limited && t.Approx:
		t.Limit = c.trimLimit()
	}
	return nil
}

// trimLimit is how many entries a trim with "~" removes at most unless it says so itself.
func (c *Ctx) trimLimit() int64 {
	n := c.Limits.Stream.NodeEntries
	switch {
	case n <= 0:
		return trimUnset
	case n > trimMostlyOnce/trimNodes:
		return trimMostlyOnce
	}
	return trimNodes * n
}

// outcome appends the edge that makes an exact trim of one that was not: what the trim came to.
func (t *trimming) outcome(dst []byte, s *shard.Stream) []byte {
	in := s.Info()
	switch {
	case !t.ByID:
		return strconv.AppendUint(dst, in.Length, 10)
	case in.Length == 0:
		return stream.MaxID().AppendTo(dst)
	}
	return in.FirstID.AppendTo(dst)
}

// xadd are the arguments of XADD.
type xadd struct {
	trimming
	noMake  bool
	id      stream.ID
	given   bool // the ID is not "*"
	autoSeq bool // … but without its sequence number
	idAt    int
}

// parse reads the arguments up to the ID.
func (x *xadd) parse(c *Ctx) error {
	a := c.ArgsFrom(2)
	x.idAt = len(c.Args) // if there is none
	for a.More() {
		if a.Option("*") {
			x.idAt = a.At() - 1
			break
		}
		if x.trimming.parse(&a) {
			continue
		}
		if a.Option("nomkstream") {
			x.noMake = true
			continue
		}
		x.idAt, x.given = a.At(), true
		var ok bool
		if x.id, x.autoSeq, ok = parseNewID(a.Bytes(), 0); !ok {
			a.Fail(resp.ErrStreamID)
		}
		break
	}
	if a.Err() != nil {
		return a.Err()
	}
	return x.check(c, false)
}

// next finds the ID of the entry that comes behind `last`.
func (x *xadd) next(last stream.ID, nowMs int64) (stream.ID, error) {
	id := x.id
	switch {
	case last == stream.MaxID():
		return id, resp.ErrStreamExhausted
	case !x.given && uint64(nowMs) > last.Ms:
		return stream.ID{Ms: uint64(nowMs)}, nil
	case !x.given:
		id, _ = last.Next()
	case x.autoSeq && id.Ms == last.Ms && last.Seq == math.MaxUint64:
		return id, resp.ErrStreamEntry // so says Redis
	case x.autoSeq && id.Ms == last.Ms:
		id.Seq = last.Seq + 1
	}
	if !last.Less(id) {
		return id, resp.ErrStreamSmallID
	}
	return id, nil
}

// XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]
func cmdXAdd(c *Ctx) error {
	var x xadd
	if err := x.parse(c); err != nil {
		return err
	}
	pairs := c.Args[min(x.idAt+1, len(c.Args)):]
	switch {
	case len(pairs) < 2 || len(pairs)%2 != 0:
		return resp.ErrWrongArity(c.Row.FullName)
	case x.given && !x.autoSeq && x.id == (stream.ID{}):
		return resp.ErrStreamZeroID
	}
	var s shard.Stream
	k := &c.Keys[0]
	if err := c.writeStream(&s, k); err != nil {
		return err
	}
	if x.noMake && !s.Exists() {
		c.Null()
		return nil
	}
	last := s.Info().LastID
	id, err := x.next(last, c.NowMs)
	if err != nil {
		return err
	}
	if entryBytes(pairs) > stream.MaxEntryBytes {
		return resp.ErrStreamEntry
	}
	s.Add(&c.Limits.Stream, id, pairs)
	c.Dirty++
	c.notifyStream(k, "xadd")
	if x.on && s.Trim(&x.StreamTrim) > 0 {
		c.notifyStream(k, "xtrim")
	}
	c.replyID(id)
	if c.Logging() && (!x.given || x.autoSeq || x.Approx) {
		c.xaddEffect(&x, &s, id)
	}
	return nil
}

// entryBytes is how many bytes of fields and values an entry has.
func entryBytes(pairs [][]byte) (n int) {
	for _, b := range pairs {
		n += len(b)
	}
	return n
}

// xaddEffect logs the call with the ID that it has found and the trim that it has come to.
func (c *Ctx) xaddEffect(x *xadd, s *shard.Stream, id stream.ID) {
	given := c.Args[x.idAt]
	c.scratch = c.scratch[:0]
	c.Args[x.idAt] = c.idWord(id)
	c.trimEffect(&x.trimming, s)
	c.Args[x.idAt] = given
}

var wordExact = []byte("=")

// trimEffect logs the call as it came but for an approximate trim, which is logged as the exact one that it came to.
func (c *Ctx) trimEffect(t *trimming, s *shard.Stream) {
	if !t.Approx {
		c.Effect(1, c.Args...)
		return
	}
	how, edge := c.Args[t.edge-1], c.Args[t.edge]
	n := len(c.scratch)
	c.scratch = t.outcome(c.scratch, s)
	c.Args[t.edge-1], c.Args[t.edge] = wordExact, c.scratch[n:]
	c.Effect(1, c.Args...)
	c.Args[t.edge-1], c.Args[t.edge] = how, edge
}

// XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]
func cmdXTrim(c *Ctx) error {
	var t trimming
	a := c.ArgsFrom(2)
	for a.More() {
		if !t.parse(&a) {
			a.Syntax()
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	if err := t.check(c, true); err != nil {
		return err
	}
	var s shard.Stream
	if err := c.writeStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	var removed int64
	if s.Exists() {
		removed = s.Trim(&t.StreamTrim)
	}
	if removed > 0 {
		c.notifyStream(&c.Keys[0], "xtrim")
	}
	if removed > 0 && t.Approx && c.Logging() {
		c.scratch = c.scratch[:0]
		c.trimEffect(&t, &s)
	}
	c.Dirty += int(removed)
	c.Int(removed)
	return nil
}

// XLEN key
func cmdXLen(c *Ctx) error {
	var s shard.Stream
	if err := c.readStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	c.Int(int64(s.Len()))
	return nil
}

// XDEL key id [id ...]
func cmdXDel(c *Ctx) error {
	var s shard.Stream
	if err := c.writeStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	n := 0
	if s.Exists() {
		if err := checkIDs(c.Args[2:]); err != nil {
			return err
		}
		for _, b := range c.Args[2:] {
			if id, _ := parseStrictID(b, 0); s.Delete(id) {
				n++
			}
		}
	}
	if c.Dirty += n; n > 0 {
		c.notifyStream(&c.Keys[0], "xdel")
	}
	c.Int(int64(n))
	return nil
}

// XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]
func cmdXSetID(c *Ctx) error {
	last, err := parseStrictID(c.Args[2], 0)
	if err != nil {
		return err
	}
	added, deleted, err := c.parseXSetID(last)
	if err != nil {
		return err
	}
	var s shard.Stream
	if err := c.writeStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	if !s.Exists() {
		return resp.ErrNoSuchKey
	}
	in := s.Info()
	if in.Length > 0 {
		if top, _ := topID(&s); last.Less(top) {
			return resp.ErrXSetIDSmall
		}
		if added != -1 && in.Length > uint64(added) {
			return resp.ErrXSetIDAdded
		}
	}
	in.LastID = last
	if added != -1 {
		in.Added = uint64(added)
	}
	if deleted != (stream.ID{}) {
		in.MaxDeleted = deleted
	}
	s.SetInfo(in)
	c.Dirty++
	c.notifyStream(&c.Keys[0], "xsetid")
	c.OK()
	return nil
}

// parseXSetID reads the options of XSETID; -1 and 0-0: not given.
func (c *Ctx) parseXSetID(last stream.ID) (added int64, deleted stream.ID, err error) {
	added = -1
	a := c.ArgsFrom(3)
	for a.More() {
		switch {
		case a.Left() > 1 && a.Option("entriesadded"):
			if added = a.Int(); added < 0 {
				a.Fail(resp.ErrXSetIDNegative)
			}
		case a.Left() > 1 && a.Option("maxdeletedid"):
			if deleted, err = parseStrictID(a.Bytes(), 0); err != nil {
				a.Fail(err)
			} else if last.Less(deleted) {
				a.Fail(resp.ErrXSetIDDeleted)
			}
		default:
			a.Syntax()
		}
	}
	return added, deleted, a.Err()
}

// topID returns the ID of the last entry; false: there is none.
func topID(s *shard.Stream) (stream.ID, bool) {
	var r shard.StreamRange
	s.Range(&r, stream.ID{}, stream.MaxID(), true)
	ok := r.Next()
	return r.ID, ok
}

// XRANGE key start end [COUNT count]
func cmdXRange(c *Ctx) error { return c.xrange(2, 3, false) }

// XREVRANGE key end start [COUNT count]
func cmdXRevRange(c *Ctx) error { return c.xrange(3, 2, true) }

// xrange replies the entries of the interval whose edges are in arguments lo and hi.
func (c *Ctx) xrange(lo, hi int, rev bool) error {
	from, err := parseStart(c.Args[lo])
	if err != nil {
		return err
	}
	to, err := parseEnd(c.Args[hi])
	if err != nil {
		return err
	}
	count := int64(-1)
	a := c.ArgsFrom(4)
	for a.More() {
		if a.Left() < 2 || !a.Option("count") {
			a.Syntax()
			break
		}
		count = max(a.Int(), 0)
	}
	if a.Err() != nil {
		return a.Err()
	}
	var s shard.Stream
	if err := c.readStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	switch {
	case !s.Exists():
		c.Array(0)
	case count == 0:
		c.NullArray()
	default:
		c.replyEntries(&s, from, to, max(count, 0), rev)
	}
	return nil
}

// likelyEntries is how many entries a reply is expected to have if it may have any number.
const likelyEntries = 1

// replyEntries replies the entries of an interval as an array, up to count of them; 0: all.
func (c *Ctx) replyEntries(s *shard.Stream, from, to stream.ID, count int64, rev bool) {
	var r shard.StreamRange
	likely := likelyEntries
	if count > 0 {
		likely = int(min(count, int64(s.Len())))
	}
	all, n := c.openArray(likely), 0
	for s.Range(&r, from, to, rev); r.Next() && !c.full(); {
		c.replyEntry(&r)
		if n++; int64(n) == count {
			break
		}
	}
	all.end(c, n)
}

// replyEntry replies the entry at hand: its ID, and an array of its fields and values.
func (c *Ctx) replyEntry(r *shard.StreamRange) {
	c.Array(2)
	c.replyID(r.ID)
	c.Array(2 * r.Pairs)
	var field, value shard.Text
	for range r.Pairs {
		r.Pair(&field, &value)
		c.replyText(&field)
		c.replyText(&value)
	}
}

// replyEntryOf replies the entry with an ID, and reports whether it is there.
func (c *Ctx) replyEntryOf(s *shard.Stream, id stream.ID) bool {
	var r shard.StreamRange
	s.Range(&r, id, id, false)
	if !r.Next() {
		return false
	}
	c.replyEntry(&r)
	return true
}
