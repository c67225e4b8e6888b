package tree

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	key, value uint64
	body       string
}

// model is a tree beside a slice that should hold the same.
type model struct {
	t     *testing.T
	h     *Heap
	tree  Tree
	items []item
	rnd   *rand.Rand
}

func (m *model) body(i int) string {
	n := m.rnd.IntN(20)
	switch m.rnd.IntN(60) {
	case 0:
		n = m.rnd.IntN(MaxInline + 3)
	case 1:
		n = MaxInline + m.rnd.IntN(9000)
	}
	return fmt.Sprint(i, string(bytes.Repeat([]byte{byte('a' + m.rnd.IntN(26))}, n)))
}

// member is what a body is found by.
func (m *model) member(it item) []byte {
	if m.tree.order == ByHashPair {
		b, _ := SplitPair([]byte(it.body))
		return b
	}
	return []byte(it.body)
}

func (m *model) key(i int) uint64 {
	switch m.tree.order {
	case ByRank:
		return 0
	case ByScore, ByID:
		return uint64(m.rnd.IntN(50))
	}
	return uint64(m.rnd.Uint32() >> m.rnd.IntN(2) * 20) // some are equal
}

func (m *model) insert(i int) {
	it := item{key: m.key(i)}
	var p Path
	space := m.h.Arena.Space()
	at := 0
	lay := layouts[m.tree.order]
	if lay.body {
		it.body = m.body(i)
	}
	if lay.val > 0 {
		it.value = uint64(i)
	}
	switch m.tree.order {
	case ByRank:
		at = []int{0, len(m.items), m.rnd.IntN(len(m.items) + 1)}[m.rnd.IntN(3)]
		m.tree.At(space, &p, at)
	case ByScore:
		var found bool
		at, found = slices.BinarySearchFunc(m.items, it, func(a, b item) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.body, b.body))
		})
		if got := m.tree.SeekScore(space, &p, it.key, []byte(it.body)); got != found || p.Rank() != at {
			m.t.Fatalf("found %v at %d, want %v at %d", got, p.Rank(), found, at)
		}
		if found {
			return
		}
	case ByID:
		it.value = uint64(m.rnd.IntN(2000))
		var found bool
		at, found = slices.BinarySearchFunc(m.items, it, func(a, b item) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
		})
		if got := m.tree.SeekID(space, &p, it.key, it.value); got != found || p.Rank() != at {
			m.t.Fatalf("found %v at %d, want %v at %d", got, p.Rank(), found, at)
		}
		if found {
			return
		}
	case ByHashPair:
		it.body = string(AppendPairHead(nil, len(it.body))) + it.body + m.body(i)
		fallthrough
	case ByHash:
		if m.tree.Find(space, &p, it.key, m.member(it)) {
			m.t.Fatal("found what isn't there")
		}
		at = p.Rank()
	default:
		m.tree.Seek(space, &p, it.key)
		at = p.Rank()
	}
	m.tree.Insert(m.h, &p, it.key, it.value, []byte(it.body)[:len(it.body)/2], []byte(it.body)[len(it.body)/2:])
	m.items = slices.Insert(m.items, at, it)
}

func (m *model) remove() {
	if len(m.items) == 0 {
		return
	}
	var p Path
	from := m.rnd.IntN(len(m.items))
	to := min(from+1+m.rnd.IntN(3), len(m.items))
	if m.rnd.IntN(100) == 0 {
		to = min(from+m.rnd.IntN(2000), len(m.items))
	}
	if m.rnd.IntN(2) == 0 {
		m.tree.At(m.h.Arena.Space(), &p, from)
		to = from + min(to-from, p.LeafLeft())
		m.tree.Delete(m.h, &p, to-from)
	} else {
		m.tree.DeleteRange(m.h, from, to)
	}
	m.items = slices.Delete(m.items, from, to)
}

func (m *model) change(i int) {
	if len(m.items) == 0 {
		return
	}
	var p Path
	at := m.rnd.IntN(len(m.items))
	it := &m.items[at]
	m.tree.At(m.h.Arena.Space(), &p, at)
	switch m.tree.order {
	case ByHashScore:
		it.value = uint64(i)
		m.tree.SetValue(m.h, &p, it.value)
	case ByHashPair:
		member := m.member(*it)
		it.body = string(AppendPairHead(nil, len(member))) + string(member) + m.body(i)
		m.tree.SetBody(m.h, &p, []byte(it.body))
	case ByRank:
		it.body = m.body(i)
		m.tree.SetBody(m.h, &p, []byte(it.body))
	case ByID:
		m.changePaged(it, &p, i)
		return
	}
	if m.tree.order == ByRank {
		m.tree.At(m.h.Arena.Space(), &p, at)
		last := len(it.body) - 1
		it.body = it.body[:last] + "!"
		m.tree.PatchBody(m.h, &p, last, []byte("!"))
	}
}

// changePaged changes a body that is always spilled, in one of the ways that there are.
func (m *model) changePaged(it *item, p *Path, i int) {
	switch m.rnd.IntN(3) {
	case 0:
		it.body = m.body(i)
		m.tree.SetBody(m.h, p, []byte(it.body))
	case 1:
		at := m.rnd.IntN(len(it.body))
		it.body = it.body[:at] + "!" + it.body[at+1:]
		m.tree.PatchBody(m.h, p, at, []byte("!"))
	default:
		s := m.tree.OwnBody(m.h, p)
		more := m.body(i)
		s.Write(m.h, s.Len(), []byte(more))
		it.body += more
		if m.rnd.IntN(2) == 0 {
			s.Fit(m.h)
		}
		p.PutBody(s)
		if b, ok := s.Piece(m.h.Arena.Space()); ok != (len(it.body) <= pageBytes) || ok && string(b) != it.body {
			m.t.Fatalf("%d bytes in one piece: %v", len(it.body), ok)
		}
	}
}

func equal(t *testing.T, h *Heap, tree Tree, items []item) {
	t.Helper()
	var p Path
	space := h.Arena.Space()
	if tree.Len() != len(items) {
		t.Fatalf("%d items, want %d", tree.Len(), len(items))
	}
	i := 0
	for tree.First(space, &p); p.Valid(); p.Next() {
		got := item{key: p.Key()}
		if layouts[tree.order].val > 0 {
			got.value = p.Value()
		}
		if layouts[tree.order].body {
			got.body = string(p.View(nil))
			if p.BodyLen() != len(got.body) {
				t.Fatalf("length %d", p.BodyLen())
			}
		}
		if got != items[i] {
			t.Fatalf("item %d: %v, want %v", i, got, items[i])
		}
		i++
	}
	if i != len(items) {
		t.Fatalf("%d items walked, want %d", i, len(items))
	}
	i--
	for tree.Last(space, &p); p.depth > 0; i-- {
		if p.Key() != items[i].key {
			t.Fatalf("item %d backwards: %x", i, p.Key())
		}
		if !p.Prev() {
			break
		}
	}
}

func (m *model) look() {
	var p Path
	space := m.h.Arena.Space()
	if err := m.tree.Check(space); err != nil {
		m.t.Fatal(err)
	}
	if len(m.items) == 0 {
		return
	}
	at := m.rnd.IntN(len(m.items))
	it := m.items[at]
	m.tree.At(space, &p, at)
	if p.Rank() != at || p.Key() != it.key {
		m.t.Fatalf("at %d: rank %d key %x, want %x", at, p.Rank(), p.Key(), it.key)
	}
	switch m.tree.order {
	case ByHash, ByHashPair:
		if !m.tree.Find(space, &p, it.key, m.member(it)) {
			m.t.Fatalf("%v not found", it)
		}
		if m.tree.Find(space, &p, it.key, []byte("nobody")) || m.tree.Find(space, &p, it.key+1, []byte("nobody")) {
			m.t.Fatal("nobody found")
		}
	case ByScore:
		if !m.tree.SeekScore(space, &p, it.key, []byte(it.body)) || p.Rank() != at {
			m.t.Fatalf("%v not found", it)
		}
	case ByID:
		if !m.tree.SeekID(space, &p, it.key, it.value) || p.Rank() != at {
			m.t.Fatalf("%v not found", it)
		}
	case ByValue, ByHashScore:
		m.tree.Seek(space, &p, it.key)
		if !p.Valid() || p.Key() != it.key || p.Rank() > at {
			m.t.Fatalf("%v not found", it)
		}
	}
}

func newModel(t *testing.T, o Order, seed uint64) *model {
	a := newArena(t)
	return &model{t: t, h: &Heap{Arena: a, Version: 1}, tree: Tree{order: o}, rnd: rand.New(rand.NewPCG(seed, 1))}
}

var orders = []Order{ByRank, ByHash, ByHashPair, ByScore, ByValue, ByHashScore, ByID}

// TestTreeModel compares trees of every order with slices, under random operations with a self-check after each, and
// pins them now and then: what is pinned stays as it was.
func TestTreeModel(t *testing.T) {
	for _, o := range orders {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			m := newModel(t, o, 5)
			type pin struct {
				pin   *Pin
				tree  Tree
				items []item
			}
			var pinned *pin
			for i := range 30_000 {
				grow := i/4000%2 == 0
				switch k := m.rnd.IntN(10); {
				case k < 2:
					m.change(i)
				case (k < 8) == grow:
					m.insert(i)
				default:
					m.remove()
				}
				if i%16 == 0 || len(m.items) < 30 {
					m.look()
				}
				if m.rnd.IntN(1000) > 0 {
					continue
				}
				equal(t, m.h, m.tree, m.items)
				if pinned != nil {
					equal(t, m.h, pinned.tree, pinned.items)
					for !pinned.pin.Release(m.h, 10) {
					}
					pinned, m.h.Pin = nil, nil
					if used := int64(m.tree.UsedBytes(m.h.Arena.Space())); used != m.h.Arena.UsedBytes() {
						t.Fatalf("%d bytes used, the arena says %d", used, m.h.Arena.UsedBytes())
					}
				} else {
					m.h.Version++
					pinned = &pin{NewPin(m.h.Version, nil), m.tree, slices.Clone(m.items)}
					m.h.Pin = pinned.pin
				}
			}
			if pinned != nil {
				equal(t, m.h, pinned.tree, pinned.items)
				for !pinned.pin.Release(m.h, 10) {
				}
				m.h.Pin = nil
			}
			for i := range 20_000 {
				m.insert(i)
			}
			c := m.tree.Clone(m.h)
			equal(t, m.h, c, m.items)
			for budget, rounds := 0, 0; !m.tree.FreeSome(m.h.Arena, &budget); rounds++ {
				if budget = 3; rounds > 1_000_000 {
					t.Fatal("freeing doesn't end")
				}
			}
			equal(t, m.h, c, m.items)
			c.DeleteRange(m.h, 0, c.Len())
			if used := m.h.Arena.UsedBytes(); used != 0 {
				t.Errorf("%d bytes left", used)
			}
		})
	}
}

// TestPinnedWhileShrinking deletes most of a pinned tree, so that neighbours are joined, and grows a pinned string, so
// that its pages move to bigger blocks: what is pinned stays as it was.
func TestPinnedWhileShrinking(t *testing.T) {
	m := newModel(t, ByHash, 9)
	for i := range 5000 {
		m.insert(i)
	}
	var s Paged
	s.Write(m.h, 0, bytes.Repeat([]byte("0123456789"), 1000))
	m.h.Version++
	var account Kept
	pin, tree, items, before := NewPin(m.h.Version, &account), m.tree, slices.Clone(m.items), s
	m.h.Pin = pin
	for len(m.items) > 100 {
		at := m.rnd.IntN(len(m.items))
		m.tree.DeleteRange(m.h, at, at+1)
		m.items = slices.Delete(m.items, at, at+1)
	}
	for range 20 {
		s.Write(m.h, s.Len(), bytes.Repeat([]byte("abc"), 300))
	}
	equal(t, m.h, tree, items)
	equal(t, m.h, m.tree, m.items)
	got := before.AppendRange(nil, m.h.Arena.Space(), 0, before.Len())
	if !bytes.Equal(got, bytes.Repeat([]byte("0123456789"), 1000)) {
		t.Error("the pinned string has changed")
	}
	kept := int64(0)
	for _, b := range pin.kept {
		kept += int64(b.size)
	}
	if kept == 0 || account.Now.Load() != kept || account.Ever.Load() != kept {
		t.Errorf("%d bytes kept, %d and %d counted", kept, account.Now.Load(), account.Ever.Load())
	}
	slices := 1
	for ; !pin.Release(m.h, 10); slices++ {
	}
	if slices < 5 || account.Now.Load() != 0 || account.Ever.Load() != kept {
		t.Errorf("released in %d slices, %d and %d bytes counted", slices, account.Now.Load(), account.Ever.Load())
	}
	m.h.Pin = nil
	s.Free(m.h.Arena)
	if used := int64(m.tree.UsedBytes(m.h.Arena.Space())); used != m.h.Arena.UsedBytes() {
		t.Errorf("%d bytes used, the arena says %d", used, m.h.Arena.UsedBytes())
	}
}
