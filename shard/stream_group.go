package shard

import (
	"encoding/binary"

	"fulmen/shard/ds/index"
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Consumer groups of streams. What they change is no change of the key to those who watch it, nor does it wake who
// waits for it, as in Redis; but snapshots are told like of any other.

// StreamGroup is a consumer group: a few numbers, good until it is destroyed. LastID and EntriesRead are those of when
// it was looked up, or was set last by way of this one.
type StreamGroup = object.Group

// StreamConsumer is a consumer of a group, good until it is deleted.
type StreamConsumer = object.Consumer

// StreamPending is an entry that was delivered and is not acknowledged.
type StreamPending = object.Pending

// begin announces a change and returns the trees and where their nodes come from.
func (s *Stream) begin() (t object.Trees, h *tree.Heap) {
	s.change()
	s.room().edits++
	t = s.trees()
	return t, s.heap(&t)
}

// seekName looks a name up among those of a group's consumers, or, of group 0, among groups. begin is what its body
// begins with.
func (s *Stream) seekName(t *object.Trees, p *tree.Path, group uint32, name []byte) (number uint32, begin []byte,
	ok bool) {
	room := s.room()
	if cap(room.name)+cap(room.record) > keptRoom {
		room.name, room.record = nil, nil
	}
	room.name = object.AppendName(room.name[:0], name)
	number, ok = object.SeekName(s.space(), &t.B, p, group, room.name)
	return number, room.name, ok
}

// Groups returns the number of groups.
func (s *Stream) Groups() int {
	v := s.view()
	return v.Groups()
}

// Group looks a group up and reports whether it is there.
func (s *Stream) Group(g *StreamGroup, name []byte) bool {
	if !s.ok {
		return false
	}
	var p tree.Path
	t := s.trees()
	number, _, ok := s.seekName(&t, &p, 0, name)
	if ok {
		object.SeekGroup(s.space(), &t.B, &p, number, g)
	}
	return ok
}

// insertNamed adds a name, p being where it belongs, and a record of a number.
func (s *Stream) insertNamed(t *object.Trees, h *tree.Heap, p *tree.Path, group, number uint32, begin []byte,
	record []byte) {
	room := s.room()
	begin = object.AppendNameNumber(begin, number)
	room.name = begin
	t.B.Insert(h, p, object.NameKey(group), 0, begin)
	t.B.Seek(s.space(), p, uint64(number))
	t.B.Insert(h, p, uint64(number), 0, record)
}

// CreateGroup makes a group, unless there is one of that name, and reports whether it did.
func (s *Stream) CreateGroup(name []byte, last stream.ID, entriesRead int64) bool {
	var p tree.Path
	t := s.trees()
	_, begin, ok := s.seekName(&t, &p, 0, name)
	if ok {
		return false
	}
	t, h := s.begin()
	g := StreamGroup{Number: object.FreeNumber(s.space(), &t.B), LastID: last, EntriesRead: entriesRead}
	room := s.room()
	room.record = g.Append(room.record[:0], name)
	s.insertNamed(&t, h, &p, 0, g.Number, begin, room.record)
	s.store(&t)
	return true
}

// SetGroup sets what was delivered last and how many entries the group has read.
func (s *Stream) SetGroup(g *StreamGroup, last stream.ID, entriesRead int64) {
	t, h := s.begin()
	g.LastID, g.EntriesRead = last, entriesRead
	room := s.room()
	room.record = g.Append(room.record[:0], nil)
	var p tree.Path
	t.B.Seek(s.space(), &p, uint64(g.Number))
	t.B.PatchBody(h, &p, 0, room.record)
	s.store(&t)
}

// DestroyGroup removes a group with its consumers and what is pending. Commands that wait for the key are woken.
func (s *Stream) DestroyGroup(g *StreamGroup) {
	t, h := s.begin()
	space := s.space()
	var p tree.Path
	for {
		from, to := object.NameRanks(space, &t.B, g.Number)
		if from == to {
			break
		}
		t.B.At(space, &p, from)
		var c StreamConsumer
		b := p.View(nil)
		number := binary.BigEndian.Uint32(b[len(b)-4:])
		name := object.SeekConsumer(space, &t.B, &p, number, &c)
		s.dropNamed(&t, h, g.Number, number, name)
	}
	var have StreamGroup
	name := object.SeekGroup(space, &t.B, &p, g.Number, &have)
	s.dropNamed(&t, h, 0, g.Number, name)
	s.store(&t)
	if sh := s.db.shard; len(sh.waits.by) > 0 {
		sh.keyReady(s.db.id, s.key.Bytes)
	}
}

// dropNamed removes the name and the record of a group or consumer, and the notes of what is pending for it.
func (s *Stream) dropNamed(t *object.Trees, h *tree.Heap, group, number uint32, name []byte) {
	space := s.space()
	var p tree.Path
	s.seekName(t, &p, group, name)
	t.B.Delete(h, &p, 1)
	t.B.Seek(space, &p, uint64(number))
	t.B.Delete(h, &p, 1)
	from, to := object.PendingRanks(space, &t.B, number, s.room().pending[:])
	t.B.DeleteRange(h, from, to)
}

// EachGroup calls fn for all groups in the order of their names until it returns false. name is valid during the call;
// nothing may change meanwhile.
func (s *Stream) EachGroup(fn func(name []byte, g *StreamGroup) bool) {
	v := s.view()
	v.EachGroup(fn)
}

// Consumers returns the number of a group's consumers.
func (s *Stream) Consumers(g *StreamGroup) int {
	v := s.view()
	return v.Consumers(g.Number)
}

// Consumer looks a consumer up and reports whether it is there.
func (s *Stream) Consumer(g *StreamGroup, c *StreamConsumer, name []byte) bool {
	var p tree.Path
	t := s.trees()
	number, _, ok := s.seekName(&t, &p, g.Number, name)
	if ok {
		object.SeekConsumer(s.space(), &t.B, &p, number, c)
	}
	return ok
}

// CreateConsumer makes a consumer, which isn't there, seen at nowMs.
func (s *Stream) CreateConsumer(g *StreamGroup, c *StreamConsumer, name []byte, nowMs int64) {
	t, h := s.begin()
	var p tree.Path
	_, begin, _ := s.seekName(&t, &p, g.Number, name)
	*c = StreamConsumer{Number: object.FreeNumber(s.space(), &t.B), Group: g.Number, SeenMs: nowMs}
	room := s.room()
	room.record = c.Append(room.record[:0], name)
	s.insertNamed(&t, h, &p, g.Number, c.Number, begin, room.record)
	s.store(&t)
}

// Seen notes when a consumer was there.
func (s *Stream) Seen(c *StreamConsumer, nowMs int64) {
	t, h := s.begin()
	c.SeenMs = nowMs
	room := s.room()
	room.record = binary.LittleEndian.AppendUint64(room.record[:0], uint64(nowMs))
	var p tree.Path
	t.B.Seek(s.space(), &p, uint64(c.Number))
	t.B.PatchBody(h, &p, 0, room.record)
	s.store(&t)
}

// DeleteConsumer removes a consumer and what is pending for it, and returns how many entries that was.
func (s *Stream) DeleteConsumer(g *StreamGroup, c *StreamConsumer) (pending int) {
	t, h := s.begin()
	space, room := s.space(), s.room()
	var p tree.Path
	for {
		from, to := object.PendingRanks(space, &t.B, c.Number, room.pending[:])
		if from == to {
			break
		}
		pending += disown(&t.B, h, g.Number, from, to, room)
	}
	var have StreamConsumer
	name := object.SeekConsumer(space, &t.B, &p, c.Number, &have)
	s.dropNamed(&t, h, g.Number, c.Number, name)
	s.store(&t)
	return pending
}

// disown removes some of what is pending for a consumer, which is what has the ranks from `from` up to, not including,
// `to`, there and in the group, where neighbours go together. It returns how many entries that was.
func disown(t *tree.Tree, h *tree.Heap, group uint32, from, to int, room *streamRoom) (n int) {
	var ids [256]stream.ID
	space := h.Arena.Space()
	var p tree.Path
	n = min(to-from, len(ids))
	t.At(space, &p, from)
	for i := range n {
		ids[i] = object.PendingAt(&p).ID
		p.Next()
	}
	t.DeleteRange(h, from, from+n)
	for i := 0; i < n; {
		object.SeekPending(space, t, &p, group, ids[i], room.pending[:])
		run, next := 1, p
		for left := p.LeafLeft(); run < left && i+run < n; run++ {
			if next.Next(); !object.IsPending(&next, group) || object.PendingAt(&next).ID != ids[i+run] {
				break
			}
		}
		t.Delete(h, &p, run)
		i += run
	}
	return n
}

// EachConsumer calls fn for all consumers of a group, as EachGroup does.
func (s *Stream) EachConsumer(g *StreamGroup, fn func(name []byte, c *StreamConsumer) bool) {
	v := s.view()
	v.EachConsumer(g.Number, fn)
}

// AppendConsumerName appends the name of the consumer with a number, which is there, to dst.
func (s *Stream) AppendConsumerName(dst []byte, number uint32) []byte {
	var p tree.Path
	var c StreamConsumer
	t := s.trees()
	return append(dst, object.SeekConsumer(s.space(), &t.B, &p, number, &c)...)
}

// Pending looks up what is pending in a group, and reports whether it is.
func (s *Stream) Pending(g *StreamGroup, id stream.ID, x *StreamPending) bool {
	var p tree.Path
	t := s.trees()
	if !object.SeekPending(s.space(), &t.B, &p, g.Number, id, s.room().pending[:]) {
		return false
	}
	*x = object.PendingAt(&p)
	return true
}

// PendingLen returns how many entries are pending in a group.
func (s *Stream) PendingLen(g *StreamGroup) int {
	v := s.view()
	return v.PendingLen(g.Number)
}

// PendingEdges returns the first and the last ID that is pending in a group, in which something is.
func (s *Stream) PendingEdges(g *StreamGroup) (first, last stream.ID) {
	var p tree.Path
	t := s.trees()
	from, to := object.PendingRanks(s.space(), &t.B, g.Number, s.room().pending[:])
	t.B.At(s.space(), &p, from)
	first = object.PendingAt(&p).ID
	t.B.At(s.space(), &p, to-1)
	return first, object.PendingAt(&p).ID
}

// ConsumerPendingLen returns how many entries are pending for a consumer.
func (s *Stream) ConsumerPendingLen(c *StreamConsumer) int {
	v := s.view()
	return v.PendingLen(c.Number)
}

// SetPending makes an entry pending in a group, as x says, whether and for whom it was before or not.
func (s *Stream) SetPending(g *StreamGroup, x *StreamPending) {
	t, h := s.begin()
	setPending(&t.B, h, g.Number, x, s.room())
	s.store(&t)
}

func setPending(t *tree.Tree, h *tree.Heap, group uint32, x *StreamPending, room *streamRoom) {
	var p tree.Path
	space := h.Arena.Space()
	if object.SeekPending(space, t, &p, group, x.ID, room.pending[:]) {
		old := object.PendingAt(&p).Consumer
		body := x.Append(room.pending[:0], group)
		t.PatchBody(h, &p, 0, body)
		if old == x.Consumer {
			return
		}
		if old != 0 {
			object.SeekPending(space, t, &p, old, x.ID, room.pending[:])
			t.Delete(h, &p, 1)
		}
	} else {
		t.Insert(h, &p, object.PendingKey(group, x.ID), 0, x.Append(room.pending[:0], group))
	}
	if x.Consumer == 0 {
		return // not yet: while a stream is being built
	}
	object.SeekPending(space, t, &p, x.Consumer, x.ID, room.pending[:])
	t.Insert(h, &p, object.PendingKey(x.Consumer, x.ID), 0, object.AppendPendingID(room.pending[:0], x.Consumer, x.ID))
}

// Ack removes what is pending in a group, and reports whether it was.
func (s *Stream) Ack(g *StreamGroup, id stream.ID) bool {
	var p tree.Path
	space, room := s.space(), s.room()
	t := s.trees()
	if !object.SeekPending(space, &t.B, &p, g.Number, id, room.pending[:]) {
		return false
	}
	consumer := object.PendingAt(&p).Consumer
	t, h := s.begin()
	t.B.Delete(h, &p, 1)
	object.SeekPending(space, &t.B, &p, consumer, id, room.pending[:])
	t.B.Delete(h, &p, 1)
	s.store(&t)
	return true
}

// PendingRange goes through what is pending in a group or for a consumer. The stream may change meanwhile, and what is
// pending, too: Next goes on behind what it gave last.
type PendingRange struct {
	StreamPending
	s      *Shard
	e      index.Entry
	group  uint32
	number uint32 // whose
	begun  bool
	over   bool
	edits  uint32
	path   tree.Path
}

// PendingRange prepares r for what is pending in a group, or, unless c is nil, for this consumer of it, from an ID on.
func (s *Stream) PendingRange(r *PendingRange, g *StreamGroup, c *StreamConsumer, from stream.ID) {
	r.StreamPending = StreamPending{ID: from}
	r.s, r.e, r.group, r.number, r.begun, r.over = s.db.shard, s.e, g.Number, g.Number, false, !s.ok
	if c != nil {
		r.number = c.Number
	}
}

// Next goes to the next one and reports whether there is one.
func (r *PendingRange) Next() bool {
	if r.over {
		return false
	}
	room, space := &r.s.streams, r.s.arena.Space()
	t := object.LoadTrees(object.StreamTree, r.e.Payload())
	if !r.begun || r.edits != room.edits {
		found := object.SeekPending(space, &t.B, &r.path, r.number, r.ID, room.pending[:])
		if found && r.begun {
			r.path.Next()
		}
		r.begun, r.edits = true, room.edits
	} else {
		r.path.Next()
	}
	if !r.path.Valid() || !object.IsPending(&r.path, r.number) {
		r.over = true
		return false
	}
	r.StreamPending = object.PendingAt(&r.path)
	if r.number != r.group {
		var p tree.Path
		object.SeekPending(space, &t.B, &p, r.group, r.ID, room.pending[:])
		r.StreamPending = object.PendingAt(&p)
	}
	return true
}
