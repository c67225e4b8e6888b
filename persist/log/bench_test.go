package log

import (
	"bytes"
	"testing"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
)

func attached(shards int) (*Log, *Hold) {
	l := New(shards, Limits{BacklogBytes: 0, MemoryBytes: 64 << 20})
	h := l.Attach()
	h.Unpin()
	return l, h
}

var (
	setName   = []byte("SET")
	benchKey  = bytes.Repeat([]byte("k"), 16)
	benchData = bytes.Repeat([]byte("v"), 64)
)

func BenchmarkStageCommit(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	s := l.Shard(3)
	b.ReportAllocs()
	for b.Loop() {
		s.Stage(0, setName, benchKey, benchData)
		s.Commit(false)
	}
}

func BenchmarkStageOnly(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	s := l.Shard(3)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.Stage(0, setName, benchKey, benchData)
		if n++; n == 64 {
			s.Commit(false)
			n = 0
		}
	}
}

func BenchmarkCommitFourShards(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	held := []*ShardLog{l.Shard(0), l.Shard(2), l.Shard(5), l.Shard(7)}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range held {
			s.Stage(0, setName, benchKey, benchData)
		}
		l.Commit(held, true)
	}
}

func BenchmarkContiguous(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	for b.Loop() {
		l.Contiguous()
	}
}

func BenchmarkMerged(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	m, err := l.Merged(l.LSN(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var buf []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s := l.Shard(i & 7)
		s.Stage(0, setName, benchKey, benchData)
		s.Commit(false)
		if i%64 == 63 {
			buf = m.Append(buf[:0], 1<<20)
		}
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	l, h := attached(8)
	defer h.Close()
	r, err := l.Flow(0, l.LSN(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	l.Shard(0).Stage(0, setName, benchKey, benchData)
	l.Shard(0).Commit(false)
	f, _ := r.Next()
	frame := f.Append(nil)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, n, err := DecodeFrame(frame); n == 0 || err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeek opens merged readers in the middle of a backlog.
func BenchmarkSeek(b *testing.B) {
	for _, shards := range []int{8, 256} {
		b.Run(map[int]string{8: "8 shards", 256: "256 shards"}[shards], func(b *testing.B) {
			l := New(shards, Limits{BacklogBytes: 1 << 40, MemoryBytes: 1 << 40})
			h := l.Attach()
			defer h.Close()
			start := l.LSN()
			for i := 0; l.LSN() < 64<<20; i++ {
				s := l.Shard(i % shards)
				s.Stage(0, setName, benchKey, benchData)
				s.Commit(false)
			}
			lsn := start
			for b.Loop() {
				m, err := l.Merged(lsn, nil)
				if err != nil {
					b.Fatal(err)
				}
				m.Close()
				lsn = start + (lsn+7654321)%(60<<20)
			}
		})
	}
}

// BenchmarkRing is BenchmarkStageCommit with blocks in a ring in memory, in a ring of the system, and without one.
func BenchmarkRing(b *testing.B) {
	run := func(b *testing.B, r *Ring) {
		l := New(8, Limits{MemoryBytes: 64 << 20})
		l.SetIncarnation(7)
		l.UseRing(r)
		h := l.Attach()
		defer h.Close()
		h.Unpin()
		s := l.Shard(3)
		b.ReportAllocs()
		for b.Loop() {
			s.Stage(0, setName, benchKey, benchData)
			s.Commit(false)
		}
	}
	b.Run("none", func(b *testing.B) { run(b, nil) })
	b.Run("shm", func(b *testing.B) {
		r, err := CreateRing(RingOptions{
			FS: vfs.OS{}, Dir: need.MemoryDir(b), SizeBytes: 32 << 20, Identity: ringIdentity(8),
		})
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		run(b, r)
	})
}
