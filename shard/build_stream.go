package shard

import (
	"strconv"

	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// streamBuild is what a Builder knows of a stream beside its trees.
type streamBuild struct {
	info     StreamInfo
	group    uint32 // number of the last group
	consumer uint32 // of its last consumer
	room     streamRoom
}

// splitBytes is the size in bytes from which nodes that come from outside are divided.
const splitBytes = 4 * stream.MaxNodeBytes

// StreamNode is a node of entries of a stream, which is known to be right, and whose IDs are above those before.
func (b *Builder) StreamNode(id stream.ID, node []byte, f *stream.Facts) error {
	h, space := b.v.db.shard.newHeap(), b.v.space()
	if len(node) > tree.MaxBody {
		return ErrTooLong
	}
	b.n += int(f.Count)
	if len(node) > splitBytes && f.Count > 1 {
		b.split(h, id, node)
		return nil
	}
	var p tree.Path
	b.trees.A.End(space, &p)
	b.trees.A.Insert(h, &p, id.Ms, id.Seq, node)
	return nil
}

// split adds the entries of a node one by one.
func (b *Builder) split(h *tree.Heap, id stream.ID, node []byte) {
	var r stream.Reader
	var f, v stream.Part
	var digits []byte
	text := func(p *stream.Part) []byte {
		if !p.IsNum {
			return node[p.From:p.To]
		}
		from := len(digits)
		digits = strconv.AppendInt(digits, p.Num, 10)
		return digits[from:len(digits):len(digits)]
	}
	var pairs [][]byte
	for r.Open(node, id); r.Next(); {
		pairs, digits = pairs[:0], digits[:0]
		for range r.Pairs {
			r.Pair(&f, &v)
			pairs = append(pairs, text(&f), text(&v))
		}
		if !r.Deleted {
			b.v.db.shard.appendEntry(&b.trees.A, h, &b.lim.Stream, r.ID, pairs)
		}
	}
}

// StreamInfo is what the stream knows of itself.
func (b *Builder) StreamInfo(in *StreamInfo) error {
	b.stream.info = *in
	return nil
}

// named adds a name and a record for a number, unless there is one of that name.
func (b *Builder) named(group uint32, name []byte, record func(number uint32) []byte) (number uint32, err error) {
	if len(name) > object.MaxString {
		return 0, ErrTooLong
	}
	h, space, room := b.v.db.shard.newHeap(), b.v.space(), &b.stream.room
	var p tree.Path
	t := &b.trees.B
	room.name = object.AppendName(room.name[:0], name)
	if _, ok := object.SeekName(space, t, &p, group, room.name); ok {
		return 0, ErrTwice
	}
	number = object.FreeNumber(space, t)
	room.name = object.AppendNameNumber(room.name, number)
	t.Insert(h, &p, object.NameKey(group), 0, room.name)
	t.Seek(space, &p, uint64(number))
	t.Insert(h, &p, uint64(number), 0, record(number))
	return number, nil
}

// Group is a consumer group of the stream.
func (b *Builder) Group(name []byte, last stream.ID, entriesRead int64) (err error) {
	b.stream.group, err = b.named(0, name, func(number uint32) []byte {
		g := object.Group{Number: number, LastID: last, EntriesRead: entriesRead}
		b.stream.room.record = g.Append(b.stream.room.record[:0], name)
		return b.stream.room.record
	})
	return err
}

// Consumer is a consumer of the last group.
func (b *Builder) Consumer(name []byte, seenMs int64) (err error) {
	b.stream.consumer, err = b.named(b.stream.group, name, func(number uint32) []byte {
		c := object.Consumer{Number: number, Group: b.stream.group, SeenMs: seenMs}
		b.stream.room.record = c.Append(b.stream.room.record[:0], name)
		return b.stream.room.record
	})
	return err
}

// Pending is an entry that is pending in the last group.
func (b *Builder) Pending(id stream.ID, deliveredMs, deliveries int64) error {
	var p tree.Path
	room := b.stream.room.pending[:]
	if object.SeekPending(b.v.space(), &b.trees.B, &p, b.stream.group, id, room) {
		return ErrTwice
	}
	x := StreamPending{ID: id, DeliveredMs: deliveredMs, Deliveries: deliveries}
	setPending(&b.trees.B, b.v.db.shard.newHeap(), b.stream.group, &x, &b.stream.room)
	return nil
}

// Owned is the ID of an entry that is pending in the last group for the last consumer, and for no other.
func (b *Builder) Owned(id stream.ID) error {
	var p tree.Path
	if !object.SeekPending(b.v.space(), &b.trees.B, &p, b.stream.group, id, b.stream.room.pending[:]) {
		return ErrNotPending
	}
	x := object.PendingAt(&p)
	if x.Consumer != 0 {
		return ErrTwice
	}
	x.Consumer = b.stream.consumer
	setPending(&b.trees.B, b.v.db.shard.newHeap(), b.stream.group, &x, &b.stream.room)
	return nil
}
