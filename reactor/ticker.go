package reactor

import (
	"sync/atomic"
	"time"
)

// The ticker goroutine rings loops with work due every 10 ms, or where all of them have asked for slow ticks only,
// every 100 ms: waking threads for nothing 100 times a second took an idle server 3 % of a core.
const (
	tickEvery     = 10 * time.Millisecond
	slowTickEvery = 100 * time.Millisecond
)

// What a loop wants of the ticker: the values of Loop.tickDue.
const (
	noTick uint32 = iota
	slowTick
	nextTick
)

// pace tells the ticker that it must not sleep for long.
type pace struct {
	slow  atomic.Bool   // the ticker sleeps for slowTickEvery, or is about to
	early chan struct{} // of length 1: a loop wants the next tick after all
}

func newPace() pace { return pace{early: make(chan struct{}, 1)} }

// hurry is called after a loop has said that it wants the next tick. The ticker says that it is going to sleep for
// long before it looks for the last time whether one does: so one of both sees the other.
func (p *pace) hurry() {
	if p.slow.Load() && p.slow.CompareAndSwap(true, false) {
		select {
		case p.early <- struct{}{}:
		default: // the ticker has yet to hear of the last time, and will look again
		}
	}
}

func (r *Reactor) runTicker() {
	defer r.ticker.Done()
	t := time.NewTimer(tickEvery)
	defer t.Stop()
	var start, lastSlow time.Time
	for {
		select {
		case <-r.done:
			return
		case <-r.pace.early:
			t.Reset(tickEvery)
		case now := <-t.C:
			if start.IsZero() {
				start = now
			}
			r.totals.tickMs.Store(now.Sub(start).Milliseconds())
			slow := now.Sub(lastSlow) >= slowTickEvery-tickEvery/2
			if slow {
				lastSlow = now
			}
			t.Reset(r.ringTicks(slow))
		}
	}
}

// ringTicks rings the loops that want a tick now, with slow also those that want a slow one, and returns the time
// until it is to be called again.
func (r *Reactor) ringTicks(slow bool) time.Duration {
	r.pace.slow.Store(false)
	next := false
	for _, l := range r.loops {
		due := l.tickDue.Load()
		if due == noTick || due == slowTick && !slow {
			continue
		}
		next = next || due == nextTick
		l.tickDue.Store(noTick)
		l.tickNow.Store(true)
		if l.maybeSleep.CompareAndSwap(true, false) {
			l.bell.ring()
		}
	}
	if next {
		return tickEvery
	}
	r.pace.slow.Store(true)
	for _, l := range r.loops {
		if l.tickDue.Load() == nextTick {
			r.pace.slow.Store(false)
			return tickEvery
		}
	}
	return slowTickEvery
}
