package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestExpiryMoment: a key is there in the millisecond that is its expiry, and gone in the next.
func TestExpiryMoment(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	k := w.set0("key", "x", w.nowMs())
	if _, ok := w.get0(k); !ok {
		t.Error("gone too early")
	}
	for !w.s.ExpireSome(w.nowMs(), 10) {
	}
	if db.Len() != 1 {
		t.Error("the cycle takes it too early")
	}
	w.now.Advance(time.Millisecond)
	if !db.HasExpired(k, w.nowMs()) {
		t.Error("HasExpired doesn't see it")
	}
	if n := db.Len(); n != 1 {
		t.Error("HasExpired deletes")
	}
	if _, ok := w.get0(k); ok || db.Len() != 0 || db.Expires() != 0 {
		t.Errorf("still there: %v, Len %d, Expires %d", ok, db.Len(), db.Expires())
	}
	if st := w.s.Stats; st.ExpiredKeys != 1 || st.ExpiredLazily != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestExpireMany lets many keys fall due at once in several databases: slices stay within their budget, all
// databases get their turns, keys that are not due stay, and the memory comes back.
func TestExpireMany(t *testing.T) {
	const keys, dbs, budget = 60_000, 3, 100
	w := newWorld(t, 0, dbs)
	for i := range keys {
		k := w.set.Key(fmt.Append(nil, i))
		at := w.nowMs() + 1
		if i%10 == 0 {
			at = future
		}
		db := 0 // most in one
		if i%10 == 3 {
			db = 1 + i/10%2
		}
		w.s.DB(db).SetString(k, []byte("value"), at)
	}
	w.now.Advance(time.Second)
	used, slices, early := w.s.UsedBytes(), 0, 0
	for done := false; !done; slices++ {
		before := w.s.Stats.ExpiredKeys
		done = w.s.ExpireSome(w.nowMs(), budget)
		if n := w.s.Stats.ExpiredKeys - before; n > budget+50 {
			t.Fatalf("%d keys in a slice of %d", n, budget)
		}
		if slices == 150 {
			early = w.s.DB(0).Len()
		}
	}
	left, gone := w.s.DB(0).Len()+w.s.DB(1).Len()+w.s.DB(2).Len(), w.s.Stats.ExpiredKeys
	if left != keys/10 || gone != keys*9/10 {
		t.Errorf("%d keys left, %d expired", left, gone)
	}
	if w.s.DB(1).Len() != 0 || w.s.DB(2).Len() != 0 || early < keys/2 {
		t.Errorf("the small databases had to wait: %d left in the large one after 150 slices", early)
	}
	if slices > keys/budget*3 {
		t.Errorf("%d slices", slices)
	}
	for !w.s.ShrinkSome(1000) {
	}
	if now := w.s.UsedBytes(); now > used/7 {
		t.Errorf("%d bytes used, %d before", now, used)
	}
	if !w.s.ExpireSome(w.nowMs(), budget) {
		t.Error("a cycle without anything to do takes more than a slice")
	}
}

// TestExpiryIsStaged: whoever reads the log sees a DEL for each key that expired, by an access or by the cycle.
func TestExpiryIsStaged(t *testing.T) {
	w := newWorld(t, 0, 2)
	hold := w.set.Log.Attach()
	defer hold.Close()
	reader, err := hold.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	lazy := w.set.Key([]byte("lazy"))
	w.s.DB(0).SetString(lazy, []byte("x"), w.nowMs()-1)
	w.s.DB(1).SetString(w.set.Key([]byte("active")), []byte("x"), w.nowMs()-1)
	w.s.DB(0).Get(lazy, w.nowMs())
	for !w.s.ExpireSome(w.nowMs(), 10) {
	}
	w.s.Commit(&Worker{})
	got := string(reader.Append(nil, 1<<16))
	for _, want := range []string{"DEL\r\n$4\r\nlazy\r\n", "SELECT\r\n$1\r\n1\r\n", "DEL\r\n$6\r\nactive\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("log has no %q: %q", want, got)
		}
	}
}

// TestExpiryBroughtForward: the cycle finds a key whose expiry was lowered in place, where nothing else is due.
func TestExpiryBroughtForward(t *testing.T) {
	w := newWorld(t, 0, 1)
	db := w.s.DB(0)
	for name, change := range map[string]func(k Key){
		"SetExpire": func(k Key) { db.SetExpire(k, w.nowMs()+1) },
		"SetString": func(k Key) { db.SetString(k, []byte("x"), w.nowMs()+1) },
	} {
		k := w.set0("key", "x", future)
		for !w.s.ExpireSome(w.nowMs(), 10) {
		}
		change(k)
		w.now.Advance(2 * time.Millisecond)
		for !w.s.ExpireSome(w.nowMs(), 10) {
		}
		if db.Len() != 0 {
			t.Errorf("%s: still there", name)
		}
	}
}
