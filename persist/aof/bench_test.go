package aof

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// benchWriter starts a Writer in a temporary directory; TMPDIR says on which disk.
func benchWriter(b *testing.B, fsys vfs.FS, shards int, policy Policy, notify func()) (*Writer, *log.Log) {
	dir := b.TempDir()
	l := log.New(shards, log.Limits{MemoryBytes: 1 << 30})
	l.SetIncarnation(1)
	w := Open(Options{
		FS: fsys, Dir: dir, Name: testName, Log: l, Incarnation: 1, Policy: policy, Clock: clock.New(), Notify: notify,
	})
	must(b, w.Prepare(1))
	h := l.Resume()
	must(b, w.Start(h))
	h.Close()
	return w, l
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// variant is the system with another Syncer.
type variant struct {
	vfs.OS
	syncer func() vfs.Syncer
}

func (v variant) NewSyncer() vfs.Syncer {
	if v.syncer == nil {
		return v.OS.NewSyncer()
	}
	return v.syncer()
}

// BenchmarkGroupCommit has clients that each wait for their commit to be synced before they make the next.
func BenchmarkGroupCommit(b *testing.B) {
	for _, clients := range []int{1, 4, 50, 200} {
		for _, how := range []string{"aio", "aio-zeros", "one-by-one"} {
			b.Run(fmt.Sprintf("%s/clients-%d", how, clients), func(b *testing.B) { groupCommit(b, how, clients) })
		}
	}
}

func groupCommit(b *testing.B, how string, clients int) {
	fsys := variant{}
	if how == "one-by-one" {
		fsys.syncer = func() vfs.Syncer { return vfs.OneByOne{} }
	}
	const shards = 8
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	var w *Writer
	var l *log.Log
	w, l = benchWriter(b, fsys, shards, Always, func() {
		mu.Lock()
		cond.Broadcast()
		mu.Unlock()
	})
	if how != "aio-zeros" {
		w.noZeros.Store(true)
	}
	batons := make([]sync.Mutex, shards)
	value := []byte(strings.Repeat("v", 64))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	before := cpuTime()
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			key := []byte(fmt.Sprintf("key:%012d", c))
			for i := c; left.Add(-1) >= 0; i++ {
				s := i * 7 % shards
				batons[s].Lock()
				l.Shard(s).Stage(0, []byte("SET"), key, value)
				lsn := l.Shard(s).Commit(false)
				batons[s].Unlock()
				mu.Lock()
				for w.SyncedLSN() < lsn {
					cond.Wait()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(w.Stats().Syncs)/b.Elapsed().Seconds(), "rounds/s")
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	must(b, w.Close())
}

// BenchmarkEverySec commits as fast as one goroutine can, with and without a Writer behind.
func BenchmarkEverySec(b *testing.B) {
	for _, how := range []string{"nobody reads", "everysec", "everysec prompt", "always"} {
		b.Run(strings.ReplaceAll(how, " ", "-"), func(b *testing.B) {
			policy := EverySec
			if how == "always" {
				policy = Always
			}
			const shards = 8
			var l *log.Log
			var closeAll func()
			if how == "nobody reads" {
				l = log.New(shards, log.Limits{MemoryBytes: 1 << 30})
				h := l.Attach()
				h.Unpin()
				closeAll = h.Close
			} else {
				var w *Writer
				w, l = benchWriter(b, vfs.OS{}, shards, policy, nil)
				w.SetPrompt(how == "everysec prompt")
				closeAll = func() { must(b, w.Close()) }
			}
			value := []byte(strings.Repeat("v", 64))
			key := []byte("key:000000000000")
			from := l.LSN()
			before := cpuTime()
			b.ResetTimer()
			for i := range b.N {
				s := l.Shard(i % shards)
				s.Stage(0, []byte("SET"), key, value)
				s.Commit(false)
				if i%1000 == 0 {
					for l.OverLimit() {
						runtime.Gosched()
					}
				}
			}
			closeAll()
			b.StopTimer()
			used := cpuTime() - before
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
			b.SetBytes(int64(l.LSN()-from) / int64(b.N))
			b.ReportMetric(float64(used.Nanoseconds())/float64(l.LSN()-from), "cpu-ns/byte")
		})
	}
}
