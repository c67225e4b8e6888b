package shard

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"fulmen/internal/invariant"
)

// restless gives the processor away at random between the steps of the protocol, so that others come
// between them.
func restless() *plant {
	var n atomic.Uint64
	return &plant{pause: func(s step) {
		if x := n.Add(1) * 0x9e3779b97f4a7c15; x>>61 == 0 {
			runtime.Gosched()
		}
	}}
}

func (g *ground) setPlant(p *plant) {
	for _, s := range g.set.Shards {
		s.plant = p
	}
}

func TestBatonsUnderContention(t *testing.T) {
	for _, n := range []struct{ shards, workers, clients int }{{1, 2, 2}, {1, 4, 20}, {2, 2, 6}, {5, 3, 30}} {
		g := newGround(t, n.shards, n.workers, n.clients, mix{keep: 5, restless: true})
		g.setPlant(restless())
		if err := g.rounds(2000/raceShare, 10); err != nil {
			t.Fatalf("%+v: %v", n, err)
		}
		if g.served.Load() == 0 || g.kept.Load() == 0 {
			t.Errorf("%+v: %d tasks served, %d batons handed over: not contended", n, g.served.Load(), g.kept.Load())
		}
		t.Logf("%+v: %d operations, %d served as tasks, %d batons handed over, %d rings of the bell",
			n, g.ops.Load(), g.served.Load(), g.kept.Load(), g.rings.Load())
	}
}

// TestNoWakeUpIsLost ends as many rounds as it can with the moments that matter: clients do one operation each, so
// that nobody comes by later who would find what was forgotten.
func TestNoWakeUpIsLost(t *testing.T) {
	g := newGround(t, 1, 2, 2, mix{restless: true})
	g.setPlant(restless())
	if err := g.rounds(40_000/raceShare, 1); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations, %d served as tasks", g.ops.Load(), g.served.Load())
}

// TestLostWakeUpsAreNoticed plants the faults that the test above is there for.
func TestLostWakeUpsAreNoticed(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("plants are looked at under the build tag invariants only")
	}
	for _, fault := range []struct {
		name string
		skip step
	}{{"no look at the baton after a push", stepPushed}, {"no look at the inbox after a release", stepReleased}} {
		g := newGround(t, 1, 2, 2, mix{restless: true})
		p := restless()
		p.skip = fault.skip
		g.setPlant(p)
		err := g.rounds(40_000, 1)
		if err == nil {
			t.Errorf("%s: not noticed", fault.name)
		}
		t.Logf("%s: after %d operations: %v", fault.name, g.ops.Load(), err)
	}
}

// still is a ground on which nobody works but the test.
func still(t *testing.T, shards int) *ground { return newGround(t, shards, 2, 0, mix{}) }

// note is a task that notes that it was served.
type note struct {
	Node
	g      *ground
	served *[]int
	id     int
	keep   bool
	then   func(w *Worker)
}

func (n *note) Serve(s *Shard, w *Worker) bool {
	*n.served = append(*n.served, n.id)
	if n.then != nil {
		n.then(w)
	}
	return n.keep
}

func (g *ground) notes(n int) (tasks []*note, served *[]int) {
	served = new([]int)
	for i := range n {
		task := &note{g: g, served: served, id: i}
		task.Node.Task = task
		tasks = append(tasks, task)
	}
	return tasks, served
}

func count(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestFreeBatonServesAtOnce(t *testing.T) {
	g := still(t, 1)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	tasks, served := g.notes(1)
	s.Enqueue(&tasks[0].Node, w)
	if len(*served) != 1 || s.baton.Load() != 0 || s.waiting() || s.Stats.Drained != 1 {
		t.Errorf("served %v, baton %d", *served, s.baton.Load())
	}
}

func TestTakenBatonServesOnRelease(t *testing.T) {
	g := still(t, 1)
	s, a, b := g.set.Shards[0], &g.workers[0].Worker, &g.workers[1].Worker
	tasks, served := g.notes(10)
	if !s.Acquire(a) || s.Acquire(b) {
		t.Fatal("Acquire")
	}
	for _, n := range tasks {
		s.Enqueue(&n.Node, b)
	}
	if len(*served) != 0 {
		t.Fatal("served while the baton was taken")
	}
	s.Release(a)
	if !slices.Equal(*served, count(10)) || s.baton.Load() != 0 {
		t.Errorf("served %v, baton %d", *served, s.baton.Load())
	}
}

// TestInboxRunsFirst: who takes a free baton runs what waits before anything else.
func TestInboxRunsFirst(t *testing.T) {
	g := still(t, 1)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	tasks, served := g.notes(3)
	for _, n := range tasks {
		s.inbox.push(&n.Node) // nobody has looked at the baton yet
	}
	if !s.Acquire(w) || len(*served) != 3 {
		t.Errorf("served %v", *served)
	}
	s.Release(w)
}

// TestDrainKeepsToItsBudget: what exceeds it goes to the home loop's bell, in order.
func TestDrainKeepsToItsBudget(t *testing.T) {
	rung := &rungBell{}
	g := still(t, 1)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	s.bell = rung
	tasks, served := g.notes(5*drainTasks + 7)
	s.Acquire(w)
	for _, n := range tasks {
		s.inbox.push(&n.Node)
	}
	s.Release(w)
	for i := 1; i <= 5; i++ {
		if len(*served) != i*drainTasks || rung.times != i || s.baton.Load() != 0 {
			t.Fatalf("after %d drains: %d served, rung %d times, baton %d", i, len(*served), rung.times, s.baton.Load())
		}
		s.Serve(w)
	}
	if !slices.Equal(*served, count(len(tasks))) || rung.times != 5 {
		t.Errorf("%d served in the end, rung %d times", len(*served), rung.times)
	}
	// Who takes the baton before the home loop does carries on as well.
	tasks, served = g.notes(drainTasks + 1)
	for _, n := range tasks {
		s.inbox.push(&n.Node)
	}
	if !s.Acquire(w) || len(*served) != drainTasks {
		t.Errorf("%d served by Acquire", len(*served))
	}
	if s.Release(w); len(*served) != drainTasks+1 || rung.times != 5 {
		t.Errorf("%d served, rung %d times", len(*served), rung.times)
	}
}

type rungBell struct{ times int }

func (b *rungBell) Ring(*Shard) { b.times++ }

func TestDrainKeepsToItsTime(t *testing.T) {
	rung := &rungBell{}
	g := still(t, 1)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	s.bell = rung
	tasks, served := g.notes(10)
	s.Acquire(w)
	for _, n := range tasks {
		n.then = func(w *Worker) { w.NowNs += drainBudgetNs / 2 }
		s.inbox.push(&n.Node)
	}
	if s.Release(w); len(*served) != 3 || rung.times != 1 {
		t.Errorf("%d tasks of half a budget each served, rung %d times", len(*served), rung.times)
	}
}

// TestDrainKeepsToItsBudgetInAStream: tasks that arrive while others are served count to the same budget, or else
// one loop would work for the others as long as they have something to do.
func TestDrainKeepsToItsBudgetInAStream(t *testing.T) {
	rung := &rungBell{}
	g := still(t, 1)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	s.bell = rung
	tasks, served := g.notes(10 * drainTasks)
	for i, n := range tasks[:len(tasks)-1] {
		n.then = func(*Worker) { s.inbox.push(&tasks[i+1].Node) } // as another goroutine would
	}
	if s.Enqueue(&tasks[0].Node, w); len(*served) != drainTasks || rung.times != 1 {
		t.Errorf("%d tasks served in one go, rung %d times", len(*served), rung.times)
	}
	for range 9 {
		s.Serve(w)
	}
	if !slices.Equal(*served, count(len(tasks))) || rung.times != 9 {
		t.Errorf("%d served in the end, rung %d times", len(*served), rung.times)
	}
}

// TestHandOver: the baton of a task that keeps it stays taken, the giver is out, and the rest waits.
func TestHandOver(t *testing.T) {
	for _, by := range []string{"Release", "Acquire", "Enqueue", "Serve"} {
		g := still(t, 1)
		s, a, b := g.set.Shards[0], &g.workers[0].Worker, &g.workers[1].Worker
		tasks, served := g.notes(4)
		tasks[1].keep = true
		push := func(from, to int) {
			for _, n := range tasks[from:to] {
				s.inbox.push(&n.Node)
			}
		}
		switch by {
		case "Release":
			s.Acquire(a)
			push(0, 3)
			s.Release(a)
		case "Acquire":
			push(0, 3)
			if s.Acquire(a) {
				t.Errorf("Acquire has the baton that a task has been given")
			}
		case "Enqueue":
			push(0, 2)
			s.Enqueue(&tasks[2].Node, a)
		case "Serve":
			push(0, 3)
			s.Serve(a)
		}
		if !slices.Equal(*served, count(2)) || s.baton.Load() != 1 {
			t.Errorf("%s: served %v, baton %d", by, *served, s.baton.Load())
		}
		if s.Enqueue(&tasks[3].Node, a); s.Acquire(a) || len(*served) != 2 {
			t.Errorf("%s: the baton is not the task's", by)
		}
		if s.Release(b); !slices.Equal(*served, count(4)) || s.baton.Load() != 0 { // the new owner, on its goroutine
			t.Errorf("%s: served %v in the end, baton %d", by, *served, s.baton.Load())
		}
	}
}

func TestBatonsAllocateNothing(t *testing.T) {
	g := still(t, 3)
	s, w := g.set.Shards[0], &g.workers[0].Worker
	n := &idleTask{}
	n.Node.Task = n
	tx := &Tx{}
	tx.Init(g.set, nobody{})
	shards := []int{0, 1, 2}
	for name, f := range map[string]func(){
		"Acquire and Release": func() { s.Acquire(w); s.Release(w) },
		"Enqueue":             func() { s.Enqueue(&n.Node, w) },
		"a transaction":       func() { tx.Begin(shards); tx.Acquire(w); tx.Release(w) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

type idleTask struct{ Node }

func (*idleTask) Serve(*Shard, *Worker) bool { return false }

type nobody struct{}

func (nobody) Resume(*Tx) {}

func BenchmarkBaton(b *testing.B) {
	g := newGround(b, 1, 1, 0, mix{})
	s, w := g.set.Shards[0], &g.workers[0].Worker
	for b.Loop() {
		s.Acquire(w)
		s.Release(w)
	}
}
