package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

func multiStringRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "mget", Arity: -2, Flags: ReadOnly | Fast, Categories: CatString, Keys: AllKeys(1, KeyRO|KeyAccess),
			Group: "string", Since: "1.0.0", Summary: "Get the values of all the given keys",
			Complexity: "O(N) where N is the number of keys to retrieve.",
			Tips:       []string{"request_policy:multi_shard"}, Args: "key*",
		}, Run: cmdMGet},
		{Info: Info{
			Name: "mset", Arity: -3, Flags: Write | DenyOOM, Categories: CatString, Keys: AllKeys(2, KeyOW|KeyUpdate),
			Group: "string", Since: "1.0.1", Summary: "Set multiple keys to multiple values",
			Complexity: "O(N) where N is the number of keys to set.",
			Tips:       []string{"request_policy:multi_shard", "response_policy:all_succeeded"},
			Args:       "key_value*(key value)",
		}, Run: cmdMSet},
		{Info: Info{
			Name: "msetnx", Arity: -3, Flags: Write | DenyOOM, Categories: CatString,
			Keys:  AllKeys(2, KeyOW|KeyInsert),
			Group: "string", Since: "1.0.1",
			Summary:    "Set multiple keys to multiple values, only if none of the keys exist",
			Complexity: "O(N) where N is the number of keys to set.",
			Tips:       []string{"request_policy:multi_shard", "response_policy:agg_min"},
			Args:       "key_value*(key value)",
		}, Run: cmdMSetNX},
		{Info: Info{
			Name: "msetex", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Categories: CatString,
			Keys:  []KeySpec{{First: 1, Step: 2, Counted: true, Flags: KeyOW | KeyUpdate}},
			Group: "string", Since: "8.4.0",
			Summary:    "Atomically sets multiple string keys with a shared expiration in a single operation.",
			Complexity: "O(N) where N is the number of keys to set.",
			Tips:       []string{"request_policy:multi_shard", "response_policy:all_succeeded"},
			Args: "numkeys:integer data*(key value) condition?(NX|XX) expiration?(seconds:integer=EX|" +
				"milliseconds:integer=PX|unix-time-seconds:unix-time=EXAT|unix-time-milliseconds:unix-time=PXAT|" +
				"KEEPTTL)",
		}, Run: cmdMSetEx},
	}
}

// MGET key [key ...]
func cmdMGet(c *Ctx) error {
	c.Array(len(c.Keys))
	for i := range c.Keys {
		k := &c.Keys[i]
		db := k.Shard.DB(c.DBID)
		e, ok := c.read(k, db)
		c.replyString(db, e, ok && db.Type(e) == object.String)
	}
	return nil
}

// MSET key value [key value ...]
func cmdMSet(c *Ctx) error {
	if err := c.checkPairs(); err != nil {
		return err
	}
	c.setPairs()
	c.OK()
	return nil
}

// MSETNX key value [key value ...]
func cmdMSetNX(c *Ctx) error {
	if err := c.checkPairs(); err != nil {
		return err
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		if _, ok := k.Shard.DB(c.DBID).Get(k.Key, c.NowMs); ok {
			c.Bool(false)
			return nil
		}
	}
	c.setPairs()
	c.Bool(true)
	return nil
}

// checkPairs looks whether every key has a value, of a length that can be stored.
func (c *Ctx) checkPairs() error {
	if len(c.Args)%2 == 0 {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	return c.checkValues()
}

// checkValues looks whether the value behind every key is of a length that can be stored.
func (c *Ctx) checkValues() error {
	for i := range c.Keys {
		if len(c.Args[c.Keys[i].Arg+1]) > object.MaxString {
			return resp.ErrStringTooLong
		}
	}
	return nil
}

// MSETEX numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds |
// PXAT unix-time-milliseconds | KEEPTTL]
func cmdMSetEx(c *Ctx) error {
	numkeys, ok := resp.ParseInt(c.Args[1])
	if !ok || numkeys < 1 || numkeys > math.MaxInt32 {
		return resp.ErrMSetExNumkeys
	}
	if int64(len(c.Keys)) != numkeys {
		return resp.ErrMSetExPairs
	}
	var o stringOptions
	if err := o.parse(c.ArgsFrom(2+2*len(c.Keys)), optsOfMSetEx); err != nil {
		return err
	}
	atMs, err := o.expireAt(c)
	if err == nil {
		err = c.checkValues()
	}
	if err != nil {
		return err
	}
	if o.has&optCondition != 0 {
		for i := range c.Keys {
			k := &c.Keys[i]
			db := k.Shard.DB(c.DBID)
			e, found := db.Get(k.Key, c.NowMs)
			if ok, err := c.allow(&o, db, e, found); !ok || err != nil {
				c.Bool(false)
				return err
			}
		}
	}
	c.setPairsUntil(&o, atMs)
	c.Bool(true)
	return nil
}

// setPairsUntil sets all keys with an expiry, or with that which they have. The effect is one SET a key, if they are
// in several shards, or the command without its conditions and with an absolute time.
func (c *Ctx) setPairsUntil(o *stringOptions, atMs int64) {
	logs := c.Logging()
	pieces := logs && !c.oneShard()
	for i := range c.Keys {
		k := &c.Keys[i]
		db, val, until := k.Shard.DB(c.DBID), c.Args[k.Arg+1], atMs
		if o.has&optKeepTTL != 0 {
			if e, found := db.Look(k.Key, c.NowMs); found {
				until = e.ExpireAt()
			}
		}
		c.setString(k, val, until, atMs != 0)
		if pieces {
			c.effectSet(o, k, val, atMs)
		}
	}
	c.Dirty += len(c.Keys)
	if pieces || !logs || o.has&^(optPXAT|optKeepTTL) == 0 { // which is logged as it came
		return
	}
	args := append([][]byte(nil), c.Args[:2+2*len(c.Keys)]...)
	switch {
	case o.has&optKeepTTL != 0:
		args = append(args, wordKeepTTL)
	case atMs != 0:
		args = append(args, wordPXAT, c.number(atMs))
	}
	c.Effect(c.Keys[0].Arg, args...)
}

// setPairs sets all keys. The effect is the command as it came, or one SET a key if they are in several shards.
func (c *Ctx) setPairs() {
	pieces := c.Logging() && !c.oneShard()
	for i := range c.Keys {
		k := &c.Keys[i]
		val := c.Args[k.Arg+1]
		c.setString(k, val, 0, false)
		if pieces {
			c.Effect(k.Arg, wordSet, k.Key.Bytes, val)
		}
	}
	c.Dirty += len(c.Keys)
}
