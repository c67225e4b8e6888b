package command

import (
	"slices"
	"strconv"

	"fulmen/internal/resp"
)

// scanOptions are those of HSCAN and its like.
type scanOptions struct {
	pattern  namePattern
	count    int
	noValues bool
}

// scanCursor reads the cursor of HSCAN and its like.
func (c *Ctx) scanCursor() (uint64, error) {
	cursor, ok := parseCursor(c.Args[2])
	if !ok {
		return 0, resp.ErrInvalidCursor
	}
	return cursor, nil
}

// scanOptions reads options to the end.
func (c *Ctx) scanOptions(hash bool) (scanOptions, error) {
	o := scanOptions{count: scanCount}
	a := c.ArgsFrom(3)
	for a.More() {
		switch {
		case hash && a.Option("novalues"):
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
		default:
			a.Syntax()
		}
	}
	return o, a.Err()
}

// scanHead puts the head of a reply of HSCAN and its like before the n items that are at offset at of Out.
func (c *Ctx) scanHead(at int, cursor uint64, n int) {
	var text [20]byte
	head := resp.AppendArray(c.scratch[:0], 2)
	head = resp.AppendBulk(head, strconv.AppendUint(text[:0], cursor, 10))
	c.scratch = resp.AppendArray(head, n)
	c.Out = slices.Insert(c.Out, at, c.scratch...)
}
