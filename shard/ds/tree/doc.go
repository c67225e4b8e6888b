// Package tree holds big values: counted B+-trees of small nodes, and strings in pages, off the Go heap.
//
// It stands alone: it knows no keys and no commands, only blocks of an arena (package arena). What a tree means is the
// business of package object, who may change it that of package shard.
//
// # Trees
//
// A Tree is a sequence of items in leaves of at most 4 KiB under inner nodes that know how many items lie below each
// of their children. So an item is found by its rank, and its rank is known when it has been found; nothing is ever
// rebuilt as a whole. An Order says what an item consists of and how items are sorted:
//
//	ByRank        body                   where they were put: lists
//	ByHash        u32 key, body          by the hash of the body: sets
//	ByHashPair    u32 key, body          by the hash of the member that the body begins with: hashes
//	ByScore       u64 key, body          by key, then by the body's bytes: sorted sets, expiries of fields
//	ByValue       u64 key                by key: sets of integers
//	ByHashScore   u32 key, u64 value     by key: from members of a sorted set to their scores
//	ByID          u64 key, u64 value, body   by both numbers: nodes of streams; bodies are always spilled
//
// Items with equal keys in an order by hash stand in no particular order; whoever looks for one looks at the whole run.
//
// # Format
//
// A node begins with 16 bytes; numbers are in the machine's order.
//
//	 0  u32  version: the number of the last cut when the node was made (heap.go)
//	 4  u16  size of the block in units of 8 bytes (bits 0–11), level (bits 12–15)
//	 6  u16  slots in use
//	 8  u16  offset of the lowest body; the block's size if there is none
//	10  u16  bytes of bodies above it that are no longer in use
//	12  u32  bodies that are spilled
//
// Slots follow, from left to right, and bodies from the block's end downwards. A slot of a leaf is the item's key and
// value, if its order has them, and, if it has bodies, the u16 offset of the body: its length, one or two bytes, and
// its bytes. A body longer than MaxInline is spilled: bit 15 of the offset is set, and the 16 bytes there are the
// descriptor of a paged string (paged.go). A slot of an inner node is u64 a lower bound of the keys under a child, not
// below the keys left of it, u64 the child, u64 the number of items under it. There are no separators beside keys:
// where keys are equal, the child's first item is looked at.
//
// Blocks are only as big as what they hold asks for, and a little bigger: a leaf that grows moves to a block an eighth
// larger, until it has NodeBytes and is split in halves, or, at either end of the tree, so that a tree that grows
// there is full.
//
// # Ownership
//
// Everything is used with the baton of the shard that the value belongs to. A Path and what it gives are valid until
// the next change of the tree, and for good if the tree is pinned.
//
// # Invariants
//
//  1. A node changes only behind Heap.own: one that a pin still reads is copied first.
//  2. No node is bigger than NodeBytes, no leaf and no inner node but the root is empty, and a root has two children or
//     is a leaf.
//  3. The count in an inner slot is the number of items under the child, its key a lower bound of theirs and an upper
//     bound of those left of it.
package tree
