package aof

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/persist/vfs/vfstest"
)

const (
	testDir  = "/d"
	testName = "appendonly.aof"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a Writer that a test drives itself, turn by turn, on a disk in memory.
type world struct {
	t        testing.TB
	fs       vfs.FS
	log      *log.Log
	clock    *clock.Fake
	w        *Writer
	manifest *Manifest
	shards   []*log.ShardLog
	sets     int
	early    bool // the manifest names files before they are made
}

// newWorld makes the directory, the first files and a manifest that names them. The Writer is started, but its
// goroutine is not.
func newWorld(t testing.TB, fsys vfs.FS, shards int, policy Policy, early bool) (*world, error) {
	x := &world{t: t, fs: fsys, log: log.New(shards, log.Limits{}), clock: clock.NewFake(1_700_000_000_000)}
	x.log.SetIncarnation(7)
	x.log.SetLSN(1000)
	for i := range shards {
		x.shards = append(x.shards, x.log.Shard(i))
	}
	x.manifest = &Manifest{
		DirID: 0xabc, Databases: 16, Shards: shards, ReplID: strings.Repeat("a", 40),
		Incarnations: []Incarnation{{Number: 7, StartLSN: 1000}},
	}
	x.w = Open(Options{
		FS: fsys, Dir: testDir, Name: testName, Log: x.log, DirID: 0xabc, Incarnation: 7, Policy: policy,
		Clock: x.clock,
	})
	x.w.inPlace = true
	x.w.zeroBytes = make([]byte, 1000) // 256 KiB would take most of a test's time
	x.early = early
	if err := x.prepare(); err != nil {
		return x, err
	}
	h := x.log.Resume()
	defer h.Close()
	return x, x.w.start(h)
}

// prepare makes new files and has the manifest name them.
func (x *world) prepare() error {
	seq := x.manifest.NextSeq()
	if !x.early {
		if err := x.w.Prepare(seq); err != nil {
			return err
		}
	}
	m := x.manifest.Clone()
	m.Add(IncrFiles(m.Shards, seq, 7, x.log.Contiguous(), x.clock.NowMs())...)
	if err := m.Commit(x.fs, testDir, testName); err != nil {
		return err
	}
	x.manifest = m
	if x.early {
		return x.w.Prepare(seq)
	}
	return nil
}

// set commits a SET of a value of n bytes in shards.
func (x *world) set(n int, shards ...int) {
	x.sets++
	var held []*log.ShardLog
	for _, i := range shards {
		x.shards[i].Stage(0, []byte("SET"), []byte(fmt.Sprint("key:", x.sets)), []byte(strings.Repeat("v", n)))
		held = append(held, x.shards[i])
	}
	x.log.Commit(held, true)
}

// change switches to the prepared files, now.
func (x *world) change() {
	h := x.log.Attach()
	x.w.Switch(h)
	h.Close()
}

// turns has the Writer do what is due, until there is nothing.
func (x *world) turns() {
	for range 100 {
		if x.w.turn() != 0 {
			return
		}
	}
	x.t.Fatal("the Writer doesn't come to rest")
}

// frames reads all frames of the files that the manifest names, by shard, and the tails of the files. A hole between
// files of a shard is an error, and so is what IncrReader finds.
func frames(fsys vfs.FS, m *Manifest) (all [][]log.Header, tails []Tail, err error) {
	all = make([][]log.Header, m.Shards)
	next := make([]uint64, m.Shards)
	for _, f := range m.Live(Incr) {
		r, err := OpenIncr(fsys, f.Path(testDir, testName))
		if err == ErrNoHeader {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if next[f.Shard] != r.Header.Pos && len(all[f.Shard]) > 0 {
			break
		}
		for {
			frame, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, nil, err
			}
			all[f.Shard] = append(all[f.Shard], frame.Header)
		}
		next[f.Shard] = r.Pos()
		tails = append(tails, r.Tail())
		if err := r.Close(); err != nil {
			return nil, nil, err
		}
	}
	return all, tails, nil
}

func newDisk(t testing.TB) *vfstest.Mem {
	m := vfstest.NewMem()
	must(t, m.MkdirAll(testDir, 0o755))
	must(t, m.SyncDir("/"))
	return m
}
