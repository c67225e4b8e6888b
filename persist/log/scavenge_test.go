package log

import "testing"

// TestScavenge: what a peak has taken is given back, but for what is kept for reuse, and the log goes on.
func TestScavenge(t *testing.T) {
	const shards, peak = 2, 40
	l := New(shards, Limits{})
	hold := l.Resume()
	defer hold.Close()
	flow, err := hold.Flow(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		for range peak {
			s := l.Shard(0)
			s.Stage(0, []byte("SET"), []byte("k"), make([]byte, blockBytes-100))
			s.Commit(false)
		}
	}
	write()
	if got := l.MemoryBytes(); got < peak*blockBytes {
		t.Fatalf("%d blocks are there with a reader that lacks %d", got/blockBytes, peak)
	}
	flow.Close()
	hold.Unpin()
	l.Trim()
	live, calls := l.pool.live.Load(), 1
	for ; l.Scavenge(3); calls++ {
		if calls > peak {
			t.Fatal("it has no end")
		}
	}
	if got, want := l.MemoryBytes()/blockBytes, live+16+shards; got != want || live > peak/2 {
		t.Errorf("%d blocks are there, %d of them in use, want %d", got, live, want)
	}
	if calls < 3 {
		t.Errorf("all went in %d calls", calls)
	}
	write()
	l.Trim()
}
