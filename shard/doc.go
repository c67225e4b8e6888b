// Package shard is one partition of the keyspace and the right to touch it: batons, inboxes,
// transactions over several shards, the databases of a shard, expiry, WATCH. It knows no command, no
// reply format and no file; it offers hooks to those who do.
//
// # The baton
//
// One goroutine at a time touches a shard: the one that holds its baton, one atomic word. Nobody blocks
// on it. Who finds it free takes it, executes in place, drains the inbox and releases. Who finds it
// taken spins for a moment, then pushes a task onto the inbox and goes on with something else; the
// holder runs what it finds there.
//
// # Goroutines
//
//	goroutine          owns                        woken by                 may wait for
//	event loop i       its sessions; a shard only   sockets, mail, ticks     nothing under a baton
//	                   while it holds its baton
//	(home loop of s)   what a drain left over       Shard.bell               nothing
//	load's goroutines  all shards together, one at  -                        files, each other (seize.go)
//	                   a time each
//	anybody else       nothing: posts tasks         -                        the task's answer
//
// # Queues and their bounds
//
//	inbox of a shard   one node per connection or transaction under way: bounded by their number
//	backlog of a shard what was taken off the inbox and exceeds one drain's budget; same bound
//	lazy-free list     detached values and indexes; freed in slices by the home loop
//	wait lists         a link for each key of each command that waits; counts to its client's memory
//	ready keys         keys with a wait list that changed; served before the batons are released
//	pins               values that a walk still has to read, with what their writers have copied meanwhile; counted in
//	                   bytes, so that who walks can have writers wait (persist/snapshot)
//	defragmentation    one pass a shard, in slices by the home loop; of one big value it remembers the key
//
// # Invariants
//
//  1. Everything of a Shard except its atomics is touched with its baton held.
//  2. After every push the pusher tries the baton once more; after every release the releaser looks at
//     the inbox once more. Both sides' operations are sequentially consistent, so a pushed task is
//     always seen by one of them: no wake-up is lost.
//  3. Who takes a free baton whose inbox is not empty runs the inbox first.
//  4. Drains never nest: Serve does not enqueue and takes no baton. A drain has a budget; the rest is
//     carried on by the home loop, which is rung, or by whoever takes the baton next.
//  5. Several batons are taken in ascending order of shard. A transaction that finds one busy gives
//     back all and queues there; from its fourth round on it keeps what it holds while waiting. Holders
//     wait only for higher shards, so no cycle of waiting exists.
//  6. A baton that is handed over stays taken: the giver neither touches the shard nor releases it.
//  7. Staged effects are committed before the baton that guards them is released or handed over.
//  8. A seizure has all batons or none. While it lasts, a shard belongs to the goroutine that has locked it there, no
//     effect is staged and no task served; who gives the batons back looks at the inboxes, as by invariant 2.
//  9. A bucket changes only through the index's pre-write choke point (package index).
package shard
