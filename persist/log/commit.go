package log

import (
	"fmt"
	"unsafe"

	"fulmen/internal/invariant"
	"fulmen/shard/arena"
)

// StageBarrier stages a record of no key, or of keys of several shards, in the transaction that holds
// all of over: each of these shards' logs will have a piece of the commit, and the merged stream has
// the record once. All that the transaction has staged on these shards, and will stage, goes to the
// piece of the lowest, so that the order of execution is kept (see the package comment). With a single
// shard it is Stage.
func (l *Log) StageBarrier(over []*ShardLog, db int, args ...[]byte) {
	home := over[0].home()
	for _, s := range over[1:] {
		if h := s.home(); h.id < home.id {
			home = h
		}
	}
	if len(over) > 1 {
		for _, s := range over {
			s.member = true
			if h := s.home(); h != home {
				h.moveTo(home)
			}
		}
	}
	home.Stage(db, args...)
}

// moveTo moves what is staged in s behind what is staged in home, and all that will be staged in s.
func (s *ShardLog) moveTo(home *ShardLog) {
	s.into, s.member, home.member = home, true, true
	if !s.open {
		return
	}
	if !home.open {
		home.begin()
	}
	if home.db != 0 {
		home.selectDB(0)
	}
	s.each(s.pub+plainLine, s.pos(), func(p []byte) { home.write(p) })
	home.records += s.records
	home.db = s.db
	s.rewind()
}

// each calls fn for the pieces of the unpublished bytes [from, to) of s.
func (s *ShardLog) each(from, to uint64, fn func(p []byte)) {
	for b := s.first; from < to; b = b.next.Load() {
		if from >= b.end() {
			continue
		}
		n := min(to, b.end())
		fn(b.mem[from-b.base : n-b.base])
		from = n
	}
}

// Commit makes one commit of all that is staged in held, which are the logs of all shards that the
// caller has the batons of, in ascending order, and publishes it. tx says that a stock replica must see
// it all or nothing, which takes MULTI and EXEC unless it is one record. It returns the LSN that a reply
// has to wait for: the end of the commit, or of the last one on any of these shards if nothing is
// staged. Readers' notify functions may be called.
func (l *Log) Commit(held []*ShardLog, tx bool) (lsn uint64) {
	if len(held) == 1 {
		return held[0].Commit(tx)
	}
	var one *ShardLog
	pieces, records := 0, 0
	for i, s := range held {
		if i > 0 && held[i-1].id >= s.id {
			panic("BUG: log: committed shards not in ascending order")
		}
		lsn = max(lsn, s.last)
		if s.open || s.member {
			one = s
			pieces++
			records += s.openRecords()
		}
	}
	switch pieces {
	case 0:
		return lsn
	case 1:
		return one.Commit(tx)
	}
	return l.commitPieces(held, tx && records > 1)
}

// openRecords returns the number of records staged in s.
func (s *ShardLog) openRecords() int {
	if s.open {
		return s.records
	}
	return 0
}

// Commit is Log.Commit of this shard alone.
func (s *ShardLog) Commit(tx bool) (lsn uint64) {
	if s.member {
		panic("BUG: log: barrier committed without its other shards")
	}
	if !s.open {
		return s.last
	}
	l := s.log
	wrap := tx && s.records > 1
	s.finish(plainLine+s.dated(), wrap, wrap)

	late := l.plant != nil && l.plant.pendingLate
	if !late {
		s.pending.Store(l.lsn.Load()) // before the addition: see the package comment
	}
	end := l.lsn.Add(s.size)
	if l.plant != nil {
		l.plant.reached(stepAdded)
		if late {
			s.pending.Store(end - s.size)
		}
	}
	if l.plant == nil {
		s.sealPlain(end - s.size)
		s.publish(end-s.size, end)
	} else {
		s.plantedEnd(end-s.size, end)
	}
	s.pending.Store(noPending)
	if s.first != s.cur {
		s.settle()
	}
	s.unstaged()
	s.waiters.wake(l)
	l.waiters.wake(l)
	return end
}

// plantedEnd is sealing and publishing as a test wants it.
func (s *ShardLog) plantedEnd(start, end uint64) {
	if s.log.plant.ringEarly {
		s.ringTail.Store(tailWord(s.pos()))
		s.log.plant.reached(stepAdded)
	}
	if !s.log.plant.tailEarly {
		s.sealPlain(start)
		s.log.plant.reached(stepSealed)
		s.publish(start, end)
		s.log.plant.reached(stepPublished)
		if b := s.cur; s.log.plant.entryLate && b.ring != nil {
			b.ring.enter(b.slot, b.base, s.id)
		}
		return
	}
	pub := s.pub
	s.publish(start, end)
	s.log.plant.reached(stepPublished)
	s.pub = pub
	s.sealPlain(start)
	s.pub = s.pos()
}

// commitPieces commits what is staged in several of held.
func (l *Log) commitPieces(held []*ShardLog, wrap bool) (lsn uint64) {
	h := Header{Incarnation: l.incarnation, Piece: true}
	var first, last *ShardLog // with records
	for _, s := range held {
		if s.open || s.member {
			h.Shards.Add(s.id)
		}
		if s.openRecords() > 0 {
			if first == nil {
				first = s
			}
			last = s
		}
	}
	var size uint64
	for _, s := range held {
		if h.Shards.Has(s.id) {
			s.finish(pieceFixed+l.digits+s.dated(), wrap && s == first, wrap && s == last)
			size += s.size
		}
	}
	if size == 0 || size > maxFrameBytes {
		panic(fmt.Sprintf("BUG: log: commit of %d bytes", size))
	}

	late := l.plant != nil && l.plant.pendingLate
	for _, s := range held {
		if h.Shards.Has(s.id) && !late {
			s.pending.Store(l.lsn.Load())
		}
	}
	h.TxEnd = l.lsn.Add(size)
	h.TxStart = h.TxEnd - size
	l.plant.reached(stepAdded)
	var line [pieceMost]byte
	n := h.putPiece(&line, l.digits)
	at := h.TxStart
	for _, s := range held {
		if h.Shards.Has(s.id) {
			putHex8(line[offStart:], uint32(at>>32))
			putHex10(line[offBefore:], at-h.TxStart)
			s.seal(line[:n], at)
			at += s.size
		}
	}
	l.plant.reached(stepSealed)
	at = h.TxStart
	for _, s := range held {
		if h.Shards.Has(s.id) {
			s.publish(at, h.TxEnd)
			at += s.size
		}
	}
	l.plant.reached(stepPublished)
	for _, s := range held {
		if h.Shards.Has(s.id) {
			s.pending.Store(noPending)
		}
	}
	for _, s := range held {
		if h.Shards.Has(s.id) {
			if s.first != s.cur {
				s.settle()
			}
			s.unstaged()
			s.waiters.wake(l)
		}
	}
	l.waiters.wake(l)
	return h.TxEnd
}

// dated returns the length of the line that says the time of the frame that is about to be committed: 0, unless that is
// another second than the last such line in this log has.
func (s *ShardLog) dated() int {
	now := s.log.timeSec.Load()
	if now == s.timeSec {
		return 0
	}
	s.timeSec = now
	if now == 0 {
		return 0
	}
	s.lead = timeLine
	return timeLine
}

// finish completes the records of the frame that is staged, makes room for a line of line bytes, and
// takes the sum of many records: all that is long and can be done before the commit holds up the contiguous LSN.
func (s *ShardLog) finish(line int, multi, exec bool) {
	if !s.open {
		s.begin() // a barrier's piece without records
	}
	if s.db != 0 {
		s.selectDB(0)
	}
	if exec {
		s.write([]byte(execRecord))
	}
	room := line - plainLine
	if multi {
		room += len(multiRecord)
	}
	if room > 0 {
		s.insert(room)
	}
	from := s.pub + uint64(line)
	if multi {
		s.writeAt(from, []byte(multiRecord))
	}
	s.size = s.pos() - from
	if s.size > maxFrameBytes {
		panic(fmt.Sprintf("BUG: log: frame of %d bytes", s.size))
	}
	if s.small() {
		return // seal sums records and line in one go
	}
	var sum uint32
	s.each(from, from+s.size, func(p []byte) { sum = AddSum(sum, p) })
	s.sum = sum
}

// smallFrame is the most bytes of records that are summed while a commit holds up the contiguous LSN.
// With 256 pieces that is 60 µs.
const smallFrame = 4096

// small tells whether seal sums the frame's records and line in one go.
func (s *ShardLog) small() bool { return s.size <= smallFrame && s.first == s.cur && s.lead == 0 }

// insert moves the staged records n bytes on. They are staged before it is known whether the frame will
// be a piece or a transaction, which need more room in front; both are rare enough to move bytes then.
func (s *ShardLog) insert(n int) {
	from := s.pub + plainLine
	s.skip(n)
	if s.first == s.cur {
		p := s.cur.mem[from-s.cur.base : s.off]
		copy(p[n:], p)
		return
	}
	var carry, old [2 * MaxLine]byte // carry[:n] is what the next bytes become
	s.each(from, s.pos(), func(p []byte) {
		m := min(n, len(p))
		copy(old[:m], p[len(p)-m:])
		copy(p[m:], p)
		copy(p, carry[:m])
		copy(carry[:], carry[m:n])
		copy(carry[n-m:], old[:m])
	})
}

// writeAt overwrites unpublished bytes at pos.
func (s *ShardLog) writeAt(pos uint64, p []byte) {
	if b := s.first; pos+uint64(len(p)) <= b.end() {
		copy(b.mem[pos-b.base:], p)
		return
	}
	for b := s.first; len(p) > 0; b = b.next.Load() {
		if pos < b.end() {
			n := copy(b.mem[pos-b.base:], p)
			p, pos = p[n:], pos+uint64(n)
		}
	}
}

// sealPlain writes the annotation line of the plain frame that starts at start.
func (s *ShardLog) sealPlain(start uint64) {
	if high := uint32(start >> 32); high != s.high {
		putHex8(s.plain[offStart:], high)
		s.high = high
	}
	s.seal(s.plain[:], start)
}

// seal writes line, completed with the frame's own range from start on, of which it has the upper half,
// and the sum. line is left as it is: bytes that were just written are slow to copy.
func (s *ShardLog) seal(line []byte, start uint64) {
	if s.small() {
		frame := s.cur.mem[s.pub-s.cur.base : s.off]
		copy(frame, line)
		putHex8(frame[offStart+8:], uint32(start))
		putHex8(frame[offLen+2:], uint32(s.size))
		putHex8(frame[offSum:], AddSum(0, frame[LineSummed:]))
	} else {
		s.sealLong(line, start)
	}
	if invariant.Enabled {
		s.verify(start)
	}
}

// sealLong is seal for a frame that crosses blocks, that says the time, or whose records were summed before.
func (s *ShardLog) sealLong(line []byte, start uint64) {
	text := s.line[:s.lead+len(line)] // not on the stack, as crc32's argument escapes
	time, rest := text[:s.lead], text[s.lead:]
	if s.lead > 0 {
		putTime((*[timeLine]byte)(time), s.timeSec)
	}
	copy(rest, line)
	putHex8(rest[offStart+8:], uint32(start))
	putHex10(rest[offLen:], s.size)
	putHex8(rest[offSum:], joinSums(sumAnnotation(time, rest), s.sum, s.size))
	s.writeAt(s.pub, text)
}

// verify checks that what is about to be published reads as it should.
func (s *ShardLog) verify(start uint64) {
	var frame []byte
	s.each(s.pub, s.pos(), func(p []byte) { frame = append(frame, p...) })
	f, n, err := DecodeFrame(frame)
	if err != nil || n != len(frame) || f.Start != start || f.Len() != s.size {
		panic(fmt.Sprintf("BUG: log: sealed frame of %d bytes reads as %d, %v", len(frame), n, err))
	}
	db := "0"
	err = ForEachIn(f.Records, func(args [][]byte) error {
		if len(args) == 2 && string(args[0]) == "SELECT" {
			db = string(args[1])
		}
		return nil
	})
	if err != nil || db != "0" {
		panic(fmt.Sprintf("BUG: log: sealed records end in database %s, %v", db, err))
	}
}

// publish describes the frame, with its own range from start on and the commit's up to txEnd, in its
// blocks, and moves the tail behind it.
func (s *ShardLog) publish(start, txEnd uint64) {
	b, end := s.first, s.pos()
	at := s.pub - b.base
	if m := &b.marks[at>>markShift]; m.next == 0 {
		*m = mark{lsn: start, next: uint32(at) + 1}
	}
	if at == 0 {
		b.firstLSN = start
	}
	if end >= b.end() {
		for {
			if b.end() <= end {
				b.endLSN, b.endPos = start+s.size, end
			}
			if b == s.cur {
				break
			}
			b = b.next.Load()
			b.firstLSN = start
		}
	}
	s.open, s.member, s.into, s.lead = false, false, nil, 0
	s.last = txEnd
	s.pub = end
	s.prefetch()
	if s.ringTail != nil {
		s.ringTail.Store(tailWord(end)) // before the tail: what a reader has seen, the ring has
	}
	s.tail.Store(end)
}

// settle moves on to the block that the last frame ended in, and forgets what is no longer wanted.
func (s *ShardLog) settle() {
	s.moveFirst()
	s.trim(s.log.keepFrom())
	if s.log.OverLimit() {
		s.log.relieve()
	}
}

// prefetch asks for the lines of memory that the next frame will be written to. They are seldom in a cache, and the
// atomic operations of a commit would wait for all stores before them.
func (s *ShardLog) prefetch() {
	if left := s.cur.mem[min(s.off+cacheLine, len(s.cur.mem)):]; len(left) > aheadBytes {
		arena.PrefetchSpan(uintptr(unsafe.Pointer(&left[0])), aheadBytes)
	}
}

// aheadBytes is about the length of the frame of a short command.
const aheadBytes = 3 * cacheLine
