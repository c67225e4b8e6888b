package object

import "fulmen/shard/ds/index"

// Type is a value's type as clients see it.
type Type uint8

// The types.
const (
	String Type = iota
	List
	Set
	ZSet
	Hash
	Stream
)

var typeNames = [...]string{"string", "list", "set", "zset", "hash", "stream"}

// String returns the type's name as TYPE replies it.
func (t Type) String() string { return typeNames[t] }

// Kind is a type together with the form in which a value is kept: the low four bits of an entry's tag.
type Kind uint8

// The kinds.
const (
	StringInline Kind = iota
	StringPaged
	ListPacked
	ListTree
	SetPacked
	SetTree
	ZSetPacked
	ZSetTree
	HashPacked
	HashTree
	StreamTree // there is no small one: its nodes are packed anyway
	kindCount
)

const (
	kindMask = 0x0F

	// FlagRaw is the bit of an entry's tag that marks a string which APPEND or SETRANGE made: its encoding is
	// called raw whatever its length and content.
	FlagRaw = 0x40

	// FlagText is the bit of an entry's tag that marks a string which is not called an integer even if it is one:
	// INCRBYFLOAT's results.
	FlagText = 0x80

	// FlagBig is the bit of an entry's tag that marks a collection which has passed a threshold of its type: it is
	// called by the name of the encoding for big ones, in whatever form it is kept.
	FlagBig = 0x40

	// FlagMixed is the bit of an entry's tag that marks a set which has had members that are no integers, and a hash
	// which has had fields with an expiry.
	FlagMixed = 0x80
)

var kindTypes = [kindCount]Type{
	String, String, List, List, Set, Set, ZSet, ZSet, Hash, Hash, Stream,
}

// KindOf returns the kind of an entry with the given tag.
func KindOf(tag byte) Kind { return Kind(tag & kindMask) }

// WithKind returns tag with another kind.
func WithKind(tag byte, k Kind) byte { return tag&^kindMask | byte(k) }

// TypeOf returns the type of an entry with the given tag.
func TypeOf(tag byte) Type { return kindTypes[KindOf(tag)] }

// Encoding returns the name that OBJECT ENCODING gives the value in e.
func Encoding(e index.Entry) string {
	big, mixed := e.Tag()&FlagBig != 0, e.Tag()&FlagMixed != 0
	switch TypeOf(e.Tag()) {
	case String:
		return StringEncoding(e)
	case List:
		if big {
			return "quicklist"
		}
	case Set:
		if big {
			return "hashtable"
		}
		if !mixed {
			return "intset"
		}
	case ZSet:
		if big {
			return "skiplist"
		}
	case Hash:
		if big {
			return "hashtable"
		}
		if mixed {
			return "listpackex"
		}
	case Stream:
		return "stream"
	}
	return "listpack"
}
