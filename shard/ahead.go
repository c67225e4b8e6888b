package shard

import (
	"fulmen/internal/resp"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// MaxAhead is the greatest number of members that Ahead takes.
const MaxAhead = 16

// Ahead has what is needed for looking up members of a big collection brought into the cache, for all of them at once.
// To be called with the baton before commands that look them up one after the other. It changes nothing.
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
	n := 0
	for _, m := range members[:min(len(members), MaxAhead)] {
		if kind == object.SetTree {
			if _, isInt := resp.ParseInt(m); isInt {
				continue // those are in the other tree, which is small
			}
		}
		all[n] = first.Ahead(space, db.shard.hash(m)>>32)
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
			all[i] = t.A.Ahead(space, rankKey(score))
		} else {
			all[i] = tree.Ahead{}
		}
	}
	for i := range all[:n] {
		all[i].Body(tree.ByScore)
	}
}
