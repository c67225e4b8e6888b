package server

import "fulmen/shard/command"

// pubsubRows are the commands of pub/sub.
func pubsubRows() []*command.Row {
	publish := pubsubRow("publish", 3, "2.0.0", "Post a message to a channel",
		"O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of "+
			"subscribed patterns (by any client).", "channel message", cmdPublish)
	spublish := pubsubRow("spublish", 3, "7.0.0", "Post a message to a shard channel",
		"O(N) where N is the number of clients subscribed to the receiving shard channel.", "shardchannel message",
		cmdSPublish)
	for _, row := range []*command.Row{publish, spublish} {
		row.Flags = command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate
		row.ForReplicas, row.Listener = true, false
	}
	spublish.Keys = command.OneKey(command.KeyNotKey)
	ssubscribe := pubsubRow("ssubscribe", -2, "7.0.0", "Listen for messages published to the given shard channels",
		"O(N) where N is the number of shard channels to subscribe to.", "shardchannel*", cmdSSubscribe)
	sunsubscribe := pubsubRow("sunsubscribe", -1, "7.0.0",
		"Stop listening for messages posted to the given shard channels",
		"O(N) where N is the number of clients already subscribed to a shard channel.", "shardchannel?*",
		cmdSUnsubscribe)
	for _, row := range []*command.Row{ssubscribe, sunsubscribe} {
		row.Keys = command.AllKeys(1, command.KeyNotKey)
	}
	return []*command.Row{
		publish, spublish, ssubscribe, sunsubscribe,
		pubsubRow("subscribe", -2, "2.0.0", "Listen for messages published to the given channels",
			"O(N) where N is the number of channels to subscribe to.", "channel*", cmdSubscribe),
		pubsubRow("unsubscribe", -1, "2.0.0", "Stop listening for messages posted to the given channels",
			"O(N) where N is the number of clients already subscribed to a channel.", "channel?*", cmdUnsubscribe),
		pubsubRow("psubscribe", -2, "2.0.0", "Listen for messages published to channels matching the given patterns",
			"O(N) where N is the number of patterns the client is already subscribed to.",
			"pattern*(pattern:pattern)", cmdPSubscribe),
		pubsubRow("punsubscribe", -1, "2.0.0",
			"Stop listening for messages posted to channels matching the given patterns",
			"O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total "+
				"patterns subscribed in the system (by any client).", "pattern:pattern?*", cmdPUnsubscribe),
		pubsubContainer(),
	}
}

// pubsubRow is a command with what most of them have in common.
func pubsubRow(name string, arity int, since, summary, complexity, args string, run func(*Session) error) *command.Row {
	return &command.Row{Info: command.Info{
		Name: name, Arity: arity, Flags: command.PubSub | command.NoScript | command.Loading | command.Stale,
		Group: "pubsub", Since: since, Summary: summary, Complexity: complexity, Args: args,
	}, Listener: true, RunSession: onSession(run)}
}

func pubsubContainer() *command.Row {
	sub := func(name string, arity int, since, summary, complexity, args string,
		run func(*Session) error) *command.Row {
		row := pubsubRow(name, arity, since, summary, complexity, args, run)
		row.Flags &^= command.NoScript
		row.Listener = false
		return row
	}
	help := sub("help", 2, "6.2.0", "Show helpful text about the different subcommands", "O(1)", "", cmdPubsubHelp)
	help.Flags &^= command.PubSub
	return &command.Row{
		Info: command.Info{
			Name: "pubsub", Arity: -2, Group: "pubsub", Since: "2.8.0",
			Summary: "A container for Pub/Sub commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			sub("channels", -2, "2.8.0", "List active channels",
				"O(N) where N is the number of active channels, and assuming constant time pattern matching "+
					"(relatively short channels and patterns)", "pattern:pattern?", cmdPubsubChannels),
			help,
			sub("numpat", 2, "2.8.0", "Get the count of unique patterns pattern subscriptions", "O(1)", "",
				cmdPubsubNumPat),
			sub("numsub", -2, "2.8.0", "Get the count of subscribers for channels",
				"O(N) for the NUMSUB subcommand, where N is the number of requested channels", "channel?*",
				cmdPubsubNumSub),
			sub("shardchannels", -2, "7.0.0", "List active shard channels",
				"O(N) where N is the number of active shard channels, and assuming constant time pattern matching "+
					"(relatively short shard channels).", "pattern:pattern?", cmdPubsubShardChannels),
			sub("shardnumsub", -2, "7.0.0", "Get the count of subscribers for shard channels",
				"O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
				"shardchannel?*", cmdPubsubShardNumSub),
		},
	}
}
