package shard

import (
	"strconv"
	"testing"
	"time"
)

// own sets a key of a database with an expiry in 10 ms as a replica's own client does.
func (w *world) own(db int, name string) Key {
	k := w.set.Key([]byte(name))
	w.s.DB(db).SetString(k, []byte("x"), w.nowMs()+10)
	w.s.DB(db).NoteOwnExpiry(k, true)
	return k
}

// TestOwnExpiriesAreForgotten: what the primary gives an expiry, what has none any more and what was flushed is not
// known as the replica's own; what is known changes databases with its key.
func TestOwnExpiriesAreForgotten(t *testing.T) {
	w := newWorld(t, 0, 3)
	theirs, lasts, moves := w.own(0, "theirs"), w.own(0, "lasts"), w.own(1, "moves")
	w.own(0, "lasts")
	w.s.DB(0).NoteOwnExpiry(theirs, false)
	w.s.DB(0).NoteOwnExpiry(w.set.Key([]byte("nobody's")), true)
	w.s.DB(0).Persist(lasts)
	if w.s.owned != 2 {
		t.Errorf("%d are noted", w.s.owned)
	}
	w.s.SwapDBs(1, 2, w.nowMs())
	w.now.Advance(time.Second)
	for !w.s.ExpireOwn(w.nowMs(), 100) {
	}
	if w.s.DB(0).Len() != 2 || w.s.DB(2).Len() != 0 || w.s.owned != 0 {
		t.Errorf("%d and %d keys are left, %d are noted", w.s.DB(0).Len(), w.s.DB(2).Len(), w.s.owned)
	}
	w.s.DB(2).Delete(moves)
	w.own(1, "flushed")
	w.own(2, "stays")
	w.s.DB(1).Flush()
	if w.s.owned != 1 {
		t.Errorf("%d are noted after a flush of one of two", w.s.owned)
	}
	w.s.ForgetOwnExpiries()
	if w.s.owned != 0 {
		t.Errorf("%d are noted of none", w.s.owned)
	}
}

// TestManyOwnExpiries: a slice looks at no more than its budget, none keeps another database's waiting, and as long as
// many go the cycle goes on.
func TestManyOwnExpiries(t *testing.T) {
	const keys = 5000
	w := newWorld(t, 0, 3)
	for i := range keys {
		w.own(0, strconv.Itoa(i))
	}
	w.own(2, "last")
	w.now.Advance(time.Second)
	w.own(1, "not yet")
	slices := 1
	for ; !w.s.ExpireOwn(w.nowMs(), 64); slices++ {
		if slices == 3 && w.s.DB(2).Len() != 0 {
			t.Error("a small database has to wait")
		}
	}
	if most := keys/64 + 10; slices > most || slices < keys/64 || w.s.DB(0).Len() != 0 || w.s.DB(1).Len() != 1 {
		t.Errorf("%d slices; %d keys are left", slices, w.s.DB(0).Len())
	}
}
