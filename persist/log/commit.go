package log

import "fmt"

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
	s.cur, s.off = s.first, int(s.pub-s.first.base)
	s.open = false
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
	s.finish(plainLine, wrap, wrap)

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
	h := Header{Incarnation: l.incarnation, Start: end - s.size, End: end, TxEnd: end}
	if l.plant != nil && l.plant.tailEarly {
		s.publish(&h)
		l.plant.reached(stepPublished)
		s.pub -= s.size + plainLine
		s.seal(&h)
		s.pub += s.size + plainLine
	} else {
		s.seal(&h)
		l.plant.reached(stepSealed)
		s.publish(&h)
		l.plant.reached(stepPublished)
	}
	s.pending.Store(noPending)
	s.settle()
	l.waiters.wake(l)
	return end
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
			s.finish(pieceFixed+l.digits, wrap && s == first, wrap && s == last)
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
	l.eachPiece(held, &h, (*ShardLog).seal)
	l.plant.reached(stepSealed)
	l.eachPiece(held, &h, (*ShardLog).publish)
	l.plant.reached(stepPublished)
	for _, s := range held {
		if h.Shards.Has(s.id) {
			s.pending.Store(noPending)
		}
	}
	for _, s := range held {
		if h.Shards.Has(s.id) {
			s.settle()
		}
	}
	l.waiters.wake(l)
	return h.TxEnd
}

// eachPiece calls fn for each piece of the commit, with h holding the piece's own range.
func (l *Log) eachPiece(held []*ShardLog, h *Header, fn func(s *ShardLog, h *Header)) {
	h.End = h.TxStart
	for _, s := range held {
		if h.Shards.Has(s.id) {
			h.Start, h.End = h.End, h.End+s.size
			fn(s, h)
		}
	}
}

// finish completes the records of the frame that is staged, makes room for a line of line bytes, and
// takes the records' sum: all that can be done before the commit holds up the contiguous LSN.
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
	if s.first == s.cur {
		s.sum = AddSum(0, s.cur.mem[s.off-int(s.size):s.off])
		return
	}
	var sum uint32
	s.each(from, from+s.size, func(p []byte) { sum = AddSum(sum, p) })
	s.sum = sum
}

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
	s.each(pos, pos+uint64(len(p)), func(dst []byte) { p = p[copy(dst, p):] })
}

// seal writes the annotation line of the frame, whose own range is h's.
func (s *ShardLog) seal(h *Header) {
	n := h.putLine(&s.line, s.log.digits)
	seal(s.line[:n], s.sum)
	s.writeAt(s.pub, s.line[:n])
}

// publish describes the frame in its blocks and moves the tail behind it.
func (s *ShardLog) publish(h *Header) {
	b, end := s.first, s.pos()
	at := s.pub - b.base
	if m := &b.marks[at>>markShift]; m.next == 0 {
		*m = mark{lsn: h.Start, next: uint32(at) + 1}
	}
	if at == 0 {
		b.firstLSN = h.Start
	}
	if end >= b.end() {
		for {
			if b.end() <= end {
				b.endLSN, b.endPos = h.End, end
			}
			if b == s.cur {
				break
			}
			b = b.next.Load()
			b.firstLSN = h.Start
		}
	}
	s.open, s.member, s.into = false, false, nil
	s.last = h.TxEnd
	s.pub = end
	s.tail.Store(end)
}

// settle does what a commit leaves to be done behind it.
func (s *ShardLog) settle() {
	if s.first != s.cur {
		s.moveFirst()
		s.trim(s.log.keepFrom())
	}
	s.waiters.wake(s.log)
}
