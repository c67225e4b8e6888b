package command

// memberRows are the commands that change one set, and SMOVE.
func memberRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "sadd", Arity: -3, Flags: Write | DenyOOM | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRW | KeyInsert),
			Group: "set", Since: "1.0.0", Summary: "Add one or more members to a set",
			Complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with " +
				"multiple arguments.",
			History: []Change{{"2.4.0", "Accepts multiple `member` arguments."}},
			Args:    "key member*",
		}, Member: 2, Run: cmdSAdd},
		{Info: Info{
			Name: "srem", Arity: -3, Flags: Write | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "set", Since: "1.0.0", Summary: "Remove one or more members from a set",
			Complexity: "O(N) where N is the number of members to be removed.",
			History:    []Change{{"2.4.0", "Accepts multiple `member` arguments."}},
			Args:       "key member*",
		}, Member: 2, Run: cmdSRem},
		{Info: Info{
			Name: "spop", Arity: -2, Flags: Write | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRW | KeyAccess | KeyDelete),
			Group: "set", Since: "1.0.0", Summary: "Remove and return one or multiple random members from a set",
			Complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed " +
				"count.",
			History: []Change{{"3.2.0", "Added the `count` argument."}},
			Tips:    []string{"nondeterministic_output"},
			Args:    "key count:integer?@3.2.0",
		}, Run: cmdSPop},
		{Info: Info{
			Name: "smove", Arity: 4, Flags: Write | Fast, Categories: CatSet,
			Keys: []KeySpec{
				{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete},
				{First: 2, Step: 1, Flags: KeyRW | KeyInsert},
			},
			Group: "set", Since: "1.0.0", Summary: "Move a member from one set to another",
			Complexity: "O(1)",
			Args:       "source:key#0 destination:key#1 member",
		}, Run: cmdSMove},
	}
}

// memberReadRows are the commands that read one set.
func memberReadRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "sismember", Arity: 3, Flags: ReadOnly | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRO),
			Group: "set", Since: "1.0.0", Summary: "Determine if a given value is a member of a set",
			Complexity: "O(1)",
			Args:       "key member",
		}, Member: 2, Run: cmdSIsMember},
		{Info: Info{
			Name: "smismember", Arity: -3, Flags: ReadOnly | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "set", Since: "6.2.0",
			Summary:    "Returns the membership associated with the given elements for a set",
			Complexity: "O(N) where N is the number of elements being checked for membership",
			Args:       "key member*",
		}, Run: cmdSMIsMember},
		{Info: Info{
			Name: "smembers", Arity: 2, Flags: ReadOnly, Categories: CatSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "set", Since: "1.0.0", Summary: "Get all the members in a set",
			Complexity: "O(N) where N is the set cardinality.",
			Tips:       []string{"nondeterministic_output_order"},
			Args:       "key",
		}, Run: cmdSMembers},
		{Info: Info{
			Name: "scard", Arity: 2, Flags: ReadOnly | Fast, Categories: CatSet,
			Keys:  OneKey(KeyRO),
			Group: "set", Since: "1.0.0", Summary: "Get the number of members in a set",
			Complexity: "O(1)",
			Args:       "key",
		}, Run: cmdSCard},
		{Info: Info{
			Name: "srandmember", Arity: -2, Flags: ReadOnly, Categories: CatSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "set", Since: "1.0.0", Summary: "Get one or multiple random members from a set",
			Complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the " +
				"passed count.",
			History: []Change{{"2.6.0", "Added the optional `count` argument."}},
			Tips:    []string{"nondeterministic_output"},
			Args:    "key count:integer?@2.6.0",
		}, Run: cmdSRandMember},
		{Info: Info{
			Name: "sscan", Arity: -3, Flags: ReadOnly, Categories: CatSet,
			Keys:  OneKey(KeyRO | KeyAccess),
			Group: "set", Since: "2.8.0", Summary: "Incrementally iterate Set elements",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for " +
				"the cursor to return back to 0. N is the number of elements inside the collection..",
			Tips: []string{"nondeterministic_output"},
			Args: "key cursor:integer pattern:pattern=MATCH? count:integer=COUNT?",
		}, Run: cmdSScan, MaySlice: true},
	}
}
