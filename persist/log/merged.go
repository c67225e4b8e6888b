package log

// MergedReader reads the merged stream: the record bytes of all shards in LSN order, annotations
// stripped, up to the contiguous LSN.
type MergedReader struct {
	log    *Log
	pos    uint64 // LSN of the next byte
	limit  uint64 // a contiguous LSN
	left   uint64 // bytes of the current frame yet to read
	cur    int    // its shard
	shards []cursor
	heads  []uint64 // own start of each shard's next frame with records; unknown if none was published
	sizes  []uint64 // … and its record bytes
	w      waiter
	closed bool
}

const unknown = ^uint64(0)

// Merged returns a reader of the merged stream from lsn on, which may be any LSN from Oldest to
// Contiguous, inside a frame too. Errors are ErrInactive, ErrTrimmed and ErrFuture. notify may be nil if
// Park is never called.
func (l *Log) Merged(lsn uint64, notify func()) (*MergedReader, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	m := l.newMerged(lsn, notify)
	if lsn > l.Contiguous() {
		m.Close()
		return nil, ErrFuture
	}
	for i := range l.shards {
		c, err := l.shards[i].seek(lsn)
		if err != nil {
			m.Close()
			return nil, err
		}
		m.shards[i] = c
		m.shards[i].skipTo(func(h head) bool { return h.end() > lsn })
		if m.fill(i) && m.heads[i] < lsn {
			m.begin(i)
			m.shards[i].pos += lsn - m.heads[i]
			m.left -= lsn - m.heads[i]
			m.heads[i] = unknown
		}
	}
	return m, nil
}

// Merged returns a reader of the merged stream from the Hold's LSN on; ErrTrimmed if it is unpinned.
func (h *Hold) Merged(notify func()) (*MergedReader, error) {
	m := h.log.newMerged(h.lsn, notify)
	if err := h.pin(0, m.shards); err != nil {
		m.log.waiters.remove(&m.w)
		return nil, err
	}
	return m, nil
}

func (l *Log) newMerged(lsn uint64, notify func()) *MergedReader {
	n := len(l.shards)
	m := &MergedReader{
		log: l, pos: lsn, limit: lsn,
		shards: make([]cursor, n), heads: make([]uint64, n), sizes: make([]uint64, n),
	}
	for i := range m.heads {
		m.heads[i] = unknown
	}
	m.w.notify = notify
	l.waiters.add(&m.w)
	return m
}

// LSN returns the LSN of the next byte.
func (m *MergedReader) LSN() uint64 { return m.pos }

// Next returns the next bytes of the stream, as many as lie together but at most limit (above 0); none if the
// contiguous LSN is reached. They are valid until the next call.
func (m *MergedReader) Next(limit int) []byte {
	if m.left == 0 && !m.turn() {
		return nil
	}
	p := m.shards[m.cur].chunk(min(m.left, uint64(limit)))
	m.pos += uint64(len(p))
	m.left -= uint64(len(p))
	return p
}

// Append appends the next bytes of the stream to dst, at most limit; fewer if the contiguous LSN is
// reached.
func (m *MergedReader) Append(dst []byte, limit int) []byte {
	for limit > 0 {
		p := m.Next(limit)
		if p == nil {
			break
		}
		dst = append(dst, p...)
		limit -= len(p)
	}
	return dst
}

// Park asks for one call of notify as soon as there is something to read. It returns false, asking for
// nothing, if there is already. notify runs on a goroutine that has just committed, with its batons
// held: it must neither block nor call into the log. It may still be called after Park has returned
// false, or Close, if it was on its way.
func (m *MergedReader) Park() bool { return m.log.waiters.park(m.log, &m.w, m.pos) }

// LagBytes returns how much of the stream is contiguous and not yet read.
func (m *MergedReader) LagBytes() uint64 { return m.log.Contiguous() - m.pos }

// Close ends the reader and what it keeps in memory. Closing twice is allowed.
func (m *MergedReader) Close() {
	if m.closed {
		return
	}
	m.closed = true
	m.log.waiters.remove(&m.w)
	for i := range m.shards {
		m.shards[i].close()
	}
	m.log.leave()
}

// turn goes to the frame that begins at pos, and reports whether pos is below the contiguous LSN.
func (m *MergedReader) turn() bool {
	if m.pos >= m.limit {
		m.limit = m.log.Contiguous()
		if m.pos >= m.limit {
			return false
		}
	}
	// Looking at all heads costs less than keeping them in order, up to the few hundred there may be.
	for i, start := range m.heads {
		if start == m.pos {
			m.begin(i)
			m.heads[i] = unknown
			return true
		}
	}
	for i, start := range m.heads {
		if start == unknown && m.fill(i) && m.heads[i] == m.pos {
			m.begin(i)
			m.heads[i] = unknown
			return true
		}
	}
	panic("BUG: log: no frame at an LSN below the contiguous one")
}

// begin makes the next frame of shard i the current one.
func (m *MergedReader) begin(i int) { m.cur, m.left = i, m.sizes[i] }

// fill reads the line of shard i's next frame with records, if one is published, and goes behind it.
func (m *MergedReader) fill(i int) bool {
	c := &m.shards[i]
	for c.refresh() {
		h := c.head()
		c.pos += uint64(h.line)
		if h.size > 0 {
			m.heads[i], m.sizes[i] = h.start, h.size
			return true
		}
	}
	return false
}
