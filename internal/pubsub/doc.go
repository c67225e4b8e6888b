// Package pubsub knows who subscribes to what: to channels, to patterns of channels and to shard channels, which are
// three name spaces. It carries no message and knows no reply: who publishes asks it for the receivers.
//
// # Ownership
//
// A subscriber belongs to a place, which is a goroutine (an event loop). What a Subscriber and a Local have is that
// goroutine's; topics are found and counted from any goroutine, without a lock. Subscribing and unsubscribing take one,
// for as long as the tables take to change.
//
// # Invariants
//
//  1. A topic is in its table exactly while it has subscribers; who has found it before may go on with it, and then
//     finds nobody there.
//  2. Somebody who subscribes is found by every search that begins after Subscribe has returned.
//  3. No search waits, and none meets a table that is half changed: nodes change by single stores, and what grows is
//     built aside.
package pubsub
