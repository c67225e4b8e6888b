package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

const getRangeComplexity = "O(N) where N is the length of the returned string. The complexity is ultimately " +
	"determined by the returned length, but because creating a substring from an existing string is very cheap, " +
	"it can be considered O(1) for small strings."

func rangeRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "append", Arity: 3, Flags: Write | DenyOOM | Fast, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyInsert),
			Group: "string", Since: "2.0.0", Summary: "Append a value to a key",
			Complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the " +
				"already present value is of any size, since the dynamic string library used by Redis will double " +
				"the free space available on every reallocation.",
			Args: "key value",
		}, Run: cmdAppend},
		{Info: Info{
			Name: "strlen", Arity: 2, Flags: ReadOnly | Fast, Categories: CatString, Keys: OneKey(KeyRO),
			Group: "string", Since: "2.2.0", Summary: "Get the length of the value stored in a key",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdStrlen},
		{Info: Info{
			Name: "getrange", Arity: 4, Flags: ReadOnly, Categories: CatString, Keys: OneKey(KeyRO | KeyAccess),
			Group: "string", Since: "2.4.0", Summary: "Get a substring of the string stored at a key",
			Complexity: getRangeComplexity, Args: "key start:integer end:integer",
		}, Run: cmdGetRange},
		{Info: Info{
			Name: "substr", Arity: 4, Flags: ReadOnly, Categories: CatString, Keys: OneKey(KeyRO | KeyAccess),
			Group: "string", Since: "1.0.0", Summary: "Get a substring of the string stored at a key",
			Complexity: getRangeComplexity, DeprecatedSince: "2.0.0", ReplacedBy: "`GETRANGE`",
			Args: "key start:integer end:integer",
		}, Run: cmdGetRange},
		{Info: Info{
			Name: "setrange", Arity: 4, Flags: Write | DenyOOM, Categories: CatString, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "string", Since: "2.2.0",
			Summary: "Overwrite part of a string at key starting at the specified offset",
			Complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is " +
				"very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the " +
				"length of the value argument.",
			Args: "key offset:integer value",
		}, Run: cmdSetRange},
	}
}

// checkLength returns the error of a string of size bytes that would be written to from byte at on.
func (c *Ctx) checkLength(at int64, size int) error {
	total := at + int64(size)
	if total < at || total > min(c.Limits.MaxStringBytes, object.MaxString) {
		return resp.ErrStringTooLong
	}
	return nil
}

// APPEND key value
func cmdAppend(c *Ctx) error {
	k, val := &c.Keys[0], c.Args[2]
	db := k.Shard.DB(c.DBID)
	e, ok := db.Get(k.Key, c.NowMs)
	if !ok {
		if len(val) > object.MaxString {
			return resp.ErrStringTooLong
		}
		db.SetString(k.Key, val, 0)
		c.Notify(k, shard.EventString, "append")
		c.Dirty++
		c.Int(int64(len(val)))
		return nil
	}
	if db.Type(e) != object.String {
		return resp.ErrWrongType
	}
	if err := c.checkLength(int64(db.StringLen(e)), len(val)); err != nil {
		return err
	}
	if len(val) == 0 { // that counts as a change
		db.StringRaw(k.Key)
		k.Shard.Changed(c.DBID, k.Key.Bytes)
		c.Notify(k, shard.EventString, "append")
		c.Dirty++
		c.Int(int64(db.StringLen(e)))
		return nil
	}
	c.Int(int64(db.StringAppend(k.Key, e, val)))
	c.Notify(k, shard.EventString, "append")
	c.Dirty++
	return nil
}

// STRLEN key
func cmdStrlen(c *Ctx) error {
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	n := 0
	if ok {
		n = db.StringLen(e)
	}
	c.Int(int64(n))
	return nil
}

// GETRANGE key start end
//
// SUBSTR key start end
func cmdGetRange(c *Ctx) error {
	a := c.ArgsFrom(2)
	start, end := a.Int(), a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	size := int64(0)
	if ok {
		size = int64(db.StringLen(e))
	}
	reversed := start < 0 && end < 0 && start > end // of one sign they can be compared before their ends are cut
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	end = min(end, size-1)
	if reversed || start > end {
		c.BulkString("")
		return nil
	}
	if n := int(end - start + 1); c.room(n) {
		c.Out = resp.AppendBulkHead(c.Out, n)
		c.Out = append(db.AppendStringRange(c.Out, e, int(start), int(end+1)), '\r', '\n')
	}
	return nil
}

// SETRANGE key offset value
func cmdSetRange(c *Ctx) error {
	offset, ok := resp.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if offset < 0 {
		return resp.ErrOffsetOutOfRange
	}
	k, val := &c.Keys[0], c.Args[3]
	db := k.Shard.DB(c.DBID)
	e, ok := db.Get(k.Key, c.NowMs)
	n := 0
	if ok {
		if db.Type(e) != object.String {
			return resp.ErrWrongType
		}
		n = db.StringLen(e)
	}
	if len(val) == 0 {
		c.Int(int64(n))
		return nil
	}
	if err := c.checkLength(offset, len(val)); err != nil {
		return err
	}
	c.Int(int64(db.StringSetRange(k.Key, int(offset), val)))
	c.Notify(k, shard.EventString, "setrange")
	c.Dirty++
	return nil
}
