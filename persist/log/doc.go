// Package log is the server's log in memory: every effect of every command, in one order over all
// shards, kept for as long as somebody reads it. It is what the AOF writer puts on disk, what replicas
// are fed from, and what the commit gate waits for.
//
// It is not a file format on its own (persist/aof names, writes and recovers files), it sends nothing,
// it knows no keys and no commands but SELECT, MULTI and EXEC, and it blocks nobody: a limit is
// reported, the caller parks its writers.
//
// There is one counter of bytes, the LSN, and one log per shard. A shard's holder stages the effects of
// what it executes behind the shard's published tail (ShardLog.Stage), where nobody looks, and Commit
// seals them into one frame per shard, gives them their range of the LSN and publishes them. The bytes
// of all records in LSN order are the merged stream: a position in it is the replication offset, the
// AOF position and the unit of the gate.
//
// # Format
//
// A frame is one annotation line, or two, and the records behind it. Redis's AOF loader skips lines that begin
// with '#' as long as they stay under 128 bytes, so a log, and even more so the merged stream, reads as
// an ordinary AOF. All numbers are lower-case hexadecimal of fixed width.
//
//	plain frame, 49 bytes:
//	  #F<crc:8> <incarnation:8> <start:16> <len:10>\r\n
//	piece of a commit over several shards, at most 115 bytes:
//	  #T<crc:8> <incarnation:8> <start:16> <len:10> <before:10> <whole:10> <shards:1..43>\r\n
//	before either, 16 bytes, in frames that say what time it is (SetTime; Redis's aof-timestamp-enabled):
//	  #TS:<Unix time in seconds, 10 decimal digits>\r\n
//
//	crc          CRC-32C of the line with the time, if there is one, and of all that follows in the frame,
//	             from the space before incarnation on
//	incarnation  which run of the server wrote it
//	start, len   the frame's own range: its records are the bytes [start, start+len) of the merged stream
//	before       the whole commit begins at start-before …
//	whole        … and has whole bytes
//	shards       the shards that hold a piece: a bitmap of ⌈N/6⌉ characters for N shards, six shards a
//	             character, lowest shard in the lowest bit, digits A-Z a-z 0-9 - _ ; N ≤ 256 fits in 43
//
// Records are commands in RESP, `*<n>\r\n` and n times `$<len>\r\n<bytes>\r\n`, canonical numbers. What
// is inside a frame follows three rules, so that the merged stream is right for a reader that knows
// nothing of frames (a stock replica), and a frame for one that knows nothing of its neighbours:
//
//   - Every frame starts and ends in database 0. Records of another database have a SELECT before them
//     inside the frame, and the frame ends with SELECT 0 if its last record was not in database 0.
//     (Frames of the shards interleave in an order unknown while they are staged, so no frame may count
//     on its predecessor. A SELECT in every frame would cost the usual user of database 0 a fifth of
//     his log; this costs him nothing.) SELECT bytes count to the range as all others.
//   - A transaction of more than one record is wrapped in MULTI and EXEC, which count to the range. Over
//     several shards MULTI is the first record of the first piece that has any, EXEC the last of the
//     last; pieces lie in ascending order of shards. ForEachRecord leaves both out: to a reader of
//     frames the frame, or the set of pieces, is the transaction.
//   - A barrier record (of no key, or of keys of several shards) is in the piece of the lowest of its
//     shards; the others hold a piece without records, so that whoever follows one shard knows to meet
//     the others there. All that its transaction has staged on these shards, before and after it, moves
//     to the same piece, in the order of execution: pieces reorder by shard, and that is only sound
//     between records that touch different shards.
//
// # Ownership
//
// A ShardLog's staging side belongs to the holder of the shard's baton. Commit belongs to the holder of
// all batons it names. Attach, Resume, SetLSN and UseRing belong to a transaction over all shards. Everything
// else may be called by any goroutine, except that one reader (FlowReader, ChunkReader, MergedReader)
// serves one goroutine at a time. What a reader returns aliases the log and is valid until the reader's
// next call.
//
// Blocks (1 MiB, outside the Go heap) are counted references: a block holds its successor, the list
// of a shard's retained blocks holds the oldest, the writer the one its unpublished frame begins in, a
// reader the one it stands in. Whoever stops, stops holding: nobody waits for anybody.
//
// The log is active while a Hold or a reader is open. It becomes active only inside a transaction over
// all shards, so no commit is ever half in it; it may become inactive at any time: a commit under way
// goes on into blocks that nobody will read. While it is inactive the LSN stands still although data
// changes; Attach therefore leaves a gap of one byte, so that no position of before is mistaken for one
// in the new history. Resume leaves none, for a start-up that has just recovered exactly that LSN.
//
// # The ring
//
// While the log is kept for an AOF, its newest blocks lie in a file on tmpfs (Ring, UseRing), so that a
// process that is killed leaves behind what it has published, with no system call: bytes, tails, and a
// table of which block is whose. ring.go has the layout. The next start reads it (ReadRing) and puts into
// files what they don't have yet. A commit pays one atomic store a frame, 4 ns of 70; a block its entry in
// the table when it is taken, and when it is given back.
//
// What a killed process leaves is what each of its threads had stored, in the order of its program, up to
// some instruction. So the order of a commit's stores is what counts: entry of the block, bytes, the
// ring's tail, the log's tail. It may end between any two, also with some pieces of a transaction
// published; nobody was answered then.
//
// The ring is of one size. When it is used up (the files lag, or somebody reads from far behind) blocks
// are taken from ordinary memory, beside the ring, and what is in those is safe only once it is written
// to files: SafeLSN counts both, and AllSafe tells the common case that nobody has to wait. A backlog is
// moved out of the ring by EvacuateRing. Where there is no ring, safe is what is written.
//
// A start-up reads the ring of the incarnation that the manifest names last, brings the files up to it,
// commits the next incarnation, and only then replaces it: SetIncarnation, CreateRing, UseRing, Resume. A
// clean stop closes the ring once the files are synced. To turn the ring off, UseRing(nil) comes first.
//
// Memory on tmpfs outlives the process, but no restart of the system, and not the mount: where the server
// is the first process of a container, /dev/shm ends with it.
//
// # Invariants
//
//  1. Ranges tile the LSN: each commit takes [a, b) by one addition, its frames split it without a gap.
//  2. Within one shard's log frames are in LSN order (commits of a shard are serialised by its baton).
//  3. Bytes below a published tail never change, and a tail stands only at the end of a frame.
//  4. Contiguous never exceeds the start of a range of which a frame is unpublished, and never falls.
//  5. A frame is readable alone: it starts and ends in database 0.
//  6. LSNs from Oldest on are readable; those above LSN()−BacklogBytes are not forgotten as long as
//     memory is within its limit.
//  7. A ring's tail is the end of a frame that is sealed, and never below the tail that readers see; the entry of a
//     block in the ring is there before a byte of it is published, and as long as the block is held.
//  8. What lies below SafeLSN is published, and in the ring or in files.
//
// # Why the contiguous LSN cannot pass an unpublished frame
//
// A commit K does, in this order: for each of its shards s, pending[s] = lsn (a load and a store); take
// [a, b) by one addition to lsn; publish the tail of each s; clear each pending[s]. Contiguous loads
// lsn, then every pending[s], and returns the least value c. Go's atomics are sequentially consistent,
// so there is one order of all these steps. Let a < c. If K's addition came after Contiguous's load of
// lsn, that load saw at most a, and c ≤ a. So the addition, and the stores of pending before it, came
// before the loads of pending. Such a load saw K's own value, which was read from lsn before the
// addition, so is at most a, and c ≤ a; or a later value of pending[s], and the next one is K's clearing,
// which comes after K's tails. So all of K is published. (A store of pending after the addition leaves
// a moment at which K is nowhere to be seen; a test plants this fault.) As pending is read from lsn
// some time before it is stored, a later call may compute less than an earlier one: the earlier one
// stays true, so the greatest value is kept and returned.
//
// # Why what is below SafeLSN is safe
//
// Before a frame gets its first byte beside the ring, because the shard's writer stands there or takes a block
// there, exposedFrom = lsn is stored, unless one is there already, which is less. The frame is committed later,
// so it does not start below that. SafeLSN loads the contiguous LSN c first: a frame below c was published
// before, and exposedFrom was stored before that. So SafeLSN, at most exposedFrom, does not pass it, until
// exposedFrom rises to an LSN below which all is written, or ends, which it does only when nothing is staged and
// the shard's last commit is written; the next frame beside the ring stores it anew. So a shard that rests
// beside the ring is in nobody's way. As with Contiguous, the greatest value found stays true and is kept.
//
// # Why no wake-up is lost
//
// As with the contiguous LSN: a reader arms itself and then looks once more; a commit publishes, clears,
// and then looks who is armed.
package log
