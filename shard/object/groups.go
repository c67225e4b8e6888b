package object

import (
	"bytes"
	"encoding/binary"
	"math"

	"fulmen/shard/arena"
	"fulmen/shard/ds/stream"
	"fulmen/shard/ds/tree"
)

// Everything that there is of a stream's consumer groups is in one tree, ordered by a key and then by the bytes of the
// body. Groups and consumers have numbers, from 1, of the same row, each the lowest that was free; what is pending is
// noted twice, for its group and for its consumer. Keys have a class in their high bits:
//
//	number                    the record of a group or consumer
//	                          group: u64 ms, u64 seq of the last ID delivered, u64 entries read, name
//	                          consumer: u64 when it was seen, Unix time in ms, u32 its group, name
//	1 << 53 | group           a name, of a consumer of this group or, 0, of a group: the name, with 1 behind each zero
//	                          byte, two zero bytes, and its number
//	(number+1) << 53 | ID     an entry that is pending for a group or a consumer: u32 that number, u64 ms, u64 seq
//	                          for a group, also: u64 when it was delivered last, u64 how often, u32 to which consumer
//
// The numbers in names and what precedes the "also" have their highest byte first, so that their order is that of
// bytes.
//
// Of an ID the key has what tells most IDs apart: behind 1, 42 bits of the ms and 10 of the sequence, or, behind 0,
// where the ms are below 256, 8 bits of these and 44 of the sequence. What is too high has the highest value: of equal
// keys the bodies are compared, in whose order the keys are. That costs a look at each inner node's children, which
// was two thirds of acknowledging one of 300,000 IDs with the same ms.
const (
	classShift = 53
	namesClass = 1 << classShift
	highestTop = 1<<(64-classShift) - 1

	idShift    = classShift - 1
	seqBits    = 10
	highestMs  = 1<<(idShift-seqBits) - 1
	fewMs      = 1 << 8
	fewSeqBits = idShift - 8

	// pendingID is the size in bytes of what the body of something pending begins with, PendingSize that of a
	// group's whole body.
	pendingID   = 4 + stream.RawLen
	PendingSize = pendingID + 8 + 8 + 4
	groupHead   = 24
	consHead    = 12
	nameNumber  = 4
)

// Pending is an entry of a stream that was delivered and is not acknowledged.
type Pending struct {
	ID          stream.ID
	DeliveredMs int64 // Unix time
	Deliveries  int64
	Consumer    uint32 // its number
}

// Append appends the body that it has for its group, or, of which the beginning is the same, for its consumer.
func (p *Pending) Append(dst []byte, group uint32) []byte {
	dst = AppendPendingID(dst, group, p.ID)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.DeliveredMs))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Deliveries))
	return binary.LittleEndian.AppendUint32(dst, p.Consumer)
}

// load reads the body of something pending, for a group or for a consumer.
func (p *Pending) load(body []byte) {
	*p = Pending{ID: stream.RawID(body[4:])}
	if b := body[pendingID:]; len(b) > 0 {
		p.DeliveredMs = int64(binary.LittleEndian.Uint64(b))
		p.Deliveries = int64(binary.LittleEndian.Uint64(b[8:]))
		p.Consumer = binary.LittleEndian.Uint32(b[16:])
	}
}

// AppendPendingID appends the body of what is pending for a consumer.
func AppendPendingID(dst []byte, number uint32, id stream.ID) []byte {
	return id.AppendRaw(binary.BigEndian.AppendUint32(dst, number))
}

// PendingKey is the key of what is pending for a group or consumer.
func PendingKey(number uint32, id stream.ID) uint64 {
	top := uint64(number) + 1
	if top >= highestTop {
		return math.MaxUint64
	}
	return top<<classShift | idKey(id)
}

// idKey is the part of a key that an ID has.
func idKey(id stream.ID) uint64 {
	switch {
	case id.Ms < fewMs:
		return id.Ms<<fewSeqBits | min(id.Seq, 1<<fewSeqBits-1)
	case id.Ms > highestMs:
		return 1<<classShift - 1
	}
	return 1<<idShift | id.Ms<<seqBits | min(id.Seq, 1<<seqBits-1)
}

// NameKey is the key of the names of a group's consumers; 0: of groups.
func NameKey(group uint32) uint64 { return namesClass | uint64(group) }

// AppendName appends what a name's body begins with.
func AppendName(dst, name []byte) []byte {
	for {
		i := bytes.IndexByte(name, 0)
		if i < 0 {
			dst = append(dst, name...)
			return append(dst, 0, 0)
		}
		dst = append(append(dst, name[:i]...), 0, 1)
		name = name[i+1:]
	}
}

// AppendNameNumber appends the end of a name's body.
func AppendNameNumber(dst []byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(dst, number)
}

// SeekPending goes to what is pending for a group or consumer and has an ID, or to where it would be, and reports
// whether it is there. room is for PendingSize bytes.
func SeekPending(space *arena.Space, t *tree.Tree, p *tree.Path, number uint32, id stream.ID, room []byte) bool {
	key, want := PendingKey(number, id), AppendPendingID(room[:0], number, id)
	t.SeekScore(space, p, key, want)
	if !p.Valid() || p.Key() != key {
		return false
	}
	b, _ := p.Body()
	return len(b) >= pendingID && string(b[:pendingID]) == string(want)
}

// PendingAt reads what a path is at, which is something pending for a group or consumer.
func PendingAt(p *tree.Path) (x Pending) {
	b, _ := p.Body()
	x.load(b)
	return x
}

// IsPending reports whether what a path is at is pending for a group or consumer.
func IsPending(p *tree.Path, number uint32) bool {
	if p.Key() < 2<<classShift {
		return false
	}
	b, _ := p.Body()
	return binary.BigEndian.Uint32(b) == number
}

// PendingRanks returns the ranks between which all is that is pending for a group or consumer. room is for PendingSize
// bytes.
func PendingRanks(space *arena.Space, t *tree.Tree, number uint32, room []byte) (from, to int) {
	var p tree.Path
	SeekPending(space, t, &p, number, stream.ID{}, room)
	from = p.Rank()
	SeekPending(space, t, &p, number+1, stream.ID{}, room)
	return from, p.Rank()
}

// SeekName goes to the body that begins as AppendName makes it, or to where it would be, and returns the number.
func SeekName(space *arena.Space, t *tree.Tree, p *tree.Path, group uint32, begin []byte) (number uint32, ok bool) {
	key := NameKey(group)
	t.SeekScore(space, p, key, begin)
	if !p.Valid() || p.Key() != key || p.BodyLen() != len(begin)+nameNumber {
		return 0, false
	}
	b := p.View(nil)
	if !bytes.HasPrefix(b, begin) {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[len(begin):]), true
}

// NameRanks returns the ranks between which all names of a group's consumers are; 0: of groups.
func NameRanks(space *arena.Space, t *tree.Tree, group uint32) (from, to int) {
	var p tree.Path
	t.Seek(space, &p, NameKey(group))
	from = p.Rank()
	t.Seek(space, &p, NameKey(group)+1)
	return from, p.Rank()
}

// FreeNumber returns the lowest number that no group and no consumer has.
func FreeNumber(space *arena.Space, t *tree.Tree) uint32 {
	var p tree.Path
	t.Seek(space, &p, namesClass)
	low, high := 0, p.Rank() // of the records, in the order of their numbers, those with the number rank+1 come first
	for low < high {
		mid := int(uint(low+high) >> 1)
		if t.At(space, &p, mid); p.Key() == uint64(mid)+1 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return uint32(low) + 1
}

// Group is a consumer group of a stream.
type Group struct {
	Number      uint32
	LastID      stream.ID // last delivered
	EntriesRead int64     // EntriesReadUnknown
}

// Append appends the record of the group with a name to dst; without the name it is the part that changes.
func (g *Group) Append(dst, name []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, g.LastID.Ms)
	dst = binary.LittleEndian.AppendUint64(dst, g.LastID.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(g.EntriesRead))
	return append(dst, name...)
}

// Consumer is a consumer of a group.
type Consumer struct {
	Number uint32
	Group  uint32
	SeenMs int64 // Unix time
}

// Append appends the record of the consumer with a name to dst.
func (c *Consumer) Append(dst, name []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.SeenMs))
	dst = binary.LittleEndian.AppendUint32(dst, c.Group)
	return append(dst, name...)
}

// seekRecord goes to the record of a number, which is there, and returns it.
func seekRecord(space *arena.Space, t *tree.Tree, p *tree.Path, number uint32) []byte {
	t.Seek(space, p, uint64(number))
	if b, ok := p.Body(); ok {
		return b
	}
	return p.View(nil)
}

// SeekGroup goes to the record of the group with a number and reads it. The name is valid until the tree changes.
func SeekGroup(space *arena.Space, t *tree.Tree, p *tree.Path, number uint32, g *Group) (name []byte) {
	b := seekRecord(space, t, p, number)
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	*g = Group{number, stream.ID{Ms: at(0), Seq: at(8)}, int64(at(16))}
	return b[groupHead:]
}

// SeekConsumer goes to the record of the consumer with a number and reads it, as SeekGroup does.
func SeekConsumer(space *arena.Space, t *tree.Tree, p *tree.Path, number uint32, c *Consumer) (name []byte) {
	b := seekRecord(space, t, p, number)
	*c = Consumer{number, binary.LittleEndian.Uint32(b[8:]), int64(binary.LittleEndian.Uint64(b))}
	return b[consHead:]
}

// eachName calls fn for the numbers of all names of a group's consumers in their order until it returns false.
func (s *StreamView) eachName(group uint32, fn func(number uint32) bool) {
	var p tree.Path
	key := NameKey(group)
	for s.Group.Seek(s.Space, &p, key); p.Valid() && p.Key() == key; p.Next() {
		b := p.View(nil)
		if !fn(binary.BigEndian.Uint32(b[len(b)-nameNumber:])) {
			return
		}
	}
}

// EachGroup calls fn for all groups in the order of their names until it returns false. Nothing may change meanwhile; a
// name is valid during the call.
func (s *StreamView) EachGroup(fn func(name []byte, g *Group) bool) {
	s.eachName(0, func(number uint32) bool {
		var g Group
		var p tree.Path
		return fn(SeekGroup(s.Space, &s.Group, &p, number, &g), &g)
	})
}

// EachConsumer calls fn for all consumers of a group, as EachGroup does.
func (s *StreamView) EachConsumer(group uint32, fn func(name []byte, c *Consumer) bool) {
	s.eachName(group, func(number uint32) bool {
		var c Consumer
		var p tree.Path
		return fn(SeekConsumer(s.Space, &s.Group, &p, number, &c), &c)
	})
}

// Groups returns the number of groups, Consumers that of a group's consumers.
func (s *StreamView) Groups() int { return s.Consumers(0) }

// Consumers returns the number of a group's consumers.
func (s *StreamView) Consumers(group uint32) int {
	from, to := NameRanks(s.Space, &s.Group, group)
	return to - from
}

// PendingLen returns how many entries are pending for a group or consumer.
func (s *StreamView) PendingLen(number uint32) int {
	var room [PendingSize]byte
	from, to := PendingRanks(s.Space, &s.Group, number, room[:])
	return to - from
}

// EachPending calls fn for all entries that are pending for a group or consumer, in the order of their IDs, until it
// returns false. For a consumer only the ID is given.
func (s *StreamView) EachPending(number uint32, fn func(x *Pending) bool) {
	var p tree.Path
	var room [PendingSize]byte
	from, to := PendingRanks(s.Space, &s.Group, number, room[:])
	s.Group.At(s.Space, &p, from)
	for ; from < to; from++ {
		x := PendingAt(&p)
		if !fn(&x) {
			return
		}
		p.Next()
	}
}
