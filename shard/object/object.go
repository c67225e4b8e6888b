package object

import (
	"fulmen/shard/arena"
	"fulmen/shard/ds/index"
)

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

	// FlagText is the bit of an entry's tag that marks a string which is not called an integer even if it is one:
	// INCRBYFLOAT's results.
	FlagText = 0x80
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

// HasNodes reports whether values of entries with the given tag are made of nodes beside the entry.
func HasNodes(tag byte) bool { return KindOf(tag) == StringPaged }

// MoveNodes moves nodes of the value in e that a wants to have elsewhere (arena.Misplaced), from place `at` on, 0 being
// the beginning, looking at about budget nodes. It returns the place to go on with, 0 at the end, and how many nodes
// were moved and looked at. A place stays good while the value changes: it is one in the order of its content. The
// index must have been told (Index.BeforeMove). A kind with nodes has a MoveSome of this form, and its case here.
func MoveNodes(a *arena.Arena, e index.Entry, at uint64, budget int) (next uint64, moved, looked int) {
	switch KindOf(e.Tag()) {
	case StringPaged:
		p := LoadPaged(e.Payload())
		next, moved, looked = p.MoveSome(a, at, budget)
		if moved > 0 {
			p.Store(e.Payload())
		}
	}
	return next, moved, looked
}
