package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

func listEditRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "lindex", Arity: 3, Flags: ReadOnly, Categories: CatList, Keys: OneKey(KeyRO | KeyAccess),
			Group: "list", Since: "1.0.0", Summary: "Get an element from a list by its index",
			Complexity: "O(N) where N is the number of elements to traverse to get to the element at index. " +
				"This makes asking for the first or the last element of the list O(1).",
			Args: "key index:integer",
		}, Run: cmdLIndex},
		{Info: Info{
			Name: "lset", Arity: 4, Flags: Write | DenyOOM, Categories: CatList, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "list", Since: "1.0.0", Summary: "Set the value of an element in a list by its index",
			Complexity: "O(N) where N is the length of the list. Setting either the first or the last element of the " +
				"list is O(1).",
			Args: "key index:integer element",
		}, Run: cmdLSet},
		{Info: Info{
			Name: "linsert", Arity: 5, Flags: Write | DenyOOM, Categories: CatList, Keys: OneKey(KeyRW | KeyInsert),
			Group: "list", Since: "2.2.0", Summary: "Insert an element before or after another element in a list",
			Complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot. " +
				"This means that inserting somewhere on the left end on the list (head) can be considered O(1) and " +
				"inserting somewhere on the right end (tail) is O(N).",
			Args: "key where(BEFORE|AFTER) pivot element",
		}, Run: cmdLInsert},
		{Info: Info{
			Name: "ltrim", Arity: 4, Flags: Write, Categories: CatList, Keys: OneKey(KeyRW | KeyDelete),
			Group: "list", Since: "1.0.0", Summary: "Trim a list to the specified range",
			Complexity: "O(N) where N is the number of elements to be removed by the operation.",
			Args:       "key start:integer stop:integer",
		}, Run: cmdLTrim},
		{Info: Info{
			Name: "lrem", Arity: 4, Flags: Write, Categories: CatList, Keys: OneKey(KeyRW | KeyDelete),
			Group: "list", Since: "1.0.0", Summary: "Remove elements from a list",
			Complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
			Args:       "key count:integer element",
		}, Run: cmdLRem},
		{Info: Info{
			Name: "lpos", Arity: -3, Flags: ReadOnly, Categories: CatList, Keys: OneKey(KeyRO | KeyAccess),
			Group: "list", Since: "6.0.6", Summary: "Return the index of matching elements on a list",
			Complexity: "O(N) where N is the number of elements in the list, for the average case. When searching " +
				"for elements near the head or the tail of the list, or when the MAXLEN option is provided, the " +
				"command may run in constant time.",
			Args: "key element rank:integer=RANK? num-matches:integer=COUNT? len:integer=MAXLEN?",
		}, Run: cmdLPos},
	}
}

// rankOf makes a rank of an index that may count from the end, in a sequence of n items; false if there is none.
func rankOf(index int64, n int) (rank int, ok bool) {
	if index < 0 {
		index += int64(n)
	}
	return int(index), index >= 0 && index < int64(n)
}

// LINDEX key index
func cmdLIndex(c *Ctx) error {
	l, err := c.readList(&c.Keys[0])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Null()
		return nil
	}
	a := c.ArgsFrom(2)
	index := a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	if rank, ok := rankOf(index, l.Len()); ok {
		it := l.Item(rank)
		c.replyItem(&it)
	} else {
		c.Null()
	}
	return nil
}

// LSET key index element
func cmdLSet(c *Ctx) error {
	if len(c.Args[3]) > object.MaxString {
		return resp.ErrStringTooLong
	}
	l, err := c.writeList(&c.Keys[0])
	if err != nil {
		return err
	}
	if !l.Exists() {
		return resp.ErrNoSuchKey
	}
	a := c.ArgsFrom(2)
	index := a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	rank, ok := rankOf(index, l.Len())
	if !ok {
		l.Grow(c.Args[3])
		return resp.ErrIndexOutOfRange
	}
	l.Set(rank, c.Args[3])
	c.Notify(&c.Keys[0], shard.EventList, "lset")
	c.Dirty++
	c.OK()
	return nil
}

// LINSERT key BEFORE | AFTER pivot element
func cmdLInsert(c *Ctx) error {
	a := c.ArgsFrom(2)
	after := a.Option("after")
	if !after && !a.Option("before") {
		return resp.ErrSyntax
	}
	pivot, b := c.Args[3], c.Args[4]
	if len(b) > object.MaxString {
		return resp.ErrStringTooLong
	}
	l, err := c.writeList(&c.Keys[0])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Int(0)
		return nil
	}
	l.Grow(b)
	rank := -1
	l.Each(0, false, func(it *shard.ListItem) bool {
		if it.Equal(pivot) {
			rank = it.Rank
		}
		return rank < 0
	})
	if rank < 0 {
		c.Int(-1)
		return nil
	}
	if after {
		rank++
	}
	l.Insert(rank, b)
	c.Notify(&c.Keys[0], shard.EventList, "linsert")
	c.Dirty++
	c.Int(int64(l.Len()))
	return nil
}

// LTRIM key start stop
func cmdLTrim(c *Ctx) error {
	a := c.ArgsFrom(2)
	start, stop := a.Int(), a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	l, err := c.writeList(&c.Keys[0])
	if err != nil {
		return err
	}
	if l.Exists() {
		n := l.Len()
		from, to := clip(start, stop, n)
		l.Trim(from, to)
		c.notifyChange(&c.Keys[0], &l.Value, shard.EventList, "ltrim")
		c.Dirty += n - (to - from)
	}
	c.OK()
	return nil
}

// LREM key count element
func cmdLRem(c *Ctx) error {
	a := c.ArgsFrom(2)
	count := a.Int()
	if a.Err() != nil {
		return a.Err()
	}
	l, err := c.writeList(&c.Keys[0])
	if err != nil {
		return err
	}
	removed := 0
	if l.Exists() {
		back, most := count < 0, int(max(count, -count))
		if most <= 0 { // 0, or the least of all integers, whose negative is no integer
			most = math.MaxInt
		}
		if removed = l.RemoveEqual(c.Args[3], back, most); removed > 0 {
			c.notifyChange(&c.Keys[0], &l.Value, shard.EventList, "lrem")
		}
		c.Dirty += removed
	}
	c.Int(int64(removed))
	return nil
}

// LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]
func cmdLPos(c *Ctx) error {
	rank, count, maxlen, err := c.parseLPos()
	if err != nil {
		return err
	}
	l, err := c.readList(&c.Keys[0])
	if err != nil {
		return err
	}
	back := rank < 0
	skip, most := max(rank, -rank)-1, max(count, 1)
	if count == 0 {
		most = math.MaxInt64
	}
	if maxlen == 0 {
		maxlen = math.MaxInt64
	}
	found := c.scratch[:0]
	matches, n := 0, int64(0)
	if l.Exists() {
		from := 0
		if back {
			from = l.Len() - 1
		}
		l.Each(from, back, func(it *shard.ListItem) bool {
			n++
			if it.Equal(c.Args[2]) {
				if skip--; skip < 0 {
					found = resp.AppendInt(found, int64(it.Rank))
					matches++
					most--
				}
			}
			return most > 0 && n < maxlen
		})
	}
	c.scratch = found
	switch {
	case count >= 0:
		c.Array(matches)
	case matches == 0:
		c.Null()
	}
	c.Out = append(c.Out, found...)
	return nil
}

// parseLPos reads the options of LPOS; count is -1 if it is not given.
func (c *Ctx) parseLPos() (rank, count, maxlen int64, err error) {
	rank, count = 1, -1
	a := c.ArgsFrom(3)
	for a.More() {
		switch {
		case a.Left() == 1:
			a.Syntax()
		case a.Option("rank"):
			if rank = a.Int(); rank == 0 {
				a.Fail(resp.ErrLposRank)
			}
		case a.Option("count"):
			if count = a.IntOr(resp.ErrNegativeCount); count < 0 {
				a.Fail(resp.ErrNegativeCount)
			}
		case a.Option("maxlen"):
			if maxlen = a.IntOr(resp.ErrMaxlenNegative); maxlen < 0 {
				a.Fail(resp.ErrMaxlenNegative)
			}
		default:
			a.Syntax()
		}
	}
	return rank, count, maxlen, a.Err()
}
