package command

import (
	"fulmen/internal/resp"
	"fulmen/shard"
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
		}, Slices: beginScan},
	}
}

const (
	scanCount    = 10      // without COUNT
	scanMaxCount = 1 << 40 // more is as good as all

	// scanLeast is the least number of keys that a call asks a shard for, even if it needs fewer: what a shard is
	// asked for also bounds how far its index is searched, and a few keys must come in one call.
	scanLeast = 10
)

// scanStep is how many keys a slice asks the index for.
const scanStep = 64

// scanJob is a call of SCAN under way.
type scanJob struct {
	scanOptions
	dbID   int
	shard  int
	cursor uint64 // in the shard's index
	asked  int    // keys that the shard was asked for
	given  int    // keys looked at, in all shards
	found  int    // keys replied
	end    bool   // there is nothing behind what was looked at
	looked looked
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
func beginScan(c *Ctx) (Job, error) {
	cursor, ok := parseCursor(c.Args[1])
	if !ok {
		return nil, resp.ErrInvalidCursor
	}
	j := &scanJob{scanOptions: newScanOptions(), dbID: c.DBID, cursor: cursor >> 8}
	// The shard is in the low byte; cursors that no server gave point into the first.
	if n := int(cursor & 0xff); n < len(c.Set.Shards) {
		j.shard = n
	}
	return j, j.parse(c.ArgsFrom(2), scanType)
}

// Shard implements Job.
func (j *scanJob) Shard() int { return j.shard }

// Slice implements Job. Each shard is asked for as many keys as are still missing, in pieces.
func (j *scanJob) Slice(c *Ctx) (done bool) {
	s := c.Set.Shards[j.shard]
	db := s.DB(j.dbID)
	step := min(max(j.count-j.given, scanLeast-j.asked), scanStep)
	j.asked += step
	from := j.cursor
	j.cursor = db.Scan(from, step, c.NowMs, func(e index.Entry) { j.look(c, s, db, e) })
	j.looked.extend(j.shard, from, j.cursor)
	if j.cursor != 0 {
		return j.asked >= max(j.count, scanLeast) || j.given >= j.count && j.asked >= scanLeast
	}
	if j.shard+1 == len(c.Set.Shards) {
		j.end = true
		return true
	}
	j.shard++
	j.asked = 0
	return j.given >= j.count
}

// look replies a key if it is what was asked for.
func (j *scanJob) look(c *Ctx, s *shard.Shard, db *shard.DB, e index.Entry) {
	j.given++
	if !j.pattern.match(e.Key()) {
		return
	}
	if j.typeName != nil {
		s.Stats.Hits++ // Redis looks the key up to see its type
		if !typeNamed(j.typeName, db.Type(e)) {
			return
		}
	}
	c.Bulk(e.Key())
	j.found++
}

// Looked implements Looker.
func (j *scanJob) Looked(k shard.Key) bool { return j.looked.covers(k) && j.pattern.match(k.Bytes) }

// looked is what slices have looked at in one shard.
type looked struct {
	shard      int
	from, next uint64 // cursors
	any        bool
}

// extend adds a slice.
func (l *looked) extend(shard int, from, next uint64) {
	if !l.any || l.shard != shard {
		*l = looked{shard: shard, from: from, any: true}
	}
	l.next = next
}

// covers tells whether a key of that shard is, or would be, there.
func (l *looked) covers(k shard.Key) bool { return l.any && index.Covers(l.from, l.next, k.Hash) }

// Head implements Job.
func (j *scanJob) Head(c *Ctx) {
	next := uint64(0)
	if !j.end {
		next = j.cursor<<8 | uint64(j.shard)
	}
	c.Out = appendScanHead(c.Out, next, j.found)
}
