package shard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fulmen/shard/ds/index"
)

// evict is a step of the model: some keys go, and the model learns which.
func (w *world) evict() {
	w.set.SetEviction(EvictionParams{
		Policy: EvictionPolicy(w.rnd.IntN(8)), Samples: 1 + w.rnd.IntN(10), LFULogFactor: 10, LFUDecayMinutes: 1,
	})
	for i, m := range w.model { // what has expired and gone before is not ours
		for name, v := range m {
			k := w.set.Key([]byte(name))
			if _, ok := w.s.DB(i).x.Load().Find(k.Hash, k.Bytes); !ok && v.expired(w.nowMs()) {
				delete(m, name)
			}
		}
	}
	before, pending := w.s.Stats.EvictedKeys, w.s.LazyPending()
	goal := int64(1 + w.rnd.IntN(2000))
	var worker Worker
	freed, end := w.s.EvictSome(&worker, w.nowMs(), goal, 0, math.MaxInt64)
	policy := w.set.Eviction().Policy
	if end == EvictedEnough && freed < goal || end == EvictedSlice || end == EvictRival {
		w.failf("evicting %d bytes by %v ended with %d, %d bytes freed", goal, policy, end, freed)
	}
	gone := int64(0)
	for i, m := range w.model {
		db := w.s.DB(i)
		if end == EvictNothing && db.candidates(policy) > 0 && policy != NoEviction {
			w.failf("%v says that nothing is left to evict", policy)
		}
		for name, v := range m {
			k := w.set.Key([]byte(name))
			if _, ok := db.x.Load().Find(k.Hash, k.Bytes); !ok {
				delete(m, name)
				if gone++; policy.Volatile() && v.at == 0 {
					w.failf("%v evicted %s, which has no expiry", policy, name)
				}
			}
		}
	}
	switch evicted := w.s.Stats.EvictedKeys - before; {
	case evicted != gone:
		w.failf("%d keys are gone, %d are said to be evicted", gone, evicted)
	case evicted > 0 && policy == NoEviction:
		w.failf("noeviction evicted")
	case evicted > 0 && pending > 0 && w.s.LazyPending() > int(evicted):
		w.failf("keys were evicted while memory waited to be freed")
	}
	w.evicted += gone
}

// evictWorld has n keys in db 0; tune gives each its expiry and sets its access clock.
func evictWorld(t *testing.T, p EvictionParams, n int, tune func(i int, e index.Entry) (atMs int64)) *world {
	w := newWorld(t, 1, 2)
	w.set.SetEviction(p)
	for i := range n {
		k := w.set.Key(fmt.Appendf(nil, "k%d", i))
		db := w.s.DB(0)
		db.SetString(k, []byte(strings.Repeat("v", 50)), 0)
		e, _ := db.Look(k, w.nowMs())
		if at := tune(i, e); at != 0 {
			clock := e.Access()
			db.SetExpire(k, at)
			e, _ = db.Look(k, w.nowMs())
			e.SetAccess(clock)
		}
	}
	return w
}

func (w *world) there(i int) bool {
	_, ok := w.s.DB(0).Look(w.set.Key(fmt.Appendf(nil, "k%d", i)), w.nowMs())
	return ok
}

// evictKeys evicts until n keys are gone.
func (w *world) evictKeys(n int64) {
	var worker Worker
	for w.s.Stats.EvictedKeys < n {
		if _, end := w.s.EvictSome(&worker, w.nowMs(), 1, 0, math.MaxInt64); end != EvictedEnough {
			w.failf("eviction ended with %d", end)
			return
		}
	}
}

// TestVictims: of 4,000 keys, ranked by the policy's measure, half are evicted; nearly all of them are of the worse
// half.
func TestVictims(t *testing.T) {
	const n = 4000
	for _, policy := range []EvictionPolicy{
		VolatileLRU, VolatileLFU, VolatileRandom, VolatileTTL, AllKeysLRU, AllKeysLFU, AllKeysRandom,
	} {
		p := EvictionParams{Policy: policy, Samples: 5, LFULogFactor: 10}
		rank := rand.New(rand.NewPCG(1, 1)).Perm(n) // the lower, the rather evicted
		persistent := func(i int) bool { return policy.Volatile() && i%5 == 0 }
		w := evictWorld(t, p, n, func(i int, e index.Entry) int64 {
			switch {
			case policy.LFU():
				e.SetAccess(e.Access()&^0xFF | uint32(rank[i]*255/n))
			default:
				e.SetAccess(e.Access() - n + uint32(rank[i]))
			}
			switch {
			case persistent(i):
				return 0
			case policy == VolatileTTL:
				return future + int64(rank[i])
			case policy.Volatile():
				return future
			}
			return 0
		})
		victims := n / 2
		w.evictKeys(int64(victims))
		if w.err != nil {
			t.Errorf("%v: %v", policy, w.err)
		}
		right, gone := 0, 0
		for i := range n {
			switch {
			case w.there(i):
			case persistent(i):
				t.Errorf("%v evicted a key without expiry", policy)
			default:
				gone++
				if rank[i] < n/2+n/10 {
					right++
				}
			}
		}
		if gone != victims {
			t.Errorf("%v: %d keys gone, want %d", policy, gone, victims)
		}
		share := float64(right) / float64(gone)
		if random := !policy.ranked(); random && (share < 0.5 || share > 0.7) || !random && share < 0.88 {
			t.Errorf("%v: %.3f of the victims are of the lower ranks", policy, share)
		}
		t.Logf("%v: %.3f", policy, share)
	}
}

// TestEvictFindsTheFewThatExpire: the last key with an expiry is found among many without.
func TestEvictFindsTheFewThatExpire(t *testing.T) {
	const n = 50_000
	w := evictWorld(t, EvictionParams{Policy: VolatileLRU, Samples: 5}, n, func(i int, _ index.Entry) int64 {
		if i%25_000 == 7 {
			return future
		}
		return 0
	})
	var worker Worker
	w.evictKeys(2)
	if _, end := w.s.EvictSome(&worker, w.nowMs(), 1, 0, math.MaxInt64); end != EvictNothing {
		t.Errorf("ended with %d, want nothing", end)
	}
	if got := w.s.DB(0).Len(); got != n-2 || w.err != nil {
		t.Errorf("%d keys, want %d; %v", got, n-2, w.err)
	}
}

// TestEvictSparesWhatWasUsed: a candidate in the pool that is used before its turn stays. Every sample has more keys
// than were used, so that it has others as well, wherever they lie.
func TestEvictSparesWhatWasUsed(t *testing.T) {
	w := evictWorld(t, EvictionParams{Policy: AllKeysLRU, Samples: 64}, 60, func(_ int, e index.Entry) int64 {
		e.SetAccess(e.Access() - 1000)
		return 0
	})
	w.evictKeys(1)
	pool := w.s.evict.n
	for i := range 60 {
		w.s.DB(0).Get(w.set.Key(fmt.Appendf(nil, "k%d", i)), w.nowMs())
	}
	w.now.Advance(10 * time.Second)
	w.set.Tick(w.nowMs())
	for i := range 30 {
		k := w.set.Key(fmt.Appendf(nil, "new%d", i))
		w.s.DB(0).SetString(k, []byte("v"), 0)
		e, _ := w.s.DB(0).Look(k, w.nowMs())
		e.SetAccess(e.Access() - 500)
	}
	w.evictKeys(11)
	left := 0
	for i := range 60 {
		if w.there(i) {
			left++
		}
	}
	if pool < 5 || left != 59 || w.err != nil {
		t.Errorf("%d in the pool, %d of 59 used keys left; %v", pool, left, w.err)
	}
}

// TestEvictRival: no key goes while another shard has a better one.
func TestEvictRival(t *testing.T) {
	w := evictWorld(t, EvictionParams{Policy: AllKeysLFU, Samples: 5}, 1000, func(i int, e index.Entry) int64 {
		e.SetAccess(e.Access()&^0xFF | 100)
		return 0
	})
	var worker Worker
	if _, end := w.s.EvictSome(&worker, w.nowMs(), 1, 157, math.MaxInt64); end != EvictRival {
		t.Errorf("ended with %d, want rival", end)
	}
	if n := w.s.DB(0).Len(); n != 1000 || w.s.evict.best.Load() != 156 {
		t.Errorf("%d keys, best %d", n, w.s.evict.best.Load())
	}
	if _, end := w.s.EvictSome(&worker, w.nowMs(), 1, 156, math.MaxInt64); end != EvictedEnough {
		t.Errorf("ended with %d, want enough", end)
	}
}

// TestEvictFreesBigValuesFirst: the memory of an evicted big value is freed before another key goes.
func TestEvictFreesBigValuesFirst(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.set.SetEviction(EvictionParams{Policy: AllKeysRandom, Samples: 5})
	for i := range 10 {
		w.s.DB(0).SetString(w.set.Key(fmt.Appendf(nil, "k%d", i)), make([]byte, 1<<20), 0)
	}
	var worker Worker
	freed, end := w.s.EvictSome(&worker, w.nowMs(), 3<<19, 0, math.MaxInt64)
	if n := w.s.DB(0).Len(); n != 8 || freed < 3<<19 || end != EvictedEnough {
		t.Errorf("%d keys left of 10, %d bytes freed, ended with %d", n, freed, end)
	}
}
