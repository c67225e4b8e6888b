package snapshot

import (
	"sync"
	"time"

	"fulmen/internal/clock"
)

// Limiter holds all who write through it together to a number of bytes per second, so that a save leaves the disk to
// the log. A nil Limiter holds nobody. Its methods may be called by any goroutine.
//
// It keeps one schedule: each write is given the moment when it may begin, which is when those before it would be done
// at the limit. A schedule that has fallen behind, because nobody wrote or a sleep took longer, may catch up on the
// last limiterCredit of it and no more.
type Limiter struct {
	clock clock.Clock
	sleep func(time.Duration)

	mu             sync.Mutex
	bytesPerSecond int64 // 0: no limit
	nextNs         int64 // when the next write may begin
	changes        int   // how often the limit was set
}

const (
	limiterCredit = 100 * time.Millisecond
	// limiterNap is the longest that a writer sleeps before it looks whether there is still something to wait for.
	limiterNap = 100 * time.Millisecond
)

// NewLimiter returns a limiter of so many bytes per second; 0 is no limit.
func NewLimiter(bytesPerSecond int64, c clock.Clock) *Limiter {
	return &Limiter{clock: c, sleep: time.Sleep, bytesPerSecond: bytesPerSecond, nextNs: c.NowNs()}
}

// SetRate changes the limit. Who waits already may go on.
func (l *Limiter) SetRate(bytesPerSecond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytesPerSecond == l.bytesPerSecond {
		return
	}
	l.bytesPerSecond = bytesPerSecond
	l.nextNs = l.clock.NowNs()
	l.changes++
}

// Wait returns when n bytes may be written, or soon after cancelled tells that they are not wanted any more; nil: they
// always are.
func (l *Limiter) Wait(n int, cancelled func() bool) {
	if l == nil {
		return
	}
	at, changes := l.book(n)
	for at > l.clock.NowNs() && !l.changedSince(changes) && (cancelled == nil || !cancelled()) {
		l.sleep(min(time.Duration(at-l.clock.NowNs()), limiterNap))
	}
}

// book takes the next place of n bytes in the schedule.
func (l *Limiter) book(n int) (atNs int64, changes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytesPerSecond <= 0 {
		return 0, l.changes
	}
	at := max(l.nextNs, l.clock.NowNs()-int64(limiterCredit))
	l.nextNs = at + int64(float64(n)/float64(l.bytesPerSecond)*float64(time.Second))
	return at, l.changes
}

func (l *Limiter) changedSince(changes int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes != changes
}
