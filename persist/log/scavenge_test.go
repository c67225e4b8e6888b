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
	live, had := l.pool.live.Load(), l.MemoryBytes()
	for now := range 10 {
		l.Scavenge(int64(now) * scavengePeriodNs)
		if got := l.MemoryBytes(); got < had-scavengeBlocks*blockBytes {
			t.Errorf("%d blocks went at once", (had-got)/blockBytes)
		} else {
			had = got
		}
	}
	if got, want := had/blockBytes, live+16+shards; got != want || live > peak/2 {
		t.Errorf("%d blocks are there, %d of them in use, want %d", got, live, want)
	}
	after, err := l.Flow(0, l.LSN(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	write()
	frames := 0
	for _, ok := after.Next(); ok; _, ok = after.Next() {
		frames++
	}
	if frames != peak {
		t.Errorf("%d of %d frames are read in blocks that were taken anew", frames, peak)
	}
}

// TestScavengeWhatIsUnused: blocks that nobody needs any more are given back, a little at a time, but not those that
// are taken again and again.
func TestScavengeWhatIsUnused(t *testing.T) {
	const keep, period = 3, scavengePeriodNs
	p := &pool{}
	take := func(n int) (taken []*block) {
		for range n {
			taken = append(taken, p.get(nil, 0, 0))
		}
		return taken
	}
	put := func(taken []*block) {
		for _, b := range taken {
			p.release(b)
		}
	}
	now := int64(1)
	for _, step := range []struct {
		uses, left int64
		what       string
	}{
		{100, 100, "they have just come back"},
		{0, 92, "nobody has needed any"},
		{0, 84, "nobody has needed any again"},
		{80, 83, "all but four are needed"},
		{80, 83, "all but those that are kept are needed"},
		{0, 75, "nobody has needed any in the end"},
	} {
		put(take(int(step.uses)))
		now += period
		p.scavenge(now, keep)
		if got := p.kept.Load(); got != step.left {
			t.Errorf("%s: %d blocks are kept, want %d", step.what, got, step.left)
		}
	}
	for range 100 {
		p.scavenge(now, keep)
	}
	if got := p.kept.Load(); got != keep {
		t.Errorf("%d blocks are left", got)
	}
	taken := take(keep + 1)
	if p.live.Load() != keep+1 || p.kept.Load() != 0 {
		t.Errorf("%d blocks live, %d are kept", p.live.Load(), p.kept.Load())
	}
	put(taken)
}
