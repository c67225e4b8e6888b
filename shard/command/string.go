package command

import (
	"fulmen/internal/resp"
	"fulmen/shard/object"
)

func stringRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "get", Arity: 2, Flags: ReadOnly | Fast, Categories: CatString, Keys: OneKey(KeyRO | KeyAccess),
			Group: "string", Since: "1.0.0", Summary: "Get the value of a key", Complexity: "O(1)",
		}, Run: cmdGet},
		{Info: Info{
			Name: "set", Arity: -3, Flags: Write | DenyOOM, Categories: CatString,
			Keys:  []KeySpec{{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate | KeyVariable, Notes: "RW and ACCESS due to the optional `GET` argument"}},
			Group: "string", Since: "1.0.0", Summary: "Set the string value of a key", Complexity: "O(1)",
		}, Run: cmdSet},
	}
}

// GET key
func cmdGet(c *Ctx) error {
	db := c.DB(1)
	e, ok := db.Get(c.Key(1), c.NowMs)
	if !ok {
		c.Shard(1).Stats.Misses++
		c.Null()
		return nil
	}
	c.Shard(1).Stats.Hits++
	if object.TypeOf(e.Tag()) != object.String {
		return resp.ErrWrongType
	}
	if v, ok := db.StringView(e); ok {
		c.Bulk(v)
		return nil
	}
	c.Out = resp.AppendBulkHead(c.Out, db.StringLen(e))
	c.Out = db.AppendString(c.Out, e)
	c.Out = append(c.Out, '\r', '\n')
	return nil
}

// SET key value
func cmdSet(c *Ctx) error {
	c.DB(1).SetString(c.Key(1), c.Args[2], 0)
	c.Dirty++
	c.OK()
	return nil
}
