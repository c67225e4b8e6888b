package log

import "encoding/binary"

// cursor is a place in one shard's log. It holds a reference to the block it is in, and so to all
// blocks behind it.
type cursor struct {
	shard *ShardLog
	block *block
	pos   uint64
	tail  uint64 // a published tail; everything below it may be read
}

func (c *cursor) clone() cursor {
	c.block.refs.Add(1)
	return *c
}

func (c *cursor) close() {
	if c.block != nil {
		c.shard.log.pool.release(c.block)
		c.block = nil
	}
}

// refresh loads the tail and reports whether there is something to read.
func (c *cursor) refresh() bool {
	if c.pos < c.tail {
		return true
	}
	c.tail = c.shard.tail.Load()
	return c.pos < c.tail
}

// enter moves the reference to the block that has the byte at pos, which is below the tail.
func (c *cursor) enter() {
	for c.pos >= c.block.end() {
		next := c.block.next.Load()
		next.refs.Add(1)
		c.shard.log.pool.release(c.block)
		c.block = next
	}
}

// head is what readers need of the annotation at a cursor.
type head struct {
	start, size   uint64 // own range
	before, whole uint64 // as in the line; whole == size in a plain frame
	line          int    // length of the annotation
}

func (h head) end() uint64     { return h.start + h.size }
func (h head) txStart() uint64 { return h.start - h.before }
func (h head) txEnd() uint64   { return h.start - h.before + h.whole }

// head reads the annotation at c, which is below the tail. It was written by this process, so its digits are believed.
func (c *cursor) head() (h head) {
	c.enter()
	line := c.block.mem[c.pos-c.block.base:]
	if len(line) < MaxLine {
		var text [MaxLine]byte
		n := copy(text[:], line[:min(uint64(len(line)), c.tail-c.pos)]) // behind the tail somebody writes
		if end := c.block.end(); c.tail > end {
			copy(text[n:], c.block.next.Load().mem[:min(c.tail-end, MaxLine)])
		}
		line = text[:]
	}
	if isTime(line) {
		line, h.line = line[timeLine:], timeLine
	}
	if line[0] != '#' || line[1] != kindPlain && line[1] != kindPiece {
		panic("BUG: log: no annotation line where a frame begins")
	}
	h.start = uint64(unhex8(binary.BigEndian.Uint64(line[offStart:])))<<32 |
		uint64(unhex8(binary.BigEndian.Uint64(line[offStart+8:])))
	h.size = unhex10(line[offLen:])
	h.whole = h.size
	if line[1] == kindPlain {
		h.line += plainLine
	} else {
		h.before, h.whole = unhex10(line[offBefore:]), unhex10(line[offWhole:])
		h.line += pieceFixed + c.shard.log.digits
	}
	return h
}

// chunk returns the bytes from pos on, up to n and to the end of the block, and goes behind them. The
// reference stays until the next enter.
func (c *cursor) chunk(n uint64) []byte {
	c.enter()
	at := c.pos - c.block.base
	n = min(n, blockBytes-at)
	c.pos += n
	return c.block.mem[at : at+n : at+n]
}

// reader is what FlowReader and ChunkReader share.
type reader struct {
	cursor
	w      waiter
	closed bool
}

// Park asks for one call of notify as soon as there is something to read. It returns false, asking for
// nothing, if there is already. notify runs on a goroutine that has just committed, with its batons
// held: it must neither block nor call into the log. It may still be called after Park has returned
// false, or Close, if it was on its way.
func (r *reader) Park() bool {
	return r.shard.waiters.park(r.shard.log, &r.w, r.pos)
}

// LagBytes returns how much of the shard's log, annotations included, is published and not yet read.
func (r *reader) LagBytes() uint64 { return r.shard.tail.Load() - r.pos }

// Pos returns the position in the shard's log of the next byte to be read.
func (r *reader) Pos() uint64 { return r.pos }

// Close ends the reader and what it keeps in memory. Closing twice is allowed.
func (r *reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.shard.waiters.remove(&r.w)
	r.cursor.close()
	r.shard.log.leave()
}

// FlowReader reads the frames of one shard in order.
type FlowReader struct {
	reader
	spans [][]byte
}

// FlowFrame is a frame in the log. Its slices are valid until the reader's next call.
type FlowFrame struct {
	Start, End     uint64 // own range
	TxStart, TxEnd uint64 // range of the commit
	LineLen        int    // length of the annotation
	Spans          [][]byte
}

// Append appends the frame's bytes, annotation included, to dst.
func (f *FlowFrame) Append(dst []byte) []byte {
	for _, p := range f.Spans {
		dst = append(dst, p...)
	}
	return dst
}

// Next returns the next published frame, and false if there is none now. Frames above the contiguous
// LSN are returned as well.
func (r *FlowReader) Next() (f FlowFrame, ok bool) {
	if !r.refresh() {
		return f, false
	}
	h := r.head()
	r.spans = r.spans[:0]
	b := r.block // stays referenced until the next call, and holds the blocks behind it
	for pos, end := r.pos, r.pos+uint64(h.line)+h.size; pos < end; b = b.next.Load() {
		n := min(end, b.end())
		r.spans = append(r.spans, b.mem[pos-b.base:n-b.base:n-b.base])
		pos = n
	}
	r.pos += uint64(h.line) + h.size
	return FlowFrame{
		Start: h.start, End: h.end(), TxStart: h.txStart(), TxEnd: h.txEnd(), LineLen: h.line, Spans: r.spans,
	}, true
}

// ChunkReader reads one shard's log as bytes, for who writes or sends them on as they are. A writer that
// loads Contiguous, reads all shards until nothing is left, and syncs, has everything below that LSN.
type ChunkReader struct {
	reader
}

// Next returns the next published bytes, as many as lie together but at most limit; none if there are
// none now. A chunk ends anywhere; where Next returns nothing is the end of a frame.
func (r *ChunkReader) Next(limit int) []byte {
	if !r.refresh() {
		return nil
	}
	return r.chunk(min(uint64(limit), r.tail-r.pos))
}

// Mark is where a frame begins.
type Mark struct {
	LSN uint64 // its own start
	Pos uint64 // in the shard's log
}

// Marks appends to dst the first frame of each 16 KiB that r has read, from the position from on, of the block that the
// last Next was in. It returns the position to go on from after the next Next.
func (r *ChunkReader) Marks(from uint64, dst []Mark) ([]Mark, uint64) {
	b := r.block
	from = max(from, b.base)
	for i := (from - b.base + markStride - 1) >> markShift; i < marks; i++ {
		end := b.base + (i+1)<<markShift
		if end > r.pos {
			break
		}
		if m := b.marks[i]; m.next != 0 {
			dst = append(dst, Mark{m.lsn, b.base + uint64(m.next-1)})
		}
		from = end
	}
	return dst, from
}

// Copy returns another reader that stands where r does. A writer that may have to write again what it
// has read keeps one at the place from which on it would. notify may be nil if the copy's Park is never called.
func (r *ChunkReader) Copy(notify func()) *ChunkReader {
	if r.closed {
		panic("BUG: log: copy of a reader that was closed")
	}
	if err := r.shard.log.enter(); err != nil {
		panic("BUG: log: inactive with a reader open")
	}
	c := &ChunkReader{}
	c.start(r.clone(), notify)
	return c
}

// Flow returns a reader of shard i's frames from lsn on, which must be an LSN between two commits. Errors
// are ErrInactive, ErrTrimmed, ErrFuture and ErrMidFrame (a commit's range lies across lsn, as far as
// this shard has a piece of it). notify may be nil if Park is never called.
func (l *Log) Flow(i int, lsn uint64, notify func()) (*FlowReader, error) {
	r := &FlowReader{}
	if err := r.open(l, i, lsn, notify); err != nil {
		return nil, err
	}
	return r, nil
}

// Chunks is Flow for a ChunkReader.
func (l *Log) Chunks(i int, lsn uint64, notify func()) (*ChunkReader, error) {
	r := &ChunkReader{}
	if err := r.open(l, i, lsn, notify); err != nil {
		return nil, err
	}
	return r, nil
}

// Flow returns a reader of shard i's frames from the Hold's LSN on; ErrTrimmed if it is unpinned.
func (h *Hold) Flow(i int, notify func()) (*FlowReader, error) {
	r := &FlowReader{}
	if err := r.openHold(h, i, notify); err != nil {
		return nil, err
	}
	return r, nil
}

// Chunks is Flow for a ChunkReader.
func (h *Hold) Chunks(i int, notify func()) (*ChunkReader, error) {
	r := &ChunkReader{}
	if err := r.openHold(h, i, notify); err != nil {
		return nil, err
	}
	return r, nil
}

// open counts a user and goes to shard i's first frame of a commit from lsn on.
func (r *reader) open(l *Log, i int, lsn uint64, notify func()) error {
	r.closed = true // until there is something to close
	if lsn > l.lsn.Load() {
		return ErrFuture
	}
	if err := l.enter(); err != nil {
		return err
	}
	c, err := l.shards[i].seek(lsn)
	if err != nil {
		l.leave()
		return err
	}
	r.start(c, notify)
	r.skipTo(func(h head) bool {
		if h.txStart() < lsn && lsn < h.txEnd() {
			err = ErrMidFrame
		}
		return h.txStart() >= lsn || err != nil
	})
	if err != nil {
		r.Close()
	}
	return err
}

func (r *reader) openHold(h *Hold, i int, notify func()) error {
	r.closed = true
	var c [1]cursor
	if err := h.pin(i, c[:]); err != nil {
		return err
	}
	r.start(c[0], notify)
	return nil
}

func (r *reader) start(c cursor, notify func()) {
	r.cursor, r.w.notify, r.closed = c, notify, false
	c.shard.waiters.add(&r.w)
}

// skipTo moves c on to the first frame that stop accepts, or to the tail.
func (c *cursor) skipTo(stop func(h head) bool) {
	for c.refresh() {
		h := c.head()
		if stop(h) {
			return
		}
		c.pos += uint64(h.line) + h.size
	}
}
