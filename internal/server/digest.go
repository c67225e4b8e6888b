package server

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"fulmen/shard"
	"fulmen/shard/ds/index"
	streams "fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// sha is a running digest of DEBUG DIGEST, made as redis-server makes it so that the two can be compared:
// "xor" adds what has no order, "mix" what has.
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

// value adds an entry's type, value and expiry.
func (d *sha) value(srv *Server, db *shard.DB, e index.Entry, nowMs int64) {
	t := object.TypeOf(e.Tag())
	d.mix(binary.BigEndian.AppendUint32(nil, typeNumber(t)))
	v := shard.Value{}
	if t != object.String {
		v = db.LookValue(srv.set.Key(e.Key()), nowMs)
	}
	switch t {
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
	case object.ZSet:
		z := shard.ZSet{Value: v}
		z.Each(0, z.Len(), false, func(member []byte, score float64) bool {
			one := pairOf(member, digestScore(score))
			d.xor(one[:])
			return true
		})
	case object.Hash:
		h := v.LookHash(nowMs)
		var f shard.Fields
		for h.From(&f, 0); f.Next(); {
			one := pairOf(f.Field.AppendTo(nil), f.Value.AppendTo(nil))
			if f.ExpireAtMs != 0 { // as Redis has it from 7.4 on
				one.xor([]byte("!!hexpire!!"))
			}
			d.xor(one[:])
		}
	case object.Stream:
		d.stream(&shard.Stream{Value: v})
	default:
		d.mix(db.AppendString(nil, e))
	}
	if e.ExpireAt() != 0 {
		d.xor([]byte("!!expire!!"))
	}
}

// typeNumber is Redis's number of a type: modules' is between those of hashes and streams.
func typeNumber(t object.Type) uint32 {
	if t == object.Stream {
		return uint32(t) + 1
	}
	return uint32(t)
}

// stream adds the entries of a stream.
func (d *sha) stream(s *shard.Stream) {
	var r shard.StreamRange
	var field, value object.Text
	for s.Range(&r, streams.ID{}, streams.MaxID(), false); r.Next(); {
		d.mix(fmt.Appendf(nil, "%d.%d", r.ID.Ms, r.ID.Seq))
		for range r.Pairs {
			r.Pair(&field, &value)
			d.mix(field.AppendTo(nil))
			d.mix(value.AppendTo(nil))
		}
	}
}

// pairOf is the digest of two things that belong together and have no order among others.
func pairOf(a, b []byte) (one sha) {
	one.mix(a)
	one.mix(b)
	return one
}

// digestScore is a score as C prints it with %.17g.
func digestScore(score float64) []byte {
	if math.IsInf(score, 0) {
		return []byte(strings.ToLower(strings.TrimPrefix(fmt.Sprint(score), "+")))
	}
	return fmt.Appendf(nil, "%.17g", score)
}

// digest computes DEBUG DIGEST; all batons are held.
func (srv *Server) digest(nowMs int64) string {
	var final sha
	for id := range srv.set.Databases() {
		n := 0
		for _, s := range srv.set.Shards {
			n += s.DB(id).Len()
		}
		if n == 0 {
			continue
		}
		final.mix(binary.BigEndian.AppendUint32(nil, uint32(id)))
		for _, s := range srv.set.Shards {
			db := s.DB(id)
			eachEntry(db, nowMs, func(e index.Entry) {
				if fieldsGone(srv, db, e, nowMs) {
					return
				}
				var d sha
				d.mix(e.Key())
				d.value(srv, db, e, nowMs)
				final.xor(d[:])
			})
		}
	}
	return hex.EncodeToString(final[:])
}

// fieldsGone tells whether an entry is a hash all of whose fields have expired: it is as good as not there.
func fieldsGone(srv *Server, db *shard.DB, e index.Entry, nowMs int64) bool {
	if object.TypeOf(e.Tag()) != object.Hash {
		return false
	}
	v := db.LookValue(srv.set.Key(e.Key()), nowMs)
	h := v.LookHash(nowMs)
	return h.Len() == 0
}

// eachEntry calls fn for every live entry of a database.
func eachEntry(db *shard.DB, nowMs int64, fn func(e index.Entry)) {
	for cursor := uint64(0); ; {
		if cursor = db.Scan(cursor, 1000, nowMs, fn); cursor == 0 {
			return
		}
	}
}
