package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/stream"
)

// openInfo looks up the stream of a call of XINFO, which must be there.
func (c *Ctx) openInfo(s *shard.Stream) error {
	if err := c.readStream(s, &c.Keys[0]); err != nil {
		return err
	}
	if !s.Exists() {
		return resp.ErrNoSuchKey
	}
	return nil
}

// fieldInt replies a key and its value, a number.
func (c *Ctx) fieldInt(key string, n int64) {
	c.BulkString(key)
	c.Int(n)
}

// fieldID replies a key and its value, an ID.
func (c *Ctx) fieldID(key string, id stream.ID) {
	c.BulkString(key)
	c.replyID(id)
}

// fieldIf replies a key and its value, a number or null.
func (c *Ctx) fieldIf(key string, n int64, known bool) {
	c.BulkString(key)
	if known {
		c.Int(n)
	} else {
		c.Null()
	}
}

// infoCount is how many entries XINFO STREAM FULL shows of each kind unless it says so.
const infoCount = 10

// parseXInfoStream reads the arguments behind the key; count 0: all.
func (c *Ctx) parseXInfoStream() (full bool, count int64, err error) {
	a := c.ArgsFrom(3)
	switch {
	case a.Left() == 0:
		return false, 0, nil
	case a.Left() != 1 && a.Left() != 3 || !a.Option("full"):
		return false, 0, resp.ErrSubcommandSyntax(c.Args[0], c.Args[1])
	}
	count = infoCount
	if a.More() {
		if !a.Option("count") {
			return false, 0, resp.ErrSubcommandSyntax(c.Args[0], c.Args[1])
		}
		if count = a.Int(); count < 0 {
			count = infoCount
		}
	}
	return true, count, a.Err()
}

// XINFO STREAM key [FULL [COUNT count]]
func cmdXInfoStream(c *Ctx) error {
	var s shard.Stream
	if err := c.openInfo(&s); err != nil {
		return err
	}
	full, count, err := c.parseXInfoStream()
	if err != nil {
		return err
	}
	if full {
		c.Map(9)
	} else {
		c.Map(10)
	}
	in := s.Info()
	keys, nodes := s.Nodes()
	c.fieldInt("length", int64(in.Length))
	c.fieldInt("radix-tree-keys", int64(keys))
	c.fieldInt("radix-tree-nodes", int64(nodes))
	c.fieldID("last-generated-id", in.LastID)
	c.fieldID("max-deleted-entry-id", in.MaxDeleted)
	c.fieldInt("entries-added", int64(in.Added))
	c.fieldID("recorded-first-entry-id", in.FirstID)
	if full {
		c.BulkString("entries")
		c.replyEntries(&s, stream.ID{}, stream.MaxID(), count, false)
		c.fullGroups(&s, &in, count)
		return nil
	}
	c.fieldInt("groups", int64(s.Groups()))
	c.BulkString("first-entry")
	c.edgeEntry(&s, false)
	c.BulkString("last-entry")
	c.edgeEntry(&s, true)
	return nil
}

// edgeEntry replies the first or the last entry, or null.
func (c *Ctx) edgeEntry(s *shard.Stream, last bool) {
	var r shard.StreamRange
	s.Range(&r, stream.ID{}, stream.MaxID(), last)
	if r.Next() {
		c.replyEntry(&r)
	} else {
		c.Null()
	}
}

// fullGroups replies all groups with their consumers, and up to count pending entries of each.
func (c *Ctx) fullGroups(s *shard.Stream, in *shard.StreamInfo, count int64) {
	c.BulkString("groups")
	groups, n := c.openArray(s.Groups()), 0
	s.EachGroup(func(name []byte, g *shard.StreamGroup) bool {
		n++
		c.Map(7)
		c.BulkString("name")
		c.Bulk(name)
		c.fieldID("last-delivered-id", g.LastID)
		c.replyProgress(in, g)
		c.fieldInt("pel-count", int64(s.PendingLen(g)))
		c.BulkString("pending")
		c.pendingOf(s, g, nil, count)
		c.BulkString("consumers")
		c.fullConsumers(s, g, count)
		return !c.full()
	})
	groups.end(c, n)
}

// replyProgress replies how many entries a group has read, and how many it has yet to read.
func (c *Ctx) replyProgress(in *shard.StreamInfo, g *shard.StreamGroup) {
	c.fieldIf("entries-read", g.EntriesRead, g.EntriesRead != shard.EntriesReadUnknown)
	n, ok := lag(in, g)
	c.fieldIf("lag", n, ok)
}

func (c *Ctx) fullConsumers(s *shard.Stream, g *shard.StreamGroup, count int64) {
	all, n := c.openArray(s.Consumers(g)), 0
	s.EachConsumer(g, func(name []byte, con *shard.StreamConsumer) bool {
		n++
		c.Map(4)
		c.BulkString("name")
		c.Bulk(name)
		c.fieldInt("seen-time", con.SeenMs)
		c.fieldInt("pel-count", int64(s.ConsumerPendingLen(con)))
		c.BulkString("pending")
		c.pendingOf(s, g, con, count)
		return !c.full()
	})
	all.end(c, n)
}

// pendingOf replies what is pending for a group, with the names of consumers, or for a consumer, without, up to count
// entries; 0: all.
func (c *Ctx) pendingOf(s *shard.Stream, g *shard.StreamGroup, con *shard.StreamConsumer, count int64) {
	all, n := c.openArray(likelyEntries), 0
	var r shard.PendingRange
	for s.PendingRange(&r, g, con, stream.ID{}); (count == 0 || int64(n) < count) && !c.full() && r.Next(); n++ {
		if con == nil {
			c.Array(4)
			c.replyID(r.ID)
			c.replyConsumer(s, r.Consumer)
		} else {
			c.Array(3)
			c.replyID(r.ID)
		}
		c.Int(r.DeliveredMs)
		c.Int(r.Deliveries)
	}
	all.end(c, n)
}

// XINFO GROUPS key
func cmdXInfoGroups(c *Ctx) error {
	var s shard.Stream
	if err := c.openInfo(&s); err != nil {
		return err
	}
	in := s.Info()
	groups, n := c.openArray(s.Groups()), 0
	s.EachGroup(func(name []byte, g *shard.StreamGroup) bool {
		n++
		c.Map(6)
		c.BulkString("name")
		c.Bulk(name)
		c.fieldInt("consumers", int64(s.Consumers(g)))
		c.fieldInt("pending", int64(s.PendingLen(g)))
		c.fieldID("last-delivered-id", g.LastID)
		c.replyProgress(&in, g)
		return !c.full()
	})
	groups.end(c, n)
	return nil
}

// XINFO CONSUMERS key group
func cmdXInfoConsumers(c *Ctx) error {
	var s shard.Stream
	if err := c.openInfo(&s); err != nil {
		return err
	}
	var g shard.StreamGroup
	if !s.Group(&g, c.Args[3]) {
		return resp.ErrNoGroupOfKey(c.Args[3], c.Args[2])
	}
	all, n := c.openArray(s.Consumers(&g)), 0
	s.EachConsumer(&g, func(name []byte, con *shard.StreamConsumer) bool {
		n++
		c.Map(3)
		c.BulkString("name")
		c.Bulk(name)
		c.fieldInt("pending", int64(s.ConsumerPendingLen(con)))
		c.fieldInt("idle", max(c.NowMs-con.SeenMs, 0))
		return !c.full()
	})
	all.end(c, n)
	return nil
}

// xinfoHelp is the text of XINFO HELP but for what Help adds.
const xinfoHelp = `CONSUMERS <key> <groupname>
    Show consumers of <groupname>.
GROUPS <key>
    Show the stream consumer groups.
STREAM <key> [FULL [COUNT <count>]
    Show information about the stream.
`

// XINFO HELP
func cmdXInfoHelp(c *Ctx) error {
	c.Help(xinfoHelp)
	return nil
}
