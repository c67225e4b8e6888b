package server

import (
	"strconv"

	"fulmen/internal/pubsub"
	"fulmen/shard"
)

// Keyspace events (notify-keyspace-events) are messages that the server publishes by itself. They go the way of all
// messages: they leave behind the commit gate, in the order in which things happened to a key.

// Happened implements shard.Listener: an event is published under the key's name and under its own, as is wanted.
func (srv *Server) Happened(w *shard.Worker, db int, key []byte, event string) {
	if srv.channels.Count(pubsub.Channel) == 0 && srv.channels.Count(pubsub.Pattern) == 0 {
		return
	}
	l, classes := w.Owner.(*loop), srv.set.Events()
	l.event = append(l.event[:0], event...)
	if classes&shard.EventKeyspace != 0 {
		l.publishEvent("__keyspace@", db, key, l.event)
	}
	if classes&shard.EventKeyevent != 0 {
		l.publishEvent("__keyevent@", db, l.event, key)
	}
}

// publishEvent publishes a message in the channel of a database and a name.
func (l *loop) publishEvent(prefix string, db int, name, message []byte) {
	b := append(l.eventChannel[:0], prefix...)
	b = strconv.AppendInt(b, int64(db), 10)
	b = append(b, "__:"...)
	l.eventChannel = append(b, name...)
	l.publish(pubsub.Channel, l.eventChannel, message, nil)
	if cap(l.eventChannel) > keptParcelBytes {
		l.eventChannel = nil
	}
}
