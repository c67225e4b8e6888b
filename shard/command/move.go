package command

import (
	"bytes"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// Commands that give a value another name or another database. None of them looks at what the value is.

func moveRows() []*Row {
	from := KeySpec{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete}
	return []*Row{
		{Info: Info{
			Name: "rename", Arity: 3, Flags: Write, Categories: CatKeyspace,
			Keys:  []KeySpec{from, {First: 2, Step: 1, Flags: KeyOW | KeyUpdate}},
			Group: "generic", Since: "1.0.0", Summary: "Rename a key", Complexity: "O(1)", Args: "key newkey:key#1",
		}, Run: cmdRename},
		{Info: Info{
			Name: "renamenx", Arity: 3, Flags: Write | Fast, Categories: CatKeyspace,
			Keys:  []KeySpec{from, {First: 2, Step: 1, Flags: KeyOW | KeyInsert}},
			Group: "generic", Since: "1.0.0", Summary: "Rename a key, only if the new key does not exist",
			Complexity: "O(1)",
			History: []Change{{"3.2.0",
				"The command no longer returns an error when source and destination names are the same."}},
			Args: "key newkey:key#1",
		}, Run: cmdRenameNX},
		{Info: Info{
			Name: "copy", Arity: -3, Flags: Write | DenyOOM, Categories: CatKeyspace,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyRO | KeyAccess}, {First: 2, Step: 1, Flags: KeyOW | KeyUpdate},
			},
			Group: "generic", Since: "6.2.0", Summary: "Copy a key",
			Complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string " +
				"values.",
			Args: "source:key#0 destination:key#1 destination-db:integer=DB? REPLACE?",
		}, Run: cmdCopy},
		{Info: Info{
			Name: "move", Arity: 3, Flags: Write | Fast, Categories: CatKeyspace,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "generic", Since: "1.0.0", Summary: "Move a key to another database", Complexity: "O(1)",
			Args: "key db:integer",
		}, Run: cmdMove},
		{Info: Info{
			Name: "swapdb", Arity: 3, Flags: Write | Fast, Categories: CatKeyspace | CatDangerous, Route: RouteAll,
			Group: "server", Since: "4.0.0", Summary: "Swaps two Redis databases",
			Complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
			Args:       "index1:integer index2:integer",
		}, Run: cmdSwapDB},
	}
}

// RENAME key newkey
func cmdRename(c *Ctx) error {
	found, _ := c.rename(false)
	if !found {
		return resp.ErrNoSuchKey
	}
	c.OK()
	return nil
}

// RENAMENX key newkey
func cmdRenameNX(c *Ctx) error {
	found, renamed := c.rename(true)
	if !found {
		return resp.ErrNoSuchKey
	}
	c.Bool(renamed)
	return nil
}

// rename gives the first key's value to the second, but not if that one is there and nx is set, nor if it is the same.
func (c *Ctx) rename(nx bool) (found, renamed bool) {
	from, to := &c.Keys[0], &c.Keys[1]
	src, dst := from.Shard.DB(c.DBID), to.Shard.DB(c.DBID)
	if _, ok := src.Get(from.Key, c.NowMs); !ok {
		return false, false
	}
	if bytes.Equal(from.Key.Bytes, to.Key.Bytes) {
		return true, false
	}
	if _, ok := dst.Get(to.Key, c.NowMs); ok && nx {
		return true, false
	}
	src.MoveTo(from.Key, dst, to.Key)
	c.noteOwn(to, dst)
	c.Notify(from, shard.EventGeneric, "rename_from")
	c.Notify(to, shard.EventGeneric, "rename_to")
	c.Dirty++
	c.EffectOfKeys()
	return true, true
}

// COPY source destination [DB destination-db] [REPLACE]
func cmdCopy(c *Ctx) error {
	from, to := &c.Keys[0], &c.Keys[1]
	id, replace := c.DBID, false
	a := c.ArgsFrom(3)
	for a.More() {
		switch {
		case a.Option("replace"):
			replace = true
		case a.Left() > 1 && a.Option("db"):
			id = c.DBIndex(&a)
		default:
			a.Syntax()
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	if id == c.DBID && bytes.Equal(from.Key.Bytes, to.Key.Bytes) {
		return resp.ErrSameObject
	}
	src, dst := from.Shard.DB(c.DBID), to.Shard.DB(id)
	_, ok := c.read(from, src)
	if ok {
		_, there := dst.Get(to.Key, c.NowMs)
		ok = !there || replace
	}
	if ok {
		src.CopyTo(from.Key, dst, to.Key)
		c.noteOwn(to, dst)
		dst.Notify(to.Key.Bytes, shard.EventGeneric, "copy_to")
		c.Dirty++
		c.EffectOfKeys()
	}
	c.Bool(ok)
	return nil
}

// MOVE key db
func cmdMove(c *Ctx) error {
	a := c.ArgsFrom(2)
	id := c.DBIndex(&a)
	if a.Err() != nil {
		return a.Err()
	}
	if id == c.DBID {
		return resp.ErrSameObject
	}
	k := &c.Keys[0]
	src, dst := k.Shard.DB(c.DBID), k.Shard.DB(id)
	_, ok := src.Get(k.Key, c.NowMs)
	if ok {
		_, there := dst.Get(k.Key, c.NowMs)
		ok = !there
	}
	if ok {
		src.MoveTo(k.Key, dst, k.Key)
		c.noteOwn(k, dst)
		src.Notify(k.Key.Bytes, shard.EventGeneric, "move_from")
		dst.Notify(k.Key.Bytes, shard.EventGeneric, "move_to")
		c.Dirty++
	}
	c.Bool(ok)
	return nil
}

// SWAPDB index1 index2
func cmdSwapDB(c *Ctx) error {
	var ids [2]int64
	a := c.ArgsFrom(1)
	for i, wrong := range []error{resp.ErrDBFirst, resp.ErrDBSecond} {
		if ids[i] = a.IntOr(wrong); ids[i] != int64(int32(ids[i])) {
			a.Fail(wrong)
		}
	}
	for _, id := range ids {
		if id < 0 || id >= int64(c.Set.Databases()) {
			a.Fail(resp.ErrDBIndex)
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	c.Set.AllChanged() // whoever tracks keys knows them by name alone
	for _, s := range c.Set.Shards {
		s.SwapDBs(int(ids[0]), int(ids[1]), c.NowMs)
	}
	c.Dirty++
	c.EffectOfAll(c.Args...)
	c.OK()
	return nil
}
