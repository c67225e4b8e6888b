package snapshot

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/shard"
	"fulmen/shard/arena"
)

// newBenchSet returns shards with so many keys in the first of 16 databases, and some in every other one.
func newBenchSet(b testing.TB, shards, keys, valueBytes int) *shard.Set {
	b.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := space.Close(); err != nil {
			b.Error(err)
		}
	})
	set, err := shard.NewSet(shard.Options{
		Shards: shards, Databases: 16, Space: space, Log: log.New(shards, log.Limits{}), Clock: clock.New(),
		Bell: noBell{},
	})
	if err != nil {
		b.Fatal(err)
	}
	val := make([]byte, valueBytes)
	put := func(db, i int) {
		k := set.Key(fmt.Appendf(nil, "key:%012d", i))
		set.Shards[set.ShardOf(k.Bytes)].DB(db).SetString(k, val, 0)
	}
	for i := range keys {
		put(0, i)
	}
	for db := range 16 {
		for i := range 100 {
			put(db, i)
		}
	}
	return set
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) Begin(*Cut) (Form, error)    { return Form{}, nil }
func (discard) Open(int) (io.Writer, error) { return io.Discard, nil }
func (discard) Commit([]int64) error        { return nil }
func (discard) Abort(error)                 {}

// BenchmarkWalk measures what a walk costs under batons, an entry: ns/entry is the processor time spent in Step, and
// ns/saved the time of the whole save.
func BenchmarkWalk(b *testing.B) {
	for _, bytes := range []int{16, 64, 1000} {
		b.Run(fmt.Sprintf("%d bytes", bytes), func(b *testing.B) {
			const keys = 1_000_000
			set := newBenchSet(b, 8, keys, bytes)
			sv := NewSaver(Options{Set: set})
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			held, n, all := int64(0), int64(0), time.Duration(0)
			for b.Loop() {
				began := time.Now()
				v, err := sv.Begin(Request{Sinks: []Sink{discard{}}})
				if err != nil {
					b.Fatal(err)
				}
				for sv.Running() != nil {
					for _, s := range set.Shards {
						at := clock.ThreadCPU()
						sv.Step(s, set.Clock.NowNs()+100_000)
						held += clock.ThreadCPU() - at
					}
					select {
					case <-v.room:
					case <-v.done:
					default:
					}
				}
				r := v.Wait()
				all += time.Since(began)
				if n += r.Saved; r.Err != nil {
					b.Fatal(r.Err)
				}
			}
			b.ReportMetric(float64(held)/float64(n), "ns/entry")
			b.ReportMetric(float64(all.Nanoseconds())/float64(n), "ns/saved")
		})
	}
}

// BenchmarkCut measures the cut of 8 shards with 16 databases each; the percentiles are those of all rounds.
func BenchmarkCut(b *testing.B) {
	set := newBenchSet(b, 8, 100_000, 64)
	sv := NewSaver(Options{Set: set})
	var cuts []int64
	for b.Loop() {
		v, err := sv.Begin(Request{Sinks: []Sink{discard{}}})
		if err != nil {
			b.Fatal(err)
		}
		cuts = append(cuts, v.cutNs)
		v.Cancel()
		v.RunHeld()
	}
	slices.Sort(cuts)
	b.ReportMetric(float64(cuts[len(cuts)/2]), "ns-p50")
	b.ReportMetric(float64(cuts[len(cuts)*99/100]), "ns-p99")
}
