// Package check is what the command fulmen-check does: it verifies, repairs, shows and converts snapshots and
// append-only files, Fulmen's and Redis's, analyses the former and truncates the latter, without a server.
//
// A snapshot is a manifest with its segments or an RDB file, of any version that package rdb reads, compressed with lz4
// or not. Everything that is said about a value is said after it has been built as the server would build it, one key
// at a time in a shard of its own (scratch.go). So what verify finds to be in order is what a server loads, the sizes
// that analyse tells are those that the server would need, and what convert writes is written by the code that saves.
// It needs memory for the biggest value, not for the snapshot.
//
// Append-only files are gone through as a start does (aof_walk.go): commits by LSN, up to the end of each incarnation
// or, where there is none, to the first hole. What a server that was killed has left in memory counts as if it were in
// the files already (aof_ring.go). To cut one off, at an LSN or before damage, a manifest is committed by which the
// incarnation has ended there; files change only where a torn end is cut off or what is in memory is added, as the
// server itself would (aof.Recover). Redis's files are cut where they are.
//
// # Ownership
//
// One goroutine does everything. Snapshots are only read, and new files that repair and convert make never replace one
// that is there. Append-only files are changed by repair and truncate, which take the directory of Fulmen's as a server
// does; Redis's nobody takes.
//
// # Exit codes
//
//	0  done, nothing wrong
//	1  the snapshot or the append-only file is damaged
//	2  it was called wrongly, or a file could not be read or written
package check
