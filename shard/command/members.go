package command

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

func memberRows() []*Row {
	row := func(name string, arity int, flags Flags, keys KeyFlags, summary, complexity, args string,
		run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: arity, Flags: flags, Categories: CatSet, Keys: OneKey(keys), Group: "set",
			Since: "1.0.0", Summary: summary, Complexity: complexity, Args: args,
		}, Run: run}
	}
	rows := []*Row{
		row("sadd", -3, Write|DenyOOM|Fast, KeyRW|KeyInsert, "Add one or more members to a set",
			"O(1) for each element added, so O(N) to add N elements when the command is called with multiple "+
				"arguments.",
			"key member*", cmdSAdd),
		row("srem", -3, Write|Fast, KeyRW|KeyDelete, "Remove one or more members from a set",
			"O(N) where N is the number of members to be removed.", "key member*", cmdSRem),
		row("sismember", 3, ReadOnly|Fast, KeyRO, "Determine if a given value is a member of a set", "O(1)",
			"key member", cmdSIsMember),
		row("smismember", -3, ReadOnly|Fast, KeyRO|KeyAccess,
			"Returns the membership associated with the given elements for a set",
			"O(N) where N is the number of elements being checked for membership", "key member*", cmdSMIsMember),
		row("smembers", 2, ReadOnly, KeyRO|KeyAccess, "Get all the members in a set",
			"O(N) where N is the set cardinality.", "key", cmdSMembers),
		row("scard", 2, ReadOnly|Fast, KeyRO, "Get the number of members in a set", "O(1)", "key", cmdSCard),
		row("spop", -2, Write|Fast, KeyRW|KeyAccess|KeyDelete,
			"Remove and return one or multiple random members from a set",
			"Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
			"key count:integer?@3.2.0", cmdSPop),
		row("srandmember", -2, ReadOnly, KeyRO|KeyAccess, "Get one or multiple random members from a set",
			"Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
			"key count:integer?@2.6.0", cmdSRandMember),
		row("sscan", -3, ReadOnly, KeyRO|KeyAccess, "Incrementally iterate Set elements",
			"O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "+
				"return back to 0. N is the number of elements inside the collection..",
			"key cursor:integer pattern:pattern=MATCH? count:integer=COUNT?", cmdSScan),
		{Info: Info{
			Name: "smove", Arity: 4, Flags: Write | Fast, Categories: CatSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete},
				{First: 2, Step: 1, Flags: KeyRW | KeyInsert},
			},
			Group: "set", Since: "1.0.0", Summary: "Move a member from one set to another", Complexity: "O(1)",
			Args: "source:key#0 destination:key#1 member",
		}, Run: cmdSMove},
	}
	several := []Change{{"2.4.0", "Accepts multiple `member` arguments."}}
	for _, r := range rows {
		switch r.Name {
		case "sadd", "srem":
			r.History = several
		case "smismember":
			r.Since = "6.2.0"
		case "sscan":
			r.Since, r.Tips = "2.8.0", []string{"nondeterministic_output"}
		case "smembers":
			r.Tips = []string{"nondeterministic_output_order"}
		case "spop":
			r.History, r.Tips = []Change{{"3.2.0", "Added the `count` argument."}}, []string{"nondeterministic_output"}
		case "srandmember":
			r.History = []Change{{"2.6.0", "Added the optional `count` argument."}}
			r.Tips = []string{"nondeterministic_output"}
		}
	}
	return rows
}

// readSet looks a key up for a command that reads a set there.
func (c *Ctx) readSet(k *Keyed) (shard.MemberSet, error) {
	v, err := c.readValue(k, object.Set)
	return shard.MemberSet{Value: v}, err
}

// writeSet looks a key up for a command that changes a set there.
func (c *Ctx) writeSet(k *Keyed) (shard.MemberSet, error) {
	v, err := c.writeValue(k, object.Set)
	return shard.MemberSet{Value: v}, err
}

// checkMembers looks whether all of them can be stored.
func checkMembers(members [][]byte) error {
	for _, m := range members {
		if len(m) > object.MaxString {
			return resp.ErrStringTooLong
		}
	}
	return nil
}

// SADD key member [member ...]
func cmdSAdd(c *Ctx) error {
	v, err := c.writeSet(&c.Keys[0])
	if err == nil {
		err = checkMembers(c.Args[2:])
	}
	if err != nil {
		return err
	}
	n := v.Add(c.Args[2:], &c.Limits.Sets)
	c.Dirty += n
	c.Int(int64(n))
	return nil
}

// SREM key member [member ...]
func cmdSRem(c *Ctx) error {
	v, err := c.writeSet(&c.Keys[0])
	if err != nil {
		return err
	}
	n := v.Delete(c.Args[2:])
	c.Dirty += n
	c.Int(int64(n))
	return nil
}

// SISMEMBER key member
func cmdSIsMember(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Bool(v.Has(c.Args[2]))
	return nil
}

// SMISMEMBER key member [member ...]
func cmdSMIsMember(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Array(len(c.Args) - 2)
	for _, m := range c.Args[2:] {
		c.Bool(v.Has(m))
	}
	return nil
}

// SMEMBERS key
func cmdSMembers(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.SetOf(v.Len())
	v.Each(true, c.member)
	return nil
}

// member replies a member, unless the reply has become too long.
func (c *Ctx) member(m []byte) bool {
	if c.full() {
		return false
	}
	c.Bulk(m)
	return true
}

// hugeReply is the length in bytes of a reply that is too long whatever the session's limit.
const hugeReply = 1 << 32

// full tells whether the reply is longer than the session may get, and if so has the connection closed.
func (c *Ctx) full() bool {
	if n := len(c.Out); c.ReplyLimit > 0 && n > c.ReplyLimit || n > hugeReply {
		c.Overflow = true
	}
	return c.Overflow
}

// SCARD key
func cmdSCard(c *Ctx) error {
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Int(int64(v.Len()))
	return nil
}

// SMOVE source destination member
func cmdSMove(c *Ctx) error {
	from, to, m := &c.Keys[0], &c.Keys[1], c.Args[3:4]
	src, err := c.writeSet(from)
	if !src.Exists() {
		c.Bool(false)
		return nil
	}
	if err == nil {
		_, err = c.writeSet(to)
	}
	if err == nil {
		err = checkMembers(m)
	}
	if err != nil {
		return err
	}
	// What was found of the destination may have been an expired key, whose removal changed the shard.
	src = shard.MemberSet{Value: from.Shard.DB(c.DBID).LookValue(from.Key, c.NowMs)}
	if string(from.Key.Bytes) == string(to.Key.Bytes) {
		c.Bool(src.Has(m[0]))
		return nil
	}
	n := src.Delete(m)
	c.Bool(n > 0)
	if n == 0 {
		return nil
	}
	dst := shard.MemberSet{Value: to.Shard.DB(c.DBID).LookValue(to.Key, c.NowMs)}
	c.Dirty++
	if dst.AddOne(m[0], &c.Limits.Sets) {
		c.Dirty++
	}
	c.EffectOfKeys()
	return nil
}

// SPOP key [count]
func cmdSPop(c *Ctx) error {
	a := c.ArgsFrom(2)
	count := int64(-1)
	if a.Left() == 1 {
		if count = a.IntOr(resp.ErrNotPositive); count < 0 {
			a.Fail(resp.ErrNotPositive)
		}
	} else if a.Left() > 1 {
		a.Syntax()
	}
	if a.Err() != nil {
		return a.Err()
	}
	k := &c.Keys[0]
	v, err := c.writeSet(k)
	switch {
	case err != nil:
		return err
	case !v.Exists() && count < 0:
		c.Null()
	case !v.Exists() || count == 0:
		c.SetOf(0)
	case count < 0:
		m := v.Take(c.scratch[:0], rand.IntN(v.Len()))
		v.Taken(false, &c.Limits.Sets)
		c.Bulk(m)
		c.Dirty++
		c.Effect(k.Arg, wordSRem, k.Key.Bytes, m)
		if c.scratch = m[:0]; cap(m) > keptReply {
			c.scratch = nil
		}
	case count >= int64(v.Len()):
		n := v.Len()
		c.SetOf(n)
		v.Each(true, c.member)
		v.Remove()
		c.Dirty += n
		c.Effect(k.Arg, wordDel, k.Key.Bytes)
	default:
		c.popSome(&v, int(count))
	}
	return nil
}

var wordSRem = []byte("SREM")

// What SPOP takes is logged in pieces of as many members, or bytes.
const (
	popPiece      = 1024
	popPieceBytes = 64 << 10
)

// popSome takes fewer members than there are.
func (c *Ctx) popSome(v *shard.MemberSet, count int) {
	k, size, logs := &c.Keys[0], v.Len(), c.Logging()
	c.SetOf(count)
	c.Dirty += count
	c.NoEffect()
	var args [][]byte
	held := 0
	stage := func() {
		c.Effect(k.Arg, args...)
		args, held = args[:2], 0
	}
	if logs {
		args = append(args, wordSRem, k.Key.Bytes)
	}
	for i := range count {
		m := v.Take(c.scratch[:0], rand.IntN(size-i))
		c.member(m)
		if !logs {
			c.scratch = m
			continue
		}
		args, c.scratch = append(args, m), nil
		if held += len(m); len(args)-2 == popPiece || held >= popPieceBytes {
			stage()
		}
	}
	if len(args) > 2 {
		stage()
	}
	if cap(c.scratch) > keptReply {
		c.scratch = nil
	}
	v.Taken((size-count)*5 <= count, &c.Limits.Sets)
}

// SRANDMEMBER key [count]
func cmdSRandMember(c *Ctx) error {
	a := c.ArgsFrom(2)
	count, single := int64(0), a.Left() == 0
	if a.Left() == 1 {
		if count = a.Int(); count == math.MinInt64 {
			a.Fail(resp.ErrRandomCount)
		}
	} else if !single {
		a.Syntax()
	}
	if a.Err() != nil {
		return a.Err()
	}
	v, err := c.readSet(&c.Keys[0])
	switch {
	case err != nil:
		return err
	case single && !v.Exists():
		c.Null()
	case single:
		c.randomMember(&v)
	case !v.Exists():
		c.Array(0)
	case count < 0:
		if least := int64(len("$0\r\n\r\n")); -count > hugeReply/least ||
			c.ReplyLimit > 0 && -count > int64(c.ReplyLimit)/least {
			c.Overflow = true
			return nil
		}
		c.Array(int(-count))
		for ; count < 0 && !c.full(); count++ {
			c.randomMember(&v)
		}
	default:
		c.sampleMembers(&v, int(min(count, int64(v.Len()))))
	}
	return nil
}

func (c *Ctx) randomMember(v *shard.MemberSet) {
	c.Bulk(v.At(rand.IntN(v.Len()), c.buffer(0)))
}

// sampleMembers replies count different members, each choice of that many with the same probability.
func (c *Ctx) sampleMembers(v *shard.MemberSet, count int) {
	size := v.Len()
	c.Array(count)
	if count*3 < size && size > object.MaxPackedItems {
		// Floyd's way: as many draws as members.
		drawn := make(map[int]struct{}, count)
		for i := size - count; i < size && !c.full(); i++ {
			rank := rand.IntN(i + 1)
			if _, ok := drawn[rank]; ok {
				rank = i
			}
			drawn[rank] = struct{}{}
			c.Bulk(v.At(rank, c.buffer(0)))
		}
		return
	}
	left, missing := size, count
	v.Each(true, func(m []byte) bool {
		if rand.IntN(left) < missing {
			missing--
			c.Bulk(m)
		}
		left--
		return missing > 0 && !c.full()
	})
}

// SSCAN key cursor [MATCH pattern] [COUNT count]
func cmdSScan(c *Ctx) error {
	cursor, ok := parseCursor(c.Args[2])
	if !ok {
		return resp.ErrInvalidCursor
	}
	v, err := c.readSet(&c.Keys[0])
	if err != nil {
		return err
	}
	o := scanJob{count: scanCount}
	at, found, next := len(c.Out), 0, uint64(0)
	if v.Exists() { // options are not looked at otherwise
		if err := o.parse(c.ArgsFrom(3), false); err != nil {
			return err
		}
		next = v.Scan(cursor, o.count, func(m []byte) {
			if !c.full() && o.pattern.match(m) {
				c.Bulk(m)
				found++
			}
		})
	}
	var text [20]byte
	head := resp.AppendArray(c.scratch[:0], 2)
	head = resp.AppendBulk(head, strconv.AppendUint(text[:0], next, 10))
	c.scratch = resp.AppendArray(head, found)
	c.Out = slices.Insert(c.Out, at, c.scratch...)
	return nil
}
