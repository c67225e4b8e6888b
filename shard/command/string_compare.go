package command

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// digestLen is the length in bytes of a digest's text.
const digestLen = 16

// The commands that Redis 8.4 brought for optimistic locking.
func compareRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "digest", Arity: 2, Flags: ReadOnly | Fast, Categories: CatString, Keys: OneKey(KeyRO | KeyAccess),
			Group: "string", Since: "8.4.0",
			Summary:    "Returns the hash digest of a string value as a hexadecimal string.",
			Complexity: "O(N) where N is the length of the string value.", Args: "key",
		}, Run: cmdDigest},
		{Info: Info{
			Name: "delex", Arity: -2, Flags: Write | Fast, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyDelete | KeyVariable),
			Group: "string", Since: "8.4.0",
			Summary: "Conditionally removes the specified key based on value or digest comparison.",
			Complexity: "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string " +
				"value.",
			Args: "key condition?(ifeq-value=IFEQ|ifne-value=IFNE|ifdeq-digest:integer=IFDEQ|" +
				"ifdne-digest:integer=IFDNE)",
		}, Run: cmdDelEx, KeyFlags: delexKeyFlags},
	}
}

// appendDigest appends the text of the XXH3 hash of the string in e.
func appendDigest(dst []byte, db *shard.DB, e index.Entry) []byte {
	var sum uint64
	if b, ok := db.StringView(e); ok {
		sum = xxh3.Hash(b)
	} else {
		h := xxh3.New()
		var zeros [4096]byte
		db.StringPieces(e, 0, db.StringLen(e), func(b []byte, n int) bool {
			_, _ = h.Write(b) // which never fails
			for n -= len(b); n > 0; n -= len(zeros) {
				_, _ = h.Write(zeros[:min(n, len(zeros))])
			}
			return true
		})
		sum = h.Sum64()
	}
	return appendSum(dst, sum)
}

// appendSum appends the text of an XXH3 hash.
func appendSum(dst []byte, sum uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], sum)
	return hex.AppendEncode(dst, b[:])
}

// DIGEST key
func cmdDigest(c *Ctx) error {
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	if !ok {
		c.Null()
		return nil
	}
	var b [digestLen]byte
	c.Bulk(appendDigest(b[:0], db, e))
	return nil
}

// delexKeyFlags says what a DELEX does to its key.
func delexKeyFlags(args [][]byte) KeyFlags {
	if len(args) == 2 {
		return KeyRM | KeyDelete
	}
	return KeyRW | KeyDelete
}

// DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]
func cmdDelEx(c *Ctx) error {
	if len(c.Args) != 2 && len(c.Args) != 4 {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	e, found := db.Get(k.Key, c.NowMs)
	ok := found
	if found && len(c.Args) == 4 {
		if db.Type(e) != object.String {
			return resp.ErrDelexType
		}
		var o stringOptions
		a := c.ArgsFrom(2)
		if !o.parseIf(&a) {
			return resp.ErrDelexCond
		}
		var err error
		if ok, err = c.matches(&o, db, e); err != nil {
			return err
		}
	}
	if ok {
		c.remove(k)
	}
	c.Bool(ok)
	return nil
}
