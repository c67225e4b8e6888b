package log

import "testing"

// TestTime: the first frame of each shard in another second says the time, also if it is a piece, long, or the first
// one behind a Hold, and the merged stream has nothing of it; with 0 no frame does.
func TestTime(t *testing.T) {
	l := New(2, Limits{})
	h := l.Attach()
	defer h.Close()
	a, b := l.Shard(0), l.Shard(1)
	set := func(s *ShardLog, value []byte) { s.Stage(0, []byte("SET"), []byte("k"), value) }
	one := func(s *ShardLog) { set(s, []byte("v")); s.Commit(false) }
	both := func() { set(a, []byte("v")); set(b, []byte("v")); l.Commit([]*ShardLog{a, b}, true) }
	one(a)
	l.SetTime(1_700_000_000)
	one(a)
	one(a)
	both()
	l.SetTime(1_700_000_001)
	set(b, make([]byte, 2*blockBytes)) // over the ends of blocks
	b.Commit(false)
	both()
	l.Attach().Close()
	both()
	l.SetTime(0)
	both()
	l.SetTime(1_700_000_001)
	one(b)

	size := uint64(0)
	for shard, want := range [][]int64{
		{0, 1_700_000_000, 0, 0, 1_700_000_001, 1_700_000_001, 0},
		{1_700_000_000, 1_700_000_001, 0, 1_700_000_001, 0, 1_700_000_001},
	} {
		r, err := h.Chunks(shard, nil)
		if err != nil {
			t.Fatal(err)
		}
		data := chunksOf(r, 1<<20)
		r.Close()
		for i, want := range want {
			f, n, err := DecodeFrame(data)
			if n == 0 {
				t.Fatalf("shard %d, frame %d: %v", shard, i, err)
			}
			if f.TimeSec != want {
				t.Errorf("shard %d, frame %d says %d, want %d", shard, i, f.TimeSec, want)
			}
			size += f.Len()
			data = data[n:]
		}
		if len(data) != 0 {
			t.Errorf("shard %d: %d bytes more", shard, len(data))
		}
	}
	if got := l.LSN() - h.LSN(); got != size {
		t.Errorf("the LSN went on by %d, the records have %d bytes", got, size)
	}
}
