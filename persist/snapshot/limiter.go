package snapshot

import (
	"sync"
	"sync/atomic"
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

// KeyDelay makes a save or a load take a time for each key, so that tests can look at what happens meanwhile. A nil
// KeyDelay takes none. Its methods may be called by any goroutine.
type KeyDelay struct {
	ns    atomic.Int64 // for a key; 0: none
	limit *Limiter     // of nanoseconds per second
}

// NewKeyDelay returns a KeyDelay of so many microseconds for a key; below 0, of one for so many keys.
func NewKeyDelay(us int64, c clock.Clock) *KeyDelay {
	d := &KeyDelay{limit: NewLimiter(0, c)}
	d.Set(us)
	return d
}

// Set changes the delay. Who waits already goes on.
func (d *KeyDelay) Set(us int64) {
	ns := us * 1000
	if us < 0 {
		ns = max(1000/-us, 1)
	}
	d.ns.Store(ns)
	d.limit.SetRate(0)
	if ns > 0 {
		d.limit.SetRate(int64(time.Second))
	}
}

// Wait takes the time for a key, unless cancelled tells that it is not wanted any more.
func (d *KeyDelay) Wait(cancelled func() bool) {
	if d == nil {
		return
	}
	if ns := d.ns.Load(); ns > 0 {
		d.limit.Wait(int(ns), cancelled)
	}
}
