package shard

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// defragStep does one slice of a pass on a shard, begins one, or gives it up.
func defragStep(s *Shard, rnd interface{ IntN(int) int }) {
	switch {
	case s.defrag.stage == defragIdle:
		s.beginDefrag() // whether it is worth it or not
	case rnd.IntN(100) == 0:
		s.EndDefrag(1 + rnd.IntN(100))
	default:
		s.DefragSome(1+rnd.IntN(400), 1+rnd.IntN(40))
	}
}

// TestPagedStringMoves: nodes of strings of all sizes are moved in slices of all sizes, and only those that should be.
func TestPagedStringMoves(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	db, a := s.DB(0), s.Arena()
	var junk []arena.Ref
	var vals []string
	for i, n := range []int{5000, 20_000, 3_000_000, 9_000_000, 70_000} {
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(j >> (i + 3))
		}
		k := set.Key(fmt.Append(nil, i))
		for off := 0; off < n; off += 4088 {
			end := min(off+4088, n)
			if off/4088%8 == 0 || end == n {
				db.StringSetRange(k, off, b[off:end])
			} else {
				clear(b[off:end])
			}
			for range 9 {
				junk = append(junk, a.Alloc(4096))
			}
		}
		vals = append(vals, string(b))
	}
	for _, r := range junk {
		a.Free(r, 4096)
	}
	held, used := a.HeldBytes(), a.UsedBytes()
	s.beginDefrag()
	slices := 0
	for ; !s.DefragSome(16, 5); slices++ {
	}
	for i, want := range vals {
		k := set.Key(fmt.Append(nil, i))
		e, ok := db.Get(k, 0)
		if !ok || string(db.AppendString(nil, e)) != want {
			t.Errorf("string %d of %d bytes is another one", i, len(want))
		}
	}
	if a.UsedBytes() != used || a.HeldBytes() > used*110/100+20<<16 {
		t.Errorf("held %d, now %d; used %d, now %d", held, a.HeldBytes(), used, a.UsedBytes())
	}
	if slices < 100 || s.Stats.DefragHits < 200 || s.Stats.DefragKeyHits == 0 {
		t.Errorf("%d slices, %+v", slices, s.Stats)
	}
	t.Logf("%d slices; held %d kB, now %d; used %d; %d blocks moved",
		slices, held>>10, a.HeldBytes()>>10, used>>10, s.Stats.DefragHits)
}

// TestMovesSayNothing: access clocks, expiry and the count of changes don't notice that everything has been moved.
func TestMovesSayNothing(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := set.Shards[0]
	db := s.DB(0)
	var keys []Key
	for i := range 20_000 {
		k := set.Key(fmt.Appendf(nil, "k%05d", i))
		db.SetString(k, bytes.Repeat([]byte{'v'}, 20+i%500), int64(i%2)*future)
		keys = append(keys, k)
	}
	for i, k := range keys {
		if i%10 >= 3 {
			db.Delete(k)
		}
	}
	where := map[string]place{}
	each(db.Index(), func(e index.Entry) {
		e.SetAccess(uint32(len(where)) + 77)
		where[string(e.Key())] = placeOf(e)
	})
	dirty := s.Stats.Dirty
	for !s.DefragSome(100, 100) {
	}
	moved, n := 0, uint32(0)
	each(db.Index(), func(e index.Entry) {
		if placeOf(e) != where[string(e.Key())] {
			moved++
		}
		if e.Access() != n+77 {
			t.Errorf("%s has access clock %d, want %d", e.Key(), e.Access(), n+77)
		}
		n++
	})
	if moved < 1500 || s.Stats.Dirty != dirty {
		t.Errorf("%d of %d moved, dirty %d, want %d", moved, n, s.Stats.Dirty, dirty)
	}
	if st := s.Stats; int(st.DefragKeyHits) != moved || st.DefragKeyMisses != int64(n)-int64(moved) {
		t.Errorf("%d of %d moved, counted %d and %d", moved, n, st.DefragKeyHits, st.DefragKeyMisses)
	}
	if err := db.Index().Check(); err != nil {
		t.Error(err)
	}
	if s.Fragmented() {
		t.Error("still fragmented")
	}
}

// TestSilentMovesAreNoticed plants moves of entries and nodes that are not announced to the choke point.
func TestSilentMovesAreNoticed(t *testing.T) {
	for _, size := range []int{100, 9000} {
		for _, silent := range []bool{false, true} {
			w := newWorld(t, 1, 1)
			db := w.s.DB(0)
			db.skipMoves = silent
			for i := range 3000 {
				db.SetString(w.set.Key(fmt.Appendf(nil, "k%04d", i)), []byte(strings.Repeat("v", size)), 0)
			}
			for i := range 3000 {
				if i%5 > 0 {
					db.Delete(w.set.Key(fmt.Appendf(nil, "k%04d", i)))
				}
			}
			w.cut()
			w.walkOn(10)
			for !w.s.DefragSome(20, 20) {
			}
			for !w.walkOn(100) {
			}
			if noticed := w.err != nil; noticed != silent {
				t.Errorf("%d bytes, planted %v: noticed %v (%v)", size, silent, noticed, w.err)
			}
		}
	}
}

// residentBytes is the process's resident memory that is neither a file's nor shared.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory() // or what the garbage collector has not come to counts
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident, shared int64
	if _, err := fmt.Fscan(bytes.NewReader(text), &size, &resident, &shared); err != nil {
		t.Fatal(err)
	}
	return (resident - shared) * int64(os.Getpagesize())
}

// TestRSSFollows deletes 70 % of 300,000 keys of mixed sizes at random in eight shards. Resident memory must come down
// to 1.25 times what is in use, within a bounded number of slices, as the home loops would run them.
func TestRSSFollows(t *testing.T) {
	const n, budget = 300_000, 64
	set, _ := newTestSet(t, 8, 2)
	before := residentBytes(t)
	val := bytes.Repeat([]byte{'v'}, 1024)
	rnd := newWorld(t, 5, 1).rnd
	at := func(i int) (*DB, Key) {
		k := set.Key(fmt.Appendf(nil, "key:%012d", i))
		return set.Shards[set.ShardOf(k.Bytes)].DB(i & 1), k
	}
	for i := range n {
		db, k := at(i)
		size := rnd.IntN(len(val))
		if i%500 == 0 {
			size = 20_000 // paged
		}
		db.SetString(k, bytes.Repeat(val, size/len(val)+1)[:size], 0)
	}
	full := residentBytes(t) - before
	for _, i := range rnd.Perm(n)[:n*7/10] {
		db, k := at(i)
		db.Delete(k)
	}
	slices, used := 0, int64(0)
	for _, s := range set.Shards {
		for !s.FreeSome(budget) || !s.ShrinkSome(budget) {
		}
		for ; !s.DefragSome(budget, 1000); slices++ {
			if slices > 200_000 {
				t.Fatal("the passes don't end")
			}
		}
		used += s.UsedBytes()
		if s.Fragmented() && !s.worthDefrag() {
			t.Error("Fragmented and DefragSome disagree")
		}
	}
	for range 30 { // three seconds
		set.Space.Release(32 << 20)
	}
	now := residentBytes(t) - before
	t.Logf("resident %d MB when full, %d after; %d used; %d slices of %d units",
		full>>20, now>>20, used>>20, slices, budget)
	// What the Go heap, the runtime and the tests before this one leave resident: 7 to 8 MB by itself.
	const others = 16 << 20
	if raceShare == 1 && now > used*125/100+others { // the race detector's own memory is resident, too
		t.Errorf("%d MB resident, %d used", now>>20, used>>20)
	}
	if slices > n*3/10/4 {
		t.Errorf("%d slices", slices)
	}
	left := 0
	for i := range n {
		db, k := at(i)
		if e, ok := db.Get(k, 0); ok {
			if left++; object.StringLen(e) > 20_000 {
				t.Fatalf("%s has %d bytes", k.Bytes, object.StringLen(e))
			}
		}
	}
	if left != n*3/10 {
		t.Errorf("%d keys left", left)
	}
}
