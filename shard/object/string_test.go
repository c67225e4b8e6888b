package object

import (
	"strings"
	"testing"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
)

// entry makes a string entry as the keyspace does.
func entry(a *arena.Arena, key, val string, flags byte) index.Entry {
	if FitsInline(len(key), len(val), false) {
		size := index.EntrySize(len(key), len(val), false)
		e := index.InitEntry(a.Space().Pointer(a.Alloc(size)), byte(StringInline)|flags, []byte(key), len(val), 0)
		copy(e.Payload(), val)
		return e
	}
	size := index.EntrySize(len(key), tree.PagedSize, false)
	e := index.InitEntry(a.Space().Pointer(a.Alloc(size)), byte(StringPaged)|flags, []byte(key), tree.PagedSize, 0)
	var p tree.Paged
	p.Write(&tree.Heap{Arena: a}, 0, []byte(val))
	p.Store(e.Payload())
	return e
}

func TestStringReading(t *testing.T) {
	a := newArena(t)
	long, paged := strings.Repeat("0123456789", 300), strings.Repeat("abcdefg", 2000)
	for _, val := range []string{"", "a", "12345", long, paged} {
		e := entry(a, "key", val, 0)
		if StringLen(e) != len(val) {
			t.Errorf("length %d, want %d", StringLen(e), len(val))
		}
		if got := AppendString([]byte("+"), a.Space(), e); string(got) != "+"+val {
			t.Errorf("string of %d bytes differs", len(val))
		}
		if got, ok := StringView(e); ok != (len(val) < 4000) || ok && string(got) != val {
			t.Errorf("view of %d bytes: %v", len(val), ok)
		}
		for _, r := range [][2]int{
			{0, len(val)}, {-5, 3}, {2, 1}, {2, 100000}, {len(val), len(val) + 1}, {3000, 5000},
		} {
			want := ""
			if start, end := max(r[0], 0), min(r[1], len(val)); start < end {
				want = val[start:end]
			}
			if got := AppendStringRange(nil, a.Space(), e, r[0], r[1]); string(got) != want {
				t.Errorf("%d to %d of %d bytes: %q", r[0], r[1], len(val), got)
			}
		}
		if TypeOf(e.Tag()).String() != "string" {
			t.Errorf("type %v", TypeOf(e.Tag()))
		}
	}
}

func TestStringEncoding(t *testing.T) {
	a := newArena(t)
	for _, c := range []struct {
		val   string
		flags byte
		want  string
	}{
		{"0", 0, "int"},
		{"-9223372036854775808", 0, "int"},
		{"9223372036854775808", 0, "embstr"},
		{"007", 0, "embstr"},
		{"", 0, "embstr"},
		{"12", FlagRaw, "raw"},
		{strings.Repeat("x", 44), 0, "embstr"},
		{strings.Repeat("x", 45), 0, "raw"},
		{strings.Repeat("x", 5000), 0, "raw"},
	} {
		if got := StringEncoding(entry(a, "key", c.val, c.flags)); got != c.want {
			t.Errorf("%.50q: %s, want %s", c.val, got, c.want)
		}
	}
}

func TestFitsInline(t *testing.T) {
	for _, c := range []struct {
		keyLen, n int
		expire    bool
		want      bool
	}{
		{16, MaxBlock - 8 - 16, false, true},
		{16, MaxBlock - 8 - 16, true, false},
		{16, MaxBlock - 8 - 15, false, false},
		{100_000, tree.PagedSize, false, true},
		{100_000, tree.PagedSize + 1, false, false},
	} {
		if got := FitsInline(c.keyLen, c.n, c.expire); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func newArena(t testing.TB) *arena.Arena {
	t.Helper()
	space, err := arena.NewSpace(8 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return space.NewArena(0)
}
