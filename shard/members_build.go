package shard

import (
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// SetBuilder makes a set that is going to be the value of a key, whatever it has by then: members are added, and Put
// puts it there. While it is being made it hangs nowhere; so nothing else may be done in the shard, and it must be put.
type SetBuilder struct {
	db     *DB
	key    Key
	packed []byte // empty once there are trees
	trees  object.Trees
	n      int
	form   setForm
}

// BuildSet begins a set for a key.
func (db *DB) BuildSet(k Key) SetBuilder {
	return SetBuilder{db: db, key: k, packed: make([]byte, object.PackedHeader)}
}

// Len returns the number of members.
func (b *SetBuilder) Len() int { return b.n }

// Converted has the set be called as if members had come one by one, this one next, whether it is added or not.
func (b *SetBuilder) Converted(m []byte, lim *SetLimits) {
	_, isInt := resp.ParseInt(m)
	b.form.add(len(m), isInt, lim)
}

// Name has the set be called as if it had got its members one by one: an intset as long as it can be one, if it began
// as one or holds integers alone. For what Redis makes of intersections.
func (b *SetBuilder) Name(asIntset, integers bool, longest int, lim *SetLimits) {
	switch {
	case integers && int64(b.n) <= min(lim.IntsetEntries, 1<<30):
		b.form.flags = 0
	case asIntset || int64(b.n) > lim.ListpackEntries || int64(longest) > lim.ListpackValue:
		b.form.flags = object.FlagBig
	default:
		b.form.flags = object.FlagMixed
	}
}

// Add adds a member and reports whether it wasn't there.
func (b *SetBuilder) Add(m []byte) (added bool) {
	s := b.db.shard
	if len(b.packed) > 0 {
		for at := object.PackedHeader; at < len(b.packed); {
			var have []byte
			if have, at = object.Item(b.packed, at); string(have) == string(m) {
				return false
			}
		}
		if end := len(b.packed); b.n < object.MaxPackedItems && b.fits(end+object.ItemSize(len(m))) {
			b.packed = slices.Grow(b.packed, object.ItemSize(len(m)))[:end+object.ItemSize(len(m))]
			object.PutItem(b.packed, end, m)
			b.n++
			object.SetPackedLen(b.packed, b.n)
			return true
		}
		b.trees = object.NewTrees(object.SetTree)
		eachPackedMember(b.packed, func(m []byte) bool { return s.insertMember(&b.trees, s.newHeap(), m) })
		b.packed = nil
	}
	if added = s.insertMember(&b.trees, s.newHeap(), m); added {
		b.n++
	}
	return added
}

func (b *SetBuilder) fits(n int) bool {
	return n <= b.db.shard.set.packed && object.FitsPacked(len(b.key.Bytes), n, false)
}

// Put makes the set, which isn't empty, the value of its key, with no expiry.
func (b *SetBuilder) Put() {
	if len(b.packed) > 0 {
		if b.form.flags == 0 {
			sortPacked(b.packed)
		}
		b.db.setValue(b.key, byte(object.SetPacked)|b.form.flags, b.packed)
		return
	}
	var payload [object.TreesSize]byte
	b.trees.Store(payload[:])
	b.db.setValue(b.key, byte(object.SetTree)|b.form.flags, payload[:])
}

// sortPacked puts packed integers in ascending order.
func sortPacked(packed []byte) {
	items := make([][]byte, 0, object.PackedLen(packed))
	eachPackedMember(slices.Clone(packed), func(m []byte) bool {
		items = append(items, m)
		return true
	})
	slices.SortFunc(items, compareInts)
	at := object.PackedHeader
	for _, m := range items {
		at = object.PutItem(packed, at, m)
	}
}

// setValue makes a payload the value of a key, whatever it had before, without an expiry.
func (db *DB) setValue(k Key, tag byte, payload []byte) {
	x := db.x.Load()
	if p, ok := x.Find(k.Hash, k.Bytes); ok {
		db.beforeChange(p)
		db.shard.freeValue(x.Entry(p))
		e := db.reshape(p, len(payload), 0, 0)
		e.SetTag(tag)
		db.shard.renewed(e)
		copy(e.Payload(), payload)
	} else {
		e, ref := db.insert(k, tag, len(payload), 0)
		copy(e.Payload(), payload)
		x.Insert(k.Hash, ref)
	}
	db.shard.Changed(db.id, k.Bytes)
}
