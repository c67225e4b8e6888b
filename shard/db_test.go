package shard

import (
	"fmt"
	"strings"
	"testing"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

func (w *world) set0(key, val string, at int64) Key {
	k := w.set.Key([]byte(key))
	w.s.DB(0).SetString(k, []byte(val), at)
	return k
}

func (w *world) get0(k Key) (string, bool) {
	e, ok := w.s.DB(0).Get(k, w.nowMs())
	if !ok {
		return "", false
	}
	return string(w.s.DB(0).AppendString(nil, e)), true
}

// TestSetStringReusesBlock: a value of the same size class goes where the old one was.
func TestSetStringReusesBlock(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	for _, at := range []int64{0, future} {
		k := w.set.Key([]byte("sixteen bytes...")) // a block without padding
		size := func(val string) int { return arena.UsableSize(index.EntrySize(16, len(val), at != 0)) }
		old := "12345678"
		for _, val := range []string{old, "abcdefgh", "1234567", "123456789", "abcdefghij"} {
			db.SetString(k, []byte(old), at)
			e, _ := db.Get(k, w.nowMs())
			before, used := e.Pointer(), w.s.UsedBytes()
			newAt := at
			if at != 0 {
				newAt++
			}
			db.SetString(k, []byte(val), newAt)
			e, _ = db.Get(k, w.nowMs())
			if stays := size(val) == size(old); stays != (e.Pointer() == before) {
				t.Errorf("%s over %s: block stays %v", val, old, !stays)
			}
			if more := w.s.UsedBytes() - used; more != int64(size(val)-size(old)) {
				t.Errorf("%s over %s: %d bytes more", val, old, more)
			}
			if got, _ := w.get0(k); got != val || e.ExpireAt() != newAt {
				t.Errorf("%s over %s: got %q expiring at %d", val, old, got, e.ExpireAt())
			}
			old = val
		}
	}
}

// TestStringKindsChange: a string goes from the block to pages and back, and its encoding's name with it.
func TestStringKindsChange(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	k := w.set0("key", "12", 0)
	encoding := func() string {
		e, ok := db.Get(k, w.nowMs())
		if !ok {
			t.Fatal("key is gone")
		}
		inline := object.KindOf(e.Tag()) == object.StringInline
		if _, view := db.StringView(e); view != inline || db.Type(e) != object.String {
			t.Errorf("tag %x, view %v", e.Tag(), view)
		}
		return db.Encoding(e)
	}
	expect := func(what, want string) {
		t.Helper()
		if got := encoding(); got != want {
			t.Errorf("%s: encoding %s, want %s", what, got, want)
		}
	}
	expect("SET", "int")
	e, _ := db.Get(k, w.nowMs())
	db.StringAppend(k, e, []byte("3"))
	expect("APPEND", "raw")
	db.SetString(k, []byte("123"), 0)
	expect("SET again", "int")
	if n := db.StringSetRange(k, 5000, []byte("x")); n != 5001 {
		t.Errorf("length %d", n)
	}
	expect("SETRANGE far", "raw")
	want := "123" + strings.Repeat("\x00", 4997) + "x"
	if got, _ := w.get0(k); got != want {
		t.Errorf("got %d bytes", len(got))
	}
	db.SetString(k, []byte(strings.Repeat("v", 4096)), 0)
	expect("SET long", "raw")
	db.SetString(k, []byte("short"), 0)
	expect("SET short", "embstr")
	if n := db.StringSetRange(w.set.Key([]byte("new")), 10, nil); n != 0 || db.Len() != 1 {
		t.Errorf("empty SETRANGE made a key: %d", n)
	}
	w.model[0]["key"] = value{"short", 0}
	if w.check(); w.err != nil {
		t.Error(w.err)
	}
}

// TestAccessClockStays: a value's access clock survives what moves its block.
func TestAccessClockStays(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	k := w.set0("key", "12345678", 0)
	e, _ := db.Look(k, w.nowMs())
	e.SetAccess(0xABCDEF)
	db.SetExpire(k, future)
	e, _ = db.Look(k, w.nowMs())
	db.StringAppend(k, e, []byte(strings.Repeat("v", 100)))
	e, _ = db.Look(k, w.nowMs())
	db.StringAppend(k, e, []byte(strings.Repeat("v", 5000)))
	if e, _ = db.Look(k, w.nowMs()); e.Access() != 0xABCDEF {
		t.Errorf("access clock %x", e.Access())
	}
}

// TestLongKeys: keys of any length work, in whatever way they are stored.
func TestLongKeys(t *testing.T) {
	w := newWorld(t, 0, 1)
	for _, n := range []int{0, 1, 4000, 4090, 65535, 65536, 1 << 20} {
		key, val := strings.Repeat("k", n), strings.Repeat("v", n%5000+10)
		k := w.set0(key, val, 0)
		w.model[0][key] = value{val, future}
		w.s.DB(0).SetExpire(k, future)
		if got, ok := w.get0(k); !ok || got != val {
			t.Errorf("key of %d bytes: %v, %d bytes", n, ok, len(got))
		}
	}
	if w.check(); w.err != nil {
		t.Error(w.err)
	}
	if w.empty(); w.err != nil {
		t.Error(w.err)
	}
}

// TestWatchersAreTold: every change of a key marks its watchers, reading does not.
func TestWatchersAreTold(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	k := w.set0("key", "1", 0)
	for _, c := range []struct {
		name string
		want bool
		do   func()
	}{
		{"Get", false, func() { db.Get(k, w.nowMs()) }},
		{"Persist without expiry", false, func() { db.Persist(k) }},
		{"SetString", true, func() { db.SetString(k, []byte("2"), 0) }},
		{"StringAppend", true, func() { e, _ := db.Get(k, w.nowMs()); db.StringAppend(k, e, []byte("3")) }},
		{"StringSetRange", true, func() { db.StringSetRange(k, 0, []byte("4")) }},
		{"SetExpire", true, func() { db.SetExpire(k, w.nowMs()-1) }},
		{"expired", true, func() { db.Get(k, w.nowMs()) }},
		{"Delete of nothing", false, func() { db.Delete(k) }},
		{"StringSetRange, new", true, func() { db.StringSetRange(k, 0, []byte("4")) }},
		{"Delete", true, func() { db.Delete(k) }},
		{"Flush without it", false, func() { w.set0("other", "x", 0); db.Flush() }},
		{"SetString, new", true, func() { db.SetString(k, []byte("2"), 0) }},
		{"Flush", true, func() { db.Flush() }},
	} {
		var watcher Watcher
		w.s.Watch(0, k.Bytes, &watcher)
		c.do()
		if watcher.Dirty() != c.want {
			t.Errorf("%s: watcher dirty %v", c.name, !c.want)
		}
		watcher.Drop()
	}
}

// TestRandomMeetsExpired: expired keys are not given; they go when they are met.
func TestRandomMeetsExpired(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	if _, ok := db.Random(1, w.nowMs()); ok {
		t.Error("a key out of nothing")
	}
	for i := range 20 {
		w.set0(fmt.Sprint("gone", i), "x", w.nowMs()-1)
	}
	w.set0("here", "x", 0)
	for i := range uint64(50) {
		if e, ok := db.Random(i*1e9, w.nowMs()); !ok || string(e.Key()) != "here" {
			t.Fatalf("Random: %v", ok)
		}
	}
	db.Delete(w.set.Key([]byte("here")))
	if _, ok := db.Random(1, w.nowMs()); ok {
		t.Error("an expired key")
	}
}

func TestNoGoAllocations(t *testing.T) {
	w := newWorld(t, 0, 2)
	db := w.s.DB(1)
	k, other := w.set.Key([]byte("key")), w.set.Key([]byte("other"))
	long := make([]byte, 10000)
	buf := make([]byte, 0, 20000)
	for i := range 1000 {
		db.SetString(w.set.Key(fmt.Append(nil, i)), long[:50], 0)
	}
	count := 0
	if n := testing.AllocsPerRun(200, func() {
		db.PrefetchBucket(k.Hash)
		db.PrefetchEntries(k.Hash)
		db.SetString(k, long[:64], 0)
		e, _ := db.Get(k, w.nowMs())
		buf = db.AppendString(buf[:0], e)
		db.StringAppend(k, e, long[:30])
		db.StringSetRange(k, 200, long[:30])
		db.SetExpire(k, w.nowMs()+1000)
		db.Persist(k)
		db.SetString(k, long, 0)
		e, _ = db.Get(k, w.nowMs())
		buf = db.AppendString(buf[:0], e)
		db.Delete(k)
		db.SetString(other, long[:10], w.nowMs()-1)
		w.s.ExpireSome(w.nowMs(), 10)
		db.SetString(other, long[:10], w.nowMs()-1)
		db.Get(other, w.nowMs())
		db.Scan(0, 10, w.nowMs(), func(index.Entry) { count++ })
		db.Random(7, w.nowMs())
		w.s.FreeSome(10)
		w.s.ShrinkSome(10)
	}); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}
