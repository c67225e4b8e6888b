package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
)

// Expiries of fields.

// Words of effects.
var (
	wordHDel       = []byte("HDEL")
	wordHSetEx     = []byte("HSETEX")
	wordHPExpireAt = []byte("HPEXPIREAT")
	wordHPersist   = []byte("HPERSIST")
	wordFields     = []byte("FIELDS")
	wordOne        = []byte("1")
)

// maxFieldTimeMs is the latest expiry of a field.
const maxFieldTimeMs = (1<<48 - 1) >> 2

// What commands reply about a field.
const (
	fieldMissing = -2
	fieldNoTTL   = -1
	fieldRefused = 0
	fieldDone    = 1
	fieldDeleted = 2
)

func hashExpireRows() []*Row {
	const (
		perField = "O(N) where N is the number of specified fields"
		rest     = " condition?(NX|XX|GT|LT) fields=FIELDS(numfields:integer field*)"
	)
	set := func(name, summary, time string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -6, Flags: Write | Fast, Categories: CatHash, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "hash", Since: "7.4.0", Summary: summary, Complexity: perField, Args: "key " + time + rest,
		}, Run: run}
	}
	get := func(name, summary string, run func(*Ctx) error) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -5, Flags: ReadOnly | Fast, Categories: CatHash, Keys: OneKey(KeyRO | KeyAccess),
			Group: "hash", Since: "7.4.0", Summary: summary, Complexity: perField,
			Tips: []string{"nondeterministic_output"}, Args: "key fields=FIELDS(numfields:integer field*)",
		}, Run: run}
	}
	return []*Row{
		set("hexpire", "Set expiry for hash field using relative time to expire (seconds)", "seconds:integer",
			cmdHExpire),
		set("hpexpire", "Set expiry for hash field using relative time to expire (milliseconds)",
			"milliseconds:integer", cmdHPExpire),
		set("hexpireat", "Set expiry for hash field using an absolute Unix timestamp (seconds)",
			"unix-time-seconds:unix-time", cmdHExpireAt),
		set("hpexpireat", "Set expiry for hash field using an absolute Unix timestamp (milliseconds)",
			"unix-time-milliseconds:unix-time", cmdHPExpireAt),
		get("httl", "Returns the TTL in seconds of a hash field.", cmdHTTL),
		get("hpttl", "Returns the TTL in milliseconds of a hash field.", cmdHPTTL),
		get("hexpiretime", "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
			cmdHExpireTime),
		get("hpexpiretime", "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
			cmdHPExpireTime),
		{Info: Info{
			Name: "hpersist", Arity: -5, Flags: Write | Fast, Categories: CatHash, Keys: OneKey(KeyRW | KeyUpdate),
			Group: "hash", Since: "7.4.0", Summary: "Removes the expiration time for each specified field",
			Complexity: perField, Args: "key fields=FIELDS(numfields:integer field*)",
		}, Run: cmdHPersist},
	}
}

func hashExRows() []*Row {
	const times = "seconds:integer=EX|milliseconds:integer=PX|unix-time-seconds:unix-time=EXAT|" +
		"unix-time-milliseconds:unix-time=PXAT"
	return []*Row{
		{Info: Info{
			Name: "hgetex", Arity: -5, Flags: Write | Fast, Categories: CatHash,
			Keys: []KeySpec{{
				First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate,
				Notes: "RW and UPDATE because it changes the TTL",
			}},
			Group: "hash", Since: "8.0.0",
			Summary: "Get the value of one or more fields of a given hash key, and optionally set their " +
				"expiration.",
			Complexity: "O(N) where N is the number of specified fields",
			Args:       "key expiration?(" + times + "|PERSIST) fields=FIELDS(numfields:integer field*)",
		}, Run: cmdHGetEx},
		{Info: Info{
			Name: "hsetex", Arity: -6, Flags: Write | DenyOOM | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyUpdate),
			Group: "hash", Since: "8.0.0",
			Summary: "Set the value of one or more fields of a given hash key, and optionally set their " +
				"expiration.",
			Complexity: "O(N) where N is the number of fields being set.",
			Args: "key condition?(FNX|FXX) expiration?(" + times +
				"|KEEPTTL) fields=FIELDS(numfields:integer data*(field value))",
		}, Run: cmdHSetEx},
		{Info: Info{
			Name: "hgetdel", Arity: -5, Flags: Write | Fast, Categories: CatHash,
			Keys:  OneKey(KeyRW | KeyAccess | KeyDelete),
			Group: "hash", Since: "8.0.0", Summary: "Returns the value of a field and deletes it from the hash.",
			Complexity: "O(N) where N is the number of specified fields",
			Args:       "key fields=FIELDS(numfields:integer field*)",
		}, Run: cmdHGetDel},
	}
}

// isWord tells whether an argument is the given lower-case word, in any case.
func isWord(arg []byte, word string) bool { return equalFold(cString(arg), word) }

// fieldArgs returns the fields that stand behind FIELDS and their number, which begin at argument i. It is an error of
// its own if the number is none or not positive.
func (c *Ctx) fieldArgs(i int, notPositive error) ([][]byte, error) {
	if !isWord(c.Args[i], "fields") {
		return nil, resp.ErrFieldsMissing
	}
	n, ok := resp.ParseInt(c.Args[i+1])
	switch {
	case !ok || n < 1:
		return nil, notPositive
	case n != int64(len(c.Args)-i-2):
		return nil, resp.ErrNumFields
	}
	return c.Args[i+2:], nil
}

// fieldTime reads an expiry in units of unitMs after baseMs.
func (c *Ctx) fieldTime(arg []byte, baseMs, unitMs int64) (atMs int64, err error) {
	n, ok := resp.ParseInt(arg)
	switch {
	case !ok:
		return 0, resp.ErrNotInteger
	case n < 0:
		return 0, resp.ErrFieldTimeNegative
	case n > maxFieldTimeMs/unitMs || n*unitMs > maxFieldTimeMs-baseMs:
		return 0, resp.ErrInvalidExpire(c.Row.FullName)
	}
	return n*unitMs + baseMs, nil
}

// replyInts replies the same number for each of n fields.
func (c *Ctx) replyInts(n int, v int64) error {
	c.Array(n)
	for range n {
		c.Int(v)
	}
	return nil
}

// fieldsEffect logs a command on fields: word, key, the words before, FIELDS, their number, and the fields, which are n
// if values stand between them.
func (c *Ctx) fieldsEffect(n int, fields [][]byte, word []byte, before ...[]byte) {
	k := &c.Keys[0]
	if len(fields) == 0 || !c.Logging() {
		c.NoEffect()
		return
	}
	args := append([][]byte{word, k.Key.Bytes}, before...)
	args = append(args, wordFields, c.number(int64(n)))
	c.Effect(k.Arg, append(args, fields...)...)
}

// notifyFields tells that fields of h were deleted, or else that fields were given an expiry or, if persist, lost it.
func (c *Ctx) notifyFields(h *shard.Hash, gone, set [][]byte, persist bool) {
	k := &c.Keys[0]
	switch {
	case len(gone) > 0:
		c.notifyChange(k, &h.Value, shard.EventHash, "hdel")
	case len(set) == 0:
	case persist:
		c.Notify(k, shard.EventHash, "hpersist")
	default:
		c.Notify(k, shard.EventHash, "hexpire")
	}
}

// fieldsGone logs that fields were deleted.
func (c *Ctx) fieldsGone(fields [][]byte) {
	if len(fields) == 0 || !c.Logging() {
		c.NoEffect()
		return
	}
	k := &c.Keys[0]
	c.Effect(k.Arg, append([][]byte{wordHDel, k.Key.Bytes}, fields...)...)
}

// HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
func cmdHExpire(c *Ctx) error { return c.hexpire(c.NowMs, 1000) }

// HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
func cmdHPExpire(c *Ctx) error { return c.hexpire(c.NowMs, 1) }

// HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
func cmdHExpireAt(c *Ctx) error { return c.hexpire(0, 1000) }

// HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]
func cmdHPExpireAt(c *Ctx) error { return c.hexpire(0, 1) }

// hexpire sets the expiry of fields to the second argument, in units of unitMs, after baseMs. A time that has passed
// already deletes them.
func (c *Ctx) hexpire(baseMs, unitMs int64) error {
	h, err := c.writeHash()
	if err != nil {
		return err
	}
	atMs, err := c.fieldTime(c.Args[2], baseMs, unitMs)
	if err != nil {
		return err
	}
	when, i := fieldCondition(c.Args[3]), 3
	if when != (expireCondition{}) {
		i++
	}
	fields, err := c.fieldArgs(i, resp.ErrNumFieldsExpire)
	if err != nil {
		return err
	}
	if !h.Exists() {
		return c.replyInts(len(fields), fieldMissing)
	}
	h.Mix()
	var set, gone [][]byte
	c.Array(len(fields))
	for _, field := range fields {
		was, ok := h.ExpireAt(field)
		switch {
		case !ok:
			c.Int(fieldMissing)
		case !when.allows(was, atMs):
			c.Int(fieldRefused)
		case c.expireField(&h, field, atMs):
			c.Int(fieldDeleted)
			gone = append(gone, field)
		default:
			c.Int(fieldDone)
			set = append(set, field)
		}
	}
	c.notifyFields(&h, gone, set, false)
	if len(gone) > 0 {
		c.fieldsGone(gone)
	} else {
		c.setEffect(set, atMs)
	}
	return nil
}

// fieldCondition reads the one condition that HEXPIRE and its like have, if it is one.
func fieldCondition(arg []byte) (when expireCondition) {
	when.nx = isWord(arg, "nx")
	when.xx = isWord(arg, "xx")
	when.gt = isWord(arg, "gt")
	when.lt = isWord(arg, "lt")
	return when
}

// expireField gives a field that is there an expiry, and reports whether it has deleted it instead because that time
// has passed.
func (c *Ctx) expireField(h *shard.Hash, field []byte, atMs int64) (gone bool) {
	c.Dirty++
	if gone = atMs <= c.NowMs; gone {
		h.Delete(field)
	} else {
		h.SetExpire(field, atMs)
	}
	return gone
}

// setEffect logs that fields were given an expiry.
func (c *Ctx) setEffect(fields [][]byte, atMs int64) {
	c.fieldsEffect(len(fields), fields, wordHPExpireAt, appendNumber(atMs))
}

// HTTL key FIELDS numfields field [field ...]
func cmdHTTL(c *Ctx) error { return c.httl(c.NowMs, 1000) }

// HPTTL key FIELDS numfields field [field ...]
func cmdHPTTL(c *Ctx) error { return c.httl(c.NowMs, 1) }

// HEXPIRETIME key FIELDS numfields field [field ...]
func cmdHExpireTime(c *Ctx) error { return c.httl(0, 1000) }

// HPEXPIRETIME key FIELDS numfields field [field ...]
func cmdHPExpireTime(c *Ctx) error { return c.httl(0, 1) }

// httl replies the time from baseMs to the expiry of fields in units of unitMs, rounded up.
func (c *Ctx) httl(baseMs, unitMs int64) error {
	h, err := c.readHash()
	if err != nil {
		return err
	}
	fields, err := c.fieldArgs(2, resp.ErrNumFieldsPositive)
	if err != nil {
		return err
	}
	c.Array(len(fields))
	for _, field := range fields {
		switch atMs, ok := h.ExpireAt(field); {
		case !ok:
			c.Int(fieldMissing)
		case atMs == 0:
			c.Int(fieldNoTTL)
		default:
			c.Int((atMs - baseMs + unitMs - 1) / unitMs)
		}
	}
	return nil
}

// HPERSIST key FIELDS numfields field [field ...]
func cmdHPersist(c *Ctx) error {
	h, err := c.writeHash()
	if err != nil {
		return err
	}
	fields, err := c.fieldArgs(2, resp.ErrNumFieldsPositive)
	if err != nil {
		return err
	}
	c.Array(len(fields))
	for _, field := range fields {
		switch atMs, ok := h.ExpireAt(field); {
		case !ok:
			c.Int(fieldMissing)
		case atMs == 0:
			c.Int(fieldNoTTL)
		default:
			h.SetExpire(field, 0)
			c.Dirty++
			c.Int(fieldDone)
		}
	}
	if c.Dirty > 0 {
		c.Notify(&c.Keys[0], shard.EventHash, "hpersist")
	}
	return nil
}
