// Package hll estimates how many different elements were added to something, in 12 KiB at most, with a standard error
// of 0.81 %: HyperLogLog in the representation of Redis, byte for byte, and with its estimates.
//
// It works on bytes in memory of the caller's and knows nothing of keys. How a value gets there and back is the
// caller's matter; that of a dense one a few bytes are enough for most of what is done to it.
//
// # How it works
//
// The hash of an element names one of 16384 registers and a rank: how many zero bits the rest of the hash begins with,
// plus one. A register keeps the greatest rank that it has met. So adding an element twice changes nothing, the order
// doesn't matter, and the union of two streams is the greater of each pair of registers. Half of all elements have the
// rank 1, a quarter 2, and so on: from how many registers have which rank follows about how many elements there were.
//
// # Format
//
//	0   "HYLL"
//	4   encoding: 0 dense, 1 sparse
//	5   three bytes that mean nothing
//	8   the last estimate, 64 bits, little endian; the highest bit is set if it is out of date
//	16  registers
//
// Dense: 16384 registers of 6 bits, the lower bits of a byte first, 12288 bytes. Sparse: runs of registers with the
// same rank, one after the other, which together cover all registers:
//
//	00nnnnnn            ZERO   n+1 registers are 0
//	01nnnnnn nnnnnnnn   XZERO  n+1 registers are 0
//	1vvvvvnn            VAL    n+1 registers are v+1
//
// Which of the ways to write the same registers is used is part of the format, since clients compare and copy values:
// a run that is changed is split in place, and then neighbours are joined from the run before it on, five steps far.
// A sparse value becomes dense with a rank above 32 and when it would grow beyond a size that the owner sets.
//
// # Invariants
//
//  1. Whatever bytes are given, nothing outside of them is read, and loops end: every run is a byte at least.
//  2. A sparse value is sound if its runs cover 16384 registers, no more and no less, and the last one is whole. All
//     that looks at every register refuses one that is not; Raise refuses one that has no run for its register.
//  3. A sound sparse value has at most MaxSparseBytes.
//
// # Sources
//
// The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
// arXiv:1702.01284, algorithm 6. The hash is MurmurHash2 for 64 bits by Austin Appleby, which is in the public domain.
package hll
