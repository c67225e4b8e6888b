package shard

import (
	"slices"

	"fulmen/persist/log"
)

// politeRounds is how often a transaction gives back what it took before it starts keeping it.
const politeRounds = 3

// Waiter is told, on any goroutine, that a transaction may go on: call Acquire again, on the owner's
// own goroutine.
type Waiter interface {
	Resume(t *Tx)
}

// Tx takes the batons of several shards. Zero value plus Init is ready for use; it may be reused after
// Release. It belongs to its owner's goroutine, except while Acquire has returned false.
type Tx struct {
	node   Node
	waiter Waiter
	set    *Set
	shards []int // ascending
	held   int   // the first held of shards are ours
	round  int
	keeps  bool // waits with the batons that it holds, for the next one
	logs   []*log.ShardLog
}

// Init names the owner. Once per Tx.
func (t *Tx) Init(set *Set, waiter Waiter) {
	t.set, t.waiter = set, waiter
	t.node.Task = t
}

// Begin starts anew with the given shards, ascending and without duplicates; the slice is kept.
func (t *Tx) Begin(shards []int) {
	if t.held != 0 {
		panic("BUG: transaction begins with batons held")
	}
	t.shards, t.round = shards, 0
}

// Shards returns what Begin was given.
func (t *Tx) Shards() []int { return t.shards }

// Holds tells whether the transaction holds the baton of a shard.
func (t *Tx) Holds(shard int) bool { return slices.Contains(t.shards[:t.held], shard) }

// Held tells whether all batons are held.
func (t *Tx) Held() bool { return t.held == len(t.shards) }

// Acquire tries to take all batons. true: all held, execute and Release. false: the transaction waits in
// an inbox; the waiter's Resume is called (perhaps before Acquire returns, on another goroutine), after
// which Acquire is to be called again.
func (t *Tx) Acquire(w *Worker) bool {
	for t.held < len(t.shards) {
		s := t.set.Shards[t.shards[t.held]]
		if s.Acquire(w) {
			t.held++
			continue
		}
		if t.keeps = t.round >= politeRounds; !t.keeps {
			t.round++
			t.giveBack(w)
		}
		s.Enqueue(&t.node, w)
		return false
	}
	for _, i := range t.shards { // some may have been handed over
		t.set.Shards[i].holder = w
	}
	return true
}

func (t *Tx) giveBack(w *Worker) {
	for t.held > 0 {
		t.held--
		t.set.Shards[t.shards[t.held]].Release(w)
	}
}

// Serve implements Task: the holder of the shard that the transaction waits for met it in the inbox.
// A polite transaction is told to try again; one that keeps its batons is given this one too.
func (t *Tx) Serve(s *Shard, w *Worker) (keep bool) {
	keep = t.keeps
	if keep {
		t.held++
		s.Stats.HandedOver++
	}
	t.waiter.Resume(t) // from here on t may be running elsewhere
	return keep
}

// Release commits what the transaction staged in all its shards as one and gives the batons back.
func (t *Tx) Release(w *Worker) {
	if !t.Held() {
		panic("BUG: release of a transaction that does not hold its batons")
	}
	// Not only while the log is active: it may have become inactive since something was staged.
	t.logs = t.logs[:0]
	for _, i := range t.shards {
		t.logs = append(t.logs, t.set.Shards[i].log)
	}
	w.saw(t.set.Log.Commit(t.logs, true))
	t.giveBack(w)
}
