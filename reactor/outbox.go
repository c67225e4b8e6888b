package reactor

// outbox is a connection's output that the socket did not take yet: a queue of chunks. It belongs to the
// connection's loop.
type outbox struct {
	chunks []outChunk // from first
	first  int
	bytes  int
	sent   uint64    // bytes that have left, ever
	marks  []outMark // of what waits for the gate, ascending; what is before the first waits for the socket only
}

// outChunk is a piece of output; b[off:] is still to be sent.
type outChunk struct {
	b   []byte
	off int
}

// Chunks grow with the backlog, so that ten thousand connections with a few bytes each cost little.
// The largest size is recycled by the loop.
const (
	firstChunkBytes = 4 << 10
	chunkBytes      = 64 << 10
	spareChunks     = 64  // kept by a loop
	spareSmall      = 256 // of the first size
	// keptChunks is for how many chunks an empty outbox keeps its list.
	keptChunks = 4
	// ownedBytes is from where on a buffer given with WriteOwned is kept instead of copied.
	ownedBytes = 4 * chunkBytes
)

func (o *outbox) empty() bool { return o.bytes == 0 }

// head returns the bytes that are to leave next; empty only if the outbox is.
func (o *outbox) head() []byte {
	if o.first == len(o.chunks) {
		return nil
	}
	c := &o.chunks[o.first]
	return c.b[c.off:]
}

// add copies p to the end.
func (o *outbox) add(p []byte, l *Loop) {
	o.bytes += len(p)
	for len(p) > 0 {
		last := len(o.chunks) - 1
		if last < o.first || len(o.chunks[last].b) == cap(o.chunks[last].b) {
			o.chunks = append(o.chunks, outChunk{b: o.newChunk(len(p), l)})
			last = len(o.chunks) - 1
		}
		b := &o.chunks[last].b
		n := min(len(p), cap(*b)-len(*b))
		*b = append(*b, p[:n]...)
		p = p[n:]
	}
}

// addOwned puts p itself at the end; nobody else uses it any more.
func (o *outbox) addOwned(p []byte) {
	o.bytes += len(p)
	o.chunks = append(o.chunks, outChunk{b: p[:len(p):len(p)]})
}

func (o *outbox) newChunk(want int, l *Loop) []byte {
	size := firstChunkBytes
	for size < chunkBytes && (size < want || size < o.bytes-want) {
		size *= 4
	}
	switch size {
	case firstChunkBytes:
		return takeSpare(&l.spareSmall, size)
	case chunkBytes:
		return takeSpare(&l.spare, size)
	}
	return make([]byte, 0, size)
}

// discard drops n bytes at the head, which have been sent.
func (o *outbox) discard(n int, l *Loop) {
	o.bytes -= n
	o.sent += uint64(n)
	for n > 0 {
		c := &o.chunks[o.first]
		left := len(c.b) - c.off
		if n < left {
			c.off += n
			return
		}
		n -= left
		l.giveChunk(c.b)
		*c = outChunk{}
		o.first++
	}
	switch {
	case o.bytes == 0 && cap(o.chunks) <= keptChunks:
		o.chunks, o.first = o.chunks[:0], 0
	case o.bytes == 0:
		o.chunks, o.first = nil, 0
	case o.first > len(o.chunks)/2:
		o.chunks = append(o.chunks[:0], o.chunks[o.first:]...)
		o.first = 0
	}
}

// clear drops everything.
func (o *outbox) clear(l *Loop) {
	o.discard(o.bytes, l)
	o.marks = nil
}

// takeSpare returns an empty chunk of so many bytes, one of list if there is any.
func takeSpare(list *[][]byte, size int) []byte {
	if n := len(*list); n > 0 {
		b := (*list)[n-1]
		(*list)[n-1] = nil
		*list = (*list)[:n-1]
		return b
	}
	return make([]byte, 0, size)
}

func (l *Loop) giveChunk(b []byte) {
	switch {
	case cap(b) == chunkBytes && len(l.spare) < spareChunks:
		l.spare = append(l.spare, b[:0])
	case cap(b) == firstChunkBytes && len(l.spareSmall) < spareSmall:
		l.spareSmall = append(l.spareSmall, b[:0])
	}
}
