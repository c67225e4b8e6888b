package command

import (
	"errors"
	"fmt"

	"fulmen/internal/resp"
	"fulmen/persist/rdb"
	"fulmen/shard"
	"fulmen/shard/ds/index"
)

// Values as strings of bytes, in the form that they have in RDB files. A payload may come from anywhere: it is checked
// down to its last byte while the value is built, which belongs to no key until it is known to be good.

func dumpRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "dump", Arity: 2, Flags: ReadOnly, Categories: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess),
			Group: "generic", Since: "2.6.0",
			Summary: "Return a serialized version of the value stored at the specified key.",
			Complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of " +
				"Redis objects composing the value and M their average size. For small string values the time " +
				"complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
			Tips: []string{"nondeterministic_output"}, Args: "key",
		}, Run: cmdDump},
		{Info: Info{
			Name: "restore", Arity: -4, Flags: Write | DenyOOM, Categories: CatKeyspace | CatDangerous,
			Keys: OneKey(KeyOW | KeyUpdate), Group: "generic", Since: "2.6.0",
			Summary: "Create a key using the provided serialized value, previously obtained using DUMP.",
			Complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, " +
				"where N is the number of Redis objects composing the value and M their average size. For small " +
				"string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However " +
				"for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets " +
				"is O(log(N)).",
			History: []Change{
				{"3.0.0", "Added the `REPLACE` modifier."},
				{"5.0.0", "Added the `ABSTTL` modifier."},
				{"5.0.0", "Added the `IDLETIME` and `FREQ` options."},
			},
			Args: "key ttl:integer serialized-value REPLACE?@3.0.0 ABSTTL?@5.0.0 seconds:integer=IDLETIME?@5.0.0 " +
				"frequency:integer=FREQ?@5.0.0",
		}, Run: cmdRestore},
	}
}

// payloads are what DUMP and RESTORE need, made when first used.
type payloads struct {
	dumper  rdb.Dumper
	builder shard.Builder
	limits  shard.BuildLimits
	hash    func(member []byte) uint64
}

func (c *Ctx) payloads() *payloads {
	if c.dumps == nil {
		set := c.Set
		c.dumps = &payloads{hash: func(member []byte) uint64 { return set.Key(member).Hash }}
	}
	return c.dumps
}

// Build returns the limits for building values.
func (l *Limits) Build() shard.BuildLimits {
	return shard.BuildLimits{
		ListFill: l.ListFill, HashEntries: l.HashMaxListpackEntries, HashValueBytes: l.HashMaxListpackValueBytes,
		ZSet: l.ZSet, Sets: l.Sets, Stream: l.Stream,
	}
}

// AppendDump appends what DUMP replies of an entry, whose shard's baton is held, to dst.
func (c *Ctx) AppendDump(dst []byte, e index.Entry) []byte {
	p := c.payloads()
	return p.dumper.Append(dst, e, rdb.WriteOptions{LZF: c.Limits.CompressDumps, Space: c.Set.Space, Hash: p.hash})
}

// DUMP key
func cmdDump(c *Ctx) error {
	k := &c.Keys[0]
	e, ok := c.read(k, k.Shard.DB(c.DBID))
	if !ok {
		c.Null()
		return nil
	}
	payload := c.AppendDump(c.scratch[:0], e)
	c.Bulk(payload)
	c.scratch = payload
	return nil
}

// restore is a RESTORE's arguments.
type restore struct {
	ttl     int64
	replace bool
	absTTL  bool
	idle    int64 // seconds; -1: not given
	freq    int   // -1: not given
}

// parse reads the options.
func (r *restore) parse(a Args) error {
	r.idle, r.freq = -1, -1
	for a.More() {
		switch {
		case a.Option("replace"):
			r.replace = true
		case a.Option("absttl"):
			r.absTTL = true
		case a.Left() > 1 && r.freq < 0 && a.Option("idletime"):
			if r.idle = a.Int(); r.idle < 0 {
				a.Fail(resp.ErrIdleTime)
			}
		case a.Left() > 1 && r.idle < 0 && a.Option("freq"):
			n := a.Int()
			if n < 0 || n > 255 {
				a.Fail(resp.ErrFreq)
			}
			r.freq = int(n)
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// parseTTL reads the expiry and makes it a moment, 0 meaning none.
func (r *restore) parseTTL(b []byte, nowMs int64) error {
	ttl, ok := resp.ParseInt(b)
	switch {
	case !ok:
		return resp.ErrNotInteger
	case ttl < 0:
		return resp.ErrInvalidTTL
	}
	if r.ttl = ttl; ttl > 0 && !r.absTTL {
		r.ttl += nowMs // beyond all time it wraps around, and has passed: so does Redis
	}
	return nil
}

// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
func cmdRestore(c *Ctx) error {
	var r restore
	if err := r.parse(c.ArgsFrom(4)); err != nil {
		return err
	}
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	if !r.replace { // else nobody looks whether what is replaced has expired
		if _, there := db.Look(k.Key, c.NowMs); there {
			return resp.ErrBusyKey
		}
	}
	if err := r.parseTTL(c.Args[2], c.NowMs); err != nil {
		return err
	}
	b, err := c.rebuild(k.Shard, c.Args[3])
	if err != nil {
		return err
	}
	if r.ttl != 0 && r.ttl <= c.NowMs {
		b.Drop()
		if r.replace && db.Delete(k.Key) {
			c.removed(k)
		}
		c.OK()
		return nil
	}
	b.Put(db, k.Key, r.ttl, c.Set.RestoredAccess(r.idle, r.freq))
	c.noteOwn(k, db)
	c.Notify(k, shard.EventGeneric, "restore")
	c.Dirty++
	if r.ttl != 0 && !r.absTTL && c.Logging() {
		args := append([][]byte{}, c.Args...)
		args[2] = c.number(r.ttl)
		c.Effect(1, append(args, wordAbsTTL)...)
	}
	c.OK()
	return nil
}

var wordAbsTTL = []byte("ABSTTL")

// rebuild builds the value of a payload in a shard, in a builder that is to be put or dropped.
func (c *Ctx) rebuild(s *shard.Shard, payload []byte) (*shard.Builder, error) {
	p := c.payloads()
	b := &p.builder
	p.limits = c.Limits.Build()
	s.Builder(b, &p.limits)
	err := rdb.DecodeDump(payload, builder{b})
	if err == nil {
		return b, nil
	}
	b.Drop()
	var corrupt *rdb.CorruptError
	switch {
	case errors.Is(err, rdb.ErrPayload):
		return nil, resp.ErrBadDump
	case errors.As(err, &corrupt), errors.Is(err, rdb.ErrEmpty), errors.Is(err, rdb.ErrUnsupported),
		errors.Is(err, shard.ErrTwice), errors.Is(err, shard.ErrTooLong), errors.Is(err, shard.ErrNoType),
		errors.Is(err, shard.ErrNotPending):
		return nil, resp.ErrBadFormat
	}
	panic(fmt.Sprintf("BUG: command: decoding a payload: %v", err))
}

// builder hands what a payload holds to the shard.
type builder struct{ *shard.Builder }

// Begin begins a value.
func (b builder) Begin(f rdb.Form) error { return b.Builder.Begin(f.Source()) }

var _ rdb.Builder = builder{}
