package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

func listRows() []*Row {
	push := func(name, since, more, summary string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -3, Flags: Write | DenyOOM | Fast, Categories: CatList, Keys: OneKey(KeyRW | KeyInsert),
			Group: "list", Since: since, Summary: summary,
			Complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with " +
				"multiple arguments.",
			History: []Change{{more, "Accepts multiple `element` arguments."}}, Args: "key element*",
		}, Run: run}
	}
	pop := func(name, summary string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -2, Flags: Write | Fast, Categories: CatList,
			Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Group: "list", Since: "1.0.0", Summary: summary,
			Complexity: "O(N) where N is the number of elements returned",
			History:    []Change{{"6.2.0", "Added the `count` argument."}}, Args: "key count:integer?@6.2.0",
		}, Run: run}
	}
	return []*Row{
		push("lpush", "1.0.0", "2.4.0", "Prepend one or multiple elements to a list", cmdLPush),
		push("rpush", "1.0.0", "2.4.0", "Append one or multiple elements to a list", cmdRPush),
		push("lpushx", "2.2.0", "4.0.0", "Prepend an element to a list, only if the list exists", cmdLPushX),
		push("rpushx", "2.2.0", "4.0.0", "Append an element to a list, only if the list exists", cmdRPushX),
		pop("lpop", "Remove and get the first elements in a list", cmdLPop),
		pop("rpop", "Remove and get the last elements in a list", cmdRPop),
		{Info: Info{
			Name: "llen", Arity: 2, Flags: ReadOnly | Fast, Categories: CatList, Keys: OneKey(KeyRO),
			Group: "list", Since: "1.0.0", Summary: "Get the length of a list", Complexity: "O(1)", Args: "key",
		}, Run: cmdLLen},
		{Info: Info{
			Name: "lrange", Arity: 4, Flags: ReadOnly, Categories: CatList, Keys: OneKey(KeyRO | KeyAccess),
			Group: "list", Since: "1.0.0", Summary: "Get a range of elements from a list",
			Complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end " +
				"(HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
			Args: "key start:integer stop:integer",
		}, Run: cmdLRange},
	}
}

// readList looks a key up for a command that reads the list there, if there is one.
func (c *Ctx) readList(k *Keyed) (l shard.List, err error) {
	l.Fill = c.Limits.ListFill
	err = c.readValue(&l.Value, k, object.List)
	return l, err
}

// writeList looks a key up for a command that changes the list there or makes one.
func (c *Ctx) writeList(k *Keyed) (l shard.List, err error) {
	l.Fill = c.Limits.ListFill
	err = c.writeValue(&l.Value, k, object.List)
	return l, err
}

// LPUSH key element [element ...]
func cmdLPush(c *Ctx) error { return c.pushList(true, false) }

// RPUSH key element [element ...]
func cmdRPush(c *Ctx) error { return c.pushList(false, false) }

// LPUSHX key element [element ...]
func cmdLPushX(c *Ctx) error { return c.pushList(true, true) }

// RPUSHX key element [element ...]
func cmdRPushX(c *Ctx) error { return c.pushList(false, true) }

func (c *Ctx) pushList(front, mustExist bool) error {
	for _, b := range c.Args[2:] {
		if len(b) > object.MaxString { // only where proto-max-bulk-len was raised
			return resp.ErrStringTooLong
		}
	}
	l, err := c.writeList(&c.Keys[0])
	if err != nil {
		return err
	}
	if mustExist && !l.Exists() {
		c.Int(0)
		return nil
	}
	l.Push(front, c.Args[2:]...)
	c.Notify(&c.Keys[0], shard.EventList, pushEvent(front))
	c.Dirty += len(c.Args) - 2
	c.Int(int64(l.Len()))
	return nil
}

// LPOP key [count]
func cmdLPop(c *Ctx) error { return c.popArgs(true) }

// RPOP key [count]
func cmdRPop(c *Ctx) error { return c.popArgs(false) }

func (c *Ctx) popArgs(front bool) error {
	if len(c.Args) > 3 {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	count, counted := int64(1), len(c.Args) == 3
	if counted {
		a := c.ArgsFrom(2)
		count = a.Int()
		if err := a.Err(); err != nil || count < 0 {
			return resp.ErrNotPositive
		}
	}
	l, err := c.writeList(&c.Keys[0])
	switch {
	case err != nil:
		return err
	case !l.Exists() && counted:
		c.NullArray()
	case !l.Exists():
		c.Null()
	case counted:
		c.popItems(&c.Keys[0], &l, front, count)
	default:
		c.popItem(&l, front)
	}
	return nil
}

// popItem replies the item at an end of a list that is there, and removes it.
func (c *Ctx) popItem(l *shard.List, front bool) {
	rank := 0
	if !front {
		rank = l.Len() - 1
	}
	it := l.Item(rank)
	c.replyItem(&it)
	l.Delete(rank, 1)
	c.notifyChange(&c.Keys[0], &l.Value, shard.EventList, popEvent(front))
	c.Dirty++
}

// pushEvent names the event of pushing to an end of a list, and popEvent that of popping from it.
func pushEvent(front bool) string {
	if front {
		return "lpush"
	}
	return "rpush"
}

// popEvent see pushEvent.
func popEvent(front bool) string {
	if front {
		return "lpop"
	}
	return "rpop"
}

// popItems replies up to count items from an end of the list of k, which is there, as an array, and removes them. Items
// that are too many for the reply are removed all the same.
func (c *Ctx) popItems(k *Keyed, l *shard.List, front bool, count int64) {
	n := int(min(count, int64(l.Len())))
	if c.Array(n); n == 0 {
		return
	}
	from := 0
	if front {
		c.replyItems(l, 0, n)
	} else {
		from = l.Len() - n
		l.Each(l.Len()-1, true, func(it *shard.ListItem) bool {
			if it.Rank >= from {
				c.replyItem(it)
			}
			return it.Rank > from && !c.full()
		})
	}
	l.Delete(from, n)
	c.notifyChange(k, &l.Value, shard.EventList, popEvent(front))
	c.Dirty += n
}

// replyItems replies n items from rank `from` on, behind the head of an array.
func (c *Ctx) replyItems(l *shard.List, from, n int) {
	for n > 0 && c.room(0) {
		k := 0
		c.Out, k = l.AppendBulks(c.Out, from, n, pieceBytes)
		from, n = from+k, n-k
	}
}

// replyItem replies one item.
func (c *Ctx) replyItem(it *shard.ListItem) {
	if c.room(it.Len()) {
		c.Out = it.AppendBulk(c.Out)
	}
}

// LLEN key
func cmdLLen(c *Ctx) error {
	l, err := c.readList(&c.Keys[0])
	if err == nil {
		c.Int(int64(l.Len()))
	}
	return err
}

// LRANGE key start stop
func cmdLRange(c *Ctx) error {
	a := c.ArgsFrom(2)
	start, stop := a.Int(), a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	l, err := c.readList(&c.Keys[0])
	if err != nil {
		return err
	}
	from, to := clip(start, stop, l.Len())
	c.Array(to - from)
	c.replyItems(&l, from, to-from)
	return nil
}

// clip makes ranks of the first and the last index of a range, which may count from the end, in a sequence of n items:
// from `from` up to, not including, `to`; 0 and 0 if there are none.
func clip(start, stop int64, n int) (from, to int) {
	length := int64(n)
	if start < 0 {
		start = max(start+length, 0)
	}
	if stop < 0 {
		stop += length
	}
	if stop = min(stop, length-1); start > stop {
		return 0, 0
	}
	return int(start), int(stop) + 1
}
