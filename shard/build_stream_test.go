package shard

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"fulmen/internal/listpack"
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// namedText is what there is of a stream's groups, with names for numbers.
func namedText(s *Stream) string {
	var b strings.Builder
	s.EachGroup(func(name []byte, g *StreamGroup) bool {
		fmt.Fprintf(&b, "group %q %v %d\n", name, g.LastID, g.EntriesRead)
		var r PendingRange
		for s.PendingRange(&r, g, nil, stream.ID{}); r.Next(); {
			fmt.Fprintf(&b, "%v %d %d %q\n", r.ID, r.DeliveredMs, r.Deliveries, s.AppendConsumerName(nil, r.Consumer))
		}
		s.EachConsumer(g, func(name []byte, c *StreamConsumer) bool {
			fmt.Fprintf(&b, "consumer %q %d: %d pending\n", name, c.SeenMs, s.ConsumerPendingLen(c))
			return true
		})
		return true
	})
	return b.String()
}

// rebuild hands all that a stream consists of to a builder.
func rebuild(s *Stream, b *Builder) error {
	if err := b.Begin(object.Source{Type: object.Stream}); err != nil {
		return err
	}
	v := s.view()
	var p tree.Path
	last := stream.ID{}
	for v.Nodes.First(v.Space, &p); p.Valid(); p.Next() {
		f, err := stream.Check(p.View(nil), object.NodeID(&p), last, last == stream.ID{})
		if err == nil {
			err = b.StreamNode(object.NodeID(&p), p.View(nil), &f)
		}
		if err != nil {
			return err
		}
		last = object.NodeID(&p)
	}
	if err := b.StreamInfo(&v.Info); err != nil {
		return err
	}
	var err error
	note := func(e error) bool {
		if err == nil {
			err = e
		}
		return err == nil
	}
	v.EachGroup(func(name []byte, g *object.Group) bool {
		note(b.Group(name, g.LastID, g.EntriesRead))
		v.EachPending(g.Number, func(x *object.Pending) bool {
			return note(b.Pending(x.ID, x.DeliveredMs, x.Deliveries))
		})
		v.EachConsumer(g.Number, func(name []byte, c *object.Consumer) bool {
			note(b.Consumer(name, c.SeenMs))
			v.EachPending(c.Number, func(x *object.Pending) bool { return note(b.Owned(x.ID)) })
			return err == nil
		})
		return err == nil
	})
	return err
}

// TestBuildStream: what is built of all that a stream consists of is the same stream; if it is dropped, nothing is
// left.
func TestBuildStream(t *testing.T) {
	for seed := range uint64(4) {
		m := newStreamModel(t, seed, StreamLimits{4096, 20})
		if err := m.run(400); err != nil {
			t.Fatal(err)
		}
		s := m.stream()
		var b Builder
		sh := m.set.Shards[0]
		sh.Builder(&b, &testBuildLimits)
		before := sh.arena.UsedBytes()
		if err := rebuild(&s, &b); err != nil {
			t.Fatal(err)
		}
		b.Drop()
		for !sh.FreeSome(1000) {
		}
		if used := sh.arena.UsedBytes(); used != before {
			t.Errorf("seed %d: %d bytes are left of what was dropped", seed, used-before)
		}
		if err := rebuild(&s, &b); err != nil {
			t.Fatal(err)
		}
		k := m.set.Key([]byte("built"))
		b.Put(sh.DB(0), k, 0, 0)
		built := Stream{sh.DB(0).LookValue(k, 1)}
		if got, want := namedText(&built), namedText(&s); got != want {
			t.Errorf("seed %d: groups\n%.500s\nwant\n%.500s", seed, got, want)
		}
		m.k = k // its checks are for the one that was built from now on
		if m.check(); m.err != nil {
			t.Errorf("seed %d: %v", seed, m.err)
		}
	}
}

// TestBuildStreamFaults: what occurs twice, or is pending for a consumer alone, is refused.
func TestBuildStreamFaults(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	one, two := stream.ID{Ms: 1}, stream.ID{Ms: 2}
	g, h, c, d := []byte("g"), []byte("h"), []byte("c"), []byte("d")
	for name, f := range map[string]struct {
		build func(b *Builder) []error
		want  error
	}{
		"a group twice": {func(b *Builder) []error {
			return []error{b.Group(g, one, 0), b.Group(g, one, 0)}
		}, ErrTwice},
		"a consumer twice": {func(b *Builder) []error {
			return []error{b.Consumer(c, 0), b.Consumer(c, 0)}
		}, ErrTwice},
		"pending twice": {func(b *Builder) []error {
			return []error{b.Pending(one, 0, 0), b.Pending(one, 0, 0)}
		}, ErrTwice},
		"owned twice": {func(b *Builder) []error {
			return []error{b.Pending(one, 0, 0), b.Consumer(c, 0), b.Owned(one), b.Consumer(d, 0), b.Owned(one)}
		}, ErrTwice},
		"pending for a consumer alone": {func(b *Builder) []error {
			return []error{b.Pending(one, 0, 0), b.Consumer(c, 0), b.Owned(two)}
		}, ErrNotPending},
		"nothing": {func(b *Builder) []error {
			return []error{b.Pending(one, 0, 0), b.Consumer(c, 0), b.Owned(one), b.Group(h, one, 0),
				b.Pending(one, 0, 0), b.Consumer(c, 0), b.Owned(one)}
		}, nil},
	} {
		var b Builder
		set.Shards[0].Builder(&b, &testBuildLimits)
		if err := b.Begin(object.Source{Type: object.Stream}); err != nil {
			t.Fatal(err)
		}
		errs := append([]error{b.Group([]byte("first"), one, 0)}, f.build(&b)...)
		last := len(errs) - 1
		for i, err := range errs {
			if i < last && err != nil || i == last && err != f.want {
				t.Errorf("%s: step %d: %v", name, i, err)
			}
		}
		b.Drop()
	}
}

// TestBuildBigNode: a node that is too big is divided.
func TestBuildBigNode(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	pairs := func(i int) [][]byte {
		return [][]byte{[]byte("f"), fmt.Append(nil, i), fmt.Append(nil, "f", i%3), bytes.Repeat([]byte{'v'}, i%100)}
	}
	const n = 1000
	first := stream.ID{Ms: 1}
	node := stream.AppendNode(nil, pairs(0))
	var r stream.Reader
	for i := 1; i < n; i++ {
		r.Open(node, first)
		h := stream.ReadHeader(node)
		id := stream.ID{Ms: 1, Seq: uint64(i)}
		entry, k := stream.AppendEntry(nil, first, id, pairs(i), r.SameFields(pairs(i)))
		rest := append(bytes.Clone(node[h.Len:len(node)-1]), entry...)
		old := h.Len
		h.Grow(len(entry), k)
		h.Size += len(h.Append(nil)) - old
		node = append(append(h.Append(nil), rest...), listpack.End)
	}
	f, err := stream.Check(node, stream.ID{Ms: 1}, stream.ID{}, true)
	if err != nil || f.Count != n {
		t.Fatalf("%+v, %v", f, err)
	}
	var b Builder
	lim := testBuildLimits
	lim.Stream = StreamLimits{4096, 100}
	set.Shards[0].Builder(&b, &lim)
	k := set.Key([]byte("s"))
	_ = b.Begin(object.Source{Type: object.Stream})
	if err := b.StreamNode(stream.ID{Ms: 1}, node, &f); err != nil {
		t.Fatal(err)
	}
	_ = b.StreamInfo(&StreamInfo{Length: n, LastID: f.Last, FirstID: f.First})
	b.Put(set.Shards[0].DB(0), k, 0, 0)
	s := Stream{set.Shards[0].DB(0).LookValue(k, 1)}
	if nodes, _ := s.Nodes(); nodes < n/100 || nodes > n/10 {
		t.Errorf("%d nodes", nodes)
	}
	var x StreamRange
	s.Range(&x, stream.ID{}, stream.MaxID(), false)
	all := entriesOf(&x)
	if len(all) != n {
		t.Fatalf("%d entries", len(all))
	}
	for i, e := range all {
		if e.id != (stream.ID{Ms: 1, Seq: uint64(i)}) || e.pairs != pairsText(pairs(i)) {
			t.Fatalf("entry %d is %v %q", i, e.id, e.pairs)
		}
	}
}
