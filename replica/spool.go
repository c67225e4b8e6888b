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
// stand behind its beginning, and ends with the last of them. The files have no names, so the end of the process frees
// them.
type Spools struct {
	// Immutable.
	fs     vfs.FS
	path   func() string
	failed func(error)

	limit atomic.Int64 // bytes that all of them may have
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

// SetLimit says how many bytes all spools may have together; with 0 none begins. Safe from any goroutine.
func (p *Spools) SetLimit(bytes int64) { p.limit.Store(bytes) }

// Bytes returns how many bytes all spools have. Safe from any goroutine.
func (p *Spools) Bytes() int64 { return p.bytes.Load() }

// spool is a file with a part of a stream.
type spool struct {
	of   *Spools
	from uint64 // LSN of its first byte; immutable
	file vfs.File
	back vfs.Reader

	written atomic.Uint64 // LSN behind its last byte
	over    atomic.Bool   // it takes no more
	quit    chan struct{} // closed: nobody reads it any more
	users   int           // with Spools.mu
}

// ErrNoSpool is why no spool begins.
var ErrNoSpool = errors.New("replica: there is no room for what a slow replica lacks")

// Open implements Archive: log.ErrTrimmed if no spool has that part of the stream.
func (p *Spools) Open(lsn uint64) (ArchiveReader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.open {
		if s.from <= lsn && lsn <= s.written.Load() && !s.over.Load() {
			s.users++
			return &spoolReader{spool: s, pos: lsn}, nil
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
	s := &spool{of: p, from: mem.LSN(), file: file, back: back, quit: make(chan struct{}), users: 1}
	s.written.Store(s.from)
	p.open = append(p.open, s)
	p.writers.Go(func() { s.fill(mem) })
	return &spoolReader{spool: s, pos: s.from}, nil
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

// reserve counts bytes that are about to be written; false: they would be too many.
func (p *Spools) reserve(n int64) bool {
	if p.bytes.Add(n) > p.limit.Load() {
		p.bytes.Add(-n)
		return false
	}
	return true
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

// release ends the use of a spool.
func (p *Spools) release(s *spool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	p.open = slices.DeleteFunc(p.open, func(x *spool) bool { return x == s })
	close(s.quit)
}

// spoolPieceBytes is how much is written at a time.
const spoolPieceBytes = 256 << 10

// fill is the spool's goroutine: it writes what mem has until nobody reads any more. Where it comes to the end of what
// there is it rests: who writes is not to be held up by one who is told.
func (s *spool) fill(mem *log.MergedReader) {
	buf := make([]byte, 0, spoolPieceBytes)
	rest := time.NewTicker(lookAgain)
	defer rest.Stop()
	for err := error(nil); ; {
		if !s.over.Load() {
			buf = mem.Append(buf[:0], spoolPieceBytes)
			if err = s.write(buf); err != nil {
				s.over.Store(true)
				mem.Close()
				s.of.failed(err)
			}
		}
		if len(buf) == spoolPieceBytes && err == nil {
			select {
			case <-s.quit:
			default:
				continue
			}
		}
		select {
		case <-s.quit:
			mem.Close()
			s.of.free(int64(s.written.Load() - s.from))
			_ = s.file.Close() // nobody needs what was written any more
			_ = s.back.Close()
			return
		case <-rest.C:
		}
	}
}

// write writes what follows.
func (s *spool) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if !s.of.reserve(int64(len(p))) {
		return fmt.Errorf("more than %d bytes would have to be kept in files", s.of.limit.Load())
	}
	if _, err := s.file.Write(p); err != nil {
		s.of.free(int64(len(p)))
		return err
	}
	s.written.Add(uint64(len(p)))
	return nil
}

// spoolReader reads a spool.
type spoolReader struct {
	*spool
	pos    uint64
	closed bool
}

// LSN implements ArchiveReader.
func (r *spoolReader) LSN() uint64 { return r.pos }

// Append implements ArchiveReader.
func (r *spoolReader) Append(dst []byte, limit int) ([]byte, error) {
	n := int(min(uint64(limit), r.written.Load()-r.pos))
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	if _, err := r.back.ReadAt(dst[at:], int64(r.pos-r.from)); err != nil {
		return dst[:at], err
	}
	r.pos += uint64(n)
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
		r.of.release(r.spool)
	}
}
