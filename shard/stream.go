package shard

import (
	"fulmen/internal/listpack"
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Stream is a stream. Its entries are in nodes of some hundred (package stream), each the body of an item of tree A by
// the ID of its first entry; tree B has what there is of consumer groups (object/groups.go). A stream stays when its
// last entry goes.
//
// Nodes are divided as in Redis, so that trimming by whole nodes removes the same: a node is full with
// stream-node-max-entries, or when it had stream-node-max-bytes with the entry that comes. Of the latter no more than
// 4,096 count, so that a node is a page or two, however the parameter is set; an entry that is longer has a node of its
// own, in as many pages as it takes.
type Stream struct{ Value }

// StreamLimits say up to what nodes of entries are filled.
type StreamLimits struct {
	NodeBytes   int64 // 0: no limit but that of all nodes
	NodeEntries int64 // 0: no limit
}

// StreamInfo is what a stream knows of itself beside its entries.
type StreamInfo = object.StreamInfo

// StreamRange goes through entries of a stream.
type StreamRange = object.Entries

// streamRoom is what working with streams needs room for; held with the baton.
type streamRoom struct {
	entry   []byte // an entry or a node that is being made
	node    []byte // a node that is in two pages
	name    []byte
	record  []byte
	pending [object.PendingSize]byte
	lent    object.EntryRoom // to the range that was prepared last
	// edits counts changes of what there is of groups, in all streams.
	edits uint32
}

// keptRoom is the size in bytes up to which room is kept for the next time.
const keptRoom = 64 << 10

func (s *Stream) room() *streamRoom { return &s.db.shard.streams }

// view returns the stream for reading; an empty one if the key isn't there.
func (s *Stream) view() object.StreamView {
	if !s.ok {
		return object.StreamView{Space: s.space()}
	}
	return object.LoadStream(s.space(), s.payload())
}

// Info returns what the stream knows of itself; all zero if the key isn't there.
func (s *Stream) Info() (in StreamInfo) {
	if s.ok {
		in = object.LoadStreamInfo(s.payload())
	}
	return in
}

// Len returns the number of entries; 0 if the key isn't there.
func (s *Stream) Len() int { return int(s.Info().Length) }

// Create makes the key, which isn't there, with a stream without entries.
func (s *Stream) Create() {
	s.make()
	s.changed()
}

func (s *Stream) make() {
	t := object.NewTrees(object.StreamTree)
	s.create(object.StreamTree, 0, object.StreamSize, func(payload []byte) {
		t.Store(payload)
		in := StreamInfo{}
		in.Store(payload)
	})
}

// SetInfo sets the last ID, the highest that was deleted and the number of entries ever added.
func (s *Stream) SetInfo(in StreamInfo) {
	payload := s.change()
	have := object.LoadStreamInfo(payload)
	in.Length, in.FirstID = have.Length, have.FirstID
	in.Store(payload)
}

// Add appends an entry, creating the key if it isn't there. Its ID is above the last one. pairs are fields and values
// by turns, one pair at least, of stream.MaxEntryBytes together at most.
func (s *Stream) Add(lim *StreamLimits, id stream.ID, pairs [][]byte) {
	if !s.ok {
		s.make()
	}
	payload := s.change()
	in := object.LoadStreamInfo(payload)
	t := s.trees()
	s.db.shard.appendEntry(&t.A, s.heap(&t), lim, id, pairs)
	s.store(&t)
	if in.Length == 0 {
		in.FirstID = id
	}
	in.Length++
	in.Added++
	in.LastID = id
	in.Store(payload)
	s.changed()
}

// appendEntry appends an entry to a tree of nodes.
func (s *Shard) appendEntry(t *tree.Tree, h *tree.Heap, lim *StreamLimits, id stream.ID, pairs [][]byte) {
	room, space := &s.streams, s.arena.Space()
	var p tree.Path
	t.Last(space, &p)
	for p.Valid() && !object.NodeID(&p).Less(id) { // all of it is deleted, and XSETID has gone back behind it
		t.Delete(h, &p, 1)
		t.Last(space, &p)
	}
	if p.Valid() {
		if hd := object.NodeHeader(space, &p); lim.room(&hd, pairs) {
			var r stream.Reader
			_, room.node = object.OpenNode(space, &p, &r, room.node)
			b, n := stream.AppendEntry(room.entry[:0], object.NodeID(&p), id, pairs, r.SameFields(pairs))
			b = append(b, listpack.End)
			old, size := hd.Len, hd.Size
			hd.Grow(len(b)-1, n)
			node := t.OwnBody(h, &p)
			node.Write(h, size-1, b)
			p.PutBody(node)
			room.entry = b
			s.putHeader(t, h, &p, old, &hd)
			return
		}
		node := t.OwnBody(h, &p)
		node.Fit(h)
		p.PutBody(node)
	}
	b := stream.AppendNode(room.entry[:0], pairs)
	t.End(space, &p)
	t.Insert(h, &p, id.Ms, id.Seq, b)
	if room.entry = b; cap(b) > keptRoom {
		room.entry = nil
	}
}

// room reports whether a node with the given header has room for an entry.
func (lim *StreamLimits) room(hd *stream.Header, pairs [][]byte) bool {
	most := lim.NodeBytes
	if most == 0 || most > stream.MaxNodeBytes {
		most = stream.MaxNodeBytes
	}
	sum := int64(hd.Size)
	for _, b := range pairs {
		sum += int64(len(b))
	}
	return sum < most && (lim.NodeEntries == 0 || hd.Count+hd.Deleted < lim.NodeEntries)
}

// putHeader writes the header of the node at p, in the place of one of old bytes. p is invalid afterwards.
func (s *Shard) putHeader(t *tree.Tree, h *tree.Heap, p *tree.Path, old int, hd *stream.Header) {
	var room [stream.MaxHeader]byte
	head := hd.Append(room[:0])
	if len(head) == old {
		t.PatchBody(h, p, 0, head)
		return
	}
	hd.Size += len(head) - old
	body := p.Spilled()
	rest := body.AppendRange(nil, s.arena.Space(), old, body.Len()) // rare: a count needs more or fewer bytes
	t.SetBody(h, p, hd.Append(room[:0]), rest)
}

// Range prepares r for the entries with from ≤ ID ≤ to, from the first on or, if rev, from the last backwards. r is
// valid until entries change, or another one is prepared in the shard.
func (s *Stream) Range(r *StreamRange, from, to stream.ID, rev bool) {
	v := s.view()
	r.Lend(&s.room().lent)
	r.Range(&v, from, to, rev)
}

// find goes to an entry, in the trees, and reports whether it is there.
func (s *Stream) find(t *object.Trees, p *tree.Path, r *stream.Reader, id stream.ID) bool {
	space, room := s.space(), s.room()
	if !t.A.SeekID(space, p, id.Ms, id.Seq) && !p.Prev() {
		return false
	}
	_, room.node = object.OpenNode(space, p, r, room.node)
	return r.Seek(id) && r.ID == id
}

// Has reports whether an entry is there.
func (s *Stream) Has(id stream.ID) bool {
	if !s.ok {
		return false
	}
	var p tree.Path
	var r stream.Reader
	t := s.trees()
	return s.find(&t, &p, &r, id)
}

// Delete removes an entry and reports whether it was there. The key stays.
func (s *Stream) Delete(id stream.ID) bool {
	if !s.ok {
		return false
	}
	var p tree.Path
	var r stream.Reader
	t := s.trees()
	if !s.find(&t, &p, &r, id) {
		return false
	}
	payload := s.change()
	t = s.trees()
	h := s.heap(&t)
	hd := object.NodeHeader(s.space(), &p)
	if hd.Count == 1 {
		t.A.Delete(h, &p, 1)
	} else {
		s.mark(&t.A, h, &p, &r)
		hd.Count--
		hd.Deleted++
		s.db.shard.putHeader(&t.A, h, &p, hd.Len, &hd)
	}
	in := object.LoadStreamInfo(payload)
	in.Length--
	if in.MaxDeleted.Less(id) {
		in.MaxDeleted = id
	}
	s.settle(&t, &in, in.FirstID == id)
	return true
}

// mark marks the entry that r is at, in the node at p, as deleted.
func (s *Stream) mark(t *tree.Tree, h *tree.Heap, p *tree.Path, r *stream.Reader) {
	at, flags := r.Mark()
	room := s.room()
	room.entry = append(room.entry[:0], flags)
	t.PatchBody(h, p, at, room.entry)
}

// settle stores trees and info after entries were removed; first: maybe the first one.
func (s *Stream) settle(t *object.Trees, in *StreamInfo, first bool) {
	payload := s.payload()
	s.store(t)
	in.Store(payload)
	if first {
		in.FirstID = stream.ID{}
		var r StreamRange
		s.Range(&r, stream.ID{}, stream.MaxID(), false)
		if r.Next() {
			in.FirstID = r.ID
		}
		in.Store(payload)
	}
	s.changed()
}

// StreamTrim says what Trim removes.
type StreamTrim struct {
	ByID   bool      // entries below MinID; otherwise the oldest of more than MaxLen
	MaxLen uint64    // entries that stay
	MinID  stream.ID //
	Approx bool      // whole nodes only
	Limit  int64     // entries at most, if not 0: no node with more than what is left of that
}

// Trim removes old entries and returns how many it has removed. The key stays.
func (s *Stream) Trim(how *StreamTrim) (removed int64) {
	if !s.ok || s.Len() == 0 {
		return 0
	}
	t, in := s.trees(), s.Info()
	nodes, whole, more := s.wholeNodes(&t, &in, how)
	removed = whole
	partly := more && !how.Approx
	if nodes == 0 && !partly {
		return 0
	}
	s.change()
	t = s.trees()
	h := s.heap(&t)
	t.A.DeleteRange(h, 0, nodes)
	in.Length -= uint64(whole)
	if partly {
		n := s.trimNode(&t.A, h, in.Length, how)
		removed += n
		in.Length -= uint64(n)
	}
	if removed == 0 {
		s.store(&t)
		return 0
	}
	s.settle(&t, &in, true)
	return removed
}

// wholeNodes returns how many nodes may go as a whole, the entries in them, and whether the next one may go in part.
func (s *Stream) wholeNodes(t *object.Trees, in *StreamInfo, how *StreamTrim) (nodes int, removed int64, more bool) {
	space, room := s.space(), s.room()
	left := in.Length
	var p tree.Path
	var r stream.Reader
	for t.A.First(space, &p); p.Valid(); p.Next() {
		if !how.ByID && left <= how.MaxLen {
			return nodes, removed, false
		}
		n := object.NodeHeader(space, &p).Count
		if how.Limit > 0 && removed+n > how.Limit {
			return nodes, removed, false
		}
		whole := left-uint64(n) >= how.MaxLen
		if how.ByID {
			_, room.node = object.OpenNode(space, &p, &r, room.node)
			r.ToEnd()
			whole = r.Prev() && r.ID.Less(how.MinID)
		}
		if !whole {
			return nodes, removed, true
		}
		nodes++
		removed += n
		left -= uint64(n)
	}
	return nodes, removed, false
}

// trimNode removes entries from the first node, of a stream of so many entries, and returns how many.
func (s *Stream) trimNode(t *tree.Tree, h *tree.Heap, length uint64, how *StreamTrim) (removed int64) {
	space, room := s.space(), s.room()
	var p tree.Path
	var r stream.Reader
	t.First(space, &p)
	_, room.node = object.OpenNode(space, &p, &r, room.node)
	for r.Next() {
		if how.ByID && !r.ID.Less(how.MinID) || !how.ByID && length-uint64(removed) <= how.MaxLen {
			break
		}
		if !r.Deleted {
			s.mark(t, h, &p, &r)
			removed++
		}
	}
	if removed > 0 {
		hd := object.NodeHeader(space, &p)
		hd.Count -= removed
		hd.Deleted += removed
		s.db.shard.putHeader(t, h, &p, hd.Len, &hd)
	}
	return removed
}

// Nodes returns how many nodes of entries there are, and how many nodes the radix tree of their IDs would have in
// Redis.
func (s *Stream) Nodes() (keys, nodes int) {
	v := s.view()
	return v.Radix()
}

// EntriesReadUnknown is the number of entries that a group has read if nobody knows.
const EntriesReadUnknown = object.EntriesReadUnknown
