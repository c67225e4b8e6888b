package shard

import (
	"cmp"
	"encoding/binary"
	"slices"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// ZBuild collects members and scores for a new sorted set in trees that belong to no key. They are collected by member,
// where a score that is merged into changes in place, and put in order at the end: a union of many inputs that share
// members takes half the time so of what it takes to keep the order all the while.
type ZBuild struct {
	v       Value
	members tree.Tree    // pairs of a member and its score, 8 bytes
	t       object.Trees // the set, once order has been called
	longest int
	signed  bool
	head    [binary.MaxVarintLen64]byte
}

// NewZBuild begins a collection in the arena of the shard of db.
func (db *DB) NewZBuild(b *ZBuild) {
	*b = ZBuild{v: Value{db: db}, t: object.NewTrees(object.ZSetTree), members: object.NewTrees(object.HashTree).A}
}

// Len returns the number of members.
func (b *ZBuild) Len() int { return b.members.Len() + b.t.A.Len() }

// Put adds a member, or gives it the score that merge makes of the one it has; without merge it keeps that.
// After Each nothing can be added.
func (b *ZBuild) Put(member []byte, score float64, merge func(old, score float64) float64) {
	var p tree.Path
	var buf []byte
	h := b.v.db.shard.newHeap()
	hash := b.v.hash(member)
	found := b.members.Find(b.v.space(), &p, hash, member)
	if found && merge == nil {
		return
	}
	if found {
		_, old := tree.SplitPair(p.View(buf))
		score = merge(object.ScoreOf(binary.LittleEndian.Uint64(old)), score)
	}
	var key [scoreBytes]byte
	binary.LittleEndian.PutUint64(key[:], object.ScoreKey(score))
	head := tree.AppendPairHead(b.head[:0], len(member))
	if found {
		b.members.SetBody(h, &p, head, member, key[:])
		return
	}
	b.longest = max(b.longest, len(member))
	b.members.Insert(h, &p, hash, 0, head, member, key[:])
}

// collected is a member on its way into the order: what it is ordered by, and where it is.
type collected struct {
	rank  uint64
	place tree.Place
}

// order makes the set of what was collected. Both its trees grow at their ends alone, where that is fastest.
func (b *ZBuild) order() {
	n := b.members.Len()
	if n == 0 {
		return
	}
	h, space := b.v.db.shard.newHeap(), b.v.space()
	all := make([]collected, 0, n)
	var p, end tree.Path
	var buf []byte
	for b.members.First(space, &p); p.Valid(); p.Next() {
		_, score := tree.SplitPair(p.View(buf))
		key := binary.LittleEndian.Uint64(score)
		b.signed = b.signed || key == object.MinusZero
		all = append(all, collected{rankKey(key), p.Place()})
		b.t.B.End(space, &end)
		b.t.B.Insert(h, &end, p.Key(), key)
	}
	slices.SortFunc(all, func(x, y collected) int { return cmp.Compare(x.rank, y.rank) })
	for i := range all {
		m, _ := tree.SplitPair(b.members.BodyAt(space, all[i].place, buf))
		if i > 0 && all[i-1].rank == all[i].rank {
			b.t.A.SeekScore(space, &end, all[i].rank, m)
		} else {
			b.t.A.End(space, &end)
		}
		b.t.A.Insert(h, &end, all[i].rank, 0, m)
	}
	b.freeMembers()
}

func (b *ZBuild) freeMembers() {
	b.v.db.shard.freeNodes(object.NodesOfTrees(object.HashTree, object.Trees{A: b.members}))
	b.members = object.NewTrees(object.HashTree).A
}

// Each calls fn for all members in their order, until it returns false.
func (b *ZBuild) Each(fn func(member []byte, score float64) bool) {
	b.order()
	if n := b.Len(); n > 0 {
		b.v.eachOf(&b.t, 0, n, false, b.signed, fn)
	}
}

// Free gives up what was collected.
func (b *ZBuild) Free() {
	b.freeMembers()
	b.v.db.shard.freeNodes(object.NodesOfTrees(object.ZSetTree, b.t))
	b.t = object.NewTrees(object.ZSetTree)
}

// Store makes what was collected the value of a key of its database, in the place of what that had, which loses its
// expiry. Nothing collected removes the key. It reports whether there was one or is one.
func (b *ZBuild) Store(k Key, lim *ZSetLimits) (changed bool) {
	db := b.v.db
	z := ZSet{Value{db: db, key: k}}
	b.order()
	p, ok := db.x.Load().Find(k.Hash, k.Bytes)
	if z.again = ok; ok {
		db.remove(p)
	}
	n := b.Len()
	if n == 0 {
		if ok {
			z.changed()
		}
		return ok
	}
	flags := byte(0)
	if int64(n) > lim.Entries || int64(b.longest) > lim.ValueBytes {
		flags = object.FlagBig
	}
	if size := b.packedSize(); n <= object.MaxPackedItems && z.fitsPacked(size) {
		z.create(object.ZSetPacked, flags, size, func(payload []byte) {
			object.SetPackedLen(payload, n)
			at := object.PackedHeader
			b.Each(func(member []byte, score float64) bool {
				binary.LittleEndian.PutUint64(payload[at:], keyFor(score, flags != 0))
				at = object.PutItem(payload, at+scoreBytes, member)
				return true
			})
		})
		b.Free()
	} else {
		switch {
		case !b.signed:
		case flags != 0:
			flags |= object.FlagMixed
		default:
			b.v.db.shard.unsign(&b.t)
		}
		z.create(object.ZSetTree, flags, object.TreesSize, b.t.Store)
		b.t = object.NewTrees(object.ZSetTree)
	}
	z.changed()
	return true
}

// unsign makes every -0 a 0.
func (s *Shard) unsign(t *object.Trees) {
	h := s.newHeap()
	var p tree.Path
	for t.B.First(s.arena.Space(), &p); p.Valid(); p.Next() {
		if p.Value() == object.MinusZero {
			t.B.SetValue(h, &p, object.ZeroKey)
		}
	}
}

// packedSize returns the size of the payload that holds all members, or that of as many as may be packed.
func (b *ZBuild) packedSize() int {
	n := object.PackedHeader
	b.Each(func(member []byte, _ float64) bool {
		n += scoreBytes + object.ItemSize(len(member))
		return n <= object.MaxBlock
	})
	return n
}
