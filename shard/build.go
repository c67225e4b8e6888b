package shard

import (
	"encoding/binary"
	"errors"

	"fulmen/internal/resp"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Builder makes a value of any type from its elements, one after the other, which belongs to no key until Put. So what
// comes from outside is complete and known to be good before anything changes. Small collections are collected on the
// Go heap, in the form that they are going to have in their entry, what is bigger in nodes of the shard.
//
// Begin says what comes; then the method for elements of that type is called for each; then Put or Drop. The encoding
// that the value has then is the one that redis-server gives what it loads in the same form, with the same limits.
// After an error there is only Drop. A Builder may be used for one value after the other.
//
// It is used with the shard's baton held, from Begin to Put or Drop: nodes of the shard are in use that nothing refers
// to.
type Builder struct {
	v   Value // of no key
	lim *BuildLimits
	src object.Source

	n       int // elements
	inTrees bool
	packed  []byte // a string or a collection if it is not in trees; reused
	trees   object.Trees
	paged   tree.Paged // a long string

	form    setForm // of a set
	sorted  bool    // of a set: packed integers are in ascending order
	last    int64   // of a set: the last member if it is an integer
	big     bool    // of others: a limit has been passed
	longest int     // of a sorted set: length of the longest member
	signed  bool    // of a sorted set: one of its scores is -0
	lastAt  int     // of a sorted set: where the last packed member begins
	dueMs   int64   // of a hash: earliest expiry of a field
	size    int     // of a list: what its items take in a listpack
	seen    seen
	stream  streamBuild
}

// BuildLimits are the sizes at which collections are called by the name of another encoding; immutable.
type BuildLimits struct {
	ListFill       int   // list-max-listpack-size
	HashEntries    int64 // hash-max-listpack-entries
	HashValueBytes int64 // hash-max-listpack-value
	ZSet           ZSetLimits
	Sets           SetLimits
	Stream         StreamLimits
}

var (
	// ErrTwice is the error of an element that the value has already.
	ErrTwice = errors.New("shard: an element occurs twice")
	// ErrTooLong is the error of a string that is longer than a string may be.
	ErrTooLong = errors.New("shard: a string is too long")
	// ErrNotPending is the error of what is pending for a consumer and not in its group.
	ErrNotPending = errors.New("shard: what is pending for a consumer is not pending in its group")
	// ErrNoType is the error of a type whose values cannot be built.
	ErrNoType = errors.New("shard: type not supported")
)

// Builder makes b build values in the shard. What it was building before must have been put or dropped.
func (s *Shard) Builder(b *Builder, lim *BuildLimits) {
	b.v, b.lim = Value{db: &s.dbs[0]}, lim
}

// treeKinds are the kinds of values of a type that are in trees; the packed ones, if there are, come right before.
var treeKinds = [...]object.Kind{
	object.String: object.StringPaged, object.List: object.ListTree, object.Set: object.SetTree,
	object.ZSet: object.ZSetTree, object.Hash: object.HashTree, object.Stream: object.StreamTree,
}

// Begin begins a value.
func (b *Builder) Begin(src object.Source) error {
	if int(src.Type) >= len(treeKinds) {
		return ErrNoType
	}
	b.src, b.n, b.inTrees, b.big = src, 0, false, src.Several
	b.sorted, b.longest, b.signed, b.lastAt, b.dueMs, b.size = true, 0, false, 0, 0, listpackFrame
	b.seen.reset()
	b.packed = append(b.packed[:0], 0, 0)
	b.paged = tree.Paged{}
	switch src.Type {
	case object.String:
		b.packed = b.packed[:0]
	case object.Set:
		b.form = setForm{}
		switch {
		case src.Container == object.Listpack:
			b.form.flags = object.FlagMixed
		case src.Container == object.Elements && src.N > uint64(min(b.lim.Sets.IntsetEntries, 1<<30)):
			b.form.flags = object.FlagBig
		}
	case object.Hash:
		if src.Expiring {
			b.packed = append(b.packed, 0, 0, 0, 0, 0, 0, 0, 0) // the earliest expiry
		}
	case object.Stream:
		b.inTrees, b.trees = true, object.NewTrees(object.StreamTree)
		b.stream.info, b.stream.group, b.stream.consumer = StreamInfo{}, 0, 0
	}
	return nil
}

// Len returns the number of elements so far.
func (b *Builder) Len() int { return b.n }

// kind is the kind of the value if it is in trees.
func (b *Builder) kind() object.Kind { return treeKinds[b.src.Type] }

// room makes room for n more bytes at offset at of the packed value, which is the whole of its elements, and reports
// whether it did: otherwise it is in trees.
func (b *Builder) room(at, n int) bool {
	end := len(b.packed)
	if b.inTrees || b.n >= object.MaxPackedItems || end+n > min(object.MaxBlock, b.v.db.shard.set.packed) {
		if !b.inTrees {
			b.plant()
		}
		return false
	}
	for cap(b.packed) < end+n {
		b.packed = append(b.packed[:cap(b.packed)], 0)
	}
	b.packed = b.packed[:end+n]
	if at < end {
		copy(b.packed[at+n:], b.packed[at:end])
	}
	b.n++
	object.SetPackedLen(b.packed, b.n)
	return true
}

// String is the value of a string.
func (b *Builder) String(val []byte) error {
	if len(val) > object.MaxString {
		return ErrTooLong
	}
	if len(val) <= object.MaxBlock {
		b.packed = append(b.packed, val...)
		return nil
	}
	b.inTrees = true
	b.paged.Write(b.v.db.shard.newHeap(), 0, val)
	return nil
}

// Item is the next item of a list.
func (b *Builder) Item(item []byte) error {
	if len(item) > object.MaxString {
		return ErrTooLong
	}
	b.size += object.ListpackItem(item, len(item))
	at := len(b.packed)
	if b.room(at, object.ItemSize(len(item))) {
		object.PutItem(b.packed, at, item)
		return nil
	}
	b.n++
	b.pushTree(item)
	return nil
}

func (b *Builder) pushTree(item []byte) {
	var p tree.Path
	b.trees.A.End(b.v.space(), &p)
	b.trees.A.Insert(b.v.db.shard.newHeap(), &p, 0, 0, item)
}

// Member is a member of a set.
func (b *Builder) Member(m []byte) error {
	if len(m) > object.MaxString {
		return ErrTooLong
	}
	n, isInt := resp.ParseInt(m)
	was := b.form.flags
	switch {
	case b.src.Container == object.Elements:
		b.form.add(len(m), isInt, &b.lim.Sets)
	case !isInt:
		b.form.flags |= object.FlagMixed
	}
	s := b.v.db.shard
	if !b.inTrees {
		if was == 0 && b.form.flags != 0 {
			b.sort()
		}
		if b.isThere(m, 0) {
			return ErrTwice
		}
		at := len(b.packed)
		if b.room(at, object.ItemSize(len(m))) {
			b.sorted = b.sorted && (!isInt || b.n == 1 || b.last < n)
			b.last = n
			object.PutItem(b.packed, at, m)
			return nil
		}
	}
	if !s.insertMember(&b.trees, s.newHeap(), m) {
		return ErrTwice
	}
	b.n++
	return nil
}

// sort puts the integers that a set has so far in ascending order, in which Redis keeps them.
func (b *Builder) sort() {
	if !b.sorted && !b.inTrees {
		sortPacked(b.packed)
	}
	b.sorted = true
}

// isThere reports whether a packed element has the item m, skip bytes behind its beginning, and notes that it has it
// from now on.
func (b *Builder) isThere(m []byte, skip int) bool {
	if !b.seen.add(uint32(b.v.db.shard.hash(m))) {
		return false
	}
	for at := b.begin(); at < len(b.packed); {
		have, next := object.Item(b.packed, at+skip)
		if string(have) == string(m) {
			return true
		}
		if at = next; b.src.Type == object.Hash {
			_, at = object.Item(b.packed, at)
			at += b.expiry()
		}
	}
	return false
}

// Scored is a member of a sorted set with its score, which is a number.
func (b *Builder) Scored(member []byte, score float64) error {
	if len(member) > object.MaxString {
		return ErrTooLong
	}
	key := object.ScoreKey(score)
	b.signed = b.signed || key == object.MinusZero
	b.longest = max(b.longest, len(member))
	if !b.inTrees {
		if b.isThere(member, scoreBytes) {
			return ErrTwice
		}
		at := b.placeOf(key, member)
		n := scoreBytes + object.ItemSize(len(member))
		if b.room(at, n) {
			binary.LittleEndian.PutUint64(b.packed[at:], key)
			object.PutItem(b.packed, at+scoreBytes, member)
			return nil
		}
	}
	var pa, pb tree.Path
	z := ZSet{b.v}
	if z.find(&b.trees, &pa, &pb, member) {
		return ErrTwice
	}
	b.n++
	insertInto(&b.trees, b.v.db.shard.newHeap(), &pb, z.hash(member), member, key)
	return nil
}
