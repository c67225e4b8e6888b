package server

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/resp"
)

// Every element that is pushed is delivered exactly once, to a client or to another list, while clients that wait for
// it on several keys run out of time, are unblocked, and close their connections.

// delivery is what the clients of a run pushed and were given.
type delivery struct {
	p      *proof
	pushed atomic.Int64
	left   atomic.Int64 // pushers that are not done

	mu     sync.Mutex
	given  map[string]int
	closed int // connections closed while their command may have been served
	ids    []string
}

const deliveryKeys = 4

func (d *delivery) key(i int) string { return fmt.Sprintf("k%d", i) }

// push pushes n elements, alone, by twos, and in transactions.
func (d *delivery) push(rnd *rand.Rand, n int) {
	defer d.left.Add(-1)
	c := d.p.dial()
	for range n {
		key := d.key(rnd.IntN(deliveryKeys))
		a, b := strconv.FormatInt(d.pushed.Add(1), 10), strconv.FormatInt(d.pushed.Add(1), 10)
		switch rnd.IntN(3) {
		case 0:
			c.do("RPUSH", key, a, b)
		case 1:
			c.do("LPUSH", key, a)
			c.do("RPUSH", d.key(rnd.IntN(deliveryKeys)), b)
		default:
			c.add("MULTI")
			c.add("RPUSH", key, a)
			c.add("RPUSH", d.key(rnd.IntN(deliveryKeys)), b)
			c.add("EXEC")
			c.flush()
			for range 4 {
				c.reply()
			}
		}
		d.p.clock.wall.Advance(time.Millisecond)
	}
}

// consume waits for elements until all are pushed and it finds none.
func (d *delivery) consume(rnd *rand.Rand) {
	c := d.open()
	for empty := 0; empty < 20; {
		x, y, z := d.key(rnd.IntN(deliveryKeys)), d.key(rnd.IntN(deliveryKeys)), d.key(rnd.IntN(deliveryKeys))
		timeout := []string{"0.001", "0.005", "0.1"}[rnd.IntN(3)]
		moves := false
		switch rnd.IntN(5) {
		case 0:
			moves = true
			c.add("BLMOVE", x, y, "LEFT", "RIGHT", timeout)
		case 1:
			c.add("BLMPOP", timeout, "3", x, y, z, "RIGHT", "COUNT", "2")
		case 2:
			c.add("BRPOP", x, y, timeout)
		default:
			c.add("BLPOP", x, y, z, timeout)
		}
		c.flush()
		d.p.clock.wall.Advance(time.Millisecond)
		if !moves && d.left.Load() > 0 && rnd.IntN(20) == 0 {
			if err := c.nc.Close(); err != nil {
				d.p.t.Error(err)
			}
			d.mu.Lock()
			d.closed++
			d.mu.Unlock()
			c = d.open()
			continue
		}
		v := c.reply()
		switch {
		case moves || v.Err() != nil:
		case len(v.Elems) == 0:
			if d.left.Load() == 0 {
				empty++
			}
		default:
			d.note(v)
		}
	}
}

// open opens a connection that others may unblock.
func (d *delivery) open() *proofConn {
	c := d.p.dial()
	id := text(c.do("CLIENT", "ID"))
	d.mu.Lock()
	d.ids = append(d.ids, id)
	d.mu.Unlock()
	return c
}

// note notes what a command was given: a key and an element, or a key and an array of them.
func (d *delivery) note(v resp.Value) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if got := v.Elems[1]; len(got.Elems) > 0 {
		for _, e := range got.Elems {
			d.given[string(e.Str)]++
		}
	} else {
		d.given[string(got.Str)]++
	}
}

// unblock ends waits of clients at random.
func (d *delivery) unblock(rnd *rand.Rand, quit <-chan struct{}) {
	c := d.p.dial()
	for {
		select {
		case <-quit:
			return
		default:
		}
		d.p.clock.wall.Advance(time.Millisecond) // so that those whom nobody unblocks run out of time
		d.mu.Lock()
		id := "1"
		if len(d.ids) > 0 {
			id = d.ids[rnd.IntN(len(d.ids))]
		}
		d.mu.Unlock()
		c.do("CLIENT", "UNBLOCK", id, []string{"TIMEOUT", "ERROR"}[rnd.IntN(2)])
	}
}

// check compares what was pushed with what was given and what is left.
func (d *delivery) check() {
	c := d.p.dial()
	left := 0
	for i := range deliveryKeys {
		for _, e := range c.do("LRANGE", d.key(i), "0", "-1").Elems {
			d.given[string(e.Str)]++
			left++
		}
	}
	lost := 0
	for id := int64(1); id <= d.pushed.Load(); id++ {
		switch n := d.given[strconv.FormatInt(id, 10)]; {
		case n == 0:
			lost++
		case n > 1:
			d.p.t.Errorf("element %d was delivered %d times", id, n)
		}
	}
	if lost > 2*d.closed { // a command may take two elements
		d.p.t.Errorf("%d of %d elements are lost, and %d connections were closed", lost, d.pushed.Load(), d.closed)
	}
	d.p.t.Logf("%d elements, %d left, %d lost with %d connections", d.pushed.Load(), left, lost, d.closed)
}

func TestWaitersAreServedOnce(t *testing.T) {
	for _, shards := range []int{1, 2, 8} {
		for _, loops := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%d shards %d loops", shards, loops), func(t *testing.T) {
				p := startProof(t, shards, loops, 50)
				p.meddlers()
				d := &delivery{p: p, given: map[string]int{}}
				const pushers, consumers, pushes = 3, 6, 100
				d.left.Store(pushers)
				var work, helpers sync.WaitGroup
				for i := range uint64(pushers) {
					work.Go(func() { d.push(rand.New(rand.NewPCG(i, 1)), pushes) })
				}
				for i := range uint64(consumers) {
					work.Go(func() { d.consume(rand.New(rand.NewPCG(i, 2))) })
				}
				quit := make(chan struct{})
				helpers.Go(func() { d.unblock(rand.New(rand.NewPCG(3, 3)), quit) })
				work.Wait()
				close(quit)
				helpers.Wait()
				d.check()
				p.outsider().all(func() {
					for _, s := range p.srv.set.Shards {
						if n := s.Waiting(); n != 0 {
							t.Errorf("shard %d: %d keys are waited for", s.ID, n)
						}
					}
				})
			})
		}
	}
}
