package log

import (
	"math"
	"sort"
	"sync"
	"sync/atomic"
)

// ShardLog is the log of one shard.
//
// The writer's place is (cur, off). Between the published tail and it lies, while open, one unsealed
// frame: room for a plain line, then records.
type ShardLog struct {
	// Atomic; stored by the baton's holder in Commit.
	pending atomic.Uint64 // an LSN not above the start of the commit under way, or noPending
	tail    atomic.Uint64 // published end
	waiters waiters       // on the tail
	_       [cacheLine]byte

	// Immutable.
	log *Log
	id  int

	// Held with the baton.
	first *block // where the unpublished frame begins, or the next one will; referenced
	cur   *block // where off is; first or reached from it
	off   int    // next byte to write in cur
	pub   uint64 // copy of tail

	ringTail *atomic.Uint64 // tailWord of tail, for ReadRing; nil: no ring

	last    uint64    // end of the last commit
	open    bool      // a frame is being staged
	db      int       // database that its records are in so far
	records int       // its records but SELECT, MULTI and EXEC
	member  bool      // of a barrier: the commit has a piece here even without records
	into    *ShardLog // after a barrier: whose piece takes this shard's records; nil: its own
	size    uint64    // record bytes of the frame being committed
	sum     uint32    // … and their sum, if they are many
	high    uint32    // upper half of the last plain frame's start, which plain has in digits
	timeSec int64     // what the last line that says the time has; 0: the next frame has one
	lead    int       // bytes of such a line of the frame being committed
	plain   [plainLine]byte
	line    [MaxLine]byte // scratch of seal

	mu       sync.Mutex
	list     []*block // retained blocks, oldest first; the oldest is referenced
	floor    uint64   // the log is readable from this LSN …
	floorPos uint64   // … which is at this position, a frame's start or the tail

	// Frames from one LSN to the other, which is unexposed while one of them is staged, may have bytes that are neither
	// in the ring nor in files. Both are changed with the mutex; exposedFrom is read without.
	exposedFrom atomic.Uint64
	exposedTo   uint64
}

// LastLSN returns the end of the last commit that wrote here, which is what a reply computed from this
// shard's data has to wait for. The baton must be held.
func (s *ShardLog) LastLSN() uint64 { return s.last }

// Stage appends a record to what the baton's holder will commit, with a SELECT before it where it is
// needed; db < 0 is for a record that means the same in every database. args are copied. The baton must
// be held, and the log must have been active while it was.
func (s *ShardLog) Stage(db int, args ...[]byte) {
	s = s.home()
	if !s.open {
		s.begin()
	}
	if db >= 0 && db != s.db {
		s.selectDB(db)
	}
	if bound := recordBound(args); bound <= blockBytes-s.off {
		s.off += putRecord(s.cur.mem[s.off:], args)
	} else {
		s.writeRecord(args)
	}
	s.records++
}

// home returns the log whose piece takes s's records.
func (s *ShardLog) home() *ShardLog {
	for s.into != nil {
		s = s.into
	}
	return s
}

// begin opens a frame behind the tail.
func (s *ShardLog) begin() {
	if s.cur == nil {
		panic("BUG: log: staged in a log that was never attached")
	}
	if s.off == blockBytes {
		s.grow()
		s.moveFirst()
	}
	if s.beside(s.first) {
		s.expose()
	}
	s.open, s.db, s.records = true, 0, 0
	if s.off += plainLine; s.off > blockBytes {
		s.off -= plainLine
		s.skip(plainLine)
	}
}

// moveFirst moves the writer's reference to cur.
func (s *ShardLog) moveFirst() {
	old := s.first
	if old != s.cur {
		s.cur.refs.Add(1)
		s.first = s.cur
		s.log.pool.release(old)
	}
}

// pos returns the writer's position.
func (s *ShardLog) pos() uint64 { return s.cur.base + uint64(s.off) }

func (s *ShardLog) selectDB(db int) {
	var text [64]byte
	s.write(appendSelect(text[:0], db))
	s.db = db
}

// writeRecord is putRecord for a record that may cross blocks.
func (s *ShardLog) writeRecord(args [][]byte) {
	var text [32]byte
	s.write(appendCount(text[:0], '*', len(args)))
	for _, a := range args {
		s.write(appendCount(text[:0], '$', len(a)))
		s.write(a)
		s.write(append(text[:0], '\r', '\n'))
	}
}

// write appends p, across blocks.
func (s *ShardLog) write(p []byte) {
	for len(p) > 0 {
		if s.off == blockBytes {
			s.grow()
		}
		n := copy(s.cur.mem[s.off:], p)
		s.off += n
		p = p[n:]
	}
}

// skip leaves room for n bytes, across blocks.
func (s *ShardLog) skip(n int) {
	for n > 0 {
		if s.off == blockBytes {
			s.grow()
		}
		m := min(n, blockBytes-s.off)
		s.off += m
		n -= m
	}
}

// newBlock returns a block for the log from base on, in the ring if that has one left.
func (s *ShardLog) newBlock(base uint64) *block {
	return s.log.pool.get(s.log.ring.Load(), base, s.id)
}

// grow moves the writer to the next block.
func (s *ShardLog) grow() {
	next := s.newBlock(s.cur.end())
	if s.beside(next) {
		s.expose()
	}
	s.cur.next.Store(next) // takes over get's reference
	s.mu.Lock()
	if len(s.list) == 0 {
		next.refs.Add(1)
	}
	s.list = append(s.list, next)
	s.mu.Unlock()
	s.cur, s.off = next, 0
}

// rewind drops all that is staged.
func (s *ShardLog) rewind() {
	s.open = false
	s.cur, s.off = s.first, int(s.pub-s.first.base)
	next := s.first.next.Load()
	if next == nil {
		s.unstaged()
		return
	}
	s.mu.Lock()
	n := len(s.list)
	for n > 0 && s.list[n-1].base > s.first.base {
		n--
	}
	listed := n == 0 && len(s.list) > 0 // the log became inactive, and the list has begun again since
	clear(s.list[n:])
	s.list = s.list[:n]
	s.mu.Unlock()
	s.first.next.Store(nil)
	if listed {
		s.log.pool.release(next)
	}
	s.log.pool.release(next)
	s.unstaged()
}

// restart begins the log anew at lsn. All batons are held; nobody reads.
func (s *ShardLog) restart(lsn uint64) {
	s.forget()
	if s.first != nil {
		s.log.pool.release(s.first)
	}
	b := s.newBlock(s.pub)
	b.refs.Add(1)
	s.first, s.cur, s.off, s.last = b, b, 0, lsn
	s.unstaged()
	s.mu.Lock()
	s.list = append(s.list, b)
	s.floor, s.floorPos = lsn, s.pub
	s.mu.Unlock()
}

// forget drops all retained blocks; what the writer and readers hold stays.
func (s *ShardLog) forget() {
	s.mu.Lock()
	var oldest *block
	if len(s.list) > 0 {
		oldest = s.list[0]
	}
	clear(s.list)
	s.list = s.list[:0]
	s.mu.Unlock()
	if oldest != nil {
		s.log.pool.release(oldest)
	}
}

// here returns a cursor at the tail, with a reference. The baton is held, nothing staged.
func (s *ShardLog) here() cursor {
	if s.open || s.member {
		panic("BUG: log: attached with something staged")
	}
	s.first.refs.Add(1)
	return cursor{shard: s, block: s.first, pos: s.pub, tail: s.pub}
}

func (s *ShardLog) oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor
}

// freeable returns the LSN that trim has to be given to free the oldest block, and MaxUint64 if that
// is not full or somebody else holds it.
func (s *ShardLog) freeable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < 2 || s.list[0].end() > s.tail.Load() || s.list[0].refs.Load() > 1 {
		return math.MaxUint64
	}
	return s.list[0].endLSN
}

// trim forgets full, published blocks whose frames all end at or below the LSN from.
func (s *ShardLog) trim(from uint64) {
	s.mu.Lock()
	tail := s.tail.Load()
	n := 0
	for n < len(s.list)-1 && s.list[n].end() <= tail && s.list[n].endLSN <= from {
		n++
	}
	if n == 0 {
		s.mu.Unlock()
		return
	}
	oldest, last := s.list[0], s.list[n-1]
	s.floor, s.floorPos = last.endLSN, last.endPos
	s.list[n].refs.Add(1)
	rest := copy(s.list, s.list[n:])
	clear(s.list[rest:])
	s.list = s.list[:rest]
	s.mu.Unlock()
	s.log.pool.release(oldest) // outside the mutex: it may call BelowLimit
}

// seek returns a cursor, with a reference, at the start of a frame such that every retained frame that
// ends above lsn, or starts there, lies at or behind it, and no more than a stride and a frame before.
func (s *ShardLog) seek(lsn uint64) (cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lsn < s.floor || len(s.list) == 0 {
		return cursor{}, ErrTrimmed
	}
	tail := s.tail.Load()
	published := sort.Search(len(s.list), func(i int) bool { return s.list[i].base >= tail })
	i := sort.Search(published, func(i int) bool { return s.list[i].firstLSN >= lsn }) - 1
	pos, found := s.floorPos, false
	for ; i >= 0 && !found; i-- {
		if p, ok := s.list[i].markBefore(lsn, tail); ok {
			pos, found = p, true
		}
	}
	at := min((pos-s.list[0].base)/blockBytes, uint64(len(s.list)-1))
	b := s.list[at]
	b.refs.Add(1)
	return cursor{shard: s, block: b, pos: pos, tail: tail}, nil
}
