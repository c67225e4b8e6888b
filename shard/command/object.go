package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

func objectRows() []*Row {
	sub := func(name, since, summary string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: 3, Flags: ReadOnly, Categories: CatKeyspace,
			Keys:  []KeySpec{{First: 2, Step: 1, Flags: KeyRO}},
			Group: "generic", Since: since, Summary: summary, Complexity: "O(1)",
			Tips: []string{"nondeterministic_output"}, Args: "key",
		}, Run: run}
	}
	help := &Row{Info: Info{
		Name: "help", Arity: 2, Flags: Loading | Stale, Categories: CatKeyspace, Group: "generic", Since: "6.2.0",
		Summary: "Show helpful text about the different subcommands", Complexity: "O(1)",
	}, Run: cmdObjectHelp}
	return []*Row{{
		Info: Info{
			Name: "object", Arity: -2, Group: "generic", Since: "2.2.3",
			Summary: "A container for object introspection commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*Row{
			sub("encoding", "2.2.3", "Inspect the internal encoding of a Redis object", cmdObjectEncoding),
			sub("freq", "4.0.0", "Get the logarithmic access frequency counter of a Redis object", cmdObjectFreq),
			help,
			sub("idletime", "2.2.3", "Get the time since a Redis object was last accessed", cmdObjectIdleTime),
			sub("refcount", "2.2.3", "Get the number of references to the value of the key", cmdObjectRefCount),
		},
	}}
}

// object looks the call's key up without using it, and replies null if there is none.
func (c *Ctx) object() (s *shard.Shard, e index.Entry, ok bool) {
	k := &c.Keys[0]
	if e, ok = k.Shard.DB(c.DBID).Look(k.Key, c.NowMs); ok {
		k.Shard.Stats.Hits++
	} else {
		k.Shard.Stats.Misses++ // which is no event here
		c.Null()
	}
	return k.Shard, e, ok
}

// OBJECT ENCODING key
func cmdObjectEncoding(c *Ctx) error {
	if s, e, ok := c.object(); ok {
		c.BulkString(s.DB(c.DBID).Encoding(e))
	}
	return nil
}

// OBJECT FREQ key
func cmdObjectFreq(c *Ctx) error {
	s, e, ok := c.object()
	switch {
	case !ok:
		return nil
	case !c.Set.Eviction().Policy.LFU():
		return resp.ErrNoFrequency
	}
	c.Int(s.Frequency(e))
	return nil
}

// OBJECT IDLETIME key
func cmdObjectIdleTime(c *Ctx) error {
	s, e, ok := c.object()
	switch {
	case !ok:
		return nil
	case c.Set.Eviction().Policy.LFU():
		return resp.ErrNoIdleTime
	}
	c.Int(s.IdleSeconds(e))
	return nil
}

// sharedIntegers are the integers from 0 on whose objects Redis makes once and shares.
const sharedIntegers = 10_000

// OBJECT REFCOUNT key
//
// No value has more than one reference here. Small integers are said to have as many as in Redis, where they do not
// count them: clients tell them from others by that.
func cmdObjectRefCount(c *Ctx) error {
	s, e, ok := c.object()
	if !ok {
		return nil
	}
	p := c.Set.Eviction()
	ranked := p.LimitBytes > 0 && (p.Policy.LFU() || p.Policy.LRU()) // each value has its own access clock then
	if db := s.DB(c.DBID); !ranked && db.Type(e) == object.String && db.Encoding(e) == "int" {
		text, _ := db.StringView(e)
		if n, ok := resp.ParseInt(text); ok && n >= 0 && n < sharedIntegers {
			c.Int(math.MaxInt32)
			return nil
		}
	}
	c.Int(1)
	return nil
}

// objectHelp is the text of OBJECT HELP but for what Help adds.
const objectHelp = `ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
`

// OBJECT HELP
func cmdObjectHelp(c *Ctx) error {
	c.Help(objectHelp)
	return nil
}
