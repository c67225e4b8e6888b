package replica

import (
	"errors"
	"io"
	"sync"

	"fulmen/persist/vfs"
)

// OverflowBytes is how much those of a full sync's stream, or of all its flows, have in memory together, at most.
const OverflowBytes = 16 << 20

// Overflow is a queue of bytes between one who writes as fast as he can, the walk of a full sync, and one who passes
// them on as fast as replicas take them: what is too much for memory goes to a temporary file without a name, which
// counts in the limit of Spools. Only where that has no room the writer waits. One goroutine at a time writes, another
// one reads.
type Overflow struct {
	// Immutable.
	spools    *Spools
	mostBytes int // in memory

	mu   sync.Mutex
	turn sync.Cond // something has changed
	mem  [][]byte  // the oldest first
	held int       // bytes in mem
	// What is newer than mem lies in the file's range [from, to).
	file     vfs.File // nil: there is none yet
	back     vfs.Reader
	from, to int64
	closed   bool // nothing more comes
	err      error
	fileErr  error // why the file did not take something, the first time
}

// NewOverflow returns an empty queue, which has so many bytes in memory at most, or one piece that is longer.
func NewOverflow(spools *Spools, mostBytes int) *Overflow {
	q := &Overflow{spools: spools, mostBytes: mostBytes}
	q.turn.L = &q.mu
	return q
}

// Write implements io.Writer: p is copied. The error is Fail's.
func (q *Overflow) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		if q.from == q.to && (q.held == 0 || q.held+len(p) <= q.mostBytes) {
			q.mem = append(q.mem, append([]byte(nil), p...))
			q.held += len(p)
			break
		}
		if q.spill(p) {
			break
		}
		q.turn.Wait()
	}
	q.turn.Broadcast()
	if q.err != nil {
		return 0, q.err
	}
	return len(p), nil
}

// spill writes to the file, if that can be; with the lock.
func (q *Overflow) spill(p []byte) bool {
	if !q.spools.reserve(int64(len(p))) {
		return false
	}
	err := error(nil)
	if q.file == nil {
		q.file, q.back, err = q.spools.make()
	}
	if err == nil {
		_, err = q.file.WriteAt(p, q.to)
	}
	if err != nil {
		if q.fileErr == nil {
			q.fileErr = err
		}
		q.spools.free(int64(len(p)))
		return false
	}
	q.to += int64(len(p))
	return true
}

// Next returns what comes next, in buf or memory of its own, valid until the next call. It waits for that. Errors are
// io.EOF behind the last one once CloseWrite was called, Fail's, and those of the file.
func (q *Overflow) Next(buf []byte) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil {
		switch {
		case len(q.mem) > 0:
			p := q.mem[0]
			q.mem[0], q.mem = nil, q.mem[1:]
			q.held -= len(p)
			q.turn.Broadcast()
			return p, nil
		case q.from < q.to:
			return q.read(buf)
		case q.closed:
			return nil, io.EOF
		}
		q.turn.Wait()
	}
	return nil, q.err
}

// read returns the next bytes of the file; with the lock, but while it waits for the disk.
func (q *Overflow) read(buf []byte) ([]byte, error) {
	p := buf[:min(int64(len(buf)), q.to-q.from)]
	back, from := q.back, q.from
	q.mu.Unlock()
	_, err := back.ReadAt(p, from)
	q.mu.Lock()
	if err != nil {
		return nil, err
	}
	q.from += int64(len(p))
	if q.from == q.to {
		q.spools.free(q.to)
		q.from, q.to = 0, 0
		if err := q.file.Truncate(0); err != nil {
			return nil, err
		}
	}
	q.turn.Broadcast()
	return p, nil
}

// CloseWrite says that nothing more comes.
func (q *Overflow) CloseWrite() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.turn.Broadcast()
}

// Fail has both sides end with an error. The first one counts.
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
	q.spools.free(q.to)
	err := errors.Join(q.fileErr, q.file.Close(), q.back.Close())
	q.file = nil
	return err
}
