package shard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/shard/object"
)

// memberModel is a set beside a plain one.
type memberModel struct {
	t    *testing.T
	rnd  *rand.Rand
	s    *Shard
	k    Key
	lim  SetLimits
	want map[string]bool
}

func (m *memberModel) set() MemberSet { return MemberSet{m.s.DB(0).LookValue(m.k, 1)} }

// member is a text or an integer, long at times.
func (m *memberModel) member() string {
	i := m.rnd.IntN(300)
	switch {
	case i < 120:
		return strconv.FormatInt(int64(i-60)*37, 10)
	case i < 130:
		return strconv.FormatInt(math.MaxInt64-int64(i-120), 10)
	case i < 140:
		return strconv.FormatInt(math.MinInt64+int64(i-130), 10)
	case i < 150:
		return strings.Repeat("l", (i-140)*1000+i)
	case i == 150:
		return ""
	}
	return "m" + strconv.Itoa(i)
}

// step changes both.
func (m *memberModel) step() {
	v := m.set()
	var some [][]byte
	for range 1 + m.rnd.IntN(4) {
		some = append(some, []byte(m.member()))
	}
	switch n := m.rnd.IntN(10); {
	case n < 5:
		before := len(m.want)
		for _, b := range some {
			m.want[string(b)] = true
		}
		if got := v.Add(some, &m.lim); got != len(m.want)-before {
			m.t.Fatalf("%d were added, want %d", got, len(m.want)-before)
		}
	case n < 9:
		before := len(m.want)
		for _, b := range some {
			delete(m.want, string(b))
		}
		if got := v.Delete(some); got != before-len(m.want) {
			m.t.Fatalf("%d were deleted, want %d", got, before-len(m.want))
		}
	case len(m.want) > 0:
		got := string(v.Take(nil, m.rnd.IntN(v.Len())))
		v.Taken(false, &m.lim)
		if !m.want[got] {
			m.t.Fatalf("%.20q was taken", got)
		}
		delete(m.want, got)
	}
}

// check compares both.
func (m *memberModel) check() {
	m.t.Helper()
	v := m.set()
	if v.Exists() != (len(m.want) > 0) || v.Len() != len(m.want) {
		m.t.Fatalf("there: %v, %d members, want %d", v.Exists(), v.Len(), len(m.want))
	}
	if probe := m.member(); v.Has([]byte(probe)) != m.want[probe] {
		m.t.Fatalf("%.20q: %v, want %v", probe, v.Has([]byte(probe)), m.want[probe])
	}
	if !v.Exists() {
		return
	}
	rank := 0
	v.Each(false, func(b []byte) bool {
		if !m.want[string(b)] || !v.Has(b) || string(v.At(rank, nil)) != string(b) {
			m.t.Fatalf("%.20q at %d: wanted %v, there %v", b, rank, m.want[string(b)], v.Has(b))
		}
		rank++
		return true
	})
	if rank != len(m.want) {
		m.t.Fatalf("%d members were given, want %d", rank, len(m.want))
	}
	if v.Intset() {
		var last, n int64
		count := 0
		v.Each(true, func(b []byte) bool {
			if n, _ = strconv.ParseInt(string(b), 10, 64); count > 0 && n <= last {
				m.t.Fatalf("%d behind %d", n, last)
			}
			last = n
			count++
			return true
		})
	}
	if v.Kind() == object.SetTree {
		t := v.trees()
		if err := t.A.Check(v.space()); err != nil {
			m.t.Fatal(err)
		}
		if err := t.B.Check(v.space()); err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestMembers makes random changes to sets, packed ones, small trees and such as come from one to the other.
func TestMembers(t *testing.T) {
	for seed, packed := range []int{0, 24, 24, 300, 0} {
		t.Run(fmt.Sprint(seed, " ", packed), func(t *testing.T) {
			set, _ := newTestSet(t, 1, 1)
			if packed > 0 {
				set.packed = packed
			}
			m := &memberModel{
				t: t, rnd: rand.New(rand.NewPCG(uint64(seed), 4)), s: set.Shards[0], k: set.Key([]byte("key")),
				lim: SetLimits{IntsetEntries: 20, ListpackEntries: 30, ListpackValue: 64}, want: map[string]bool{},
			}
			for range 3000 {
				m.step()
				m.check()
			}
		})
	}
}

// TestMemberScan scans sets that grow and shrink meanwhile: what is there throughout is given.
func TestMemberScan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	lim := SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64}
	for range 40 {
		set, _ := newTestSet(t, 1, 1)
		set.packed = 24
		db, k := set.Shards[0].DB(0), set.Key([]byte("key"))
		v := MemberSet{db.LookValue(k, 1)}
		name := func(i int) []byte {
			if i%2 == 0 {
				return strconv.AppendInt(nil, int64(i), 10)
			}
			return fmt.Appendf(nil, "m%d", i)
		}
		for i := range 1000 {
			v.Add([][]byte{name(i)}, &lim)
		}
		given := map[string]bool{}
		cursor := uint64(0)
		for call := 0; call == 0 || cursor != 0; call++ {
			cursor = v.Scan(cursor, 1+rnd.IntN(50), func(m []byte) { given[string(m)] = true })
			if cursor >= 1<<53 {
				t.Fatal("cursor", cursor)
			}
			for range 40 { // those from 300 on come and go
				if i := 300 + rnd.IntN(2000); rnd.IntN(2) == 0 {
					v.Add([][]byte{name(i)}, &lim)
				} else {
					v.Delete([][]byte{name(i)})
				}
			}
		}
		for i := range 300 {
			if !given[string(name(i))] {
				t.Fatalf("%s was not given", name(i))
			}
		}
	}
}

// TestMixIsInvertible looks at integers from everywhere.
func TestMixIsInvertible(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for i := range int64(100_000) {
		for _, n := range []int64{i, -i, int64(rnd.Uint64()), math.MaxInt64 - i, math.MinInt64 + i} {
			if object.UnmixInt(object.MixInt(n)) != n {
				t.Fatal(n)
			}
		}
	}
}

// TestRankReachesBothTrees has each member have a rank of its own.
func TestRankReachesBothTrees(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	set.packed = 24
	v := MemberSet{set.Shards[0].DB(0).LookValue(set.Key([]byte("key")), 1)}
	lim := SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64}
	var want []string
	for i := range 20 {
		for _, m := range []string{strconv.Itoa(i), "t" + strconv.Itoa(i)} {
			v.Add([][]byte{[]byte(m)}, &lim)
			want = append(want, m)
		}
	}
	var got []string
	for rank := range v.Len() {
		got = append(got, string(v.At(rank, nil)))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAheadOfAnything: looking ahead is for any key and any members, and changes nothing.
func TestAheadOfAnything(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	set.packed = 24
	db, lim := set.Shards[0].DB(0), SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64}
	k := func(name string) Key { return set.Key([]byte(name)) }
	var members [][]byte
	for i := range 2 * MaxAhead {
		members = append(members, fmt.Appendf(nil, "member %d", i), strconv.AppendInt(nil, int64(i), 10))
	}
	db.SetString(k("string"), []byte("value"), 0)
	v := MemberSet{db.LookValue(k("set"), 1)}
	v.Add(members, &lim)
	v = MemberSet{db.LookValue(k("small"), 1)}
	v.Add(members[:1], &lim)
	var h Hash
	var z ZSet
	for i, m := range members {
		h = db.LookValue(k("hash"), 1).LookHash(1)
		h.Set(m, []byte("value"))
		z = ZSet{Value: db.LookValue(k("zset"), 1)}
		z.Add(&ZSetLimits{}, m, float64(i/2), 0)
	}
	for _, name := range []string{"none", "string", "set", "small", "hash", "zset"} {
		before, there := db.Look(k(name), 1)
		content := ""
		if there {
			content = contentOf(set.Space, before)
		}
		for _, some := range [][][]byte{nil, members[:1], members, {[]byte("absent"), nil}} {
			db.Ahead(k(name), some)
		}
		if e, _ := db.Look(k(name), 1); there && contentOf(set.Space, e) != content {
			t.Errorf("%s has changed", name)
		}
	}
}
