package stream

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/listpack"
)

func TestIDs(t *testing.T) {
	top := uint64(math.MaxUint64)
	all := []ID{{}, {0, 1}, {0, top}, {1, 0}, {1, 1}, {top, 0}, {top, top - 1}, {top, top}}
	for i, a := range all {
		for j, b := range all {
			if a.Compare(b) != cmp.Compare(i, j) || a.Less(b) != (i < j) ||
				bytes.Compare(a.AppendRaw(nil), b.AppendRaw(nil)) != cmp.Compare(i, j) {
				t.Errorf("%v and %v", a, b)
			}
		}
		if RawID(a.AppendRaw(nil)) != a || string(a.AppendTo(nil)) != fmt.Sprintf("%d-%d", a.Ms, a.Seq) {
			t.Errorf("%v is %x", a, a.AppendRaw(nil))
		}
		if next, ok := a.Next(); ok != (a != MaxID()) {
			t.Errorf("%v has a next: %v", a, ok)
		} else if back, _ := next.Prev(); ok && (back != a || !a.Less(next)) {
			t.Errorf("%v is before %v, and then %v", a, next, back)
		}
		if _, ok := a.Prev(); ok != (a != ID{}) {
			t.Errorf("%v has one before: %v", a, ok)
		}
	}
}

type entry struct {
	id      ID
	pairs   string
	deleted bool
}

// build makes a node of random entries.
func build(rnd *rand.Rand, n int) (b []byte, node ID, want []entry) {
	node = ID{uint64(rnd.IntN(1000)), uint64(rnd.IntN(1000))}
	id := node
	var r Reader
	for i := range n {
		pairs := [][]byte{[]byte("field"), fmt.Append(nil, i)}
		if rnd.IntN(3) == 0 {
			pairs = append(pairs, fmt.Append(nil, rnd.IntN(5)), bytes.Repeat([]byte("v"), rnd.IntN(200)))
		}
		if i == 0 {
			b = AppendNode(nil, pairs)
		} else {
			r.Open(b, node)
			h := ReadHeader(b)
			more, k := AppendEntry(nil, node, id, pairs, r.SameFields(pairs))
			h.Grow(len(more), k)
			rest := append(slices.Clone(b[ReadHeader(b).Len:len(b)-1]), more...)
			head := h.Append(nil)
			h.Size += len(head) - ReadHeader(b).Len
			b = append(append(h.Append(nil), rest...), listpack.End)
		}
		want = append(want, entry{id: id, pairs: string(bytes.Join(pairs, []byte(" ")))})
		id.Seq += 1 + uint64(rnd.IntN(3))
		if rnd.IntN(3) == 0 {
			id = ID{id.Ms + uint64(rnd.IntN(100_000)) + 1, uint64(rnd.IntN(1 << 30))}
		}
	}
	return b, node, want
}

// mark marks the entry that r is at as deleted.
func mark(b []byte, r *Reader) []byte {
	at, flags := r.Mark()
	b[at] = flags
	h := ReadHeader(b)
	rest := b[h.Len:]
	h.Count--
	h.Deleted++
	head := h.Append(nil)
	h.Size += len(head) - (len(b) - len(rest))
	return append(h.Append(nil), rest...)
}

func read(r *Reader, b []byte) (e entry) {
	text := func(p *Part) string {
		if p.IsNum {
			return fmt.Sprint(p.Num)
		}
		return string(b[p.From:p.To])
	}
	var parts []string
	var f, v Part
	for range r.Pairs {
		r.Pair(&f, &v)
		parts = append(parts, text(&f), text(&v))
	}
	return entry{r.ID, strings.Join(parts, " "), r.Deleted}
}

// TestNodes: entries are read back as they were appended, forwards and backwards, in one piece or not, and the node
// passes the check of what comes from outside.
func TestNodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 126, 127, 128, 129, 200, 5000} {
		b, node, want := build(rnd, n)
		var r Reader
		live := n
		for i := 0; i < n; i += 1 + rnd.IntN(4) {
			r.Open(b, node)
			for range i + 1 {
				r.Next()
			}
			if want[i].deleted || live == 1 {
				continue
			}
			b = mark(b, &r)
			want[i].deleted = true
			live--
		}
		first, last := ID{}, ID{}
		for _, e := range want {
			if !e.deleted {
				last = e.id
				if first == (ID{}) {
					first = e.id
				}
			}
		}
		f, err := Check(b, node, ID{}, true)
		if err != nil || f.Count != int64(live) || f.Last != last || f.First != first {
			t.Fatalf("%d entries: %+v, %v", n, f, err)
		}
		if _, err := Check(b, node, node, false); err != errOrder {
			t.Errorf("%d entries behind their first: %v", n, err)
		}
		r.Open(b, node)
		checkRead(t, &r, b, want)
		r.OpenParts(len(b), node, func(dst []byte, from, to int) []byte { return append(dst, b[from:to]...) })
		checkRead(t, &r, b, want)
	}
}

func checkRead(t *testing.T, r *Reader, b []byte, want []entry) {
	t.Helper()
	for round := range 2 {
		for i := range want {
			if !r.Next() {
				t.Fatalf("entry %d is not there", i)
			}
			if i%3 == round && r.Pairs > 1 { // the rest is passed over
				var f, v Part
				r.Pair(&f, &v)
				continue
			}
			if got := read(r, b); got != want[i] {
				t.Fatalf("entry %d is %v, want %v", i, got, want[i])
			}
		}
		for range 2 {
			if r.Next() {
				t.Fatal("there is one more")
			}
		}
		for i := len(want) - 1; i >= 0; i-- {
			if !r.Prev() {
				t.Fatalf("backwards entry %d is not there", i)
			}
			if got := read(r, b); got != want[i] {
				t.Fatalf("backwards entry %d is %v, want %v", i, got, want[i])
			}
		}
		for range 2 {
			if r.Prev() {
				t.Fatal("there is one before")
			}
		}
		r.Rewind()
	}
	r.ToEnd()
	if r.Next() || !r.Prev() || r.ID != want[len(want)-1].id {
		t.Error("the end is elsewhere")
	}
}

// TestCheckFaults: a node with a byte changed is refused, or it can be read without harm.
func TestCheckFaults(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	b, node, _ := build(rnd, 12)
	refused := 0
	for i := range b {
		for range 40 {
			old := b[i]
			b[i] = byte(rnd.IntN(256))
			if !survives(t, b, node) {
				refused++
			}
			b[i] = old
		}
		if survives(t, b[:i], node) {
			t.Errorf("%d bytes of it are taken", i)
		}
	}
	if refused < 5*len(b) {
		t.Errorf("only %d of %d changes are refused", refused, 40*len(b))
	}
}

// survives checks a node and, if it is taken, reads all of it.
func survives(t testing.TB, b []byte, node ID) bool {
	f, err := Check(b, node, ID{}, true)
	if err != nil {
		return false
	}
	var r Reader
	r.Open(b, node)
	live, all := int64(0), 0
	for r.Next() {
		if read(&r, b); !r.Deleted {
			live++
		}
		all++
	}
	for r.Prev() {
		read(&r, b)
		all--
	}
	h := ReadHeader(b)
	if live != f.Count || h.Count != live || all != 0 || h.Size != len(b) {
		t.Errorf("a node that is taken has %d entries, not %d; %d are left", live, f.Count, all)
	}
	return true
}

// FuzzCheck: whatever the check lets pass can be read.
func FuzzCheck(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 3, 20} {
		b, _, _ := build(rnd, n)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { survives(t, b, ID{5, 5}) })
}

// TestRadix compares the count with that of a radix tree that is really made.
func TestRadix(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for n := range 60 {
		var ids []ID
		for range n {
			ms, seq := rnd.IntN(1<<rnd.IntN(20)), rnd.IntN(1<<rnd.IntN(9))
			ids = append(ids, ID{1_700_000_000_000 + uint64(ms), uint64(seq)})
		}
		slices.SortFunc(ids, ID.Compare)
		ids = slices.Compact(ids)
		var x Radix
		var raw []string
		for _, id := range ids {
			x.Add(id)
			raw = append(raw, string(id.AppendRaw(nil)))
		}
		keys, nodes := x.Keys()
		if want := radixNodes(raw); keys != len(ids) || nodes != want {
			t.Fatalf("%d keys: %d nodes, want %d", keys, nodes, want)
		}
	}
}

// radixNodes counts the nodes below the place that all keys have come to.
func radixNodes(keys []string) int {
	if len(keys) == 0 || len(keys) == 1 && keys[0] == "" {
		return 1
	}
	chain := 0
	for ; chain < len(keys[0]) && keys[0][chain] == keys[len(keys)-1][chain]; chain++ {
	}
	if chain > 0 {
		var rest []string
		for _, k := range keys {
			rest = append(rest, k[chain:])
		}
		return 1 + radixNodes(rest)
	}
	n := 1
	for len(keys) > 0 {
		k := 1
		for ; k < len(keys) && keys[k][0] == keys[0][0]; k++ {
		}
		var rest []string
		for _, key := range keys[:k] {
			rest = append(rest, key[1:])
		}
		n += radixNodes(rest)
		keys = keys[k:]
	}
	return n
}
