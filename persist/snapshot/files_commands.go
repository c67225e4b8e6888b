package snapshot

import (
	"bufio"
	"errors"
	"io"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/persist/rdb"
	"fulmen/shard/object"
)

const (
	// itemsACommand is how many elements of a value a command has, as in Redis (AOF_REWRITE_ITEMS_PER_CMD) …
	itemsACommand = 64
	// … unless they have more bytes than this already.
	itemBytesACommand = 64 << 10
)

// commandWriter makes of the RDB file that is written to it the commands in RESP that lead to the same data, as Redis
// does with aof-use-rdb-preamble no: FUNCTION LOAD, SELECT where the database changes, SET, RPUSH, SADD, ZADD and HSET,
// for streams what files_stream.go says, and PEXPIREAT and HPEXPIREAT behind them. They begin and end in database 0.
//
// Write, Close and Drop are called by one goroutine. The commands are made, and written, by another one, which lives
// until Close or Drop.
type commandWriter struct {
	in   *io.PipeWriter
	over chan struct{} // closed: the other goroutine has ended
	err  error         // its error, once over is closed
}

func newCommandWriter(out io.Writer) *commandWriter {
	r, w := io.Pipe()
	c := &commandWriter{in: w, over: make(chan struct{})}
	go func() {
		defer close(c.over)
		c.err = writeCommands(out, r)
		r.CloseWithError(c.err) // nil: whatever follows is io.ErrClosedPipe
	}()
	return c
}

// Write implements io.Writer.
func (c *commandWriter) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close writes what is left; the RDB file is whole.
func (c *commandWriter) Close() error {
	if err := c.in.Close(); err != nil {
		return err
	}
	<-c.over
	return c.err
}

// Drop is Close for a file that will not be whole.
func (c *commandWriter) Drop() {
	_ = c.in.CloseWithError(errDropped) // always nil
	<-c.over
}

// writeCommands reads an RDB file and writes commands.
func writeCommands(out io.Writer, in io.Reader) error {
	e := &commandEncoder{out: bufio.NewWriterSize(out, fileBufferBytes)}
	r := rdb.NewReader(in, "what becomes commands")
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case err != nil:
		case ev.Kind == rdb.EventKey:
			err = e.entry(r, &ev)
		case ev.Kind == rdb.EventFunction:
			err = e.write([]byte("FUNCTION"), []byte("LOAD"), ev.Library())
		}
		if err != nil {
			return err
		}
	}
	if err := e.selectDB(0); err != nil {
		return err
	}
	return e.out.Flush()
}

// commandEncoder is a rdb.Builder that writes a value as commands.
type commandEncoder struct {
	out *bufio.Writer
	db  int // that is selected

	// Of the value at hand.
	key    []byte
	name   string // of the command that adds elements
	n      int    // arguments for the next one …
	items  []byte // … as bulk strings
	behind []byte // commands that come behind it
	text   []byte // scratch
	stream streamCommands
}

// entry writes a key with its value and expiry.
func (e *commandEncoder) entry(r *rdb.Reader, ev *rdb.Event) error {
	if err := e.selectDB(ev.DB); err != nil {
		return err
	}
	e.key = append(e.key[:0], ev.Key...)
	expireAtMs := ev.ExpireAtMs
	if err := r.Value(e); err != nil {
		return err
	}
	if err := e.flush(); err != nil || expireAtMs == 0 {
		return err
	}
	return e.write([]byte("PEXPIREAT"), e.key, strconv.AppendInt(nil, expireAtMs, 10))
}

func (e *commandEncoder) selectDB(db int) error {
	if db == e.db {
		return nil
	}
	e.db = db
	return e.write([]byte("SELECT"), strconv.AppendInt(nil, int64(db), 10))
}

// write writes a command.
func (e *commandEncoder) write(args ...[]byte) error {
	e.text = resp.AppendCommand(e.text[:0], args...)
	_, err := e.out.Write(e.text)
	return err
}

// flush writes the elements that have come.
func (e *commandEncoder) flush() error {
	if e.n == 0 {
		return nil
	}
	e.text = resp.AppendArray(e.text[:0], e.n+2)
	e.text = resp.AppendBulkString(e.text, e.name)
	e.text = resp.AppendBulk(e.text, e.key)
	var err error
	for _, p := range [][]byte{e.text, e.items, e.behind} {
		if err == nil {
			_, err = e.out.Write(p)
		}
	}
	e.n, e.items, e.behind = 0, e.items[:0], e.behind[:0]
	return err
}

// add adds an element, which may be of several arguments.
func (e *commandEncoder) add(args ...[]byte) error {
	for _, arg := range args {
		e.items = resp.AppendBulk(e.items, arg)
	}
	if e.n += len(args); e.n < itemsACommand*len(args) && len(e.items) < itemBytesACommand {
		return nil
	}
	return e.flush()
}

// adders are the commands that add elements, by type.
var adders = [...]string{object.List: "RPUSH", object.Set: "SADD", object.ZSet: "ZADD", object.Hash: "HSET"}

// Begin implements rdb.Builder.
func (e *commandEncoder) Begin(f rdb.Form) error {
	if int(f.Type) < len(adders) {
		e.name = adders[f.Type]
	}
	return nil
}

// String implements rdb.Builder.
func (e *commandEncoder) String(b []byte) error { return e.write([]byte("SET"), e.key, b) }

// Item implements rdb.Builder.
func (e *commandEncoder) Item(b []byte) error { return e.add(b) }

// Member implements rdb.Builder.
func (e *commandEncoder) Member(b []byte) error { return e.add(b) }

// Scored implements rdb.Builder.
func (e *commandEncoder) Scored(member []byte, score float64) error {
	return e.add(strconv.AppendFloat(nil, score, 'g', -1, 64), member)
}

// Field implements rdb.Builder.
func (e *commandEncoder) Field(field, value []byte, expireAtMs int64) error {
	if expireAtMs != 0 {
		e.behind = resp.AppendCommand(e.behind, []byte("HPEXPIREAT"), e.key, strconv.AppendInt(nil, expireAtMs, 10),
			[]byte("FIELDS"), []byte("1"), field)
	}
	return e.add(field, value)
}
