package rdb_test

import (
	"crypto/sha1"
	"encoding/hex"

	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// sha is a running digest of DEBUG DIGEST-VALUE: "xor" adds what has no order, "mix" what has.
type sha [sha1.Size]byte

func (d *sha) xor(p []byte) {
	h := sha1.Sum(p)
	for i := range d {
		d[i] ^= h[i]
	}
}

func (d *sha) mix(p []byte) {
	d.xor(p)
	*d = sha1.Sum(d[:])
}

// digest is DEBUG DIGEST-VALUE of a key that is no sorted set.
func digest(set *shard.Set, db *shard.DB, e index.Entry) string {
	var d sha
	t := object.TypeOf(e.Tag())
	d.mix([]byte{0, 0, 0, byte(t)})
	v := db.LookValue(set.Key(e.Key()), testNowMs)
	switch t {
	case object.String:
		d.mix(db.AppendString(nil, e))
	case object.List:
		l := shard.List{Value: v}
		l.Each(0, false, func(it *shard.ListItem) bool {
			d.mix(it.Append(nil))
			return true
		})
	case object.Set:
		m := shard.MemberSet{Value: v}
		m.Each(false, func(member []byte) bool {
			d.xor(member)
			return true
		})
	case object.Hash:
		h := v.LookHash(testNowMs)
		var f shard.Fields
		for h.From(&f, 0); f.Next(); {
			var one sha
			one.mix(f.Field.AppendTo(nil))
			one.mix(f.Value.AppendTo(nil))
			if f.ExpireAtMs != 0 {
				one.xor([]byte("!!hexpire!!"))
			}
			d.xor(one[:])
		}
	}
	if e.ExpireAt() != 0 {
		d.xor([]byte("!!expire!!"))
	}
	return hex.EncodeToString(d[:])
}
