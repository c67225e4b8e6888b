// Package snapshot saves everything that a set of shards holds as it is at one moment, without stopping anybody, and
// loads it.
//
// It makes the cut, walks the shards, and has what it finds written as RDB files by goroutines of its own. It is told
// where to by a Sink, it does not know commands, configuration or replication, and it decides nothing about when.
//
// # How a save goes
//
// Under the batons of all shards Begin makes the cut (package index, walk.go): from then on whatever changes an entry
// shows it to the save first. On its home loop each shard's Step goes through the entries that nobody has changed. Both
// end in part.show, which copies the entry's block to the shard's chunk and knows nothing of formats. A full chunk goes
// to the workers, who encode it for every sink, while the shard fills the next one.
//
// What hangs on an entry, a tree or a paged string, is not copied but pinned (shard.Pin): its nodes stay as they are,
// and who changes the value copies the few nodes that it changes. The copied block refers to the pinned nodes, so that
// a worker reads them like any value, without a baton; then the pin goes back to the shard, whose Step releases it.
//
// A save ends when every stream has ended, every sink has committed or aborted, and every pin has been released. A sink
// that fails does not disturb others. A save that is cancelled, or whose sinks have all failed, ends its walks at once.
//
// # Bounds
//
// Chunks, pins, and the nodes that are kept for pins count in one budget. When three quarters of it are used the walk
// waits; when all of it is, Overdrawn says so, and the server lets no command begin that writes. What has begun goes on
// and may overdraw by what it changes. Indexes that were flushed are not freed meanwhile (shard.Set.Throttle).
//
// # Ownership
//
// A shardWalk belongs to who holds the baton of its shard; a chunk first to that one and then, handed over through
// the shard's queue, to one worker, who returns it to the pool. Sinks belong to the save until Done. What other
// goroutines may call is said at each function.
//
//	goroutine        owns                             woken by                 may wait for
//	coordinator      sinks: Begin, Open, Commit       end of streams and pins  disks
//	worker           the chunks it took, a shard's    full chunks              disks
//	                 streams while busy is set
//	home loop of s   walk of s, while it holds the    Options.Wake, its tick   nothing
//	                 baton
//
// # Invariants
//
//  1. Every entry of the cut is in exactly one chunk, as it was at the cut; no other entry is in any.
//  2. Chunks of a shard are encoded in the order in which they were filled, by one worker at a time.
//  3. Nodes that a chunk refers to are pinned until all sinks have got the chunk.
//  4. The last chunk of a shard is handed over once, after its last index was walked; nothing is shown afterwards.
//  5. No save begins while a pin of the last one is left.
//  6. Under a baton there is no waiting for workers, sinks or room, but in RunHeld, which is there for that.
package snapshot
