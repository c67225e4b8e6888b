package replica

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/persist/log"
)

// Archive has what memory lacks of a log's stream, on disk. Positions are the log's.
type Archive interface {
	// Open returns a reader from lsn on; an error if it is not there. It doesn't wait for the disk. Safe from any
	// goroutine.
	Open(lsn uint64) (ArchiveReader, error)
	// Take has what mem reads kept on disk from where it stands on, and returns a reader of that; then mem belongs to
	// the archive. An archive that takes what is written anyhow, or has no room, returns an error.
	Take(mem *log.MergedReader) (ArchiveReader, error)
}

// ArchiveReader reads a stream from disk. One goroutine at a time uses it. *aof.StreamReader is one.
type ArchiveReader interface {
	// LSN returns the position of the next byte.
	LSN() uint64
	// Append appends the next bytes to dst, at most limit; fewer where what is written ends. It waits for the disk.
	Append(dst []byte, limit int) ([]byte, error)
	// Written returns up to where there is something to read now, and whether there will be more.
	Written() (lsn uint64, more bool)
	// Close ends it. Closing twice is allowed.
	Close()
}

// meetBytes is how far what memory has may be ahead of a reader of the disk that is to go on with it: so much is kept
// in memory until the reader is there.
const meetBytes = 4 << 20

// lookAgain is how long a reader rests that has come to the end of what is written and is not yet in memory's reach.
const lookAgain = 2 * time.Millisecond

// logSource gives the stream of a log: from the archive as long as memory lacks what is wanted, and then from memory.
//
// # Going over
//
// The archive has everything below W, which it says (Written); memory has everything from O = Log.Oldest on. If O ≤ W a
// reader of memory is opened at an LSN M, O ≤ M ≤ W, where the reader of the disk stands or, if memory does not reach
// back so far, ahead of it; from then on memory keeps what follows M. The disk is read up to exactly M, inside a frame,
// too, and memory from M on. Both have the same bytes at the same LSN, so nothing is missing and nothing comes twice,
// whatever is written, trimmed or rewritten meanwhile: all of [LSN, M) is below W, and the archive's reader has its
// files; all from M on is held.
//
// O ≤ W is not always so, but comes: the log keeps what is not written (KeepUnwritten), so O exceeds W only by a frame
// that is half written. And O may rise between the question and the opening (ErrTrimmed): then the disk is read on, and
// the question asked again. A reader that is so slow that memory is always more than meetBytes ahead stays on the disk.
type logSource struct {
	stream LogStream // immutable
	notify func()

	held   atomic.Uint64 // memory is kept from here on; MaxUint64: it is not
	disked atomic.Bool   // there is disk

	mu     sync.Mutex
	disk   ArchiveReader     // nil: everything that follows is read from memory
	mem    *log.MergedReader // nil: not yet. Beside disk it stands where that one is to end
	closed bool

	plant meetPlant
}

// meetPlant lets a test break the going over on purpose.
type meetPlant struct {
	early, late bool // memory is read from one byte too early, or too late, on
}

var _ Source = (*logSource)(nil)

func newLogSource(s LogStream, notify func(), disk ArchiveReader, mem *log.MergedReader) *logSource {
	src := &logSource{stream: s, notify: notify, disk: disk, mem: mem}
	src.noteHeld()
	return src
}

// noteHeld notes from where on memory is kept; with the lock.
func (s *logSource) noteHeld() {
	held := uint64(math.MaxUint64)
	s.disked.Store(s.disk != nil)
	if s.mem != nil && !s.closed {
		held = s.mem.LSN()
	}
	s.held.Store(held)
}

// HeldBytes implements Source.
func (s *logSource) HeldBytes() uint64 {
	held := s.held.Load() // before the end is looked up, which goes on meanwhile
	end := s.stream.Log.Contiguous()
	return end - min(end, held)
}

// LSN implements Source.
func (s *logSource) LSN() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lsn() + uint64(s.stream.Shift)
}

// lsn returns the log's position; with the lock.
func (s *logSource) lsn() uint64 {
	if s.disk != nil {
		return s.disk.LSN()
	}
	return s.mem.LSN()
}

// OnDisk implements Source.
func (s *logSource) OnDisk() bool { return s.disked.Load() }

// Shed implements Source. While somebody who is slow is being written to nobody uses the Source: what it has given was
// copied.
func (s *logSource) Shed(from Archive, mostBytes uint64) {
	if from == nil || s.HeldBytes() <= mostBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.noteHeld()
	if s.disk != nil {
		if s.mem != nil { // it has not come so far: the disk has more by now
			s.mem.Close()
			s.mem = nil
		}
		return
	}
	if s.closed {
		return
	}
	if disk, err := from.Open(s.mem.LSN()); err == nil {
		s.mem.Close()
		s.disk, s.mem = disk, nil
	} else if disk, err = from.Take(s.mem); err == nil {
		s.disk, s.mem = disk, nil
	}
}

// Append implements Source.
func (s *logSource) Append(dst []byte, limit int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.noteHeld()
	if s.disk == nil {
		return s.mem.Append(dst, limit), nil
	}
	written, more := s.disk.Written()
	to := written
	if s.mem == nil {
		s.meet(written)
	}
	if s.mem != nil {
		to = s.mem.LSN()
		if s.plant.early && to < written {
			to++
		}
	}
	if at := s.disk.LSN(); at < to {
		return s.disk.Append(dst, int(min(uint64(limit), to-at)))
	}
	if s.mem == nil {
		if !more {
			return dst, log.ErrTrimmed
		}
		return dst, nil
	}
	s.disk.Close()
	s.disk = nil
	if s.plant.late {
		s.mem.Next(1)
	}
	return s.mem.Append(dst, limit), nil
}

// meet opens a reader of memory, if what is written and what memory has meet and the reader of the disk is near.
func (s *logSource) meet(written uint64) {
	at := max(s.stream.Log.Oldest(), s.disk.LSN())
	if at > written || at-s.disk.LSN() > meetBytes {
		return
	}
	if mem, err := s.stream.Log.Merged(at, s.notify); err == nil {
		s.mem = mem
	} // else it is asked again: the log has forgotten more since
}

// Park implements Source.
func (s *logSource) Park() bool {
	s.mu.Lock()
	if s.disk == nil {
		defer s.mu.Unlock()
		return s.mem.Park()
	}
	written, _ := s.disk.Written()
	rests := s.mem == nil && s.disk.LSN() >= written
	s.mu.Unlock()
	if rests {
		time.Sleep(lookAgain)
	}
	return false
}

// LagBytes implements Source.
func (s *logSource) LagBytes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Log.Contiguous() - s.lsn()
}

// Close implements Source.
func (s *logSource) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.disk != nil {
		s.disk.Close()
	}
	if s.mem != nil {
		s.mem.Close()
	}
	s.noteHeld()
	s.disked.Store(false)
}
