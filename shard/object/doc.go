// Package object says what the payload of an entry means: the types and encodings of values, their names, and
// the strings themselves.
//
// It knows how a value is laid out and how to read and change it in an arena. It doesn't find keys, move entries or
// decide when something is freed: that is the keyspace's (package shard).
//
// # Format
//
// The low four bits of an entry's tag are the value's Kind, the high two its flags. A string is one of two kinds:
//
//	StringInline  the payload is the string; the block is at most MaxBlock bytes
//	StringPaged   the payload is 16 bytes: u64 length, u64 root of a tree of nodes (paged.go)
//
// Integers are kept as their decimal text: reading them, the most frequent thing done to a value, is then a
// copy. The names that OBJECT ENCODING gives are derived.
//
// # Ownership
//
// Everything here is used with the baton of the shard that owns the arena held. Whoever changes a value tells
// the index before (Index.BeforeChange).
package object
