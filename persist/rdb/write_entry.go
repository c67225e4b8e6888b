package rdb

import (
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// NeedsVersion returns the version that a file with the value in e needs: Version7, or Version8 if it is a hash
// that has fields with an expiry.
func NeedsVersion(e index.Entry) int {
	if expiring(e.Tag(), e.Payload()) {
		return Version8
	}
	return Version7
}

// expiring reports whether a value is a hash with fields that have an expiry.
func expiring(tag byte, payload []byte) bool {
	if tag&object.FlagMixed == 0 {
		return false
	}
	switch object.KindOf(tag) {
	case object.HashPacked:
		return object.PackedExpiry(payload, object.PackedHeader) != 0
	case object.HashTree:
		t := object.LoadTrees(object.HashTree, payload)
		return t.B.Len() > 0
	}
	return false
}

// Entry writes a key with its value and expiry, and with when or how often it was used if that is asked for. e may be a
// view of a copied block. If its value has nodes (object.HasNodes), these must not change meanwhile: the shard's baton
// is held, or they are pinned.
func (w *Writer) Entry(e index.Entry) {
	idle, freq := int64(-1), -1
	switch {
	case w.o.Idle != nil:
		idle = w.o.Idle(e)
	case w.o.Freq != nil:
		freq = w.o.Freq(e)
	}
	w.head(e.ExpireAt(), idle, freq)
	tag, payload := e.Tag(), e.Payload()
	t := w.typeOf(tag, payload)
	w.byte(t)
	w.string(e.Key())
	w.value(t, tag, payload)
}

// head writes what precedes the type of an entry: expireAtMs unless it is 0, and the others unless they are below 0.
func (w *Writer) head(expireAtMs, idleSeconds int64, freq int) {
	if expireAtMs != 0 {
		w.byte(opExpireTimeMs)
		w.u64(uint64(expireAtMs))
	}
	if idleSeconds >= 0 {
		w.byte(opIdle)
		w.length(uint64(idleSeconds))
	}
	if freq >= 0 {
		w.byte(opFreq)
		w.byte(byte(freq))
	}
}

// RawEntry writes a key whose value is serialised already, as Reader.Raw gives it: a conversion. expireAtMs is 0 and
// idleSeconds and freq are below 0 if the entry has none.
func (w *Writer) RawEntry(key []byte, expireAtMs, idleSeconds int64, freq int, typ byte, value []byte) {
	w.head(expireAtMs, idleSeconds, freq)
	w.byte(typ)
	w.string(key)
	w.bytes(value)
}

// typeOf returns the type under which a value is written. Collections that are called a listpack or an intset are
// written as one, and all others element by element; but those that would be big as one piece are not: what Redis calls
// them when it has loaded them goes by its limits in any case.
func (w *Writer) typeOf(tag byte, payload []byte) byte {
	whole := tag&object.FlagBig == 0
	switch object.TypeOf(tag) {
	case object.List:
		return TypeListQuicklist2
	case object.Set:
		if whole && tag&object.FlagMixed == 0 && w.collectInts(tag, payload) {
			return TypeSetIntset
		}
		return TypeSet
	case object.ZSet:
		if whole && w.packScores(tag, payload) {
			return TypeZSetListpack
		}
		return TypeZSet2
	case object.Hash:
		return w.hashType(whole, tag, payload)
	case object.Stream:
		return TypeStreamListpacks2
	}
	return TypeString
}

// value writes a value whose type is what typeOf returned last.
func (w *Writer) value(t, tag byte, payload []byte) {
	switch t {
	case TypeString:
		w.stringValue(tag, payload)
	case TypeListQuicklist2:
		w.listValue(tag, payload)
	case TypeSet:
		w.setValue(tag, payload)
	case TypeSetIntset:
		w.intset()
	case TypeZSet2:
		w.scoresValue(tag, payload)
	case TypeHash, TypeHashMetadata:
		w.fieldsValue(tag, payload, t == TypeHashMetadata)
	case TypeHashListpackEx:
		w.u64(uint64(w.order[0].expireAtMs))
		w.string(w.pack)
	case TypeStreamListpacks2:
		w.streamValue(payload)
	default: // a listpack
		w.string(w.pack)
	}
}

func (w *Writer) hashType(whole bool, tag byte, payload []byte) byte {
	expiring := expiring(tag, payload)
	if expiring && w.o.Version < Version8 {
		w.fail(errVersion)
	}
	whole = whole && w.packFields(tag, payload, expiring)
	switch {
	case whole && expiring:
		return TypeHashListpackEx
	case whole:
		return TypeHashListpack
	case expiring:
		return TypeHashMetadata
	}
	return TypeHash
}
