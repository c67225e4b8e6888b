package snapshot

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"fulmen/shard"
	"fulmen/shard/ds/index"
)

// A chunk is a piece of memory with copies of entries as they were at the cut, one after the other:
//
//	u64  bits 0–31 the size of the entry in bytes, bits 32–47 its database, bit 63: its value is pinned
//	     the entry's block (package index), padded to 8 bytes
//
// The pins of those that have one stand in the same order in a list beside the memory. Numbers are in the machine's
// order.
const (
	recordHeader = 8
	recordPinned = 1 << 63

	// maxChunkBytes and minChunkBytes bound the size of chunks; an entry that is bigger has one of its own.
	maxChunkBytes = 128 << 10
	minChunkBytes = 16 << 10
	// chunkSlack bytes at its end are not used: no view of a record points behind the memory.
	chunkSlack = 8
	// chunkPins is how many pins a chunk may have: what a chunk holds stays pinned until all of it has been written.
	chunkPins = 64
	// pinBytes is what a pin counts in the budget beside what it keeps.
	pinBytes = 512
)

type chunk struct {
	mem  []byte
	used int
	keys int
	pins []shard.Pinned
	last bool   // the shard's last one
	next *chunk // in a queue
}

// each calls fn for each record until it returns false.
func (c *chunk) each(fn func(db int, e index.Entry) bool) {
	for at := 0; at < c.used; {
		head := *(*uint64)(unsafe.Pointer(&c.mem[at]))
		at += recordHeader
		if !fn(int(head>>32&0xFFFF), index.EntryAt(unsafe.Pointer(&c.mem[at]))) {
			return
		}
		at += padded(int(uint32(head)))
	}
}

func padded(n int) int { return (n + 7) &^ 7 }

// queue is a list of chunks from the holder of a baton to the worker whose turn the shard is. Lock-free.
type queue struct {
	newest atomic.Pointer[chunk]
}

func (q *queue) empty() bool { return q.newest.Load() == nil }

func (q *queue) push(c *chunk) {
	for {
		c.next = q.newest.Load()
		if q.newest.CompareAndSwap(c.next, c) {
			return
		}
	}
}

// takeAll returns the chunks, oldest first.
func (q *queue) takeAll() (list *chunk) {
	for c := q.newest.Swap(nil); c != nil; {
		next := c.next
		c.next = list
		list, c = c, next
	}
	return list
}

// pool has the chunks of all shards. Any goroutine may use it; its mutex is held for a few instructions, once in a
// chunk.
type pool struct {
	chunkBytes int // of a save; changed between saves
	budget     atomic.Int64
	used       atomic.Int64 // bytes of chunks in use
	peak       atomic.Int64

	mu   sync.Mutex
	free []*chunk // the last one was used last, and is in the cache
}

// setChunkBytes chooses the size of chunks for a save: those that the shards are filling must not use up the budget.
func (p *pool) setChunkBytes(shards int) {
	n := p.budget.Load() / int64(8*shards)
	p.chunkBytes = int(min(max(n, minChunkBytes), maxChunkBytes)) &^ 7
}

// take returns a chunk with room for n bytes.
func (p *pool) take(n int) (c *chunk) {
	if n <= p.chunkBytes {
		n = p.chunkBytes
		c = p.spare()
	}
	if c == nil {
		c = &chunk{mem: newMemory(n, false)}
	}
	p.count(int64(len(c.mem)))
	return c
}

func (p *pool) spare() *chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	if last < 0 {
		return nil
	}
	c := p.free[last]
	p.free = p.free[:last]
	return c
}

// count adds to what is in use.
func (p *pool) count(n int64) {
	if used := p.used.Add(n); used > p.peak.Load() {
		p.peak.Store(used) // a rival's may be lost: it was no lower by much
	}
}

// give takes a chunk back that nobody refers to.
func (p *pool) give(c *chunk) {
	if c.mem == nil {
		return
	}
	p.count(-int64(len(c.mem)))
	clear(c.pins)
	*c = chunk{mem: c.mem, pins: c.pins[:0]}
	if !p.keep(c) {
		freeMemory(c.mem)
	}
}

func (p *pool) keep(c *chunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(c.mem) != p.chunkBytes || int64(len(p.free)*p.chunkBytes) >= p.budget.Load() {
		return false
	}
	p.free = append(p.free, c)
	return true
}

// prepare makes up to n spare chunks that are resident already.
func (p *pool) prepare(n int) {
	for p.spares() < n && p.used.Load() < p.budget.Load() {
		if c := (&chunk{mem: newMemory(p.chunkBytes, true)}); !p.keep(c) {
			freeMemory(c.mem)
			return
		}
	}
}

func (p *pool) spares() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free)
}

// empty gives the memory of all spare chunks back.
func (p *pool) empty() {
	for c := p.spare(); c != nil; c = p.spare() {
		freeMemory(c.mem)
	}
}
