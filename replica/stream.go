package replica

import (
	"sync"
	"sync/atomic"

	"fulmen/persist/log"
)

// Source gives the bytes of the stream from a position on.
type Source interface {
	// LSN returns the position of the next byte.
	LSN() uint64
	// Append appends the next bytes to dst, at most limit; fewer if there are no more yet. An error ends the Source:
	// what follows is nowhere to be had.
	Append(dst []byte, limit int) ([]byte, error)
	// Park asks for one call of the notify that the Source was opened with as soon as there is something to read. It
	// returns false if there is already, or if looking again is all that helps; then nothing was asked for.
	Park() bool
	// LagBytes returns how much there is and was not read yet.
	LagBytes() uint64
	// HeldBytes returns how much of that is kept in memory for it. Safe from any goroutine.
	HeldBytes() uint64
	// Shed has what follows read from an archive, if more than so many bytes are kept in memory for it and the archive
	// has them. Safe from any goroutine.
	Shed(from Archive, mostBytes uint64)
	// OnDisk tells whether it reads from an archive. Safe from any goroutine.
	OnDisk() bool
	// Close ends it. Closing twice is allowed.
	Close()
}

// Stream is what a server's replicas are sent: its own log or, while it follows a primary, the bytes of that one, which
// go down unchanged.
type Stream interface {
	// Offset returns the position of the stream's end. Safe from any goroutine.
	Offset() uint64
	// Oldest returns the position from which on it can be opened. Safe from any goroutine.
	Oldest() uint64
	// Open returns a Source from lsn on; an error if that is not kept, or not reached yet. notify is called where
	// something was just added: it must neither block nor call back. Safe from any goroutine.
	Open(lsn uint64, notify func()) (Source, error)
	// Pin keeps what follows the present position, which the data corresponds to exactly: all batons are held, and
	// nothing is staged.
	Pin() Pin
}

// Pin keeps a stream readable from a position on. Its methods are safe from any goroutine.
type Pin interface {
	LSN() uint64
	// Open returns a Source from the position on.
	Open(notify func()) (Source, error)
	// HeldBytes, Shed and OnDisk are those of a Source.
	HeldBytes() uint64
	Shed(from Archive, mostBytes uint64)
	OnDisk() bool
	// Unpin lets go of what follows the position. The stream goes on to be kept at all.
	Unpin()
	// Close is Unpin, and no longer needs the stream to be kept.
	Close()
}

// LogStream is a server's own log as a Stream. Shift is by how much its positions are above the log's.
type LogStream struct {
	Log   *log.Log
	Shift int64
	// From is where, as the log counts, the log begins to be the stream: what it has of before is something else.
	From uint64
	// Past has what the stream was before that, up to there exactly; nil: nobody has.
	Past *Relay
	// Archive has what memory lacks; nil: nobody has.
	Archive Archive
}

// Offset implements Stream.
func (s LogStream) Offset() uint64 { return s.Log.Contiguous() + uint64(s.Shift) }

// Oldest implements Stream: of what is in memory.
func (s LogStream) Oldest() uint64 {
	oldest := max(s.Log.Oldest(), s.From)
	if s.Past != nil && oldest == s.From {
		return s.Past.Oldest()
	}
	return oldest + uint64(s.Shift)
}

// Open implements Stream.
func (s LogStream) Open(lsn uint64, notify func()) (Source, error) {
	if from := s.From + uint64(s.Shift); lsn < from {
		return s.openPast(lsn, from, notify)
	}
	at := lsn - uint64(s.Shift)
	mem, err := s.Log.Merged(at, notify)
	if err == log.ErrTrimmed && s.Archive != nil {
		var disk ArchiveReader
		if disk, err = s.Archive.Open(at); err != nil {
			return nil, err
		}
		return newLogSource(s, notify, disk, nil), nil
	}
	return s.source(mem, notify, err)
}

// openPast is Open for what was before the log began to be the stream, at from.
func (s LogStream) openPast(lsn, from uint64, notify func()) (Source, error) {
	if s.Past == nil || s.Past.Published() != from {
		return nil, log.ErrTrimmed
	}
	past, err := s.Past.Reader(lsn, func() {})
	if err != nil {
		return nil, err
	}
	rest, err := s.Open(from, notify)
	if err != nil {
		past.Close()
		return nil, err
	}
	src := &pastSource{rest: rest}
	src.past.Store(past)
	return src, nil
}

// pastSource gives what a Relay has, to its end, and then what follows.
type pastSource struct {
	rest Source
	past atomic.Pointer[RelayReader] // nil: it was read
}

var _ Source = (*pastSource)(nil)

// LSN implements Source.
func (s *pastSource) LSN() uint64 {
	if past := s.past.Load(); past != nil {
		return past.LSN()
	}
	return s.rest.LSN()
}

// Append implements Source.
func (s *pastSource) Append(dst []byte, limit int) ([]byte, error) {
	if past := s.past.Load(); past != nil {
		if more, err := past.Append(dst, limit); len(more) > len(dst) || err != nil {
			return more, err
		}
		s.past.Store(nil)
		past.Close()
	}
	return s.rest.Append(dst, limit)
}

// Park implements Source.
func (s *pastSource) Park() bool { return s.past.Load() == nil && s.rest.Park() }

// LagBytes implements Source.
func (s *pastSource) LagBytes() uint64 {
	n := s.rest.LagBytes()
	if past := s.past.Load(); past != nil {
		n += past.LagBytes()
	}
	return n
}

// HeldBytes implements Source.
func (s *pastSource) HeldBytes() uint64 {
	n := s.rest.HeldBytes()
	if past := s.past.Load(); past != nil {
		n += past.HeldBytes()
	}
	return n
}

// Shed implements Source: of the past there is no archive.
func (s *pastSource) Shed(from Archive, mostBytes uint64) { s.rest.Shed(from, mostBytes) }

// OnDisk implements Source.
func (s *pastSource) OnDisk() bool { return s.rest.OnDisk() }

// Close implements Source.
func (s *pastSource) Close() {
	if past := s.past.Swap(nil); past != nil {
		past.Close()
	}
	s.rest.Close()
}

// source returns a Source of what a reader of the log has.
func (s LogStream) source(mem *log.MergedReader, notify func(), err error) (Source, error) {
	if err != nil {
		return nil, err
	}
	return newLogSource(s, notify, nil, mem), nil
}

// Pin implements Stream. The first one makes the log active.
func (s LogStream) Pin() Pin { return &logPin{hold: s.Log.Attach(), stream: s} }

// Resume is Pin for who knows that the data has not changed since the log was made to begin here.
func (s LogStream) Resume() Pin { return &logPin{hold: s.Log.Resume(), stream: s} }

// logPin is a Hold as a Pin, or what an archive has from there on.
type logPin struct {
	hold   *log.Hold // immutable
	stream LogStream // immutable

	mu       sync.Mutex
	disk     ArchiveReader // keeps the archive's files, and reads nothing; nil: memory is pinned, or nothing
	from     Archive       // of disk
	unpinned bool
}

// LSN implements Pin.
func (p *logPin) LSN() uint64 { return p.hold.LSN() + uint64(p.stream.Shift) }

// Open implements Pin.
func (p *logPin) Open(notify func()) (Source, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disk == nil {
		mem, err := p.hold.Merged(notify)
		return p.stream.source(mem, notify, err)
	}
	disk, err := p.from.Open(p.hold.LSN())
	if err != nil {
		return nil, err
	}
	return newLogSource(p.stream, notify, disk, nil), nil
}

// HeldBytes implements Pin.
func (p *logPin) HeldBytes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disk != nil || p.unpinned {
		return 0
	}
	return p.stream.Log.Contiguous() - p.hold.LSN()
}

// Shed implements Pin.
func (p *logPin) Shed(from Archive, mostBytes uint64) {
	if from == nil || p.HeldBytes() <= mostBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unpinned || p.disk != nil {
		return
	}
	disk, err := from.Open(p.hold.LSN())
	if err != nil {
		disk, err = p.giveTo(from)
	}
	if err == nil {
		p.disk, p.from = disk, from
		p.hold.Unpin()
	}
}

// OnDisk implements Pin.
func (p *logPin) OnDisk() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.disk != nil
}

// giveTo has an archive take what is pinned; with the lock.
func (p *logPin) giveTo(to Archive) (ArchiveReader, error) {
	mem, err := p.hold.Merged(nil)
	if err != nil {
		return nil, err
	}
	disk, err := to.Take(mem)
	if err != nil {
		mem.Close()
	}
	return disk, err
}

// Unpin implements Pin.
func (p *logPin) Unpin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unpinned = true
	if p.disk != nil {
		p.disk.Close()
		p.disk = nil
	}
	p.hold.Unpin()
}

// Close implements Pin.
func (p *logPin) Close() {
	p.Unpin()
	p.hold.Close()
}
