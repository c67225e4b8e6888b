package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

func stringRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "set", Arity: -3, Flags: Write | DenyOOM, Categories: CatString,
			Keys: []KeySpec{{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate | KeyVariable,
				Notes: "RW and ACCESS due to the optional `GET` argument"}},
			Group: "string", Since: "1.0.0", Summary: "Set the string value of a key", Complexity: "O(1)",
			History: []Change{
				{"2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."}, {"6.0.0", "Added the `KEEPTTL` option."},
				{"6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."},
				{"7.0.0", "Allowed the `NX` and `GET` options to be used together."},
				{"8.4.0", "Added 'IFEQ', 'IFNE', 'IFDEQ', 'IFDNE' options."},
			},
			Args: "key value condition?@2.6.12(NX|XX|ifeq-value=IFEQ@8.4.0|ifne-value=IFNE@8.4.0|" +
				"ifdeq-digest:integer=IFDEQ@8.4.0|ifdne-digest:integer=IFDNE@8.4.0) GET?@6.2.0 " +
				"expiration?(seconds:integer=EX@2.6.12|" +
				"milliseconds:integer=PX@2.6.12|unix-time-seconds:unix-time=EXAT@6.2.0|" +
				"unix-time-milliseconds:unix-time=PXAT@6.2.0|KEEPTTL@6.0.0)",
		}, Run: cmdSet, KeyFlags: setKeyFlags},
		{Info: Info{
			Name: "get", Arity: 2, Flags: ReadOnly | Fast, Categories: CatString, Keys: OneKey(KeyRO | KeyAccess),
			Group: "string", Since: "1.0.0", Summary: "Get the value of a key", Complexity: "O(1)", Args: "key",
		}, Run: cmdGet},
		{Info: Info{
			Name: "getset", Arity: 3, Flags: Write | DenyOOM | Fast, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyAccess | KeyUpdate),
			Group: "string", Since: "1.0.0", Summary: "Set the string value of a key and return its old value",
			Complexity: "O(1)", DeprecatedSince: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument",
			Args: "key value",
		}, Run: cmdGetSet},
		{Info: Info{
			Name: "getdel", Arity: 2, Flags: Write | Fast, Categories: CatString,
			Keys:  OneKey(KeyRW | KeyAccess | KeyDelete),
			Group: "string", Since: "6.2.0", Summary: "Get the value of a key and delete the key",
			Complexity: "O(1)", Args: "key",
		}, Run: cmdGetDel},
		{Info: Info{
			Name: "getex", Arity: -2, Flags: Write | Fast, Categories: CatString,
			Keys: []KeySpec{{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate,
				Notes: "RW and UPDATE because it changes the TTL"}},
			Group: "string", Since: "6.2.0", Summary: "Get the value of a key and optionally set its expiration",
			Complexity: "O(1)",
			Args: "key expiration?(seconds:integer=EX|milliseconds:integer=PX|unix-time-seconds:unix-time=EXAT|" +
				"unix-time-milliseconds:unix-time=PXAT|PERSIST)",
		}, Run: cmdGetEx},
		{Info: Info{
			Name: "setnx", Arity: 3, Flags: Write | DenyOOM | Fast, Categories: CatString,
			Keys:  OneKey(KeyOW | KeyInsert),
			Group: "string", Since: "1.0.0", Summary: "Set the value of a key, only if the key does not exist",
			Complexity: "O(1)", Args: "key value",
		}, Run: cmdSetNX},
		{Info: Info{
			Name: "setex", Arity: 4, Flags: Write | DenyOOM, Categories: CatString, Keys: OneKey(KeyOW | KeyUpdate),
			Group: "string", Since: "2.0.0", Summary: "Set the value and expiration of a key", Complexity: "O(1)",
			Args: "key seconds:integer value",
		}, Run: cmdSetEX},
		{Info: Info{
			Name: "psetex", Arity: 4, Flags: Write | DenyOOM, Categories: CatString, Keys: OneKey(KeyOW | KeyUpdate),
			Group: "string", Since: "2.6.0", Summary: "Set the value and expiration in milliseconds of a key",
			Complexity: "O(1)", Args: "key milliseconds:integer value",
		}, Run: cmdPSetEX},
	}
}

// readString looks the call's first key up for reading: ok is false if there is none, and the error that of a
// value that is no string.
func (c *Ctx) readString() (db *shard.DB, e index.Entry, ok bool, err error) {
	k := &c.Keys[0]
	db = k.Shard.DB(c.DBID)
	if e, ok = c.read(k, db); ok && db.Type(e) != object.String {
		return db, e, false, resp.ErrWrongType
	}
	return db, e, ok, nil
}

// replyString replies the string in e, or null if there is none.
func (c *Ctx) replyString(db *shard.DB, e index.Entry, ok bool) {
	if !ok {
		c.Null()
		return
	}
	if v, ok := db.StringView(e); ok {
		c.Bulk(v)
		return
	}
	if n := db.StringLen(e); c.room(n) {
		c.Out = resp.AppendBulkHead(c.Out, n)
		c.Out = append(db.AppendString(c.Out, e), '\r', '\n')
	}
}

// GET key
func cmdGet(c *Ctx) error {
	db, e, ok, err := c.readString()
	if err == nil {
		c.replyString(db, e, ok)
	}
	return err
}

// GETDEL key
func cmdGetDel(c *Ctx) error {
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	c.replyString(db, e, ok)
	if ok {
		c.remove(&c.Keys[0])
	}
	return nil
}

// GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
func cmdGetEx(c *Ctx) error {
	var o stringOptions
	if err := o.parse(c.ArgsFrom(2), optsOfGetEx); err != nil {
		return err
	}
	db, e, ok, err := c.readString()
	if err != nil {
		return err
	}
	if !ok {
		c.Null()
		return nil
	}
	atMs, err := o.expireAt(c)
	if err != nil {
		return err
	}
	c.replyString(db, e, true)
	k := &c.Keys[0]
	switch {
	case o.has&(optEXAT|optPXAT) != 0 && atMs <= c.NowMs:
		c.remove(k)
	case atMs != 0:
		c.setExpire(k, atMs)
	case o.has&optPersist != 0 && db.Persist(k.Key):
		c.Notify(k, shard.EventGeneric, "persist")
		c.Dirty++
		c.Effect(k.Arg, wordPersist, k.Key.Bytes)
	}
	return nil
}

// SET key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET] [EX seconds | PX milliseconds |
// EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]
func cmdSet(c *Ctx) error {
	var o stringOptions
	if len(c.Args) > 3 {
		if err := o.parse(c.ArgsFrom(3), optsOfSet); err != nil {
			return err
		}
	}
	stored, err := c.storeString(&o, c.Args[2])
	switch {
	case err != nil:
		return err
	case o.has&optGet != 0: // replied
	case stored:
		c.OK()
	default:
		c.Null()
	}
	return nil
}

// setKeyFlags says what a SET does to its key.
func setKeyFlags(args [][]byte) KeyFlags {
	for _, a := range args[min(3, len(args)):] {
		switch a = cString(a); {
		case equalFold(a, "get"), equalFold(a, "ifeq"), equalFold(a, "ifne"), equalFold(a, "ifdeq"),
			equalFold(a, "ifdne"):
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyOW | KeyUpdate
}

// SETNX key value
func cmdSetNX(c *Ctx) error {
	o := stringOptions{has: optNX}
	stored, err := c.storeString(&o, c.Args[2])
	if err == nil {
		c.Bool(stored)
	}
	return err
}

// SETEX key seconds value
func cmdSetEX(c *Ctx) error { return c.setWithExpire(optEX) }

// PSETEX key milliseconds value
func cmdPSetEX(c *Ctx) error { return c.setWithExpire(optPX) }

func (c *Ctx) setWithExpire(unit stringOption) error {
	o := stringOptions{has: unit, expire: c.Args[2]}
	_, err := c.storeString(&o, c.Args[3])
	if err == nil {
		c.OK()
	}
	return err
}

// GETSET key value
func cmdGetSet(c *Ctx) error {
	o := stringOptions{has: optGet}
	_, err := c.storeString(&o, c.Args[2])
	return err
}

// storeString gives the call's first key a value as SET does, and replies the old one if the options ask for it.
// stored is false if they forbid it.
func (c *Ctx) storeString(o *stringOptions, val []byte) (stored bool, err error) {
	atMs, err := o.expireAt(c)
	if err != nil {
		return false, err
	}
	if len(val) > object.MaxString { // only where proto-max-bulk-len was raised
		return false, resp.ErrStringTooLong
	}
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	if o.has&(optCondition|optGet|optKeepTTL) != 0 {
		var e index.Entry
		var found bool
		if o.has&optGet != 0 {
			if db, e, found, err = c.readString(); err != nil {
				return false, err
			}
			c.replyString(db, e, found)
		} else {
			e, found = db.Look(k.Key, c.NowMs)
		}
		if ok, err := c.allow(o, db, e, found); !ok || err != nil {
			if found {
				k.Shard.Touch(e) // SetString, which notes a use, does not come to it
			}
			return false, err
		}
		if found && o.has&optKeepTTL != 0 {
			atMs = e.ExpireAt()
		}
	}
	c.setString(k, val, atMs, atMs != 0 && o.has&optKeepTTL == 0)
	c.Dirty++
	if o.has != 0 && c.Logging() {
		c.effectSet(o, k, val, atMs)
	}
	return true, nil
}

// setString gives a key a string and tells of it, and of its expiry if that is new. One that has expired and is still
// there goes first where that is told.
func (c *Ctx) setString(k *Keyed, val []byte, atMs int64, expires bool) {
	db := k.Shard.DB(c.DBID)
	if c.Set.Events()&(shard.EventExpired|shard.EventNew) != 0 {
		db.Look(k.Key, c.NowMs)
	}
	db.SetString(k.Key, val, atMs)
	c.Notify(k, shard.EventString, "set")
	if expires {
		c.noteOwn(k, db)
		c.Notify(k, shard.EventGeneric, "expire")
	}
}

// effectSet states what a SET with options came to.
func (c *Ctx) effectSet(o *stringOptions, k *Keyed, val []byte, atMs int64) {
	switch {
	case o.has&optKeepTTL != 0:
		c.Effect(k.Arg, wordSet, k.Key.Bytes, val, wordKeepTTL)
	case atMs != 0:
		c.Effect(k.Arg, wordSet, k.Key.Bytes, val, wordPXAT, c.number(atMs))
	default:
		c.Effect(k.Arg, wordSet, k.Key.Bytes, val)
	}
}
