package shard

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/shard/arena"
)

// ground is where batons are fought over. Its workers stand for event loops, its clients for connections that are
// pinned to one: a client works in place where it finds the baton free, and waits for a letter otherwise. What
// the batons guard is plain memory, so that the race detector sees whoever comes without one.
//
// A round is over when no letter is under way and no worker at work. Then nothing will ever happen again, and a
// client that isn't done has been forgotten: no clock is needed to notice a lost wake-up or a deadlock.
type ground struct {
	set     *Set
	workers []*groundWorker
	clients []*groundClient
	plots   []plot // by shard
	letters sync.WaitGroup
	stamps  atomic.Uint64
	rung    []atomic.Bool // by shard: a letter of the bell is under way
	mix     mix

	served   atomic.Int64 // tasks
	kept     atomic.Int64 // batons handed over to a task
	resumed  atomic.Int64 // transactions told to go on
	rings    atomic.Int64
	ops      atomic.Int64
	maxWaits atomic.Int64 // letters that one transaction needed

	mu    sync.Mutex
	fault error
}

// mix says how often, of 100, a client does what; the rest works on one shard.
type mix struct {
	tx, keep int
	shuffled bool // a fault: transactions take their batons in any order
	restless bool // gives the processor away under a baton now and then, so that others meet it
}

// plot is what a shard's baton guards.
type plot struct {
	worker *groundWorker // at work here, for the client
	owner  int
	stamp  uint64 // of the last operation
	ops    int64
	sum    int64 // moved about by transactions; the sum over all plots is 0
	_      [64]byte
}

type groundWorker struct {
	Worker
	mail  chan letter
	depth int // of Serve
}

type letter interface{ deliver(w *groundWorker) }

// newGround makes the shards, workers and clients; the workers run until the test ends.
func newGround(t testing.TB, shards, workers, clients int, m mix) *ground {
	t.Helper()
	space, err := arena.NewSpace(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	g := &ground{plots: make([]plot, shards), rung: make([]atomic.Bool, shards), mix: m}
	g.set, err = NewSet(Options{
		Shards: shards, Databases: 1, Space: space, Clock: clock.NewFake(1), Bell: g,
		Log: log.New(shards, log.Limits{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range workers {
		w := &groundWorker{mail: make(chan letter, clients+shards)}
		w.Owner = w
		g.workers = append(g.workers, w)
	}
	for i := range clients {
		c := &groundClient{g: g, id: i + 1, home: g.workers[i%workers], rnd: rand.New(rand.NewPCG(uint64(i), 1))}
		c.node.Task = c
		c.tx.Init(g.set, c)
		g.clients = append(g.clients, c)
	}
	var done sync.WaitGroup
	for _, w := range g.workers {
		done.Go(func() {
			for l := range w.mail {
				l.deliver(w)
				g.letters.Done()
			}
		})
	}
	t.Cleanup(func() {
		for _, w := range g.workers {
			close(w.mail)
		}
		done.Wait()
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *ground) failf(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fault == nil {
		g.fault = fmt.Errorf(format, args...)
	}
}

// err returns the first fault.
func (g *ground) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fault
}

// post sends a letter. Each client has at most one under way, and so has each shard's bell: no worker ever
// waits for room.
func (g *ground) post(w *groundWorker, l letter) {
	g.letters.Add(1)
	w.mail <- l
}

// Ring implements Bell.
func (g *ground) Ring(s *Shard) {
	g.rings.Add(1)
	if g.rung[s.ID].CompareAndSwap(false, true) {
		g.post(g.home(s), (*ring)(s))
	}
}

func (g *ground) home(s *Shard) *groundWorker { return g.workers[s.ID%len(g.workers)] }

type ring Shard

func (r *ring) deliver(w *groundWorker) {
	s := (*Shard)(r)
	s.bell.(*ground).rung[s.ID].Store(false)
	s.Serve(&w.Worker)
}

// round lets every client do so many operations and returns when all is quiet.
func (g *ground) round(ops int) {
	watchdog := time.AfterFunc(15*time.Minute, func() { panic("the workers never come to rest") })
	for _, c := range g.clients {
		c.left = ops
	}
	for _, c := range g.clients {
		g.post(c.home, c)
	}
	g.letters.Wait()
	watchdog.Stop()
	for _, c := range g.clients {
		if c.left > 0 || c.state != idle {
			g.failf("client %d was forgotten: %d operations left, state %d, transaction of %v holds %d in round %d",
				c.id, c.left, c.state, c.tx.shards, c.tx.held, c.tx.round)
		}
	}
	for i, s := range g.set.Shards {
		if g.err() == nil && (s.baton.Load() != 0 || s.waiting()) {
			g.failf("shard %d: baton %d, tasks wait: %v", i, s.baton.Load(), s.waiting())
		}
	}
}

// rounds goes on until something is wrong, and compares the books at the end.
func (g *ground) rounds(n, ops int) error {
	for range n {
		if g.round(ops); g.err() != nil {
			return g.err()
		}
	}
	var sum, opCount int64
	for i := range g.plots {
		sum += g.plots[i].sum
		opCount += g.plots[i].ops
	}
	if sum != 0 || opCount != g.ops.Load() {
		g.failf("the plots' sum is %d; they saw %d of %d operations", sum, opCount, g.ops.Load())
	}
	return g.err()
}

// raise sets max to n if that is more.
func raise(max *atomic.Int64, n int64) {
	for old := max.Load(); n > old && !max.CompareAndSwap(old, n); old = max.Load() {
	}
}

type clientState int

const (
	idle    clientState = iota
	inInbox             // a task of one shard waits
	given               // … and will be given the baton
	inTx
)

type groundClient struct {
	g      *ground
	id     int
	home   *groundWorker
	rnd    *rand.Rand
	left   int // operations to do in this round
	state  clientState
	node   Node
	at     *Shard
	tx     Tx
	shards []int
	waits  int // letters that the running transaction needed
	begun  uint64
}

// deliver goes on where the client stands.
func (c *groundClient) deliver(w *groundWorker) {
	if w != c.home {
		c.g.failf("client %d is met on another worker", c.id)
	}
	switch c.state {
	case given:
		c.work(w, []int{c.at.ID})
		c.at.Release(&w.Worker)
	case inTx:
		c.waits++
		if !c.runTx(w) {
			return
		}
	}
	if c.state != idle {
		c.state = idle
		c.left--
	}
	for c.left > 0 {
		if !c.next(w) {
			return
		}
		c.left--
	}
}

// next does one operation; false: it waits.
func (c *groundClient) next(w *groundWorker) bool {
	g := c.g
	c.begun = g.stamps.Load()
	c.at = g.set.Shards[c.rnd.IntN(len(g.plots))]
	switch r := c.rnd.IntN(100); {
	case r < g.mix.tx:
		c.subset()
		c.tx.Begin(c.shards)
		c.state, c.waits = inTx, 0
		if !c.runTx(w) {
			return false
		}
		c.state = idle
	case r < g.mix.tx+g.mix.keep:
		c.state = given
		c.at.Enqueue(&c.node, &w.Worker)
		return false
	default:
		if !c.at.Acquire(&w.Worker) {
			c.state = inInbox
			c.at.Enqueue(&c.node, &w.Worker)
			return false
		}
		c.work(w, []int{c.at.ID})
		c.at.Release(&w.Worker)
	}
	return true
}

// subset chooses shards for a transaction, all of them now and then.
func (c *groundClient) subset() {
	c.shards = c.shards[:0]
	share := 1 + c.rnd.IntN(10)
	for i := range c.g.plots {
		if share == 10 || c.rnd.IntN(10) < share {
			c.shards = append(c.shards, i)
		}
	}
	if len(c.shards) == 0 {
		c.shards = append(c.shards, c.at.ID)
	}
	if c.g.mix.shuffled {
		c.rnd.Shuffle(len(c.shards), func(i, j int) { c.shards[i], c.shards[j] = c.shards[j], c.shards[i] })
	}
}

// runTx goes on with the transaction; false: it waits.
func (c *groundClient) runTx(w *groundWorker) bool {
	if !c.tx.Acquire(&w.Worker) {
		return false
	}
	raise(&c.g.maxWaits, int64(c.waits))
	c.work(w, c.shards)
	if c.g.mix.shuffled {
		c.tx.giveBack(&w.Worker) // a commit would notice by itself
	} else {
		c.tx.Release(&w.Worker)
	}
	return true
}

// Serve implements Task.
func (c *groundClient) Serve(s *Shard, w *Worker) (keep bool) {
	gw := w.Owner.(*groundWorker)
	if gw.depth++; gw.depth != 1 {
		c.g.failf("drains nest")
	}
	defer func() { gw.depth-- }()
	c.g.served.Add(1)
	w.NowNs += int64(c.rnd.IntN(4)) * 1000
	if c.state == given {
		c.g.kept.Add(1)
		c.g.post(c.home, c)
		return true
	}
	c.work(gw, []int{s.ID})
	c.g.post(c.home, c)
	return false
}

// Resume implements Waiter.
func (c *groundClient) Resume(*Tx) {
	c.g.resumed.Add(1)
	c.g.post(c.home, c)
}

// work is what is done under the batons of the given shards: nobody else may be there meanwhile. The stamp is taken
// while all are held. As it grows from operation to operation in every shard, the operations in order of their
// stamps are a serial history that explains what each has seen; and as it is taken between an operation's
// begin and its end, that order is the order of time where they don't overlap.
func (c *groundClient) work(w *groundWorker, shards []int) {
	g := c.g
	for _, i := range shards {
		p := &g.plots[i]
		if g.set.Shards[i].baton.Load() != 1 || p.owner != 0 {
			g.failf("shard %d: client %d comes while %d is there", i, c.id, p.owner)
		}
		p.owner, p.worker = c.id, w
	}
	if g.mix.restless && c.rnd.IntN(4) == 0 {
		runtime.Gosched()
	}
	stamp := g.stamps.Add(1)
	if stamp <= c.begun {
		g.failf("client %d: stamp %d of an operation that began at %d", c.id, stamp, c.begun)
	}
	var sum int64
	for _, i := range shards {
		p := &g.plots[i]
		if p.stamp >= stamp {
			g.failf("shard %d: stamps %d and %d out of order", i, p.stamp, stamp)
		}
		p.stamp = stamp
		p.ops++
		sum += p.sum
	}
	from, to, amount := shards[c.rnd.IntN(len(shards))], shards[c.rnd.IntN(len(shards))], int64(c.rnd.IntN(100))
	g.plots[from].sum -= amount
	g.plots[to].sum += amount
	if len(shards) == len(g.plots) && sum != 0 {
		g.failf("client %d sees a sum of %d over all shards", c.id, sum)
	}
	for _, i := range shards {
		if p := &g.plots[i]; p.owner != c.id || p.worker != w {
			g.failf("shard %d: client %d finds %d in its place", i, c.id, p.owner)
		}
		g.plots[i].owner = 0
	}
	g.ops.Add(int64(len(shards)))
}
