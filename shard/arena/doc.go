// Package arena keeps the dataset's memory outside the Go heap.
//
// A Space is one reservation of address space for the whole process. It is cut into slabs of 64 KiB which a
// pool hands out as runs: single slabs to the size classes, longer runs to big blocks. An Arena is one shard's
// allocator over a Space. It serves small blocks from slabs of one size class each and never shares a slab with
// another Arena; all Arenas carve their slabs from the same regions, so that eight nearly empty shards cost
// about as much as one.
//
// The package is not a general allocator: the caller gives the size back to Free, blocks have no headers,
// nothing is zeroed, and there is no finalisation. It knows nothing of entries, keys or values.
//
// # Ownership
//
// A Space is safe for concurrent use. An Arena is used by one goroutine at a time: whoever holds its shard's baton.
// A block belongs to the Arena that allocated it, which Space.Owner tells, and is freed there in the end. Its content
// belongs to whoever holds the reference: a value may pass from one shard to another as it is (RENAME), and what that
// one frees of it goes back by a list (returned.go).
//
// # Format
//
// A Ref is the block's distance from the Space's base in units of 8 bytes: the low 13 bits are the place in the
// slab, the others the slab's number. Slab 0 is never handed out, so 0 means "no block".
//
// What is known about a slab stands in a side table (slabMeta), one cache line a slab, off the Go heap and
// apart from the slab: a slab holds blocks and nothing else, and two shards never write the same line. Free
// blocks of a slab are chained through their first two bytes; blocks that were never handed out are not touched
// at all, so that memory becomes resident only as it is used.
//
// # Invariants
//
//  1. Every slab below the frontier is in exactly one run, and the run is either free (in one bin of the pool) or
//     used. Two free runs never touch each other.
//  2. The first and last slab of a run carry its state and, if it is free, its length.
//  3. Fields of slabMeta marked "pool" are written with the pool's mutex held; those marked "arena" by the goroutine
//     that holds the owning Arena.
//  4. A slab of a class with 0 < used < capacity is in its Arena's partial list of the class, or, while its blocks
//     are to be moved elsewhere (evacuate.go), in the list of slabs that are leaving; a full slab is in none; an
//     empty slab is the Arena's spare or back in the pool.
//  5. Arena.UsedBytes is the sum of UsableSize over its live blocks.
//  6. A block in the list of returned ones is live, and nobody refers to it.
//  7. Address space handed out once stays mapped until Close: a stale Ref may be read by a prefetch at any time.
package arena
