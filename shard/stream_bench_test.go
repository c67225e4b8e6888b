package shard

import (
	"fmt"
	"testing"

	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

func benchStream(b testing.TB, entries int) (*Set, *Stream) {
	set, _ := newTestSet(b, 1, 1)
	s := &Stream{set.Shards[0].DB(0).LookValue(set.Key([]byte("s")), 1)}
	lim := StreamLimits{4096, 100}
	pairs := [][]byte{[]byte("field1"), nil, []byte("field2"), nil}
	for i := range entries {
		pairs[1], pairs[3] = fmt.Append(nil, "value:", i), fmt.Append(nil, i)
		s.Add(&lim, stream.ID{Ms: 1_700_000_000_000 + uint64(i)/10, Seq: uint64(i) % 10}, pairs)
	}
	return set, s
}

// BenchmarkStream measures what commands do with a stream of a million entries.
func BenchmarkStream(b *testing.B) {
	const entries = 1_000_000
	set, s := benchStream(b, entries)
	b.Run("add", func(b *testing.B) {
		lim := StreamLimits{4096, 100}
		pairs := [][]byte{[]byte("field1"), []byte("value1"), []byte("field2"), []byte("12345")}
		id := s.Info().LastID
		b.ReportAllocs()
		for b.Loop() {
			id.Seq++
			s.Add(&lim, id, pairs)
		}
	})
	var r StreamRange
	var f, v object.Text
	b.Run("range of 10", func(b *testing.B) {
		b.ReportAllocs()
		i := uint64(0)
		for b.Loop() {
			i = i*2862933555777941757 + 3037000493
			from := stream.ID{Ms: 1_700_000_000_000 + i>>20%(entries/10)}
			n := 0
			for s.Range(&r, from, stream.MaxID(), false); n < 10 && r.Next(); n++ {
				for range r.Pairs {
					r.Pair(&f, &v)
				}
			}
		}
	})
	b.Run("deliver and acknowledge", func(b *testing.B) {
		s.CreateGroup([]byte("group"), stream.ID{}, 0)
		b.ReportAllocs()
		id := stream.ID{}
		for b.Loop() {
			var g StreamGroup
			var c StreamConsumer
			s.Group(&g, []byte("group"))
			if !s.Consumer(&g, &c, []byte("consumer")) {
				s.CreateConsumer(&g, &c, []byte("consumer"), 1)
			}
			s.Seen(&c, 2)
			next, _ := g.LastID.Next()
			s.Range(&r, next, stream.MaxID(), false)
			if !r.Next() {
				s.SetGroup(&g, stream.ID{}, 0)
				continue
			}
			id = r.ID
			s.SetPending(&g, &StreamPending{ID: id, DeliveredMs: 1, Deliveries: 1, Consumer: c.Number})
			s.SetGroup(&g, id, g.EntriesRead+1)
			s.Ack(&g, id)
		}
	})
	b.ReportMetric(float64(set.Shards[0].arena.UsedBytes())/float64(s.Info().Length), "B/entry")
}
