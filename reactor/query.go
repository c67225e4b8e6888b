package reactor

import (
	"golang.org/x/sys/unix"

	"github.com/valyala/bytebufferpool"
)

// query is a connection's query buffer: bytes received and not consumed. It belongs to the connection's
// loop. Small ones are pooled, and of the bigger ones the loop keeps one. Above mappedBytes the buffer is a
// mapping of its own, which grows without being copied, costs the garbage collector nothing and goes back
// to the system at once; only the part that bytes have been put into occupies memory.
type query struct {
	loop   *Loop
	buf    *bytebufferpool.ByteBuffer // nil: empty
	off    int                        // bytes consumed
	mapped bool                       // buf.B is a mapping
	filled int                        // how far a mapping was ever filled
}

const (
	// mappedBytes is the largest query buffer that is no mapping.
	mappedBytes = 4 << 20
	mapStep     = 1 << 20
	// maxPooledBytes is the largest query buffer that goes back to the pool.
	maxPooledBytes = 128 << 10
)

func (q *query) bytes() []byte {
	if q.buf == nil {
		return nil
	}
	return q.buf.B[q.off:]
}

// sizeBytes is the memory that the buffer occupies.
func (q *query) sizeBytes() int {
	switch {
	case q.buf == nil:
		return 0
	case q.mapped:
		return max(q.filled, len(q.buf.B))
	}
	return cap(q.buf.B)
}

// add appends data. Consumed bytes make room if they are at least half of the buffer, else it grows to
// twice its size, or towards need, the size that the handler waits for, in larger steps: so each byte is
// moved a bounded number of times, however it is consumed, and what a peer merely promises reserves little.
func (q *query) add(data []byte, need int) {
	if q.buf == nil {
		q.buf = bytebufferpool.Get()
		q.buf.B = q.buf.B[:0]
	}
	b := q.buf.B
	if q.off > 0 && (q.off == len(b) || (len(b)+len(data) > cap(b) && q.off >= len(b)/2)) {
		if q.mapped {
			q.filled = max(q.filled, len(b))
		}
		b = b[:copy(b, b[q.off:])]
		q.off = 0
	}
	if want := len(b) + len(data); want > cap(b) {
		size := 2 * cap(b)
		if need >= want {
			size = min(2*size, need)
		}
		b = q.enlarge(b, max(want, size))
	}
	q.buf.B = append(b, data...)
}

// enlarge returns b with a capacity of at least size.
func (q *query) enlarge(b []byte, size int) []byte {
	if size <= mappedBytes {
		return append(q.loop.takeQuery(size), b...)
	}
	size = roundUp(size)
	if q.mapped {
		if m, err := unix.Mremap(b[:cap(b)], size, unix.MREMAP_MAYMOVE); err == nil {
			return m[:len(b)]
		}
	}
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		// No address space: the heap is the last resort, and what it can't give ends the process.
		m = append(make([]byte, 0, size), b...)
		q.unmap(b)
		return m
	}
	m = m[:copy(m, b)]
	q.unmap(b)
	q.mapped = true
	return m
}

// takeQuery returns an empty buffer of at least size bytes, for sizes up to mappedBytes.
func (l *Loop) takeQuery(size int) []byte {
	if b := l.spareQuery; cap(b) >= size && size > maxPooledBytes {
		l.spareQuery = nil
		return b[:0]
	}
	return make([]byte, 0, size)
}

// roundUp makes a mapping's size a multiple of the page size, whichever that is.
func roundUp(size int) int { return (size + mapStep - 1) &^ (mapStep - 1) }

// unmap gives a mapping back; a buffer of the heap is left to the collector.
func (q *query) unmap(b []byte) {
	if q.mapped {
		if err := unix.Munmap(b[:cap(b)]); err != nil {
			panic("BUG: unmapping a query buffer: " + err.Error())
		}
		q.mapped, q.filled = false, 0
	}
}

// consume drops the first n bytes. What a big buffer has left of little use is moved out of it.
func (q *query) consume(n int) {
	q.off += n
	left := q.bytes()
	if len(left) == 0 {
		q.drop()
		return
	}
	if size := q.sizeBytes(); size > maxPooledBytes && q.off > 0 && len(left) < size/8 {
		small := append(make([]byte, 0, 2*len(left)), left...)
		q.release()
		q.buf.B, q.off = small, 0
	}
}

// drop empties the buffer and gives it back.
func (q *query) drop() {
	if q.buf == nil {
		return
	}
	if cap(q.buf.B) > maxPooledBytes {
		q.release()
	}
	bytebufferpool.Put(q.buf)
	q.buf, q.off = nil, 0
}

// release gives the memory of a big buffer back, to the system or to the loop.
func (q *query) release() {
	b := q.buf.B
	q.buf.B = nil
	switch {
	case q.mapped:
		q.unmap(b)
	case cap(b) <= mappedBytes && cap(b) > cap(q.loop.spareQuery):
		q.loop.spareQuery = b
	}
}
