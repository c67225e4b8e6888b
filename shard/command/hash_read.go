package command

import (
	"math/rand/v2"

	"fulmen/shard"
	"fulmen/shard/object"
)

func hashReadRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "hget", Arity: 3, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.0.0", Summary: "Get the value of a hash field", Complexity: "O(1)",
			Args: "key field",
		}, Member: 2, Run: cmdHGet},
		{Info: Info{
			Name: "hmget", Arity: -3, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.0.0", Summary: "Get the values of all the given hash fields",
			Complexity: "O(N) where N is the number of fields being requested.", Args: "key field*",
		}, Run: cmdHMGet},
		{Info: Info{
			Name: "hgetall", Arity: 2, Flags: ReadOnly, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.0.0", Summary: "Get all the fields and values in a hash",
			Complexity: "O(N) where N is the size of the hash.", Tips: []string{"nondeterministic_output_order"},
			Args: "key",
		}, Run: cmdHGetAll},
		{Info: Info{
			Name: "hkeys", Arity: 2, Flags: ReadOnly, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.0.0", Summary: "Get all the fields in a hash",
			Complexity: "O(N) where N is the size of the hash.", Tips: []string{"nondeterministic_output_order"},
			Args: "key",
		}, Run: cmdHKeys},
		{Info: Info{
			Name: "hvals", Arity: 2, Flags: ReadOnly, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.0.0", Summary: "Get all the values in a hash",
			Complexity: "O(N) where N is the size of the hash.", Tips: []string{"nondeterministic_output_order"},
			Args: "key",
		}, Run: cmdHVals},
		{Info: Info{
			Name: "hexists", Arity: 3, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO),
			Group: "hash", Since: "2.0.0", Summary: "Determine if a hash field exists", Complexity: "O(1)",
			Args: "key field",
		}, Member: 2, Run: cmdHExists},
		{Info: Info{
			Name: "hlen", Arity: 2, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO),
			Group: "hash", Since: "2.0.0", Summary: "Get the number of fields in a hash", Complexity: "O(1)",
			Args: "key",
		}, Run: cmdHLen},
		{Info: Info{
			Name: "hstrlen", Arity: 3, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO),
			Group: "hash", Since: "3.2.0", Summary: "Get the length of the value of a hash field", Complexity: "O(1)",
			Args: "key field",
		}, Member: 2, Run: cmdHStrLen},
		{Info: Info{
			Name: "hrandfield", Arity: -2, Flags: ReadOnly, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "6.2.0", Summary: "Get one or multiple random fields from a hash",
			Complexity: "O(N) where N is the number of fields returned", Tips: []string{"nondeterministic_output"},
			Args: "key options?(count:integer WITHVALUES?)",
		}, Run: cmdHRandField},
		{Info: Info{
			Name: "hscan", Arity: -3, Flags: ReadOnly, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "2.8.0", Summary: "Incrementally iterate hash fields and associated values",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the " +
				"cursor to return back to 0. N is the number of elements inside the collection..",
			Tips: []string{"nondeterministic_output"},
			Args: "key cursor:integer pattern:pattern=MATCH? count:integer=COUNT? NOVALUES?@7.4.0",
		}, Run: cmdHScan, MaySlice: true},
	}
}

// HGET key field
func cmdHGet(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		c.replyField(&h, c.Args[2])
	}
	return err
}

// replyField replies the value of a field, unless the reply has become too long. A caller that changes fields goes on:
// what it does is all or nothing, whoever gets to read of it.
func (c *Ctx) replyField(h *shard.Hash, field []byte) {
	if c.full() {
		return
	}
	if value, ok := h.Get(field); ok {
		c.replyText(&value)
	} else {
		c.Null()
	}
}

// HMGET key field [field ...]
func cmdHMGet(c *Ctx) error {
	h, err := c.readHash()
	if err != nil {
		return err
	}
	c.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		if c.full() {
			break
		}
		c.replyField(&h, field)
	}
	return nil
}

// HEXISTS key field
func cmdHExists(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		_, ok := h.Get(c.Args[2])
		c.Bool(ok)
	}
	return err
}

// HLEN key
func cmdHLen(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		c.Int(int64(h.Len()))
	}
	return err
}

// HSTRLEN key field
func cmdHStrLen(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		value, _ := h.Get(c.Args[2])
		c.Int(int64(value.Len()))
	}
	return err
}

// HGETALL key
func cmdHGetAll(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		c.Map(h.Len())
		c.replyFields(&h, true, true)
	}
	return err
}

// HKEYS key
func cmdHKeys(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		c.Array(h.Len())
		c.replyFields(&h, true, false)
	}
	return err
}

// HVALS key
func cmdHVals(c *Ctx) error {
	h, err := c.readHash()
	if err == nil {
		c.Array(h.Len())
		c.replyFields(&h, false, true)
	}
	return err
}

// replyFields replies all fields, or values, or both.
func (c *Ctx) replyFields(h *shard.Hash, names, values bool) {
	var f shard.Fields
	for h.From(&f, 0); f.Next() && !c.full(); {
		if names {
			c.replyText(&f.Field)
		}
		if values {
			c.replyText(&f.Value)
		}
	}
}

// HRANDFIELD key [count [WITHVALUES]]
func cmdHRandField(c *Ctx) error {
	if len(c.Args) == 2 {
		h, err := c.readHash()
		if h.Purge(); err != nil {
			return err
		}
		switch {
		case h.Len() == 0:
			c.Null()
		default:
			c.replyRank(&h, rand.IntN(h.Len()), false)
		}
		return nil
	}
	n, values, err := c.randomCount("withvalues")
	if err != nil {
		return err
	}
	h, err := c.readHash()
	if err != nil {
		return err
	}
	h.Purge()
	size := h.Len()
	items := min(max(n, -n), int64(size))
	if n < 0 && size > 0 {
		items = -n
	}
	c.pairs(int(items), values)
	switch {
	case size == 0:
	case n < 0:
		c.randomTimes(-n, size, func(rank int) { c.replyRank(&h, rank, values) })
	case n <= int64(size/fewOf):
		c.randomRanks(int(n), size, func(rank int) { c.replyRank(&h, rank, values) })
	default:
		c.drawFields(&h, int(items), values)
	}
	return nil
}

// replyRank replies field number rank, with its value if need be.
func (c *Ctx) replyRank(h *shard.Hash, rank int, values bool) {
	var f shard.Fields
	h.From(&f, rank)
	f.Next()
	c.replyRandom(&f, values)
}

// drawFields replies n different fields, passing all.
func (c *Ctx) drawFields(h *shard.Hash, n int, values bool) {
	d := drawing{n, h.Len()}
	var f shard.Fields
	for h.From(&f, 0); d.n > 0 && f.Next() && !c.full(); {
		if d.take() {
			c.replyRandom(&f, values)
		}
	}
}

// replyRandom replies a field as HRANDFIELD does.
func (c *Ctx) replyRandom(f *shard.Fields, values bool) {
	if values && c.Proto > 2 {
		c.Array(2)
	}
	c.replyText(&f.Field)
	if values {
		c.replyText(&f.Value)
	}
}

// HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
func cmdHScan(c *Ctx) error { return c.scanValue(object.Hash, scanNoValues) }

// scanHash replies what matches of about count fields of v, which is there, from j.cursor on, and sets the next cursor.
func scanHash(c *Ctx, j *valueScan, v *shard.Value, count int) {
	h := v.Hash(c.NowMs)
	var f shard.Fields
	for h.Scan(&f, j.cursor, count); f.NextScanned() && !c.full(); {
		if j.pattern != nil {
			c.scratch = f.Field.AppendTo(c.scratch[:0])
			if !j.pattern.match(c.scratch) {
				continue
			}
		}
		c.replyText(&f.Field)
		j.items++
		if !j.noValues {
			c.replyText(&f.Value)
			j.items++
		}
	}
	j.cursor = f.Cursor()
}
