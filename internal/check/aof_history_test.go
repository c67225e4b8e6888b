package check

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"fulmen/persist/aof"
	"fulmen/persist/lines"
	"fulmen/persist/vfs"
)

// rewritten makes a BASE of all there is, from a time on, and history of what was before.
func (x *aofWorld) rewritten(sec int64) {
	x.t.Helper()
	x.restart()
	life, seq := x.manifest.Last(), x.manifest.NextSeq()-1
	do(x.t, x.redis, "SAVE")
	data, err := os.ReadFile(filepath.Join(x.redisDir, "dump.rdb"))
	fatal(x.t, err)
	keys := int64(0)
	for _, db := range []string{"0", "9"} {
		do(x.t, x.redis, "SELECT", db)
		v, err := x.redis.Do("DBSIZE")
		fatal(x.t, err)
		keys += v.Int
	}
	base := aof.File{
		Kind: aof.Base, Shard: aof.AllShards, Seq: seq, Incarnation: life.Number, LSN: life.StartLSN,
		Format: aof.FormatRDB, SizeBytes: int64(len(data)), CRC64: lines.Sum(0, data), Keys: keys,
		CreatedMs: sec * 1000,
	}
	fatal(x.t, os.WriteFile(base.Path(x.dir, "a.aof"), data, 0o600))
	m := x.manifest.Clone()
	for i := range m.Files {
		m.Files[i].History = m.Files[i].Seq < seq
	}
	m.Add(base)
	fatal(x.t, m.Commit(vfs.OS{}, x.dir, "a.aof"))
	x.manifest = m
}

// TestAOFHistory takes the data back to moments of before the last rewrites, as long as there is history of them.
func TestAOFHistory(t *testing.T) {
	const second = int64(1_700_000_000)
	rnd := rand.New(rand.NewPCG(10, 1))
	x := newAOFWorld(t, 0)
	var ends []uint64
	for i := range int64(3) {
		if i > 0 {
			x.rewritten(second + 10*i)
		}
		x.log.SetTime(second + 10*i)
		x.change(rnd, 10)
		ends = append(ends, x.log.LSN())
		x.log.SetTime(second + 10*i + 5)
		x.change(rnd, 10)
	}
	x.close(true)
	whole := x.dir
	for i, end := range ends {
		x.dir = whole
		if got := x.converted("--until-lsn", fmt.Sprint(end)); got != x.digests[end] {
			t.Errorf("until %d: digest %s, want %s", end, got, x.digests[end])
		}
		for _, to := range [][]string{
			{"--lsn", fmt.Sprint(end)}, {"--time", fmt.Sprint(second + 10*int64(i) + 4)},
		} {
			x.dir = t.TempDir()
			fatal(t, os.CopyFS(x.dir, os.DirFS(whole)))
			expect(t, 0, []string{fmt.Sprintf("ends at LSN %d", end)}, "truncate", x.dir, to[0], to[1])
			expect(t, 0, nil, "verify", x.dir)
			if got := x.converted(); got != x.digests[end] {
				t.Errorf("%s: digest %s, want %s", to, got, x.digests[end])
			}
			if got := x.loads().EndLSN; got != end {
				t.Errorf("%s: a start comes to LSN %d, want %d", to, got, end)
			}
		}
	}
	x.dir = whole
	expect(t, 2, []string{"no way back"}, "truncate", x.dir, "--lsn", "499")

	m := x.manifest.Clone() // the oldest history has been let go of
	m.End(x.log.LSN())
	for len(m.Files) > 0 && m.Files[0].Seq < 3 {
		m.Files = m.Files[1:]
	}
	for len(m.Incarnations) > 1 && m.Incarnations[0].Number < m.Files[0].Incarnation {
		m.Incarnations = m.Incarnations[1:]
	}
	fatal(t, m.Commit(vfs.OS{}, x.dir, "a.aof"))
	expect(t, 2, []string{"no way back", "aof-history-retain-seconds"}, "truncate", x.dir, "--lsn", fmt.Sprint(ends[0]))
	if got := x.converted("--until-lsn", fmt.Sprint(ends[1])); got != x.digests[ends[1]] {
		t.Errorf("until %d: digest %s, want %s", ends[1], got, x.digests[ends[1]])
	}
}

// TestAsOf: what history a manifest has to have.
func TestAsOf(t *testing.T) {
	manifest := func(number uint32, seq, lsn uint64) *aof.Manifest {
		m := &aof.Manifest{Shards: 1, Incarnations: []aof.Incarnation{{Number: number}}}
		m.Add(
			aof.File{Kind: aof.Incr, Seq: seq, Incarnation: number, LSN: lsn, History: true},
			aof.File{Kind: aof.Base, Seq: seq + 1, Incarnation: number, LSN: 100},
			aof.File{Kind: aof.Incr, Seq: seq + 1, Incarnation: number, LSN: 100},
		)
		return m
	}
	at := func(lsn uint64) func(*aof.File) bool {
		return func(base *aof.File) bool { return base.LSN <= lsn }
	}
	whole := manifest(1, 1, 0)
	if m := asOf(whole, at(100)); m != whole {
		t.Errorf("not before the BASE: %+v", m)
	}
	if m := asOf(whole, at(99)); m == nil || len(m.Live(aof.Base)) != 0 || len(m.Live(aof.Incr)) != 2 ||
		len(m.Files) != 2 {
		t.Errorf("before the BASE, from the beginning on: %+v", m)
	}
	for what, m := range map[string]*aof.Manifest{
		"another life": manifest(2, 1, 0), "a later number": manifest(1, 2, 0), "a later LSN": manifest(1, 1, 5),
	} {
		if m := asOf(m, at(99)); m != nil {
			t.Errorf("%s was taken for the beginning: %+v", what, m)
		}
	}
}
