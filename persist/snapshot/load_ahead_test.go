package snapshot

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"fulmen/persist/vfs"
	"fulmen/shard"
)

// resize promises a number of keys for the database that was selected.
func (f *rawFile) resize(keys uint64) *rawFile {
	f.b = binary.BigEndian.AppendUint64(append(f.b, 251, 0x81), keys)
	return f.bytes(0)
}

// used is the memory that a set's shards use.
func used(set *shard.Set) (n int64) {
	for _, s := range set.Shards {
		n += s.UsedBytes()
	}
	return n
}

// TestLoadBelievesNoPromise: what files say of the numbers of their keys takes no more memory than their length allows,
// however often they say it, and is forgotten if it isn't true.
func TestLoadBelievesNoPromise(t *testing.T) {
	for _, promise := range []uint64{0, 1, 5000, 1 << 31, 1 << 62, math.MaxUint64} {
		f := newRawFile(10)
		for db := range byte(16) {
			f.bytes(254, db).resize(promise).resize(promise)
			f.set(fmt.Sprint("key", db), strings.Repeat("v", 2000))
		}
		length := int64(len(f.b))
		set := newSet(t, 4, 16)
		empty := used(set)
		l := loadRaw(t, set, LoadOptions{}, true, f)
		if l.err != nil || l.keys() != 16 {
			t.Fatalf("promise %d: %d keys: %v", promise, l.keys(), l.err)
		}
		// Segments for single keys, in steps of their size, besides what was promised.
		if n := used(set) - empty; n > length*2+16*3000 {
			t.Fatalf("promise %d: %d bytes in use for a file of %d", promise, n, length)
		}
	}
}

// TestLoadExpects: indexes have their size before the keys come, in the shards where these belong, whatever number of
// files they come from; with promises that are wrong everything is loaded all the same.
func TestLoadExpects(t *testing.T) {
	const keys = 40_000
	for _, c := range []struct{ files, shards int }{{1, 1}, {1, 4}, {3, 3}, {4, 2}, {2, 5}} {
		for _, promise := range []float64{0, 0.01, 1, 3} {
			dir := t.TempDir()
			from := newSet(t, c.files, 1)
			raw := make([]*rawFile, c.files)
			counts := make([]int64, c.files)
			for i := range raw {
				raw[i] = newRawFile(10).bytes(254, 0).resize(uint64(promise * float64(keys/c.files)))
			}
			for i := range keys {
				key := fmt.Sprintf("key:%012d", i)
				to := from.ShardOf([]byte(key))
				raw[to].set(key, strings.Repeat("v", 20))
				counts[to]++
			}
			writeRaw(t, dir, raw, counts)
			set := newSet(t, c.shards, 2)
			l := load(t, set, LoadOptions{}, dir)
			if l.err != nil || l.keys() != keys {
				t.Fatalf("%+v, promise %v: %d keys: %v", c, promise, l.keys(), l.err)
			}
			for i, s := range set.Shards {
				x := s.DB(0).Index()
				if err := x.Check(); err != nil {
					t.Fatalf("%+v, promise %v: %v", c, promise, err)
				}
				bytes := float64(x.SizeBytes()) / float64(x.Len())
				if most := 10.5 * max(promise, 1); bytes > most || promise > 1 && bytes < 8*promise {
					t.Errorf("%+v, promise %v, shard %d: %.1f bytes of index a key", c, promise, i, bytes)
				}
			}
		}
	}
}

// writeRaw writes segments, or a plain file if it is one.
func writeRaw(t *testing.T, dir string, raw []*rawFile, counts []int64) {
	t.Helper()
	if len(raw) == 1 {
		if err := os.WriteFile(dir+"/dump.rdb", raw[0].end(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	files, err := BeginFiles(FileOptions{FS: vfs.OS{}, Dir: dir, DBFilename: "dump.rdb", Segments: true}, FileMeta{
		LSN: 1, CreatedMs: 1, Shards: len(raw), Databases: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	commitRaw(t, files, raw, counts)
}
