package snapshot

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/shard"
	"fulmen/shard/ds/index"
)

// readyChunks is how many spare chunks are kept resident for those who hold batons.
const readyChunks = 8

// output is a sink with its streams.
type output struct {
	save    *Save
	sink    Sink
	form    Form
	begun   bool
	streams []*stream
	failed  atomic.Bool

	mu  sync.Mutex
	err error // the first one
}

// stream is one RDB file of a sink.
type stream struct {
	o     *output
	index int // its shards are this one and every len(o.streams) behind it
	open  atomic.Int64
	mu    sync.Mutex // of a stream of several shards workers take turns
	w     *rdb.Writer
	close func() error // what w writes to; nil: it need not be
	sized []bool       // databases that RESIZEDB was written for
	db    int          // the one selected
	keys  int64

	breath int // bytes of entries since the worker last gave way
}

// openAll begins all sinks.
func (v *Save) openAll() {
	for _, sink := range v.request.Sinks {
		o := &output{save: v, sink: sink}
		v.outputs = append(v.outputs, o)
		o.begin()
	}
	v.checkOutputs()
}

func (o *output) begin() {
	v := o.save
	form, err := o.sink.Begin(&v.cut)
	if err != nil {
		o.fail(err)
		return
	}
	if o.form, o.begun = form, true; form.Version == 0 {
		o.form.Version = v.cut.Version
	}
	o.form.Space, o.form.Hash = v.sv.set.Space, v.hash
	n := v.cut.Shards
	if form.Streams > 0 {
		n = min(n, form.Streams)
	}
	for i := range n {
		w, err := o.sink.Open(i)
		if err != nil {
			o.fail(err)
			return
		}
		st := &stream{o: o, index: i, db: -1, sized: make([]bool, v.cut.Databases)}
		st.open.Store(int64((v.cut.Shards - i + n - 1) / n))
		st.w = rdb.NewWriter(&counted{w, v}, o.form.WriteOptions)
		if c, ok := w.(io.Closer); ok {
			st.close = c.Close
		}
		o.streams = append(o.streams, st)
	}
	for _, st := range o.streams {
		st.head(v.request.Aux)
	}
	for _, code := range v.request.Functions {
		o.streams[0].w.Function(code)
	}
}

// fail ends the sink's part in the save.
func (o *output) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.mu.Unlock()
	o.failed.Store(true)
}

// checkOutputs gives the save up if no sink is left.
func (v *Save) checkOutputs() {
	for _, o := range v.outputs {
		if !o.failed.Load() {
			return
		}
	}
	if !v.cancelled.Load() {
		v.cancel(errNoSink)
	}
}

// errNoSink is why a save is given up whose sinks have all failed.
var errNoSink = errors.New("snapshot: no sink is left")

// end has the sink commit, if it got everything and why, which the save was cancelled for, is nil, or else abort.
func (o *output) end(why error) error {
	o.mu.Lock()
	err := o.err
	o.mu.Unlock()
	if err == nil {
		err = why
	}
	if err == nil {
		keys := make([]int64, len(o.streams))
		for i, st := range o.streams {
			keys[i] = st.keys
		}
		err = o.sink.Commit(keys)
	}
	if err != nil && o.begun {
		o.sink.Abort(err)
	}
	return err
}

// counted counts what is written for a save, and refuses to go on once that is cancelled: in the middle of a value,
// since a big one can take long, above all under a limit, and who cancels may hold all batons until the end.
type counted struct {
	w    io.Writer
	save *Save
}

// Write implements io.Writer.
func (c *counted) Write(p []byte) (n int, err error) {
	if c.save.cancelled.Load() {
		return 0, c.save.why()
	}
	vfs.GiveWay()
	n, err = c.w.Write(p)
	vfs.GiveWay()
	c.save.bytes.Add(int64(n))
	return n, err
}

// of returns the stream that a shard's entries go to.
func (o *output) of(shard int) *stream {
	return o.streams[shard%len(o.streams)]
}

func (st *stream) head(aux [][2]string) {
	st.w.Header()
	for _, a := range aux {
		st.w.Aux(a[0], a[1])
	}
}

// entry writes one entry, with what has to be said about its database before.
func (st *stream) entry(db int, e index.Entry) {
	if db != st.db {
		st.db = db
		st.w.SelectDB(db)
		if !st.sized[db] {
			st.sized[db] = true
			st.w.ResizeDB(st.counts(db))
		}
	}
	st.w.Entry(e)
	st.keys++
	if st.breath += e.SizeBytes(); st.breath >= breathBytes {
		st.breath = 0
		vfs.GiveWay()
	}
	if v := st.o.save; v.delay != nil {
		v.delay.Wait(v.cancelled.Load)
	}
}

// counts returns the numbers of keys of the stream's shards in a database, as Cut.Keys.
func (st *stream) counts(db int) (keys, expires int) {
	cut := &st.o.save.cut
	for s := st.index; s < cut.Shards; s += len(st.o.streams) {
		k, e := cut.Keys(s, db)
		keys, expires = keys+k, expires+e
	}
	return keys, expires
}

// write writes a chunk, and the end behind the last one.
func (st *stream) write(c *chunk) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	c.each(func(db int, e index.Entry) bool {
		st.entry(db, e)
		return st.w.Err() == nil
	})
	if !c.last || st.open.Add(-1) > 0 {
		return st.w.Err()
	}
	if err := st.w.End(); err != nil || st.close == nil {
		return err
	}
	return st.close()
}

// serve is a worker: it encodes what the shards hand over until all is done.
func (v *Save) serve(first int) {
	v.confine()
	for {
		if v.sv.fault == faultLate {
			<-v.quit
		} else {
			for v.drainAll(first) {
			}
		}
		select {
		case <-v.work:
		case <-v.quit:
			// A shard without pins is done as soon as its last chunk is in the queue, which may be since we looked.
			for v.drainAll(first) {
			}
			return
		}
	}
}

// drainAll encodes what all shards have handed over, beginning with shard first, and reports whether there was any.
func (v *Save) drainAll(first int) (did bool) {
	for i := range v.sv.walks {
		did = v.drain(&v.sv.walks[(first+i)%len(v.sv.walks)]) || did
	}
	return did
}

// drain encodes what a shard has handed over, unless another worker is at it, and reports whether there was any. Who
// finds a shard busy may go on: the other one looks again afterwards.
func (v *Save) drain(w *shardWalk) bool {
	if w.queue.empty() || !w.busy.CompareAndSwap(false, true) {
		return false
	}
	for c := w.queue.takeAll(); c != nil; {
		next := c.next
		v.encode(w, c)
		c = next
	}
	w.busy.Store(false)
	return true
}

// encode writes a chunk to all sinks and lets go of it.
func (v *Save) encode(w *shardWalk, c *chunk) {
	v.sv.pool.prepare(readyChunks)
	switch {
	case v.cancelled.Load() || v.sv.fault == faultLost && !c.last:
	case v.sv.fault == faultTwice && !c.last:
		v.writeAll(w.s.ID, c)
		fallthrough
	default:
		v.writeAll(w.s.ID, c)
	}
	v.savedKeys.Add(int64(c.keys))
	last := c.last
	if len(c.pins) > 0 && v.sv.fault != faultNoPin {
		w.read.push(append([]shard.Pinned(nil), c.pins...))
		if v.sv.over.Load() || v.sv.blocked.Load() {
			v.sv.wake() // it may be what these keep that there is no room for
		}
	}
	v.sv.pool.give(c)
	v.sv.relax()
	v.wakeHeld()
	if last {
		v.shardRead()
	}
}

// writeAll writes a chunk to all sinks that have not failed.
func (v *Save) writeAll(shard int, c *chunk) {
	for _, o := range v.outputs {
		if o.failed.Load() {
			continue
		}
		if err := o.of(shard).write(c); err != nil {
			o.fail(err)
			v.checkOutputs()
		}
	}
}
