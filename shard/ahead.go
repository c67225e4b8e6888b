package shard

import (
	"fulmen/internal/resp"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// MaxAhead is the greatest number of members that Ahead takes.
const MaxAhead = 16

// aheadScores are the members of a sorted set that Ahead has looked up last, with their scores as tree B has them; held
// with the baton. They are true as long as nothing in the index has changed.
type aheadScores struct {
	x        *index.Index
	edits    uint64
	entry    index.Entry
	n, next  int // how many there are, and which is likely to be asked for next
	hashes   [MaxAhead]uint64
	scores   [MaxAhead]uint64
	lookedUp [MaxAhead]tree.Ahead
}

// of returns the score of a member with a hash, of the sorted set in an entry of x; false: it is not known.
func (s *aheadScores) of(x *index.Index, e index.Entry, hash uint64, member []byte) (score uint64, ok bool) {
	if s.next >= s.n || s.entry != e || s.x != x || s.edits != x.Edits() {
		return 0, false
	}
	for i := s.next; i < s.n; i++ {
		if s.hashes[i] == hash {
			s.next = i + 1
			return s.scores[i], s.lookedUp[i].Is(tree.ByScore, member)
		}
	}
	return 0, false
}

// Ahead has what is needed for looking up members of a big collection brought into the cache, for all of them at once.
// To be called with the baton before commands that look them up one after the other. It changes nothing; ZSet.Score
// has the scores from here until something changes.
func (db *DB) Ahead(k Key, members [][]byte) {
	x := db.x.Load()
	p, ok := x.Find(k.Hash, k.Bytes)
	if !ok {
		return
	}
	e := x.Entry(p)
	kind := object.KindOf(e.Tag())
	if kind != object.SetTree && kind != object.HashTree && kind != object.ZSetTree {
		return
	}
	t := object.LoadTrees(kind, e.Payload())
	space, first := db.shard.arena.Space(), &t.A
	if kind == object.ZSetTree {
		first = &t.B
	}
	var all [MaxAhead]tree.Ahead
	s := &db.shard.ahead
	s.n = 0
	n := 0
	for _, m := range members[:min(len(members), MaxAhead)] {
		if kind == object.SetTree {
			if _, isInt := resp.ParseInt(m); isInt {
				continue // those are in the other tree, which is small
			}
		}
		s.hashes[n] = db.shard.hash(m) >> 32
		all[n] = first.Ahead(space, s.hashes[n])
		n++
	}
	if kind != object.ZSetTree {
		for i := range all[:n] {
			all[i].Body(first.Order())
		}
		return
	}
	for i := range all[:n] {
		if score, found := all[i].Value(tree.ByHashScore); found {
			s.scores[i], s.lookedUp[i] = score, t.A.Ahead(space, rankKey(score))
		} else {
			s.lookedUp[i] = tree.Ahead{}
		}
	}
	for i := range s.lookedUp[:n] {
		s.lookedUp[i].Body(tree.ByScore)
	}
	s.x, s.edits, s.entry, s.n, s.next = x, x.Edits(), e, n, 0
}
