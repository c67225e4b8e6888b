package shard

import (
	"encoding/binary"
	"maps"
	"math"
	"reflect"
	"runtime"
	"testing"
)

// benchHolds measures one command a hold, the shortest that there is, on a small dataset in the caches.
func benchHolds(b *testing.B, run func(s *Shard, i int)) {
	set, _ := newTestSet(b, 1, 16)
	s, w := set.Shards[0], &Worker{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.NowNs += 100
		s.Acquire(w)
		run(s, i)
		s.Release(w)
	}
}

func BenchmarkHoldEmpty(b *testing.B) { benchHolds(b, func(*Shard, int) {}) }

func BenchmarkHoldOverwrite(b *testing.B) {
	var val [64]byte
	key := []byte("key")
	benchHolds(b, func(s *Shard, _ int) { s.DB(0).SetString(s.set.Key(key), val[:], 0) })
}

// BenchmarkHoldInsertDelete makes a key in one hold and deletes it in the next.
func BenchmarkHoldInsertDelete(b *testing.B) {
	var val [64]byte
	var key [8]byte
	benchHolds(b, func(s *Shard, i int) {
		binary.LittleEndian.PutUint64(key[:], uint64(i/2))
		k := s.set.Key(key[:])
		if i%2 == 0 {
			s.DB(0).SetString(k, val[:], 0)
		} else {
			s.DB(0).Delete(k)
		}
	})
}

// TestPublishedCounts: what others read without the baton is exact at every release, whatever happened in the hold.
func TestPublishedCounts(t *testing.T) {
	w := newWorld(t, 7, 3)
	worker := &Worker{}
	for i := range 20_000 {
		w.s.Acquire(worker)
		for range i%3 + 1 {
			w.step()
		}
		w.s.Release(worker)
		for id := range 3 {
			db := w.s.DB(id)
			got := db.PublishedCounts()
			want := db.Counts(true)
			if got != want {
				t.Fatalf("after %d holds, db %d: published %+v, are %+v", i+1, id, got, want)
			}
		}
	}
}

// TestPublishedCountsWhileShrinking: an index also changes its size when no key does.
func TestPublishedCountsWhileShrinking(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s, db, w := set.Shards[0], set.Shards[0].DB(0), &Worker{}
	key := func(i int) Key { return set.Key(binary.LittleEndian.AppendUint32(nil, uint32(i))) }
	s.Acquire(w)
	for i := range 20_000 {
		db.SetString(key(i), nil, 0)
	}
	for i := range 19_000 {
		db.Delete(key(i))
	}
	s.Release(w)
	before := db.PublishedCounts()
	for done := false; !done; {
		s.Acquire(w)
		done = s.ShrinkSome(1000)
		s.Release(w)
		if got := db.PublishedCounts(); got.IndexBytes != db.Index().SizeBytes() || got.Keys != 1000 {
			t.Fatalf("published %+v, the index has %d bytes", got, db.Index().SizeBytes())
		}
	}
	if after := db.PublishedCounts(); after.IndexBytes >= before.IndexBytes {
		t.Errorf("%d bytes before, %d after", before.IndexBytes, after.IndexBytes)
	}
}

func TestPublishedStats(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s, w := set.Shards[0], &Worker{NowNs: 1}
	hold := func(atNs int64, change func()) Stats {
		w.NowNs = atNs
		s.Acquire(w)
		change()
		s.Release(w)
		st, _ := s.PublishedStats()
		return st
	}
	hit := func() { s.Stats.Hits++ }
	if st := hold(1, hit); st.Hits != 1 {
		t.Errorf("after the first hold: %+v", st)
	}
	if st := hold(statsEveryNs, hit); st.Hits != 1 {
		t.Errorf("published too often: %+v", st)
	}
	if st := hold(statsEveryNs+1, hit); st.Hits != 3 {
		t.Errorf("not published after %d ns: %+v", statsEveryNs, st)
	}
	if st := hold(statsEveryNs+2, func() { s.ResetStats(); s.ResetHolds() }); st != (Stats{}) {
		t.Errorf("after a reset: %+v", st)
	}
	var every Stats // no counter is forgotten
	fields := reflect.ValueOf(&every).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(int64(i + 1))
	}
	if st := hold(4*statsEveryNs, func() { s.Stats = every }); st != every {
		t.Errorf("published %+v of %+v", st, every)
	}
}

// TestLongHolds: a long hold goes to the name of what took the greater part of it.
func TestLongHolds(t *testing.T) {
	set, _ := newTestSet(t, 2, 1)
	w := &Worker{NowNs: 1000, wallOnly: true}
	var tx Tx
	tx.Init(set, nil)
	hold := func(fn func(s *Shard)) {
		tx.Begin([]int{0, 1})
		if !tx.Acquire(w) {
			t.Fatal("somebody holds a baton")
		}
		fn(set.Shards[0])
		tx.Release(w)
	}
	hold(func(*Shard) { // a command on both
		w.NowNs += 3_000_000
		tx.Ran("flushall", 3_000_000)
	})
	hold(func(*Shard) { // shorter than what is attributed
		w.NowNs += longHoldNs - 1
		tx.Ran("get", longHoldNs-1)
	})
	hold(func(*Shard) { // no one command is to blame
		for range 5 {
			w.NowNs += 300_000
			tx.Ran("get", 300_000)
		}
	})
	hold(func(s *Shard) { // a job on one of them
		w.NowNs += 2_000_000
		s.Ran("background", 1_500_000)
	})
	tx.Ran("nothing is held", 1<<40)
	const nobody = "many short commands"
	for _, s := range set.Shards { // statistics are published at the first release after a while
		s.hold.dueNs = 0
		s.Acquire(w)
		s.Release(w)
	}
	for i, want := range []map[string]LongHold{
		{
			"flushall": {1, 3_000_000, 3_000_000}, nobody: {1, 1_500_000, 1_500_000},
			"background": {1, 2_000_000, 2_000_000},
		},
		{"flushall": {1, 3_000_000, 3_000_000}, nobody: {2, 2_000_000, 2_000_000}},
	} {
		got := set.Shards[i].Holds()
		if !maps.Equal(got.Long, want) {
			t.Errorf("shard %d: %v, want %v", i, got.Long, want)
		}
		var n uint64
		for _, c := range got.Count {
			n += c
		}
		if n != 5 || got.MaxNs != 3_000_000 || got.TotalNs != 3_000_000+longHoldNs-1+1_500_000+2_000_000 {
			t.Errorf("shard %d: %d holds, max %d, total %d", i, n, got.MaxNs, got.TotalNs)
		}
	}
}

// TestHoldBuckets: buckets leave no gap and know a value to a quarter of itself.
func TestHoldBuckets(t *testing.T) {
	for i := range HoldBuckets - 1 {
		end := HoldBucketNs(i)
		if holdBucket(end) != i || holdBucket(end+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, the next in %d", i, end, holdBucket(end), holdBucket(end+1))
		}
	}
	if got := holdBucket(math.MaxInt64); got != HoldBuckets-1 {
		t.Errorf("the longest hold is in bucket %d", got)
	}
}

// TestHoldsOfAThreadThatWaits: a hold in which the thread did not run is long by the wall and short by the processor.
func TestHoldsOfAThreadThatWaits(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set, _ := newTestSet(t, 1, 1)
	s, w := set.Shards[0], &Worker{NowNs: 1 << 40}
	s.Acquire(w)
	w.NowNs += 1e12 // nobody computes for that long here
	s.hold.dueNs = 0
	s.Release(w)
	if got := s.Holds(); got.MaxNs != 1e12 || got.MaxCPUNs >= 1e12/2 {
		t.Errorf("wall time %d, processor time %d", got.MaxNs, got.MaxCPUNs)
	}
}
