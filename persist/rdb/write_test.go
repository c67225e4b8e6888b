package rdb_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/shard"
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

type noBell struct{}

func (noBell) Ring(*shard.Shard) {}

const testNowMs = 4_000_000_000_000 // far enough for no server to find anything expired

// newSet returns shards on a space of their own; packedBytes 0: collections are in trees when they are big.
func newSet(t testing.TB, shards, packedBytes int) *shard.Set {
	t.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	set, err := shard.NewSet(shard.Options{
		Shards: shards, Databases: 16, Space: space, Clock: clock.NewFake(testNowMs),
		Log: log.New(shards, log.Limits{}), Bell: noBell{}, PackedBytes: packedBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// options are those of a Writer for the set.
func options(set *shard.Set, version int, lzf bool) rdb.WriteOptions {
	return rdb.WriteOptions{
		Version: version, LZF: lzf, Checksum: true, Space: set.Space,
		Hash: func(m []byte) uint64 { return set.Key(m).Hash },
	}
}

// eachEntry calls fn for all entries of a database.
func eachEntry(db *shard.DB, fn func(e index.Entry)) {
	for cursor := uint64(0); ; {
		if cursor = db.Scan(cursor, 1000, testNowMs, fn); cursor == 0 {
			return
		}
	}
}

// save writes the databases of a set of one shard.
func save(t testing.TB, w io.Writer, set *shard.Set, o rdb.WriteOptions) {
	t.Helper()
	rw := rdb.NewWriter(w, o)
	rw.Header()
	rw.Aux("redis-ver", "7.0.15")
	rw.Aux("redis-bits", "64")
	rw.Aux("ctime", "1700000000")
	rw.Aux("aof-base", "0")
	for id := range set.Databases() {
		db := set.Shards[0].DB(id)
		if db.Len() == 0 {
			continue
		}
		rw.SelectDB(id)
		rw.ResizeDB(db.Len(), db.Expires())
		eachEntry(db, rw.Entry)
	}
	if err := rw.End(); err != nil {
		t.Fatal(err)
	}
}

// limits are the sizes at which encodings change by default.
var (
	zsetLimits = shard.ZSetLimits{Entries: 128, ValueBytes: 64}
	setLimits  = shard.SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64}
)

const listFill = -2

// filler fills a database with values of all kinds, sizes and contents.
type filler struct {
	set *shard.Set
	db  *shard.DB
	n   int
}

func (f *filler) key(name string) shard.Key { return f.set.Key([]byte(name)) }

func (f *filler) strings(names ...string) {
	for _, s := range names {
		f.n++
		f.db.SetString(f.key(fmt.Sprintf("string:%d", f.n)), []byte(s), int64(f.n%2)*(testNowMs+int64(f.n)))
		f.db.SetString(f.key("named:"+s), []byte(s), 0)
	}
}

// texts are strings of all lengths and kinds that an encoding tells apart.
var texts = sync.OnceValue(func() (all []string) {
	for _, n := range []int64{
		0, 1, -1, 12, 127, 128, -128, -129, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 1<<23 - 1, 1 << 23,
		-1 << 23, -1<<23 - 1, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1, math.MaxInt64,
		math.MinInt64,
	} {
		all = append(all, fmt.Sprint(n))
	}
	all = append(all, "", "a", "-", "-0", "00", "+1", " 1", "1 ", "9223372036854775808", "1e3", "0x10", "\x00\xff")
	for _, n := range []int{19, 20, 21, 24, 25, 62, 63, 64, 65, 126, 127, 128, 1000, 1001, 4000, 4095, 4096, 4097, 8180,
		8192, 16380, 16384, 65535, 65536, 65537, 200_000} {
		all = append(all, strings.Repeat("x", n), noise(n))
	}
	return append(all, noise(70_000)+strings.Repeat("y", 200_000)+noise(500))
})

// noise is text that cannot be compressed.
func noise(n int) string {
	b := make([]byte, n)
	x := uint64(n) + 88172645463325252
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 20)
	}
	return string(b)
}

// fill fills database id with at least one value of each form.
func fill(set *shard.Set, id int) *filler {
	f := &filler{set: set, db: set.Shards[0].DB(id)}
	f.strings(texts()...)
	f.db.StringSetRange(f.key("sparse"), 3_000_000, []byte("end"))
	f.db.StringAppend(f.key("raw"), f.entry("raw", "12"), []byte("3"))
	f.db.SetFloatText(f.key("float"), []byte("12"), 0)
	for _, n := range []int{1, 2, 3, 127, 128, 129, 512, 513, 3000, 6000} {
		f.list(fmt.Sprintf("list:%d", n), n, func(i int) string { return fmt.Sprint(i * i * i) })
		f.list(fmt.Sprintf("list:mixed:%d", n), n, func(i int) string { return texts()[i%60] })
		for what, member := range members() {
			name := fmt.Sprintf("%s:%d", what, n)
			f.addSet("set:"+name, n, member)
			f.addZSet("zset:"+name, n, member)
			f.addHash("hash:"+name, n, member)
		}
	}
	all := texts()
	f.list("list:all", len(all), func(i int) string { return all[i] })
	f.addSet("set:all", len(all), func(i int) string { return all[i] })
	f.addZSet("zset:all", len(all), func(i int) string { return all[i] })
	f.addHash("hash:all", len(all), func(i int) string { return all[i] })
	return f
}

func members() map[string]func(i int) string {
	return map[string]func(i int) string{
		"small":  func(i int) string { return fmt.Sprint(i - 20) },
		"medium": func(i int) string { return fmt.Sprint(i*1000 - 50000) },
		"large":  func(i int) string { return fmt.Sprint(int64(i) * 3_000_000_019) },
		"text":   func(i int) string { return fmt.Sprintf("member:%07d", i) },
		"mixed": func(i int) string {
			if i%3 == 0 {
				return fmt.Sprint(i)
			}
			return strings.Repeat("m", i%70) + fmt.Sprint("-", i)
		},
	}
}

func (f *filler) entry(name, val string) index.Entry {
	f.db.SetString(f.key(name), []byte(val), 0)
	e, _ := f.db.Look(f.key(name), testNowMs)
	return e
}

func (f *filler) list(name string, n int, item func(i int) string) {
	l := shard.List{Value: f.db.Value(f.key(name), testNowMs), Fill: listFill}
	for i := range n {
		l.Push(i%5 == 4, []byte(item(i)))
	}
}

func (f *filler) addSet(name string, n int, member func(i int) string) {
	s := shard.MemberSet{Value: f.db.Value(f.key(name), testNowMs)}
	for i := range n {
		s.Add([][]byte{[]byte(member(i))}, &setLimits)
	}
}

// scores are scores of all kinds; they repeat.
func scoreAt(i int) float64 {
	return []float64{0, 1, -1, 1.5, 0.1, -0.1, 1e300, -1e300, 1 << 52, 1 << 53, 1 << 60, math.Inf(1), math.Inf(-1), 3,
		math.Copysign(0, -1), 5e-324, math.MaxFloat64, 12345678.9, 100, 128}[i%20]
}

func (f *filler) addZSet(name string, n int, member func(i int) string) {
	z := shard.ZSet{Value: f.db.Value(f.key(name), testNowMs)}
	for i := range n {
		z.Add(&zsetLimits, []byte(member(i)), scoreAt(i), 0)
	}
}

func (f *filler) addHash(name string, n int, member func(i int) string) {
	h := f.db.Value(f.key(name), testNowMs).Hash(testNowMs)
	big := n > 512
	for i := range n {
		field, value := member(i), member(n-1-i)
		h.Set([]byte(field), []byte(value))
		big = big || len(field) > 64 || len(value) > 64
	}
	if big {
		h.SetBig()
	}
}

// expireFields gives fields of hashes an expiry.
func (f *filler) expireFields() {
	for _, n := range []int{1, 2, 20, 128, 129, 512, 513, 3000} {
		for what, member := range members() {
			name := fmt.Sprintf("expiring:%s:%d", what, n)
			f.addHash(name, n, member)
			h := f.db.Value(f.key(name), testNowMs).Hash(testNowMs)
			h.Mix()
			for i := range n {
				if i%3 != 1 {
					h.SetExpire([]byte(member(i)), testNowMs+int64(i*7919%1000)*1000)
				}
			}
		}
	}
	f.addHash("unexpiring", 3, members()["text"])
	h := f.db.Value(f.key("unexpiring"), testNowMs).Hash(testNowMs)
	h.Mix()
}

func TestRedisLoadsWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		name    string
		packed  int
		version int
		lzf     bool
	}{
		{"plain", 0, rdb.Version7, false}, {"lzf", 0, rdb.Version7, true}, {"trees", 1, rdb.Version7, true},
		{"fields", 0, rdb.Version8, true}, {"fields in trees", 1, rdb.Version8, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := newSet(t, 1, c.packed)
			f := fill(set, 0)
			fill(set, 3).strings("other")
			server := ""
			if c.version == rdb.Version8 {
				server = need.Redis8(t)
				f.expireFields()
			}
			var file bytes.Buffer
			save(t, &file, set, options(set, c.version, c.lzf))
			checkLoads(t, set, file.Bytes(), server)
		})
	}
}

// checkLoads has a redis-server load a file and compares what it has then.
func checkLoads(t *testing.T, set *shard.Set, file []byte, server string) {
	dir := t.TempDir()
	name := filepath.Join(dir, "dump.rdb")
	if err := os.WriteFile(name, file, 0o644); err != nil {
		t.Fatal(err)
	}
	check := need.Program(t, "redis-check-rdb")
	if server != "" {
		check = filepath.Join(filepath.Dir(server), "redis-check-rdb")
	}
	if out, err := exec.Command(check, name).CombinedOutput(); err != nil {
		t.Fatalf("redis-check-rdb: %v\n%s", err, out)
	}
	if server != "" {
		t.Setenv("PATH", filepath.Dir(server)+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	oracle := redistest.StartOracle(t, "--dir", dir, "--enable-debug-command", "yes")
	conn, err := redistest.Dial(oracle.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for id := range set.Databases() {
		checkDB(t, set, id, conn)
	}
}

// checkDB compares a database with redis-server's.
func checkDB(t *testing.T, set *shard.Set, id int, conn *redistest.Conn) {
	do := func(args ...string) resp.Value {
		v, err := conn.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	db := set.Shards[0].DB(id)
	do("SELECT", fmt.Sprint(id))
	if n := do("DBSIZE").Int; n != int64(db.Len()) {
		t.Errorf("database %d has %d keys, not %d", id, n, db.Len())
	}
	var keys []string
	eachEntry(db, func(e index.Entry) { keys = append(keys, string(e.Key())) })
	slices.Sort(keys)
	for _, key := range keys {
		e, _ := db.Look(set.Key([]byte(key)), testNowMs)
		if object.TypeOf(e.Tag()) == object.ZSet {
			checkScores(t, set, db, key, do)
		} else if got, want := string(do("DEBUG", "DIGEST-VALUE", key).Elems[0].Str), digest(set, db, e); got != want {
			t.Errorf("%.40q (%s): digest %s, not %s", key, object.Encoding(e), got, want)
		}
		if at := do("PEXPIRETIME", key).Int; at != e.ExpireAt() && (at != -1 || e.ExpireAt() != 0) {
			t.Errorf("%.40q expires at %d, not %d", key, at, e.ExpireAt())
		}
		if got, want := string(do("OBJECT", "ENCODING", key).Str), object.Encoding(e); !sameEncoding(got, want, e) {
			t.Errorf("%.40q is a %s, not a %s", key, got, want)
		}
		if object.TypeOf(e.Tag()) == object.Hash && object.FieldsDueAt(set.Space, e) != 0 {
			checkFields(t, set, db, key, do)
		}
	}
}

// sameEncoding reports whether redis-server means the same by the name of an encoding. That of version 7.0 has no
// listpack for lists and sets yet, and INCRBYFLOAT's and APPEND's results are forgotten when they are written.
func sameEncoding(got, want string, e index.Entry) bool {
	if object.TypeOf(e.Tag()) == object.String {
		return got == want || e.Tag()&(object.FlagRaw|object.FlagText) != 0
	}
	older := want == "listpack" && (got == "quicklist" || got == "hashtable" && object.TypeOf(e.Tag()) == object.Set)
	return got == want || older || want == "listpackex" && got == "listpack" && object.FieldsDueAt(nil, e) == 0
}

// checkScores compares a sorted set member by member: the digests of different versions print scores differently.
func checkScores(t *testing.T, set *shard.Set, db *shard.DB, key string, do func(args ...string) resp.Value) {
	got := do("ZRANGE", key, "0", "-1", "WITHSCORES").Elems
	z := shard.ZSet{Value: db.LookValue(set.Key([]byte(key)), testNowMs)}
	if len(got) != 2*z.Len() {
		t.Fatalf("%.40q has %d members, not %d", key, len(got)/2, z.Len())
	}
	z.Each(0, z.Len(), false, func(member []byte, score float64) bool {
		has, ok := resp.ParseFloat(got[1].Str)
		if string(got[0].Str) != string(member) || !ok || math.Float64bits(has) != math.Float64bits(score) {
			t.Errorf("%.40q: %.40q with %s, not %.40q with %v", key, got[0].Str, got[1].Str, member, score)
		}
		got = got[2:]
		return true
	})
}

func checkFields(t *testing.T, set *shard.Set, db *shard.DB, key string, do func(args ...string) resp.Value) {
	h := db.LookValue(set.Key([]byte(key)), testNowMs).LookHash(testNowMs)
	var f shard.Fields
	for h.From(&f, 0); f.Next(); {
		at, field := max(f.ExpireAtMs, -1), string(f.Field.View(nil))
		if at == 0 {
			at = -1
		}
		if got := do("HPEXPIRETIME", key, "FIELDS", "1", field).Elems[0].Int; got != at {
			t.Errorf("%q %q expires at %d, not %d", key, field, got, at)
		}
	}
}

// TestLengthsBehindItems: at the lengths at which what stands behind an item grows, a list comes back.
func TestLengthsBehindItems(t *testing.T) {
	set := newSet(t, 1, 0)
	f := &filler{set: set, db: set.Shards[0].DB(0)}
	var d rdb.Dumper
	for _, edge := range []int{1 << 7, 1<<14 - 1} {
		for n := edge - 8; n <= edge+8; n++ {
			l := shard.List{Value: f.db.Value(f.key("list"), testNowMs), Fill: -5} // 64 KiB
			l.Push(false, []byte(noise(n)))
			e, _ := f.db.Look(f.key("list"), testNowMs)
			payload := d.Append(nil, e, options(set, rdb.Version7, false))
			if payload[1] != 1 || payload[2] != 2 {
				t.Fatalf("an item of %d bytes is not written in one listpack", n)
			}
			if err := rdb.DecodeDump(payload, rdb.Discard{}); err != nil {
				t.Errorf("an item of %d bytes: %v", n, err)
			}
			f.db.Delete(f.key("list"))
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		lzf  bool
		text func(n int) string
	}{
		{"8", 8, true, noise}, {"64", 64, false, noise}, {"64 lzf noise", 64, true, noise},
		{"64 lzf x", 64, true, func(n int) string { return strings.Repeat("x", n) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			set := newSet(b, 1, 0)
			db := set.Shards[0].DB(0)
			var entries []index.Entry
			for i := range 10_000 {
				k := set.Key(fmt.Appendf(nil, "key:%012d", i))
				db.SetString(k, []byte(c.text(c.size + i)[i:]), 0)
			}
			eachEntry(db, func(e index.Entry) { entries = append(entries, e) })
			w := rdb.NewWriter(io.Discard, options(set, rdb.Version7, c.lzf))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Entry(entries[i%len(entries)])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
		})
	}
}
