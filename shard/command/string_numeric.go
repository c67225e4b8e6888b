package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

const (
	// maxIntText is the length of the longest integer's text.
	maxIntText = 20
	// maxFloatText is the length from which on a text is no number for INCRBYFLOAT.
	maxFloatText = 5 * 1024
)

func numericRows() []*Row {
	flags := Write | DenyOOM | Fast
	return []*Row{
		{Info: Info{
			Name: "incr", Arity: 2, Flags: flags, Categories: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "1.0.0", Summary: "Increment the integer value of a key by one",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdIncr},
		{Info: Info{
			Name: "decr", Arity: 2, Flags: flags, Categories: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "1.0.0", Summary: "Decrement the integer value of a key by one",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdDecr},
		{Info: Info{
			Name: "incrby", Arity: 3, Flags: flags, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "1.0.0", Summary: "Increment the integer value of a key by the given amount",
			Complexity: "O(1)", Args: "key increment:integer",
		}, Run: cmdIncrBy},
		{Info: Info{
			Name: "decrby", Arity: 3, Flags: flags, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "1.0.0", Summary: "Decrement the integer value of a key by the given number",
			Complexity: "O(1)", Args: "key decrement:integer",
		}, Run: cmdDecrBy},
		{Info: Info{
			Name: "incrbyfloat", Arity: 3, Flags: flags, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "2.6.0", Summary: "Increment the float value of a key by the given amount",
			Complexity: "O(1)", Args: "key increment:double",
		}, Run: cmdIncrByFloat},
	}
}

// INCR key
func cmdIncr(c *Ctx) error { return c.incrBy(1) }

// DECR key
func cmdDecr(c *Ctx) error { return c.incrBy(-1) }

// INCRBY key increment
func cmdIncrBy(c *Ctx) error {
	by, ok := resp.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	return c.incrBy(by)
}

// DECRBY key decrement
func cmdDecrBy(c *Ctx) error {
	by, ok := resp.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if by == math.MinInt64 {
		return resp.ErrDecrOverflow
	}
	return c.incrBy(-by)
}

func (c *Ctx) incrBy(by int64) error {
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	var n, atMs int64
	if e, ok := db.Look(k.Key, c.NowMs); ok {
		text, err := c.shortString(db, e, maxIntText)
		if err != nil {
			return err
		}
		if n, ok = resp.ParseInt(text); !ok {
			return resp.ErrNotInteger
		}
		atMs = e.ExpireAt()
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return resp.ErrOverflow
	}
	n += by
	db.SetString(k.Key, c.number(n), atMs)
	c.Notify(k, shard.EventString, "incrby")
	c.Dirty++
	c.Int(n)
	return nil
}

// shortString returns the string in e, or nothing if it is longer than most bytes.
func (c *Ctx) shortString(db *shard.DB, e index.Entry, most int) ([]byte, error) {
	if db.Type(e) != object.String {
		return nil, resp.ErrWrongType
	}
	if db.StringLen(e) > most {
		return nil, nil
	}
	if text, ok := db.StringView(e); ok {
		return text, nil
	}
	c.scratch = db.AppendString(c.scratch[:0], e)
	return c.scratch, nil
}

// INCRBYFLOAT key increment
func cmdIncrByFloat(c *Ctx) error {
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	var sum resp.LongDouble
	var atMs int64
	if e, ok := db.Look(k.Key, c.NowMs); ok {
		text, err := c.shortString(db, e, maxFloatText)
		if err != nil {
			return err
		}
		if sum, ok = resp.ParseLongDouble(text); !ok {
			return resp.ErrNotFloat
		}
		atMs = e.ExpireAt()
	}
	by, ok := resp.ParseLongDouble(c.Args[2])
	if !ok {
		return resp.ErrNotFloat
	}
	if sum = sum.Add(by); !sum.Finite() {
		return resp.ErrIncrNaNOrInf
	}
	c.scratch = resp.FormatLongDouble(c.scratch[:0], sum)
	db.SetFloatText(k.Key, c.scratch, atMs)
	c.Notify(k, shard.EventString, "incrbyfloat")
	c.Dirty++
	c.Effect(k.Arg, wordSet, k.Key.Bytes, c.scratch, wordKeepTTL)
	c.Bulk(c.scratch)
	return nil
}
