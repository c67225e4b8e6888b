package aof

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"fulmen/internal/resp"
	"fulmen/persist/log"
)

// foreignBatch is commands of a file that are to be executed in order: records as logs of ours have them.
type foreignBatch struct {
	data    []byte // all parts, one behind the other
	ends    []int  // of the parts
	parts   [][]byte
	offsets []int64 // in the file, of the parts' commands

	read         int64 // bytes of the file
	timestampSec int64 // of the last annotation #TS: up to here
	last         bool  // of the file; err says why, nil: it ends
	err          error
}

func (b *foreignBatch) reset() {
	if b.big() {
		b.data = nil
	}
	*b = foreignBatch{data: b.data[:0], ends: b.ends[:0], parts: b.parts[:0], offsets: b.offsets[:0]}
}

// big tells whether a command has made the batch longer than others are.
func (b *foreignBatch) big() bool { return cap(b.data) > 4*readBytes }

// add adds a command for a database; record is the same as args, if it is not nil.
func (b *foreignBatch) add(db int, args [][]byte, record []byte, offset int64) {
	if db != 0 {
		b.data = resp.AppendCommandStrings(b.data, "SELECT", strconv.Itoa(db))
	}
	if record != nil {
		b.data = append(b.data, record...)
	} else {
		b.data = resp.AppendCommand(b.data, args...)
	}
	b.ends = append(b.ends, len(b.data))
	b.offsets = append(b.offsets, offset)
}

// cut makes parts of what was added.
func (b *foreignBatch) cut() {
	from := 0
	for _, end := range b.ends {
		b.parts = append(b.parts, b.data[from:end:end])
		from = end
	}
}

// name returns the name of a part's command.
func (b *foreignBatch) name(at int) string {
	name := ""
	err := log.ForEachIn(b.parts[at], func(args [][]byte) error {
		name = string(args[0])
		return nil
	})
	if err != nil {
		panic("BUG: aof: a record that was just made: " + err.Error())
	}
	return name
}

// foreignCommands reads the commands of a file that are to be executed: outside of transactions, and of those that are
// whole. It belongs to one goroutine at a time.
type foreignCommands struct {
	o    *ForeignOptions
	path string
	r    *ForeignReader

	db      int
	known   []byte // a name that is
	multi   bool
	multiAt int64           // offset of the MULTI
	queue   []queuedForeign // commands since
	whole   []queuedForeign // of a transaction, still to come
}

// queuedForeign is a command of a transaction.
type queuedForeign struct {
	args   [][]byte
	offset int64
}

// next fills a batch.
func (c *foreignCommands) next(b *foreignBatch) (last, big bool) {
	b.reset()
	from := c.r.Offset()
	for len(b.data) < readBytes && b.read < readBytes && !b.last {
		b.last, b.err = c.step(b)
		b.read = c.r.Offset() - from
	}
	b.timestampSec = c.r.Timestamp()
	b.cut()
	return b.last, b.big()
}

// step takes a command. last: there are no more.
func (c *foreignCommands) step(b *foreignBatch) (last bool, err error) {
	if len(c.whole) > 0 {
		q := c.whole[0]
		c.whole[0] = queuedForeign{}
		c.whole = c.whole[1:]
		err = c.add(b, q.args, nil, q.offset)
		return err != nil, err
	}
	args, err := c.r.Next()
	switch {
	case err == io.EOF && c.multi:
		return true, &ForeignError{Kind: ForeignShort, File: c.path, Offset: c.multiAt, Reason: "in a transaction",
			Err: io.ErrUnexpectedEOF}
	case err == io.EOF:
		return true, nil
	case err == nil:
		err = c.take(b, args)
	}
	return err != nil, err
}

// take takes a command: it is added to the batch, or kept until its transaction is whole.
func (c *foreignCommands) take(b *foreignBatch, args [][]byte) error {
	at := c.r.Start()
	switch name := args[0]; {
	case bytes.EqualFold(name, []byte("multi")):
		if c.multi {
			return c.wrong(ForeignFormat, at, "MULTI inside MULTI")
		}
		c.multi, c.multiAt = true, at
		return nil
	case bytes.EqualFold(name, []byte("exec")):
		if !c.multi {
			return c.wrong(ForeignFormat, at, "EXEC without MULTI")
		}
		c.whole, c.multi, c.queue = c.queue, false, nil
		return nil
	case !bytes.EqualFold(name, []byte("select")) && !c.knows(name):
		return c.wrong(ForeignUnknown, at, strings.ToValidUTF8(string(name), "?"))
	case c.multi:
		q := queuedForeign{offset: at}
		for _, arg := range args {
			q.args = append(q.args, bytes.Clone(arg))
		}
		c.queue = append(c.queue, q)
		return nil
	}
	return c.add(b, args, c.r.record, at)
}

// knows tells whether there is a command of a name.
func (c *foreignCommands) knows(name []byte) bool {
	if c.o.Known == nil || bytes.Equal(name, c.known) {
		return true
	}
	if !c.o.Known(name) {
		return false
	}
	c.known = append(c.known[:0], name...)
	return true
}

// add adds a command to a batch; SELECT says which database it is that others are for.
func (c *foreignCommands) add(b *foreignBatch, args [][]byte, record []byte, at int64) error {
	if !bytes.EqualFold(args[0], []byte("select")) {
		b.add(c.db, args, record, at)
		return nil
	}
	if len(args) != 2 {
		return c.wrong(ForeignFormat, at, "SELECT needs one argument")
	}
	n, err := strconv.Atoi(string(args[1]))
	if err != nil || n < 0 || c.o.Databases > 0 && n >= c.o.Databases {
		return c.wrong(ForeignDatabase, at, strings.ToValidUTF8(string(args[1]), "?"))
	}
	c.db = n
	return nil
}

func (c *foreignCommands) wrong(kind ForeignFault, at int64, reason string) error {
	return &ForeignError{Kind: kind, File: c.path, Offset: at, Reason: reason}
}
