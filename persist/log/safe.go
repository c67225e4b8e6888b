package log

import "sync/atomic"

// safety is what tells how much of the log outlives the end of the process.
type safety struct {
	ring    atomic.Pointer[Ring] // in use; changed while all batons are held
	written atomic.Uint64        // everything below is in files
	exposed atomic.Int32         // shards whose exposedFrom is not unexposed
	found   atomic.Uint64        // greatest safe LSN found with this ring
}

// unexposed is the value of exposedFrom of a shard all of whose frames are in the ring or known to be written.
const unexposed = noPending

// UseRing has blocks come from r, which is for these shards and this incarnation, as long as it has any; nil: from
// ordinary memory again. It must be called inside a transaction over all shards, with nothing staged. A log that is
// active goes on in the blocks that it is in, so what each shard commits until its block is full is safe once it is
// written; one that becomes active later begins in the ring. A ring that is no longer used keeps its blocks until
// nobody reads them.
func (l *Log) UseRing(r *Ring) {
	if r != nil && (r.identity.Shards != len(l.shards) || r.identity.Incarnation != l.incarnation) {
		panic("BUG: log: ring of another log")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.ring.Load()
	if r == old {
		return
	}
	l.ring.Store(nil)
	l.exposed.Store(0)
	l.found.Store(0)
	if r != nil {
		r.use(true)
	}
	for i := range l.shards {
		l.shards[i].useRing(r, l.users > 0)
	}
	l.ring.Store(r)
	if old != nil {
		old.use(false)
	}
}

// useRing makes r, or none, the one that the tail is published in. The baton is held.
func (s *ShardLog) useRing(r *Ring, active bool) {
	if s.open || s.member {
		panic("BUG: log: ring changed with something staged")
	}
	if !active && s.first != nil { // restart will take another
		s.log.pool.release(s.first)
		s.first, s.cur, s.off = nil, nil, 0
	}
	s.ringTail = nil
	s.mu.Lock()
	s.exposedFrom.Store(unexposed)
	s.mu.Unlock()
	if r == nil {
		return
	}
	s.ringTail = r.tail(s.id)
	s.ringTail.Store(tailWord(s.pub))
}

// Ring returns the ring in use, nil if there is none.
func (l *Log) Ring() *Ring { return l.ring.Load() }

// AllSafe reports whether everything whose Commit has returned is in the ring, or in files, so that no reply has to
// wait for the sake of kill -9. It is two loads. Without a ring it is false.
func (l *Log) AllSafe() bool { return l.ring.Load() != nil && l.exposed.Load() == 0 }

// SafeLSN returns an LSN below which every frame is published and outlives the end of this process: it is in the ring,
// or in files as SetWritten has said; without a ring it is what SetWritten has said. What is in the ring stays there as
// long as a Hold or a reader keeps it in memory: a writer of files must have written what it has got before it asks its
// reader for more. SafeLSN never falls but by UseRing and SetLSN, and counts from the LSN at UseRing and Attach: what
// was before is the business of whoever turns the ring on.
func (l *Log) SafeLSN() uint64 {
	if l.ring.Load() == nil {
		return l.written.Load()
	}
	// A frame below this was exposed, if it is, before it was published.
	safe := l.Contiguous()
	if l.exposed.Load() != 0 {
		for i := range l.shards {
			safe = min(safe, l.shards[i].exposedFrom.Load())
		}
		safe = max(safe, l.written.Load())
	}
	for {
		old := l.found.Load()
		if safe <= old {
			return old
		}
		if l.found.CompareAndSwap(old, safe) {
			return safe
		}
	}
}

// SetWritten says that every frame below lsn, which is at most Contiguous, has been written to files, synced or not.
// Only the one writer of the files calls it. It costs a store, and some microseconds while there is something beside
// the ring.
func (l *Log) SetWritten(lsn uint64) {
	l.written.Store(lsn)
	if l.exposed.Load() == 0 {
		return
	}
	for i := range l.shards {
		if s := &l.shards[i]; s.exposedFrom.Load() != unexposed {
			s.mu.Lock()
			s.wrote(lsn)
			s.mu.Unlock()
		}
	}
}

// expose notes, before anything is published there, that the frame that is staged gets bytes in a block that is not in
// the ring. It is not committed yet, so it does not begin below the present LSN. The baton is held.
func (s *ShardLog) expose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exposedTo = unexposed
	if s.exposedFrom.Load() == unexposed {
		s.exposedFrom.Store(s.log.lsn.Load())
		s.log.exposed.Add(1)
	}
}

// unstaged notes that nothing is staged any more: all frames with bytes beside the ring end at or below the end of the
// last commit, and expose is called before there is another. So a shard that stands beside the ring and rests is
// exposed no longer than until it is written. The baton is held.
func (s *ShardLog) unstaged() {
	if s.exposedFrom.Load() == unexposed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exposedTo = s.last
	s.wrote(s.log.written.Load())
}

// wrote takes note of what was written. The mutex is held.
func (s *ShardLog) wrote(lsn uint64) {
	from := s.exposedFrom.Load()
	switch {
	case from == unexposed:
	case lsn >= s.exposedTo:
		s.exposedFrom.Store(unexposed)
		s.log.exposed.Add(-1)
	case lsn > from:
		s.exposedFrom.Store(lsn)
	}
}

// beside reports whether there is a ring in use, and b is not in it. The baton is held.
func (s *ShardLog) beside(b *block) bool { return s.ringTail != nil && b.ring != s.log.ring.Load() }

// EvacuateRing moves up to n blocks of the ring into ordinary memory, those that are kept only for readers to come (the
// backlog), are written to files, and have no reader before them, so that the newest find room in the ring. Half of the
// ring is left alone. It reports whether there is more to move. It copies 1 MiB a block, so it is a background task's.
func (l *Log) EvacuateRing(n int) (more bool) {
	r := l.ring.Load()
	if r == nil || r.idleBlocks() >= r.layout.blocks/2 {
		return false
	}
	for i := range l.shards {
		for r.idleBlocks() < r.layout.blocks/2 && l.shards[i].evacuates(r) {
			if n--; n < 0 {
				return true
			}
			l.shards[i].evacuate(r)
		}
	}
	return false
}

// evacuates reports whether evacuate has something to do.
func (s *ShardLog) evacuates(r *Ring) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evacuable(r, nil) >= 0
}

// evacuable returns the index of the oldest retained block in the ring if nobody but its predecessor, or the list, and
// evacuate if it is copied, refers to it, nor to those before it: then nobody is there or can get there without the
// mutex, which is held. -1: it is not so.
func (s *ShardLog) evacuable(r *Ring, copied *block) int {
	tail, written := s.tail.Load(), s.log.written.Load()
	for i, b := range s.list {
		refs := int32(1)
		if b == copied {
			refs = 2
		}
		if b.end() > tail || b.endLSN > written || b.refs.Load() != refs {
			return -1
		}
		if b.ring == r {
			return i
		}
	}
	return -1
}

// evacuate puts a copy in the place of the oldest block in the ring. The mutex is not held while it is copied.
func (s *ShardLog) evacuate(r *Ring) {
	s.mu.Lock()
	i := s.evacuable(r, nil)
	if i < 0 {
		s.mu.Unlock()
		return
	}
	b := s.list[i]
	b.refs.Add(1)
	s.mu.Unlock()

	pool := &s.log.pool
	to := pool.fromMemory()
	copy(to.mem, b.mem)
	to.base, to.firstLSN, to.endLSN, to.endPos, to.marks = b.base, b.firstLSN, b.endLSN, b.endPos, b.marks
	to.refs.Store(1)
	pool.live.Add(1)

	s.mu.Lock()
	if i = s.evacuable(r, b); i >= 0 && s.list[i] == b {
		next := b.next.Load()
		next.refs.Add(1)
		to.next.Store(next)
		if i > 0 {
			s.list[i-1].next.Store(to)
		}
		s.list[i] = to
		to = b // what is given back, with the reference of who came before
	}
	s.mu.Unlock()
	pool.release(b)
	pool.release(to)
}
