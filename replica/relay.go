package replica

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Relay keeps the newest bytes of a primary's stream, as they came, for replicas of ours: they have the primary's
// offsets, so they may go on with it, or with us, or with any other of its replicas.
//
// The one who receives the stream calls Append and Publish; everything else may be called by any goroutine. What a
// reader stands in is kept for it, however far behind it is: who gives it something to do watches LagBytes.
type Relay struct {
	keep atomic.Int64 // bytes to keep for readers to come

	published atomic.Uint64 // the stream as far as readers may have it
	armed     atomic.Int32

	mu      sync.Mutex
	first   *relayBlock
	last    *relayBlock
	end     uint64 // of what was appended; the receiver's, written with mu
	readers map[*RelayReader]struct{}
}

// relayBlockBytes is how much of the stream lies together.
const relayBlockBytes = 256 << 10

// relayBlock is a piece of the stream. Bytes below Relay.published never change.
type relayBlock struct {
	base uint64 // offset of the first byte
	mem  []byte // of relayBlockBytes
	next atomic.Pointer[relayBlock]
}

func (b *relayBlock) end() uint64 { return b.base + relayBlockBytes }

// ErrNotKept: the stream does not reach back, or not yet, to where a reader was to begin.
var ErrNotKept = errors.New("replica: the stream is not kept from there")

// NewRelay returns a Relay of a stream of which so many bytes have been. It keeps the last keepBytes for readers to
// come.
func NewRelay(offset uint64, keepBytes int64) *Relay {
	r := &Relay{end: offset, readers: map[*RelayReader]struct{}{}}
	r.keep.Store(keepBytes)
	r.published.Store(offset)
	b := &relayBlock{base: offset, mem: make([]byte, relayBlockBytes)}
	r.first, r.last = b, b
	return r
}

// SetKeep changes how many bytes are kept for readers to come.
func (r *Relay) SetKeep(bytes int64) { r.keep.Store(bytes) }

// Shorten is SetKeep for a Relay of which nothing more is published: what is not kept goes at once.
func (r *Relay) Shorten(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep.Store(bytes)
	r.trim()
}

// Append takes bytes that were received. Nobody sees them before Publish.
func (r *Relay) Append(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 {
		if r.end == r.last.end() {
			b := &relayBlock{base: r.end, mem: make([]byte, relayBlockBytes)}
			r.last.next.Store(b)
			r.last = b
			r.trim()
		}
		n := copy(r.last.mem[r.end-r.last.base:], p)
		p = p[n:]
		r.end += uint64(n)
	}
}

// trim forgets blocks that nobody to come may need; whoever stands in one still has it. The lock is held.
func (r *Relay) trim() {
	published := r.published.Load()
	for r.first != r.last && r.first.end()+uint64(r.keep.Load()) <= published {
		r.first = r.first.next.Load()
	}
}

// Discard takes back what was appended and not published: it will come again, from another connection.
func (r *Relay) Discard() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end = r.published.Load()
	for b := r.first; ; b = b.next.Load() {
		if r.end < b.end() || r.end == b.end() && b.next.Load() == nil {
			r.last = b
			b.next.Store(nil)
			return
		}
	}
}

// Publish lets readers have the stream up to offset, which was executed; less than before changes nothing. Safe from
// any goroutine.
func (r *Relay) Publish(offset uint64) {
	for old := r.published.Load(); old < offset; old = r.published.Load() {
		if r.published.CompareAndSwap(old, offset) {
			break
		}
	}
	if r.armed.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.readers {
		if m.pos < offset && m.armed.CompareAndSwap(true, false) {
			r.armed.Add(-1)
			m.notify()
		}
	}
}

// Published returns how much of the stream readers may have.
func (r *Relay) Published() uint64 { return r.published.Load() }

// End returns how much of the stream has come.
func (r *Relay) End() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

// Oldest returns the offset from which on the stream is kept.
func (r *Relay) Oldest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.oldest()
}

func (r *Relay) oldest() uint64 {
	published, keep := r.published.Load(), uint64(r.keep.Load())
	return max(r.first.base, published-min(published, keep))
}

// Reader returns a reader from offset on, or ErrNotKept. notify is called, once after each Park that returned true, by
// whoever publishes: it must neither block nor call into the Relay.
func (r *Relay) Reader(offset uint64, notify func()) (*RelayReader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if offset > r.published.Load() || offset < r.oldest() {
		return nil, ErrNotKept
	}
	m := &RelayReader{relay: r, notify: notify, block: r.first, pos: offset}
	for m.pos > m.block.end() {
		m.block = m.block.next.Load()
	}
	r.readers[m] = struct{}{}
	return m, nil
}

// RelayReader reads the stream of a Relay: it is a Source. One goroutine at a time uses it.
type RelayReader struct {
	relay  *Relay
	notify func()
	block  *relayBlock
	pos    uint64 // changed with relay.mu
	armed  atomic.Bool
	closed bool
}

var _ Source = (*RelayReader)(nil)

// copy returns another reader that stands where m does.
func (m *RelayReader) copy(notify func()) *RelayReader {
	r := m.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &RelayReader{relay: r, notify: notify, block: m.block, pos: m.pos}
	r.readers[c] = struct{}{}
	return c
}

// LSN implements Source.
func (m *RelayReader) LSN() uint64 { return m.pos }

// Append implements Source.
func (m *RelayReader) Append(dst []byte, limit int) ([]byte, error) {
	for to := len(dst) + limit; len(dst) < to; {
		p := m.next(to - len(dst))
		if len(p) == 0 {
			break
		}
		dst = append(dst, p...)
	}
	return dst, nil
}

// next returns bytes that lie together, at most limit.
func (m *RelayReader) next(limit int) []byte {
	r := m.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.published.Load() - m.pos
	if left == 0 {
		return nil
	}
	for m.pos == m.block.end() {
		m.block = m.block.next.Load()
	}
	at := m.pos - m.block.base
	n := min(left, uint64(limit), relayBlockBytes-at)
	m.pos += n
	return m.block.mem[at : at+n : at+n]
}

// Park implements Source.
func (m *RelayReader) Park() bool {
	r := m.relay
	if m.armed.CompareAndSwap(false, true) {
		r.armed.Add(1)
	}
	if r.published.Load() == m.pos {
		return true // who publishes more stores first and looks for the armed then
	}
	if m.armed.CompareAndSwap(true, false) {
		r.armed.Add(-1)
	}
	return false
}

// LagBytes implements Source.
func (m *RelayReader) LagBytes() uint64 { return m.relay.published.Load() - m.pos }

// HeldBytes implements Source.
func (m *RelayReader) HeldBytes() uint64 {
	m.relay.mu.Lock()
	defer m.relay.mu.Unlock()
	return m.LagBytes()
}

// Shed implements Source: of a primary's stream there is no archive.
func (m *RelayReader) Shed(Archive, uint64) {}

// OnDisk implements Source.
func (m *RelayReader) OnDisk() bool { return false }

// Close implements Source.
func (m *RelayReader) Close() {
	if m.closed {
		return
	}
	m.closed = true
	r := m.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.readers, m)
	if m.armed.CompareAndSwap(true, false) {
		r.armed.Add(-1)
	}
	m.block = nil
}

// Pin keeps the stream from a position on that is not below what is published: what was executed since counts as
// published now.
func (r *Relay) Pin(position uint64) Pin {
	r.Publish(position)
	m, err := r.Reader(position, func() {})
	if err != nil {
		panic("BUG: replica: the end of a relay's stream is not kept")
	}
	return &relayPin{reader: m, position: position}
}

// relayPin is a Pin of a Relay: a reader that stays where it is.
type relayPin struct {
	mu       sync.Mutex
	reader   *RelayReader // nil once unpinned
	position uint64       // immutable
}

// LSN implements Pin.
func (p *relayPin) LSN() uint64 { return p.position }

// Open implements Pin.
func (p *relayPin) Open(notify func()) (Source, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader == nil {
		return nil, ErrNotKept
	}
	return p.reader.copy(notify), nil
}

// HeldBytes implements Pin.
func (p *relayPin) HeldBytes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader == nil {
		return 0
	}
	return p.reader.HeldBytes()
}

// Shed implements Pin: of a primary's stream there is no archive.
func (p *relayPin) Shed(Archive, uint64) {}

// OnDisk implements Pin.
func (p *relayPin) OnDisk() bool { return false }

// Unpin implements Pin.
func (p *relayPin) Unpin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader != nil {
		p.reader.Close()
		p.reader = nil
	}
}

// Close implements Pin.
func (p *relayPin) Close() { p.Unpin() }
