package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// mover is several shards beside a model of them, in which values move about.
type mover struct {
	t     *testing.T
	set   *Set
	now   *clock.Fake
	rnd   *rand.Rand
	gen   *world // of values
	model []map[string]value
	walk  []*walk
	id    uint16
	pins  []*pinned
	read  int // values that were pinned, and read later
	moved int // big values from shard to shard
}

func newMover(t *testing.T, seed uint64, shards, databases int) *mover {
	set, now := newTestSet(t, shards, databases)
	m := &mover{t: t, set: set, now: now, rnd: rand.New(rand.NewPCG(seed, 21))}
	m.gen = &world{set: set, now: now, rnd: m.rnd, keys: 40, big: 500_000}
	for range databases {
		m.model = append(m.model, map[string]value{})
	}
	return m
}

// at returns the database number i that holds k.
func (m *mover) at(k Key, i int) *DB { return m.set.Shards[m.set.ShardOf(k.Bytes)].DB(i) }

// live looks a key up in both.
func (m *mover) live(k Key, i int) (index.Entry, value, bool) {
	nowMs := m.now.NowMs()
	v, want := m.model[i][string(k.Bytes)]
	if want && v.expired(nowMs) {
		delete(m.model[i], string(k.Bytes))
		want = false
	}
	e, ok := m.at(k, i).Get(k, nowMs)
	if ok != want || ok && valueOf(m.set.Space, e) != v {
		m.t.Fatalf("db %d: %s is there: %v, want %v, or another value", i, k.Bytes, ok, want)
	}
	return e, v, ok
}

func (m *mover) key() Key {
	name := fmt.Appendf(nil, "key:%d", m.rnd.IntN(m.gen.keys))
	if m.rnd.IntN(10) == 0 { // so long that what fits in one piece under another key doesn't here
		name = append(name, strings.Repeat("-", 300)...)
	}
	return m.set.Key(name)
}

func (m *mover) step() {
	i, j, k, to := m.rnd.IntN(len(m.model)), m.rnd.IntN(len(m.model)), m.key(), m.key()
	e, v, ok := m.live(k, i)
	same := i == j && string(k.Bytes) == string(to.Bytes)
	switch n := m.rnd.IntN(100); {
	case n < 15:
		v := value{string(m.gen.value()), m.gen.expiry()}
		m.at(k, i).SetString(k, []byte(v.val), v.at)
		m.model[i][string(k.Bytes)] = v
	case n < 45 && ok && !same:
		if object.HasNodes(e.Tag()) && m.at(k, i).shard != m.at(to, j).shard {
			m.moved++
		}
		e.SetAccess(uint32(n))
		m.at(k, i).MoveTo(k, m.at(to, j), to)
		delete(m.model[i], string(k.Bytes))
		m.model[j][string(to.Bytes)] = v
		if got, _ := m.at(to, j).Look(to, m.now.NowMs()); !v.expired(m.now.NowMs()) && got.Access() != uint32(n) {
			m.t.Fatalf("access clock %d, want %d", got.Access(), n)
		}
	case n < 60 && ok && !same:
		m.at(k, i).CopyTo(k, m.at(to, j), to)
		m.model[j][string(to.Bytes)] = v
	case n < 63:
		for _, s := range m.set.Shards {
			s.SwapDBs(i, j, m.now.NowMs())
		}
		m.model[i], m.model[j] = m.model[j], m.model[i]
	case n < 75 && (!ok || object.TypeOf(e.Tag()) != object.String):
		kinds := []object.Kind{
			object.ListTree, object.SetTree, object.ZSetTree, object.HashTree, object.StreamTree,
		}
		kind := kinds[m.rnd.IntN(len(kinds))]
		if ok {
			kind = object.KindOf(e.Tag())
		}
		db := m.at(k, i)
		changeTrees(db, k, kind, m.rnd, m.now.NowMs())
		e, _ := db.Get(k, m.now.NowMs())
		m.model[i][string(k.Bytes)] = valueOf(m.set.Space, e)
	case n < 75:
		off := m.rnd.IntN(len(v.val) + 1)
		part := m.gen.value()
		m.at(k, i).StringSetRange(k, off, part)
		v.val = v.val[:off] + string(part) + v.val[min(off+len(part), len(v.val)):]
		m.model[i][string(k.Bytes)] = v
	case n < 80 && ok:
		m.at(k, i).Delete(k)
		delete(m.model[i], string(k.Bytes))
	case n == 80 && m.rnd.IntN(10) == 0:
		for _, s := range m.set.Shards {
			s.DB(i).Flush()
		}
		clear(m.model[i])
	case n < 90:
		s := m.set.Shards[m.rnd.IntN(len(m.set.Shards))]
		s.FreeSome(1 + m.rnd.IntN(50))
		s.ExpireSome(m.now.NowMs(), 20)
		s.ShrinkSome(100)
		defragStep(s, m.rnd)
	case n == 90:
		m.now.Advance(time.Duration(m.rnd.IntN(300)) * time.Millisecond)
	case n == 91 && len(m.walk) == 0 && len(m.pins) == 0:
		m.cut()
	case n < 94 && len(m.pins) > 0:
		m.readPinned(1 + m.rnd.IntN(300))
	case len(m.walk) > 0:
		m.walkOn(1 + m.rnd.IntN(10))
	}
}

// cut begins a walk over all shards.
func (m *mover) cut() {
	m.id++
	m.set.Cut()
	for _, s := range m.set.Shards {
		for i := range m.model {
			k := newWalk(m.set.Space, i, s.DB(i).Index())
			k.x.BeginWalk(m.id, func(e index.Entry) {
				if _, ok := k.seen[string(e.Key())]; ok {
					m.t.Errorf("walk %d shows %s of db %d twice", m.id, e.Key(), k.db)
				}
				k.seen[string(e.Key())] = valueOf(m.set.Space, e)
				if k.places[string(e.Key())] != placeOf(e) {
					m.t.Errorf("walk %d shows %s of db %d in other blocks than at the cut", m.id, e.Key(), k.db)
				}
				if object.HasNodes(e.Tag()) {
					m.pin(s, e, k.shadow[string(e.Key())])
				}
			})
			m.walk = append(m.walk, k)
		}
	}
}

// pinned is a value that a walk has come to and that is still to be read.
type pinned struct {
	Pinned
	key  string
	want value
	r    *nodesReader
}

// pin pins a value that a walk shows, which should be what it was at the cut.
func (m *mover) pin(s *Shard, e index.Entry, want value) {
	p := &pinned{Pinned: s.Pin(e), key: string(e.Key()), want: want}
	p.r = newNodesReader(m.set.Space, p.Nodes)
	m.pins = append(m.pins, p)
}

// readPinned goes on with reading one of the values that are pinned; when it has been read it should be what it was.
func (m *mover) readPinned(budget int) {
	i := m.rnd.IntN(len(m.pins))
	p := m.pins[i]
	if !p.r.some(budget) {
		return
	}
	if string(p.r.content) != p.want.val {
		m.t.Fatalf("walk %d: %s was pinned, and is not what it was at the cut", m.id, p.key)
	}
	for !m.set.Shards[m.rnd.IntN(len(m.set.Shards))].Unpin(&p.Pinned, 1+m.rnd.IntN(20)) {
	}
	m.pins = append(m.pins[:i], m.pins[i+1:]...)
	m.read++
}

func (m *mover) walkOn(budget int) {
	k := m.walk[len(m.walk)-1]
	if !k.x.WalkStep(budget) {
		return
	}
	k.x.EndWalk()
	if !maps.Equal(k.seen, k.shadow) {
		m.t.Fatalf("walk %d of db %d shows %d keys, or other values; want %d", m.id, k.db, len(k.seen), len(k.shadow))
	}
	m.walk = m.walk[:len(m.walk)-1]
}

// check compares all keys, and each arena's memory with the parts of the data set that are made of it.
func (m *mover) check() {
	for range 2 { // what one shard frees may be another's
		for _, s := range m.set.Shards {
			for !s.FreeSome(100) {
			}
		}
	}
	parts := make([]int64, len(m.set.Shards))
	for i := range m.model {
		all, expires := map[string]value{}, 0
		for _, s := range m.set.Shards {
			x := s.DB(i).Index()
			parts[s.ID] += x.SizeBytes()
			maps.Copy(all, dump(m.set.Space, x))
			each(x, func(e index.Entry) {
				parts[s.ID] += int64(arena.UsableSize(e.SizeBytes()))
				if object.HasNodes(e.Tag()) {
					nodes := object.NodesOf(e)
					nodes.Blocks(m.set.Space, func(ref arena.Ref, size int) {
						parts[m.set.Space.Owner(ref)] += int64(arena.UsableSize(size))
					})
				}
			})
			expires += s.DB(i).Expires()
		}
		want, nowMs := 0, m.now.NowMs()
		for name, v := range m.model[i] {
			if got, ok := all[name]; ok && got != v || !ok && !v.expired(nowMs) {
				m.t.Fatalf("db %d: %s is there: %v, or has another value", i, name, ok)
			}
		}
		for name, v := range all {
			if _, ok := m.model[i][name]; !ok && !v.expired(nowMs) {
				m.t.Fatalf("db %d: %s should not be there", i, name)
			}
			if v.at != 0 {
				want++
			}
		}
		if expires != want {
			m.t.Fatalf("db %d: %d expires, want %d", i, expires, want)
		}
	}
	for _, k := range m.walk { // a flushed index is kept by its walk
		kept := true
		for _, s := range m.set.Shards {
			for i := range m.model {
				kept = kept && s.DB(i).Index() != k.x
			}
		}
		if kept {
			return // whose arena it is in, nobody knows
		}
	}
	if len(m.pins) > 0 {
		return // so is what they keep
	}
	for i, s := range m.set.Shards {
		if got := s.UsedBytes(); got != parts[i] {
			m.t.Fatalf("shard %d: %d bytes used, counted %d", i, got, parts[i])
		}
	}
}

// TestValuesMoveAbout: values of any size pass from key to key, database to database, shard to shard, while walks go
// on; nothing is lost, walks show what was there at their cut, and the memory of each arena is exact.
func TestValuesMoveAbout(t *testing.T) {
	for seed := range uint64(6) {
		m := newMover(t, seed, []int{1, 2, 5}[seed%3], 3)
		few := func() bool { return m.id < 3 || m.read < 30 || len(m.set.Shards) > 1 && m.moved < 5 }
		for n := 0; n < 4000 || n < 40_000 && few(); n++ { // how many move depends on where keys hash to
			m.step()
			if n%200 == 0 {
				m.check()
			}
		}
		for len(m.walk) > 0 {
			m.walkOn(100)
		}
		for len(m.pins) > 0 {
			m.readPinned(1000)
		}
		m.check()
		if few() {
			t.Errorf("only %d walks, %d big values moved, %d read that were pinned", m.id, m.moved, m.read)
		}
		for _, s := range m.set.Shards {
			for i := range m.model {
				s.DB(i).Flush()
			}
		}
		for range 2 {
			for _, s := range m.set.Shards {
				for !s.FreeSome(1000) {
				}
				for !s.ShrinkSome(1000) {
				}
			}
		}
		for _, s := range m.set.Shards {
			s.Arena().Trim()
			if s.UsedBytes() != 0 || s.Arena().HeldBytes() != 0 {
				t.Errorf("shard %d: %d bytes used, %d held after everything was flushed",
					s.ID, s.UsedBytes(), s.Arena().HeldBytes())
			}
		}
	}
}

// TestMovingABigValueIsShort: not a node of it is touched.
func TestMovingABigValueIsShort(t *testing.T) {
	m := newMover(t, 1, 2, 1)
	var from, to Key
	for i := 0; from.Bytes == nil || to.Bytes == nil; i++ {
		k := m.set.Key(fmt.Append(nil, i))
		if m.set.ShardOf(k.Bytes) == 0 {
			from = k
		} else {
			to = k
		}
	}
	m.at(from, 0).SetString(from, []byte(strings.Repeat("v", 8<<20)), 0)
	used := m.set.Shards[0].UsedBytes()
	m.at(from, 0).MoveTo(from, m.at(to, 0), to)
	if now := m.set.Shards[0].UsedBytes(); now < used-100 {
		t.Errorf("%d bytes used of %d", now, used)
	}
	if now := m.set.Shards[1].UsedBytes(); now > 8<<10 {
		t.Errorf("%d bytes used in the other shard", now)
	}
	m.at(to, 0).Delete(to)
	slices := 0
	for !m.set.Shards[1].FreeSome(100) {
		slices++
	}
	for !m.set.Shards[0].FreeSome(100) {
		slices++
	}
	if now := m.set.Shards[0].UsedBytes(); now > 8<<10 || slices < 30 {
		t.Errorf("%d bytes used after deleting it, in %d slices", now, slices)
	}
}

// TestSwapTellsWatchers: of keys that are in either of the databases, and no others.
func TestSwapTellsWatchers(t *testing.T) {
	for _, c := range []struct {
		name         string
		inA, inB     bool
		expiredIn    int // the database in which it is past its time, -1: none
		other, dirty bool
	}{
		{"in neither", false, false, -1, false, false},
		{"in the one", true, false, -1, false, true},
		{"in the other", false, true, -1, false, true},
		{"in both", true, true, -1, false, true},
		{"expired in the other", false, true, 1, false, false},
		{"expired in the own", true, false, 0, false, true},
		{"of a third", true, true, -1, true, false},
	} {
		w := newWorld(t, 0, 3)
		k := w.set.Key([]byte("key"))
		for i, in := range []bool{c.inA, c.inB} {
			if !in {
				continue
			}
			at := int64(0)
			if c.expiredIn == i {
				at = w.nowMs() + 1
			}
			w.s.DB(i).SetString(k, []byte("x"), at)
		}
		var watcher Watcher
		db := 0
		if c.other {
			db = 2
		}
		w.s.Watch(db, k.Bytes, &watcher)
		w.now.Advance(2 * time.Millisecond)
		w.s.SwapDBs(0, 1, w.nowMs())
		if watcher.Dirty() != c.dirty {
			t.Errorf("%s: dirty %v", c.name, watcher.Dirty())
		}
	}
}

// TestFlushTellsWatchersOfExpiredKeys: a key that was there when the watch began and has expired since is not there
// any more, whoever removes it.
func TestFlushTellsWatchersOfExpiredKeys(t *testing.T) {
	w := newWorld(t, 0, 1)
	k := w.set0("key", "x", w.nowMs()+1)
	var watcher, other Watcher
	w.s.Watch(0, k.Bytes, &watcher)
	w.s.Watch(0, []byte("missing"), &other)
	w.now.Advance(2 * time.Millisecond)
	w.s.DB(0).Flush()
	if !watcher.Dirty() || other.Dirty() {
		t.Errorf("dirty %v, want true; %v, want false", watcher.Dirty(), other.Dirty())
	}
}
