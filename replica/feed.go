package replica

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/clock"
)

// ErrClosed is what a Feed's methods return that was closed.
var ErrClosed = errors.New("replica: the feed is closed")

// streamBytes is how much of the stream is written at a time. More saves nothing: a system call is a few percent
// of what copying so much costs.
const streamBytes = 64 << 10

// restTime is how long Stream rests once all is sent, unless somebody is in a hurry: what comes first is sent at once,
// and what comes right behind it together. Without it every commit under load is a wake-up and a system call. A
// SET cost 1.14 times as much as without a replica when it was 1 ms, 1.12 with this, and 1.10 with 4 ms.
const restTime = 2 * time.Millisecond

// Feed writes to one replica. Nothing is kept for it here but what is being written: the rest lies in the stream's
// blocks, which its Source holds, or in the queue of a walk. It has no time-outs: who looks at
// StuckSinceMs closes it.
//
// Write, Begin and KeepAlive may be called by several goroutines, one after the other; Stream by one; the rest is safe
// from any goroutine at any time.
type Feed struct {
	conn    net.Conn
	clock   clock.Clock
	bell    chan struct{} // of length 1
	hurry   chan struct{} // of length 1
	quit    chan struct{}
	closing sync.Once

	mu    sync.Mutex // of writes
	begun bool       // no newline may come in between any more

	sent    atomic.Uint64 // the position up to which the replica was sent the stream
	sinceMs atomic.Int64  // when the write under way began, 0: none is
}

// NewFeed returns a Feed that owns conn.
func NewFeed(conn net.Conn, clock clock.Clock) *Feed {
	return &Feed{
		conn: conn, clock: clock, bell: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		quit: make(chan struct{}),
	}
}

// Close ends the Feed: writes under way return. Closing twice is allowed.
func (f *Feed) Close() {
	f.closing.Do(func() {
		close(f.quit)
		_ = f.conn.Close() // the replica finds out; there is nothing that could be lost
	})
}

// Closed is closed by Close.
func (f *Feed) Closed() <-chan struct{} { return f.quit }

// Ring tells Stream that there may be something to send. It never blocks.
func (f *Feed) Ring() {
	select {
	case f.bell <- struct{}{}:
	default:
	}
}

// Hurry has Stream send at once what there is. It never blocks.
func (f *Feed) Hurry() {
	select {
	case f.hurry <- struct{}{}:
	default:
	}
}

// Sent returns the position up to which the replica was sent the stream.
func (f *Feed) Sent() uint64 { return f.sent.Load() }

// SetSent says at which position the replica begins.
func (f *Feed) SetSent(lsn uint64) { f.sent.Store(lsn) }

// Write implements io.Writer.
func (f *Feed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(p)
}

func (f *Feed) write(p []byte) (int, error) {
	f.sinceMs.Store(f.clock.NowMs())
	n, err := f.conn.Write(p)
	f.sinceMs.Store(0)
	return n, err
}

// StuckSinceMs returns when the write under way began; 0 if none is.
func (f *Feed) StuckSinceMs() int64 { return f.sinceMs.Load() }

// KeepAlive sends a newline, which a replica that waits for its data skips, unless Begin was called.
func (f *Feed) KeepAlive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun {
		return nil
	}
	_, err := f.write([]byte{'\n'})
	return err
}

// Begin writes p, behind which newlines would not be skipped.
func (f *Feed) Begin(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = true
	_, err := f.write(p)
	return err
}

// Stream sends what src has, which was opened with Ring, until the Feed is closed or the replica is gone; it closes src
// and says why.
func (f *Feed) Stream(src Source) error {
	defer src.Close()
	var buf []byte
	rest := time.NewTimer(restTime)
	defer rest.Stop()
	for {
		var err error
		if buf, err = src.Append(buf[:0], streamBytes); err != nil {
			return err
		}
		switch {
		case len(buf) > 0:
			if _, err := f.Write(buf); err != nil {
				return err
			}
			f.sent.Store(src.LSN())
			if len(buf) >= streamBytes {
				continue
			}
			rest.Reset(restTime)
			select {
			case <-rest.C:
			case <-f.hurry:
			case <-f.quit:
				return ErrClosed
			}
		case src.Park():
			select {
			case <-f.bell:
			case <-f.quit:
				return ErrClosed
			}
		}
	}
}
