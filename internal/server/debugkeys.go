package server

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
)

// The subcommands of DEBUG that look at keys. They run with all batons.

// debugKey finds a key of the session's database without using it, also one that is still there after its time.
func (s *Session) debugKey(name []byte) (sh *shard.Shard, e index.Entry, err error) {
	set := s.srv.set
	sh = set.Shards[set.ShardOf(name)]
	e, ok := sh.DB(s.db).Look(set.Key(name), 0)
	if !ok {
		return sh, e, resp.ErrNoSuchKey
	}
	return sh, e, nil
}

// DEBUG DIGEST-VALUE [key ...]
func debugDigestValue(s *Session, args [][]byte) error {
	s.c.Array(len(args))
	for _, name := range args {
		var d sha
		if sh, e, err := s.debugKey(name); err == nil {
			d.value(s.srv, sh.DB(s.db), e, s.c.NowMs)
		}
		s.c.Simple(hex.EncodeToString(d[:]))
	}
	return nil
}

// DEBUG OBJECT key: what Redis says, where there is such a thing. serializedlength is without compression.
func debugObject(s *Session, args [][]byte) error {
	sh, e, err := s.debugKey(args[0])
	if err != nil {
		return err
	}
	db := sh.DB(s.db)
	idle := sh.IdleSeconds(e)
	encoding := db.Encoding(e)
	size := int64(db.StringLen(e))
	serialized := size + lengthBytes(size)
	if text, whole := db.StringView(e); whole && encoding == "int" {
		if n, ok := resp.ParseInt(text); ok {
			serialized = integerBytes(n, serialized)
		}
	}
	const clockMask = 1<<24 - 1
	key := e.Key()
	s.c.Simple(fmt.Sprintf("Value at:%p refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
		unsafe.SliceData(key), encoding, serialized, (s.c.NowMs/1000-idle)&clockMask, idle))
	return nil
}

// lengthBytes is what an RDB file takes for a string's length.
func lengthBytes(n int64) int64 {
	switch {
	case n < 1<<6:
		return 1
	case n < 1<<14:
		return 2
	case n <= math.MaxUint32:
		return 5
	}
	return 9
}

// integerBytes is what an RDB file takes for a string that is an integer; text is what it takes for one that is not
// small enough for that.
func integerBytes(n, text int64) int64 {
	switch {
	case n == int64(int8(n)):
		return 2
	case n == int64(int16(n)):
		return 3
	case n == int64(int32(n)):
		return 5
	}
	return text
}

// DEBUG HTSTATS dbid: figures of the database's index, in place of Redis's of a table with chains. Expiries lie in the
// entries.
func debugHTStats(s *Session, args [][]byte) error {
	id, ok := resp.ParseInt(args[0])
	if !ok {
		return resp.ErrNotInteger
	}
	if id < 0 || id >= int64(s.srv.set.Databases()) {
		return resp.Errorf("ERR", "Out of range database")
	}
	var sum shard.Counts
	for _, sh := range s.srv.set.Shards {
		c := sh.DB(int(id)).Counts(true)
		sum.Keys += c.Keys
		sum.Expires += c.Expires
		sum.IndexBytes += c.IndexBytes
	}
	var b strings.Builder
	b.WriteString("[Dictionary HT]\n")
	part := func(elements int64) {
		if elements == 0 {
			b.WriteString("No stats available for empty dictionaries\n")
			return
		}
		fmt.Fprintf(&b, " number of elements: %d\n", elements)
	}
	part(sum.Keys)
	fmt.Fprintf(&b, " shards: %d\n index bytes: %d\n", len(s.srv.set.Shards), sum.IndexBytes)
	if sum.Keys > 0 {
		fmt.Fprintf(&b, " index bytes per element: %.2f\n", float64(sum.IndexBytes)/float64(sum.Keys))
	}
	b.WriteString("[Expires HT]\n")
	part(sum.Expires)
	s.c.Verbatim("txt", b.String())
	return nil
}

// noSuchEncoding looks a key up for a subcommand that wants an encoding which no value has yet.
func (s *Session) noSuchEncoding(key []byte, text string) error {
	if _, _, err := s.debugKey(key); err != nil {
		return err
	}
	return resp.Errorf("ERR", "%s", text)
}

func debugHTStatsKey(s *Session, args [][]byte) error {
	return s.noSuchEncoding(args[0], "The value stored at the specified key is not represented using an hash table")
}

func debugListpack(s *Session, args [][]byte) error {
	return s.noSuchEncoding(args[0], "Not a listpack encoded object.")
}

func debugQuicklist(s *Session, args [][]byte) error {
	return s.noSuchEncoding(args[0], "Not a quicklist encoded object.")
}

// DEBUG POPULATE count [prefix] [size]: keys that are there are left alone. Values longer than their text end in NULs.
func debugPopulate(s *Session, args [][]byte) error {
	count, ok := resp.ParseInt(args[0])
	if !ok || count < 0 {
		return resp.ErrNotPositive
	}
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = string(args[1])
	}
	if len(args) > 2 {
		if size, ok = resp.ParseInt(args[2]); !ok || size < 0 {
			return resp.ErrNotPositive
		}
		if size > s.c.Limits.MaxStringBytes {
			return resp.ErrStringTooLong
		}
	}
	set := s.srv.set
	for i := range count {
		name := append(append([]byte(prefix), ':'), strconv.FormatInt(i, 10)...)
		sh := set.Shards[set.ShardOf(name)]
		k := set.Key(name)
		if _, there := sh.DB(s.db).Look(k, s.c.NowMs); there {
			continue
		}
		value := append([]byte("value:"), strconv.FormatInt(i, 10)...)
		if size > 0 {
			value = append(value[:min(int64(len(value)), size)], make([]byte, max(size-int64(len(value)), 0))...)
		}
		sh.DB(s.db).Get(k, s.c.NowMs) // one whose time has passed goes
		sh.DB(s.db).SetString(k, value, 0)
		sh.Stage(s.db, []byte("SET"), name, value)
		sh.AddDirty(1)
	}
	return debugOK(s, nil)
}
