package replica

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Spools are an Archive for a log that is written to no files: what a replica that is slow has not been sent, or what
// comes while it gets the data of a full sync, goes to a temporary file without a name once it is too much for memory.
// A spool begins where the first reader that needs it stands, takes all that follows, serves all readers that come to
// stand behind its beginning, and ends with the last of them. What all of them have read is written over, so that a
// replica that stays a little behind for days needs no more than that little. The files have no names, so the end of
// the process frees them.
type Spools struct {
	// Immutable.
	fs     vfs.FS
	path   func() string
	failed func(error)

	limit atomic.Int64 // bytes that all files may have
	bytes atomic.Int64 // bytes that they have

	naming sync.Mutex

	mu       sync.Mutex
	open     []*spool
	finished bool
	writers  sync.WaitGroup
}

// NewSpools returns Spools without a limit. path returns what a file may be called for the moment in which it is made.
// failed is told, on another goroutine, why a spool takes no more: then its readers come to an end.
func NewSpools(fs vfs.FS, path func() string, failed func(error)) *Spools {
	p := &Spools{fs: fs, path: path, failed: failed}
	p.SetLimit(math.MaxInt64)
	return p
}

// SetLimit says how many bytes all files may have together; with 0 no spool begins. Safe from any goroutine.
func (p *Spools) SetLimit(bytes int64) { p.limit.Store(bytes) }

// Bytes returns how many bytes all files have. Safe from any goroutine.
func (p *Spools) Bytes() int64 { return p.bytes.Load() }

// spool is a file with a part of a stream: segments of spoolSegment bytes, which lie where there was a place.
type spool struct {
	of   *Spools
	base uint64 // LSN of the first segment; immutable
	file vfs.File
	back vfs.Reader

	written atomic.Uint64 // LSN behind its last byte
	over    atomic.Bool   // it takes no more
	quit    chan struct{} // closed: nobody reads it any more

	// With Spools.mu; changed by fill's goroutine, but for readers.
	readers []*spoolReader
	first   int   // segments before that are gone
	places  []int // of the segments from first on, in segments of the file
	free    []int // places of segments that are gone
	made    int   // how many places there are

	sizeBytes int64 // of the file; owned by fill's goroutine
}

// ErrNoSpool is why no spool begins.
var ErrNoSpool = errors.New("replica: there is no room for what a slow replica lacks")

// Open implements Archive: log.ErrTrimmed if no spool has that part of the stream.
func (p *Spools) Open(lsn uint64) (ArchiveReader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		if s.start(s.first) <= lsn && lsn <= s.written.Load() && !s.over.Load() {
			return s.read(lsn), nil
		}
	}
	return nil, log.ErrTrimmed
}

// Take implements Archive.
func (p *Spools) Take(mem *log.MergedReader) (ArchiveReader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished || p.bytes.Load() >= p.limit.Load() {
		return nil, ErrNoSpool
	}
	file, back, err := p.make()
	if err != nil {
		return nil, err
	}
	s := &spool{of: p, base: mem.LSN(), file: file, back: back, quit: make(chan struct{})}
	s.written.Store(s.base)
	p.open = append(p.open, s)
	p.writers.Go(func() { s.fill(mem) })
	return s.read(s.base), nil
}

// make makes a file without a name, to be written and read back.
func (p *Spools) make() (vfs.File, vfs.Reader, error) {
	p.naming.Lock() // they all have the same name for a moment
	defer p.naming.Unlock()
	path := p.path()
	file, err := p.fs.Create(path, 0o600)
	if err != nil {
		return nil, nil, err
	}
	back, err := p.fs.Open(path)
	if err == nil {
		if err = p.fs.Remove(path); err != nil {
			err = errors.Join(err, back.Close())
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, back, nil
}

// queueShare is which part of the limit queues (Overflow) leave to spools: a queue that has no more room waits, and
// nobody can wait for a spool.
const queueShare = 2

// reserve counts bytes by which a file is about to grow; false: they would be more than a part of the limit, 1 of so
// many.
func (p *Spools) reserve(n, part int64) bool {
	for {
		has := p.bytes.Load()
		if n > 0 && has+n > p.limit.Load()/part {
			return false
		}
		if p.bytes.CompareAndSwap(has, has+n) {
			return true
		}
	}
}

// free counts bytes that are no more.
func (p *Spools) free(n int64) { p.bytes.Add(-n) }

// Close waits until no spool is left: all readers are closed, or are about to be, and nobody opens one any more.
func (p *Spools) Close() {
	p.mu.Lock()
	p.finished = true
	p.mu.Unlock()
	p.writers.Wait()
}

// spoolPieceBytes is how much is written at a time, and spoolSegment a multiple of it.
const (
	spoolPieceBytes = 256 << 10
	spoolSegment    = 4 * spoolPieceBytes
)

// start returns the LSN at which a segment begins.
func (s *spool) start(segment int) uint64 { return s.base + uint64(segment)*spoolSegment }

// segment returns which one has the byte at an LSN, and where in it.
func (s *spool) segment(lsn uint64) (segment int, at int64) {
	n := lsn - s.base
	return int(n / spoolSegment), int64(n % spoolSegment)
}

// read returns a reader from lsn on, which the spool has; with Spools.mu.
func (s *spool) read(lsn uint64) *spoolReader {
	r := &spoolReader{spool: s}
	r.pos.Store(lsn)
	s.readers = append(s.readers, r)
	return r
}

// release ends the use of a spool.
func (s *spool) release(r *spoolReader) {
	p := s.of
	p.mu.Lock()
	defer p.mu.Unlock()
	s.readers = slices.DeleteFunc(s.readers, func(x *spoolReader) bool { return x == r })
	if len(s.readers) > 0 {
		return
	}
	p.open = slices.DeleteFunc(p.open, func(x *spool) bool { return x == s })
	close(s.quit)
}

// fill is the spool's goroutine: it writes what mem has until nobody reads any more. Where it comes to the end of what
// there is it rests: who writes is not to be held up by one who is told.
func (s *spool) fill(mem *log.MergedReader) {
	buf := make([]byte, 0, spoolPieceBytes)
	rest := time.NewTicker(lookAgain)
	defer rest.Stop()
	for err := error(nil); ; {
		more := false
		if !s.over.Load() {
			_, at := s.segment(s.written.Load())
			most := int(min(spoolPieceBytes, spoolSegment-at))
			buf = mem.Append(buf[:0], most)
			if err = s.write(buf); err != nil {
				s.over.Store(true)
				mem.Close()
				s.of.failed(err)
			}
			more = len(buf) == most && err == nil
		}
		if more {
			select {
			case <-s.quit:
			default:
				continue
			}
		}
		select {
		case <-s.quit:
			mem.Close()
			s.of.free(s.sizeBytes)
			_ = s.file.Close() // nobody needs what was written any more
			_ = s.back.Close()
			return
		case <-rest.C:
		}
	}
}

// write writes what follows, which lies in one segment.
func (s *spool) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	offset := s.placeOf(s.written.Load())
	longer := max(0, offset+int64(len(p))-s.sizeBytes)
	if !s.of.reserve(longer, 1) {
		return fmt.Errorf("more than %d bytes would have to be kept in files", s.of.limit.Load())
	}
	if _, err := s.file.WriteAt(p, offset); err != nil {
		s.of.free(longer)
		return err
	}
	s.sizeBytes += longer
	s.written.Add(uint64(len(p)))
	return nil
}

// placeOf returns where in the file the next byte, which is at lsn, goes. A new segment takes the place of one that all
// readers have read, if there is any: the one that was written last, of which most is still in memory.
func (s *spool) placeOf(lsn uint64) int64 {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	segment, at := s.segment(lsn)
	if segment == s.first+len(s.places) {
		s.forget()
		if len(s.free) == 0 {
			s.free = append(s.free, s.made)
			s.made++
		}
		last := len(s.free) - 1
		s.places = append(s.places, s.free[last])
		s.free = s.free[:last]
	}
	return int64(s.places[segment-s.first])*spoolSegment + at
}

// forget gives up the segments that all readers have read; with Spools.mu.
func (s *spool) forget() {
	for len(s.places) > 0 && !slices.ContainsFunc(s.readers, func(r *spoolReader) bool {
		return r.pos.Load() < s.start(s.first+1)
	}) {
		s.free = append(s.free, s.places[0])
		s.places = s.places[1:]
		s.first++
	}
}

// spoolReader reads a spool.
type spoolReader struct {
	*spool
	pos    atomic.Uint64 // stored by who reads
	closed bool
}

// LSN implements ArchiveReader.
func (r *spoolReader) LSN() uint64 { return r.pos.Load() }

// Append implements ArchiveReader.
func (r *spoolReader) Append(dst []byte, limit int) ([]byte, error) {
	pos := r.pos.Load()
	for left := min(uint64(limit), r.written.Load()-pos); left > 0; {
		r.of.mu.Lock()
		segment, from := r.segment(pos)
		place := int64(r.places[segment-r.first]) // it is not given up before pos has moved on
		r.of.mu.Unlock()
		n := int(min(left, uint64(spoolSegment-from)))
		at := len(dst)
		dst = slices.Grow(dst, n)[:at+n]
		if _, err := r.back.ReadAt(dst[at:], place*spoolSegment+from); err != nil {
			return dst[:at], err
		}
		left -= uint64(n)
		pos += uint64(n)
		r.pos.Store(pos)
	}
	return dst, nil
}

// Written implements ArchiveReader.
func (r *spoolReader) Written() (lsn uint64, more bool) {
	more = !r.over.Load() // before: nothing is written once it is over
	return r.written.Load(), more
}

// Close implements ArchiveReader.
func (r *spoolReader) Close() {
	if !r.closed {
		r.closed = true
		r.release(r)
	}
}
