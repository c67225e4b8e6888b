package shard

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// zsetModel is a sorted set beside a plain map.
type zsetModel struct {
	set     *Set
	rnd     *rand.Rand
	k       Key
	lim     ZSetLimits
	names   []string // of members
	scores  []float64
	want    map[string]float64
	big     bool // it is called a skiplist
	pinned  *Pinned
	pinSaid []scored // what is pinned
	err     error
}

// scored is a member with its score.
type scored struct {
	member string
	score  float64
}

func (s scored) same(o scored) bool {
	return s.member == o.member && math.Float64bits(s.score) == math.Float64bits(o.score)
}

func (m *zsetModel) failf(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *zsetModel) zset() ZSet { return ZSet{m.set.Shards[0].DB(0).LookValue(m.k, 1)} }

func (m *zsetModel) name() string { return m.names[m.rnd.IntN(len(m.names))] }

// score is one of few mostly.
func (m *zsetModel) score() float64 {
	if m.rnd.IntN(20) == 0 && len(m.scores) > 1 {
		return m.rnd.NormFloat64()
	}
	return m.scores[m.rnd.IntN(len(m.scores))]
}

// collidingNames are members of which some have a hash in common.
func collidingNames(set *Set, pairs int) (names []string) {
	v := Value{db: set.Shards[0].DB(0)}
	by := map[uint64]string{}
	for i := 0; pairs > 0; i++ {
		name := fmt.Sprintf("c%d", i)
		hash := v.hash([]byte(name))
		if other, ok := by[hash]; ok {
			names = append(names, other, name)
			pairs--
		}
		by[hash] = name
	}
	return names
}

func newZSetModel(t *testing.T, seed uint64, packed int, lim ZSetLimits, scores ...float64) *zsetModel {
	set, _ := newTestSet(t, 1, 1)
	if packed > 0 {
		set.packed = packed
	}
	m := &zsetModel{
		set: set, rnd: rand.New(rand.NewPCG(seed, 31)), k: set.Key([]byte("zset")), lim: lim, scores: scores,
		want: map[string]float64{}, names: []string{"", strings.Repeat("s", 5000)},
	}
	if !slices.ContainsFunc(scores, func(s float64) bool { return s == 0 && math.Signbit(s) }) {
		m.names = append(m.names, collidingNames(set, 3)...) // which may exchange the signs of their zeros
	}
	for i := range 300 {
		m.names = append(m.names, fmt.Sprint("m", i), strings.Repeat("l", i*5))
	}
	return m
}

// stored is the score that a set keeps: -0 is 0 in one that is called a listpack.
func (m *zsetModel) stored(score float64) float64 {
	if !m.big {
		score += 0
	}
	return score
}

// grow notes that a member is about to be added.
func (m *zsetModel) grow(member string) {
	if int64(len(m.want)+1) > m.lim.Entries || int64(len(member)) > m.lim.ValueBytes {
		m.big = true
	}
}

// add gives a member a score in both.
func (m *zsetModel) add(member string, score float64, how ZAdd) {
	old, there := m.want[member]
	want, result := ZUpdated, score
	switch {
	case !there && how&ZAddXX != 0, there && how&ZAddNX != 0:
		want = ZNothing
	case !there:
		m.grow(member)
		m.want[member], want = m.stored(score), ZNew
	default:
		if how&ZAddIncr != 0 {
			result += old
		}
		switch {
		case math.IsNaN(result):
			want = ZNaN
		case how&ZAddGT != 0 && result <= old, how&ZAddLT != 0 && result >= old:
			want = ZNothing
		case result == old:
			want = ZSame
		default:
			m.want[member] = m.stored(result)
		}
	}
	z := m.zset()
	got, score := z.Add(&m.lim, []byte(member), score, how)
	if got != want || want != ZNothing && want != ZNaN && score != result {
		m.failf("adding %.20q: %d and %v, want %d and %v", member, got, score, want, result)
	}
}

// sorted are the members in their order.
func (m *zsetModel) sorted() []scored {
	all := make([]scored, 0, len(m.want))
	for member, score := range m.want {
		all = append(all, scored{member, score})
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.score != b.score {
			return cmp.Compare(a.score, b.score)
		}
		return strings.Compare(a.member, b.member)
	})
	return all
}

// step changes both.
func (m *zsetModel) step() {
	z, n := m.zset(), len(m.want)
	switch op := m.rnd.IntN(100); {
	case op < 55 || n == 0:
		how := ZAdd(0)
		for _, h := range []ZAdd{ZAddNX, ZAddXX, ZAddGT, ZAddLT, ZAddIncr} {
			if m.rnd.IntN(8) == 0 {
				how |= h
			}
		}
		m.add(m.name(), m.score(), how)
	case op < 85:
		member := m.name()
		_, there := m.want[member]
		if z.Delete([]byte(member)) != there {
			m.failf("deleting %.20q: %v", member, !there)
		}
		delete(m.want, member)
	case op < 93:
		all := m.sorted()
		from := m.rnd.IntN(n)
		to := min(n, from+m.rnd.IntN(8))
		if m.rnd.IntN(30) == 0 {
			to = from + m.rnd.IntN(n-from+1)
		}
		z.DeleteRange(from, to)
		for _, s := range all[from:to] {
			delete(m.want, s.member)
		}
	default:
		m.build()
	}
	if len(m.want) == 0 {
		m.big = false
	}
}

// build replaces the set by one that was collected, mostly of what there was.
func (m *zsetModel) build() {
	merge := func(old, score float64) float64 { return max(old, score) }
	var b ZBuild
	db := m.set.Shards[0].DB(0)
	db.NewZBuild(&b)
	put := func(member string, score float64) {
		b.Put([]byte(member), score, merge)
		if old, ok := m.want[member]; ok {
			score = max(old, score)
		}
		m.want[member] = score
	}
	before := m.want
	m.want = map[string]float64{}
	for member, score := range before {
		if m.rnd.IntN(10) > 0 {
			put(member, score)
		}
	}
	for range m.rnd.IntN(6) {
		put(m.name(), m.score())
	}
	if b.Len() != len(m.want) {
		m.failf("%d were collected, want %d", b.Len(), len(m.want))
	}
	if got, want := b.Store(m.k, &m.lim), len(before)+len(m.want) > 0; got != want {
		m.failf("stored: %v, want %v", got, want)
	}
	m.big = int64(len(m.want)) > m.lim.Entries
	for member := range m.want {
		m.big = m.big || int64(len(member)) > m.lim.ValueBytes
	}
	for member, score := range m.want {
		m.want[member] = m.stored(score)
	}
}

// each collects what Each gives.
func (m *zsetModel) each(z *ZSet, rank, n int, rev bool) (all []scored) {
	z.Each(rank, n, rev, func(member []byte, score float64) bool {
		all = append(all, scored{string(member), score})
		return true
	})
	return all
}

// compare compares members with what they should be.
func (m *zsetModel) compare(what string, got, want []scored) {
	if len(got) != len(want) {
		m.failf("%s: %d members, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !got[i].same(want[i]) {
			m.failf("%s: member %d is %.20q with %v, want %.20q with %v",
				what, i, got[i].member, got[i].score, want[i].member, want[i].score)
			return
		}
	}
}

// check compares both, and looks whether the trees are sound and say the same.
func (m *zsetModel) check() {
	z, want := m.zset(), m.sorted()
	n := len(want)
	if z.Exists() != (n > 0) || z.Len() != n {
		m.failf("there: %v, %d members, want %d", z.Exists(), z.Len(), n)
		return
	}
	m.lookUp(&z, m.name())
	if n == 0 {
		return
	}
	if z.has(object.FlagBig) != m.big {
		m.failf("called a skiplist: %v, want %v", !m.big, m.big)
	}
	if !z.packed() {
		m.sound(&z)
	}
	m.compare("all", m.each(&z, 0, n, false), want)
	m.ranges(&z, want)
	for range 3 {
		m.lookUp(&z, want[m.rnd.IntN(n)].member)
	}
}

// sound checks both trees, and that they hold the same.
func (m *zsetModel) sound(z *ZSet) {
	t := z.trees()
	for _, tree := range []*tree.Tree{&t.A, &t.B} {
		if err := tree.Check(z.space()); err != nil {
			m.failf("%w", err)
			return
		}
	}
	if t.A.Len() != t.B.Len() {
		m.failf("%d members by score, %d by hash", t.A.Len(), t.B.Len())
	}
	type pair struct{ hash, key uint64 }
	count := map[pair]int{}
	var p tree.Path
	for t.B.First(z.space(), &p); p.Valid(); p.Next() {
		count[pair{p.Key(), rankKey(p.Value())}]++
	}
	for t.A.First(z.space(), &p); p.Valid(); p.Next() {
		at := pair{z.hash(p.View(nil)), p.Key()}
		if count[at]--; count[at] < 0 {
			m.failf("%.20q has the score %v by score, and not by hash", p.View(nil), object.ScoreOf(p.Key()))
			return
		}
	}
}

// lookUp compares what is said of one member.
func (m *zsetModel) lookUp(z *ZSet, member string) {
	want, there := m.want[member]
	score, ok := z.Score([]byte(member))
	if ok != there || ok && !(scored{"", score}).same(scored{"", want}) {
		m.failf("%.20q has the score %v (there: %v), want %v (%v)", member, score, ok, want, there)
	}
	rank, score, ok := z.Rank([]byte(member))
	if ok != there || ok && !(scored{"", score}).same(scored{"", want}) {
		m.failf("%.20q is there: %v, want %v, with %v", member, ok, there, score)
	}
	wantRank := 0
	for other, s := range m.want {
		if s < want || s == want && other < member {
			wantRank++
		}
	}
	if ok && rank != wantRank {
		m.failf("%.20q has rank %d, want %d", member, rank, wantRank)
	}
}

// ranges compares parts of the set, both ways, and ranks of scores and members.
func (m *zsetModel) ranges(z *ZSet, want []scored) {
	n := len(want)
	from := m.rnd.IntN(n)
	part := slices.Clone(want[from : from+1+m.rnd.IntN(n-from)])
	m.compare("a part", m.each(z, from, len(part), false), part)
	slices.Reverse(part)
	m.compare("a part backwards", m.each(z, from+len(part)-1, len(part), true), part)
	score := m.score()
	for _, through := range []bool{false, true} {
		rank := 0
		for rank < n && (want[rank].score < score || through && want[rank].score == score) {
			rank++
		}
		if got := z.ScoreRank(score, through); got != rank {
			m.failf("%d are before %v (%v), want %d", got, score, through, rank)
		}
		member := m.name()
		for rank = 0; rank < n && (want[rank].member < member || through && want[rank].member == member); {
			rank++
		}
		got := z.LexRank([]byte(member), through)
		if want[0].score == want[n-1].score && got != rank || got < 0 || got > n {
			m.failf("%d are before %.20q (%v), want %d", got, member, through, rank)
		}
	}
}

// pin pins the value now and then, and later compares it with what it was.
func (m *zsetModel) pin() {
	z := m.zset()
	switch {
	case m.pinned == nil && z.ok && !z.packed() && m.rnd.IntN(20) == 0:
		m.set.Cut()
		m.pinSaid = m.each(&z, 0, z.Len(), false)
		p := m.set.Shards[0].Pin(z.e)
		m.pinned = &p
	case m.pinned != nil && m.rnd.IntN(20) == 0:
		m.unpin()
	}
}

func (m *zsetModel) unpin() {
	if m.pinned == nil {
		return
	}
	var got []scored
	v := Value{db: m.set.Shards[0].DB(0)}
	t := m.pinned.Nodes.Trees()
	v.eachOf(t, 0, t.A.Len(), false, true, func(member []byte, score float64) bool {
		got = append(got, scored{string(member), score})
		return true
	})
	m.compare("what was pinned", got, m.pinSaid)
	for !m.set.Shards[0].Unpin(m.pinned, 20) {
	}
	m.pinned = nil
}

// run makes steps with a check after each.
func (m *zsetModel) run(steps int) error {
	for i := 0; i < steps && m.err == nil; i++ {
		m.step()
		m.check()
		m.pin()
	}
	if m.err == nil {
		m.unpin()
	}
	return m.err
}

var inf = math.Inf(1)

// TestZSetModel makes random changes to sorted sets: packed ones, ones in trees, such as come from one to the other,
// with scores of which many are the same, or all, or none.
func TestZSetModel(t *testing.T) {
	usual, tiny := ZSetLimits{128, 64}, ZSetLimits{2, 4}
	some := []float64{0, math.Copysign(0, -1), 1, -1, 1.5, inf, -inf, math.MaxFloat64, 5e-324, -5e-324}
	var many []float64
	for i := range 1000 {
		many = append(many, float64(i)/8)
	}
	for _, c := range []struct {
		name   string
		packed int
		lim    ZSetLimits
		scores []float64
		names  int // how many members there are to choose from, 0: all
	}{
		{"default", 0, usual, some, 60},
		{"default, packed ones", 0, usual, some, 14},
		{"default, many", 0, usual, many, 0},
		{"tiny", 24, tiny, some, 40},
		{"tiny, many", 24, tiny, many, 0},
		{"tiny, one score", 24, tiny, []float64{0}, 0},
		{"one score", 300, usual, []float64{math.Copysign(0, -1)}, 0},
		{"zeros", 24, usual, []float64{0, math.Copysign(0, -1)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				m := newZSetModel(t, seed, c.packed, c.lim, c.scores...)
				if c.names > 0 {
					m.names = m.names[:c.names]
				}
				if err := m.run(700); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				z := m.zset()
				if z.DeleteRange(0, z.Len()); z.Exists() {
					t.Fatal("all were deleted, and it is there")
				}
				for !m.set.Shards[0].FreeSome(1000) {
				}
				if used := m.set.Shards[0].arena.UsedBytes(); m.set.Shards[0].DB(0).Len() == 0 && used > 64<<10 {
					t.Errorf("%d bytes are in use", used)
				}
			}
		})
	}
}

// TestZSetModelNoticesFaults plants mistakes in a sorted set and shows that the model's next check finds them.
func TestZSetModelNoticesFaults(t *testing.T) {
	find := func(z *ZSet, member string) (t object.Trees, a, b tree.Path) {
		t = z.trees()
		if !z.find(&t, &a, &b, []byte(member)) {
			panic("not there")
		}
		return t, a, b
	}
	for _, c := range []struct {
		name  string
		plant func(z *ZSet, member string)
	}{
		{"none", func(*ZSet, string) {}},
		{"the score changes by hash alone", func(z *ZSet, member string) {
			t, _, b := find(z, member)
			t.B.SetValue(z.heap(&t), &b, object.ScoreKey(1e9))
			z.store(&t)
		}},
		{"the score changes by score alone", func(z *ZSet, member string) {
			t, a, _ := find(z, member)
			h := z.heap(&t)
			t.A.Delete(h, &a, 1)
			t.A.SeekScore(z.space(), &a, object.ScoreKey(1e9), []byte(member))
			t.A.Insert(h, &a, object.ScoreKey(1e9), 0, []byte(member))
			z.store(&t)
		}},
		{"a member goes by hash alone", func(z *ZSet, member string) {
			t, _, b := find(z, member)
			t.B.Delete(z.heap(&t), &b, 1)
			z.store(&t)
		}},
		{"the sign of a zero is lost", func(z *ZSet, member string) {
			t, _, b := find(z, member)
			t.B.SetValue(z.heap(&t), &b, object.ZeroKey)
		}},
		{"a count of the root is one too low", func(z *ZSet, member string) { *rootCount(z)-- }},
		{"a count of the root is one too high", func(z *ZSet, member string) { *rootCount(z)++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newZSetModel(t, 3, 24, ZSetLimits{2, 4}, 1, 2, 3)
			for _, member := range m.names {
				m.add(member, m.score(), 0)
			}
			m.add("minus zero", math.Copysign(0, -1), 0)
			if m.check(); m.err != nil {
				t.Fatal(m.err)
			}
			z := m.zset()
			c.plant(&z, "minus zero")
			m.check()
			if noticed := m.err != nil; noticed != (c.name != "none") {
				t.Errorf("noticed: %v (%v)", noticed, m.err)
			}
			t.Log(m.err)
		})
	}
}

// TestBuiltZeros: a set in trees that is called a listpack has no -0, nor when it is called a skiplist later.
func TestBuiltZeros(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	set.packed = 24
	db, k := set.Shards[0].DB(0), set.Key([]byte("k"))
	var b ZBuild
	db.NewZBuild(&b)
	for i := range 5 {
		b.Put(fmt.Append(nil, "member ", i), math.Copysign(0, -1), nil)
	}
	b.Store(k, &ZSetLimits{5, 64})
	z := ZSet{db.LookValue(k, 1)}
	z.Add(&ZSetLimits{5, 64}, []byte("another"), math.Copysign(0, -1), 0)
	for _, c := range []struct {
		member string
		minus  bool
	}{{"member 0", false}, {"member 4", false}, {"another", true}} {
		if score, ok := z.Score([]byte(c.member)); !ok || math.Signbit(score) != c.minus {
			t.Errorf("%s: %v, there: %v", c.member, score, ok)
		}
	}
}

// TestZSetRanksNoticeCounts shows that wrong counts are seen in ranks, too, without a look at the tree.
func TestZSetRanksNoticeCounts(t *testing.T) {
	m := newZSetModel(t, 4, 24, ZSetLimits{2, 4}, 1, 2, 3)
	for _, member := range m.names {
		m.add(member, m.score(), 0)
	}
	z := m.zset()
	*rootCount(&z)++
	last := m.sorted()[len(m.want)-1].member
	if m.lookUp(&z, last); m.err == nil {
		t.Errorf("the rank of %.20q behind a wrong count is right", last)
	}
}

// rootCount is how many members the root of a set's tree by score says there are below its first child: the third word
// of the first slot, behind 16 bytes of a header (package tree).
func rootCount(z *ZSet) *uint64 {
	root := arena.Ref(binary.LittleEndian.Uint64(z.payload()[16:])) // the first tree lies at 8 (package object)
	return (*uint64)(unsafe.Add(z.space().Pointer(root), 16+16))
}

// TestScoresLookedUpAhead: scores are those of now, whatever has changed since they were looked up ahead, and some are
// known from there.
func TestScoresLookedUpAhead(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	set.packed = 24
	set.Shards[0].hash = func(b []byte) uint64 { return set.Key(b).Hash &^ (0xFFFF << 40) } // members share hashes
	db, rnd := set.Shards[0].DB(0), rand.New(rand.NewPCG(8, 8))
	keys := []Key{set.Key([]byte("one")), set.Key([]byte("two"))}
	want := []map[string]float64{{}, {}}
	member := func() []byte { return fmt.Appendf(nil, "member %d", rnd.IntN(400)) }
	open := func(i int) ZSet { return ZSet{Value: db.LookValue(keys[i], 1)} }
	known := 0
	for range 20_000 {
		var members [][]byte
		for range 1 + rnd.IntN(MaxAhead) {
			members = append(members, member())
		}
		i := rnd.IntN(2)
		db.Ahead(keys[i], members)
		for _, m := range members {
			z := open(i)
			if rnd.IntN(20) == 0 {
				defragStep(set.Shards[0], rnd)
				z = open(i)
			}
			switch name := string(m); {
			case rnd.IntN(8) == 0:
				score := float64(rnd.IntN(50))
				z.Add(&ZSetLimits{}, m, score, 0)
				want[i][name] = score
			case rnd.IntN(30) == 0 && z.Exists():
				z.Delete(m)
				delete(want[i], name)
			default:
				before := db.shard.ahead.next
				score, ok := z.Score(m)
				if has, there := want[i][name]; ok != there || ok && score != has {
					t.Fatalf("%s: %v %v, want %v %v", m, score, ok, has, there)
				}
				if ok && db.shard.ahead.next > before {
					known++
				}
			}
		}
	}
	if known < 10_000 {
		t.Errorf("only %d scores were known", known)
	}
}
