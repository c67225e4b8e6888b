package log

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

const testDirID = 0x0123456789abcdef

func ringIdentity(shards int) RingIdentity {
	return RingIdentity{Boot: [16]byte{1, 2, 3}, DirID: testDirID, Incarnation: 7, Shards: shards}
}

// memRing makes a ring in a file system in memory of its own.
func memRing(t testing.TB, shards, blocks int) (*vfstest.Mem, *Ring) {
	t.Helper()
	m := vfstest.NewMem()
	if err := m.MountMemory("/shm"); err != nil {
		t.Fatal(err)
	}
	options := RingOptions{FS: m, Dir: "/shm", SizeBytes: int64(blocks) << 20, Identity: ringIdentity(shards)}
	r, err := CreateRing(options)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// ringLog is a log that lies in a ring, and what was published in it.
type ringLog struct {
	*Log
	hold   *Hold
	flows  []*FlowReader
	frames []ringFrames // of each shard
	bigIn  int          // one record in so many is big
}

type ringFrames struct {
	bytes []byte // from position 0 on
}

func newRingLog(t testing.TB, r *Ring, shards int) *ringLog {
	t.Helper()
	l := New(shards, Limits{MemoryBytes: 1 << 30})
	l.SetIncarnation(7)
	l.UseRing(r)
	rl := &ringLog{Log: l, hold: l.Attach(), frames: make([]ringFrames, shards), bigIn: 50}
	for i := range shards {
		f, err := rl.hold.Flow(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		rl.flows = append(rl.flows, f)
	}
	return rl
}

// note reads what was published since, as any reader does.
func (rl *ringLog) note() {
	for i, f := range rl.flows {
		for frame, ok := f.Next(); ok; frame, ok = f.Next() {
			rl.frames[i].bytes = frame.Append(rl.frames[i].bytes)
		}
	}
}

// commitRandom makes a commit on one to four shards, of records of mostly few bytes.
func (rl *ringLog) commitRandom(random *rand.Rand) uint64 {
	var held []*ShardLog
	want := 1 + random.IntN(min(4, rl.Shards()))
	for i := range rl.Shards() {
		if random.IntN(rl.Shards()-i) < want {
			held = append(held, rl.Shard(i))
			want--
		}
	}
	for _, s := range held {
		for range 1 + random.IntN(3) {
			size := random.IntN(200)
			if random.IntN(rl.bigIn) == 0 {
				size = random.IntN(3 << 19)
			}
			s.Stage(random.IntN(2), []byte("SET"), fmt.Appendf(nil, "k%d", random.IntN(1000)), make([]byte, size))
		}
	}
	return rl.Commit(held, true)
}

// check compares a ring's content with what was published, from what the readers of files have on.
func (rl *ringLog) check(c *RingContent, filed []uint64) error {
	for i := range c.Shards {
		s, want := &c.Shards[i], rl.frames[i].bytes
		if s.Tail != uint64(len(want)) {
			return fmt.Errorf("shard %d: the ring's tail is %d, published is %d", i, s.Tail, len(want))
		}
		data, ok := s.From(filed[i])
		if !ok || !bytes.Equal(data, want[filed[i]:]) {
			return fmt.Errorf("shard %d: the ring has %d bytes from %d on, %v, published are %d",
				i, len(data), filed[i], ok, len(want)-int(filed[i]))
		}
	}
	return nil
}

func TestRingHoldsWhatWasPublished(t *testing.T) {
	for _, shards := range []int{1, 3, 8} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			m, r := memRing(t, shards, 24)
			rl := newRingLog(t, r, shards)
			rl.hold.Unpin()
			random := rand.New(rand.NewPCG(1, uint64(shards)))
			filed := make([]uint64, shards)
			for round := range 20 / share {
				for range 12 {
					rl.commitRandom(random)
				}
				if !rl.AllSafe() || rl.SafeLSN() != rl.LSN() {
					t.Fatalf("round %d: safe up to %d of %d", round, rl.SafeLSN(), rl.LSN())
				}
				for i := range rl.flows { // the files have what was read before, blocks of that may be gone
					filed[i] = rl.flows[i].Pos()
				}
				// staged and unpublished bytes are none of the ring's business
				rl.Shard(0).Stage(0, []byte("SET"), []byte("staged"), make([]byte, 2<<20))
				c, err := ReadRing(m.Kill(), r.Name(), ringIdentity(shards))
				if err != nil {
					t.Fatal(err)
				}
				rl.Shard(0).rewind()
				rl.note()
				if err := rl.check(c, filed); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
		})
	}
}

func TestRingOfTheSystem(t *testing.T) {
	dir := need.MemoryDir(t)
	id := ringIdentity(2)
	var err error
	if id.Boot, err = BootID(vfs.OS{}); err != nil {
		t.Fatal(err)
	}
	options := RingOptions{FS: vfs.OS{}, Dir: dir, SizeBytes: 8 << 20, Identity: id}
	r, err := CreateRing(options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRing(vfs.OS{}, r.Name(), id); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a ring in use: %v", err)
	}
	if _, err := CreateRing(options); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second ring: %v", err)
	}
	rl := newRingLog(t, r, 2)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rl.commitRandom(random)
	}
	rl.note()
	data, err := os.ReadFile(r.Name())
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadRing(vfs.OS{}, copied, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := rl.check(c, []uint64{0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRing(vfs.OS{}, r.Name(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("after a clean stop: %v", err)
	}
	rl.commitRandom(random) // the log goes on, in memory that is nobody's business any more
}
