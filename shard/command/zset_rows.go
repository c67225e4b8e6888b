package command

// zsetRows are the commands of sorted sets.
func zsetRows() []*Row {
	var all []*Row
	for _, rows := range [][]*Row{
		zmemberRows(), zpopRows(), zrangeRows(), zcountRows(), zcombineRows(),
	} {
		all = append(all, rows...)
	}
	return all
}

func zmemberRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "zadd", Arity: -4, Flags: Write | DenyOOM | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyUpdate),
			Group: "sorted-set", Since: "1.2.0",
			Summary:    "Add one or more members to a sorted set, or update its score if it already exists",
			Complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
			History: []Change{
				{"2.4.0", "Accepts multiple elements."},
				{"3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."},
				{"6.2.0", "Added the `GT` and `LT` options."},
			},
			Args: "key condition?@3.0.2(NX|XX) comparison?@6.2.0(GT|LT) change:pure-token=CH?@3.0.2 " +
				"increment:pure-token=INCR?@3.0.2 score_member*(score:double member)",
		}, Member: 3, Run: cmdZAdd},
		{Info: Info{
			Name: "zincrby", Arity: 4, Flags: Write | DenyOOM | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "sorted-set", Since: "1.2.0",
			Summary:    "Increment the score of a member in a sorted set",
			Complexity: "O(log(N)) where N is the number of elements in the sorted set.",
			Args:       "key increment:integer member",
		}, Member: 3, Run: cmdZIncrBy},
		{Info: Info{
			Name: "zrem", Arity: -3, Flags: Write | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "sorted-set", Since: "1.2.0",
			Summary: "Remove one or more members from a sorted set",
			Complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of " +
				"elements to be removed.",
			History: []Change{{"2.4.0", "Accepts multiple elements."}},
			Args:    "key member*",
		}, Member: 2, Run: cmdZRem},
		{Info: Info{
			Name: "zcard", Arity: 2, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO),
			Group: "sorted-set", Since: "1.2.0",
			Summary:    "Get the number of members in a sorted set",
			Complexity: "O(1)",
			Args:       "key",
		}, Run: cmdZCard},
		{Info: Info{
			Name: "zscore", Arity: 3, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "1.2.0",
			Summary:    "Get the score associated with the given member in a sorted set",
			Complexity: "O(1)",
			Args:       "key member",
		}, Member: 2, Run: cmdZScore},
		{Info: Info{
			Name: "zmscore", Arity: -3, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "6.2.0",
			Summary:    "Get the score associated with the given members in a sorted set",
			Complexity: "O(N) where N is the number of members being requested.",
			Args:       "key member*",
		}, Run: cmdZMScore},
		{Info: Info{
			Name: "zrank", Arity: -3, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.0.0",
			Summary:    "Determine the index of a member in a sorted set",
			Complexity: "O(log(N))",
			Args:       "key member WITHSCORE?@7.2.0",
		}, Member: 2, Run: cmdZRank},
		{Info: Info{
			Name: "zrevrank", Arity: -3, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.0.0",
			Summary:    "Determine the index of a member in a sorted set, with scores ordered from high to low",
			Complexity: "O(log(N))",
			Args:       "key member WITHSCORE?@7.2.0",
		}, Member: 2, Run: cmdZRevRank},
	}
}

func zpopRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "zpopmin", Arity: -2, Flags: Write | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyAccess | KeyDelete),
			Group: "sorted-set", Since: "5.0.0",
			Summary: "Remove and return members with the lowest scores in a sorted set",
			Complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the " +
				"number of elements popped.",
			Args: "key count:integer?",
		}, Run: cmdZPopMin},
		{Info: Info{
			Name: "zpopmax", Arity: -2, Flags: Write | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyAccess | KeyDelete),
			Group: "sorted-set", Since: "5.0.0",
			Summary: "Remove and return members with the highest scores in a sorted set",
			Complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the " +
				"number of elements popped.",
			Args: "key count:integer?",
		}, Run: cmdZPopMax},
		{Info: Info{
			Name: "zmpop", Arity: -4, Flags: Write | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRW | KeyAccess | KeyDelete}},
			Group: "sorted-set", Since: "7.0.0",
			Summary: "Remove and return members with scores in a sorted set",
			Complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of " +
				"elements in the sorted set, and M being the number of elements popped.",
			Args: "numkeys:integer key* where(MIN|MAX) count:integer=COUNT?",
		}, Run: cmdZMPop},
		{Info: Info{
			Name: "zrandmember", Arity: -2, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "6.2.0",
			Summary:    "Get one or multiple random elements from a sorted set",
			Complexity: "O(N) where N is the number of elements returned",
			Tips:       []string{"nondeterministic_output"},
			Args:       "key options?(count:integer WITHSCORES?)",
		}, Run: cmdZRandMember},
		{Info: Info{
			Name: "zscan", Arity: -3, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.8.0",
			Summary: "Incrementally iterate sorted sets elements and associated scores",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for " +
				"the cursor to return back to 0. N is the number of elements inside the collection..",
			Tips: []string{"nondeterministic_output"},
			Args: "key cursor:integer pattern:pattern=MATCH? count:integer=COUNT?",
		}, Run: cmdZScan, MaySlice: true},
	}
}

func zrangeRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "zrange", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "1.2.0",
			Summary: "Return a range of members in a sorted set",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements returned.",
			History: []Change{{"6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options."}},
			Args: "key start stop sortby?@6.2.0(BYSCORE|BYLEX) REV?@6.2.0 " +
				"offset_count=LIMIT?@6.2.0(offset:integer count:integer) WITHSCORES?",
		}, Run: cmdZRange},
		{Info: Info{
			Name: "zrevrange", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "1.2.0",
			Summary: "Return a range of members in a sorted set, by index, with scores ordered from high to low",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements returned.",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` argument",
			Args: "key start:integer stop:integer WITHSCORES?",
		}, Run: cmdZRevRange},
		{Info: Info{
			Name: "zrangebyscore", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "1.0.5",
			Summary: "Return a range of members in a sorted set, by score",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements being returned. If M is constant (e.g. always asking for the first 10 elements with " +
				"LIMIT), you can consider it O(log(N)).",
			History:         []Change{{"2.0.0", "Added the `WITHSCORES` modifier."}},
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYSCORE` argument",
			Args: "key min:double max:double WITHSCORES?@2.0.0 offset_count=LIMIT?(offset:integer count:integer)",
		}, Run: cmdZRangeByScore},
		{Info: Info{
			Name: "zrevrangebyscore", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.2.0",
			Summary: "Return a range of members in a sorted set, by score, with scores ordered from high to low",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements being returned. If M is constant (e.g. always asking for the first 10 elements with " +
				"LIMIT), you can consider it O(log(N)).",
			History:         []Change{{"2.1.6", "`min` and `max` can be exclusive."}},
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
			Args: "key max:double min:double WITHSCORES? offset_count=LIMIT?(offset:integer count:integer)",
		}, Run: cmdZRevRangeByScore},
		{Info: Info{
			Name: "zrangebylex", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.8.9",
			Summary: "Return a range of members in a sorted set, by lexicographical range",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements being returned. If M is constant (e.g. always asking for the first 10 elements with " +
				"LIMIT), you can consider it O(log(N)).",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYLEX` argument",
			Args: "key min max offset_count=LIMIT?(offset:integer count:integer)",
		}, Run: cmdZRangeByLex},
		{Info: Info{
			Name: "zrevrangebylex", Arity: -4, Flags: ReadOnly, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.8.9",
			Summary: "Return a range of members in a sorted set, by lexicographical range, ordered from higher " +
				"to lower strings.",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements being returned. If M is constant (e.g. always asking for the first 10 elements with " +
				"LIMIT), you can consider it O(log(N)).",
			DeprecatedSince: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYLEX` arguments",
			Args: "key max min offset_count=LIMIT?(offset:integer count:integer)",
		}, Run: cmdZRevRangeByLex},
	}
}

func zcountRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "zrangestore", Arity: -5, Flags: Write | DenyOOM, Categories: CatSortedSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyOW | KeyUpdate}, {First: 2, Step: 1, Flags: KeyRO | KeyAccess},
			},
			Group: "sorted-set", Since: "6.2.0",
			Summary: "Store a range of members from sorted set into another key",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements stored into the destination key.",
			Args: "dst:key#0 src:key#1 min max sortby?(BYSCORE|BYLEX) REV? offset_count=LIMIT?(offset:integer " +
				"count:integer)",
		}, Run: cmdZRangeStore},
		{Info: Info{
			Name: "zcount", Arity: 4, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.0.0",
			Summary:    "Count the members in a sorted set with scores within the given values",
			Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Args:       "key min:double max:double",
		}, Run: cmdZCount},
		{Info: Info{
			Name: "zlexcount", Arity: 4, Flags: ReadOnly | Fast, Categories: CatSortedSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "sorted-set", Since: "2.8.9",
			Summary:    "Count the number of members in a sorted set between a given lexicographical range",
			Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Args:       "key min max",
		}, Run: cmdZLexCount},
		{Info: Info{
			Name: "zremrangebyrank", Arity: 4, Flags: Write, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "sorted-set", Since: "2.0.0",
			Summary: "Remove all members in a sorted set within the given indexes",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements removed by the operation.",
			Args: "key start:integer stop:integer",
		}, Run: cmdZRemRangeByRank},
		{Info: Info{
			Name: "zremrangebyscore", Arity: 4, Flags: Write, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "sorted-set", Since: "1.2.0",
			Summary: "Remove all members in a sorted set within the given scores",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements removed by the operation.",
			Args: "key min:double max:double",
		}, Run: cmdZRemRangeByScore},
		{Info: Info{
			Name: "zremrangebylex", Arity: 4, Flags: Write, Categories: CatSortedSet,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "sorted-set", Since: "2.8.9",
			Summary: "Remove all members in a sorted set between the given lexicographical range",
			Complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of " +
				"elements removed by the operation.",
			Args: "key min max",
		}, Run: cmdZRemRangeByLex},
	}
}

func zcombineRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "zunion", Arity: -3, Flags: ReadOnly | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRO | KeyAccess}},
			Group: "sorted-set", Since: "6.2.0",
			Summary: "Add multiple sorted sets",
			Complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M " +
				"being the number of elements in the resulting sorted set.",
			Args: "numkeys:integer key* weight:integer=WEIGHTS?* aggregate=AGGREGATE?(SUM|MIN|MAX) WITHSCORES?",
		}, Run: cmdZUnion},
		{Info: Info{
			Name: "zinter", Arity: -3, Flags: ReadOnly | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRO | KeyAccess}},
			Group: "sorted-set", Since: "6.2.0",
			Summary: "Intersect multiple sorted sets",
			Complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the " +
				"number of input sorted sets and M being the number of elements in the resulting sorted set.",
			Args: "numkeys:integer key* weight:integer=WEIGHTS?* aggregate=AGGREGATE?(SUM|MIN|MAX) WITHSCORES?",
		}, Run: cmdZInter},
		{Info: Info{
			Name: "zdiff", Arity: -3, Flags: ReadOnly | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRO | KeyAccess}},
			Group: "sorted-set", Since: "6.2.0",
			Summary: "Subtract multiple sorted sets",
			Complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, " +
				"N is the size of the first set, and K is the size of the result set.",
			Args: "numkeys:integer key* WITHSCORES?",
		}, Run: cmdZDiff},
		{Info: Info{
			Name: "zunionstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Categories: CatSortedSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyOW | KeyUpdate},
				{First: 2, Step: 1, Counted: true, Flags: KeyRO | KeyAccess},
			},
			Group: "sorted-set", Since: "2.0.0",
			Summary: "Add multiple sorted sets and store the resulting sorted set in a new key",
			Complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M " +
				"being the number of elements in the resulting sorted set.",
			Args: "destination:key#0 numkeys:integer key#1* weight:integer=WEIGHTS?* " +
				"aggregate=AGGREGATE?(SUM|MIN|MAX)",
		}, Run: cmdZUnionStore},
		{Info: Info{
			Name: "zinterstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Categories: CatSortedSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyOW | KeyUpdate},
				{First: 2, Step: 1, Counted: true, Flags: KeyRO | KeyAccess},
			},
			Group: "sorted-set", Since: "2.0.0",
			Summary: "Intersect multiple sorted sets and store the resulting sorted set in a new key",
			Complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the " +
				"number of input sorted sets and M being the number of elements in the resulting sorted set.",
			Args: "destination:key#0 numkeys:integer key#1* weight:integer=WEIGHTS?* " +
				"aggregate=AGGREGATE?(SUM|MIN|MAX)",
		}, Run: cmdZInterStore},
		{Info: Info{
			Name: "zdiffstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Categories: CatSortedSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyOW | KeyUpdate},
				{First: 2, Step: 1, Counted: true, Flags: KeyRO | KeyAccess},
			},
			Group: "sorted-set", Since: "6.2.0",
			Summary: "Subtract multiple sorted sets and store the resulting sorted set in a new key",
			Complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, " +
				"N is the size of the first set, and K is the size of the result set.",
			Args: "destination:key#0 numkeys:integer key#1*",
		}, Run: cmdZDiffStore},
		{Info: Info{
			Name: "zintercard", Arity: -3, Flags: ReadOnly | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 1, Step: 1, Counted: true, Flags: KeyRO | KeyAccess}},
			Group: "sorted-set", Since: "7.0.0",
			Summary: "Intersect multiple sorted sets and return the cardinality of the result",
			Complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of " +
				"input sorted sets.",
			Args: "numkeys:integer key* limit:integer=LIMIT?",
		}, Run: cmdZInterCard},
	}
}
