package object

import (
	"encoding/binary"
	"strconv"

	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
)

// A stream's entries are in nodes (package stream), which are the bodies of a tree ordered by their IDs. What the
// stream knows of itself beside them stands in its payload, behind what all values in trees have:
//
//	u64 entries, u64 entries ever added, and the IDs, of 16 bytes each, of the first entry, of the last one that there
//	ever was, and the highest of those that were deleted

// StreamSize is the size in bytes of a stream's payload.
const StreamSize = TreesSize + 2*8 + 3*stream.RawLen

// StreamInfo is what a stream knows of itself beside its entries.
type StreamInfo struct {
	Length     uint64    // entries that are there
	Added      uint64    // entries ever added
	FirstID    stream.ID // of the first entry; 0-0 if there is none
	LastID     stream.ID // of the last one that there ever was, or what it was set to
	MaxDeleted stream.ID // highest ID that was deleted, other than by trimming
}

// LoadStreamInfo reads it from an entry's payload.
func LoadStreamInfo(payload []byte) StreamInfo {
	b := payload[TreesSize:StreamSize]
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return StreamInfo{
		Length: at(0), Added: at(1), FirstID: stream.ID{Ms: at(2), Seq: at(3)},
		LastID: stream.ID{Ms: at(4), Seq: at(5)}, MaxDeleted: stream.ID{Ms: at(6), Seq: at(7)},
	}
}

// Store writes it to an entry's payload.
func (in *StreamInfo) Store(payload []byte) {
	b := payload[TreesSize:StreamSize]
	for i, v := range [...]uint64{
		in.Length, in.Added, in.FirstID.Ms, in.FirstID.Seq, in.LastID.Ms, in.LastID.Seq, in.MaxDeleted.Ms,
		in.MaxDeleted.Seq,
	} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
}

// EntriesReadUnknown is the number of entries that a group has read if nobody knows.
const EntriesReadUnknown = -1

// AddedUpTo returns how many entries had been added up to, and with, the one of an ID, as far as that can be told
// without looking; EntriesReadUnknown if it can't.
func (in *StreamInfo) AddedUpTo(id stream.ID) int64 {
	switch c := id.Compare(in.LastID); {
	case in.Added == 0:
		return 0
	case in.Length == 0 && c <= 0, c == 0:
		return int64(in.Added)
	case c > 0:
		return EntriesReadUnknown
	}
	if in.MaxDeleted != (stream.ID{}) && !in.MaxDeleted.Less(in.FirstID) {
		return EntriesReadUnknown // a gap may be anywhere
	}
	switch c := id.Compare(in.FirstID); {
	case c < 0:
		return int64(in.Added - in.Length)
	case c == 0:
		return int64(in.Added - in.Length + 1)
	}
	return EntriesReadUnknown
}

// StreamView is a view of a stream, for reading: good as long as its payload is, or its nodes are pinned.
type StreamView struct {
	Space *arena.Space
	Nodes tree.Tree // of entries
	Group tree.Tree // what there is of consumer groups
	Info  StreamInfo
}

// LoadStream returns a view of the stream with the given payload.
func LoadStream(space *arena.Space, payload []byte) StreamView {
	t := LoadTrees(StreamTree, payload)
	return StreamView{Space: space, Nodes: t.A, Group: t.B, Info: LoadStreamInfo(payload)}
}

// StreamOf is LoadStream for an entry.
func StreamOf(space *arena.Space, e index.Entry) StreamView { return LoadStream(space, e.Payload()) }

// Entries goes through the entries of a stream, those deleted left out. It is valid until the stream's nodes change.
type Entries struct {
	ID    stream.ID
	Pairs int // fields of the entry at hand

	space    *arena.Space
	from, to stream.ID
	rev      bool
	over     bool
	begun    bool
	path     tree.Path
	r        stream.Reader
	piece    []byte     // the node; nil: it is too long for one piece
	paged    tree.Paged // then
	room     *EntryRoom // not part of this, so that this can stay on a stack
}

// EntryRoom is room for what entries are read with: the texts of two numbers, and a node of several pages.
type EntryRoom struct {
	digits [2 * maxDigits]byte
	whole  []byte
}

// maxDigits is the length of the longest text of a number.
const maxDigits = 20

// Lend has it use room of its caller's, instead of some of its own. Nobody else may use that before it is done.
func (x *Entries) Lend(room *EntryRoom) { x.room = room }

// wholeBytes is the size up to which a node that is in several pieces is put together: reading it bit by bit is slow.
const wholeBytes = 4 * tree.NodeBytes

// Range prepares it for the entries with from ≤ ID ≤ to, from the first on or, if rev, from the last backwards.
func (x *Entries) Range(s *StreamView, from, to stream.ID, rev bool) {
	x.space, x.from, x.to, x.rev, x.begun = s.Space, from, to, rev, false
	if x.over = to.Less(from); x.over {
		return
	}
	start := from
	if rev {
		start = to
	}
	// The node that it may be in is the last one whose ID is not above.
	if !s.Nodes.SeekID(s.Space, &x.path, start.Ms, start.Seq) && !x.path.Prev() && rev {
		x.over = true
	}
	x.over = x.over || !x.path.Valid()
}

// open begins to read the node at the path.
func (x *Entries) open() {
	x.begun = true
	x.paged = x.path.Spilled()
	if x.room == nil {
		x.room = new(EntryRoom)
	}
	x.piece, x.room.whole = OpenNode(x.space, &x.path, &x.r, x.room.whole)
}

// OpenNode begins to read the node that p is at. It returns the node, if it is in one piece, or put together as one in
// room, and room, for the next time.
func OpenNode(space *arena.Space, p *tree.Path, r *stream.Reader, room []byte) (piece, roomThen []byte) {
	s := p.Spilled()
	id := NodeID(p)
	piece, ok := s.Piece(space)
	switch {
	case ok:
	case s.Len() <= wholeBytes:
		room = s.AppendRange(room[:0], space, 0, s.Len())
		piece = room
	default:
		r.OpenParts(s.Len(), id, func(dst []byte, from, to int) []byte { return s.AppendRange(dst, space, from, to) })
		return nil, room
	}
	r.Open(piece, id)
	return piece, room
}

// NodeID returns the ID of the node that p is at.
func NodeID(p *tree.Path) stream.ID { return stream.ID{Ms: p.Key(), Seq: p.Value()} }

// NodeHeader returns the header of the node that p is at.
func NodeHeader(space *arena.Space, p *tree.Path) stream.Header {
	s := p.Spilled()
	b, ok := s.Piece(space)
	if !ok {
		var room [stream.MaxHeader]byte
		b = s.AppendRange(room[:0], space, 0, min(len(room), s.Len()))
	}
	return stream.ReadHeader(b)
}

// Next goes to the next entry, and reports whether there is one.
func (x *Entries) Next() bool {
	if x.over {
		return false
	}
	ok := false
	switch {
	case x.rev:
		if !x.begun {
			x.open()
			x.r.ToEnd()
		}
		ok = x.prev()
	case !x.begun:
		if x.open(); x.r.Seek(x.from) {
			ok = x.take()
		} else {
			ok = x.next()
		}
	default:
		ok = x.next()
	}
	x.over = !ok
	return ok
}

// take takes what the reader is at, and reports whether that is still in the range.
func (x *Entries) take() bool {
	x.ID, x.Pairs = x.r.ID, x.r.Pairs
	if x.rev {
		return !x.ID.Less(x.from)
	}
	return !x.to.Less(x.ID)
}

func (x *Entries) next() bool {
	for {
		for x.r.Next() {
			if x.r.Deleted || x.r.ID.Less(x.from) {
				continue
			}
			return x.take()
		}
		if x.path.Next(); !x.path.Valid() {
			return false
		}
		x.open()
	}
}

func (x *Entries) prev() bool {
	for {
		for x.r.Prev() {
			if x.r.Deleted || x.to.Less(x.r.ID) {
				continue
			}
			return x.take()
		}
		if !x.path.Prev() {
			return false
		}
		x.open()
		x.r.ToEnd()
	}
}

// Pair gives the next field of the entry at hand and its value: up to Pairs times after Next. The texts are valid until
// the next call of Pair or Next.
func (x *Entries) Pair(field, value *Text) {
	var f, v stream.Part
	x.r.Pair(&f, &v)
	x.text(field, &f, x.room.digits[:0:maxDigits])
	x.text(value, &v, x.room.digits[maxDigits:maxDigits])
}

// text makes a text of a part; digits is room for that of a number.
func (x *Entries) text(t *Text, p *stream.Part, digits []byte) {
	switch {
	case p.IsNum:
		*t = Text{piece: strconv.AppendInt(digits, p.Num, 10)}
	case x.piece != nil:
		*t = Text{piece: x.piece[p.From:p.To:p.To]}
	default:
		*t = Text{space: x.space, paged: x.paged, start: p.From, end: p.To}
	}
}

// Radix returns how many nodes of entries there are, and how many nodes the radix tree of their IDs would have in
// Redis.
func (s *StreamView) Radix() (keys, nodes int) {
	var x stream.Radix
	var p tree.Path
	for s.Nodes.First(s.Space, &p); p.Valid(); p.Next() {
		x.Add(NodeID(&p))
	}
	return x.Keys()
}
