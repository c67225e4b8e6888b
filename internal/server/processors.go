package server

import (
	"runtime"
	"sync"
)

// processors is how many processors the Go runtime has (GOMAXPROCS).
//
// The fewer are idle, the better. Whenever a loop finds nothing more to do the engine calls runtime.Gosched, and that
// wakes another thread if a processor is idle, on which the loop then goes on: measured at pipeline 1 this was 0.33
// instead of 0.12 switches a command, and a fifth more processor time. On the other hand a goroutine that works beside
// the loops keeps a processor to itself, and if all are taken a loop that wakes waits until the runtime interrupts
// somebody, for up to 10 ms (as does that goroutine, if it is the loops that keep them). With one more, whose turn it
// is is the kernel's choice, at once. So there is one more for each of these, for as long as they work.
type processors struct {
	// immutable
	cores int // what the runtime has by itself: the machine's, or as many as the process may use
	loops int

	mu     sync.Mutex
	beside int
}

func (p *processors) init(loops int) { p.cores, p.loops = runtime.GOMAXPROCS(0), loops }

// saveWorkers is how many goroutines encode what is saved.
func (p *processors) saveWorkers() int { return max(1, min(4, p.cores/4)) }

// add says that n goroutines more (fewer, if n < 0) are about to work beside the loops. It stops all goroutines for
// some microseconds.
func (p *processors) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beside += n
	want := p.cores
	if p.beside > 0 {
		want = max(want, p.loops+p.beside)
	}
	if want != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
	}
}
