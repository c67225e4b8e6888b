package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// expireHistory is the history of the four commands that set an expiry.
func expireHistory() []Change {
	return []Change{{"7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`."}}
}

func expireRows() []*Row {
	keys := OneKey(KeyRW | KeyUpdate)
	return []*Row{
		{Info: Info{
			Name: "expire", Arity: -3, Flags: Write | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "1.0.0", Summary: "Set a key's time to live in seconds", Complexity: "O(1)",
			History: expireHistory(), Args: "key seconds:integer condition?@7.0.0(NX|XX|GT|LT)",
		}, Run: cmdExpire},
		{Info: Info{
			Name: "pexpire", Arity: -3, Flags: Write | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "2.6.0", Summary: "Set a key's time to live in milliseconds",
			Complexity: "O(1)", History: expireHistory(),
			Args: "key milliseconds:integer condition?@7.0.0(NX|XX|GT|LT)",
		}, Run: cmdPExpire},
		{Info: Info{
			Name: "expireat", Arity: -3, Flags: Write | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "1.2.0", Summary: "Set the expiration for a key as a UNIX timestamp",
			Complexity: "O(1)", History: expireHistory(),
			Args: "key unix-time-seconds:unix-time condition?@7.0.0(NX|XX|GT|LT)",
		}, Run: cmdExpireAt},
		{Info: Info{
			Name: "pexpireat", Arity: -3, Flags: Write | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "2.6.0",
			Summary:    "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
			Complexity: "O(1)", History: expireHistory(),
			Args: "key unix-time-milliseconds:unix-time condition?@7.0.0(NX|XX|GT|LT)",
		}, Run: cmdPExpireAt},
		{Info: Info{
			Name: "persist", Arity: 2, Flags: Write | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "2.2.0", Summary: "Remove the expiration from a key", Complexity: "O(1)",
			Args: "key",
		}, Run: cmdPersist},
	}
}

func ttlRows() []*Row {
	keys := OneKey(KeyRO | KeyAccess)
	return []*Row{
		{Info: Info{
			Name: "ttl", Arity: 2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "1.0.0", Summary: "Get the time to live for a key in seconds",
			Complexity: "O(1)", History: []Change{{"2.8.0", "Added the -2 reply."}},
			Tips: []string{"nondeterministic_output"}, Args: "key",
		}, Run: cmdTTL},
		{Info: Info{
			Name: "pttl", Arity: 2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "2.6.0", Summary: "Get the time to live for a key in milliseconds",
			Complexity: "O(1)", History: []Change{{"2.8.0", "Added the -2 reply."}},
			Tips: []string{"nondeterministic_output"}, Args: "key",
		}, Run: cmdPTTL},
		{Info: Info{
			Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "7.0.0", Summary: "Get the expiration Unix timestamp for a key",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdExpireTime},
		{Info: Info{
			Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: keys,
			Group: "generic", Since: "7.0.0",
			Summary:    "Get the expiration Unix timestamp for a key in milliseconds",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdPExpireTime},
	}
}

// EXPIRE key seconds [NX | XX | GT | LT]
func cmdExpire(c *Ctx) error { return c.expire(c.NowMs, 1000) }

// PEXPIRE key milliseconds [NX | XX | GT | LT]
func cmdPExpire(c *Ctx) error { return c.expire(c.NowMs, 1) }

// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
func cmdExpireAt(c *Ctx) error { return c.expire(0, 1000) }

// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
func cmdPExpireAt(c *Ctx) error { return c.expire(0, 1) }

// expire sets the expiry to the second argument, in units of unitMs, after baseMs. A time that has passed already
// deletes the key.
func (c *Ctx) expire(baseMs, unitMs int64) error {
	var when expireCondition
	if err := when.parse(c.ArgsFrom(3)); err != nil {
		return err
	}
	atMs, ok := resp.ParseInt(c.Args[2])
	switch {
	case !ok:
		return resp.ErrNotInteger
	case atMs > math.MaxInt64/unitMs || atMs < math.MinInt64/unitMs, atMs*unitMs > math.MaxInt64-baseMs:
		return resp.ErrInvalidExpire(c.Row.FullName)
	}
	atMs = atMs*unitMs + baseMs
	k := &c.Keys[0]
	e, ok := k.Shard.DB(c.DBID).Get(k.Key, c.NowMs)
	switch {
	case !ok || !when.allows(e.ExpireAt(), atMs):
		c.Bool(false)
		return nil
	case atMs <= c.NowMs:
		c.remove(k)
	default:
		c.setExpire(k, atMs)
	}
	c.Bool(true)
	return nil
}

// expireCondition is the set of an EXPIRE's options.
type expireCondition struct{ nx, xx, gt, lt bool }

func (w *expireCondition) parse(a Args) error {
	for a.More() {
		switch {
		case a.Option("nx"):
			w.nx = true
		case a.Option("xx"):
			w.xx = true
		case a.Option("gt"):
			w.gt = true
		case a.Option("lt"):
			w.lt = true
		default:
			return resp.ErrUnsupportedOption(cString(a.Bytes()))
		}
	}
	switch {
	case w.nx && (w.xx || w.gt || w.lt):
		return resp.ErrExpireNXAndOthers
	case w.gt && w.lt:
		return resp.ErrExpireGTAndLT
	}
	return nil
}

// allows tells whether an expiry may be set to atMs where it was wasMs; 0 = none, which is later than any other.
func (w *expireCondition) allows(wasMs, atMs int64) bool {
	return !(w.nx && wasMs != 0 || w.xx && wasMs == 0 || w.gt && (wasMs == 0 || atMs <= wasMs) ||
		w.lt && wasMs != 0 && atMs >= wasMs)
}

// PERSIST key
func cmdPersist(c *Ctx) error {
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	_, ok := db.Get(k.Key, c.NowMs)
	if ok = ok && db.Persist(k.Key); ok {
		c.Notify(k, shard.EventGeneric, "persist")
		c.Dirty++
	}
	c.Bool(ok)
	return nil
}

// TTL key
func cmdTTL(c *Ctx) error { return c.ttl(c.NowMs, 1000) }

// PTTL key
func cmdPTTL(c *Ctx) error { return c.ttl(c.NowMs, 1) }

// EXPIRETIME key
func cmdExpireTime(c *Ctx) error { return c.ttl(0, 1000) }

// PEXPIRETIME key
func cmdPExpireTime(c *Ctx) error { return c.ttl(0, 1) }

// ttl replies the time from baseMs to the key's expiry in units of unitMs, rounded to the nearest; -1 if it has
// none, -2 if there is no key.
func (c *Ctx) ttl(baseMs, unitMs int64) error {
	k := &c.Keys[0]
	e, ok := c.look(k, k.Shard.DB(c.DBID))
	switch {
	case !ok:
		c.Int(-2)
	case e.ExpireAt() == 0:
		c.Int(-1)
	default:
		left := uint64(max(e.ExpireAt()-baseMs, 0)) // unsigned: the greatest expiry must not overflow
		c.Int(int64((left + uint64(unitMs)/2) / uint64(unitMs)))
	}
	return nil
}
