package shard

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// blockModel is the registry of who waits for which key, beside plain lists.
type blockModel struct {
	s     *Shard
	rnd   *rand.Rand
	links []*Link // of commands that wait
	want  map[watchKey][]*Link
	away  map[watchKey]*Link
	lists map[watchKey]int // how many lists of a key there were before: one that all have left is not used again
	ready []readyList      // in the order in which they became ready
	err   error
}

// readyList is a list of those who waited for a key that is ready.
type readyList struct {
	id     watchKey
	number int
}

func (m *blockModel) failf(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *blockModel) key() watchKey {
	return watchKey{m.rnd.IntN(2), fmt.Sprint("k", m.rnd.IntN(4))}
}

func (m *blockModel) markReady(id watchKey) {
	list := readyList{id, m.lists[id]}
	if len(m.want[id]) > 0 && !slices.Contains(m.ready, list) {
		m.ready = append(m.ready, list)
	}
}

// begin has a command wait for one to three keys, at times for one of them twice.
func (m *blockModel) begin() {
	claim := &Claim{}
	ids := map[watchKey]bool{}
	for range 1 + m.rnd.IntN(3) {
		id := m.key()
		k := &Link{Claim: claim, Owner: len(m.links)}
		if fresh := m.s.Block(id.db, []byte(id.key), k); fresh == ids[id] {
			m.failf("waits for %v once more: %v", id, fresh)
		} else if !fresh {
			continue
		}
		ids[id] = true
		m.links = append(m.links, k)
		m.want[id] = append(m.want[id], k)
	}
}

// idOf finds the key that a link waits for; false: none any more.
func (m *blockModel) idOf(k *Link) (id watchKey, ok bool) {
	for id, list := range m.want {
		if slices.Contains(list, k) {
			return id, true
		}
	}
	return id, false
}

func (m *blockModel) step() {
	switch n := m.rnd.IntN(12); {
	case n < 3:
		m.begin()
	case n < 7 && len(m.links) > 0:
		i := m.rnd.IntN(len(m.links))
		k := m.links[i]
		id, ok := m.idOf(k)
		m.s.Unblock(k) // also one that is in no list any more
		if m.rnd.IntN(4) > 0 {
			m.links = slices.Delete(m.links, i, i+1)
		}
		if !ok {
			return
		}
		m.want[id] = slices.DeleteFunc(m.want[id], func(o *Link) bool { return o == k })
		if m.away[id] == k {
			delete(m.away, id)
			m.markReady(id)
		}
		if len(m.want[id]) == 0 {
			m.lists[id]++
		}
	case n < 9:
		id := m.key()
		m.s.keyReady(id.db, []byte(id.key))
		m.markReady(id)
	case n == 9 && m.rnd.IntN(5) == 0:
		m.s.swapped(0, 1)
		var all []watchKey // those come in any order
		for m.s.HasReady() {
			wl := m.s.TakeReady()
			all = append(all, wl.id)
		}
		for id, list := range m.want {
			if len(list) > 0 && !slices.Contains(all, id) {
				m.failf("%v is not ready after a swap", id)
			}
		}
		m.ready = nil
	case n == 10 && m.s.HasReady():
		m.take()
	case n == 11 && len(m.links) > 0:
		k := m.links[m.rnd.IntN(len(m.links))]
		id, ok := m.idOf(k)
		m.s.Back(k)
		if ok && m.away[id] == k {
			delete(m.away, id)
			m.markReady(id)
		}
	}
}

// take takes what is ready first, and at times has its first command depart. A list that all have left since is empty.
func (m *blockModel) take() {
	wl := m.s.TakeReady()
	first := m.ready[0]
	m.ready = m.ready[1:]
	if left := first.number != m.lists[first.id]; wl.id != first.id || left != (wl.First() == nil) {
		m.failf("%v is ready, left by all: %v; want %v, %v", wl.id, wl.First() == nil, first.id, left)
	}
	if k := wl.First(); k != nil && !wl.Away() && m.rnd.IntN(2) == 0 {
		wl.SetAway(k)
		m.away[wl.id] = k
	}
}

// check compares all lists, both ways.
func (m *blockModel) check() {
	keys := 0
	for id, list := range m.want {
		wl := m.s.waits.by[id]
		if len(list) == 0 {
			if wl != nil {
				m.failf("%v has a list and nobody waits", id)
			}
			continue
		}
		keys++
		if wl == nil || wl.DB() != id.db || wl.Key() != id.key {
			m.failf("%v has no list of its own", id)
			return
		}
		var got, back []*Link
		for k := wl.First(); k != nil; k = k.Next() {
			got = append(got, k)
		}
		for k := wl.last; k != nil; k = k.prev {
			back = append(back, k)
		}
		slices.Reverse(back)
		if !slices.Equal(got, list) || !slices.Equal(back, list) {
			m.failf("for %v wait %d in another order than they came", id, len(got))
		}
		if wl.Away() != (m.away[id] != nil) {
			m.failf("%v: somebody is away: %v", id, wl.Away())
		}
	}
	if m.s.Waiting() != keys {
		m.failf("%d keys are waited for, want %d", m.s.Waiting(), keys)
	}
	if m.s.HasReady() != (len(m.ready) > 0) {
		m.failf("ready: %v, want %v", m.s.HasReady(), m.ready)
	}
}

func newBlockModel(t *testing.T, seed uint64) *blockModel {
	set, _ := newTestSet(t, 1, 2)
	return &blockModel{
		s: set.Shards[0], rnd: rand.New(rand.NewPCG(seed, 51)),
		want: map[watchKey][]*Link{}, away: map[watchKey]*Link{}, lists: map[watchKey]int{},
	}
}

func (m *blockModel) run(steps int) error {
	for i := 0; i < steps && m.err == nil; i++ {
		if m.step(); m.err == nil {
			m.check()
		}
	}
	return m.err
}

// TestBlockModel compares who waits for what, in which order, and which keys are ready, with plain lists.
func TestBlockModel(t *testing.T) {
	for seed := range uint64(4) {
		m := newBlockModel(t, seed)
		if err := m.run(3000); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, k := range m.links {
			m.s.Unblock(k)
		}
		if m.s.Waiting() != 0 || len(m.s.waits.by) != 0 {
			t.Errorf("seed %d: %d keys are waited for in the end", seed, m.s.Waiting())
		}
	}
}

// TestBlockModelNoticesFaults plants mistakes in the registry.
func TestBlockModelNoticesFaults(t *testing.T) {
	for name, fault := range map[string]blockFault{
		"in reverse order": faultLastFirst, "ready once only": faultStaysReady,
	} {
		m := newBlockModel(t, 1)
		m.s.waits.fault = fault
		if err := m.run(4000); err == nil {
			t.Errorf("%s: not noticed", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// TestClaimIsForOne has goroutines fight for claims: those who serve and those that end the wait. One at most ends it,
// and only who has taken it serves. A claim that is taken without compare-and-swap is noticed.
func TestClaimIsForOne(t *testing.T) {
	if err := fightForClaims((*Claim).Take); err != nil {
		t.Error(err)
	}
	err := fightForClaims(func(c *Claim) bool {
		if c.state.Load() != claimWaiting {
			return false
		}
		for i := 0; i < 1000 && c.state.Load() == claimWaiting; i++ {
			runtime.Gosched() // until the others have come as far, whatever else the machine does
		}
		c.state.Store(claimTaken)
		return true
	})
	if err == nil {
		t.Error("taking without compare-and-swap: not noticed")
	}
	t.Log(err)
}

func fightForClaims(take func(c *Claim) bool) (err error) {
	const rounds, servers = 2000, 3
	var once sync.Once
	failf := func(format string, args ...any) { once.Do(func() { err = fmt.Errorf(format, args...) }) }
	for round := 0; round < rounds && err == nil; round++ {
		var c Claim
		var served, ended, inside atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range servers {
			wg.Go(func() {
				<-start
				for try := 0; try < 3; try++ {
					if !take(&c) {
						continue
					}
					if inside.Add(1) != 1 {
						failf("round %d: two have taken one claim", round)
					}
					inside.Add(-1)
					switch (round + try) % 3 {
					case 0:
						c.Return()
					case 1:
						c.Depart()
						if c.Retake() {
							c.Return()
						}
					default:
						served.Add(1)
						c.Served()
						return
					}
				}
			})
		}
		for reason := range uint32(2) {
			wg.Go(func() {
				<-start
				for range round % 5 {
					runtime.Gosched() // or it would mostly come first
				}
				if c.End(reason+1) != TooLate {
					ended.Add(1)
					if take(&c) || c.Retake() || c.End(9) != TooLate || c.Reason() != reason+1 {
						failf("round %d: a wait that has ended goes on", round)
					}
				}
			})
		}
		close(start)
		wg.Wait()
		if n := served.Load() + ended.Load(); n > 1 {
			failf("round %d: served %d times, ended %d times", round, served.Load(), ended.Load())
		}
		if served.Load() == 1 && c.Reason() != 0 {
			failf("round %d: one that was served has a reason to end", round)
		}
	}
	return err
}
