package shard

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

var testBuildLimits = BuildLimits{
	ListFill: -2, HashEntries: 512, HashValueBytes: 64, ZSet: ZSetLimits{Entries: 128, ValueBytes: 64},
	Sets: SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64},
}

// built is a value to be built, as elements.
type built struct {
	src    object.Source
	items  []string // of a list; a string
	scores map[string]float64
	fields map[string]string
	due    map[string]int64
}

func (v *built) elements() []string {
	switch v.src.Type {
	case object.Set, object.ZSet:
		return slices.Sorted(maps.Keys(v.scores))
	case object.Hash:
		return slices.Sorted(maps.Keys(v.fields))
	}
	return v.items
}

// build hands the elements to b in the given order.
func (v *built) build(b *Builder, elements []string) error {
	v.src.N = uint64(len(elements))
	if err := b.Begin(v.src); err != nil {
		return err
	}
	for _, name := range elements {
		var err error
		switch v.src.Type {
		case object.String:
			err = b.String([]byte(name))
		case object.List:
			err = b.Item([]byte(name))
		case object.Set:
			err = b.Member([]byte(name))
		case object.ZSet:
			err = b.Scored([]byte(name), v.scores[name])
		case object.Hash:
			err = b.Field([]byte(name), []byte(v.fields[name]), v.due[name])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// buildText is a random element, of which there are about n.
func buildText(rnd *rand.Rand, n int) string {
	switch i := rnd.IntN(n); i % 7 {
	case 0:
		return fmt.Sprint(i)
	case 1:
		return fmt.Sprint(int64(i) * -3_000_000_019)
	case 2:
		return strings.Repeat("long", i%60) + fmt.Sprint(i)
	case 3:
		if i%5 == 0 {
			return strings.Repeat("spilled", 200+i%7) + fmt.Sprint(i)
		}
	}
	return fmt.Sprintf("element:%d", rnd.IntN(n))
}

func randomBuilt(rnd *rand.Rand) (v built) {
	n := []int{1, 2, 10, 127, 128, 129, 600, 2000}[rnd.IntN(8)]
	v.src.Type = object.Type(rnd.IntN(5))
	switch v.src.Type {
	case object.String:
		v.items = []string{strings.Repeat("x", []int{0, 1, 100, 3000, 4096, 4097, 100_000}[rnd.IntN(7)])}
	case object.List:
		for range n {
			v.items = append(v.items, buildText(rnd, 5000))
		}
	case object.Set, object.ZSet:
		v.scores = map[string]float64{}
		integers := v.src.Type == object.Set && rnd.IntN(2) == 0
		for range n {
			name := buildText(rnd, 5000)
			if integers {
				name = fmt.Sprint(rnd.IntN(100_000) - 50_000)
			}
			scores := []float64{0, math.Copysign(0, -1), 1, -1.5, math.Inf(1), float64(rnd.IntN(50))}
			v.scores[name] = scores[rnd.IntN(6)]
		}
	case object.Hash:
		v.src.Expiring = rnd.IntN(2) == 0
		v.fields, v.due = map[string]string{}, map[string]int64{}
		for range n {
			name := buildText(rnd, 5000)
			v.fields[name] = buildText(rnd, 5000)
			if v.src.Expiring && rnd.IntN(2) == 0 {
				v.due[name] = 1<<40 + rnd.Int64N(100)
			}
		}
	}
	return v
}

// check compares the value of a key with what was built.
func (v *built) check(db *DB, k Key) error {
	x := db.LookValue(k, 1)
	if !x.Exists() || x.Type() != v.src.Type {
		return fmt.Errorf("no such value: %v", v.src.Type)
	}
	if object.HasNodes(x.e.Tag()) && x.Kind() != object.StringPaged {
		t := x.trees()
		for _, tr := range []tree.Tree{t.A, t.B} {
			if err := tr.Check(x.space()); err != nil {
				return err
			}
		}
	}
	var got []string
	ok := true
	switch v.src.Type {
	case object.String:
		got = []string{string(db.AppendString(nil, x.e))}
	case object.List:
		l := List{Value: x, Fill: -2}
		if l.sizeBytes(1<<20) != (&List{Value: x}).sizeBytes(1<<20) {
			return fmt.Errorf("size")
		}
		l.Each(0, false, func(it *ListItem) bool {
			got = append(got, string(it.Append(nil)))
			return true
		})
	case object.Set:
		m := MemberSet{x}
		m.Each(false, func(b []byte) bool {
			got = append(got, string(b))
			ok = ok && m.Has(b)
			return true
		})
		if m.Intset() && m.Kind() == object.SetPacked && !slices.IsSortedFunc(got, func(a, b string) int {
			return compareInts([]byte(a), []byte(b))
		}) {
			return fmt.Errorf("an intset is not sorted: %q", got)
		}
		slices.Sort(got)
	case object.ZSet:
		got, ok = v.checkScores(&ZSet{x})
	case object.Hash:
		got, ok = v.checkFields(x)
	}
	if want := v.elements(); !ok || !slices.Equal(got, want) {
		return fmt.Errorf("%v of %d elements differs (%d)", v.src.Type, len(want), len(got))
	}
	return nil
}

func (v *built) checkScores(z *ZSet) (got []string, ok bool) {
	ok = true
	last := math.Inf(-1)
	big := z.has(object.FlagBig)
	z.Each(0, z.Len(), false, func(b []byte, score float64) bool {
		got = append(got, string(b))
		want := v.scores[string(b)]
		has, _ := z.Score(b)
		ok = ok && score >= last && score == want && has == want &&
			math.Signbit(score) == (math.Signbit(want) && (big || want != 0))
		last = score
		return true
	})
	slices.Sort(got)
	return got, ok
}

func (v *built) checkFields(x Value) (got []string, ok bool) {
	ok = true
	h := x.LookHash(1)
	var f Fields
	least := int64(0)
	for h.From(&f, 0); f.Next(); {
		name := string(f.Field.AppendTo(nil))
		got = append(got, name)
		_, there := h.Get([]byte(name))
		ok = ok && there && string(f.Value.AppendTo(nil)) == v.fields[name] && f.ExpireAtMs == v.due[name]
		if at := f.ExpireAtMs; at != 0 && (least == 0 || at < least) {
			least = at
		}
	}
	slices.Sort(got)
	return got, ok && h.has(object.FlagMixed) == v.src.Expiring && (!v.src.Expiring || h.dueMs() == least)
}

// TestBuild builds random values of all types from elements in any order, in the place of others.
func TestBuild(t *testing.T) {
	for _, packed := range []int{0, 1, 200} {
		set, _ := newTestSet(t, 1, 2)
		if packed > 0 {
			set.packed = packed
		}
		s := set.Shards[0]
		db := s.DB(1)
		var b Builder
		s.Builder(&b, &testBuildLimits)
		rnd := rand.New(rand.NewPCG(uint64(packed), 7))
		keys := []Key{set.Key([]byte("k")), set.Key(bytes.Repeat([]byte("k"), 4000)), set.Key(make([]byte, 70_000))}
		for i := range 600 {
			v, k := randomBuilt(rnd), keys[rnd.IntN(3)]
			elements := slices.Clone(v.elements())
			if v.src.Type != object.List && rnd.IntN(3) > 0 {
				rnd.Shuffle(len(elements), func(i, j int) { elements[i], elements[j] = elements[j], elements[i] })
			}
			if err := v.build(&b, elements); err != nil {
				t.Fatal(err)
			}
			at := rnd.Int64N(2) * (1 << 41)
			if b.Put(db, k, at, 77); db.Len() > len(keys) {
				t.Fatalf("%d keys", db.Len())
			}
			e, _ := db.Look(k, 1)
			if err := v.check(db, k); err != nil || e.ExpireAt() != at || e.Access() != 77 {
				t.Fatalf("step %d: %v; expires at %d, not %d", i, err, e.ExpireAt(), at)
			}
			if rnd.IntN(20) == 0 {
				emptied(t, db, keys)
			}
		}
	}
}

// emptied deletes all keys and looks whether all memory is there again and all counts are 0.
func emptied(t *testing.T, db *DB, keys []Key) {
	t.Helper()
	for _, k := range keys {
		db.Delete(k)
	}
	for !db.shard.FreeSome(1000) {
	}
	used := db.shard.UsedBytes()
	for i := range db.shard.dbs {
		used -= db.shard.dbs[i].Index().SizeBytes()
	}
	if used != 0 || db.expires != 0 || db.fieldExpires != 0 || db.expireSumMs != 0 {
		t.Fatalf("%d bytes in use, expires %d, of fields %d", used, db.expires, db.fieldExpires)
	}
}

// TestBuildGivesUp: an element that occurs twice is an error, and dropping leaves nothing behind.
func TestBuildGivesUp(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	var b Builder
	s.Builder(&b, &testBuildLimits)
	rnd := rand.New(rand.NewPCG(1, 1))
	refused := 0
	for range 400 {
		v := randomBuilt(rnd)
		elements := slices.Clone(v.elements())
		twice := rnd.IntN(2) == 0 && v.src.Type != object.String && v.src.Type != object.List
		if twice {
			elements = append(elements, elements[rnd.IntN(len(elements))])
			rnd.Shuffle(len(elements), func(i, j int) { elements[i], elements[j] = elements[j], elements[i] })
		}
		switch err := v.build(&b, elements); {
		case twice != (err == ErrTwice):
			t.Fatalf("%v: %v", v.src.Type, err)
		case twice:
			refused++
		}
		b.Drop()
		b.Drop()
		emptied(t, s.DB(0), nil)
	}
	if refused < 50 {
		t.Errorf("%d refused only", refused)
	}
	if err := b.Begin(object.Source{Type: object.Stream + 1}); err != ErrNoType {
		t.Errorf("no type: %v", err)
	}
}

// TestBuildAllocates: small values are built without taking memory from the Go heap.
func TestBuildAllocates(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	var b Builder
	s.Builder(&b, &testBuildLimits)
	k := set.Key([]byte("key"))
	for _, v := range []built{
		{src: object.Source{Type: object.String}, items: []string{"some value"}},
		{src: object.Source{Type: object.List}, items: []string{"a", "b", "c"}},
		{src: object.Source{Type: object.ZSet}, scores: map[string]float64{"a": 1, "b": 2}},
		{src: object.Source{Type: object.Set}, scores: map[string]float64{"1": 1, "2": 2}},
		{src: object.Source{Type: object.Hash, Expiring: true}, fields: map[string]string{"a": "1"}},
	} {
		elements := v.elements()
		var list [4][]byte
		for i, name := range elements {
			list[i] = []byte(name)
		}
		if n := testing.AllocsPerRun(100, func() {
			_ = b.Begin(v.src)
			for i := range elements {
				switch v.src.Type {
				case object.String:
					_ = b.String(list[i])
				case object.List:
					_ = b.Item(list[i])
				case object.Set:
					_ = b.Member(list[i])
				case object.ZSet:
					_ = b.Scored(list[i], float64(-i))
				case object.Hash:
					_ = b.Field(list[i], list[i], 1<<40)
				}
			}
			b.Put(s.DB(0), k, 0, 0)
		}); n != 0 {
			t.Errorf("%v: %v allocations", v.src.Type, n)
		}
	}
}

// TestBuildEncodings: what values are called by, as redis-server 8.0 has it after loading the same.
func TestBuildEncodings(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	var b Builder
	s.Builder(&b, &testBuildLimits)
	k := set.Key([]byte("key"))
	for _, c := range []struct {
		src   object.Source
		n     int
		first string // before n integers, if it is not empty
		want  string
	}{
		{object.Source{Type: object.Set}, 512, "", "intset"},
		{object.Source{Type: object.Set}, 513, "", "hashtable"},
		{object.Source{Type: object.Set}, 127, "x", "listpack"},
		{object.Source{Type: object.Set}, 128, "x", "hashtable"},
		{object.Source{Type: object.Set}, 5, strings.Repeat("x", 65), "hashtable"},
		{object.Source{Type: object.Set, Container: object.Intset}, 512, "", "intset"},
		{object.Source{Type: object.Set, Container: object.Intset}, 513, "", "hashtable"},
		{object.Source{Type: object.Set, Container: object.Listpack}, 128, "", "listpack"},
		{object.Source{Type: object.Set, Container: object.Listpack}, 5, strings.Repeat("x", 65), "listpack"},
		{object.Source{Type: object.Set, Container: object.Listpack}, 129, "", "hashtable"},
		{object.Source{Type: object.ZSet}, 128, "", "listpack"},
		{object.Source{Type: object.ZSet}, 129, "", "skiplist"},
		{object.Source{Type: object.ZSet}, 5, strings.Repeat("x", 65), "skiplist"},
		{object.Source{Type: object.ZSet, Container: object.Listpack}, 5, strings.Repeat("x", 65), "listpack"},
		{object.Source{Type: object.ZSet, Container: object.Listpack}, 129, "", "skiplist"},
		{object.Source{Type: object.Hash}, 512, "", "listpack"},
		{object.Source{Type: object.Hash}, 513, "", "hashtable"},
		{object.Source{Type: object.Hash}, 5, strings.Repeat("x", 65), "hashtable"},
		{object.Source{Type: object.Hash, Container: object.Listpack}, 5, strings.Repeat("x", 65), "listpack"},
		{object.Source{Type: object.Hash, Container: object.Listpack}, 513, "", "hashtable"},
		{object.Source{Type: object.Hash, Expiring: true}, 512, "", "listpackex"},
		{object.Source{Type: object.Hash, Expiring: true}, 513, "", "hashtable"},
		{object.Source{Type: object.List}, 1000, "", "listpack"},
		{object.Source{Type: object.List}, 3000, "", "quicklist"},
		{object.Source{Type: object.List}, 1, strings.Repeat("x", 8192), "quicklist"},
		{object.Source{Type: object.List, Several: true}, 2, "", "quicklist"},
	} {
		v := built{src: c.src, scores: map[string]float64{}, fields: map[string]string{}}
		var elements []string
		if c.first != "" {
			elements = append(elements, c.first)
		}
		for i := range c.n {
			elements = append(elements, fmt.Sprint(i))
		}
		if err := v.build(&b, elements); err != nil {
			t.Fatal(err)
		}
		b.Put(s.DB(0), k, 0, 0)
		e, _ := s.DB(0).Look(k, 1)
		if got := object.Encoding(e); got != c.want {
			t.Errorf("%+v, %.3s… and %d: %s, not %s", c.src, c.first, c.n, got, c.want)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{10, 128, 100_000} {
		for typ := object.List; typ <= object.Hash; typ++ {
			b.Run(fmt.Sprint(typ, "/", n), func(b *testing.B) {
				set, _ := newTestSet(b, 1, 1)
				s := set.Shards[0]
				var x Builder
				s.Builder(&x, &testBuildLimits)
				v := built{src: object.Source{Type: typ}, scores: map[string]float64{}, fields: map[string]string{}}
				for i := range n {
					v.items = append(v.items, fmt.Sprintf("member:%07d", i))
				}
				for b.Loop() {
					if err := v.build(&x, v.items); err != nil {
						b.Fatal(err)
					}
					x.Drop()
					for !s.FreeSome(1000) {
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
			})
		}
	}
}
