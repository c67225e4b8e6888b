package snapshot

import (
	"sync/atomic"
	"unsafe"

	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

const (
	// stepEntries is how many entries a walk looks at between two looks at the clock and at the budget, at some 50 ns
	// each, 1 µs if they are as big as they can be.
	stepEntries = 32
	// stepBlocks is how many blocks that a pin has kept are freed in one go.
	stepBlocks = 128
)

// shardWalk is one shard's part in the running save. Held with the baton, but for what is said to be atomic.
type shardWalk struct {
	// immutable
	sv    *Saver
	s     *shard.Shard
	parts []part // by database

	save   *Save // nil: it has no part in any
	at     int   // the database that is being walked
	walked bool  // everything has been shown, and handed over
	pins   int   // made and not released
	ending []shard.Pinned

	cur  *chunk // being filled; nil: none
	mem  unsafe.Pointer
	fill int // bytes of it in use
	size int // of it

	keys, bytes int64 // shown so far, and their blocks' bytes in chunks
	stepped     int64 // of these bytes, those that the walk's own steps have copied
	published   struct{ keys, copied int64 }

	// atomic; shared with workers
	_     [64]byte
	queue queue
	busy  atomic.Bool // a worker is at it
	read  pinStack    // pins that were read
}

// part is one database's.
type part struct {
	w     *shardWalk
	head  uint64 // of records: the database's number, shifted
	x     *index.Index
	visit func(e index.Entry) // part.show, as a value
}

func (w *shardWalk) init(sv *Saver, s *shard.Shard) {
	w.sv, w.s, w.parts = sv, s, make([]part, s.Set().Databases())
	for i := range w.parts {
		p := &w.parts[i]
		p.w, p.head = w, uint64(i)<<32
		p.visit = p.show
	}
}

// begin is the shard's share of the cut.
func (w *shardWalk) begin(v *Save, id uint16, counts []dbCount) {
	w.save, w.at, w.walked, w.pins = v, 0, false, 0
	w.keys, w.bytes, w.stepped = 0, 0, 0
	w.published.keys, w.published.copied = 0, 0
	for i := range w.parts {
		db := w.s.DB(i)
		x := db.Index()
		if x.Len() == 0 {
			continue // what comes later is none of its business
		}
		counts[i] = dbCount{x.Len(), db.Expires()}
		if db.FieldExpires() > 0 {
			v.cut.Version = 12
		}
		w.parts[i].x = x
		x.BeginWalk(id, w.parts[i].visit)
	}
}

// show is what the walk, and whoever is going to change an entry that the walk has not come to, calls with each entry
// of the cut. It copies the block as it is and never waits.
func (p *part) show(e index.Entry) {
	w := p.w
	n := e.SizeBytes()
	need := recordHeader + padded(n)
	if w.fill+need > w.size {
		w.room(need)
	}
	at := unsafe.Add(w.mem, w.fill)
	head := p.head | uint64(n)
	w.fill += need
	w.cur.keys++
	w.keys++
	w.bytes += int64(n)
	copy(unsafe.Slice((*byte)(unsafe.Add(at, recordHeader)), n), unsafe.Slice((*byte)(e.Pointer()), n))
	if object.HasNodes(e.Tag()) {
		head |= recordPinned
		w.pin(e)
	}
	*(*uint64)(at) = head
}

// pin has the nodes of the value in e stay as they are until they have been written.
func (w *shardWalk) pin(e index.Entry) {
	if w.sv.fault == faultNoPin {
		w.cur.pins = append(w.cur.pins, shard.Pinned{})
		return
	}
	w.cur.pins = append(w.cur.pins, w.s.Pin(e))
	w.pins++
	w.sv.pinned.Add(1)
	if len(w.cur.pins) == chunkPins {
		w.size = 0 // the next entry has another chunk
	}
}

// room makes room for a record.
func (w *shardWalk) room(need int) {
	w.handOver(false)
	w.cur = w.sv.pool.take(need + chunkSlack)
	w.mem, w.fill, w.size = unsafe.Pointer(&w.cur.mem[0]), 0, len(w.cur.mem)-chunkSlack
}

// handOver gives the chunk that is being filled to the workers; last says that there will be none after it.
func (w *shardWalk) handOver(last bool) {
	c := w.cur
	if c == nil {
		if !last {
			return
		}
		c = &chunk{}
	}
	c.used, c.last = w.fill, last
	w.cur, w.mem, w.fill, w.size = nil, nil, 0, 0
	w.queue.push(c)
	w.save.ring()
}

// Step goes on with a shard's part in the running save, until the time untilNs of the set's clock or as long as it
// can, and reports whether it could go on at once. It also releases what has been read. Call it regularly while a save
// is running, and soon if there is more to do or Options.Wake was called. The shard's baton is held.
func (sv *Saver) Step(s *shard.Shard, untilNs int64) (more bool) {
	w := &sv.walks[s.ID]
	for more = w.save != nil; more; {
		if more = w.some(); more && sv.set.Clock.NowNs() >= untilNs {
			break
		}
	}
	if w.save != nil {
		w.publish()
		sv.relax()
	}
	return more
}

// some does a little, and reports whether it could.
func (w *shardWalk) some() bool {
	switch {
	case w.unpinSome():
		return true
	case w.walked:
		if w.pins == 0 {
			w.publish()
			v := w.save
			w.save = nil
			v.shardEnds()
		}
		return false
	case w.save.cancelled.Load():
		w.end()
		return true
	case !w.hasRoom():
		return false
	}
	p := &w.parts[w.at]
	if p.x == nil {
		w.next()
		return true
	}
	before := w.bytes
	done := p.x.WalkStep(stepEntries)
	w.stepped += w.bytes - before
	if done {
		p.x.EndWalk()
		p.x = nil
		w.next()
	}
	return true
}

// next goes on with the next database.
func (w *shardWalk) next() {
	if w.at++; w.at == len(w.parts) {
		w.end()
	}
}

// end ends the walk of what is left.
func (w *shardWalk) end() {
	for i := range w.parts {
		if p := &w.parts[i]; p.x != nil {
			p.x.EndWalk()
			p.x = nil
		}
	}
	w.walked = true
	w.handOver(true)
	w.save.shardWalked()
}

// hasRoom reports whether the walk may go on. If it may not, and workers have nothing of this shard's, they get what
// there is: what is pinned there might be all that the budget is used up for.
func (w *shardWalk) hasRoom() bool {
	sv := w.sv
	if sv.fault == faultFlow || sv.goesOn(sv.blocked.Load()) {
		return true
	}
	sv.blocked.Store(true)
	if w.queue.empty() && !w.busy.Load() {
		w.handOver(false)
	}
	return false // Step looks once more whether there is room by now
}

// unpinSome releases some of the pins that were read, and reports whether there were any.
func (w *shardWalk) unpinSome() bool {
	if len(w.ending) == 0 {
		if w.ending = w.read.takeAll(w.ending); len(w.ending) == 0 {
			return false
		}
	}
	last := len(w.ending) - 1
	if w.s.Unpin(&w.ending[last], stepBlocks) {
		w.ending[last] = shard.Pinned{}
		w.ending = w.ending[:last]
		w.pins--
		w.sv.pinned.Add(-1)
	}
	return true
}

// publish lets others see how far the walk has come.
func (w *shardWalk) publish() {
	v := w.save
	v.walkedKeys.Add(w.keys - w.published.keys)
	copied := w.bytes - w.stepped
	v.copied.Add(copied - w.published.copied)
	w.published.keys, w.published.copied = w.keys, copied
}

// pinStack is a list of pins from workers to the holder of the baton. Lock-free.
type pinStack struct {
	newest atomic.Pointer[pinBatch]
}

type pinBatch struct {
	pins []shard.Pinned
	next *pinBatch
}

// push hands pins over; the slice is the stack's.
func (st *pinStack) push(pins []shard.Pinned) {
	b := &pinBatch{pins: pins}
	for {
		b.next = st.newest.Load()
		if st.newest.CompareAndSwap(b.next, b) {
			return
		}
	}
}

// takeAll appends all pins to dst.
func (st *pinStack) takeAll(dst []shard.Pinned) []shard.Pinned {
	if st.newest.Load() == nil {
		return dst
	}
	for b := st.newest.Swap(nil); b != nil; b = b.next {
		dst = append(dst, b.pins...)
	}
	return dst
}
