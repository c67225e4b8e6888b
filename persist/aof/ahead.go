package aof

import (
	"runtime"
	"sync"
)

// batchesAhead is how many batches there are: one that is used, one that is being filled, and one between them.
const batchesAhead = 3

// ahead gives batches in order to one goroutine, which uses them, and has another one fill them ahead of it, or the
// same one if that is no use. Whatever fill finds, an error too, is for the user to see in its place in the order.
//
// The memory is bounded by batchesAhead usual batches and one that is big.
type ahead[B any] struct {
	// fill fills a batch: the first of all is a zero one, others have been used. last: there is none behind it. big: it
	// has so much memory that no other one is filled meanwhile.
	fill func(*B) (last, big bool)
	used *B

	// Without a goroutine all of these are nil.
	full, free chan *B // each has a place for every batch, so that nobody waits to send
	quit       chan struct{}
	filler     sync.WaitGroup
}

// newAhead begins. The goroutine ends when the last batch is filled, or with stop.
func newAhead[B any](parallel bool, fill func(*B) (last, big bool)) *ahead[B] {
	a := &ahead[B]{fill: fill}
	if !parallel {
		a.used = new(B)
		return a
	}
	a.full, a.free, a.quit = make(chan *B, batchesAhead), make(chan *B, batchesAhead), make(chan struct{})
	for range batchesAhead {
		a.free <- new(B)
	}
	a.filler.Go(a.run)
	return a
}

// run fills batches.
func (a *ahead[B]) run() {
	for {
		b := a.take()
		if b == nil {
			return
		}
		last, big := a.fill(b)
		a.full <- b
		if last || big && !a.await(b) {
			return
		}
	}
}

// take takes a batch that is not in use; nil: it is over.
func (a *ahead[B]) take() *B {
	select {
	case b := <-a.free:
		return b
	case <-a.quit:
		return nil
	}
}

// await waits until a batch was used; false: it is over.
func (a *ahead[B]) await(b *B) bool {
	for {
		got := a.take()
		if got == nil {
			return false
		}
		a.free <- got
		if got == b {
			return true
		}
	}
}

// next returns the next batch, which stays as it is until the next call. It is not called behind the last one.
func (a *ahead[B]) next() *B {
	if a.full == nil {
		a.fill(a.used)
		return a.used
	}
	if a.used != nil {
		a.free <- a.used
	}
	a.used = <-a.full
	return a.used
}

// stop ends the goroutine. The batch that next has returned last stays as it is.
func (a *ahead[B]) stop() {
	if a.full != nil {
		close(a.quit)
		a.filler.Wait()
	}
}

// spareProcessors tells whether there are more processors than busy goroutines.
func spareProcessors(busy int) bool { return busy < min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }
