// Package aof writes the server's log to files, so that it outlives the process and power cuts, and reads such files
// back.
//
// It has the manifest that says which files belong together (Manifest), the Writer that copies the frames of all
// shards' logs (package log) to INCR files and syncs them by the policy of appendfsync, the IncrReader that takes
// such a file apart again, the Rewriter that makes an AOF short again and decides what is kept of it as history
// (rewrite.go has the protocol), and what a start does: Recover makes the files of the last life what the data is,
// Load has them executed by an Applier. It does not write BASE files, nor read those that are RDB files (package
// snapshot does), it runs no commands, it answers no client (the commit gate reads WrittenLSN and SyncedLSN), and it
// decides nothing about when to rewrite.
//
// # The files
//
// In the directory of appenddirname, the AOF of appendfilename appendonly.aof is
//
//	appendonly.aof.manifest               names all others; replaced as a whole, by rename
//	appendonly.aof.<seq>.base.<shard>.rdb what the shard held at a cut; or .aof: the same as commands in RESP
//	appendonly.aof.<seq>.incr.<shard>.aof what was committed from there on
//
// Each life of the server (incarnation) has INCR files of its own, one for each shard, and so has each rewrite from its
// cut on. An INCR file is a header of HeaderBytes, which RESP loaders skip, and then the frames as they are in the
// shard's log: the byte at position p of the log is at offset HeaderBytes + (p - Header.Pos). header.go and
// manifest_text.go have the formats. A file is made before it is known where it begins, so that a manifest can name it
// before anything is written to it; without a header it is one without frames.
//
// Redis's append-only files are found (FindForeign) and loaded (LoadForeign), too: foreign.go says what becomes of
// them.
//
// # How the log gets to the disk
//
// The Writer's goroutine does this over and over (round.go): read the contiguous LSN; then, for each shard, write all
// that its log has, straight from the log's blocks, a block a write(2) if there is so much; then all below that LSN is
// written. A job then syncs all files with something new, at the same time (job.go); when it is through, all below that
// LSN is synced. Under always the next job begins when the one before is done, so what has come meanwhile shares one:
// group commit. Under everysec one begins every 250 ms and runs in a goroutine of its own while writing goes on; what
// nobody waits for (Options.Prompt) is written then, or when there is much. Under no there are jobs only when files are
// changed and at the end.
//
// What is not synced stays in the log's blocks. When a sync fails the system may have dropped what it could not write:
// the Writer goes back to the last good sync, writes all from there on once more to where it was, and syncs that. Until
// that has worked Err tells, and SyncedLSN stands still. (Under no the log does not keep what is not synced. If a sync
// fails then, what the system has dropped is lost to a power cut, and SyncedLSN stands still until new files begin.)
//
// What has lasted the system need not keep in memory (vfs.File.Forget): it is told so, but for the newest 64 MiB. And
// under everysec and no the Writer says when it is about to make system calls and when it has made them
// (Options.Beside), because the Go scheduler has to have a processor for it only then.
//
// Room on the disk is taken before it is written to, so a full disk is an error of Allocate or write(2) and leaves what
// is there as it is; the Writer tries again after 50 ms, and up to 1 s, until there is room.
//
// # Measured
//
// On two busy cores and ext4, 8 shards, SETs of 64 bytes, each client waiting for its commit under always, commits a
// second, medians of three (BenchmarkGroupCommit):
//
//	                                                  50 clients   200 clients
//	fdatasync of one file after the other                  5,600        13,600
//	of all at once (vfs.Syncer), room only allocated      11,400        28,200
//	of all at once, zeros written ahead                   28,600        56,100
//
// So that is what is done under always: a sync that changes no length and no extent doesn't wait for the file system's
// journal, which all files, and all else on the disk, share. The zeros cost every byte to be written twice, in pieces
// of 256 KiB; under the other policies that buys nothing and is left out. A loader takes zeros at the end for the end.
//
// Tried with 50 clients where others want ten times what the two cores have, medians of five; what is done has 31,000
// commits a second at 5.1 µs of processor time there. Writing while a job is under way: 17,000 at 6.7 µs. Telling the
// system to begin to write (File.WriteBack) before the syncs: 20,000 at 7.5 µs. Two jobs under way at a time: 27,000 at
// 9.5 µs, as rounds get smaller; but a whole server on one core, which waits more than it works, went from 2,955 to
// 3,736 SETs a second. It would need descriptors of its own for each job: the system reports an error once to each.
//
// Under everysec the Writer takes 0.6 ns of processor time a byte (64 ns a SET), nearly all of it the kernel's copy
// (BenchmarkEverySec); written promptly it is three times that, as there are more and shorter writes. The event loops
// pay for staging and committing, as for any reader of the log, and for a wake-up after a rest. Looking every 4 ms in
// place of 20 costs a SET a tenth more, every 100 ms for up to 8 MiB nothing less. O_DIRECT would save two fifths of
// the kernel's part, but no frame lies in memory as its sector needs it, and a write takes milliseconds then.
//
// On a virtual machine, one core, SETs of 64 bytes at pipeline 16: 0.67 to 0.70 µs of processor time a SET if the
// system is told to forget the files, 0.61 to 0.63 without files. Else it is the same at first, and 0.83 to 1.08 once
// they take memory that the machine has not used before, each page of which the host has to find.
//
// # Ownership
//
//	goroutine       owns                                woken by                          may wait for
//	Writer's        streams, files, the job unless it   a commit after a rest, timers,    disk (write, and under
//	                runs                                calls, the end of a job           always sync)
//	a job's         files and errs of the job           started by the Writer's           disk
//	caller of       nothing of the Writer               -                                 disk: Prepare, Close
//	Prepare, Start, Close
//	Recover's, one  its shard's files                   Recover                           disk, the merge
//	a shard
//	Load's, one     its shard's records                 Load                              its reader, other lanes
//	a shard
//	their readers,  a shard's or foreign files          batches given back                disk
//	if any
//
// A Writer's Prepare, Start, Switch and Close are called by one goroutine at a time, whoever controls it; Switch under
// all batons. Everything else may be called by any goroutine at any time. A Manifest belongs to whoever holds it, an
// IncrReader to one goroutine; the frame that it returns is valid until its next call. The event loops have nothing to
// do with the Writer but one wake-up when something is committed after a rest.
//
// # Invariants
//
//  1. A manifest on the disk names only files that are there, complete as far as it says, with their names synced.
//  2. SyncedLSN never exceeds an LSN below which all frames were synced in the files of all shards; WrittenLSN likewise
//     for written. Neither ever falls.
//  3. The log's blocks are held until what is in them is synced (under no: written).
//  4. After a failed sync nothing since the last good one counts as synced before it was written again.
//  5. A byte of a shard's log is in one file only: the one that has the last switch at or before its position.
//  6. The mark in a header never exceeds SyncedLSN.
//  7. A file's number is never used again while a manifest names it.
//  8. The data is what the live BASE files hold, nothing if there are none, and then the frames of the live INCR files
//     that start at or behind the BASE's LSN and before the end of their incarnation. So INCR files that are made
//     before there is a BASE for what was there already have to be history until there is one. A commit over several
//     shards is executed as a whole or not at all.
//  9. An incarnation has ended in the manifest before the next one begins, and before its ring is given up; what it
//     has beyond its end never comes back.
package aof
