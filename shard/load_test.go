package shard

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestAddStrings: what was added is what SetString would have made of it, with the access clock that was asked for.
func TestAddStrings(t *testing.T) {
	a, b := newWorld(t, 0, 3), newWorld(t, 0, 3)
	const n = 5000
	var list []LoadedString
	for i := range n {
		l := LoadedString{
			Key: a.set.Key(fmt.Appendf(nil, "key:%d", i)), Value: []byte(strings.Repeat("v", i%97)),
			DB: i % 3, Access: uint32(i),
		}
		if i%4 == 0 {
			l.ExpireAtMs = future + int64(i)
		}
		if i%500 == 0 {
			l.Value = []byte(strings.Repeat("long", 2000+i))
		}
		list = append(list, l)
		b.s.DB(l.DB).SetString(b.set.Key(l.Key.Bytes), l.Value, l.ExpireAtMs)
	}
	for from := 0; from < n; from += 64 {
		part := list[from:min(from+64, n)]
		if got := a.s.AddStrings(part); got != len(part) {
			t.Fatalf("%d of %d added", got, len(part))
		}
	}
	for i := range list {
		l := &list[i]
		e, ok := a.s.DB(l.DB).Look(l.Key, 1)
		if !ok || string(a.s.DB(l.DB).AppendString(nil, e)) != string(l.Value) || e.ExpireAt() != l.ExpireAtMs ||
			e.Access() != l.Access {
			t.Fatalf("%s: there %v, or another value, expiry or access clock", l.Key.Bytes, ok)
		}
	}
	for id := range 3 {
		got, want := a.s.DB(id).Counts(true), b.s.DB(id).Counts(true)
		got.IndexBytes, want.IndexBytes = 0, 0 // another seed, other splits
		if got != want {
			t.Errorf("database %d: %+v, want %+v", id, got, want)
		}
		if err := a.s.DB(id).Index().Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestAddStringsStopsAtDuplicates: short and long ones, of an earlier list and of the same.
func TestAddStringsStopsAtDuplicates(t *testing.T) {
	w := newWorld(t, 0, 1)
	long := []byte(strings.Repeat("x", 10_000))
	add := func(vals ...string) int {
		var list []LoadedString
		for _, v := range vals {
			list = append(list, LoadedString{Key: w.set.Key([]byte(v)), Value: []byte(v)})
			if strings.HasPrefix(v, "long") {
				list[len(list)-1].Value = long
			}
		}
		return w.s.AddStrings(list)
	}
	for i, c := range []struct {
		vals []string
		want int
	}{
		{[]string{"a", "b", "long1"}, 3}, {[]string{"c", "a", "d"}, 1}, {[]string{"e", "f", "f"}, 2},
		{[]string{"long2", "long1"}, 1}, {[]string{"g"}, 1},
	} {
		if got := add(c.vals...); got != c.want {
			t.Errorf("list %d: stopped at %d, want %d", i, got, c.want)
		}
	}
	if n := w.s.DB(0).Len(); n != 8 {
		t.Errorf("%d keys, want 8", n)
	}
}

// BenchmarkAddStrings fills eight shards from two goroutines, 64 keys at a time.
func BenchmarkAddStrings(b *testing.B) {
	set, _ := newTestSet(b, 8, 1)
	z := set.Seize()
	const loaders, perList = 2, 64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for g := range loaders {
		all.Go(func() {
			var lists [8][]LoadedString
			value := make([]byte, 64)
			for i := g; i < b.N; i += loaders {
				key := fmt.Appendf(nil, "key:%012d", i)
				at := set.ShardOf(key)
				lists[at] = append(lists[at], LoadedString{Key: set.Key(key), Value: value})
				if len(lists[at]) == perList {
					z.Lock(at).AddStrings(lists[at])
					z.Unlock(at)
					lists[at] = lists[at][:0]
				}
			}
		})
	}
	all.Wait()
}
