package command

import (
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
	for i := 2; i < len(c.Args); i += 2 {
		if len(c.Args[i]) > object.MaxString {
			return resp.ErrStringTooLong
		}
	}
	return nil
}

// setPairs sets all keys. The effect is the command as it came, or one SET a key if they are in several shards.
func (c *Ctx) setPairs() {
	pieces := c.Logging() && !c.oneShard()
	for i := range c.Keys {
		k := &c.Keys[i]
		val := c.Args[k.Arg+1]
		k.Shard.DB(c.DBID).SetString(k.Key, val, 0)
		if pieces {
			c.Effect(k.Arg, wordSet, k.Key.Bytes, val)
		}
	}
	c.Dirty += len(c.Keys)
}
