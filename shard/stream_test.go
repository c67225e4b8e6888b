package shard

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// streamEntry is an entry of the model.
type streamEntry struct {
	id    stream.ID
	pairs string
}

// streamModel is a stream beside slices and maps.
type streamModel struct {
	set     *Set
	rnd     *rand.Rand
	k       Key
	lim     StreamLimits
	entries []streamEntry
	info    StreamInfo
	groups  map[string]*groupModel
	names   []string
	gone    []stream.ID // some that were deleted
	pinned  *Pinned
	pinInfo object.StreamInfo
	pinSaid []streamEntry
	pinText string // of groups
	err     error
}

// groupModel is a group of the model.
type groupModel struct {
	last      stream.ID
	read      int64
	consumers map[string]int64 // when they were seen
	pending   map[stream.ID]pendingModel
}

type pendingModel struct {
	consumer string
	at, n    int64
}

func newStreamModel(t *testing.T, seed uint64, lim StreamLimits) *streamModel {
	set, _ := newTestSet(t, 1, 1)
	return &streamModel{
		set: set, rnd: rand.New(rand.NewPCG(seed, 77)), k: set.Key([]byte("stream")), lim: lim,
		groups: map[string]*groupModel{},
		names:  []string{"a", "a\x00", "ab", "", "b\x00\x00c", "\x00", strings.Repeat("long", 400), "c", "d\xff"},
	}
}

func (m *streamModel) failf(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *streamModel) stream() Stream { return Stream{m.set.Shards[0].DB(0).LookValue(m.k, 1)} }

func (m *streamModel) name() string { return m.names[m.rnd.IntN(len(m.names))] }

// text is a field or a value.
func (m *streamModel) text() []byte {
	switch m.rnd.IntN(12) {
	case 0:
		return fmt.Append(nil, m.rnd.Int64()>>m.rnd.IntN(64))
	case 1:
		return bytes.Repeat([]byte{'x'}, m.rnd.IntN(300))
	case 2:
		if m.rnd.IntN(12) == 0 {
			return bytes.Repeat([]byte("abc"), m.rnd.IntN(9000))
		}
	}
	return fmt.Append(nil, "v", m.rnd.IntN(1000))
}

func (m *streamModel) pairs() (pairs [][]byte) {
	n := 1 + m.rnd.IntN(3)
	same := m.rnd.IntN(3) > 0
	for i := range n {
		field := m.text()
		if same {
			field = fmt.Append(nil, "f", i, "0"[:m.rnd.IntN(2)*m.rnd.IntN(2)])
		}
		pairs = append(pairs, field, m.text())
	}
	return pairs
}

func pairsText(pairs [][]byte) string { return string(bytes.Join(pairs, []byte(" "))) }

func (m *streamModel) nextID() stream.ID {
	id := m.info.LastID
	switch m.rnd.IntN(4) {
	case 0:
		id.Ms += uint64(m.rnd.IntN(70_000))
		id.Seq++
	case 1:
		id = stream.ID{Ms: id.Ms + 1, Seq: uint64(m.rnd.IntN(3))}
	default:
		id.Seq += 1 + uint64(m.rnd.IntN(200))
	}
	return id
}

// someID is one of an entry mostly.
func (m *streamModel) someID() stream.ID {
	switch k := m.rnd.IntN(10); {
	case k == 0 && len(m.gone) > 0:
		return m.gone[m.rnd.IntN(len(m.gone))]
	case k == 1:
		return stream.ID{Ms: uint64(m.rnd.Int64N(int64(m.info.LastID.Ms) + 2)), Seq: uint64(m.rnd.IntN(4))}
	case len(m.entries) > 0:
		return m.entries[m.rnd.IntN(len(m.entries))].id
	}
	return stream.ID{Ms: 1}
}

func (m *streamModel) at(id stream.ID) (i int, ok bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e streamEntry, id stream.ID) int { return e.id.Compare(id) })
}

func (m *streamModel) step() {
	s := m.stream()
	switch k := m.rnd.IntN(100); {
	case !s.Exists() && k < 30:
		s.Create()
	case !s.Exists() || k < 50:
		for range 1 + m.rnd.IntN(8) {
			id, pairs := m.nextID(), m.pairs()
			s.Add(&m.lim, id, pairs)
			m.entries = append(m.entries, streamEntry{id, pairsText(pairs)})
			m.info.Added++
			m.info.LastID = id
		}
	case k < 65:
		for range 1 + m.rnd.IntN(4) {
			m.remove(&s, m.someID())
		}
	case k < 70:
		m.trim(&s)
	case k < 73:
		m.info.MaxDeleted = m.someID()
		m.info.LastID, m.info.Added = m.nextID(), m.info.Added+3
		if m.rnd.IntN(2) == 0 { // behind what was deleted
			m.info.LastID = stream.ID{}
			if n := len(m.entries); n > 0 {
				m.info.LastID = m.entries[n-1].id
			}
		}
		s.SetInfo(m.info)
	default:
		m.stepGroup(&s)
	}
	m.info.Length, m.info.FirstID = uint64(len(m.entries)), stream.ID{}
	if len(m.entries) > 0 {
		m.info.FirstID = m.entries[0].id
	}
}

func (m *streamModel) remove(s *Stream, id stream.ID) {
	i, ok := m.at(id)
	if got := s.Has(id); got != ok {
		m.failf("has %v: %v", id, got)
	}
	if got := s.Delete(id); got != ok {
		m.failf("deleting %v: %v, want %v", id, got, ok)
	}
	if ok {
		m.entries = slices.Delete(m.entries, i, i+1)
		m.gone = append(m.gone, id)
		if m.info.MaxDeleted.Less(id) {
			m.info.MaxDeleted = id
		}
	}
}

func (m *streamModel) trim(s *Stream) {
	how := StreamTrim{
		ByID: m.rnd.IntN(2) == 0, MaxLen: uint64(m.rnd.IntN(len(m.entries) + 3)), MinID: m.someID(),
		Approx: m.rnd.IntN(2) == 0,
	}
	if m.rnd.IntN(4) == 0 {
		how.Limit = int64(m.rnd.IntN(300))
	}
	most, _ := m.at(how.MinID)
	if !how.ByID {
		most = max(len(m.entries)-int(min(how.MaxLen, 1<<30)), 0)
	}
	before := s.Info()
	n := int(s.Trim(&how))
	exact := !how.Approx && how.Limit == 0
	if n > most || exact && n != most || how.Limit > 0 && int64(n) > how.Limit {
		m.failf("trimming by %+v has removed %d of %d entries, %d may go", how, n, len(m.entries), most)
		return
	}
	if s.Info().MaxDeleted != before.MaxDeleted || s.Info().Added != before.Added {
		m.failf("trimming has changed %+v to %+v", before, s.Info())
	}
	m.entries = slices.Delete(m.entries, 0, n)
}

func (m *streamModel) stepGroup(s *Stream) {
	name := m.name()
	var g StreamGroup
	want, there := m.groups[name]
	if s.Group(&g, []byte(name)) != there {
		m.failf("group %.20q is there: %v", name, !there)
		return
	}
	switch k := m.rnd.IntN(20); {
	case !there || k == 0:
		if s.CreateGroup([]byte(name), m.info.LastID, -1) == there {
			m.failf("creating %.20q", name)
		}
		if !there {
			m.groups[name] = &groupModel{m.info.LastID, -1, map[string]int64{}, map[stream.ID]pendingModel{}}
		}
	case k == 1 && m.rnd.IntN(3) == 0:
		s.DestroyGroup(&g)
		delete(m.groups, name)
	case k == 2:
		want.last, want.read = m.someID(), m.rnd.Int64N(100)-1
		s.SetGroup(&g, want.last, want.read)
	default:
		m.stepConsumer(s, &g, want)
	}
}

func (m *streamModel) stepConsumer(s *Stream, g *StreamGroup, want *groupModel) {
	name, now := m.name(), m.rnd.Int64N(1<<41)
	var c StreamConsumer
	_, there := want.consumers[name]
	if s.Consumer(g, &c, []byte(name)) != there {
		m.failf("consumer %.20q is there: %v", name, !there)
		return
	}
	switch k := m.rnd.IntN(20); {
	case !there:
		s.CreateConsumer(g, &c, []byte(name), now)
		want.consumers[name] = now
	case k == 0:
		n := 0
		for id, x := range want.pending {
			if x.consumer == name {
				delete(want.pending, id)
				n++
			}
		}
		if got := s.DeleteConsumer(g, &c); got != n {
			m.failf("deleting a consumer: %d pending, want %d", got, n)
		}
		delete(want.consumers, name)
	case k < 3:
		s.Seen(&c, now)
		want.consumers[name] = now
	case k < 10:
		for range m.rnd.IntN(6) {
			id := m.someID()
			_, there := want.pending[id]
			if got := s.Ack(g, id); got != there {
				m.failf("acknowledging %v: %v", id, got)
			}
			delete(want.pending, id)
		}
	default:
		for range 1 + m.rnd.IntN(6) {
			x := StreamPending{
				ID: m.someID(), DeliveredMs: now, Deliveries: m.rnd.Int64N(9), Consumer: c.Number,
			}
			s.SetPending(g, &x)
			want.pending[x.ID] = pendingModel{name, now, x.Deliveries}
		}
	}
}

// entriesOf reads entries.
func entriesOf(r *StreamRange) (all []streamEntry) {
	var f, v object.Text
	for r.Next() {
		var pairs [][]byte
		for range r.Pairs {
			r.Pair(&f, &v)
			pairs = append(pairs, f.AppendTo(nil), v.AppendTo(nil))
		}
		all = append(all, streamEntry{r.ID, pairsText(pairs)})
	}
	return all
}

func (m *streamModel) compare(what string, got, want []streamEntry) {
	if len(got) != len(want) {
		m.failf("%s: %d entries, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if got[i] != want[i] {
			m.failf("%s: entry %d: %v %.60q, want %v %.60q", what, i, got[i].id, got[i].pairs, want[i].id,
				want[i].pairs)
			return
		}
	}
}

func (m *streamModel) check() {
	s := m.stream()
	if !s.Exists() {
		return
	}
	if s.Info() != m.info {
		m.failf("%+v, want %+v", s.Info(), m.info)
	}
	t := s.trees()
	for _, one := range []*tree.Tree{&t.A, &t.B} {
		if err := one.Check(s.space()); err != nil {
			m.failf("%w", err)
			return
		}
	}
	var r StreamRange
	s.Range(&r, stream.ID{}, stream.MaxID(), m.rnd.IntN(2) == 0)
	if m.rnd.IntN(4) == 0 {
		s.Range(&r, stream.ID{}, stream.MaxID(), false)
		m.compare("all", entriesOf(&r), m.entries)
	}
	m.nodes(&t)
	from, to := m.someID(), m.someID()
	i, _ := m.at(from)
	j, ok := m.at(to)
	if ok {
		j++
	}
	want := slices.Clone(m.entries[i:max(i, j)])
	s.Range(&r, from, to, false)
	m.compare(fmt.Sprint("from ", from, " to ", to), entriesOf(&r), want)
	s.Range(&r, from, to, true)
	slices.Reverse(want)
	m.compare(fmt.Sprint("backwards from ", to, " to ", from), entriesOf(&r), want)
	m.checkGroups(&s)
}

// nodes has every node checked as if it came from outside.
func (m *streamModel) nodes(t *object.Trees) {
	var p tree.Path
	last, first := stream.ID{}, true
	for t.A.First(m.set.Space, &p); p.Valid() && m.err == nil; p.Next() {
		f, err := stream.Check(p.View(nil), object.NodeID(&p), last, first)
		if err != nil {
			m.failf("node %v: %w", object.NodeID(&p), err)
		}
		if last, first = object.NodeID(&p), false; f.Count > 0 {
			last = f.Last
		}
	}
}

func (m *streamModel) checkGroups(s *Stream) {
	var names []string
	s.EachGroup(func(name []byte, g *StreamGroup) bool {
		names = append(names, string(name))
		want := m.groups[string(name)]
		if want == nil || g.LastID != want.last || g.EntriesRead != want.read {
			m.failf("group %.20q: %+v, want %+v", name, g, want)
			return false
		}
		m.checkConsumers(s, g, want)
		m.checkPending(s, g, want)
		return m.err == nil
	})
	if len(names) != len(m.groups) && m.err == nil || !slices.IsSorted(names) || s.Groups() != len(m.groups) {
		m.failf("groups %.20q, %d, want %d", names, s.Groups(), len(m.groups))
	}
}

func (m *streamModel) checkConsumers(s *Stream, g *StreamGroup, want *groupModel) {
	var names []string
	s.EachConsumer(g, func(name []byte, c *StreamConsumer) bool {
		names = append(names, string(name))
		seen, ok := want.consumers[string(name)]
		if !ok || seen != c.SeenMs || c.Group != g.Number {
			m.failf("consumer %.20q: %+v, want %v", name, c, seen)
		}
		if got := string(s.AppendConsumerName(nil, c.Number)); got != string(name) {
			m.failf("consumer %d is %q", c.Number, got)
		}
		var ids []stream.ID
		for id, x := range want.pending {
			if x.consumer == string(name) {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, stream.ID.Compare)
		var r PendingRange
		var got []stream.ID
		for s.PendingRange(&r, g, c, stream.ID{}); r.Next(); {
			got = append(got, r.ID)
			if r.Consumer != c.Number || r.DeliveredMs != want.pending[r.ID].at {
				m.failf("pending for %.20q: %+v", name, r.StreamPending)
			}
		}
		if !slices.Equal(ids, got) || s.ConsumerPendingLen(c) != len(ids) {
			m.failf("pending for %.20q: %v, %d, want %v", name, got, s.ConsumerPendingLen(c), ids)
		}
		return m.err == nil
	})
	if len(names) != len(want.consumers) || !slices.IsSorted(names) || s.Consumers(g) != len(names) {
		m.failf("consumers %.20q, %d, want %d", names, s.Consumers(g), len(want.consumers))
	}
}

func (m *streamModel) checkPending(s *Stream, g *StreamGroup, want *groupModel) {
	from := m.someID()
	var ids, got []stream.ID
	for id, x := range want.pending {
		if !id.Less(from) {
			ids = append(ids, id)
		}
		var p StreamPending
		if !s.Pending(g, id, &p) || p.ID != id || p.Deliveries != x.n || p.DeliveredMs != x.at ||
			string(s.AppendConsumerName(nil, p.Consumer)) != x.consumer {
			m.failf("pending %v: %+v, want %+v", id, p, x)
			return
		}
	}
	slices.SortFunc(ids, stream.ID.Compare)
	var r PendingRange
	for s.PendingRange(&r, g, nil, from); r.Next(); {
		got = append(got, r.ID)
	}
	if !slices.Equal(ids, got) || s.PendingLen(g) != len(want.pending) {
		m.failf("pending from %v: %v, %d in all, want %v", from, got, s.PendingLen(g), ids)
	}
	if len(want.pending) > 0 {
		first, last := s.PendingEdges(g)
		if _, ok := want.pending[first]; !ok || last.Less(first) {
			m.failf("pending from %v to %v", first, last)
		}
	}
}

func (m *streamModel) pin() {
	s := m.stream()
	switch {
	case m.pinned == nil && s.ok && m.rnd.IntN(20) == 0:
		m.set.Cut()
		m.pinInfo, m.pinSaid = s.Info(), slices.Clone(m.entries)
		v := s.view()
		m.pinText = groupsText(&v)
		p := m.set.Shards[0].Pin(s.e)
		m.pinned = &p
	case m.pinned != nil && m.rnd.IntN(20) == 0:
		m.unpin()
	}
}

func (m *streamModel) unpin() {
	if m.pinned == nil {
		return
	}
	t := m.pinned.Nodes.Trees()
	v := object.StreamView{Space: m.set.Space, Nodes: t.A, Group: t.B, Info: m.pinInfo}
	var r object.Entries
	r.Range(&v, stream.ID{}, stream.MaxID(), false)
	m.compare("what was pinned", entriesOf(&r), m.pinSaid)
	if err := v.Group.Check(m.set.Space); err != nil {
		m.failf("what was pinned: %w", err)
	} else if got := groupsText(&v); got != m.pinText {
		m.failf("groups that were pinned: %.200s, want %.200s", got, m.pinText)
	}
	for !m.set.Shards[0].Unpin(m.pinned, 20) {
	}
	m.pinned = nil
}

// groupsText is all that there is of groups.
func groupsText(v *object.StreamView) string {
	var b strings.Builder
	v.EachGroup(func(name []byte, g *object.Group) bool {
		fmt.Fprintf(&b, "group %q %+v\n", name, *g)
		v.EachPending(g.Number, func(x *object.Pending) bool {
			fmt.Fprintf(&b, "%+v\n", *x)
			return true
		})
		v.EachConsumer(g.Number, func(name []byte, c *object.Consumer) bool {
			fmt.Fprintf(&b, "consumer %q %+v\n", name, *c)
			v.EachPending(c.Number, func(x *object.Pending) bool {
				fmt.Fprintf(&b, "%v\n", x.ID)
				return true
			})
			return true
		})
		return true
	})
	return b.String()
}

func (m *streamModel) run(steps int) error {
	for i := 0; i < steps && m.err == nil; i++ {
		m.step()
		m.check()
		m.pin()
	}
	if m.err == nil {
		m.unpin()
	}
	return m.err
}

// TestStreamModel makes random changes to streams and their groups.
func TestStreamModel(t *testing.T) {
	for _, c := range []struct {
		name  string
		lim   StreamLimits
		steps int
	}{
		{"default", StreamLimits{4096, 100}, 1500},
		{"a few entries a node", StreamLimits{4096, 3}, 700},
		{"many entries a node", StreamLimits{0, 0}, 1500},
		{"small nodes", StreamLimits{200, 100}, 700},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				m := newStreamModel(t, seed, c.lim)
				if err := m.run(c.steps); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				m.copies(t)
				s := m.stream()
				s.Remove()
				for !m.set.Shards[0].FreeSome(1000) {
				}
				if used := m.set.Shards[0].arena.UsedBytes(); used > 64<<10 {
					t.Errorf("%d bytes are in use", used)
				}
			}
		})
	}
}

// copies compares a copy of the stream with it, after the stream has changed, and removes it.
func (m *streamModel) copies(t *testing.T) {
	db := m.set.Shards[0].DB(0)
	to := m.set.Key([]byte("copy"))
	db.CopyTo(m.k, db, to)
	want := slices.Clone(m.entries)
	info := m.info
	s := m.stream()
	for _, e := range m.entries {
		s.Delete(e.id)
	}
	c := Stream{db.LookValue(to, 1)}
	var r StreamRange
	c.Range(&r, stream.ID{}, stream.MaxID(), false)
	m.compare("the copy", entriesOf(&r), want)
	if m.err != nil || c.Info() != info {
		t.Fatalf("the copy: %v, %+v, want %+v", m.err, c.Info(), info)
	}
	c.Remove()
}

// TestStreamNumbers: the numbers of groups and consumers that are gone are used again.
func TestStreamNumbers(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := Stream{set.Shards[0].DB(0).LookValue(set.Key([]byte("s")), 1)}
	s.Create()
	s.CreateGroup([]byte("g"), stream.ID{}, 0)
	var g StreamGroup
	s.Group(&g, []byte("g"))
	rnd := rand.New(rand.NewPCG(1, 1))
	have := map[string]StreamConsumer{}
	for i := range 3000 {
		name := fmt.Sprint(rnd.IntN(40))
		c, there := have[name]
		if there {
			s.DeleteConsumer(&g, &c)
			delete(have, name)
			continue
		}
		s.CreateConsumer(&g, &c, []byte(name), int64(i))
		if have[name] = c; c.Number < 2 || c.Number > uint32(len(have))+1 {
			t.Fatalf("%d consumers, and one has the number %d", len(have), c.Number)
		}
	}
}

// TestPendingOrder: where numbers or times are too high for keys, what is pending keeps its order.
func TestPendingOrder(t *testing.T) {
	type place struct {
		number uint32
		id     stream.ID
	}
	numbers := []uint32{1, 2, 1<<11 - 4, 1<<11 - 3, 1<<11 - 2, 1<<11 - 1, 1 << 11, 1 << 21, math.MaxUint32 - 1}
	times := []uint64{0, 1, 255, 256, 1<<42 - 2, 1<<42 - 1, 1 << 42, 1<<42 + 1, math.MaxUint64}
	var all []place
	for _, n := range numbers {
		for _, ms := range times {
			for _, seq := range []uint64{0, 1, 1022, 1023, 1024, 1<<44 - 2, 1<<44 - 1, 1 << 44, math.MaxUint64} {
				all = append(all, place{n, stream.ID{Ms: ms, Seq: seq}})
			}
		}
	}
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		ka, kb := object.PendingKey(a.number, a.id), object.PendingKey(b.number, b.id)
		c := cmp.Or(cmp.Compare(ka, kb), bytes.Compare(object.AppendPendingID(nil, a.number, a.id),
			object.AppendPendingID(nil, b.number, b.id)))
		if c >= 0 || ka <= object.NameKey(math.MaxUint32) {
			t.Errorf("%v is not before %v", a, b)
		}
	}
}

// TestStreamModelNoticesFaults plants mistakes in a stream and shows that the model's next check finds them.
func TestStreamModelNoticesFaults(t *testing.T) {
	first := func(s *Stream, t *object.Trees) (g StreamGroup, x StreamPending) {
		s.EachGroup(func(_ []byte, have *StreamGroup) bool {
			g = *have
			return s.PendingLen(have) == 0
		})
		var r PendingRange
		if s.PendingRange(&r, &g, nil, stream.ID{}); !r.Next() {
			panic("nothing is pending")
		}
		return g, r.StreamPending
	}
	for _, c := range []struct {
		name  string
		plant func(s *Stream, t *object.Trees, h *tree.Heap)
	}{
		{"none", func(*Stream, *object.Trees, *tree.Heap) {}},
		{"a header counts one entry less", func(s *Stream, t *object.Trees, h *tree.Heap) {
			var p tree.Path
			t.A.First(s.space(), &p)
			hd := object.NodeHeader(s.space(), &p)
			hd.Count--
			t.A.PatchBody(h, &p, 0, hd.Append(nil))
		}},
		{"a node is gone", func(s *Stream, t *object.Trees, h *tree.Heap) { t.A.DeleteRange(h, 1, 2) }},
		{"an entry is marked and not counted", func(s *Stream, t *object.Trees, h *tree.Heap) {
			var p tree.Path
			var r stream.Reader
			t.A.First(s.space(), &p)
			object.OpenNode(s.space(), &p, &r, nil)
			r.Next()
			for r.Deleted {
				r.Next()
			}
			s.mark(&t.A, h, &p, &r)
		}},
		{"the length is another", func(s *Stream, t *object.Trees, _ *tree.Heap) {
			in := s.Info()
			in.Length++
			in.Store(s.payload())
		}},
		{"something is pending in the group alone", func(s *Stream, t *object.Trees, h *tree.Heap) {
			_, x := first(s, t)
			var p tree.Path
			object.SeekPending(s.space(), &t.B, &p, x.Consumer, x.ID, s.room().pending[:])
			t.B.Delete(h, &p, 1)
		}},
		{"something is pending for a consumer alone", func(s *Stream, t *object.Trees, h *tree.Heap) {
			g, x := first(s, t)
			var p tree.Path
			object.SeekPending(s.space(), &t.B, &p, g.Number, x.ID, s.room().pending[:])
			t.B.Delete(h, &p, 1)
		}},
		{"a name is gone", func(s *Stream, t *object.Trees, h *tree.Heap) {
			from, _ := object.NameRanks(s.space(), &t.B, 0)
			t.B.DeleteRange(h, from, from+1)
		}},
	} {
		m := newStreamModel(t, 3, StreamLimits{4096, 20})
		if err := m.run(300); err != nil {
			t.Fatal(err)
		}
		s := m.stream()
		s.change()
		tr := s.trees()
		h := s.heap(&tr)
		c.plant(&s, &tr, h)
		s.store(&tr)
		for range 5 {
			m.check()
		}
		if (m.err != nil) != (c.name != "none") {
			t.Errorf("%s: %v", c.name, m.err)
		}
	}
}

// TestDeleteConsumer: what is pending for other consumers, and in other groups, stays.
func TestDeleteConsumer(t *testing.T) {
	set, _ := newTestSet(t, 1, 1)
	s := Stream{set.Shards[0].DB(0).LookValue(set.Key([]byte("s")), 1)}
	s.Create()
	rnd := rand.New(rand.NewPCG(1, 2))
	var groups [2]StreamGroup
	var consumers [2][3]StreamConsumer
	for i := range groups {
		s.CreateGroup(fmt.Append(nil, i), stream.ID{}, 0)
		s.Group(&groups[i], fmt.Append(nil, i))
		for j := range consumers[i] {
			s.CreateConsumer(&groups[i], &consumers[i][j], fmt.Append(nil, j), 1)
		}
	}
	want := [2][3]int{}
	for id := range uint64(5000) {
		for i := range groups {
			j := min(rnd.IntN(30), 2) // mostly the last one
			s.SetPending(&groups[i], &StreamPending{ID: stream.ID{Ms: 1, Seq: id}, Consumer: consumers[i][j].Number})
			want[i][j]++
		}
	}
	for _, j := range []int{2, 0, 1} {
		if got := s.DeleteConsumer(&groups[0], &consumers[0][j]); got != want[0][j] {
			t.Errorf("%d pending are gone, want %d", got, want[0][j])
		}
		want[0][j] = 0
		for i := range groups {
			if got := s.PendingLen(&groups[i]); got != want[i][0]+want[i][1]+want[i][2] {
				t.Errorf("%d pending in group %d, want %v", got, i, want[i])
			}
		}
		tr := s.trees()
		if err := tr.B.Check(s.space()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPendingMemory: what is pending takes no more than it does in Redis, and nothing of it is on the Go heap.
func TestPendingMemory(t *testing.T) {
	const n = 200_000
	set, _ := newTestSet(t, 1, 1)
	s := Stream{set.Shards[0].DB(0).LookValue(set.Key([]byte("s")), 1)}
	s.Create()
	s.CreateGroup([]byte("g"), stream.ID{}, 0)
	var g StreamGroup
	var c StreamConsumer
	s.Group(&g, []byte("g"))
	s.CreateConsumer(&g, &c, []byte("c"), 1)
	before := set.Shards[0].arena.UsedBytes()
	i := uint64(0)
	allocs := testing.AllocsPerRun(n-1, func() {
		id := stream.ID{Ms: 1_700_000_000_000 + i/10, Seq: i % 10}
		s.SetPending(&g, &StreamPending{ID: id, DeliveredMs: 5, Deliveries: 1, Consumer: c.Number})
		i++
	})
	each := float64(set.Shards[0].arena.UsedBytes()-before) / n
	if allocs > 0 || each > 100 || s.PendingLen(&g) != n {
		t.Errorf("%v allocations, %.1f bytes each, %d pending", allocs, each, s.PendingLen(&g))
	}
	t.Logf("%.1f bytes each", each)
}
