package shard

import (
	"fmt"
	"testing"
)

// TestShadowReplaces: what was put into a shadow is the set's when it has taken the place of what was there; watchers
// are told of keys that were or are there, the figures are those of the new data, and all of the old one is freed.
func TestShadowReplaces(t *testing.T) {
	set, _ := newTestSet(t, 3, 2)
	put := func(to *Set, db int, name string, expireAtMs int64) {
		k := to.Key([]byte(name))
		to.Shards[to.ShardOf(k.Bytes)].DB(db).SetString(k, fmt.Append(nil, "value of ", name), expireAtMs)
	}
	get := func(db int, name string) bool {
		k := set.Key([]byte(name))
		_, ok := set.Shards[set.ShardOf(k.Bytes)].DB(db).Get(k, 0)
		return ok
	}
	for i := range 1000 {
		put(set, 0, fmt.Sprint("old:", i), int64(i+1)<<50)
	}
	watch := func(name string) *Watcher {
		w := &Watcher{}
		set.Shards[set.ShardOf([]byte(name))].Watch(0, []byte(name), w)
		return w
	}
	gone, come, never := watch("old:1"), watch("new:1"), watch("no:1")
	shadow := set.Shadow()
	for i := range 3000 {
		put(shadow, 0, fmt.Sprint("new:", i), 0)
		put(shadow, 1, fmt.Sprint("other:", i), 0)
	}
	if !get(0, "old:1") || get(0, "new:1") || gone.Dirty() || come.Dirty() {
		t.Error("the shadow is seen before it is complete")
	}
	set.Replace(shadow)
	if get(0, "old:1") || !get(0, "new:1") || !get(1, "other:2999") {
		t.Error("the shadow has not taken the place of the data")
	}
	if !gone.Dirty() || !come.Dirty() || never.Dirty() {
		t.Errorf("watchers were told of %v, %v and %v", gone.Dirty(), come.Dirty(), never.Dirty())
	}
	for i := range 3000 { // it grows and shrinks as any other
		put(set, 1, fmt.Sprint("later:", i), 0)
	}
	keys := 0
	for _, s := range set.Shards {
		for id := range 2 {
			db := s.DB(id)
			if err := db.Index().Check(); err != nil {
				t.Error(err)
			}
			keys += db.Len()
			if db.Expires() != 0 {
				t.Errorf("%d keys with an expiry, which were those of before", db.Expires())
			}
			db.Flush()
		}
		for !s.FreeSome(1000) {
		}
		s.Arena().Trim()
	}
	if keys != 9000 {
		t.Errorf("%d keys, want 9000", keys)
	}
	if n := set.Space.Stats().UsedBytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// TestShadowIsDiscarded: nothing is left of a shadow that was not to be used.
func TestShadowIsDiscarded(t *testing.T) {
	set, _ := newTestSet(t, 2, 1)
	shadow := set.Shadow()
	for i := range 5000 {
		k := shadow.Key(fmt.Append(nil, "key:", i))
		shadow.Shards[shadow.ShardOf(k.Bytes)].DB(0).SetString(k, make([]byte, 10*(i%1000)), 0)
	}
	shadow.Discard(func() bool { return false })
	if n := set.Space.Stats().UsedBytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
