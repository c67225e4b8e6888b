package snapshot

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"fulmen/persist/vfs"
	"fulmen/shard"
)

// cpu is the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoad loads 3 M keys of 16 bytes with random values of 64 from eight LZ4 segments, or from a plain file.
func BenchmarkLoad(b *testing.B) {
	const keys = 3_000_000
	for _, c := range []struct {
		name          string
		segments, lz4 bool
		shards        int
	}{{"lz4 segments", true, true, 8}, {"lz4 segments into 5 shards", true, true, 5},
		{"segments", true, false, 8}, {"plain", false, false, 8}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			writeStrings(b, dir, keys, c.segments, c.lz4)
			for b.Loop() {
				set := newSet(b, c.shards, 16)
				src, err := Find(vfs.OS{}, dir, "dump.rdb")
				if err != nil {
					b.Fatal(err)
				}
				z := set.Seize()
				var p LoadProgress
				began, beganCPU := time.Now(), cpu(b)
				if _, err := Load(vfs.OS{}, src, z, LoadOptions{}, &p); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(cpu(b)-beganCPU)/keys, "cpu-ns/key")
				b.ReportMetric(keys/1e6/time.Since(began).Seconds(), "Mkeys/s")
				z.Release(&shard.Worker{})
			}
		})
	}
}

// commitRaw writes segments, with so many keys each, and commits them.
func commitRaw(t testing.TB, files *Files, raw []*rawFile, counts []int64) {
	t.Helper()
	for i := range raw {
		w, err := files.Open(i)
		if err == nil {
			_, err = w.Write(raw[i].end())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Commit(counts); err != nil {
		t.Fatal(err)
	}
}

// writeStrings writes a snapshot of strings by 8 shards.
func writeStrings(t testing.TB, dir string, keys int, segments, lz4 bool) {
	t.Helper()
	set := newSet(t, 8, 1)
	shards := 8
	if !segments {
		shards = 1
	}
	files, err := BeginFiles(FileOptions{
		FS: vfs.OS{}, Dir: dir, DBFilename: "dump.rdb", Segments: segments, LZ4: lz4,
	}, FileMeta{LSN: 1, CreatedMs: 1, Shards: shards, Databases: 16})
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]*rawFile, shards)
	counts := make([]int64, shards)
	for i := range raw {
		raw[i] = newRawFile(10).bytes(254, 0)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var value [64]byte
	for i := range keys {
		key := fmt.Sprintf("key:%012d", i)
		for at := 0; at < 64; at += 8 {
			binary.LittleEndian.PutUint64(value[at:], rnd.Uint64())
		}
		to := 0
		if segments {
			to = set.ShardOf([]byte(key))
		}
		raw[to].set(key, string(value[:]))
		counts[to]++
	}
	commitRaw(t, files, raw, counts)
}
