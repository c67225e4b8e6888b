package command

import "fulmen/shard/object"

// Words of the documentation of several commands.
const (
	nElements = "returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can " +
		"consider it O(1)."
	trimArgs = "strategy(MAXLEN|MINID@6.2.0) operator?(equal:pure-token='='|approximately:pure-token='~') " +
		"threshold count:integer=LIMIT?@6.2.0"
	perClaim     = "O(log N) with N being the number of messages in the PEL of the consumer group."
	mayBeTrimmed = "UPDATE instead of INSERT because of the optional trimming feature"
)

var (
	exclusiveRanges = []Change{{"6.2.0", "Added exclusive ranges."}}
	notToRepeat     = []string{"nondeterministic_output"}
)

func streamRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "xadd", Arity: -5, Flags: Write | DenyOOM | Fast, Categories: CatStream,
			Keys:  []KeySpec{{First: 1, Step: 1, Flags: KeyRW | KeyUpdate, Notes: mayBeTrimmed}},
			Group: "stream", Since: "5.0.0", Summary: "Appends a new entry to a stream",
			Complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
			Tips:       notToRepeat,
			Args: "key NOMKSTREAM?@6.2.0 trim?(" + trimArgs + ") id_or_auto(auto_id:pure-token='*'|id) " +
				"field_value*(field value)",
			History: []Change{
				{"6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."},
				{"7.0.0", "Added support for the `<ms>-*` explicit ID form."},
			},
		}, Run: cmdXAdd},
		{Info: Info{
			Name: "xtrim", Arity: -4, Flags: Write, Categories: CatStream, Keys: OneKey(KeyRW | KeyDelete),
			Group: "stream", Since: "5.0.0",
			Summary: "Trims the stream to (approximately if '~' is passed) a certain size",
			Complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, " +
				"since entries are organized in macro nodes containing multiple entries that can be released with a " +
				"single deallocation.",
			Tips: notToRepeat, Args: "key trim(" + trimArgs + ")",
			History: []Change{{"6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option."}},
		}, Run: cmdXTrim},
		{Info: Info{
			Name: "xlen", Arity: 2, Flags: ReadOnly | Fast, Categories: CatStream, Keys: OneKey(KeyRO),
			Group: "stream", Since: "5.0.0", Summary: "Return the number of entries in a stream", Complexity: "O(1)",
			Args: "key",
		}, Run: cmdXLen},
		{Info: Info{
			Name: "xdel", Arity: -3, Flags: Write | Fast, Categories: CatStream, Keys: OneKey(KeyRW | KeyDelete),
			Group: "stream", Since: "5.0.0",
			Summary: "Removes the specified entries from the stream. Returns the number of items actually deleted, " +
				"that may be different from the number of IDs passed in case certain IDs do not exist.",
			Complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
			Args:       "key id*",
		}, Run: cmdXDel},
		{Info: Info{
			Name: "xsetid", Arity: -3, Flags: Write | DenyOOM | Fast, Categories: CatStream,
			Keys:  OneKey(KeyRW | KeyUpdate),
			Group: "stream", Since: "5.0.0", Summary: "An internal command for replicating stream values",
			Complexity: "O(1)",
			Args: "key last-id entries_added:integer=ENTRIESADDED?@7.0.0 " +
				"max_deleted_entry_id=MAXDELETEDID?@7.0.0",
			History: []Change{{"7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments."}},
		}, Run: cmdXSetID},
		{Info: Info{
			Name: "xrange", Arity: -4, Flags: ReadOnly, Categories: CatStream, Keys: OneKey(KeyRO | KeyAccess),
			Group: "stream", Since: "5.0.0",
			Summary:    "Return a range of elements in a stream, with IDs matching the specified IDs interval",
			Complexity: "O(N) with N being the number of elements being " + nElements,
			Args:       "key start end count:integer=COUNT?", History: exclusiveRanges,
		}, Run: cmdXRange},
		{Info: Info{
			Name: "xrevrange", Arity: -4, Flags: ReadOnly, Categories: CatStream, Keys: OneKey(KeyRO | KeyAccess),
			Group: "stream", Since: "5.0.0",
			Summary: "Return a range of elements in a stream, with IDs matching the specified IDs interval, in " +
				"reverse order (from greater to smaller IDs) compared to XRANGE",
			Complexity: "O(N) with N being the number of elements " + nElements,
			Args:       "key end start count:integer=COUNT?", History: exclusiveRanges,
		}, Run: cmdXRevRange},
		{Info: Info{
			Name: "xread", Arity: -4, Flags: ReadOnly | Blocking | MovableKeys, Categories: CatStream,
			Keys: []KeySpec{{First: 1, Last: -1, Step: 1, Keyword: "STREAMS", Limit: 2, Find: findStreams,
				Flags: KeyRO | KeyAccess}},
			Group: "stream", Since: "5.0.0",
			Summary: "Return never seen elements in multiple streams, with IDs greater than the ones reported by the " +
				"caller for each stream. Can block.",
			Complexity: "For each stream mentioned: O(N) with N being the number of elements being returned, it " +
				"means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will " +
				"pay O(M) time in order to serve the M clients blocked on the stream getting new data.",
			Args: "count:integer=COUNT? milliseconds:integer=BLOCK? streams=STREAMS(key* id*)",
		}, WaitsFor: object.Stream, MayWait: namesBlock, Run: cmdXRead},
	}
}

func streamGroupRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "xreadgroup", Arity: -7, Flags: Write | Blocking | MovableKeys, Categories: CatStream,
			Keys: []KeySpec{{First: 4, Last: -1, Step: 1, Keyword: "STREAMS", Limit: 2, Find: findStreams,
				Flags: KeyRO | KeyAccess}},
			Group: "stream", Since: "5.0.0",
			Summary: "Return new entries from a stream using a consumer group, or access the history of the pending " +
				"entries for a given consumer. Can block.",
			Complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is " +
				"constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On " +
				"the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients " +
				"blocked on the stream getting new data.",
			Args: "group_consumer=GROUP(group consumer) count:integer=COUNT? milliseconds:integer=BLOCK? " +
				"noack:pure-token=NOACK? streams=STREAMS(key* id*)",
		}, WaitsFor: object.Stream, MayWait: namesBlock, EvenGone: true, Run: cmdXReadGroup},
		xgroupRow(),
		{Info: Info{
			Name: "xack", Arity: -4, Flags: Write | Fast, Categories: CatStream, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "stream", Since: "5.0.0",
			Summary: "Marks a pending message as correctly processed, effectively removing it from the pending " +
				"entries list of the consumer group. Return value of the command is the number of messages " +
				"successfully acknowledged, that is, the IDs we were actually able to resolve in the PEL.",
			Complexity: "O(1) for each message ID processed.", Args: "key group id*",
		}, Run: cmdXAck},
		{Info: Info{
			Name: "xpending", Arity: -3, Flags: ReadOnly, Categories: CatStream, Keys: OneKey(KeyRO | KeyAccess),
			Group: "stream", Since: "5.0.0",
			Summary: "Return information and entries from a stream consumer group pending entries list, that are " +
				"messages fetched but never acknowledged.",
			Complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of " +
				"entries per call is O(1). O(M), where M is the total number of entries scanned when used with the " +
				"IDLE filter. When the command returns just the summary and the list of consumers is small, it runs " +
				"in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
			Tips:    notToRepeat,
			Args:    "key group filters?(min-idle-time:integer=IDLE?@6.2.0 start end count:integer consumer?)",
			History: []Change{{"6.2.0", "Added the `IDLE` option and exclusive range intervals."}},
		}, Run: cmdXPending},
		{Info: Info{
			Name: "xclaim", Arity: -6, Flags: Write | Fast, Categories: CatStream, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "stream", Since: "5.0.0",
			Summary: "Changes (or acquires) ownership of a message in a consumer group, as if the message was " +
				"delivered to the specified consumer.",
			Complexity: perClaim, Tips: notToRepeat,
			Args: "key group consumer min-idle-time id* ms:integer=IDLE? unix-time-milliseconds:unix-time=TIME? " +
				"count:integer=RETRYCOUNT? FORCE? JUSTID? id=LASTID?",
		}, Run: cmdXClaim},
		{Info: Info{
			Name: "xautoclaim", Arity: -6, Flags: Write | Fast, Categories: CatStream,
			Keys:  OneKey(KeyRW | KeyDelete),
			Group: "stream", Since: "6.2.0",
			Summary: "Changes (or acquires) ownership of messages in a consumer group, as if the messages were " +
				"delivered to the specified consumer.",
			Complexity: "O(1) if COUNT is small.", Tips: notToRepeat,
			Args: "key group consumer min-idle-time start count:integer=COUNT? JUSTID?",
			History: []Change{{"7.0.0", "Added an element to the reply array, containing deleted entries the " +
				"command cleared from the PEL"}},
		}, Run: cmdXAutoClaim},
	}
}

// streamHelp is the row of HELP of a container of streams.
func streamHelp(run func(*Ctx) error) *Row {
	return &Row{Info: Info{
		Name: "help", Arity: 2, Flags: Loading | Stale, Categories: CatStream, Group: "stream", Since: "5.0.0",
		Summary: "Show helpful text about the different subcommands", Complexity: "O(1)",
	}, Run: run}
}

func xgroupRow() *Row {
	sub := func(name string, arity int, flags Flags, keys KeyFlags, since, summary, args string,
		run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: arity, Flags: flags, Categories: CatStream,
			Keys:  []KeySpec{{First: 2, Step: 1, Flags: keys}},
			Group: "stream", Since: since, Summary: summary, Complexity: "O(1)", Args: args,
		}, Run: run}
	}
	const idAndRead = "id(id|new_id:pure-token='$') "
	create := sub("create", -5, Write|DenyOOM, KeyRW|KeyInsert, "5.0.0", "Create a consumer group.",
		"key groupname "+idAndRead+"MKSTREAM? entries_read:integer=ENTRIESREAD?", cmdXGroupCreate)
	create.History = []Change{{"7.0.0", "Added the `entries_read` named argument."}}
	setID := sub("setid", -5, Write, KeyRW|KeyUpdate, "5.0.0",
		"Set a consumer group to an arbitrary last delivered ID value.",
		"key groupname "+idAndRead+"entries_read:integer=ENTRIESREAD?", cmdXGroupSetID)
	setID.History = []Change{{"7.0.0", "Added the optional `entries_read` argument."}}
	destroy := sub("destroy", 4, Write, KeyRW|KeyDelete, "5.0.0", "Destroy a consumer group.", "key groupname",
		cmdXGroupDestroy)
	destroy.Complexity = "O(N) where N is the number of entries in the group's pending entries list (PEL)."
	return &Row{
		Info: Info{
			Name: "xgroup", Arity: -2, Group: "stream", Since: "5.0.0",
			Summary: "A container for consumer groups commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*Row{
			create, setID, destroy,
			sub("createconsumer", 5, Write|DenyOOM, KeyRW|KeyInsert, "6.2.0", "Create a consumer in a consumer group.",
				"key groupname consumername", cmdXGroupCreateConsumer),
			sub("delconsumer", 5, Write, KeyRW|KeyDelete, "5.0.0", "Delete a consumer from a consumer group.",
				"key groupname consumername", cmdXGroupDelConsumer),
			streamHelp(cmdXGroupHelp),
		},
	}
}

func streamInfoRows() []*Row {
	sub := func(name string, arity int, summary, args string, run func(*Ctx) error, history ...Change) *Row {
		return &Row{Info: Info{
			Name: name, Arity: arity, Flags: ReadOnly, Categories: CatStream,
			Keys:  []KeySpec{{First: 2, Step: 1, Flags: KeyRO | KeyAccess}},
			Group: "stream", Since: "5.0.0", Summary: summary, Complexity: "O(1)", Args: args, History: history,
		}, Run: run}
	}
	consumers := sub("consumers", 4, "List the consumers in a consumer group", "key groupname", cmdXInfoConsumers)
	consumers.Tips = notToRepeat
	return []*Row{{
		Info: Info{
			Name: "xinfo", Arity: -2, Group: "stream", Since: "5.0.0",
			Summary: "A container for stream introspection commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*Row{
			consumers,
			sub("groups", 3, "List the consumer groups of a stream", "key", cmdXInfoGroups,
				Change{"7.0.0", "Added the `entries-read` and `lag` fields"}),
			sub("stream", -3, "Get information about a stream", "key full=FULL?(count:integer=COUNT?)", cmdXInfoStream,
				Change{"6.0.0", "Added the `FULL` modifier."},
				Change{"7.0.0", "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, " +
					"`entries-read` and `lag` fields"}),
			streamHelp(cmdXInfoHelp),
		},
	}}
}
