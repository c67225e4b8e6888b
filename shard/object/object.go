package object

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

// Kind is a type together with its encoding: the low four bits of an entry's tag.
type Kind uint8

// The kinds.
const (
	StringInline Kind = iota
	StringPaged
)

const (
	kindMask = 0x0F

	// FlagRaw is the bit of an entry's tag that marks a string which APPEND or SETRANGE made: its encoding is
	// called raw whatever its length and content.
	FlagRaw = 0x40
)

// KindOf returns the kind of an entry with the given tag.
func KindOf(tag byte) Kind { return Kind(tag & kindMask) }

// WithKind returns tag with another kind.
func WithKind(tag byte, k Kind) byte { return tag&^kindMask | byte(k) }

// TypeOf returns the type of an entry with the given tag.
func TypeOf(tag byte) Type {
	switch KindOf(tag) {
	case StringInline, StringPaged:
		return String
	}
	panic("BUG: object: unknown kind")
}
