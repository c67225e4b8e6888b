package replica

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"fulmen/persist/vfs"
)

// OverflowBytes is how much those of a full sync's stream, or of all its flows, have in memory together, at most.
const OverflowBytes = 16 << 20

// passedBytes is how much of a temporary file is read at a time.
const passedBytes = 256 << 10

// Overflow is a queue of bytes between one who writes as fast as he can, the walk of a full sync, and those who pass
// them on, each to one replica and as fast as that one takes them. Every reader gets all of it. What the slowest has
// not read and is too much for memory goes to a temporary file without a name, which counts in the limit of Spools.
// Only where that has no room the writer waits. Readers are added before the first Write; then one goroutine writes,
// and each reader belongs to one.
type Overflow struct {
	// Immutable.
	spools    *Spools
	mostBytes int // in memory

	full atomic.Bool // the writer waits for room

	mu      sync.Mutex
	turn    sync.Cond // something has changed
	readers []*OverflowReader
	// mem are the oldest bytes that somebody has not read: pieces, the first of which has the number first and begins
	// at the position memAt.
	mem   [][]byte
	first int
	memAt int64
	held  int // bytes in mem
	// What is newer lies in the file, from its beginning on: what follows the position memAt+held.
	file    vfs.File // nil: there is none yet
	back    vfs.Reader
	size    int64 // bytes in the file, 0: what comes next may go to memory
	closed  bool  // nothing more comes
	err     error
	fileErr error // why the file did not take something, the first time
}

// NewOverflow returns an empty queue, which has so many bytes in memory at most, or one piece that is longer.
func NewOverflow(spools *Spools, mostBytes int) *Overflow {
	q := &Overflow{spools: spools, mostBytes: mostBytes}
	q.turn.L = &q.mu
	return q
}

// OverflowReader is one who reads a queue from its beginning to its end.
type OverflowReader struct {
	q     *Overflow
	piece int   // with the lock: the number of the piece of memory that comes next
	at    int64 // with the lock: the position of what comes next
	buf   []byte
}

// Reader adds one who reads the queue.
func (q *Overflow) Reader() *OverflowReader {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := &OverflowReader{q: q}
	q.readers = append(q.readers, r)
	return r
}

// Full tells whether the writer waits because the slowest reader has read too little. Safe from any goroutine.
func (q *Overflow) Full() bool { return q.full.Load() }

// end is the position behind all bytes; with the lock.
func (q *Overflow) end() int64 { return q.memAt + int64(q.held) + q.size }

// Write implements io.Writer: p is copied. The error is Fail's.
func (q *Overflow) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && len(p) > 0 {
		if q.size == 0 && (q.held == 0 || q.held+len(p) <= q.mostBytes) {
			q.mem = append(q.mem, append([]byte(nil), p...))
			q.held += len(p)
			break
		}
		if q.spill(p) {
			break
		}
		q.full.Store(true)
		q.turn.Wait()
		q.full.Store(false)
	}
	q.turn.Broadcast()
	if q.err != nil {
		return 0, q.err
	}
	return len(p), nil
}

// spill writes to the file, if that can be; with the lock.
func (q *Overflow) spill(p []byte) bool {
	if !q.spools.reserve(int64(len(p)), queueShare) {
		return false
	}
	err := error(nil)
	if q.file == nil {
		q.file, q.back, err = q.spools.make()
	}
	if err == nil {
		_, err = q.file.WriteAt(p, q.size)
	}
	if err != nil {
		if q.fileErr == nil {
			q.fileErr = err
		}
		q.spools.free(int64(len(p)))
		return false
	}
	q.size += int64(len(p))
	return true
}

// Next returns what comes next for the reader, valid until its next call. It waits for that. Errors are io.EOF behind
// the last byte once CloseWrite was called, Fail's, and those of the file.
func (r *OverflowReader) Next() ([]byte, error) {
	q := r.q
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		switch {
		case r.at < q.memAt+int64(q.held):
			p := q.mem[r.piece-q.first]
			r.piece++
			r.at += int64(len(p))
			q.forget()
			return p, nil
		case r.at < q.end():
			return r.read()
		case q.closed:
			return nil, io.EOF
		}
		q.turn.Wait()
	}
	return nil, q.err
}

// read returns the next bytes of the file; with the lock, but while it waits for the disk. The file keeps them
// meanwhile: the reader has not read them.
func (r *OverflowReader) read() ([]byte, error) {
	q := r.q
	if r.buf == nil {
		r.buf = make([]byte, passedBytes)
	}
	p := r.buf[:min(int64(len(r.buf)), q.end()-r.at)]
	back, from := q.back, r.at-q.memAt-int64(q.held)
	q.mu.Unlock()
	_, err := back.ReadAt(p, from)
	q.mu.Lock()
	if err != nil {
		return nil, err
	}
	r.at += int64(len(p))
	q.forget()
	return p, nil
}

// forget lets go of what all have read; with the lock.
func (q *Overflow) forget() {
	if len(q.readers) == 0 {
		return
	}
	all := q.readers[0].at
	for _, r := range q.readers[1:] {
		all = min(all, r.at)
	}
	for len(q.mem) > 0 && q.memAt+int64(len(q.mem[0])) <= all {
		n := len(q.mem[0])
		q.mem[0], q.mem = nil, q.mem[1:]
		q.first++
		q.memAt += int64(n)
		q.held -= n
	}
	if q.size > 0 && all == q.end() {
		q.spools.free(q.size)
		q.memAt, q.size = q.memAt+q.size, 0
		if err := q.file.Truncate(0); err != nil && q.fileErr == nil {
			q.fileErr = err // it is written over from its beginning all the same
		}
	}
	q.turn.Broadcast()
}

// Close ends the reader, whom nobody waits for any more. Closing twice is allowed.
func (r *OverflowReader) Close() {
	q := r.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readers = slices.DeleteFunc(q.readers, func(x *OverflowReader) bool { return x == r })
	q.forget()
}

// CloseWrite says that nothing more comes.
func (q *Overflow) CloseWrite() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.turn.Broadcast()
}

// Fail has all sides end with an error. The first one counts.
func (q *Overflow) Fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.turn.Broadcast()
}

// Close gives back what the queue has. Nobody uses it any more. The error is that of the file, also if it is why the
// writer had to wait.
func (q *Overflow) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		return q.fileErr
	}
	q.spools.free(q.size)
	q.size = 0
	err := errors.Join(q.fileErr, q.file.Close(), q.back.Close())
	q.file = nil
	return err
}
