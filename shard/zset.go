package shard

import (
	"bytes"
	"encoding/binary"
	"math"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// ZSet is a sorted set. Packed, its members lie in their order: by score, and those of the same score by their bytes.
// Each is the score, eight bytes, and an item. In trees, A has the members in that order and B the scores by the hash
// of the member.
//
// Scores are kept as numbers that sort as they do. Of those -0 comes right before 0, but the order takes it for 0:
// FlagMixed says of a set in trees that it has had such a score, for which B is asked then. (Of two members with the
// same hash, one with 0 and one with -0, B can't tell which is which.) As in Redis, -0 becomes 0 in what is called a
// listpack.
type ZSet struct{ Value }

// ZSetLimits say up to what a sorted set is called a listpack.
type ZSetLimits struct {
	Entries    int64
	ValueBytes int64
}

const scoreBytes = 8

// rankKey is the number that the order goes by: that of 0 for -0.
func rankKey(key uint64) uint64 {
	if key == object.MinusZero {
		return object.ZeroKey
	}
	return key
}

// packed reports whether the set is packed.
func (z *ZSet) packed() bool { return z.Kind() == object.ZSetPacked }

// Len returns the number of members; 0 if the key isn't there.
func (z *ZSet) Len() int {
	if !z.ok {
		return 0
	}
	if z.packed() {
		return object.PackedLen(z.payload())
	}
	t := z.trees()
	return t.A.Len()
}

// packedAt is a member of a packed set: its number, where it begins and ends, and its score.
type packedAt struct {
	rank, at, end int
	key           uint64
}

// findPacked looks for a member in a packed payload.
func findPacked(payload, member []byte) (f packedAt, ok bool) {
	for at := object.PackedHeader; at < len(payload); f.rank++ {
		b, next := object.Item(payload, at+scoreBytes)
		if string(b) == string(member) {
			f.at, f.end, f.key = at, next, binary.LittleEndian.Uint64(payload[at:])
			return f, true
		}
		at = next
	}
	return f, false
}

// seekPacked returns the number and offset of the first item that is not before (key, member) in a packed payload.
func seekPacked(payload []byte, key uint64, member []byte) (rank, at int) {
	at = object.PackedHeader
	for at < len(payload) {
		k := rankKey(binary.LittleEndian.Uint64(payload[at:]))
		b, next := object.Item(payload, at+scoreBytes)
		if k > key || k == key && bytes.Compare(b, member) >= 0 {
			break
		}
		at = next
		rank++
	}
	return rank, at
}

// find looks for a member in the trees. If it is there, a and b are at it; if not, b is where it would be.
func (z *ZSet) find(t *object.Trees, a, b *tree.Path, member []byte) bool {
	return z.findHashed(t, a, b, z.hash(member), member)
}

// findHashed is find for a member of the given hash.
func (z *ZSet) findHashed(t *object.Trees, a, b *tree.Path, hash uint64, member []byte) bool {
	space := z.space()
	for t.B.Seek(space, b, hash); b.Valid() && b.Key() == hash; b.Next() {
		if t.A.SeekScore(space, a, rankKey(b.Value()), member) {
			return true
		}
	}
	return false
}

// signed returns the score that B has for a member of a set in trees.
func (z *ZSet) signed(key uint64) float64 {
	if !z.has(object.FlagMixed) {
		key = rankKey(key)
	}
	return object.ScoreOf(key)
}

// Score returns the score of a member.
func (z *ZSet) Score(member []byte) (score float64, ok bool) {
	if !z.ok {
		return 0, false
	}
	if z.packed() {
		f, ok := findPacked(z.payload(), member)
		return object.ScoreOf(f.key), ok
	}
	hash := z.hash(member)
	if key, ok := z.db.shard.ahead.of(z.db.x.Load(), z.e, hash, member); ok {
		return z.signed(key), true
	}
	var a, b tree.Path
	if t := z.trees(); z.findHashed(&t, &a, &b, hash, member) {
		return z.signed(b.Value()), true
	}
	return 0, false
}

// Rank returns how many members are before the given one, and its score.
func (z *ZSet) Rank(member []byte) (rank int, score float64, ok bool) {
	if !z.ok {
		return 0, 0, false
	}
	if z.packed() {
		f, ok := findPacked(z.payload(), member)
		return f.rank, object.ScoreOf(f.key), ok
	}
	var a, b tree.Path
	if t := z.trees(); z.find(&t, &a, &b, member) {
		return a.Rank(), z.signed(b.Value()), true
	}
	return 0, 0, false
}

// ScoreRank returns how many members have a score below the given one, or up to it.
func (z *ZSet) ScoreRank(score float64, through bool) int {
	if !z.ok {
		return 0
	}
	key := rankKey(object.ScoreKey(score))
	if through {
		key++ // of the next greater score: there is always one that is none of a member
	}
	if z.packed() {
		payload := z.payload()
		rank := 0
		for at := object.PackedHeader; at < len(payload); rank++ {
			if rankKey(binary.LittleEndian.Uint64(payload[at:])) >= key {
				break
			}
			_, at = object.Item(payload, at+scoreBytes)
		}
		return rank
	}
	var p tree.Path
	t := z.trees()
	t.A.Seek(z.space(), &p, key)
	return p.Rank()
}

// LexRank returns how many members are before the given string, or up to it, in a set whose scores are all the same.
// In any other it is some number up to Len.
func (z *ZSet) LexRank(member []byte, through bool) int {
	if !z.ok {
		return 0
	}
	before := func(b []byte) bool {
		c := bytes.Compare(b, member)
		return c < 0 || c == 0 && through
	}
	if z.packed() {
		payload := z.payload()
		rank := 0
		for at := object.PackedHeader; at < len(payload); rank++ {
			b, next := object.Item(payload, at+scoreBytes)
			if !before(b) {
				break
			}
			at = next
		}
		return rank
	}
	space := z.space()
	t := z.trees()
	var p tree.Path
	t.A.First(space, &p)
	first := p.Key()
	t.A.Last(space, &p)
	if p.Key() == first {
		found := t.A.SeekScore(space, &p, first, member)
		if found && through {
			return p.Rank() + 1
		}
		return p.Rank()
	}
	low, high := 0, t.A.Len()
	var buf []byte
	for low < high {
		mid := int(uint(low+high) >> 1)
		t.A.At(space, &p, mid)
		b := p.View(buf)
		if before(b) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// Big reports whether the set is called a skiplist.
func (z *ZSet) Big() bool { return z.ok && z.has(object.FlagBig) }

// Each calls fn for n members from the given rank on, which are there, or, if rev, from there backwards, until it
// returns false. fn must not change anything, and what it is given is good until it returns.
func (z *ZSet) Each(rank, n int, rev bool, fn func(member []byte, score float64) bool) {
	if n <= 0 {
		return
	}
	if z.packed() {
		eachPacked(z.payload(), rank, n, rev, fn)
		return
	}
	t := z.trees()
	z.eachOf(&t, rank, n, rev, z.has(object.FlagMixed), fn)
}

// EachFrom calls fn for the members whose score is not below the given one, in their order, until it returns false. fn
// must not change anything, and what it is given is good until it returns.
func (z *ZSet) EachFrom(score float64, fn func(member []byte, score float64) bool) {
	if !z.ok {
		return
	}
	key := rankKey(object.ScoreKey(score))
	if z.packed() {
		payload := z.payload()
		for _, at := seekPacked(payload, key, nil); at < len(payload); {
			b, next := object.Item(payload, at+scoreBytes)
			if !fn(b, object.ScoreOf(binary.LittleEndian.Uint64(payload[at:]))) {
				return
			}
			at = next
		}
		return
	}
	var p tree.Path
	t := z.trees()
	if t.A.Seek(z.space(), &p, key); p.Valid() {
		z.eachAt(&t, &p, t.A.Len()-p.Rank(), false, z.has(object.FlagMixed), fn)
	}
}

// eachOf is Each of trees; signed: some scores may be -0.
func (v *Value) eachOf(t *object.Trees, rank, n int, rev, signed bool, fn func(member []byte, score float64) bool) {
	var p tree.Path
	t.A.At(v.space(), &p, rank)
	v.eachAt(t, &p, n, rev, signed, fn)
}

// eachAt is eachOf for n > 0 members from where p is.
func (v *Value) eachAt(t *object.Trees, p *tree.Path, n int, rev, signed bool,
	fn func(member []byte, score float64) bool,
) {
	var buf []byte
	for {
		b, ok := p.Body()
		if !ok {
			b = p.View(buf)
			buf = b
		}
		key := p.Key()
		if signed && key == object.ZeroKey {
			key = v.signOf(t, b)
		}
		if !fn(b, object.ScoreOf(key)) {
			return
		}
		if n--; n == 0 {
			return
		}
		if rev {
			p.Prev()
		} else {
			p.Next()
		}
	}
}

// signOf returns the number of the score, 0 or -0, of a member.
func (v *Value) signOf(t *object.Trees, member []byte) uint64 {
	var a, b tree.Path
	z := ZSet{*v}
	z.find(t, &a, &b, member)
	return b.Value()
}

func eachPacked(payload []byte, rank, n int, rev bool, fn func(member []byte, score float64) bool) {
	at := object.PackedHeader
	if !rev {
		for range rank {
			_, at = object.Item(payload, at+scoreBytes)
		}
		for range n {
			b, next := object.Item(payload, at+scoreBytes)
			if !fn(b, object.ScoreOf(binary.LittleEndian.Uint64(payload[at:]))) {
				return
			}
			at = next
		}
		return
	}
	var starts [object.MaxPackedItems]uint16
	for i := range rank + 1 {
		starts[i] = uint16(at)
		_, at = object.Item(payload, at+scoreBytes)
	}
	for i := rank; i > rank-n; i-- {
		at := int(starts[i])
		b, _ := object.Item(payload, at+scoreBytes)
		if !fn(b, object.ScoreOf(binary.LittleEndian.Uint64(payload[at:]))) {
			return
		}
	}
}

// ZAdd says how a member is added.
type ZAdd uint8

// How members are added; they may be combined.
const (
	ZAddNX   ZAdd = 1 << iota // only if it isn't there
	ZAddXX                    // only if it is there
	ZAddGT                    // only if it isn't there or its score becomes greater
	ZAddLT                    // only if it isn't there or its score becomes lower
	ZAddIncr                  // the score is added to the one that it has
)

// ZAdded says what came of adding a member.
type ZAdded uint8

// What comes of adding a member.
const (
	ZNothing ZAdded = iota // the way of adding forbade it
	ZNew
	ZUpdated
	ZSame
	ZNaN // the sum of the scores is no number
)

// Add gives a member a score, creating the key if it isn't there, and returns its score then.
func (z *ZSet) Add(lim *ZSetLimits, member []byte, score float64, how ZAdd) (ZAdded, float64) {
	if !z.ok {
		if how&ZAddXX != 0 {
			return ZNothing, 0
		}
		z.begin(lim, member, keyFor(score, lim.Passed(member, 1)))
		return ZNew, score
	}
	var f packedAt
	var t object.Trees
	var a, b tree.Path
	var there bool
	var old uint64
	packed := z.packed()
	if packed {
		f, there = findPacked(z.payload(), member)
		old = f.key
	} else if t = z.trees(); z.find(&t, &a, &b, member) {
		there, old = true, b.Value()
	}
	if !there {
		if how&ZAddXX != 0 {
			return ZNothing, 0
		}
		big := z.has(object.FlagBig) || lim.Passed(member, z.Len()+1)
		if packed {
			z.insertPacked(member, keyFor(score, big))
		} else {
			z.insert(&b, member, keyFor(score, big))
		}
		if big {
			z.set(object.FlagBig)
		}
		z.changed()
		return ZNew, score
	}
	had := object.ScoreOf(old)
	if how&ZAddNX != 0 {
		return ZNothing, 0
	}
	if how&ZAddIncr != 0 {
		if score += had; math.IsNaN(score) {
			return ZNaN, score
		}
	}
	if how&ZAddLT != 0 && score >= had || how&ZAddGT != 0 && score <= had {
		return ZNothing, 0
	}
	if score == had {
		return ZSame, score
	}
	if key := keyFor(score, z.has(object.FlagBig)); packed {
		z.updatePacked(f, member, key)
	} else {
		z.update(&a, &b, member, key)
	}
	z.changed()
	return ZUpdated, score
}

// Passed reports whether a set of n members with the given one among them passes a limit.
func (lim *ZSetLimits) Passed(member []byte, n int) bool {
	return int64(len(member)) > lim.ValueBytes || int64(n) > lim.Entries
}

// keyFor is the number for a score in a set that is called a skiplist, or isn't.
func keyFor(score float64, big bool) uint64 {
	key := object.ScoreKey(score)
	if !big {
		key = rankKey(key)
	}
	return key
}

// begin makes the key with one member.
func (z *ZSet) begin(lim *ZSetLimits, member []byte, key uint64) {
	n := object.PackedHeader + scoreBytes + object.ItemSize(len(member))
	if z.fitsPacked(n) {
		z.create(object.ZSetPacked, 0, n, func(payload []byte) {
			object.SetPackedLen(payload, 1)
			binary.LittleEndian.PutUint64(payload[object.PackedHeader:], key)
			object.PutItem(payload, object.PackedHeader+scoreBytes, member)
		})
	} else {
		t := object.NewTrees(object.ZSetTree)
		z.create(object.ZSetTree, 0, object.TreesSize, t.Store)
		var b tree.Path
		t.B.End(z.space(), &b)
		z.insert(&b, member, key)
	}
	if lim.Passed(member, 1) {
		z.set(object.FlagBig)
	}
	z.changed()
}

// insertPacked adds a member that isn't there to a packed set, which may be in trees then.
func (z *ZSet) insertPacked(member []byte, key uint64) {
	payload := z.payload()
	n := object.PackedLen(payload)
	size := scoreBytes + object.ItemSize(len(member))
	if n+1 > object.MaxPackedItems || !z.fitsPacked(len(payload)+size) {
		z.plant()
		var a, b tree.Path
		t := z.trees()
		z.find(&t, &a, &b, member)
		z.insert(&b, member, key)
		return
	}
	_, at := seekPacked(payload, rankKey(key), member)
	payload = z.splice(at, 0, size)
	binary.LittleEndian.PutUint64(payload[at:], key)
	object.PutItem(payload, at+scoreBytes, member)
	object.SetPackedLen(payload, n+1)
}

// updatePacked gives a member of a packed set another score.
func (z *ZSet) updatePacked(f packedAt, member []byte, key uint64) {
	payload := z.change()
	_, to := seekPacked(payload, rankKey(key), member)
	size := f.end - f.at
	if to > f.at {
		copy(payload[f.at:], payload[f.end:to])
		to -= size
	} else {
		copy(payload[to+size:], payload[to:f.at])
	}
	binary.LittleEndian.PutUint64(payload[to:], key)
	object.PutItem(payload, to+scoreBytes, member)
}

// plant brings a packed set into trees.
func (z *ZSet) plant() {
	payload := z.payload()
	t := object.NewTrees(object.ZSetTree)
	h, space := z.db.shard.newHeap(), z.space()
	signed := false
	for at := object.PackedHeader; at < len(payload); {
		key := binary.LittleEndian.Uint64(payload[at:])
		member, next := object.Item(payload, at+scoreBytes)
		signed = signed || key == object.MinusZero
		var p tree.Path
		t.A.End(space, &p)
		t.A.Insert(h, &p, rankKey(key), 0, member)
		hash := z.hash(member)
		t.B.Seek(space, &p, hash)
		t.B.Insert(h, &p, hash, key)
		at = next
	}
	t.Store(z.reform(object.ZSetTree, object.TreesSize))
	if signed {
		z.set(object.FlagMixed)
	}
}

// insert adds a member to a set in trees; b is where B wants it.
func (z *ZSet) insert(b *tree.Path, member []byte, key uint64) {
	z.change()
	t := z.trees()
	h := z.heap(&t)
	insertInto(&t, h, b, z.hash(member), member, key)
	z.store(&t)
	if key == object.MinusZero {
		z.set(object.FlagMixed)
	}
}

func insertInto(t *object.Trees, h *tree.Heap, b *tree.Path, hash uint64, member []byte, key uint64) {
	var a tree.Path
	t.A.SeekScore(h.Arena.Space(), &a, rankKey(key), member)
	t.A.Insert(h, &a, rankKey(key), 0, member)
	t.B.Insert(h, b, hash, key)
}

// update gives the member that a and b are at another score.
func (z *ZSet) update(a, b *tree.Path, member []byte, key uint64) {
	z.change()
	t := z.trees()
	updateIn(&t, z.heap(&t), a, b, member, key)
	z.store(&t)
	if key == object.MinusZero {
		z.set(object.FlagMixed)
	}
}

func updateIn(t *object.Trees, h *tree.Heap, a, b *tree.Path, member []byte, key uint64) {
	t.A.Delete(h, a, 1)
	t.A.SeekScore(h.Arena.Space(), a, rankKey(key), member)
	t.A.Insert(h, a, rankKey(key), 0, member)
	t.B.SetValue(h, b, key)
}

// Delete removes a member and reports whether it was there. With the last one the key goes.
func (z *ZSet) Delete(member []byte) bool {
	switch {
	case !z.ok:
		return false
	case z.packed():
		f, ok := findPacked(z.payload(), member)
		if ok {
			z.cutPacked(f.at, f.end, 1)
		}
		return ok
	}
	var a, b tree.Path
	t := z.trees()
	if !z.find(&t, &a, &b, member) {
		return false
	}
	if t.A.Len() == 1 {
		z.Remove()
		return true
	}
	z.change()
	t = z.trees()
	h := z.heap(&t)
	t.A.Delete(h, &a, 1)
	t.B.Delete(h, &b, 1)
	z.store(&t)
	z.changed()
	return true
}

// cutPacked takes n members out of a packed set.
func (z *ZSet) cutPacked(at, end, n int) {
	left := z.Len() - n
	if left == 0 {
		z.Remove()
		return
	}
	object.SetPackedLen(z.splice(at, end-at, 0), left)
	z.changed()
}

// DeleteRange removes the members from rank `from` up to, not including, `to`, which are there. With the last one the
// key goes.
func (z *ZSet) DeleteRange(from, to int) {
	switch n := z.Len(); {
	case from >= to:
		return
	case to-from >= n:
		z.Remove()
		return
	case z.packed():
		payload := z.payload()
		start := object.PackedHeader
		for range from {
			_, start = object.Item(payload, start+scoreBytes)
		}
		end := start
		for range to - from {
			_, end = object.Item(payload, end+scoreBytes)
		}
		z.cutPacked(start, end, to-from)
		return
	}
	z.change()
	t := z.trees()
	h, space := z.heap(&t), z.space()
	var a, b tree.Path
	var buf []byte
	t.A.At(space, &a, from)
	for range to - from {
		member, ok := a.Body()
		if !ok {
			member = a.View(buf)
			buf = member
		}
		hash, key := z.hash(member), a.Key()
		for t.B.Seek(space, &b, hash); rankKey(b.Value()) != key; {
			b.Next() // of two with the same hash and score it doesn't matter which
		}
		t.B.Delete(h, &b, 1)
		a.Next()
	}
	t.A.DeleteRange(h, from, to)
	z.store(&t)
	z.changed()
}
