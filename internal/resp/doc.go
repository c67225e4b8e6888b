// Package resp is the wire protocol: it parses commands, encodes replies, words errors and reads replies.
//
// It knows RESP2, RESP3 and inline commands as Redis 7.0 speaks them, down to the texts of protocol errors, the
// strictness of numbers and the digits of floating-point replies. It is a leaf: it knows no command, no connection and
// no keyspace, and does no input or output but in [Reader], which is for tests, tools and clients.
//
// # Commands
//
//	*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n    an array of bulk strings
//	SET k "a value"\r\n                          inline: words, quoted as in a shell (see SplitArgs)
//
// # Ownership
//
// A [Parser] belongs to one connection and keeps no bytes: the arguments it returns alias the buffer it was given and
// are good until that buffer is written to. The Append functions own nothing; like append, they return the extended
// slice. Errors in errors.go are shared and must not be changed.
//
// # Invariants
//
//  1. No allocation depends on a number that the peer claims; memory grows with bytes that have arrived.
//  2. The commands parsed do not depend on how the bytes were cut into reads.
//  3. An error reply is one line, whatever is quoted in it.
package resp
