// Package server assembles Fulmen: it gives the reactor's bytes to sessions, turns them into commands,
// takes the batons that a command needs, executes it and sends the reply. Commands that touch the server
// itself (connections, transactions, configuration, introspection) live here.
//
// # Life of a batch
//
// loop.Data → parse (up to maxBatch commands) → prefetch (buckets, then entries) → run: consecutive
// commands on one shard share one hold of its baton → one write. A command whose baton is elsewhere
// parks its connection: single-key commands become a task of the shard (park.go), others a transaction
// that is resumed on the session's own loop. The bytes behind a parked command stay in the connection's
// query buffer.
//
// What a command causes others to be sent goes by one way to any session on any loop, behind the commit gate: push.go.
//
// # Ownership
//
// A session belongs to its connection's loop; what other goroutines may read of it is in atomics
// (see Session). A parked task's context belongs to whoever holds the shard's baton until the session's
// letter is posted.
package server
