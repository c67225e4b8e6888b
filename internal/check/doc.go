// Package check is what the command fulmen-check does: it verifies, repairs, shows, converts and analyses snapshots,
// Fulmen's and Redis's, without a server.
//
// A snapshot is a manifest with its segments or an RDB file, of any version that package rdb reads, compressed with lz4
// or not. Everything that is said about a value is said after it has been built as the server would build it, one key
// at a time in a shard of its own (scratch.go). So what verify finds to be in order is what a server loads, the sizes
// that analyse tells are those that the server would need, and what convert writes is written by the code that saves.
// It needs memory for the biggest value, not for the snapshot.
//
// # Ownership
//
// One goroutine does everything. Files are only read, but for new ones that repair and convert make; those never
// replace a file that is there.
//
// # Exit codes
//
//	0  done, nothing wrong
//	1  the snapshot is damaged
//	2  it was called wrongly, or a file could not be read or written
package check
