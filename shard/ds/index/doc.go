// Package index holds the entries of one database of one shard: an extendible hash table off the Go heap, and the
// block format of an entry.
//
// It finds, inserts and removes references to entries by key, walks them for SCAN, snapshots, expiry and RANDOMKEY,
// and owns the one place that runs before anything in a bucket changes (walk.go). It does not allocate or free
// entries, does not know what their payloads mean and does not decide when a key is expired.
//
// # Structure
//
// A key's 64-bit hash gives a 48-bit position (position.go) and an 8-bit fingerprint. The top bits of the position
// select a directory element, which names a segment; the bits below the segment's own select a bucket of it, the
// home bucket. So positions order all entries, and that order survives every rebuild, split and merge: a place in
// it is all that SCAN, the walk and expiry need to remember.
//
// A segment is one header line and 32 or 44 lines of 64 bytes, each a bucket of nine slots (bucket.go). An entry
// that finds its home bucket full goes to the next one with room, within probeLimit buckets. Each bucket counts the
// entries that went past it and keeps a small filter of their fingerprints, so that a lookup ends at the first
// bucket that nobody like its key went past.
//
// A full segment of 32 buckets is rebuilt with 44; a full one of 44 is split into two of 32. Positions are not
// uniform but spread so that segments of one depth fill up one after the other while the table doubles
// (position.go). Both together keep the memory per key flat, and no operation touches more than one segment, or two
// when they merge.
//
// # Ownership
//
// An Index is used with its shard's baton held. Exceptions are PrefetchBucket and PrefetchEntries, which anyone may
// call at any time: they read atomics and off-heap memory that stays mapped, and use what they read for
// prefetching only.
//
// A Pos names a slot. It is valid until the next Insert, Shrink or FreeSome; Remove and Replace leave other Pos
// valid. Entry blocks belong to the caller. Callbacks must not change the index unless they say so.
//
// # Invariants
//
//  1. Every directory element names a segment whose prefix is a prefix of the element's number; a segment of depth
//     d fills 2^(D-d) neighbouring elements of a directory of depth D.
//  2. An entry lies in its home bucket or within probeLimit-1 buckets behind it, wrapping round in the segment. A
//     bucket's overflow count is the number of entries that went past it: for which it is the home bucket or lies
//     between that and theirs. The ways of those entries are set in it.
//  3. A slot is empty if and only if its fingerprint is 0.
//  4. A segment's minimum expiry is not above any of its entries' expiry, and a slot's expiry bit is set if and
//     only if its entry has one.
//  5. Those of walk.go on stamps and versions.
package index
