// Package replica is replication as far as it needs no session and no data: what names a history, where replicas get
// their bytes from, and what is sent to one of them. It knows no commands beyond those of the stream itself; who may
// follow, what is loaded and what a cut is, the server decides (internal/server).
//
// # Positions
//
// A position is an LSN: the number of bytes of the stream before it, which is what Redis calls the replication offset
// (master_repl_offset, the number in +FULLRESYNC and in REPLCONF ACK). PSYNC alone names the next byte that is wanted,
// the first byte of a history being 1: PSYNC <id> <n> asks for what follows position n-1.
//
// # Ownership
//
// A History is immutable. A Source serves one goroutine at a time; everything else says at each function who may call.
package replica
