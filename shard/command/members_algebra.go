package command

import (
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// Commands over several sets. Nothing is gathered but what is stored or replied: whether a member belongs to the result
// is asked of the sets one by one.

func algebraRows() []*Row {
	const (
		inter = "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets."
		sum   = "O(N) where N is the total number of elements in all given sets."
	)
	read := func(name, summary, complexity string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -2, Flags: ReadOnly, Categories: CatSet, Keys: AllKeys(1, KeyRO|KeyAccess), Group: "set",
			Since: "1.0.0", Summary: summary, Complexity: complexity,
			Tips: []string{"nondeterministic_output_order"}, Args: "key*",
		}, Run: run}
	}
	store := func(name string, flags KeyFlags, summary, complexity string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -3, Flags: Write | DenyOOM, Categories: CatSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: flags | KeyUpdate}, {First: 2, Last: -1, Step: 1, Flags: KeyRO | KeyAccess},
			},
			Group: "set", Since: "1.0.0", Summary: summary, Complexity: complexity,
			Args: "destination:key#0 key:key#1*",
		}, Run: run}
	}
	return []*Row{
		read("sinter", "Intersect multiple sets", inter, cmdSInter),
		store("sinterstore", KeyRW, "Intersect multiple sets and store the resulting set in a key", inter,
			cmdSInterStore),
		{Info: Info{
			Name: "sintercard", Arity: -3, Flags: ReadOnly | MovableKeys, Categories: CatSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRO | KeyAccess}},
			Group: "set", Since: "7.0.0", Summary: "Intersect multiple sets and return the cardinality of the result",
			Complexity: inter, Args: "numkeys:integer key* limit:integer=LIMIT?",
		}, Run: cmdSInterCard},
		read("sunion", "Add multiple sets", sum, cmdSUnion),
		store("sunionstore", KeyOW, "Add multiple sets and store the resulting set in a key", sum, cmdSUnionStore),
		read("sdiff", "Subtract multiple sets", sum, cmdSDiff),
		store("sdiffstore", KeyOW, "Subtract multiple sets and store the resulting set in a key", sum, cmdSDiffStore),
	}
}

// readSets looks keys up for a command that reads the sets there.
func (c *Ctx) readSets(keys []Keyed) ([]shard.MemberSet, error) {
	for i := range keys {
		if _, err := c.readSet(&keys[i]); err != nil {
			return nil, err
		}
	}
	// Only now, when those that had expired are gone, do values stay good.
	sets := make([]shard.MemberSet, len(keys))
	for i := range keys {
		k := &keys[i]
		sets[i] = shard.MemberSet{Value: k.Shard.DB(c.DBID).LookValue(k.Key, c.NowMs)}
	}
	return sets, nil
}

// same tells whether two sets are one.
func same(a, b *shard.MemberSet) bool { return string(a.Key().Bytes) == string(b.Key().Bytes) }

// intersect calls fn for the members of all sets until it returns false, and returns the set that it went through.
func intersect(sets []shard.MemberSet, sorted bool, fn func(m []byte) bool) *shard.MemberSet {
	slices.SortStableFunc(sets, func(a, b shard.MemberSet) int { return a.Len() - b.Len() })
	first := &sets[0]
	first.Each(sorted, func(m []byte) bool {
		for i := range sets[1:] {
			if s := &sets[1+i]; !same(s, first) && !s.Has(m) {
				return true
			}
		}
		return fn(m)
	})
	return first
}

// unite calls fn for the members of any set. With once it is called once for each of them.
func unite(sets []shard.MemberSet, once bool, fn func(m []byte) bool) {
	for i := range sets {
		more := true
		sets[i].Each(once, func(m []byte) bool {
			if !once || !inAny(sets[:i], m) {
				more = fn(m)
			}
			return more
		})
		if !more {
			return
		}
	}
}

func inAny(sets []shard.MemberSet, m []byte) bool {
	for i := range sets {
		if sets[i].Has(m) {
			return true
		}
	}
	return false
}

// subtract calls fn for the members of the first set that are in no other.
func subtract(sets []shard.MemberSet, sorted bool, fn func(m []byte) bool) {
	for i := range sets[1:] {
		if same(&sets[1+i], &sets[0]) {
			return
		}
	}
	sets[0].Each(sorted, func(m []byte) bool { return inAny(sets[1:], m) || fn(m) })
}

// replyMembers replies a set whose members each calls fn for; their number is known behind them.
func (c *Ctx) replyMembers(each func(fn func(m []byte) bool)) {
	at, n := c.Mark(), 0
	each(func(m []byte) bool {
		n++
		return c.member(m)
	})
	c.scratch = resp.AppendSet(c.scratch[:0], c.Proto, n)
	c.replace(at, 0, c.scratch)
}

// SINTER key [key ...]
func cmdSInter(c *Ctx) error {
	sets, err := c.readSets(c.Keys)
	if err != nil {
		return err
	}
	c.replyMembers(func(fn func(m []byte) bool) { intersect(sets, true, fn) })
	return nil
}

// SINTERCARD numkeys key [key ...] [LIMIT limit]
func cmdSInterCard(c *Ctx) error {
	a := c.ArgsFrom(1)
	numkeys := a.IntOr(resp.ErrNumkeys)
	if a.Err() == nil && numkeys < 1 {
		a.Fail(resp.ErrNumkeys)
	}
	if numkeys > int64(a.Left()) {
		a.Fail(resp.ErrTooManyKeys)
	}
	if a.Err() != nil {
		return a.Err()
	}
	limit := int64(0)
	for a = c.ArgsFrom(2 + int(numkeys)); a.More(); {
		if a.Left() == 1 || !a.Option("limit") {
			a.Syntax()
			break
		}
		if limit = a.IntOr(resp.ErrNegativeLimit); limit < 0 {
			a.Fail(resp.ErrNegativeLimit)
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	sets, err := c.readSets(c.Keys)
	if err != nil {
		return err
	}
	n := int64(0)
	intersect(sets, false, func([]byte) bool {
		n++
		return n != limit
	})
	c.Int(n)
	return nil
}

// SUNION key [key ...]
func cmdSUnion(c *Ctx) error {
	sets, err := c.readSets(c.Keys)
	if err != nil {
		return err
	}
	intsets := slices.ContainsFunc(sets, func(s shard.MemberSet) bool { return s.Exists() })
	for i := range sets {
		intsets = intsets && (!sets[i].Exists() || sets[i].Intset())
	}
	if !intsets {
		c.replyMembers(func(fn func(m []byte) bool) { unite(sets, true, fn) })
		return nil
	}
	var all []int64
	unite(sets, false, func(m []byte) bool {
		n, _ := resp.ParseInt(m)
		all = append(all, n)
		return true
	})
	slices.Sort(all)
	all = slices.Compact(all)
	c.SetOf(len(all))
	for _, n := range all {
		if c.full() || !c.room(0) {
			break
		}
		c.Out = resp.AppendBulkInt(c.Out, n)
	}
	return nil
}

// SDIFF key [key ...]
func cmdSDiff(c *Ctx) error {
	sets, err := c.readSets(c.Keys)
	if err != nil {
		return err
	}
	c.replyMembers(func(fn func(m []byte) bool) { subtract(sets, true, fn) })
	return nil
}

// storeSets begins a command that stores what it makes of the sets of all keys but the first, and ends it.
func (c *Ctx) storeSets(make func(sets []shard.MemberSet, b *shard.SetBuilder, lim *shard.SetLimits)) error {
	sets, err := c.readSets(c.Keys[1:])
	if err != nil {
		return err
	}
	to := &c.Keys[0]
	db := to.Shard.DB(c.DBID)
	b := db.BuildSet(to.Key)
	make(sets, &b, &c.Limits.Sets)
	n := b.Len()
	if n > 0 {
		b.Put()
		c.Notify(to, shard.EventSet, c.Row.Name)
		c.Dirty++
		c.EffectOfKeys()
	} else if _, ok := db.Look(to.Key, c.NowMs); ok {
		c.remove(to)
	}
	c.Int(int64(n))
	return nil
}

// SINTERSTORE destination key [key ...]
func cmdSInterStore(c *Ctx) error {
	return c.storeSets(func(sets []shard.MemberSet, b *shard.SetBuilder, lim *shard.SetLimits) {
		integers, longest := true, 0
		first := intersect(sets, false, func(m []byte) bool {
			if _, isInt := resp.ParseInt(m); !isInt {
				integers = false
			}
			longest = max(longest, len(m))
			b.Add(m)
			return true
		})
		b.Name(first.Intset(), integers, longest, lim)
	})
}

// SUNIONSTORE destination key [key ...]
func cmdSUnionStore(c *Ctx) error {
	return c.storeSets(func(sets []shard.MemberSet, b *shard.SetBuilder, lim *shard.SetLimits) {
		unite(sets, false, func(m []byte) bool {
			if b.Add(m) {
				b.Converted(m, lim)
			}
			return true
		})
	})
}

// SDIFFSTORE destination key [key ...]
func cmdSDiffStore(c *Ctx) error {
	return c.storeSets(func(sets []shard.MemberSet, b *shard.SetBuilder, lim *shard.SetLimits) {
		byRemoval := removes(sets)
		if byRemoval {
			sets[0].Each(false, func(m []byte) bool {
				b.Converted(m, lim)
				return true
			})
		}
		subtract(sets, false, func(m []byte) bool {
			b.Add(m)
			if !byRemoval {
				b.Converted(m, lim)
			}
			return true
		})
	})
}

// removes tells whether Redis makes a difference by copying the first set and removing the members of the others, after
// which the result is called what the copy was.
func removes(sets []shard.MemberSet) bool {
	checks, steps := 0, 0
	for i := range sets {
		if sets[i].Exists() {
			checks += sets[0].Len()
			steps += sets[i].Len()
		}
	}
	return checks/2 > steps
}
