package shard

import (
	"fmt"
	"strings"
	"testing"
)

// TestBigValuesAreFreedLater: deleting or overwriting a big value only detaches it.
func TestBigValuesAreFreedLater(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	big := strings.Repeat("v", 4<<20)
	for _, c := range []struct {
		name string
		drop func(k Key)
	}{
		{"Delete", func(k Key) { db.Delete(k) }},
		{"SetString", func(k Key) { db.SetString(k, []byte("x"), 0); db.Delete(k) }},
		{"expiry", func(k Key) { db.SetExpire(k, w.nowMs()-1); db.Get(k, w.nowMs()) }},
	} {
		k := w.set0("key", big, 0)
		c.drop(k)
		if db.Len() != 0 || w.s.LazyPending() != 1 || w.s.UsedBytes() < 4<<20 {
			t.Fatalf("%s: %d pending, %d bytes used", c.name, w.s.LazyPending(), w.s.UsedBytes())
		}
		slices := 0
		for before := w.s.UsedBytes(); !w.s.FreeSome(100); slices++ {
			now := w.s.UsedBytes()
			if before-now > 130*4096 {
				t.Fatalf("%s: %d bytes in a slice", c.name, before-now)
			}
			before = now
		}
		if slices < 7 || w.s.LazyPending() != 0 {
			t.Errorf("%s: done after %d slices", c.name, slices)
		}
	}
	if w.empty(); w.err != nil {
		t.Error(w.err)
	}
}

// TestFlushIsLazy: a flush takes no time of its own.
func TestFlushIsLazy(t *testing.T) {
	w := newWorld(t, 0, 1)
	for i := range 10_000 {
		w.set0(fmt.Sprint(i), "x", int64(i%2)*future)
	}
	w.set0("big", strings.Repeat("v", 1<<20), 0)
	used := w.s.UsedBytes()
	w.s.DB(0).Flush()
	if w.s.DB(0).Len() != 0 || w.s.DB(0).Expires() != 0 {
		t.Errorf("Len %d, Expires %d", w.s.DB(0).Len(), w.s.DB(0).Expires())
	}
	if now := w.s.UsedBytes(); now != used {
		t.Errorf("%d bytes used, %d before", now, used)
	}
	k := w.set0("again", "x", 0)
	slices := 0
	for ; !w.s.FreeSome(100); slices++ {
	}
	if slices < 60 {
		t.Errorf("%d slices", slices)
	}
	if got, ok := w.get0(k); !ok || got != "x" || w.s.DB(0).Len() != 1 {
		t.Error("the new key is damaged")
	}
	if w.empty(); w.err != nil {
		t.Error(w.err)
	}
}
