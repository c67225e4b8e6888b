package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/shard"
	streams "fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// elements writes a value down so that it can be compared: elements of sets, hashes and sorted sets have no order.
type elements struct {
	list    []string
	ordered bool
	// plain: without what commands don't bring along to where they are executed at an earlier time: when consumers were
	// seen and entries delivered, and what is pending and deleted.
	plain   bool
	entries map[streams.ID]bool
}

// Begin implements rdb.Builder.
func (v *elements) Begin(f rdb.Form) error { return nil }

// String implements rdb.Builder.
func (v *elements) String(b []byte) error { return v.add("%q", b) }

// Item implements rdb.Builder.
func (v *elements) Item(b []byte) error {
	v.ordered = true
	return v.add("%q", b)
}

// Member implements rdb.Builder.
func (v *elements) Member(b []byte) error { return v.add("%q", b) }

// Scored implements rdb.Builder.
func (v *elements) Scored(member []byte, score float64) error { return v.add("%q %v", member, score) }

// Field implements rdb.Builder.
func (v *elements) Field(field, value []byte, expireAtMs int64) error {
	return v.add("%q %q %d", field, value, expireAtMs)
}

// StreamNode implements rdb.Builder.
func (v *elements) StreamNode(id streams.ID, node []byte, _ *streams.Facts) error {
	v.ordered = true
	var r streams.Reader
	var x [2]streams.Part
	for r.Open(node, id); r.Next(); {
		if r.Deleted {
			continue
		}
		line := string(r.ID.AppendTo(nil))
		for range r.Pairs {
			r.Pair(&x[0], &x[1])
			for _, p := range x {
				if p.IsNum {
					line += fmt.Sprint(" ", p.Num)
				} else {
					line += " " + string(node[p.From:p.To])
				}
			}
		}
		v.list = append(v.list, line)
		if v.entries == nil {
			v.entries = map[streams.ID]bool{}
		}
		v.entries[r.ID] = true
	}
	return nil
}

// StreamInfo implements rdb.Builder.
func (v *elements) StreamInfo(in *object.StreamInfo) error {
	v.ordered = true
	return v.add("%+v", *in)
}

// Group implements rdb.Builder.
func (v *elements) Group(name []byte, last streams.ID, entriesRead int64) error {
	return v.add("group %q %v %d", name, last, entriesRead)
}

// Pending implements rdb.Builder.
func (v *elements) Pending(id streams.ID, deliveredMs, deliveries int64) error {
	if v.plain {
		deliveredMs = 0
	}
	if v.plain && !v.entries[id] {
		return nil
	}
	return v.add("pending %v %d %d", id, deliveredMs, deliveries)
}

// Consumer implements rdb.Builder.
func (v *elements) Consumer(name []byte, seenMs int64) error {
	if v.plain {
		seenMs = 0
	}
	return v.add("consumer %q %d", name, seenMs)
}

// Owned implements rdb.Builder.
func (v *elements) Owned(id streams.ID) error {
	if v.plain && !v.entries[id] {
		return nil
	}
	return v.add("owns %v", id)
}

func (v *elements) add(format string, args ...any) error {
	v.list = append(v.list, fmt.Sprintf(format, args...))
	return nil
}

// comparable gives an entry of a shadow in a form that doesn't depend on hashes: expiry, type, elements.
func comparable(t testing.TB, entry string) string {
	t.Helper()
	return written(t, entry, &elements{})
}

// written is comparable with the given elements, which are empty.
func written(t testing.TB, entry string, v *elements) string {
	t.Helper()
	rd := rdb.NewReader(strings.NewReader("REDIS0012"+entry+"\xff\x00\x00\x00\x00\x00\x00\x00\x00"), "")
	ev, err := rd.Next()
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprint(ev.ExpireAtMs, " ", ev.Type, " ")
	if err := rd.Value(v); err != nil {
		t.Fatal(err)
	}
	if _, err := rd.Next(); err != io.EOF {
		t.Fatal(err)
	}
	if !v.ordered {
		slices.Sort(v.list)
	}
	return head + strings.Join(v.list, ", ")
}

// difference compares two data sets.
func difference(t testing.TB, got, want shadow) error {
	t.Helper()
	for db := range want {
		if len(got[db]) != len(want[db]) {
			return fmt.Errorf("database %d has %d keys, want %d", db, len(got[db]), len(want[db]))
		}
		for key, entry := range want[db] {
			if have, ok := got[db][key]; !ok {
				return fmt.Errorf("database %d: %s is missing", db, key)
			} else if have, want := comparable(t, have), comparable(t, entry); have != want {
				return fmt.Errorf("database %d: %s:\n%.2000s\nwant\n%.2000s", db, key, have, want)
			}
		}
	}
	return nil
}

// fileSink writes a save to files.
type fileSink struct {
	o     FileOptions
	files *Files
}

// Begin implements Sink.
func (s *fileSink) Begin(c *Cut) (Form, error) {
	var err error
	s.files, err = BeginFiles(s.o, FileMeta{
		LSN: c.LSN, CreatedMs: c.CreatedMs, Shards: c.Shards, Databases: c.Databases,
	})
	form := Form{WriteOptions: rdb.WriteOptions{Checksum: true, LZF: !s.o.LZ4}}
	if !s.o.Segments {
		form.Streams = 1
	}
	return form, err
}

// Open implements Sink.
func (s *fileSink) Open(i int) (io.Writer, error) { return s.files.Open(i) }

// Commit implements Sink.
func (s *fileSink) Commit(keys []int64) error { return s.files.Commit(keys) }

// Abort implements Sink.
func (s *fileSink) Abort(error) { s.files.Abort() }

// limits are those of a world's commands.
func (w *world) limits() *shard.BuildLimits {
	l := w.ctx.Limits
	return &shard.BuildLimits{
		ListFill: l.ListFill, HashEntries: l.HashMaxListpackEntries, HashValueBytes: l.HashMaxListpackValueBytes,
		ZSet: l.ZSet, Sets: l.Sets,
	}
}

// TestLoadIsWhatWasSaved: random values of all types, saved in all ways, come back as they were, into other numbers of
// shards, in nodes or packed.
func TestLoadIsWhatWasSaved(t *testing.T) {
	for i, c := range []struct {
		shards, into, packed int
		segments, lz4        bool
	}{
		{1, 1, 0, true, true}, {3, 8, 0, true, false}, {8, 3, 100, true, true}, {4, 4, 60, false, false},
		{5, 2, 0, false, true},
	} {
		from := newWorld(t, c.shards, c.packed, uint64(i))
		for range 3000 {
			from.step()
		}
		for range 500 {
			from.grow()
		}
		dir := t.TempDir()
		sink := &fileSink{o: FileOptions{
			FS: vfs.OS{}, Dir: dir, DBFilename: "dump.rdb", Segments: c.segments, LZ4: c.lz4,
		}}
		v, want := from.cut(sink)
		var saved Result
		from.held(func() { saved = v.RunHeld() })
		if saved.Err != nil {
			t.Fatal(saved.Err)
		}
		into := newWorld(t, c.into, 0, 1)
		l := load(t, into.set, LoadOptions{KeepExpired: true, Limits: from.limits()}, dir)
		if l.err != nil || l.result.Keys != saved.Keys || l.result.Keys < 100 {
			t.Fatalf("%+v: %d of %d keys: %v", c, l.result.Keys, saved.Keys, l.err)
		}
		if err := difference(t, into.shadow(), want); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for range 300 { // it is a data set like any other
			into.step()
		}
	}
}

// TestLoadFailsCleanly: a value that ends in the middle leaves no node behind, whatever its type.
func TestLoadFailsCleanly(t *testing.T) {
	from := newWorld(t, 1, 0, 3)
	for i := range 500 {
		n := fmt.Sprint(i, strings.Repeat("x", 100))
		from.do(0, "RPUSH", "list", n)
		from.do(0, "SADD", "set", n)
		from.do(0, "HSET", "hash", n, n)
		from.do(0, "ZADD", "zset", fmt.Sprint(i), n)
		from.do(0, "APPEND", "string", n)
	}
	for key, entry := range from.shadow()[0] {
		dir := t.TempDir()
		data := "REDIS0012\xfe\x00" + entry
		if err := os.WriteFile(dir+"/dump.rdb", []byte(data[:len(data)-20]), 0o600); err != nil {
			t.Fatal(err)
		}
		set := newSet(t, 1, 1)
		before := set.Shards[0].UsedBytes()
		l := load(t, set, LoadOptions{Limits: from.limits()}, dir)
		var damage *rdb.CorruptError
		if !errors.As(l.err, &damage) {
			t.Errorf("%s: %v", key, l.err)
		}
		for !set.Shards[0].FreeSome(1000) {
		}
		if after := set.Shards[0].UsedBytes(); after != before {
			t.Errorf("%s: %d bytes in use, %d before", key, after, before)
		}
	}
}
