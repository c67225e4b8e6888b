package rdb

import (
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// streamValue writes a stream (stream.go), as type STREAM_LISTPACKS_2: its nodes as they are.
func (w *Writer) streamValue(payload []byte) {
	v := object.LoadStream(w.o.Space, payload)
	w.length(uint64(v.Nodes.Len()))
	var p tree.Path
	var raw [rawIDLen]byte
	for v.Nodes.First(v.Space, &p); p.Valid() && w.err == nil; p.Next() {
		w.string(object.NodeID(&p).AppendRaw(raw[:0]))
		t := object.BodyText(v.Space, &p)
		w.text(&t)
	}
	in := &v.Info
	w.length(in.Length)
	w.id(in.LastID)
	w.id(in.FirstID)
	w.id(in.MaxDeleted)
	w.length(in.Added)
	w.length(uint64(v.Groups()))
	v.EachGroup(func(name []byte, g *object.Group) bool {
		w.group(&v, name, g)
		return w.err == nil
	})
}

// id writes an ID as two lengths, rawID its 16 bytes.
func (w *Writer) id(id stream.ID) {
	w.length(id.Ms)
	w.length(id.Seq)
}

func (w *Writer) rawID(id stream.ID) {
	w.room()
	w.buf = id.AppendRaw(w.buf)
}

// group writes a consumer group.
func (w *Writer) group(v *object.StreamView, name []byte, g *object.Group) {
	w.string(name)
	w.id(g.LastID)
	w.length(uint64(g.EntriesRead))
	w.length(uint64(v.PendingLen(g.Number)))
	v.EachPending(g.Number, func(x *object.Pending) bool {
		w.rawID(x.ID)
		w.u64(uint64(x.DeliveredMs))
		w.length(uint64(x.Deliveries))
		return w.err == nil
	})
	w.length(uint64(v.Consumers(g.Number)))
	v.EachConsumer(g.Number, func(name []byte, c *object.Consumer) bool {
		w.string(name)
		w.u64(uint64(c.SeenMs))
		w.length(uint64(v.PendingLen(c.Number)))
		v.EachPending(c.Number, func(x *object.Pending) bool {
			w.rawID(x.ID)
			return w.err == nil
		})
		return w.err == nil
	})
}
