package command

import (
	"math"
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// Ctx is what a handler works with. One Ctx belongs to one goroutine and is reused from call to call.
type Ctx struct {
	// Set by the executor for the goroutine.
	Set       *shard.Set
	Worker    *shard.Worker
	Calls     *CallStats
	Table     *Table
	Limits    *Limits
	Observers *Observers

	// Set by the executor for the session.
	Session Session
	DBID    int
	Proto   int // 2 or 3
	NowMs   int64
	NoTouch bool // CLIENT NO-TOUCH: lookups leave access clocks alone
	// Tracker is the session as one that tracks keys; nil: it tracks none. Remembers: the keys that read-only commands
	// look at are noted for it.
	Tracker   *shard.Tracker
	Remembers bool
	// Scripted: the calls are those of a script that the session runs.
	Scripted bool

	// Set by the executor for the call.
	Row  *Row
	Args [][]byte // the command's name first; they do not outlive the call
	Keys []Keyed  // the keys among Args, in the order of the row's key specs

	Reply
	// ReplyLimit is the output limit of the session in bytes, 0 = none.
	ReplyLimit int

	// Dirty counts the changes of the call; handlers add. A call with changes and no effect of its own
	// is logged as it came.
	Dirty   int
	effects bool

	// Then is what the call has left to do before its reply may leave, in slices and without its batons. Handlers set
	// it, executors take it (TakeThen); in MULTI nobody waits for it.
	Then Job

	// EmptiedAll: the call has removed all keys of all databases (FLUSHALL), which the server may want to save.
	EmptiedAll bool

	// MayBlock: the session may wait for keys, and for a job that has the rest of the reply; set by executors. A
	// command that found nothing then sets Wait and replies nothing. Woken: it is run again, with the key alone that is
	// ready and those that go with it.
	MayBlock bool
	Wait     Wait
	Woken    bool

	scratch []byte   // for handlers; contents do not outlive the call
	record  [][]byte // … the words of an effect
	scan    valueScan
	dumps   *payloads  // nil until it is needed
	search  *geoSearch // nil until it is needed
}

// Limits are parameters that handlers need; immutable, replaced as a whole.
type Limits struct {
	MaxStringBytes int64 // proto-max-bulk-len
	ListFill       int   // list-max-listpack-size
	LazyExpire     bool  // lazyfree-lazy-expire
	LazyUserDel    bool  // lazyfree-lazy-user-del
	LazyUserFlush  bool  // lazyfree-lazy-user-flush
	LazyServerDel  bool  // lazyfree-lazy-server-del
	CompressDumps  bool  // rdbcompression

	HLLSparseMaxBytes int64 // hll-sparse-max-bytes

	HashMaxListpackEntries    int64 // hash-max-listpack-entries
	HashMaxListpackValueBytes int64 // hash-max-listpack-value

	ZSet   shard.ZSetLimits // zset-max-listpack-entries and -value
	Sets   shard.SetLimits
	Stream shard.StreamLimits // stream-node-max-bytes and -entries
}

// keyed finds the place of the key in argument i.
func (c *Ctx) keyed(i int) *Keyed {
	if k := &c.Keys[0]; k.Arg == i {
		return k
	}
	guess := (i - c.Row.Info.Keys[0].First) / c.Row.Info.Keys[0].Step
	if guess < len(c.Keys) && c.Keys[guess].Arg == i {
		return &c.Keys[guess]
	}
	for k := range c.Keys {
		if c.Keys[k].Arg == i {
			return &c.Keys[k]
		}
	}
	panic("BUG: " + c.Row.FullName + ": argument is not a key of the row's key specs")
}

// Key returns the key in argument i.
func (c *Ctx) Key(i int) shard.Key { return c.keyed(i).Key }

// Shard returns the shard of the key in argument i.
func (c *Ctx) Shard(i int) *shard.Shard { return c.keyed(i).Shard }

// DB returns the session's database in the shard of the key in argument i.
func (c *Ctx) DB(i int) *shard.DB { return c.Shard(i).DB(c.DBID) }

// EachDB calls fn for database id in all shards; for commands routed to all.
func (c *Ctx) EachDB(id int, fn func(db *shard.DB)) {
	for _, s := range c.Set.Shards {
		fn(s.DB(id))
	}
}

// Effect logs args instead of the command as it came, in the shard of the key in argument i.
func (c *Ctx) Effect(i int, args ...[]byte) {
	c.effects = true
	if s := c.Shard(i); s.Logging() {
		s.Stage(c.DBID, args...)
	}
}

// EffectOfKeys logs the call as it came, once for the shards of all its keys: as a record in which they meet if there
// are several.
func (c *Ctx) EffectOfKeys() {
	c.effects = true
	if !c.Logging() {
		return
	}
	var shards []int
	for i := range c.Keys {
		shards = append(shards, c.Keys[i].Shard.ID)
	}
	slices.Sort(shards)
	c.Set.StageBarrier(slices.Compact(shards), c.DBID, c.Args...)
}

// EffectOfAll logs args, once for all shards.
func (c *Ctx) EffectOfAll(args ...[]byte) {
	c.effects = true
	if !c.Logging() {
		return
	}
	all := make([]int, len(c.Set.Shards))
	for i := range all {
		all[i] = i
	}
	c.Set.StageBarrier(all, c.DBID, args...)
}

// Logging tells whether effects are read by anybody; handlers may skip building them otherwise.
func (c *Ctx) Logging() bool { return c.Set.Log.Active() }

// NoEffect says that the call's changes must not be logged as the command came.
func (c *Ctx) NoEffect() { c.effects = true }

// Reply helpers: they append to Out in the session's protocol.

// OK replies +OK.
func (c *Ctx) OK() { c.Out = append(c.Out, "+OK\r\n"...) }

// Int replies an integer.
func (c *Ctx) Int(n int64) { c.Out = resp.AppendInt(c.Out, n) }

// Bool replies 1 or 0.
func (c *Ctx) Bool(b bool) {
	if b {
		c.Out = append(c.Out, ":1\r\n"...)
	} else {
		c.Out = append(c.Out, ":0\r\n"...)
	}
}

// Bulk replies a bulk string.
func (c *Ctx) Bulk(b []byte) {
	if c.room(len(b)) {
		c.Out = resp.AppendBulk(c.Out, b)
	}
}

// BulkString replies a bulk string.
func (c *Ctx) BulkString(s string) {
	if c.room(len(s)) {
		c.Out = resp.AppendBulkString(c.Out, s)
	}
}

// Simple replies a simple string.
func (c *Ctx) Simple(s string) { c.Out = resp.AppendSimple(c.Out, s) }

// Null replies a null.
func (c *Ctx) Null() { c.Out = resp.AppendNull(c.Out, c.Proto) }

// NullArray replies a null array.
func (c *Ctx) NullArray() { c.Out = resp.AppendNullArray(c.Out, c.Proto) }

// Array begins an array of n elements.
func (c *Ctx) Array(n int) { c.Out = resp.AppendArray(c.Out, n) }

// Map begins a map of n pairs.
func (c *Ctx) Map(n int) { c.Out = resp.AppendMap(c.Out, c.Proto, n) }

// SetOf begins a set of n elements.
func (c *Ctx) SetOf(n int) { c.Out = resp.AppendSet(c.Out, c.Proto, n) }

// Verbatim replies a text.
func (c *Ctx) Verbatim(format string, text string) {
	c.Out = resp.AppendVerbatim(c.Out, c.Proto, format, text)
}

// Keyed is a key of a call with its place: argument, hash and shard.
type Keyed struct {
	Key   shard.Key
	Shard *shard.Shard
	Arg   int
}

// parseCursor reads a SCAN cursor as Redis does, with C's strtoul: an unsigned decimal number of 64 bits, or one
// with a sign, whose negative it then is modulo 2^64; no digits at all are 0, and a NUL ends it.
func parseCursor(b []byte) (cursor uint64, ok bool) {
	b = cString(b)
	if len(b) == 0 {
		return 0, true
	}
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || cursor > (math.MaxUint64-d)/10 {
			return 0, false
		}
		cursor = cursor*10 + d
	}
	if negative {
		cursor = -cursor
	}
	return cursor, len(b) > 0
}
