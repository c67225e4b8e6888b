package shard

import (
	"fmt"
	"slices"
	"testing"

	"fulmen/persist/log"
)

// TestTransactionsUnderContention: random subsets of the shards, among tasks of one shard and tasks that are
// given batons. What is checked is in groundClient.work: mutual exclusion, isolation, strict serialisability, a sum
// over all shards; here, that nobody starves and that every path was taken.
func TestTransactionsUnderContention(t *testing.T) {
	for _, n := range []struct{ shards, workers, clients int }{
		{1, 2, 6}, {2, 2, 8}, {8, 4, 16}, {8, 1, 8}, {3, 2, 40}, {40, 3, 12},
	} {
		g := newGround(t, n.shards, n.workers, n.clients, mix{tx: 60, keep: 5, restless: true})
		g.setPlant(restless())
		if err := g.rounds(400/raceShare, 20); err != nil {
			t.Fatalf("%+v: %v", n, err)
		}
		// Each of the polite rounds ends with one letter, and so does each baton that is given.
		if limit := int64(politeRounds + n.shards); g.maxWaits.Load() > limit {
			t.Errorf("%+v: a transaction waited %d times, want %d at most", n, g.maxWaits.Load(), limit)
		}
		if g.resumed.Load() == 0 || g.maxWaits.Load() <= politeRounds {
			t.Errorf("%+v: transactions waited %d times, at most %d each: not contended",
				n, g.resumed.Load(), g.maxWaits.Load())
		}
		t.Logf("%+v: %d operations, %d served as tasks, %d batons handed over, %d waits of transactions, "+
			"at most %d each", n, g.ops.Load(), g.served.Load(), g.kept.Load(), g.resumed.Load(), g.maxWaits.Load())
	}
}

// TestUnorderedTransactionsAreNoticed plants the fault that ascending order is there to prevent.
func TestUnorderedTransactionsAreNoticed(t *testing.T) {
	g := newGround(t, 4, 2, 12, mix{tx: 100, shuffled: true, restless: true})
	err := g.rounds(4000, 20)
	if err == nil {
		t.Error("not noticed")
	}
	t.Logf("after %d operations: %v", g.ops.Load(), err)
}

// resumeCount is a Waiter that counts.
type resumeCount struct{ times int }

func (r *resumeCount) Resume(*Tx) { r.times++ }

// TestTransactionIsPoliteThreeTimes goes through the rounds one by one.
func TestTransactionIsPoliteThreeTimes(t *testing.T) {
	g := still(t, 3)
	s := g.set.Shards
	a, b := &g.workers[0].Worker, &g.workers[1].Worker
	var resumed resumeCount
	var tx Tx
	tx.Init(g.set, &resumed)
	tx.Begin([]int{0, 1, 2})
	held := func() (list []uint32) {
		for _, sh := range s {
			list = append(list, sh.baton.Load())
		}
		return list
	}
	want := func(batons []uint32, times int) {
		t.Helper()
		if !slices.Equal(held(), batons) || resumed.times != times {
			t.Fatalf("batons %v, resumed %d times, want %v and %d", held(), resumed.times, batons, times)
		}
	}
	for round := 1; round <= politeRounds; round++ {
		s[1].Acquire(b)
		if tx.Acquire(a) {
			t.Fatal("has a baton that is taken")
		}
		want([]uint32{0, 1, 0}, round-1)
		s[1].Release(b)
		want([]uint32{0, 0, 0}, round)
	}
	s[1].Acquire(b)
	if tx.Acquire(a) {
		t.Fatal("has a baton that is taken")
	}
	want([]uint32{1, 1, 0}, politeRounds) // it keeps the first
	s[1].Release(b)
	want([]uint32{1, 1, 0}, politeRounds+1) // and was given the second
	s[2].Acquire(b)
	if tx.Acquire(a) || tx.Held() {
		t.Fatal("has a baton that is taken")
	}
	s[2].Release(b)
	want([]uint32{1, 1, 1}, politeRounds+2)
	if !tx.Acquire(a) || !tx.Held() {
		t.Fatal("doesn't have its batons")
	}
	tx.Release(a)
	want([]uint32{0, 0, 0}, politeRounds+2)
}

// TestTransactionThatFindsItsBatonFreeWhileQueueing: the baton is released between the attempt and the push.
func TestTransactionThatFindsItsBatonFreeWhileQueueing(t *testing.T) {
	for _, round := range []int{0, politeRounds} {
		g := still(t, 2)
		a, b := &g.workers[0].Worker, &g.workers[1].Worker
		var resumed resumeCount
		var tx Tx
		tx.Init(g.set, &resumed)
		tx.Begin([]int{0, 1})
		tx.round = round
		g.set.Shards[1].Acquire(b)
		if tx.Acquire(a) {
			t.Fatal("has a baton that is taken")
		}
		g.set.Shards[1].Release(b)
		if resumed.times != 1 || !tx.Acquire(a) {
			t.Errorf("round %d: resumed %d times, holds %d", round, resumed.times, tx.held)
		}
		tx.Release(a)
		for i, s := range g.set.Shards {
			if s.baton.Load() != 0 {
				t.Errorf("round %d: the baton of shard %d is still taken", round, i)
			}
		}
	}
}

func TestTransactionMisuse(t *testing.T) {
	g := still(t, 2)
	w := &g.workers[0].Worker
	var tx Tx
	tx.Init(g.set, nobody{})
	panics := func(name string, f func()) {
		defer func() {
			if r := fmt.Sprint(recover()); len(r) < 4 || r[:4] != "BUG:" {
				t.Errorf("%s: %s", name, r)
			}
		}()
		f()
	}
	tx.Begin([]int{0, 1})
	panics("Release without batons", func() { tx.Release(w) })
	tx.Acquire(w)
	panics("Begin with batons", func() { tx.Begin([]int{1}) })
	tx.Release(w)
	tx.Begin([]int{1})
}

// TestTransactionCommitsAsOne: what it staged in several shards is one commit, published before any baton is free.
func TestTransactionCommitsAsOne(t *testing.T) {
	g := still(t, 3)
	w := &g.workers[0].Worker
	var tx Tx
	tx.Init(g.set, nobody{})
	run := func(f func()) {
		tx.Begin([]int{0, 1, 2})
		tx.Acquire(w)
		f()
		tx.Release(w)
	}
	var hold *log.Hold
	run(func() { hold = g.set.Log.Attach() })
	defer hold.Close()
	flow, err := hold.Flow(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	seen := false
	task := &note{g: g, served: new([]int), then: func(*Worker) { _, seen = flow.Next() }}
	task.Node.Task = task
	run(func() {
		g.set.Shards[0].Stage(0, []byte("SET"), []byte("a"), []byte("1"))
		g.set.Shards[2].Stage(0, []byte("SET"), []byte("b"), []byte("1"))
		g.set.Shards[0].Enqueue(&task.Node, w)
	})
	if !seen {
		t.Error("a task has run before the transaction was committed")
	}
	merged, err := hold.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Close()
	var words []string
	if err := log.ForEachIn(merged.Append(nil, 1<<20), func(args [][]byte) error {
		words = append(words, string(args[0]))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(words, []string{"MULTI", "SET", "SET", "EXEC"}) {
		t.Errorf("logged %v", words)
	}
}

// TestLogEndsInsideATransaction: the last reader may go at any time, also between a transaction's effect and
// its commit.
func TestLogEndsInsideATransaction(t *testing.T) {
	g := still(t, 2)
	w := &g.workers[0].Worker
	var tx Tx
	tx.Init(g.set, nobody{})
	for range 2 {
		tx.Begin([]int{0, 1})
		tx.Acquire(w)
		hold := g.set.Log.Attach()
		g.set.StageBarrier([]int{0, 1}, 0, []byte("FLUSHALL"))
		hold.Close()
		tx.Release(w)
		tx.Begin([]int{0, 1})
		tx.Acquire(w)
		tx.Release(w)
	}
}
