package replica

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// keptLog is a log whose files are written, and rewritten, while it grows.
type keptLog struct {
	t     *testing.T
	log   *log.Log
	w     *aof.Writer
	files *aof.Rewriter

	granted atomic.Uint64 // the log is not to grow beyond: each opening grants some more
	batons  sync.RWMutex  // for writing: all
	commit  []sync.Mutex  // of each shard
}

const keptShards = 3

func newKeptLog(t *testing.T, backlogBytes int64) *keptLog {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fulmen-test-") // where syncs cost nothing
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the test is over
	k := &keptLog{
		t: t, log: log.New(keptShards, log.Limits{BacklogBytes: backlogBytes}), commit: make([]sync.Mutex, keptShards),
	}
	k.granted.Store(4 << 20)
	k.log.SetIncarnation(1)
	m := &aof.Manifest{
		DirID: 1, Databases: 16, Shards: keptShards, ReplID: strings.Repeat("a", 40),
		Incarnations: []aof.Incarnation{{Number: 1}},
	}
	m.Add(aof.IncrFiles(keptShards, 1, 1, 0, 0)...)
	index := aof.NewIndex()
	k.w = aof.Open(aof.Options{
		FS: vfs.OS{}, Dir: dir, Name: "a", Log: k.log, DirID: 1, Incarnation: 1, Clock: clock.New(), Index: index,
	})
	k.must(k.w.Prepare(1))
	k.must(m.Commit(vfs.OS{}, dir, "a"))
	k.files = aof.NewRewriter(aof.RewriterOptions{
		FS: vfs.OS{}, Dir: dir, Name: "a", Index: index, Retain: aof.Retain{Bytes: 8 << 20},
	}, m)
	h := k.log.Resume()
	k.must(k.w.Start(h))
	h.Close()
	t.Cleanup(func() { k.must(k.w.Close()) })
	return k
}

func (k *keptLog) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Error(err)
	}
}

// Take implements Archive.
func (k *keptLog) Take(*log.MergedReader) (ArchiveReader, error) { return nil, ErrNoSpool }

// Open implements Archive.
func (k *keptLog) Open(lsn uint64) (ArchiveReader, error) {
	r, err := k.files.OpenStream(k.w, lsn)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// set commits a value in one shard, or in all.
func (k *keptLog) set(rnd *rand.Rand, shard int) {
	k.batons.RLock()
	defer k.batons.RUnlock()
	held := []*log.ShardLog{k.log.Shard(shard)}
	from, to := shard, shard+1
	if rnd.IntN(10) == 0 {
		held, from, to = nil, 0, keptShards
		for i := range keptShards {
			held = append(held, k.log.Shard(i))
		}
	}
	for i := from; i < to; i++ {
		k.commit[i].Lock()
		defer k.commit[i].Unlock()
	}
	for _, s := range held {
		s.Stage(0, []byte("SET"), []byte("key"), bytes.Repeat([]byte{byte('a' + rnd.IntN(26))}, rnd.IntN(2000)))
	}
	k.log.Commit(held, true)
}

// rewrite makes a rewrite, as far as it concerns the log.
func (k *keptLog) rewrite() {
	for k.files.Prepare(k.w, 1) == aof.ErrBusy {
		time.Sleep(time.Millisecond)
	}
	k.batons.Lock()
	h := k.log.Attach()
	k.must(k.files.Cut(h, k.log.LSN(), 1, func(*aof.Manifest) {}))
	h.Close()
	k.batons.Unlock()
	k.must(k.files.Install(make([]aof.BaseFile, keptShards)))
}

// stretchRead is what was read from a position on.
type stretchRead struct {
	lsn uint64
	got []byte
}

// hammer has readers open and read while there are commits, rewrites and trims, until so many have gone over from disk
// to memory, and returns the first thing that is not as it should be.
func hammer(t *testing.T, plant meetPlant, overs int64) error {
	k := newKeptLog(t, 64<<10)
	// The oracle keeps everything.
	all, err := k.log.Merged(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	stream := LogStream{Log: k.log, Archive: k}

	var writers, others sync.WaitGroup
	var over atomic.Bool
	var went atomic.Int64
	for shard := range keptShards {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(shard)))
			for went.Load() < overs {
				if k.log.LSN() > k.granted.Load() {
					time.Sleep(100 * time.Microsecond) // else a reader that gets no processor never catches up
					continue
				}
				k.set(rnd, shard)
			}
		})
	}
	others.Go(func() {
		for !over.Load() {
			k.rewrite()
			k.log.Trim()
		}
	})
	reads := make([][]stretchRead, 4)
	for i := range reads {
		others.Go(func() {
			rnd := rand.New(rand.NewPCG(2, uint64(i)))
			for last := false; !last; {
				last = over.Load()
				reads[i] = append(reads[i], readOne(k, stream, rnd, plant, &went))
			}
		})
	}
	writers.Wait()
	over.Store(true)
	others.Wait()
	want := all.Append(nil, 1<<30)
	for _, list := range reads {
		for _, r := range list {
			if !bytes.HasPrefix(want[r.lsn:], r.got) {
				return fmt.Errorf("%d bytes from %d on are not the stream's", len(r.got), r.lsn)
			}
		}
	}
	return nil
}

// readOne reads from somewhere on until it has got into memory, and some more.
func readOne(k *keptLog, stream LogStream, rnd *rand.Rand, plant meetPlant, went *atomic.Int64) (r stretchRead) {
	k.granted.Add(1 << 20)
	oldest := k.log.Oldest()
	r.lsn = max(k.files.StreamFrom(), oldest-min(oldest, rnd.Uint64N(1<<20)))
	src, err := stream.Open(r.lsn, func() {})
	if err != nil {
		return r // forgotten meanwhile
	}
	defer src.Close()
	s := src.(*logSource)
	s.plant = plant
	onDisk := s.disk != nil
	// Somebody sends it back to the disk now and then.
	var shedder sync.WaitGroup
	defer shedder.Wait()
	quit := make(chan struct{})
	defer close(quit)
	shedder.Go(func() {
		for range 3 {
			select {
			case <-quit:
				return
			case <-time.After(3 * time.Millisecond):
				src.Shed(k, 0)
			}
		}
	})
	for more := 40; more > 0; {
		n := len(r.got)
		if r.got, err = src.Append(r.got, 1+rnd.IntN(100_000)); err != nil {
			k.must(err)
			return r
		}
		if !src.OnDisk() {
			more--
		}
		if n == len(r.got) && src.Park() {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if onDisk {
		went.Add(1)
	}
	return r
}

// TestDiskMeetsMemory: whoever goes over from disk to memory misses nothing and gets nothing twice, whatever is
// written, rewritten and forgotten meanwhile.
func TestDiskMeetsMemory(t *testing.T) {
	const overs = 12
	if err := hammer(t, meetPlant{}, overs); err != nil {
		t.Error(err)
	}
	for _, plant := range []meetPlant{{late: true}, {early: true}} {
		if err := hammer(t, plant, overs); err == nil {
			t.Errorf("nobody notices %+v", plant)
		}
	}
}
