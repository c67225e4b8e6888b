package rdb

import (
	"encoding/binary"
	"math"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

const scoreBytes = 8

// packScores makes a listpack of a sorted set in w.pack, members and scores in ascending order, unless it gets too big.
func (w *Writer) packScores(tag byte, payload []byte) bool {
	w.packBegin()
	if object.KindOf(tag) == object.ZSetPacked {
		at := object.PackedHeader
		n := object.PackedLen(payload)
		for range n {
			key := binary.LittleEndian.Uint64(payload[at:])
			var b []byte
			b, at = object.Item(payload, at+scoreBytes)
			w.packBytes(b)
			w.packScore(object.ScoreOf(key))
		}
		w.packClose(2 * n)
		return true
	}
	t := object.LoadTrees(object.ZSetTree, payload)
	var p tree.Path
	for t.A.First(w.o.Space, &p); p.Valid(); p.Next() {
		if len(w.pack)+p.BodyLen() > wholeBytes {
			return false
		}
		text := object.BodyText(w.o.Space, &p)
		w.packText(&text)
		w.packScore(object.ScoreOf(p.Key()))
	}
	w.packClose(2 * t.A.Len())
	return true
}

// scoresValue writes a sorted set member by member, beginning with the greatest: who loads it into a list that is
// searched from its beginning is served best that way.
func (w *Writer) scoresValue(tag byte, payload []byte) {
	if object.KindOf(tag) == object.ZSetPacked {
		n := object.PackedLen(payload)
		w.length(uint64(n))
		var starts [object.MaxPackedItems]uint16
		at := object.PackedHeader
		for i := range n {
			starts[i] = uint16(at)
			_, at = object.Item(payload, at+scoreBytes)
		}
		for i := n - 1; i >= 0; i-- {
			at := int(starts[i])
			b, _ := object.Item(payload, at+scoreBytes)
			w.string(b)
			w.score(binary.LittleEndian.Uint64(payload[at:]))
		}
		return
	}
	t := object.LoadTrees(object.ZSetTree, payload)
	w.length(uint64(t.A.Len()))
	signed := tag&object.FlagMixed != 0 && w.o.Hash != nil
	var p tree.Path
	for t.A.Last(w.o.Space, &p); p.Valid() && w.err == nil; {
		text := object.BodyText(w.o.Space, &p)
		w.text(&text)
		key := p.Key()
		if signed && key == object.ZeroKey {
			key = w.signOf(&t.B, &text)
		}
		w.score(key)
		if !p.Prev() {
			break
		}
	}
}

// score writes the score with the given key.
func (w *Writer) score(key uint64) { w.u64(math.Float64bits(object.ScoreOf(key))) }

// signOf returns the key of the score, 0 or -0, of a member.
func (w *Writer) signOf(scores *tree.Tree, member *object.Text) uint64 {
	hash := w.o.Hash(member.View(w.item)) >> 32
	var p tree.Path
	for scores.Seek(w.o.Space, &p, hash); p.Valid() && p.Key() == hash; p.Next() {
		if p.Value() == object.MinusZero {
			return object.MinusZero
		}
	}
	return object.ZeroKey
}
