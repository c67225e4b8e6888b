package log

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	blockBytes = 1 << 20 // size of a block; every block of a shard but the newest is full

	// A mark for each 16 KiB bounds the headers that a search reads in one shard to about a hundred,
	// so that a search over 256 shards stays under a millisecond, for 0.1 % of memory.
	markShift  = 14
	markStride = 1 << markShift
	marks      = blockBytes / markStride
)

// mark is the first frame that begins in a stride of a block.
type mark struct {
	lsn  uint64 // the frame's own start
	next uint32 // its offset in the block plus 1; 0: no frame begins in this stride
}

// block is a piece of one shard's log.
//
// mem belongs to the writer behind the published tail, and to the readers, unchanging, before it. What
// describes a block is written with the baton, before the tail that makes it final is published:
// firstLSN with the first frame that has bytes in the block, endLSN and endPos with the frame that fills
// it, a stride's mark with the frame that begins there. A reader looks at no more than its tail allows.
type block struct {
	mem  []byte
	base uint64 // position in the shard's log of mem[0]; immutable while referenced

	firstLSN uint64 // own start of the frame that has the first byte
	endLSN   uint64 // own end of the frame that has the last byte
	endPos   uint64 // position behind that frame, mostly in a later block
	marks    [marks]mark

	refs atomic.Int32
	next atomic.Pointer[block] // holds a reference to it

	free *block // next in the pool's list, or the ring's; guarded by its mutex

	ring *Ring // that mem is in; nil: ordinary memory; immutable
	slot int   // … and where in it; immutable
}

// end returns the position behind the block.
func (b *block) end() uint64 { return b.base + blockBytes }

// markBefore returns the position of the last marked frame of b that starts below lsn, looking only at
// strides that are final for a reader that has seen tail.
func (b *block) markBefore(lsn, tail uint64) (pos uint64, ok bool) {
	n := marks
	if tail < b.end() {
		n = int((tail - b.base) >> markShift)
	}
	for i := n - 1; i >= 0; i-- {
		if m := b.marks[i]; m.next != 0 && m.lsn < lsn {
			return b.base + uint64(m.next-1), true
		}
	}
	return 0, false
}

// pool supplies blocks and takes them back: those of the ring as long as there are any, then others. Blocks
// that come back are kept: giving memory to the system is slow, so it is left to scavenge, in the background.
type pool struct {
	live   atomic.Int64 // blocks referenced
	kept   atomic.Int64 // blocks in the list, which has none of the ring
	limit  atomic.Int64 // most live blocks before OverLimit reports
	below  func()       // immutable; called when live falls back to limit
	poison []byte       // tests: overwrites what comes back, so that late readers are noticed

	mu       sync.Mutex
	list     *block
	least    int64 // blocks that were in the list at any time since periodNs
	periodNs int64
	spare    int64 // … and in the period before, so that they are to be given back
}

// A block that was in nobody's use for scavengePeriodNs is given back to the system, of scavengeBlocks at a time: each
// takes some 20 µs, in which the memory of the process can't grow.
const (
	scavengePeriodNs = 5_000_000_000
	scavengeBlocks   = 8
)

// get returns a block with one reference, for a shard's log from base on.
func (p *pool) get(ring *Ring, base uint64, shard int) *block {
	var b *block
	if ring != nil {
		b = ring.take(base, shard)
	}
	if b == nil {
		b = p.fromMemory()
	}
	clear(b.marks[:])
	b.base, b.firstLSN, b.endLSN, b.endPos = base, math.MaxUint64, math.MaxUint64, math.MaxUint64
	b.refs.Store(1)
	p.live.Add(1)
	return b
}

// fromMemory returns a block that is in no ring.
func (p *pool) fromMemory() *block {
	p.mu.Lock()
	b := p.list
	if b != nil {
		p.list = b.free
		b.free = nil
		p.least = min(p.least, p.kept.Add(-1))
	}
	p.mu.Unlock()
	if b == nil {
		return &block{mem: newMemory(blockBytes)}
	}
	return b
}

// release gives back one reference, and with the last one the block and its hold on the next.
func (p *pool) release(b *block) {
	for b != nil {
		left := b.refs.Add(-1)
		if left > 0 {
			return
		}
		if left < 0 {
			panic("BUG: log: block released too often")
		}
		next := b.next.Load()
		b.next.Store(nil)
		p.put(b)
		b = next
	}
}

func (p *pool) put(b *block) {
	copy(b.mem, p.poison)
	if b.ring != nil {
		b.ring.give(b)
	} else {
		p.mu.Lock()
		p.kept.Add(1)
		b.free = p.list
		p.list = b
		p.mu.Unlock()
	}
	if p.live.Add(-1) == p.limit.Load() && p.below != nil {
		p.below()
	}
}

// scavenge gives back some of the kept blocks that nobody has needed for a period, but keep of them.
func (p *pool) scavenge(nowNs, keep int64) {
	p.mu.Lock()
	if nowNs-p.periodNs >= scavengePeriodNs {
		p.spare, p.least, p.periodNs = p.least, p.kept.Load(), nowNs
	}
	var out *block
	for range min(scavengeBlocks, p.kept.Load()-keep, p.spare-keep) {
		b := p.list
		p.list, b.free, out = b.free, out, b
		p.least = min(p.least, p.kept.Add(-1))
		p.spare--
	}
	p.mu.Unlock()
	for ; out != nil; out = out.free {
		freeMemory(out.mem)
		out.mem = nil
	}
}
