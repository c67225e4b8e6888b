package reactor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// parcel is a letter that counts how often it arrived.
type parcel struct {
	Letter
	arrived func(l *Loop, p *parcel)
	at      *Loop
	sender  int
	number  int
	hops    int
}

// Deliver implements Recipient.
func (p *parcel) Deliver(l *Loop, _ *Letter) { p.arrived(l, p) }

// TestMailOrder: letters of one poster arrive in the order in which they were posted.
func TestMailOrder(t *testing.T) {
	var m mailbox
	letters := make([]Letter, 100)
	for i := range letters {
		m.push(&letters[i])
	}
	i := 0
	for l := m.takeAll(); l != nil; l = l.next {
		if l != &letters[i] {
			t.Fatalf("letter %d is another one", i)
		}
		i++
	}
	if i != len(letters) || !m.empty() {
		t.Errorf("%d letters, empty: %v", i, m.empty())
	}
}

// startLoops starts a reactor without listeners.
func startLoops(t *testing.T, loops int) *Reactor {
	t.Helper()
	r := New(Options{Loops: loops, Log: t.Logf}, &script{data: swallow})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestNoLetterIsLost: many goroutines post to all loops, which sleep whenever they can; every letter
// arrives, on the loop it was posted to, and each poster's in order.
func TestNoLetterIsLost(t *testing.T) {
	const loops, posters = 3, 8
	each := 20_000
	if testing.Short() || raceEnabled {
		each = 2000
	}
	r := startLoops(t, loops)
	var got atomic.Int64
	var wg sync.WaitGroup
	var last [loops][posters]int // by loop; each touched by its loop only
	for sender := range posters {
		wg.Go(func() {
			back := make(chan *parcel, 4)
			free := 0
			for i := range each {
				l := r.loops[(i+sender)%loops]
				var p *parcel
				if free < cap(back) {
					p = &parcel{sender: sender}
					p.To = p
					free++
				} else {
					p = <-back // so that loops fall asleep
				}
				p.number, p.at = i+1, l
				p.arrived = func(l *Loop, p *parcel) {
					if l != p.at || p.number <= last[l.ID][p.sender] {
						t.Errorf("letter %d of %d arrived at loop %d", p.number, p.sender, l.ID)
					}
					last[l.ID][p.sender] = p.number
					got.Add(1)
					back <- p
				}
				l.Post(&p.Letter)
				if i%64 == 0 {
					runtime.Gosched()
				}
			}
			for range free {
				<-back
			}
		})
	}
	wg.Wait()
	if n := got.Load(); n != int64(posters*each) {
		t.Errorf("%d letters arrived, want %d", n, posters*each)
	}
}

// TestLettersBetweenLoops: a letter that loops pass on among each other, with nothing else to wake them.
func TestLettersBetweenLoops(t *testing.T) {
	hops := 20_000
	if testing.Short() || raceEnabled {
		hops = 2000
	}
	r := startLoops(t, 3)
	done := make(chan struct{})
	p := &parcel{}
	p.To = p
	p.arrived = func(l *Loop, p *parcel) {
		if p.hops++; p.hops == hops {
			close(done)
			return
		}
		r.loops[(l.ID+p.hops%2+1)%3].Post(&p.Letter) // to itself, too
	}
	r.loops[0].Post(&p.Letter)
	<-done
}

// TestTicks come to loops that ask for them, also when they sleep.
func TestTicks(t *testing.T) {
	ticks := make(chan int, 100)
	r := New(Options{Loops: 2, Log: t.Logf}, &ticker{script{data: swallow}, ticks})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	for id, l := range r.loops {
		for range 3 {
			l.WantTick()
			if got := <-ticks; got != id {
				t.Errorf("loop %d ticked, want %d", got, id)
			}
		}
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if len(ticks) != 0 {
		t.Error("a tick that nobody wanted")
	}
}

// TestSlowTicks come rarer, and a loop that wants the next tick is not kept waiting by the ticker's sleep.
func TestSlowTicks(t *testing.T) {
	ticks := make(chan int, 100)
	r := New(Options{Loops: 2, Log: t.Logf}, &ticker{script{data: swallow}, ticks})
	lazy, keen := r.loops[0], r.loops[1]
	lazy.WantSlowTick()
	keen.WantTick()
	if wait := r.ringTicks(false); wait != tickEvery || !keen.tickNow.Load() || lazy.tickNow.Load() {
		t.Errorf("a next tick is due: wait of %v, lazy %t, keen %t", wait, lazy.tickNow.Load(), keen.tickNow.Load())
	}
	if wait := r.ringTicks(true); wait != slowTickEvery || !lazy.tickNow.Load() {
		t.Errorf("a slow tick is due: wait of %v, rang lazy %t", wait, lazy.tickNow.Load())
	}
	keen.WantSlowTick()
	if len(r.pace.early) != 0 || !r.pace.slow.Load() {
		t.Error("who wants a slow tick needs no hurry")
	}
	for range 3 {
		keen.WantTick()
	}
	lazy.WantSlowTick()
	if len(r.pace.early) != 1 || r.pace.slow.Load() {
		t.Error("the sleeping ticker was not told")
	}
	keen.WantSlowTick() // takes nothing back
	if wait := r.ringTicks(false); wait != tickEvery {
		t.Errorf("wait of %v", wait)
	}
	// One asks between its own turn and the ticker's sleep: here, when the other is rung.
	first, second := r.loops[0], r.loops[1]
	second.bell = ringer(func() { first.WantTick() })
	second.maybeSleep.Store(true)
	second.WantSlowTick()
	if r.ringTicks(true) != tickEvery {
		t.Error("the ticker sleeps though a next tick is due")
	}
}

type ringer func()

func (r ringer) ring()      { r() }
func (r ringer) ringLater() {}

type ticker struct {
	script
	ticks chan int
}

func (h *ticker) Tick(l *Loop) { h.ticks <- l.ID }
