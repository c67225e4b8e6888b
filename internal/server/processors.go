package server

import (
	"runtime"
	"sync"
)

// processors is how many processors the Go runtime has (GOMAXPROCS).
//
// While only loops work, the fewer are idle the better. Whenever a loop finds nothing more to do the engine calls
// runtime.Gosched, and that wakes another thread if a processor is idle, which looks for work: measured at pipeline 1
// this was 0.33 instead of 0.09 switches a command, and a sixth more processor time.
//
// A goroutine that works beside the loops keeps a processor to itself, in a system call too, and if all are taken a
// loop that wakes waits until the runtime takes one from somebody, for up to 10 ms (as does that goroutine, if it is
// the loops that keep them). With one for each of these, and one to spare, it is the kernel's choice whose turn it is,
// at once: measured on one core with appendfsync everysec, at half the greatest rate, p99.9 was 2.7 ms instead of 16.
//
// Under everysec and no whoever writes the append-only file needs that for a few milliseconds out of 20, so it says
// when: the same load took 14.4 µs a command with a processor for it all the time, 12.1 with one while it writes or
// syncs, and 11.7 without a file; p99.9 was the same. That all stops for that, twice in 20 ms, can't be seen.
type processors struct {
	// immutable
	cores int // what the runtime has by itself: the machine's, or as many as the process may use
	loops int

	mu     sync.Mutex
	added  int // work beside the loops, as add was told
	steady int // and as long as the server is what it is, see follow
}

func (p *processors) init(loops int) { p.cores, p.loops = runtime.GOMAXPROCS(0), loops }

// saveWorkers is how many goroutines encode what is saved.
func (p *processors) saveWorkers() int { return max(1, min(4, p.cores/4)) }

// add says that n goroutines more (fewer, if n < 0) are about to work beside the loops. It stops all goroutines for
// some microseconds.
func (p *processors) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added += n
	p.adjust()
}

// whileLoading is add for the goroutines of a load, which have ended when loaded is called. DEBUG RELOAD does without:
// nobody is served meanwhile.
func (p *processors) whileLoading() (loaded func()) {
	p.add(p.cores)
	return func() { p.add(-p.cores) }
}

// follow looks who works beside the loops all the time: who sends to replicas, and while the memory in use changes who
// has the system's pages follow.
func (p *processors) follow(srv *Server, changing bool) {
	n := 0
	for _, works := range []bool{len(*srv.replication.followers.Load()) > 0, changing} {
		if works {
			n++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.steady != n {
		p.steady = n
		p.adjust()
	}
}

// wanted is how many there are to be.
func (p *processors) wanted() int {
	if beside := p.added + p.steady; beside > 0 {
		return max(p.cores, p.loops+beside+1)
	}
	return p.cores
}

func (p *processors) adjust() {
	if n := p.wanted(); n != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}
