package command

import (
	"crypto/subtle"
	"encoding/binary"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/ds/tree"
	"fulmen/shard/object"
)

// bitOperation is an operation of BITOP.
type bitOperation uint8

const (
	bitAnd bitOperation = iota
	bitOr
	bitXor
	bitNot
)

var bitOperations = [...]string{"and", "or", "xor", "not"}

// bitSource is a string that takes part in BITOP; the zero value is an empty one.
type bitSource struct {
	key *Keyed
	e   index.Entry
	len int
}

// BITOP AND | OR | XOR | NOT destkey key [key ...]
func cmdBitOp(c *Ctx) error {
	op := bitOperation(len(bitOperations))
	for i, name := range bitOperations {
		if equalFold(cString(c.Args[1]), name) {
			op = bitOperation(i)
		}
	}
	switch {
	case int(op) == len(bitOperations):
		return resp.ErrSyntax
	case op == bitNot && len(c.Args) != 4:
		return resp.ErrBitopNot
	}
	sources, n, err := c.bitSources(c.Keys[1:])
	if err != nil {
		return err
	}
	to := &c.Keys[0]
	db := to.Shard.DB(c.DBID)
	switch _, found := db.Look(to.Key, c.NowMs); {
	case n > 0:
		db.StringBuild(to.Key, n, c.buffer(min(n, tree.ChunkSize)), func(b []byte, off int) {
			for i := range sources {
				c.combine(op, b, off, &sources[i], i == 0)
			}
		})
		c.Notify(to, shard.EventString, "set")
		c.Dirty++
		c.EffectOfKeys()
	case found:
		c.remove(to)
	}
	c.Int(int64(n))
	return nil
}

// bitSources looks keys up for BITOP; longest is the length of the longest string.
func (c *Ctx) bitSources(keys []Keyed) (sources []bitSource, longest int, err error) {
	for i := range keys { // first, because this may delete what is past its time
		k := &keys[i]
		db := k.Shard.DB(c.DBID)
		if e, ok := c.read(k, db); ok && db.Type(e) != object.String {
			return nil, 0, resp.ErrWrongType
		}
	}
	sources = make([]bitSource, len(keys))
	for i := range keys {
		k := &keys[i]
		db := k.Shard.DB(c.DBID)
		if e, ok := db.Look(k.Key, c.NowMs); ok {
			sources[i] = bitSource{k, e, db.StringLen(e)}
			longest = max(longest, sources[i].len)
		}
	}
	return sources, longest, nil
}

// combine takes the bytes of a source from off on into b. The first source's are b.
func (c *Ctx) combine(op bitOperation, b []byte, off int, s *bitSource, first bool) {
	at := 0
	if end := min(off+len(b), s.len); off < end {
		s.key.Shard.DB(c.DBID).StringPieces(s.e, off, end, func(piece []byte, n int) bool {
			to := b[at : at+n]
			switch {
			case first:
				copy(to, piece)
			case op == bitAnd:
				andBytes(to, piece)
				clear(to[len(piece):])
			case op == bitOr:
				orBytes(to, piece)
			case op == bitXor:
				xorBytes(to, piece)
			}
			at += n
			return true
		})
	}
	switch {
	case op == bitAnd && !first:
		clear(b[at:])
	case op == bitNot:
		notBytes(b)
	}
}

// andBytes makes to[i] &= b[i] for all of b.
func andBytes(to, b []byte) {
	to = to[:len(b)]
	for ; len(b) >= 8; b, to = b[8:], to[8:] {
		word := binary.NativeEndian.Uint64(to) & binary.NativeEndian.Uint64(b)
		binary.NativeEndian.PutUint64(to, word)
	}
	for i, x := range b {
		to[i] &= x
	}
}

// orBytes makes to[i] |= b[i] for all of b.
func orBytes(to, b []byte) {
	to = to[:len(b)]
	for ; len(b) >= 8; b, to = b[8:], to[8:] {
		word := binary.NativeEndian.Uint64(to) | binary.NativeEndian.Uint64(b)
		binary.NativeEndian.PutUint64(to, word)
	}
	for i, x := range b {
		to[i] |= x
	}
}

// xorBytes makes to[i] ^= b[i] for all of b.
func xorBytes(to, b []byte) { subtle.XORBytes(to, to, b) }

// notBytes inverts b.
func notBytes(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.NativeEndian.PutUint64(b, ^binary.NativeEndian.Uint64(b))
	}
	for i, x := range b {
		b[i] = ^x
	}
}
