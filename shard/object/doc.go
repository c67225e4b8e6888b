// Package object says what the payload of an entry means: the types and encodings of values, their names, and
// how strings and collections are laid out.
//
// It knows how a value is laid out and how to read and change it in an arena. It doesn't find keys, move entries or
// decide when something is freed: that is the keyspace's (package shard).
//
// # Format
//
// The low four bits of an entry's tag are the value's Kind, the high two its flags. A value is of one of two kinds for
// its type, a small and a big one, but for streams, which are always of the big one:
//
//	StringInline  the payload is the string; the block is at most MaxBlock bytes
//	StringPaged   the payload is the descriptor of a paged string (package tree), 16 bytes
//	…Packed       a collection as a sequence of items in the payload (packed.go, for fields that expire hash.go)
//	…Tree         a collection in trees of nodes: the payload has the descriptors of two (nodes.go), and what else
//	              there is to say of a stream (stream.go)
//
// Which encoding a collection is said to have is another matter: two flags say that.
//
// Integers are kept as their decimal text: reading them, the most frequent thing done to a value, is then a
// copy. The names that OBJECT ENCODING gives are derived.
//
// # Ownership
//
// Everything here is used with the baton of the shard that owns the arena held. Whoever changes a value tells
// the index before (Index.BeforeChange).
package object
