package snapshot

import (
	"errors"
	"math"
	"slices"
	"strconv"

	"fulmen/internal/resp"
	streams "fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// A stream as commands, as Redis writes them: XADD for each entry, XSETID, and for each group XGROUP CREATE, XGROUP
// CREATECONSUMER, and XCLAIM for what is pending. What is pending and has been deleted is lost, as it is with Redis.

// streamCommands is what a commandEncoder knows of a stream; reused.
type streamCommands struct {
	group    []byte
	consumer []byte
	pending  []object.Pending // of the group, in the order of their IDs
}

var errNotPending = errors.New("snapshot: a consumer has something pending that its group has not")

// StreamNode implements rdb.Builder.
func (e *commandEncoder) StreamNode(id streams.ID, node []byte, _ *streams.Facts) error {
	var r streams.Reader
	var f, v streams.Part
	for r.Open(node, id); r.Next(); {
		if r.Deleted {
			continue
		}
		e.begin(3+2*r.Pairs, "XADD", e.key)
		e.id(r.ID)
		for range r.Pairs {
			r.Pair(&f, &v)
			e.part(node, &f)
			e.part(node, &v)
		}
		if err := e.end(); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a command of n arguments, the first of which are a name and what else is given.
func (e *commandEncoder) begin(n int, name string, args ...[]byte) {
	e.text = resp.AppendArray(e.text[:0], n)
	e.text = resp.AppendBulkString(e.text, name)
	for _, b := range args {
		e.text = resp.AppendBulk(e.text, b)
	}
}

// end writes the command.
func (e *commandEncoder) end() error {
	_, err := e.out.Write(e.text)
	return err
}

// id adds an ID to the command, word what is given, number a number.
func (e *commandEncoder) id(id streams.ID) {
	var room [2*maxDigits + 1]byte
	e.text = resp.AppendBulk(e.text, id.AppendTo(room[:0]))
}

func (e *commandEncoder) word(s string) { e.text = resp.AppendBulkString(e.text, s) }

func (e *commandEncoder) number(n int64) {
	var room [maxDigits]byte
	e.text = resp.AppendBulk(e.text, strconv.AppendInt(room[:0], n, 10))
}

// maxDigits is the length of the longest text of a number of 64 bits.
const maxDigits = 20

// part adds a field or a value of a node to the command.
func (e *commandEncoder) part(node []byte, p *streams.Part) {
	if p.IsNum {
		e.number(p.Num)
		return
	}
	e.text = resp.AppendBulk(e.text, node[p.From:p.To])
}

// StreamInfo implements rdb.Builder.
func (e *commandEncoder) StreamInfo(in *object.StreamInfo) error {
	if in.Length == 0 { // an entry comes and goes at once
		e.begin(7, "XADD", e.key)
		e.word("MAXLEN")
		e.word("0")
		e.id(streams.ID{Seq: 1})
		e.word("x")
		e.word("y")
		if err := e.end(); err != nil {
			return err
		}
	}
	// XSETID refuses a last ID below the highest that was deleted if it is given both, and takes it alone.
	first := in.LastID
	if first.Less(in.MaxDeleted) {
		first = in.MaxDeleted
	}
	e.begin(7, "XSETID", e.key)
	e.id(first)
	e.word("ENTRIESADDED")
	e.number(int64(min(in.Added, math.MaxInt64))) // XSETID takes no more
	e.word("MAXDELETEDID")
	e.id(in.MaxDeleted)
	if err := e.end(); err != nil || first == in.LastID {
		return err
	}
	e.begin(3, "XSETID", e.key)
	e.id(in.LastID)
	return e.end()
}

// Group implements rdb.Builder.
func (e *commandEncoder) Group(name []byte, last streams.ID, entriesRead int64) error {
	c := &e.stream
	c.group, c.pending = append(c.group[:0], name...), c.pending[:0]
	e.begin(7, "XGROUP", []byte("CREATE"), e.key, name)
	e.id(last)
	e.word("ENTRIESREAD")
	e.number(entriesRead)
	return e.end()
}

// Pending implements rdb.Builder.
func (e *commandEncoder) Pending(id streams.ID, deliveredMs, deliveries int64) error {
	e.stream.pending = append(e.stream.pending, object.Pending{
		ID: id, DeliveredMs: deliveredMs, Deliveries: deliveries,
	})
	return nil
}

// Consumer implements rdb.Builder.
func (e *commandEncoder) Consumer(name []byte, _ int64) error {
	c := &e.stream
	c.consumer = append(c.consumer[:0], name...)
	e.begin(5, "XGROUP", []byte("CREATECONSUMER"), e.key, c.group, name)
	return e.end()
}

// Owned implements rdb.Builder.
func (e *commandEncoder) Owned(id streams.ID) error {
	c := &e.stream
	i, ok := slices.BinarySearchFunc(c.pending, id, func(x object.Pending, id streams.ID) int {
		return x.ID.Compare(id)
	})
	if !ok {
		return errNotPending
	}
	x := &c.pending[i]
	e.begin(12, "XCLAIM", e.key, c.group, c.consumer)
	e.word("0")
	e.id(id)
	e.word("TIME")
	e.number(x.DeliveredMs)
	e.word("RETRYCOUNT")
	e.number(x.Deliveries)
	e.word("JUSTID")
	e.word("FORCE")
	return e.end()
}
