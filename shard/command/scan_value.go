package command

import (
	"slices"
	"strconv"

	"fulmen/internal/resp"
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

// scanHead puts the head of a reply of HSCAN and its like before the n items that are at offset at of Out.
func (c *Ctx) scanHead(at int, cursor uint64, n int) {
	var text [20]byte
	head := resp.AppendArray(c.scratch[:0], 2)
	head = resp.AppendBulk(head, strconv.AppendUint(text[:0], cursor, 10))
	c.scratch = resp.AppendArray(head, n)
	c.Out = slices.Insert(c.Out, at, c.scratch...)
}
