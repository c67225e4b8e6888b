package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/crc"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/shard"
	"fulmen/shard/arena"
	"fulmen/shard/object"
)

// newSet returns empty shards on a space of their own.
func newSet(t testing.TB, shards, databases int) *shard.Set {
	t.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	set, err := shard.NewSet(shard.Options{
		Shards: shards, Databases: databases, Space: space, Clock: clock.NewFake(1_700_000_000_000),
		Log: log.New(shards, log.Limits{}), Bell: noBell{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// rawFile puts an RDB file together by hand.
type rawFile struct{ b []byte }

func newRawFile(version int) *rawFile { return &rawFile{fmt.Appendf(nil, "REDIS%04d", version)} }

func (f *rawFile) bytes(b ...byte) *rawFile {
	f.b = append(f.b, b...)
	return f
}

func (f *rawFile) str(s string) *rawFile {
	if n := len(s); n < 1<<6 {
		f.b = append(f.b, byte(n))
	} else if n < 1<<14 {
		f.b = append(f.b, byte(n>>8)|0x40, byte(n))
	} else {
		f.b = binary.BigEndian.AppendUint32(append(f.b, 0x80), uint32(n))
	}
	f.b = append(f.b, s...)
	return f
}

func (f *rawFile) set(key, value string) *rawFile { return f.bytes(0).str(key).str(value) }

func (f *rawFile) end() []byte {
	f.bytes(255)
	return binary.LittleEndian.AppendUint64(f.b, crc.Sum64(f.b))
}

// expire makes the key that follows expire.
func (f *rawFile) expire(atMs int64) *rawFile {
	f.b = binary.LittleEndian.AppendUint64(append(f.b, 252), uint64(atMs))
	return f
}

// list is a key with a list of two items.
func (f *rawFile) list(key string) *rawFile {
	return f.bytes(1).str(key).bytes(2).str("one").str("two")
}

// loaded is what a load came to.
type loaded struct {
	set      *shard.Set
	result   LoadResult
	progress LoadProgress
	err      error
}

// loadRaw writes files, as the segments of a snapshot or, if it is one, as the plain file, and loads them.
func loadRaw(t testing.TB, set *shard.Set, o LoadOptions, plain bool, files ...*rawFile) *loaded {
	t.Helper()
	dir := t.TempDir()
	f, err := BeginFiles(FileOptions{FS: vfs.OS{}, Dir: dir, DBFilename: "dump.rdb", Segments: !plain},
		FileMeta{LSN: 1, CreatedMs: 1, Shards: len(files), Databases: 16})
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		w, err := f.Open(i)
		if err == nil {
			_, err = w.Write(files[i].end())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(make([]int64, len(files))); err != nil {
		t.Fatal(err)
	}
	return load(t, set, o, dir)
}

// load loads what is in a directory.
func load(t testing.TB, set *shard.Set, o LoadOptions, dir string) *loaded {
	t.Helper()
	src, err := Find(vfs.OS{}, dir, "dump.rdb")
	if err != nil {
		return &loaded{set: set, err: err}
	}
	z := set.Seize()
	defer z.Release(&shard.Worker{})
	l := &loaded{set: set}
	if o.Limits == nil {
		o.Limits = &shard.BuildLimits{}
	}
	l.result, l.err = Load(vfs.OS{}, src, z, o, &l.progress)
	return l
}

// get returns the string of a key.
func (l *loaded) get(db int, key string) (value string, atMs int64, ok bool) {
	k := l.set.Key([]byte(key))
	d := l.set.Shards[l.set.ShardOf(k.Bytes)].DB(db)
	e, ok := d.Look(k, 0)
	if !ok || d.Type(e) != object.String {
		return "", 0, ok
	}
	return string(d.AppendString(nil, e)), e.ExpireAt(), true
}

func (l *loaded) keys() (n int) {
	for _, s := range l.set.Shards {
		for id := range l.set.Databases() {
			n += s.DB(id).Len()
		}
	}
	return n
}

// TestLoad: from any number of segments, or a plain file, into any number of shards, by any number of goroutines.
func TestLoad(t *testing.T) {
	const keys = 3000
	for _, c := range []struct{ segments, shards, goroutines int }{
		{1, 1, 1}, {1, 8, 1}, {1, 8, 4}, {3, 8, 2}, {8, 8, 2}, {8, 3, 2}, {16, 1, 3}, {2, 5, 8},
	} {
		for _, plain := range []bool{false, true} {
			if plain && c.segments > 1 {
				continue
			}
			files := make([]*rawFile, c.segments)
			for i := range files {
				files[i] = newRawFile(10).bytes(254, 0)
			}
			value := func(i int) string { return strings.Repeat(fmt.Sprint(i, " "), i%400) }
			for i := range keys {
				f := files[i%c.segments]
				if i%7 == 0 {
					f.expire(1_800_000_000_000 + int64(i))
				}
				f.set(fmt.Sprint("key:", i), value(i))
				if i%100 == 0 {
					f.list(fmt.Sprint("list:", i))
				}
			}
			for _, f := range files {
				f.bytes(254, 9).set(fmt.Sprint("in another database ", &f), "v")
			}
			l := loadRaw(t, newSet(t, c.shards, 16), LoadOptions{Goroutines: c.goroutines}, plain, files...)
			want := keys + keys/100 + c.segments
			if l.err != nil || l.keys() != want || l.result.Keys != int64(want) {
				t.Fatalf("%+v: %d keys, said to be %d, want %d: %v", c, l.keys(), l.result.Keys, want, l.err)
			}
			for i := range keys {
				wantAt := int64(0)
				if i%7 == 0 {
					wantAt = 1_800_000_000_000 + int64(i)
				}
				if v, at, ok := l.get(0, fmt.Sprint("key:", i)); !ok || v != value(i) || at != wantAt {
					t.Fatalf("%+v: key:%d is there: %v, of %d bytes, expires at %d", c, i, ok, len(v), at)
				}
			}
			if read, total := l.progress.ReadBytes.Load(), l.progress.TotalBytes.Load(); read != total || total == 0 {
				t.Errorf("%+v: read %d of %d bytes", c, read, total)
			}
			for _, s := range l.set.Shards {
				if err := s.DB(0).Index().Check(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestLoadDropsExpiredKeys, but for a replica.
func TestLoadDropsExpiredKeys(t *testing.T) {
	const now = 1_700_000_000_000 // of newSet's clock
	for _, keep := range []bool{false, true} {
		l := loadRaw(t, newSet(t, 2, 1), LoadOptions{KeepExpired: keep}, true, newRawFile(10).bytes(254, 0).
			expire(now-1).set("past", "v").expire(now-1).list("past list").expire(now).set("now", "v").
			expire(now+1).set("soon", "v"))
		want := LoadResult{Keys: 2, Expired: 2}
		if keep {
			want = LoadResult{Keys: 4}
		}
		if l.err != nil || l.result.Keys != want.Keys || l.result.Expired != want.Expired ||
			l.keys() != int(want.Keys) {
			t.Errorf("keep %v: %d keys, %+v: %v", keep, l.keys(), l.result, l.err)
		}
	}
}

// TestLoadRefusesDuplicates: of strings and other values, within a file and over segments.
func TestLoadRefusesDuplicates(t *testing.T) {
	file := func() *rawFile { return newRawFile(10).bytes(254, 0) }
	long := strings.Repeat("long", 10_000)
	for name, files := range map[string][]*rawFile{
		"strings":            {file().set("k", "1").set("other", "2").set("k", "3")},
		"string, then list":  {file().set("k", "1").list("k")},
		"list, then string":  {file().list("k").set("k", "1")},
		"lists":              {file().list("k").list("k")},
		"long strings":       {file().set("k", long).set("k", long)},
		"over segments":      {file().set("k", "1"), file().set("k", "2")},
		"lists in segments":  {file().list("k"), file().list("k")},
		"after many strings": {many(file(), 1000).set("key:500", "v")},
	} {
		for _, goroutines := range []int{1, 2, 4} {
			l := loadRaw(t, newSet(t, 4, 1), LoadOptions{Goroutines: goroutines}, false, files...)
			var damage *rdb.CorruptError
			if !errors.As(l.err, &damage) || !strings.HasPrefix(damage.Reason, "RDB has duplicated key 'k") ||
				!strings.Contains(damage.Reason, "' in DB 0") || damage.Offset == 0 {
				t.Errorf("%s, %d goroutines: %v", name, goroutines, l.err)
			}
			for i := range files {
				files[i].b = files[i].b[:len(files[i].b)-1] // the opcode of the end
			}
		}
	}
}

// many adds short strings.
func many(f *rawFile, n int) *rawFile {
	for i := range n {
		f.set(fmt.Sprint("key:", i), "value")
	}
	return f
}

// TestLoadMerge: what is loaded takes the place of what is there; without Merge it is refused.
func TestLoadMerge(t *testing.T) {
	file := func() *rawFile {
		return newRawFile(10).bytes(254, 0).set("both", "new").set("new", "new").list("both lists").
			set("string over list", "new").list("list over string")
	}
	for _, merge := range []bool{false, true} {
		set := newSet(t, 3, 1)
		loadRaw(t, set, LoadOptions{}, true, newRawFile(10).bytes(254, 0).set("both", "old").set("old", "old").
			list("both lists").list("string over list").set("list over string", "old"))
		l := loadRaw(t, set, LoadOptions{Merge: merge}, true, file())
		if (l.err == nil) != merge {
			t.Fatalf("merge %v: %v", merge, l.err)
		}
		if !merge {
			continue
		}
		for key, want := range map[string]string{
			"both": "new", "new": "new", "old": "old", "string over list": "new", "list over string": "",
		} {
			if v, _, ok := l.get(0, key); !ok || v != want {
				t.Errorf("%s: %q, there: %v, want %q", key, v, ok, want)
			}
		}
		if l.keys() != 6 {
			t.Errorf("%d keys, want 6", l.keys())
		}
	}
}

func TestLoadRefusesDatabases(t *testing.T) {
	l := loadRaw(t, newSet(t, 2, 4), LoadOptions{}, true, newRawFile(10).bytes(254, 3).set("k", "v").
		bytes(254, 4).set("k", "v"))
	if l.err == nil || !strings.Contains(l.err.Error(), "FATAL: Data file was created with a Redis server configured "+
		"to handle more than 4 databases. Exiting") {
		t.Errorf("error %v", l.err)
	}
}

// TestLoadNamesValuesWithDuplicates: a member that a set has twice is damage, with file, place and key.
func TestLoadNamesValuesWithDuplicates(t *testing.T) {
	l := loadRaw(t, newSet(t, 2, 1), LoadOptions{}, true, newRawFile(10).bytes(254, 0).bytes(2).str("a set").bytes(2).
		str("m").str("m"))
	var damage *rdb.CorruptError
	if !errors.As(l.err, &damage) || damage.Offset != 11 || !strings.Contains(l.err.Error(), "'a set' in DB 0") {
		t.Errorf("error %v", l.err)
	}
}

// TestLoadTellsOfAll that is no key.
func TestLoadTellsOfAll(t *testing.T) {
	f := newRawFile(10).bytes(250).str("redis-ver").str("7.0.15").bytes(250).str("used-mem").str("12345").
		bytes(245).str("#!lua name=x").bytes(246).str("old").str("LUA").bytes(1).str("described").str("return").
		bytes(254, 0)
	f.bytes(15).str("a stream").bytes(0, 0, 0, 0, 0) // no entries, last ID 0-0, no groups
	f.set("k", "v")
	l := loadRaw(t, newSet(t, 2, 1), LoadOptions{}, true, f)
	if l.err != nil || l.keys() != 2 {
		t.Fatalf("%d keys: %v", l.keys(), l.err)
	}
	if n := l.result.Skipped; len(n) != 0 {
		t.Errorf("skipped %v", n)
	}
	if codes := l.result.Functions; len(codes) != 2 || string(codes[0]) != "#!lua name=x" ||
		string(codes[1]) != "#!LUA name=old\nreturn" {
		t.Errorf("functions %q", codes)
	}
	if l.result.Aux["redis-ver"] != "7.0.15" || l.progress.SavedMemory.Load() != 12345 {
		t.Errorf("aux %v", l.result.Aux)
	}
}

// TestLoadRestoresAccessClocks.
func TestLoadRestoresAccessClocks(t *testing.T) {
	for _, policy := range []shard.EvictionPolicy{shard.AllKeysLRU, shard.AllKeysLFU} {
		set := newSet(t, 1, 1)
		set.SetEviction(shard.EvictionParams{Policy: policy, Samples: 5, LFULogFactor: 10, LFUDecayMinutes: 1})
		l := loadRaw(t, set, LoadOptions{}, true, newRawFile(10).bytes(254, 0).bytes(248, 60).set("a", "v").
			bytes(248, 61).list("b").bytes(249, 70).set("c", "v").bytes(249, 71).list("d"))
		if l.err != nil {
			t.Fatal(l.err)
		}
		for key, want := range map[string][2]int64{"a": {60, 5}, "b": {61, 5}, "c": {0, 70}, "d": {0, 71}} {
			s := set.Shards[0]
			e, _ := s.DB(0).Look(set.Key([]byte(key)), 0)
			if policy == shard.AllKeysLRU && s.IdleSeconds(e) != want[0] ||
				policy == shard.AllKeysLFU && s.Frequency(e) != want[1] {
				t.Errorf("%v: %s: access clock %x", policy, key, e.Access())
			}
		}
	}
}

// empty removes all keys.
func empty(set *shard.Set) {
	for _, s := range set.Shards {
		for id := range set.Databases() {
			s.DB(id).Flush()
		}
		for !s.FreeSome(1000) {
		}
	}
}

// TestLoadNoticesDamage: every truncation and every flipped bit of a segment, and of the manifest.
func TestLoadNoticesDamage(t *testing.T) {
	dir := t.TempDir()
	writeStrings(t, dir, 3, true, true)
	set := newSet(t, 2, 16)
	for _, name := range []string{"dump.rdb.1.0", "dump.rdb.1.5", "dump.rdb.manifest"} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(good)*9; i += 2*share - 1 { // of all kinds: the step has no divisor of 9
			bad := append([]byte(nil), good...)
			if at, bit := i/9, i%9; bit == 8 {
				bad = bad[:at]
			} else {
				bad[at] ^= 1 << bit
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			l := load(t, set, LoadOptions{}, dir)
			empty(set)
			var damage *rdb.CorruptError
			if !errors.As(l.err, &damage) || damage.File != path && name != "dump.rdb.manifest" {
				t.Fatalf("%s, change %d: %v", name, i, l.err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if l := load(t, newSet(t, 2, 16), LoadOptions{}, dir); l.err != nil || l.keys() != 3 {
		t.Errorf("the good one: %d keys: %v", l.keys(), l.err)
	}
}

// TestLoadSaysWhatToDo: the error of a damaged file names it, the place, and the command.
func TestLoadSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dump.rdb")
	data := newRawFile(10).bytes(254, 0).set("k", "v").bytes(77).end()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l := load(t, newSet(t, 2, 1), LoadOptions{}, dir)
	if l.err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{path, "offset 16", "fulmen-check verify " + path, "fulmen-check repair " + path} {
		if !strings.Contains(l.err.Error(), want) {
			t.Errorf("no %q in: %v", want, l.err)
		}
	}
}

func TestETA(t *testing.T) {
	var p LoadProgress
	p.TotalBytes.Store(1000)
	if got := p.ETASeconds(0); got != 1 {
		t.Errorf("at once: %d", got)
	}
	p.ReadBytes.Store(249)
	if got := p.ETASeconds(10); got != 30 {
		t.Errorf("after a quarter: %d", got)
	}
}
