// Package clock is the only place that reads the time.
//
// Everything else is handed a [Clock], so that expiry, timeouts and fsync schedules are tested with a [Fake] that
// stands still until it is moved. Besides it measures the processor time of a thread, which is what limits on
// baton holds are stated in.
//
// It is not a timer: nothing here wakes anyone up.
//
// # Ownership
//
// Real clocks hold no state. A Fake may be shared by any number of goroutines.
package clock

import (
	"sync/atomic"
	"time"
)

// Clock tells the time.
type Clock interface {
	// NowMs returns the wall clock in milliseconds since 1970, the unit of expiry. It may jump when the
	// machine's clock is set.
	NowMs() int64
	// NowUs returns the wall clock in microseconds since 1970.
	NowUs() int64
	// NowNs returns nanoseconds of a clock that never goes backwards, counted from an arbitrary moment, for
	// differences only.
	NowNs() int64
}

// began is the zero of every Real clock's NowNs.
var began = time.Now()

// Real is the machine's clock. Its zero value is ready to use.
type Real struct{}

// NowMs implements Clock.
func (Real) NowMs() int64 { return time.Now().UnixMilli() }

// NowUs implements Clock.
func (Real) NowUs() int64 { return time.Now().UnixMicro() }

// NowNs implements Clock.
func (Real) NowNs() int64 { return int64(time.Since(began)) }

// New returns the machine's clock.
func New() Clock { return Real{} }

// Fake is a clock that moves only when it is told to.
type Fake struct {
	// atomic; written by any goroutine
	wallNs atomic.Int64
	monoNs atomic.Int64
}

// NewFake returns a clock that shows nowMs on the wall and 0 as its NowNs.
func NewFake(nowMs int64) *Fake {
	f := new(Fake)
	f.SetMs(nowMs)
	return f
}

// NowMs implements Clock.
func (f *Fake) NowMs() int64 { return f.wallNs.Load() / 1e6 }

// NowUs implements Clock.
func (f *Fake) NowUs() int64 { return f.wallNs.Load() / 1e3 }

// NowNs implements Clock.
func (f *Fake) NowNs() int64 { return f.monoNs.Load() }

// Advance moves both the wall clock and NowNs on by d, which must not be negative.
func (f *Fake) Advance(d time.Duration) {
	if d < 0 {
		panic("BUG: clock: a fake clock was moved backwards; use SetMs")
	}
	f.monoNs.Add(int64(d))
	f.wallNs.Add(int64(d))
}

// SetMs sets the wall clock, backwards too, as an administrator would. NowNs is left as it is.
func (f *Fake) SetMs(nowMs int64) { f.wallNs.Store(nowMs * 1e6) }
