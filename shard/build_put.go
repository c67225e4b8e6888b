package shard

import (
	"encoding/binary"

	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// Put makes what was built the value of a key of one of the shard's databases, whatever that had before, with an
// expiry, 0 meaning none, and an access clock. A collection has at least one element, but for a stream.
func (b *Builder) Put(db *DB, k Key, expireAtMs int64, access uint32) {
	flags := b.flags()
	packed := byte(b.kind()-1) | flags
	if !b.inTrees && !b.fits(k, expireAtMs != 0) {
		b.plantAll()
	}
	if !b.inTrees {
		b.settle(flags)
		db.place(k, packed, b.packed, expireAtMs).SetAccess(access)
		return
	}
	var payload [maxNodesPayload]byte
	n := tree.PagedSize
	if b.src.Type == object.String {
		b.paged.Store(payload[:])
	} else {
		n = object.TreesSize
		flags = b.settleTrees(flags)
		b.trees.Store(payload[:])
	}
	if b.src.Type == object.Stream {
		n = object.StreamSize
		b.stream.info.Store(payload[:])
	}
	db.place(k, byte(b.kind())|flags, payload[:n], expireAtMs).SetAccess(access)
	b.inTrees = false // the nodes are the key's
}

// Drop gives up what was built.
func (b *Builder) Drop() {
	switch {
	case !b.inTrees:
		return
	case b.src.Type == object.String:
		b.v.db.shard.freeNodes(object.NodesOfPaged(b.paged))
	default:
		b.v.db.shard.freeNodes(object.NodesOfTrees(b.kind(), b.trees))
	}
	b.inTrees = false
}

// fits reports whether the value may be packed under the key.
func (b *Builder) fits(k Key, hasExpire bool) bool {
	if b.src.Type == object.String {
		return object.FitsInline(len(k.Bytes), len(b.packed), hasExpire)
	}
	return len(b.packed) <= b.v.db.shard.set.packed && object.FitsPacked(len(k.Bytes), len(b.packed), hasExpire)
}

// plantAll puts what is packed into nodes.
func (b *Builder) plantAll() {
	if b.src.Type == object.String {
		b.inTrees = true
		b.paged.Write(b.v.db.shard.newHeap(), 0, b.packed)
		return
	}
	b.plant()
}

// flags are those that say what the value is called by.
func (b *Builder) flags() (flags byte) {
	n, lim := int64(b.n), b.lim
	switch b.src.Type {
	case object.List:
		l := List{Fill: lim.ListFill}
		most, count := l.limits()
		b.big = b.big || b.n > count || b.size > most
	case object.Set:
		flags = b.form.flags
		switch b.src.Container {
		case object.Listpack:
			b.big = n > lim.Sets.ListpackEntries
		case object.Intset:
			b.big = n > lim.Sets.IntsetEntries
		}
	case object.ZSet:
		b.big = n > lim.ZSet.Entries || b.src.Container == object.Elements && int64(b.longest) > lim.ZSet.ValueBytes
	case object.Hash:
		b.big = b.big || n > lim.HashEntries
		if b.src.Expiring || b.dueMs != 0 {
			flags = object.FlagMixed
		}
	}
	if b.big {
		flags |= object.FlagBig
	}
	return flags
}

// settle does what is left to do for a packed value.
func (b *Builder) settle(flags byte) {
	switch b.src.Type {
	case object.Set:
		if flags == 0 {
			b.sort()
		}
	case object.ZSet:
		for at := object.PackedHeader; b.signed && flags == 0 && at < len(b.packed); {
			key := binary.LittleEndian.Uint64(b.packed[at:])
			binary.LittleEndian.PutUint64(b.packed[at:], rankKey(key))
			_, at = object.Item(b.packed, at+scoreBytes)
		}
	case object.Hash:
		if b.src.Expiring {
			object.PutPackedExpiry(b.packed, object.PackedHeader, b.dueMs)
		}
	}
}

// settleTrees does what is left to do for a value in trees, and returns its flags.
func (b *Builder) settleTrees(flags byte) byte {
	switch b.src.Type {
	case object.List:
		if b.trees.Note = uint32(b.size - listpackFrame); b.n > maxSized {
			b.trees.Note = sizeUnknown
		}
	case object.ZSet:
		switch {
		case !b.signed:
		case flags != 0:
			flags |= object.FlagMixed
		default:
			b.v.db.shard.unsign(&b.trees)
		}
	}
	return flags
}
