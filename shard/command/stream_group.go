package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/stream"
)

// How many entries a group has read, and how many it has yet to read, follows from the entries ever added as long as
// nobody knows of a gap: of an entry that XDEL took out of the middle. All a stream remembers of these is the highest
// ID. So a count that can't be known is shard.EntriesReadUnknown.

// gapIn tells whether an entry may be missing between the first one and the end, with an ID from `from` on.
func gapIn(in *shard.StreamInfo, from stream.ID) bool {
	return in.Length > 0 && in.MaxDeleted != (stream.ID{}) && !in.MaxDeleted.Less(in.FirstID) &&
		!in.MaxDeleted.Less(from)
}

// readThrough returns how many entries a group that has read `before` of them has read when it has read that with the
// given ID, too. Where Redis counts beyond 2^63, which no record of a log could say, nobody knows.
func readThrough(in *shard.StreamInfo, before int64, id stream.ID) int64 {
	n := before
	switch {
	case before != shard.EntriesReadUnknown && !gapIn(in, id):
		n++
	case in.Added > 0:
		n = in.AddedUpTo(id)
	}
	return max(n, shard.EntriesReadUnknown)
}

// lag returns how many entries a group has yet to read; false: that can't be known.
func lag(in *shard.StreamInfo, g *shard.StreamGroup) (n int64, ok bool) {
	if in.Added == 0 {
		return 0, true
	}
	read := g.EntriesRead
	if read == shard.EntriesReadUnknown || gapIn(in, g.LastID) {
		read = in.AddedUpTo(g.LastID)
	}
	return int64(in.Added) - read, read != shard.EntriesReadUnknown
}

// groupOptions reads the options of XGROUP CREATE and SETID.
func (c *Ctx) groupOptions(mayMake bool) (make bool, entriesRead int64, err error) {
	entriesRead = shard.EntriesReadUnknown
	a := c.ArgsFrom(5)
	for a.More() {
		switch {
		case mayMake && a.Option("mkstream"):
			make = true
		case a.Left() > 1 && a.Option("entriesread"):
			if entriesRead = a.Int(); a.Err() == nil && entriesRead < 0 && entriesRead != shard.EntriesReadUnknown {
				a.Fail(resp.ErrEntriesRead)
			}
		default:
			a.Fail(resp.ErrSubcommandSyntax(c.Args[0], c.Args[1]))
		}
	}
	return make, entriesRead, a.Err()
}

// openGroup looks up the stream and the group of a call of XGROUP, which must be there.
func (c *Ctx) openGroup(s *shard.Stream, g *shard.StreamGroup) error {
	if err := c.writeStream(s, &c.Keys[0]); err != nil {
		return err
	}
	switch {
	case !s.Exists():
		return resp.ErrXGroupNoKey
	case !s.Group(g, c.Args[3]):
		return resp.ErrNoGroupOfKey(c.Args[3], c.Args[2])
	}
	return nil
}

// XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]
func cmdXGroupCreate(c *Ctx) error {
	make, entriesRead, err := c.groupOptions(true)
	if err != nil {
		return err
	}
	var s shard.Stream
	if err := c.writeStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	switch {
	case !s.Exists() && !make:
		return resp.ErrXGroupNoKey
	case len(c.Args) > 8:
		return resp.ErrSubcommandSyntax(c.Args[0], c.Args[1])
	}
	last := s.Info().LastID
	if string(cString(c.Args[4])) != "$" {
		if last, err = parseStrictID(c.Args[4], 0); err != nil {
			return err
		}
	}
	if !s.Exists() {
		s.Create()
	}
	if !s.CreateGroup(c.Args[3], last, entriesRead) {
		return resp.ErrBusyGroup
	}
	c.Dirty++
	c.notifyStream(&c.Keys[0], "xgroup-create")
	c.OK()
	return nil
}

// XGROUP SETID key group id | $ [ENTRIESREAD entries-read]
func cmdXGroupSetID(c *Ctx) error {
	_, entriesRead, err := c.groupOptions(false)
	if err != nil {
		return err
	}
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.openGroup(&s, &g); err != nil {
		return err
	}
	if len(c.Args) != 5 && len(c.Args) != 7 {
		return resp.ErrSubcommandSyntax(c.Args[0], c.Args[1])
	}
	last := s.Info().LastID
	if string(cString(c.Args[4])) != "$" {
		if last, err = parseID(c.Args[4], 0); err != nil {
			return err
		}
	}
	s.SetGroup(&g, last, entriesRead)
	c.Dirty++
	c.notifyStream(&c.Keys[0], "xgroup-setid")
	c.OK()
	return nil
}

// XGROUP DESTROY key group
func cmdXGroupDestroy(c *Ctx) error {
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.writeStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	if !s.Exists() {
		return resp.ErrXGroupNoKey
	}
	there := s.Group(&g, c.Args[3])
	if there {
		s.DestroyGroup(&g)
		c.Dirty++
		c.notifyStream(&c.Keys[0], "xgroup-destroy")
	}
	c.Bool(there)
	return nil
}

// XGROUP CREATECONSUMER key group consumer
func cmdXGroupCreateConsumer(c *Ctx) error {
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.openGroup(&s, &g); err != nil {
		return err
	}
	var consumer shard.StreamConsumer
	there := s.Consumer(&g, &consumer, c.Args[4])
	if !there {
		s.CreateConsumer(&g, &consumer, c.Args[4], c.streamNowMs())
		c.Dirty++
		c.notifyStream(&c.Keys[0], "xgroup-createconsumer")
	}
	c.Bool(!there)
	return nil
}

// XGROUP DELCONSUMER key group consumer
func cmdXGroupDelConsumer(c *Ctx) error {
	var s shard.Stream
	var g shard.StreamGroup
	if err := c.openGroup(&s, &g); err != nil {
		return err
	}
	pending := 0
	var consumer shard.StreamConsumer
	if s.Consumer(&g, &consumer, c.Args[4]) {
		pending = s.DeleteConsumer(&g, &consumer)
		c.Dirty++
		c.notifyStream(&c.Keys[0], "xgroup-delconsumer")
	}
	c.Int(int64(pending))
	return nil
}

// xgroupHelp is the text of XGROUP HELP but for what Help adds.
const xgroupHelp = `CREATE <key> <groupname> <id|$> [option]
    Create a new consumer group. Options are:
    * MKSTREAM
      Create the empty stream if it does not exist.
    * ENTRIESREAD entries_read
      Set the group's entries_read counter (internal use).
CREATECONSUMER <key> <groupname> <consumer>
    Create a new consumer in the specified group.
DELCONSUMER <key> <groupname> <consumer>
    Remove the specified consumer.
DESTROY <key> <groupname>
    Remove the specified group.
SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]
    Set the current group ID and entries_read counter.
`

// XGROUP HELP
func cmdXGroupHelp(c *Ctx) error {
	c.Help(xgroupHelp)
	return nil
}

// XACK key group id [id ...]
func cmdXAck(c *Ctx) error {
	var s shard.Stream
	if err := c.readStream(&s, &c.Keys[0]); err != nil {
		return err
	}
	n := 0
	var g shard.StreamGroup
	if s.Exists() && s.Group(&g, c.Args[2]) {
		if err := checkIDs(c.Args[3:]); err != nil {
			return err
		}
		for _, b := range c.Args[3:] {
			if id, _ := parseStrictID(b, 0); s.Ack(&g, id) {
				n++
			}
		}
	}
	c.Dirty += n
	c.Int(int64(n))
	return nil
}
