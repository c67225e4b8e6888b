package command

import (
	"slices"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard/ds/index"
)

// SCAN's cursor is the index's cursor in one shard, shifted left by eight bits, with the shard in the low byte:
// shard 0 is read to its end, then shard 1, and so on; 0 begins and ends. Index cursors are below 2^48.

func scanRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "scan", Arity: -2, Flags: ReadOnly, Categories: CatKeyspace, Route: RouteAll,
			Group: "generic", Since: "2.8.0", Summary: "Incrementally iterate the keys space",
			Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the " +
				"cursor to return back to 0. N is the number of elements inside the collection.",
			History: []Change{{"6.0.0", "Added the `TYPE` subcommand."}},
			Tips:    []string{"nondeterministic_output", "request_policy:special"},
			Args:    "cursor:integer pattern:pattern=MATCH? count:integer=COUNT? type=TYPE?@6.0.0",
		}, Run: cmdScan},
	}
}

const (
	scanCount    = 10      // without COUNT
	scanMaxCount = 1 << 40 // more is as good as all

	// scanLeast is the least number of keys that a call asks a shard for, even if it needs fewer: what a shard is
	// asked for also bounds how far its index is searched, and a few keys must come in one call.
	scanLeast = 10
)

// scanOptions are the options of one call of SCAN.
type scanOptions struct {
	pattern  namePattern
	count    int
	typeName []byte // nil: all types
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
func cmdScan(c *Ctx) error {
	cursor, ok := parseCursor(c.Args[1])
	if !ok {
		return resp.ErrInvalidCursor
	}
	o := scanOptions{count: scanCount}
	if err := o.parse(c.ArgsFrom(2)); err != nil {
		return err
	}
	head, found := len(c.Out), 0
	next := c.scan(&o, cursor, func(e index.Entry) {
		if !o.pattern.match(e.Key()) {
			return
		}
		if o.typeName != nil {
			c.Set.Shards[0].Stats.Hits++ // Redis looks the key up to see its type
			if !typeNamed(o.typeName, c.Set.Shards[0].DB(c.DBID).Type(e)) {
				return
			}
		}
		c.Bulk(e.Key())
		found++
	})
	var text [20]byte
	c.scratch = resp.AppendArray(c.scratch[:0], 2)
	c.scratch = resp.AppendBulk(c.scratch, strconv.AppendUint(text[:0], next, 10))
	c.scratch = resp.AppendArray(c.scratch, found)
	c.Out = slices.Insert(c.Out, head, c.scratch...)
	return nil
}

// parse reads options to the end.
func (o *scanOptions) parse(a Args) error {
	for a.More() {
		switch {
		case a.Left() == 1:
			a.Syntax()
		case a.Option("count"):
			n := a.Int()
			if n < 1 {
				a.Syntax()
			}
			o.count = int(min(n, scanMaxCount))
		case a.Option("match"):
			o.pattern = keyPattern(a.Bytes())
		case a.Option("type"):
			o.typeName = a.Bytes()
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// scan calls fn for about o.count keys from cursor on and returns the cursor to go on with.
func (c *Ctx) scan(o *scanOptions, cursor uint64, fn func(e index.Entry)) (next uint64) {
	given := 0
	count := func(e index.Entry) {
		given++
		fn(e)
	}
	for s := cursorShard(cursor, len(c.Set.Shards)); s < len(c.Set.Shards); s++ {
		db := c.Set.Shards[s].DB(c.DBID)
		if at := db.Scan(cursor>>8, max(o.count-given, scanLeast), c.NowMs, count); at != 0 {
			return at<<8 | uint64(s)
		}
		cursor = 0
		if given >= o.count && s+1 < len(c.Set.Shards) {
			return uint64(s + 1)
		}
	}
	return 0
}
