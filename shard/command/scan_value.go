package command

import (
	"bytes"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

// scanOptions are those of SCAN, HSCAN and their like.
type scanOptions struct {
	pattern  namePattern
	count    int
	typeName []byte // nil: all types
	noValues bool
}

// Options that not all of them have.
const (
	scanType     = "type"
	scanNoValues = "novalues"
)

func newScanOptions() scanOptions { return scanOptions{count: scanCount} }

// parse reads options to the end, among them one more that not all commands have, or none: "".
func (o *scanOptions) parse(a Args, more string) error {
	for a.More() {
		switch {
		case more == scanNoValues && a.Option(more):
			o.noValues = true
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
		case more == scanType && a.Option(more):
			o.typeName = a.Bytes()
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// scanCursor reads the cursor of HSCAN and its like.
func (c *Ctx) scanCursor() (uint64, error) {
	cursor, ok := parseCursor(c.Args[2])
	if !ok {
		return 0, resp.ErrInvalidCursor
	}
	return cursor, nil
}

// scanHead puts the head of a reply of HSCAN and its like before the n items that stand at a place.
func (c *Ctx) scanHead(at Mark, cursor uint64, n int) {
	c.scratch = appendScanHead(c.scratch[:0], cursor, n)
	c.replace(at, 0, c.scratch)
}

// appendScanHead appends the head of a reply of SCAN and its like, behind which n items follow.
func appendScanHead(dst []byte, cursor uint64, n int) []byte {
	var text [20]byte
	dst = resp.AppendArray(dst, 2)
	dst = resp.AppendBulk(dst, strconv.AppendUint(text[:0], cursor, 10))
	return resp.AppendArray(dst, n)
}

const (
	scanAtOnce = 512 // elements that HSCAN and its like look at in the call
	scanPiece  = 128 // and in each slice after it
)

// valueScan is a call of HSCAN, SSCAN or ZSCAN under way. It is one piece for a small count, and else its call does the
// first, and it goes on as a job.
type valueScan struct {
	scanOptions
	shard  int
	of     object.Type
	cursor uint64
	left   int // elements to look at; 0: done
	items  int // of the reply
	long   *shard.ZSetScan
}

// scanValue executes HSCAN, SSCAN or ZSCAN; option is one that the others don't have.
func (c *Ctx) scanValue(t object.Type, option string) error {
	cursor, err := c.scanCursor()
	if err != nil {
		return err
	}
	var v shard.Value
	if err := c.readValue(&v, &c.Keys[0], t); err != nil {
		return err
	}
	at := c.Mark()
	if !v.Exists() { // options are not looked at
		c.scanHead(at, 0, 0)
		return nil
	}
	j := &c.scan
	*j = valueScan{scanOptions: newScanOptions(), shard: c.Keys[0].Shard.ID, of: t, cursor: cursor}
	if err := j.parse(c.ArgsFrom(3), option); err != nil {
		return err
	}
	j.left = j.count
	for size := scanAtOnce; !j.run(c, &v, size); size = scanPiece {
		if c.MayBlock {
			job := *j
			job.pattern = bytes.Clone(j.pattern)
			c.Then, *j = &job, valueScan{}
			return nil
		}
		if c.full() {
			break
		}
	}
	c.scanHead(at, j.cursor, j.items)
	*j = valueScan{}
	return nil
}

// run takes a step of about size elements and reports whether it was the last.
func (j *valueScan) run(c *Ctx, v *shard.Value, size int) (done bool) {
	n := min(j.left, size)
	j.left -= n
	switch j.of { // not by a function's address: what it is given would have to be allocated
	case object.Hash:
		scanHash(c, j, v, n)
	case object.Set:
		scanSet(c, j, v, n)
	default:
		scanZSet(c, j, v, n)
	}
	return j.left <= 0 || j.cursor == 0 && j.long == nil
}

// Shard implements Job.
func (j *valueScan) Shard() int { return j.shard }

// Slice implements Job. The key may be gone by now, or have a value of another type: then there is nothing that was
// there all the time.
func (j *valueScan) Slice(c *Ctx) (done bool) {
	k := &c.Keys[0]
	v := k.Shard.DB(c.DBID).LookValue(k.Key, c.NowMs)
	if !v.Exists() || v.Type() != j.of {
		j.cursor = 0
		return true
	}
	return j.run(c, &v, scanPiece)
}

// Head implements Job.
func (j *valueScan) Head(c *Ctx) { c.Out = appendScanHead(c.Out, j.cursor, j.items) }
