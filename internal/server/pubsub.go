package server

import (
	"fulmen/internal/glob"
	"fulmen/internal/pubsub"
	"fulmen/internal/resp"
)

// Pub/sub: who subscribes to what is in internal/pubsub, how messages get there is in push.go.

// subscriptionWords are the first words of what a session is told about subscriptions, and of messages.
type subscriptionWords struct{ subscribed, unsubscribed, message string }

var wordsOf = [pubsub.Kinds]subscriptionWords{
	pubsub.Channel:      {"subscribe", "unsubscribe", "message"},
	pubsub.Pattern:      {"psubscribe", "punsubscribe", "pmessage"},
	pubsub.ShardChannel: {"ssubscribe", "sunsubscribe", "smessage"},
}

// appendMessage appends a message as it is pushed in RESP3; pattern is that through which a pmessage has come.
func appendMessage(dst []byte, kind pubsub.Kind, pattern string, channel, payload []byte) []byte {
	if kind == pubsub.Pattern {
		dst = append(dst, ">4\r\n"...)
		dst = resp.AppendBulkString(dst, wordsOf[kind].message)
		dst = resp.AppendBulkString(dst, pattern)
	} else {
		dst = append(dst, ">3\r\n"...)
		dst = resp.AppendBulkString(dst, wordsOf[kind].message)
	}
	dst = resp.AppendBulk(dst, channel)
	return resp.AppendBulk(dst, payload)
}

// tellSubscription tells the session of a subscription that has begun or ended, and to how many topics of the kind it
// subscribes now; nil: there was none to end.
func (s *Session) tellSubscription(kind pubsub.Kind, word string, name []byte) {
	to := s.pushesHere()
	out := *to
	if s.proto == 2 {
		out = append(out, "*3\r\n"...)
	} else {
		out = append(out, ">3\r\n"...)
	}
	out = resp.AppendBulkString(out, word)
	if name == nil {
		out = resp.AppendNull(out, s.proto)
	} else {
		out = resp.AppendBulk(out, name)
	}
	*to = resp.AppendInt(out, s.subscriptionsLike(kind))
}

// subscriptionsLike returns to how many topics the session subscribes that count together with those of a kind:
// channels and patterns do.
func (s *Session) subscriptionsLike(kind pubsub.Kind) int64 {
	if kind == pubsub.ShardChannel {
		return int64(s.subCounts[pubsub.ShardChannel].Load())
	}
	return int64(s.subCounts[pubsub.Channel].Load()) + int64(s.subCounts[pubsub.Pattern].Load())
}

// subscriptions returns to how many topics of all kinds the session subscribes. Safe from any goroutine.
func (s *Session) subscriptions() int64 {
	return s.subscriptionsLike(pubsub.Channel) + s.subscriptionsLike(pubsub.ShardChannel)
}

// listens tells whether the session speaks RESP2 and subscribes to something: then it may run few commands.
func (s *Session) listens() bool { return s.proto == 2 && s.subscriptions() > 0 }

// subscribed follows changes of the session's subscriptions.
func (s *Session) subscribed() {
	was := s.listening
	s.listening = s.subscriptions() > 0
	if s.listening != was {
		if s.listening {
			s.srv.subscribers.Add(1)
		} else {
			s.srv.subscribers.Add(-1)
		}
		s.conn.SetSubscriber(s.listening)
	}
	s.refresh()
}

// countSubscription follows the begin (1) or end (-1) of a subscription.
func (s *Session) countSubscription(kind pubsub.Kind, name []byte, n int) {
	s.subCounts[kind].Add(int32(n))
	s.subBytes.Add(int64(n * (pubsub.SubscriptionBytes + len(name))))
}

// subscribe begins subscriptions to what the arguments name.
func (s *Session) subscribe(kind pubsub.Kind) error {
	if s.subscriber == nil {
		s.subscriber = s.srv.channels.NewSubscriber(s.loop.rl.ID, s)
	}
	for _, name := range s.c.Args[1:] {
		if s.subscriber.Subscribe(kind, name) {
			s.countSubscription(kind, name, 1)
		}
		s.tellSubscription(kind, wordsOf[kind].subscribed, name)
	}
	s.subscribed()
	return nil
}

// unsubscribe ends subscriptions to what the arguments name, or to everything of a kind.
func (s *Session) unsubscribe(kind pubsub.Kind) error {
	word := wordsOf[kind].unsubscribed
	for _, name := range s.c.Args[1:] {
		s.endSubscription(kind, name)
		s.tellSubscription(kind, word, name)
	}
	if len(s.c.Args) > 1 {
		s.subscribed()
		return nil
	}
	any := false
	for s.subCounts[kind].Load() > 0 {
		any = true
		name, _ := s.subscriber.First(kind)
		s.endSubscription(kind, []byte(name))
		s.tellSubscription(kind, word, []byte(name))
	}
	if !any {
		s.tellSubscription(kind, word, nil)
	}
	s.subscribed()
	return nil
}

func (s *Session) endSubscription(kind pubsub.Kind, name []byte) {
	if s.subscriber != nil && s.subscriber.Unsubscribe(kind, name) {
		s.countSubscription(kind, name, -1)
	}
}

// endSubscriptions ends all subscriptions, and says nothing.
func (s *Session) endSubscriptions() {
	if s.subscriber == nil {
		return
	}
	s.subscriber.Close()
	s.subscriber = nil
	for i := range s.subCounts {
		s.subCounts[i].Store(0)
	}
	s.subBytes.Store(0)
	s.subscribed()
}

// SUBSCRIBE channel [channel ...]
func cmdSubscribe(s *Session) error { return s.subscribe(pubsub.Channel) }

// PSUBSCRIBE pattern [pattern ...]
func cmdPSubscribe(s *Session) error { return s.subscribe(pubsub.Pattern) }

// SSUBSCRIBE shardchannel [shardchannel ...]
func cmdSSubscribe(s *Session) error {
	if s.executing {
		return resp.Errorf("ERR", "SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
	}
	return s.subscribe(pubsub.ShardChannel)
}

// UNSUBSCRIBE [channel [channel ...]]
func cmdUnsubscribe(s *Session) error { return s.unsubscribe(pubsub.Channel) }

// PUNSUBSCRIBE [pattern [pattern ...]]
func cmdPUnsubscribe(s *Session) error { return s.unsubscribe(pubsub.Pattern) }

// SUNSUBSCRIBE [shardchannel [shardchannel ...]]
func cmdSUnsubscribe(s *Session) error { return s.unsubscribe(pubsub.ShardChannel) }

// PUBLISH channel message
func cmdPublish(s *Session) error { return s.publishMessage(pubsub.Channel) }

// SPUBLISH shardchannel message
func cmdSPublish(s *Session) error { return s.publishMessage(pubsub.ShardChannel) }

// publishMessage sends the message in the arguments. What the session was replied before may not be safe yet: then
// neither leaves.
func (s *Session) publishMessage(kind pubsub.Kind) error {
	if s.loads { // it was published then
		s.c.Int(0)
		return nil
	}
	w := &s.loop.worker
	if w.LSN = max(w.LSN, s.conn.Marked()); s.primary != nil {
		w.LSN = s.srv.set.Log.LSN() // it is replied nothing: all that it has written is meant
	}
	n := s.loop.publish(kind, s.c.Args[1], s.c.Args[2], s)
	s.replicate()
	s.c.Int(n)
	return nil
}

// replicate has replicas run the command that runs, too, though it changes no data.
func (s *Session) replicate() {
	sh := s.srv.shardOf(s.c.Args[1])
	if s.srv.replication.feeding() && s.holds(sh) {
		sh.Stage(-1, s.c.Args...)
	}
}

// PUBSUB CHANNELS [pattern]
func cmdPubsubChannels(s *Session) error { return s.listTopics(pubsub.Channel) }

// PUBSUB SHARDCHANNELS [pattern]
func cmdPubsubShardChannels(s *Session) error { return s.listTopics(pubsub.ShardChannel) }

// listTopics replies the names of the topics of a kind, or of those that match the pattern in the arguments.
func (s *Session) listTopics(kind pubsub.Kind) error {
	c := s.c
	if len(c.Args) > 3 {
		return resp.ErrSubcommandSyntax([]byte("PUBSUB"), c.Args[1])
	}
	var names []string
	for t := range s.srv.channels.Topics(kind) {
		if len(c.Args) == 2 || glob.Match(c.Args[2], []byte(t.Name), false) {
			names = append(names, t.Name)
		}
	}
	c.Array(len(names))
	for _, name := range names {
		c.BulkString(name)
	}
	return nil
}

// PUBSUB NUMPAT
func cmdPubsubNumPat(s *Session) error {
	s.c.Int(int64(s.srv.channels.Count(pubsub.Pattern)))
	return nil
}

// PUBSUB NUMSUB [channel [channel ...]]
func cmdPubsubNumSub(s *Session) error { return s.countSubscribers(pubsub.Channel) }

// PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]
func cmdPubsubShardNumSub(s *Session) error { return s.countSubscribers(pubsub.ShardChannel) }

// countSubscribers replies each topic of a kind in the arguments, with the number of those who subscribe to it.
func (s *Session) countSubscribers(kind pubsub.Kind) error {
	c := s.c
	names := c.Args[2:]
	c.Array(2 * len(names))
	for _, name := range names {
		c.Bulk(name)
		n := int64(0)
		if t := s.srv.channels.Find(kind, name); t != nil {
			n = t.Count()
		}
		c.Int(n)
	}
	return nil
}

// pubsubHelp is the text of PUBSUB HELP but for what Help adds.
const pubsubHelp = `CHANNELS [<pattern>]
    Return the currently active channels matching a <pattern> (default: '*').
NUMPAT
    Return number of subscriptions to patterns.
NUMSUB [<channel> ...]
    Return the number of subscribers for the specified channels, excluding
    pattern subscriptions(default: no channels).
SHARDCHANNELS [<pattern>]
    Return the currently active shard level channels matching a <pattern> (default: '*').
SHARDNUMSUB [<shardchannel> ...]
    Return the number of subscribers for the specified shard level channel(s)
`

// PUBSUB HELP
func cmdPubsubHelp(s *Session) error {
	s.c.Help(pubsubHelp)
	return nil
}
