package shard

import (
	"fmt"
	"sync"
	"testing"

	"fulmen/internal/invariant"
)

// seizeAndPost has tasks come while all shards are seized and tells how many were served once the batons are free.
func seizeAndPost(t *testing.T, p *plant) (served int) {
	t.Helper()
	g := still(t, 3)
	g.setPlant(p)
	worker := &Worker{}
	z := g.set.Seize()
	if !g.set.Seized() {
		t.Error("a seizure is under way, and nobody knows")
	}
	var lists [3]*[]int
	for i, s := range g.set.Shards {
		if s.Acquire(worker) {
			t.Errorf("shard %d: has a baton that is taken", i)
		}
		tasks, list := g.notes(1)
		lists[i] = list
		s.Enqueue(&tasks[0].Node, worker)
		if len(*list) != 0 {
			t.Errorf("shard %d: a task was served during the seizure", i)
		}
	}
	z.Release(worker)
	g.letters.Wait()
	for i, s := range g.set.Shards {
		served += len(*lists[i])
		if h := s.hold.count; h[holdBucket(1<<40)] != 0 || s.hold.maxNs != 0 {
			t.Errorf("shard %d: the seizure was counted as a hold", i)
		}
		if s.baton.Load() != 0 {
			t.Errorf("shard %d: the baton is still taken", i)
		}
	}
	if g.set.Seized() {
		t.Error("still seized")
	}
	return served
}

// TestSeizeLeavesTasksToTheHomeLoop: what comes during a load is served after it, though nobody comes by.
func TestSeizeLeavesTasksToTheHomeLoop(t *testing.T) {
	if served := seizeAndPost(t, nil); served != 3 {
		t.Errorf("%d tasks served, want all 3", served)
	}
}

// TestSeizeThatForgetsTheInboxIsNoticed plants the fault that Release doesn't look at the inboxes.
func TestSeizeThatForgetsTheInboxIsNoticed(t *testing.T) {
	if !invariant.Enabled {
		t.Skip("needs the build tag invariants")
	}
	if served := seizeAndPost(t, &plant{skip: stepReleased}); served != 0 {
		t.Errorf("%d tasks served: the fault was not noticed", served)
	}
}

// TestSeizureIsWorkedOnSideBySide: goroutines fill all shards at the same time, and their figures can be read from
// outside as they grow.
func TestSeizureIsWorkedOnSideBySide(t *testing.T) {
	set, _ := newTestSet(t, 4, 2)
	const keys = 2000
	z := set.Seize()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range keys {
				key := fmt.Appendf(nil, "key:%d:%d", g, i)
				at := set.ShardOf(key)
				s := z.Lock(at)
				s.DB(1).SetString(set.Key(key), key, 0)
				want := int64(s.DB(1).Len())
				z.Unlock(at)
				if got := s.DB(1).PublishedCounts().Keys; got < want {
					t.Errorf("shard %d: %d keys published, want at least %d", at, got, want)
				}
			}
		})
	}
	all.Wait()
	z.Release(&Worker{})
	sum := int64(0)
	for _, s := range set.Shards {
		sum += s.DB(1).PublishedCounts().Keys
		if s.PublishedBytes() != s.UsedBytes() {
			t.Errorf("shard %d: %d bytes published, in use %d", s.ID, s.PublishedBytes(), s.UsedBytes())
		}
	}
	if sum != 4*keys {
		t.Errorf("%d keys, want %d", sum, 4*keys)
	}
}

// TestLentBatons: a transaction's batons are lent for ten seconds, which no hold is said to have lasted.
func TestLentBatons(t *testing.T) {
	set, now := newTestSet(t, 3, 1)
	w := &Worker{NowNs: now.NowNs(), wallOnly: true}
	var tx Tx
	var resumed resumeCount
	tx.Init(set, &resumed)
	tx.Begin([]int{0, 1, 2})
	if !tx.Acquire(w) {
		t.Fatal("doesn't get its batons")
	}
	w.NowNs += 1000
	z := tx.Lend(w)
	now.Advance(10_000_000_000)
	z.Release(w)
	for i, s := range set.Shards {
		if s.baton.Load() == 0 {
			t.Errorf("shard %d: the baton did not come back to the transaction", i)
		}
	}
	tx.Release(w)
	for i, s := range set.Shards {
		if h := &s.hold; h.count[holdBucket(1000)] != 1 || h.count[0] != 1 || h.totalNs != 1000 {
			t.Errorf("shard %d: holds of %d ns, want one of 1000 before and one of 0 after", i, h.totalNs)
		}
		if !s.Acquire(w) {
			t.Errorf("shard %d: the baton is not free", i)
		}
		s.Release(w)
	}
}

func TestSeizeMisuse(t *testing.T) {
	set, _ := newTestSet(t, 2, 1)
	w := &Worker{}
	panics := func(what string, fn func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		fn()
	}
	var tx Tx
	var resumed resumeCount
	tx.Init(set, &resumed)
	tx.Begin([]int{1})
	tx.Acquire(w)
	panics("Lend of some batons", func() { tx.Lend(w) })
	panics("Seize of taken batons", func() { set.Seize() })
	tx.Release(w)
}
