package command

import (
	"fulmen/shard"
	"fulmen/shard/object"
)

// length returns the number of elements of a value that can be sorted.
func (s *sorting) length(v *shard.Value) int {
	switch v.Type() {
	case object.List:
		l := shard.List{Value: *v}
		return l.Len()
	case object.Set:
		set := shard.MemberSet{Value: *v}
		return set.Len()
	case object.ZSet:
		z := shard.ZSet{Value: *v}
		return z.Len()
	}
	panic("BUG: sort: not a collection")
}

// each calls fn for n elements of a value that can be sorted from rank `from` on, or, if back, of that rank counted
// from the end and backwards; of a set for all. What fn is given is good until it returns.
func (s *sorting) each(v *shard.Value, from, n int, back bool, fn func(element []byte)) {
	if n == 0 {
		return
	}
	switch v.Type() {
	case object.List:
		l := shard.List{Value: *v}
		if back {
			from = l.Len() - 1 - from
		}
		var long []byte
		l.Each(from, back, func(it *shard.ListItem) bool {
			long = it.Append(long[:0])
			fn(long)
			n--
			return n > 0
		})
	case object.ZSet:
		z := shard.ZSet{Value: *v}
		if back {
			from = z.Len() - 1 - from
		}
		z.Each(from, n, back, func(m []byte, _ float64) bool {
			fn(m)
			return true
		})
	case object.Set:
		set := shard.MemberSet{Value: *v}
		set.Each(true, func(m []byte) bool {
			fn(m)
			return true
		})
	}
}

// field returns the value of a hash's field.
func (s *sorting) field(v *shard.Value, field []byte) ([]byte, bool) {
	if v.Type() != object.Hash {
		return nil, false
	}
	h := v.LookHash(s.c.NowMs)
	val, ok := h.Get(field)
	if !ok {
		return nil, false
	}
	return val.View(nil), true
}
