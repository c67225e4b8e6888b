package rdb

import (
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// Form says what kind of value comes.
type Form struct {
	Type    object.Type
	RDBType byte // TypeString …: what the value is in the file
	// N is how many elements will come (fields of a hash, members, items; a string's length in bytes), as far as the
	// file says so at the beginning: 0 if it doesn't, and not to be relied on, above all not for taking memory.
	N uint64
	// Several: a list that is made of several containers.
	Several bool
}

// Builder receives one value: Begin, and then only the method for values of its type. Slices are valid during the call.
// Elements that occur twice are not looked for before, and zsets and hashes may come in any order. An error of any
// method ends the decoding, which returns it as it is. What the builder has got before an error is to be dropped.
type Builder interface {
	// Begin says what comes: once, first.
	Begin(f Form) error
	// String is a string's value: once.
	String(b []byte) error
	// Item is a list's next item, from left to right.
	Item(b []byte) error
	// Member is a member of a set.
	Member(b []byte) error
	// Scored is a member of a zset. The score is not NaN.
	Scored(member []byte, score float64) error
	// Field is a field of a hash; expireAtMs is Unix time, 0 if it has no expiry.
	Field(field, value []byte, expireAtMs int64) error
	StreamBuilder
}

// StreamBuilder receives a stream: its nodes, then what else there is to say of it, then the groups. Each group is
// followed by all that is pending in it, and then by its consumers, each of which is followed by what of that is
// pending for it. IDs that are pending may occur twice, also for consumers, or for a consumer alone.
type StreamBuilder interface {
	// StreamNode is a node of entries (package stream), whose IDs are above those of the nodes before. It is known
	// to be right; f is what was found out about it.
	StreamNode(id stream.ID, node []byte, f *stream.Facts) error
	// StreamInfo is what the stream knows of itself: once, behind the nodes. Its length is that of the nodes.
	StreamInfo(in *object.StreamInfo) error
	// Group is a consumer group with the last ID delivered and how many entries it has read, -1 if that isn't known.
	Group(name []byte, last stream.ID, entriesRead int64) error
	// Pending is an entry that is pending in the last group; deliveredMs is Unix time.
	Pending(id stream.ID, deliveredMs, deliveries int64) error
	// Consumer is a consumer of the last group, which was seen at a Unix time.
	Consumer(name []byte, seenMs int64) error
	// Owned is the ID of something pending in the last group that was delivered to the last consumer.
	Owned(id stream.ID) error
}

// Discard is a Builder that takes everything: for checking values.
type Discard struct{}

// Begin does nothing.
func (Discard) Begin(Form) error { return nil }

// String does nothing.
func (Discard) String([]byte) error { return nil }

// Item does nothing.
func (Discard) Item([]byte) error { return nil }

// Member does nothing.
func (Discard) Member([]byte) error { return nil }

// Scored does nothing.
func (Discard) Scored([]byte, float64) error { return nil }

// Field does nothing.
func (Discard) Field(_, _ []byte, _ int64) error { return nil }

// StreamNode does nothing.
func (Discard) StreamNode(stream.ID, []byte, *stream.Facts) error { return nil }

// StreamInfo does nothing.
func (Discard) StreamInfo(*object.StreamInfo) error { return nil }

// Group does nothing.
func (Discard) Group([]byte, stream.ID, int64) error { return nil }

// Pending does nothing.
func (Discard) Pending(stream.ID, int64, int64) error { return nil }

// Consumer does nothing.
func (Discard) Consumer([]byte, int64) error { return nil }

// Owned does nothing.
func (Discard) Owned(stream.ID) error { return nil }

// TypeOf returns the type, as clients see it, of values that are written as rdbType. It is false for modules' types and
// for numbers that are no type.
func TypeOf(rdbType byte) (object.Type, bool) {
	switch rdbType {
	case TypeString:
		return object.String, true
	case TypeList, TypeListZiplist, TypeListQuicklist, TypeListQuicklist2:
		return object.List, true
	case TypeSet, TypeSetIntset, TypeSetListpack:
		return object.Set, true
	case TypeZSet, TypeZSet2, TypeZSetZiplist, TypeZSetListpack:
		return object.ZSet, true
	case TypeHash, TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeHashMetadataPre, TypeHashListpackExPre,
		TypeHashMetadata, TypeHashListpackEx:
		return object.Hash, true
	case TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3:
		return object.Stream, true
	}
	return 0, false
}
