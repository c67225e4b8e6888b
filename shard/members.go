package shard

import (
	"bytes"
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// MemberSet is a key whose value is a set, or that is not there: the empty set.
//
// Members that are the text of an integer of 64 bits live in the second tree, as that integer, and all others in the
// first. Packed sets that are called intsets are sorted by value; others keep the order in which members came.
type MemberSet struct{ Value }

// SetLimits are the sizes at which sets are called by the name of another encoding.
type SetLimits struct {
	IntsetEntries   int64 // set-max-intset-entries
	ListpackEntries int64 // set-max-listpack-entries
	ListpackValue   int64 // set-max-listpack-value
}

// setForm is what a set is called, as Redis converts it while members are added.
type setForm struct {
	flags   byte
	n       int // members
	longest int // length of the longest member; of intsets
}

const setFlags = object.FlagBig | object.FlagMixed

// newForm is the form of an empty set to which `hint` members are added, first among them one that is an integer or
// not.
func newForm(isInt bool, hint int, lim *SetLimits) setForm {
	switch {
	case isInt && int64(hint) <= lim.IntsetEntries:
		return setForm{}
	case int64(hint) <= lim.ListpackEntries:
		return setForm{flags: object.FlagMixed}
	}
	return setForm{flags: object.FlagBig}
}

// expect is told how many members are going to be added at once.
func (f *setForm) expect(hint int, lim *SetLimits) {
	if f.flags == object.FlagMixed && int64(hint) > lim.ListpackEntries ||
		f.flags == 0 && int64(hint) > lim.IntsetEntries {
		f.flags |= object.FlagBig
	}
}

// add adds a member of the given length.
func (f *setForm) add(length int, isInt bool, lim *SetLimits) {
	switch {
	case f.flags&object.FlagBig != 0:
	case f.flags == 0 && isInt:
		f.longest = max(f.longest, length)
		if int64(f.n) >= min(lim.IntsetEntries, 1<<30) {
			f.flags = object.FlagBig
		}
	case int64(f.n) >= lim.ListpackEntries || int64(max(length, f.longest)) > lim.ListpackValue:
		f.flags |= object.FlagBig
	default:
		f.flags, f.longest = object.FlagMixed, 0
	}
	f.n++
}

// Len returns the number of members.
func (v *MemberSet) Len() int {
	if !v.ok {
		return 0
	}
	if v.Kind() == object.SetPacked {
		return object.PackedLen(v.payload())
	}
	t := v.trees()
	return t.A.Len() + t.B.Len()
}

// Intset reports whether the set is called an intset: all members are integers, and replied in ascending order.
func (v *MemberSet) Intset() bool { return v.ok && !v.has(setFlags) }

// Big reports whether the set is called a hashtable.
func (v *MemberSet) Big() bool { return v.ok && v.has(object.FlagBig) }

// Has reports whether m is a member.
func (v *MemberSet) Has(m []byte) bool {
	if !v.ok {
		return false
	}
	if v.Kind() == object.SetPacked {
		_, _, found := v.findPacked(v.payload(), m)
		return found
	}
	t := v.trees()
	n, isInt := resp.ParseInt(m)
	var p tree.Path
	_, _, found := v.db.shard.findMember(&t, &p, m, n, isInt)
	return found
}

// findPacked finds a member among packed items: where it is and what is behind it, or where it would be inserted.
func (v *MemberSet) findPacked(payload, m []byte) (at, next int, found bool) {
	if !v.has(setFlags) {
		return findInt(payload, m)
	}
	for at = object.PackedHeader; at < len(payload); at = next {
		n := int(payload[at])
		if n >= 128 { // a length of several bytes
			var b []byte
			if b, next = object.Item(payload, at); string(b) == string(m) {
				return at, next, true
			}
			continue
		}
		if next = at + 1 + n; n == len(m) && string(payload[at+1:next]) == string(m) {
			return at, next, true
		}
	}
	return at, at, false
}

// findInt is findPacked where items are integers in ascending order. What is none comes at the end.
func findInt(payload, m []byte) (at, next int, found bool) {
	if _, isInt := resp.ParseInt(m); !isInt {
		return len(payload), len(payload), false
	}
	at = object.PackedHeader
	for range object.PackedLen(payload) {
		b, next := object.Item(payload, at)
		if c := compareInts(b, m); c >= 0 {
			return at, next, c == 0
		}
		at = next
	}
	return at, at, false
}

// compareInts compares the texts of two integers by value.
func compareInts(a, b []byte) int {
	minusA, minusB := a[0] == '-', b[0] == '-'
	switch {
	case minusA && minusB:
		a, b = b, a
	case minusA:
		return -1
	case minusB:
		return 1
	}
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

// findMember goes to a member in its tree, or to where it would be.
func (s *Shard) findMember(t *object.Trees, p *tree.Path, m []byte, n int64, isInt bool) (in *tree.Tree, key uint64,
	found bool) {
	space := s.arena.Space()
	if isInt {
		key = object.MixInt(n)
		t.B.Seek(space, p, key)
		return &t.B, key, p.Valid() && p.Key() == key
	}
	key = s.hash(m) >> 32
	return &t.A, key, t.A.Find(space, p, key, m)
}

// insertMember adds a member that may be there to trees.
func (s *Shard) insertMember(t *object.Trees, h *tree.Heap, m []byte) (added bool) {
	n, isInt := resp.ParseInt(m)
	var p tree.Path
	in, key, found := s.findMember(t, &p, m, n, isInt)
	if !found {
		in.Insert(h, &p, key, 0, m)
	}
	return !found
}

// Add adds members, one at least, and returns how many were not there.
func (v *MemberSet) Add(members [][]byte, lim *SetLimits) (added int) {
	first := members[0]
	n, isInt := resp.ParseInt(first)
	var f setForm
	if v.ok {
		f = v.form(lim)
		f.expect(len(members), lim)
		v.setForm(f.flags)
	} else {
		f = newForm(isInt, len(members), lim)
		v.begin(first, n, isInt, &f, lim)
		added, members = 1, members[1:]
	}
	return v.addAll(members, &f, lim, added)
}

// AddOne is Add for a single member that is not said to come alone, as SMOVE's.
func (v *MemberSet) AddOne(member []byte, lim *SetLimits) (added bool) {
	n, isInt := resp.ParseInt(member)
	if !v.ok {
		f := newForm(isInt, 1, lim)
		v.begin(member, n, isInt, &f, lim)
		v.changed()
		return true
	}
	f := v.form(lim)
	if added = v.add(member, &f, lim); added {
		v.changed()
	}
	return added
}

func (v *MemberSet) addAll(members [][]byte, f *setForm, lim *SetLimits, added int) int {
	for _, m := range members {
		if v.add(m, f, lim) {
			added++
		}
	}
	if added > 0 {
		v.changed()
	}
	return added
}

// form is the set's form as it is.
func (v *MemberSet) form(lim *SetLimits) setForm {
	f := setForm{flags: v.e.Tag() & setFlags, n: v.Len()}
	if f.flags == 0 && lim.ListpackValue < maxIntText {
		v.Each(false, func(m []byte) bool {
			f.longest = max(f.longest, len(m))
			return true
		})
	}
	return f
}

// maxIntText is the length of the longest text of an integer.
const maxIntText = 20

// setForm gives the set, which is there, another form.
func (v *MemberSet) setForm(flags byte) {
	if tag := v.e.Tag(); tag&setFlags != flags {
		v.change()
		v.e.SetTag(tag&^setFlags | flags)
	}
}

// begin makes the set of one member.
func (v *MemberSet) begin(m []byte, n int64, isInt bool, f *setForm, lim *SetLimits) {
	f.add(len(m), isInt, lim)
	size := object.PackedHeader + object.ItemSize(len(m))
	if v.fitsPacked(size) {
		v.create(object.SetPacked, f.flags, size, func(payload []byte) {
			object.SetPackedLen(payload, 1)
			object.PutItem(payload, object.PackedHeader, m)
		})
		return
	}
	t := object.NewTrees(object.SetTree)
	v.db.shard.insertMember(&t, v.db.shard.newHeap(), m)
	v.create(object.SetTree, f.flags, object.TreesSize, t.Store)
}

// add adds a member to a set that is there.
func (v *MemberSet) add(m []byte, f *setForm, lim *SetLimits) bool {
	n, isInt := resp.ParseInt(m)
	if v.Kind() == object.SetPacked {
		payload := v.payload()
		at, _, found := v.findPacked(payload, m)
		if found {
			return false
		}
		size := object.ItemSize(len(m))
		f.add(len(m), isInt, lim)
		if object.PackedLen(payload) < object.MaxPackedItems && v.fitsPacked(len(payload)+size) {
			if f.flags != 0 {
				at = len(payload)
			}
			payload = v.splice(at, 0, size)
			object.PutItem(payload, at, m)
			object.SetPackedLen(payload, object.PackedLen(payload)+1)
			v.e.SetTag(v.e.Tag()&^setFlags | f.flags)
			return true
		}
		v.unpack()
		v.setForm(f.flags)
		return v.insert(m, n, isInt)
	}
	if !v.insert(m, n, isInt) {
		return false
	}
	f.add(len(m), isInt, lim)
	v.setForm(f.flags)
	return true
}

// insert adds a member to the trees.
func (v *MemberSet) insert(m []byte, n int64, isInt bool) bool {
	t := v.trees()
	var p tree.Path
	in, key, found := v.db.shard.findMember(&t, &p, m, n, isInt)
	if found {
		return false
	}
	v.change()
	t = v.trees() // which may be pinned now
	in.Insert(v.heap(&t), &p, key, 0, m)
	v.store(&t)
	return true
}

// unpack puts a packed set into trees.
func (v *MemberSet) unpack() {
	t := object.NewTrees(object.SetTree)
	s, payload := v.db.shard, v.payload()
	h := s.newHeap()
	at := object.PackedHeader
	for range object.PackedLen(payload) {
		var m []byte
		m, at = object.Item(payload, at)
		s.insertMember(&t, h, m)
	}
	t.Store(v.reform(object.SetTree, object.TreesSize))
}

// Delete removes members and returns how many were there. With the last of them goes the key.
func (v *MemberSet) Delete(members [][]byte) (deleted int) {
	for _, m := range members {
		if !v.ok {
			break
		}
		if v.delete(m) {
			deleted++
		}
	}
	if deleted > 0 && v.ok {
		v.changed()
	}
	return deleted
}

func (v *MemberSet) delete(m []byte) bool {
	if v.Kind() == object.SetPacked {
		at, next, found := v.findPacked(v.payload(), m)
		if found {
			v.deletePacked(at, next)
		}
		return found
	}
	t := v.trees()
	n, isInt := resp.ParseInt(m)
	var p tree.Path
	in, _, found := v.db.shard.findMember(&t, &p, m, n, isInt)
	if found {
		v.deleteAt(&t, in, &p)
	}
	return found
}

// deletePacked removes the packed member between two offsets.
func (v *MemberSet) deletePacked(at, next int) {
	if object.PackedLen(v.payload()) == 1 {
		v.Remove()
		return
	}
	payload := v.splice(at, next-at, 0)
	object.SetPackedLen(payload, object.PackedLen(payload)-1)
}

// deleteAt removes the member at p in one of t, the trees of the set.
func (v *MemberSet) deleteAt(t *object.Trees, in *tree.Tree, p *tree.Path) {
	if t.A.Len()+t.B.Len() == 1 {
		v.Remove()
		return
	}
	v.change()
	*t = v.trees() // which may be pinned now
	in.Delete(v.heap(t), p, 1)
	v.store(t)
}

// Take removes the member of the given rank, from 0, having appended it to dst. The caller calls Taken when it has
// taken what it wants.
func (v *MemberSet) Take(dst []byte, rank int) []byte {
	if v.Kind() == object.SetPacked {
		m, at, next := v.packedAt(rank)
		dst = append(dst, m...)
		v.deletePacked(at, next)
		return dst
	}
	t := v.trees()
	var p tree.Path
	if k := t.A.Len(); rank >= k {
		t.B.At(v.space(), &p, rank-k)
		dst = strconv.AppendInt(dst, object.UnmixInt(p.Key()), 10)
		v.deleteAt(&t, &t.B, &p)
		return dst
	}
	t.A.At(v.space(), &p, rank)
	if b, ok := p.Body(); ok {
		dst = append(dst, b...)
	} else {
		s := p.Spilled()
		dst = s.AppendRange(dst, v.space(), 0, s.Len())
	}
	v.deleteAt(&t, &t.A, &p)
	return dst
}

// Taken ends one or more calls of Take. If all is set, the set is what Redis makes of what is left where that is much
// less than what was taken: a new one.
func (v *MemberSet) Taken(renewed bool, lim *SetLimits) {
	if !v.ok {
		return
	}
	if renewed && v.Big() {
		f := setForm{flags: object.FlagMixed}
		v.Each(false, func(m []byte) bool {
			f.add(len(m), false, lim)
			return f.flags&object.FlagBig == 0
		})
		v.setForm(f.flags)
	}
	v.changed()
}

func (v *MemberSet) packedAt(rank int) (m []byte, at, next int) {
	payload := v.payload()
	m, next = object.Item(payload, object.PackedHeader)
	for at = object.PackedHeader; rank > 0; rank-- {
		at = next
		m, next = object.Item(payload, at)
	}
	return m, at, next
}

// At returns the member of the given rank, from 0, in an order that stays while the set doesn't change. It is in place
// or appended to the empty buf.
func (v *MemberSet) At(rank int, buf []byte) []byte {
	if v.Kind() == object.SetPacked {
		m, _, _ := v.packedAt(rank)
		return m
	}
	t := v.trees()
	var p tree.Path
	if k := t.A.Len(); rank >= k {
		t.B.At(v.space(), &p, rank-k)
		return strconv.AppendInt(buf, object.UnmixInt(p.Key()), 10)
	}
	t.A.At(v.space(), &p, rank)
	return p.View(buf)
}

// Each calls fn for every member until it returns false: in ascending order if that is wanted and the set is an
// intset, else in that of At. fn must not change the set.
func (v *MemberSet) Each(sorted bool, fn func(m []byte) bool) {
	if !v.ok {
		return
	}
	if v.Kind() == object.SetPacked {
		eachPackedMember(v.payload(), fn)
		return
	}
	t := v.trees()
	if sorted && v.Intset() {
		eachSorted(&t, v.space(), fn)
		return
	}
	var p tree.Path
	var buf []byte
	if t.A.Len() > 0 {
		for t.A.First(v.space(), &p); p.Valid(); p.Next() {
			m, ok := p.Body()
			if !ok {
				buf = p.View(buf[:0])
				m = buf
			}
			if !fn(m) {
				return
			}
		}
	}
	if t.B.Len() > 0 {
		var text [maxIntText]byte
		for t.B.First(v.space(), &p); p.Valid(); p.Next() {
			if !fn(strconv.AppendInt(text[:0], object.UnmixInt(p.Key()), 10)) {
				return
			}
		}
	}
}

func eachPackedMember(payload []byte, fn func(m []byte) bool) {
	at := object.PackedHeader
	for range object.PackedLen(payload) {
		m, next := object.Item(payload, at)
		if !fn(m) {
			return
		}
		at = next
	}
}

func eachSorted(t *object.Trees, space *arena.Space, fn func(m []byte) bool) {
	all := make([]int64, 0, t.B.Len())
	var p tree.Path
	for t.B.First(space, &p); p.Valid(); p.Next() {
		all = append(all, object.UnmixInt(p.Key()))
	}
	slices.Sort(all)
	var text [maxIntText]byte
	for _, n := range all {
		if !fn(strconv.AppendInt(text[:0], n, 10)) {
			return
		}
	}
}

// Cursors of Scan: 0 is the beginning, scanFirst and more the hash in the first tree to go on from, and scanSecond and
// more the upper bits of the key in the second. So they are places in the order of members, and neither what comes nor
// what goes moves others. What shares a cursor is given in one call.
const (
	scanFirst  = 1
	scanSecond = 1 << 33
	scanShift  = 16 // bits of a key that are no part of the cursor
)

// Scan calls fn for about count members, beginning at cursor, and returns the cursor to go on with, 0 at the end. A
// member that is there from the first call to the last is given at least once. A packed set is given as a whole.
func (v *MemberSet) Scan(cursor uint64, count int, fn func(m []byte)) (next uint64) {
	if !v.ok {
		return 0
	}
	if v.Kind() == object.SetPacked {
		eachPackedMember(v.payload(), func(m []byte) bool {
			fn(m)
			return true
		})
		return 0
	}
	t := v.trees()
	if cursor < scanSecond {
		if next, count = v.scanTexts(&t.A, max(cursor, scanFirst)-scanFirst, count, fn); next != 0 {
			return next
		}
		if t.B.Len() == 0 {
			return 0
		}
		if count <= 0 {
			return scanSecond
		}
		cursor = scanSecond
	}
	return v.scanInts(&t.B, (cursor-scanSecond)<<scanShift, count, fn)
}

func (v *MemberSet) scanTexts(t *tree.Tree, from uint64, count int, fn func(m []byte)) (next uint64, left int) {
	if t.Len() == 0 {
		return 0, count
	}
	var p tree.Path
	var buf []byte
	last := from
	for t.Seek(v.space(), &p, from); p.Valid(); p.Next() {
		if k := p.Key(); k != last {
			if count <= 0 {
				return k + scanFirst, 0
			}
			last = k
		}
		m, ok := p.Body()
		if !ok {
			buf = p.View(buf[:0])
			m = buf
		}
		fn(m)
		count--
	}
	return 0, count
}

func (v *MemberSet) scanInts(t *tree.Tree, from uint64, count int, fn func(m []byte)) (next uint64) {
	if t.Len() == 0 {
		return 0
	}
	var p tree.Path
	var text [maxIntText]byte
	last := from >> scanShift
	for t.Seek(v.space(), &p, from); p.Valid(); p.Next() {
		if k := p.Key() >> scanShift; k != last {
			if count <= 0 {
				return scanSecond + k
			}
			last = k
		}
		fn(strconv.AppendInt(text[:0], object.UnmixInt(p.Key()), 10))
		count--
	}
	return 0
}
