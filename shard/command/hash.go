package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

var wordHSet = []byte("HSET")

func hashRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "hset", Arity: -4, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyUpdate),
			Group: "hash", Since: "2.0.0", Summary: "Set the string value of a hash field",
			Complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command " +
				"is called with multiple field/value pairs.",
			History: []Change{{"4.0.0", "Accepts multiple `field` and `value` arguments."}},
			Args:    "key field_value*(field value)",
		}, Member: 2, Run: cmdHSet},
		{Info: Info{
			Name: "hsetnx", Arity: 4, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyInsert),
			Group: "hash", Since: "2.0.0", Summary: "Set the value of a hash field, only if the field does not exist",
			Complexity: "O(1)", Args: "key field value",
		}, Member: 2, Run: cmdHSetNX},
		{Info: Info{
			Name: "hmset", Arity: -4, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyUpdate),
			Group: "hash", Since: "2.0.0", Summary: "Set multiple hash fields to multiple values",
			Complexity:      "O(N) where N is the number of fields being set.",
			DeprecatedSince: "4.0.0", ReplacedBy: "`HSET` with multiple field-value pairs",
			Args: "key field_value*(field value)",
		}, Run: cmdHMSet},
		{Info: Info{
			Name: "hdel", Arity: -3, Flags: Write | Fast, Categories: CatHash, Keys: OneKey(KeyRW | KeyDelete),
			Group: "hash", Since: "2.0.0", Summary: "Delete one or more hash fields",
			Complexity: "O(N) where N is the number of fields to be removed.",
			History:    []Change{{"2.4.0", "Accepts multiple `field` arguments."}}, Args: "key field*",
		}, Member: 2, Run: cmdHDel},
		{Info: Info{
			Name: "hincrby", Arity: 4, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "hash", Since: "2.0.0",
			Summary:    "Increment the integer value of a hash field by the given number",
			Complexity: "O(1)", Args: "key field increment:integer",
		}, Member: 2, Run: cmdHIncrBy},
		{Info: Info{
			Name: "hincrbyfloat", Arity: 4, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "hash", Since: "2.6.0",
			Summary:    "Increment the float value of a hash field by the given amount",
			Complexity: "O(1)", Args: "key field increment:double",
		}, Run: cmdHIncrByFloat},
	}
}

// readHash looks the call's key up for a command that reads a hash.
func (c *Ctx) readHash() (h shard.Hash, err error) {
	if err = c.readValue(&h.Value, &c.Keys[0], object.Hash); err == nil {
		h.Begin(c.NowMs)
	}
	return h, err
}

// writeHash looks the call's key up for a command that changes a hash.
func (c *Ctx) writeHash() (h shard.Hash, err error) {
	if err = c.writeValue(&h.Value, &c.Keys[0], object.Hash); err == nil {
		h.Begin(c.NowMs)
	}
	return h, err
}

// replyText replies a part of a value.
func (c *Ctx) replyText(t *shard.Text) {
	if c.room(t.Len()) {
		c.Out = resp.AppendBulkHead(c.Out, t.Len())
		c.Out = append(t.AppendTo(c.Out), '\r', '\n')
	}
}

// setFields sets the fields of pairs, which keep their expiries or lose them, and returns how many are new. It sees to
// what the hash's encoding is called.
func (c *Ctx) setFields(h *shard.Hash, keepTTL bool, pairs ...[]byte) (added int) {
	for i := 0; i < len(pairs); i += 2 {
		if h.Write(pairs[i], pairs[i+1], keepTTL) {
			added++
		}
	}
	if !h.Big() && c.bigHash(h, pairs) {
		h.SetBig()
	}
	c.Dirty += len(pairs) / 2
	return added
}

// bigHash reports whether a hash that pairs were set in is beyond a limit. Redis counts pairs without looking whether
// they are of the same field.
func (c *Ctx) bigHash(h *shard.Hash, pairs [][]byte) bool {
	most := c.Limits.HashMaxListpackEntries
	if int64(h.Len()) > most || int64(len(pairs)/2) > most {
		return true
	}
	for _, b := range pairs {
		if int64(len(b)) > c.Limits.HashMaxListpackValueBytes {
			return true
		}
	}
	return false
}

// checkTexts looks whether fields and values are of a length that can be stored.
func checkTexts(texts [][]byte) error {
	for _, b := range texts {
		if len(b) > shard.MaxHashText {
			return resp.ErrStringTooLong
		}
	}
	return nil
}

// hset sets the fields of the call's arguments, and returns how many are new.
func (c *Ctx) hset() (added int, err error) {
	if len(c.Args)%2 == 1 {
		return 0, resp.ErrWrongArity(c.Row.FullName)
	}
	h, err := c.writeHash()
	if err == nil {
		err = checkTexts(c.Args[2:])
	}
	if err != nil {
		return 0, err
	}
	added = c.setFields(&h, false, c.Args[2:]...)
	c.Notify(&c.Keys[0], shard.EventHash, "hset")
	return added, nil
}

// HSET key field value [field value ...]
func cmdHSet(c *Ctx) error {
	added, err := c.hset()
	if err == nil {
		c.Int(int64(added))
	}
	return err
}

// HMSET key field value [field value ...]
func cmdHMSet(c *Ctx) error {
	_, err := c.hset()
	if err == nil {
		c.OK()
	}
	return err
}

// HSETNX key field value
func cmdHSetNX(c *Ctx) error {
	h, err := c.writeHash()
	if err == nil {
		err = checkTexts(c.Args[2:])
	}
	if err != nil {
		return err
	}
	_, there := h.Get(c.Args[2])
	if !there {
		c.setFields(&h, false, c.Args[2:]...)
		c.Notify(&c.Keys[0], shard.EventHash, "hset")
	}
	c.Bool(!there)
	return nil
}

// HDEL key field [field ...]
func cmdHDel(c *Ctx) error {
	h, err := c.writeHash()
	if err != nil {
		return err
	}
	deleted := 0
	for _, field := range c.Args[2:] {
		if h.Delete(field) {
			deleted++
		}
	}
	if c.Dirty += deleted; deleted > 0 {
		c.notifyChange(&c.Keys[0], &h.Value, shard.EventHash, "hdel")
	}
	c.Int(int64(deleted))
	return nil
}

// shortText returns the text, or nothing if it is longer than most bytes.
func (c *Ctx) shortText(t *shard.Text, most int) []byte {
	if t.Len() > most {
		return nil
	}
	return t.View(c.buffer(most))
}

// HINCRBY key field increment
func cmdHIncrBy(c *Ctx) error {
	by, ok := resp.ParseInt(c.Args[3])
	if !ok {
		return resp.ErrNotInteger
	}
	h, err := c.writeHash()
	if err == nil {
		err = checkTexts(c.Args[2:3])
	}
	if err != nil {
		return err
	}
	var n int64
	if value, there := h.Get(c.Args[2]); there {
		if n, ok = resp.ParseInt(c.shortText(&value, maxIntText)); !ok {
			return resp.ErrHashNotInteger
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return resp.ErrOverflow
	}
	n += by
	c.setFields(&h, true, c.Args[2], c.number(n))
	c.Notify(&c.Keys[0], shard.EventHash, "hincrby")
	c.Int(n)
	return nil
}

// HINCRBYFLOAT key field increment
func cmdHIncrByFloat(c *Ctx) error {
	by, ok := resp.ParseLongDouble(c.Args[3])
	if !ok {
		return resp.ErrNotFloat
	}
	if !by.Finite() {
		return resp.ErrNaNOrInf
	}
	h, err := c.writeHash()
	if err == nil {
		err = checkTexts(c.Args[2:3])
	}
	if err != nil {
		return err
	}
	var sum resp.LongDouble
	if value, there := h.Get(c.Args[2]); there {
		if sum, ok = resp.ParseLongDouble(c.shortText(&value, maxFloatText)); !ok {
			return resp.ErrHashNotFloat
		}
	}
	if sum = sum.Add(by); !sum.Finite() {
		return resp.ErrIncrNaNOrInf
	}
	c.scratch = resp.FormatLongDouble(c.scratch[:0], sum)
	c.setFields(&h, true, c.Args[2], c.scratch)
	c.Notify(&c.Keys[0], shard.EventHash, "hincrbyfloat")
	key := c.Keys[0].Key.Bytes
	if atMs, _ := h.ExpireAt(c.Args[2]); atMs == 0 {
		c.Effect(c.Keys[0].Arg, wordHSet, key, c.Args[2], c.scratch)
	} else {
		c.Effect(c.Keys[0].Arg, wordHSetEx, key, wordKeepTTL, wordFields, wordOne, c.Args[2], c.scratch)
	}
	c.Bulk(c.scratch)
	return nil
}
