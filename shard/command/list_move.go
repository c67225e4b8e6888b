package command

import (
	"bytes"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// Words of effects of lists.
var (
	wordLPop  = []byte("LPOP")
	wordRPop  = []byte("RPOP")
	wordRPush = []byte("RPUSH")
)

func listMoveRows() []*Row {
	keys := []KeySpec{
		{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete}, {First: 2, Step: 1, Flags: KeyRW | KeyInsert},
	}
	return []*Row{
		{Info: Info{
			Name: "lmove", Arity: 5, Flags: Write | DenyOOM, Categories: CatList, Keys: keys,
			Group: "list", Since: "6.2.0",
			Summary: "Pop an element from a list, push it to another list and return it", Complexity: "O(1)",
			Args: "source:key#0 destination:key#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)",
		}, Run: cmdLMove},
		{Info: Info{
			Name: "rpoplpush", Arity: 3, Flags: Write | DenyOOM, Categories: CatList, Keys: keys,
			Group: "list", Since: "1.2.0",
			Summary:         "Remove the last element in a list, prepend it to another list and return it",
			Complexity:      "O(1)",
			DeprecatedSince: "6.2.0", ReplacedBy: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
			Args: "source:key#0 destination:key#1",
		}, Run: cmdRPopLPush},
		{Info: Info{
			Name: "lmpop", Arity: -4, Flags: Write | MovableKeys, Categories: CatList,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRW | KeyAccess | KeyDelete}},
			Group: "list", Since: "7.0.0", Summary: "Pop elements from a list",
			Complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
			Args:       "numkeys:integer key* where(LEFT|RIGHT) count:integer=COUNT?",
		}, Run: cmdLMPop},
	}
}

// end consumes LEFT or RIGHT.
func (a *Args) end() (left bool) {
	left = a.Option("left")
	if !left && !a.Option("right") {
		a.Syntax()
	}
	return left
}

// LMOVE source destination LEFT | RIGHT LEFT | RIGHT
func cmdLMove(c *Ctx) error {
	a := c.ArgsFrom(3)
	fromLeft, toLeft := a.end(), a.end()
	if a.Err() != nil {
		return a.Err()
	}
	return c.moveItem(fromLeft, toLeft)
}

// RPOPLPUSH source destination
func cmdRPopLPush(c *Ctx) error { return c.moveItem(false, true) }

// shortItem is the length up to which an item on its way from list to list lies in the scratch buffer.
const shortItem = 64 << 10

// moveItem moves an item from an end of the list of the first key to an end of that of the second, and replies it.
func (c *Ctx) moveItem(fromLeft, toLeft bool) error {
	from, to := &c.Keys[0], &c.Keys[1]
	src, err := c.writeList(from)
	if err != nil {
		return err
	}
	if !src.Exists() {
		c.Null()
		return nil
	}
	same := bytes.Equal(from.Key.Bytes, to.Key.Bytes)
	if !same {
		if _, err := c.writeList(to); err != nil {
			return err
		}
	}
	rank := 0
	if !fromLeft {
		rank = src.Len() - 1
	}
	it := src.Item(rank)
	var b []byte
	if it.Len() > shortItem {
		b = it.Append(nil)
	} else {
		c.scratch = it.Append(c.scratch[:0])
		b = c.scratch
	}
	if same {
		src.Rotate(fromLeft, toLeft, b)
		c.Notify(to, shard.EventList, pushEvent(toLeft))
	} else {
		dst, err := c.writeList(to)
		if err != nil {
			return err
		}
		dst.Push(toLeft, b)
		c.Notify(to, shard.EventList, pushEvent(toLeft))
		if src, err = c.writeList(from); err != nil { // where it is now
			return err
		}
		src.Delete(rank, 1)
	}
	c.notifyChange(from, &src.Value, shard.EventList, popEvent(fromLeft))
	c.Bulk(b)
	c.Dirty++
	if from.Shard != to.Shard {
		c.EffectOfKeys()
	}
	return nil
}

// LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]
func cmdLMPop(c *Ctx) error {
	a := c.ArgsFrom(1)
	numkeys := a.IntOr(resp.ErrNumkeys)
	if numkeys < 1 {
		a.Fail(resp.ErrNumkeys)
	}
	if a.Err() == nil && numkeys >= int64(a.Left()) {
		a.Syntax()
	}
	if a.Err() != nil {
		return a.Err()
	}
	a = c.ArgsFrom(2 + int(numkeys))
	left, count, counted := a.end(), int64(1), false
	for a.More() {
		if counted || a.Left() == 1 || !a.Option("count") {
			a.Syntax()
			break
		}
		if count, counted = a.IntOr(resp.ErrCountZero), true; count < 1 {
			a.Fail(resp.ErrCountZero)
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		l, err := c.writeList(k)
		if err != nil {
			return err
		}
		if !l.Exists() {
			continue
		}
		n := min(count, int64(l.Len()))
		c.Array(2)
		c.Bulk(k.Key.Bytes)
		c.popItems(k, &l, left, n)
		word := wordRPop
		if left {
			word = wordLPop
		}
		c.Effect(k.Arg, word, k.Key.Bytes, c.number(n))
		return nil
	}
	c.NullArray()
	return nil
}
