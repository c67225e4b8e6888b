package shard

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// listModel is a list beside a slice with what should be in it.
type listModel struct {
	t     *testing.T
	set   *Set
	rnd   *rand.Rand
	key   Key
	nowMs int64
	want  [][]byte
	most  int // length that it is kept below
}

func (m *listModel) list() *List {
	l := &List{Value: m.set.Shards[0].DB(0).Value(m.key, m.nowMs), Fill: []int{-2, -1, -5, 5, 200, 0}[m.rnd.IntN(6)]}
	if l.ok && l.Type() != object.List {
		m.t.Fatal("not a list")
	}
	return l
}

// item returns some bytes: few different ones, of all lengths, integers among them.
func (m *listModel) item() []byte {
	switch m.rnd.IntN(12) {
	case 0:
		return bytes.Repeat([]byte{byte(m.rnd.IntN(3))}, m.rnd.IntN(5000))
	case 1:
		return bytes.Repeat([]byte{'x'}, m.rnd.IntN(300))
	case 2, 3:
		return fmt.Append(nil, m.rnd.Int64()>>m.rnd.IntN(64)-5)
	}
	return fmt.Append(nil, "item", m.rnd.IntN(6))
}

// check compares the whole list, forwards, backwards and as it is replied, and looks whether it is sound.
func (m *listModel) check() {
	l := m.list()
	if l.ok != (len(m.want) > 0) || l.Len() != len(m.want) {
		m.t.Fatalf("%d items (there: %v), want %d", l.Len(), l.ok, len(m.want))
	}
	if !l.ok {
		return
	}
	reply, n := []byte(nil), 0
	l.Each(0, false, func(it *ListItem) bool {
		if it.Rank != n || !bytes.Equal(it.Append(nil), m.want[n]) || !it.Equal(m.want[n]) ||
			it.Len() != len(m.want[n]) {
			m.t.Fatalf("item %d (as %d) is %.100q, want %.100q", n, it.Rank, it.Append(nil), m.want[n])
		}
		n++
		return true
	})
	l.Each(n-1, true, func(it *ListItem) bool {
		n--
		if it.Rank != n || !it.Equal(m.want[n]) {
			m.t.Fatalf("backwards, item %d is wrong", n)
		}
		return true
	})
	for _, b := range m.want {
		reply = resp.AppendBulk(reply, b)
	}
	var got []byte
	for from := 0; from < l.Len(); {
		k := 0
		got, k = l.AppendBulks(got, from, l.Len()-from, len(got)+m.rnd.IntN(1000))
		from += k
	}
	if n != 0 || !bytes.Equal(got, reply) {
		m.t.Fatal("replied otherwise, or not backwards to the beginning")
	}
	if l.packed() {
		if p := l.payload(); l.seek(l.Len()) != len(p) || !l.fitsPacked(len(p)) || l.Len() > object.MaxPackedItems {
			m.t.Fatal("a packed list that is none")
		}
		return
	}
	t := l.trees()
	if err := t.A.Check(l.space()); err != nil {
		m.t.Fatal(err)
	}
	was := t.Note
	if l.recount(&t); was != sizeUnknown && t.Note != was {
		m.t.Fatalf("said to have %d bytes, has %d", was, t.Note)
	}
	if !l.has(object.FlagBig) && was == sizeUnknown {
		m.t.Fatal("a listpack of unknown size")
	}
}

func (m *listModel) rank() int { return m.rnd.IntN(len(m.want)) }

func (m *listModel) step() {
	l, front := m.list(), m.rnd.IntN(2) == 0
	op := m.rnd.IntN(9)
	if !l.ok || len(m.want) < m.most/2 && m.rnd.IntN(3) > 0 {
		op = 0
	}
	switch op {
	case 0, 1:
		var items [][]byte
		for range 1 + m.rnd.IntN(20) {
			items = append(items, m.item())
		}
		l.Push(front, items...)
		if !front {
			m.want = append(m.want, items...)
			break
		}
		slices.Reverse(items)
		m.want = append(items, m.want...)
	case 2:
		from := m.rank()
		n := min(m.rnd.IntN(30), len(m.want)-from)
		l.Delete(from, n)
		m.want = slices.Delete(m.want, from, from+n)
	case 3:
		rank, b := m.rank(), m.item()
		l.Set(rank, b)
		m.want[rank] = b
	case 4:
		rank, b := m.rnd.IntN(len(m.want)+1), m.item()
		l.Insert(rank, b)
		m.want = slices.Insert(m.want, rank, b)
	case 5:
		m.removeEqual(l, front)
	case 6:
		from := m.rnd.IntN(20)
		to := max(len(m.want)-m.rnd.IntN(20), 0)
		if from = min(from, len(m.want)); from >= to {
			from, to = 0, 0
		}
		l.Trim(from, to)
		m.want = slices.Clone(m.want[from:to])
	case 7:
		toFront := m.rnd.IntN(2) == 0
		i := 0
		if !front {
			i = len(m.want) - 1
		}
		b := m.want[i]
		l.Rotate(front, toFront, b)
		m.want = slices.Delete(m.want, i, i+1)
		if i = 0; !toFront {
			i = len(m.want)
		}
		m.want = slices.Insert(m.want, i, b)
	case 8:
		rank := m.rank()
		if it := l.Item(rank); !it.Equal(m.want[rank]) {
			m.t.Fatalf("item %d is wrong", rank)
		}
	}
	if len(m.want) > m.most {
		n := m.rnd.IntN(m.most)
		l.Trim(n, len(m.want))
		m.want = slices.Clone(m.want[n:])
	}
}

func (m *listModel) removeEqual(l *List, back bool) {
	b, most := m.want[m.rank()], 1+m.rnd.IntN(8)
	removed := 0
	for i := range m.want {
		if back {
			i = len(m.want) - 1 - i
		}
		if removed < most && bytes.Equal(m.want[i], b) {
			m.want[i] = nil
			removed++
		}
	}
	if got := l.RemoveEqual(b, back, most); got != removed {
		m.t.Fatalf("%d removed, want %d", got, removed)
	}
	m.want = slices.DeleteFunc(m.want, func(b []byte) bool { return b == nil })
}

// TestListModel changes lists at random, packed ones and big ones, also while a walk has them pinned.
func TestListModel(t *testing.T) {
	for _, most := range []int{12, 150, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			set, now := newTestSet(t, 1, 1)
			m := &listModel{t: t, set: set, rnd: rand.New(rand.NewPCG(7, uint64(most))), most: most,
				key: set.Key([]byte("list")), nowMs: now.NowMs()}
			var pin *Pinned
			for i := range 4000 {
				m.step()
				if i%5 == 0 || most < 100 {
					m.check()
				}
				l := m.list()
				switch {
				case pin != nil && m.rnd.IntN(20) == 0:
					for !set.Shards[0].Unpin(pin, 20) {
					}
					pin = nil
				case pin == nil && l.ok && !l.packed() && m.rnd.IntN(40) == 0:
					set.Cut()
					p := set.Shards[0].Pin(l.e)
					pin = &p
				}
			}
			if pin != nil {
				for !set.Shards[0].Unpin(pin, 20) {
				}
			}
			if l := m.list(); l.ok {
				l.Trim(0, 0)
			}
			m.want = nil
			m.check()
		})
	}
}

// TestListSizes compares the size that a list is said to have as a listpack with known sizes: those of listpacks that
// Redis makes.
func TestListSizes(t *testing.T) {
	for _, c := range []struct {
		item string
		size int
	}{
		{"", 2}, {"a", 3}, {"0", 2}, {"127", 2}, {"128", 3}, {"-1", 3}, {"-4096", 3}, {"4095", 3}, {"4096", 4},
		{"32768", 5}, {"8388607", 5}, {"8388608", 6}, {"2147483647", 6}, {"2147483648", 10},
		{"-9223372036854775808", 10},
		{"007", 5}, {"9223372036854775808", 21}, {string(make([]byte, 63)), 65}, {string(make([]byte, 64)), 67},
		{string(make([]byte, 125)), 128}, {string(make([]byte, 126)), 130}, {string(make([]byte, 4095)), 4099},
		{string(make([]byte, 4096)), 4103},
	} {
		if got := object.ListpackItem([]byte(c.item), len(c.item)); got != c.size {
			t.Errorf("%.30q takes %d bytes, want %d", c.item, got, c.size)
		}
	}
}
