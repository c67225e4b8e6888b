package snapshot

import (
	"errors"
	"fmt"
	"io"

	"fulmen/persist/rdb"
	"fulmen/shard"
)

// loadReader is a goroutine that reads files of a snapshot, one after the other. It is the rdb.Builder of their values.
type loadReader struct {
	j       *loadJob
	batches []*loadBatch // by shard; nil until there is one
	done    chan *loadBatch
	skipped map[string]int64
	aux     map[string]string
	// functions is LoadResult.Functions.
	functions [][]byte
	empty     int64
	end       int64 // LoadResult.EndOffset
	grown     int64 // bytes at most that memory may have grown by since Space.Room was asked

	// of the running file
	rd       *rdb.Reader
	file     string
	part     int   // which it is
	prepared int64 // up to where in it there is memory

	// of the running key
	item   shard.LoadedString // without the value
	key    []byte             // its bytes
	shard  int
	offset int64
	value  *shard.Builder // of a value that is no short string, with the shard locked: builder
	// reused
	builder shard.Builder
	short   rdb.ShortString
}

func newLoadReader(j *loadJob) *loadReader {
	shards := len(j.set.Shards)
	return &loadReader{
		j: j, batches: make([]*loadBatch, shards),
		// There are never more lists than this: one is made only if all are with shards or on their way.
		done:    make(chan *loadBatch, shards+j.o.Goroutines),
		skipped: map[string]int64{}, aux: map[string]string{}, grown: askEvery,
	}
}

// read loads one file, that of part i.
func (r *loadReader) read(i int) error {
	p := &r.j.parts[i]
	in, err := p.Open(r.j.fs, &r.j.progress.ReadBytes)
	if err != nil {
		return err
	}
	o := rdb.ReadOptions{File: p.Name, Embedded: p.embedded}
	r.rd, r.file, r.part, r.prepared = rdb.NewReaderOptions(in, o), p.Name, i, 0
	if err = r.events(); err == nil && p.embedded {
		r.end = r.rd.Offset()
	} else if err == nil {
		err = in.Finish()
	} else if !errors.Is(err, errStopped) && p.stream == nil {
		err = r.blame(in, err)
	}
	for i, b := range r.batches {
		if b == nil || len(b.list) == 0 {
			continue
		}
		if err == nil {
			err = r.flush(i)
		} else {
			b.clear()
		}
	}
	if closeErr := in.Close(); err == nil {
		err = closeErr
	}
	return err
}

// events goes through the file.
func (r *loadReader) events() error {
	for !r.j.failed.Load() {
		if r.offset = r.rd.Offset(); r.offset >= r.prepared {
			r.prepared = r.offset + aheadEvery
			r.j.prepare(int64(r.j.o.Goroutines) * leadBytes)
		}
		if r.rd.ShortString(&r.short, batchString) {
			if err := r.loadShort(); err != nil {
				return err
			}
			continue
		}
		ev, err := r.rd.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = r.event(&ev)
		}
		if err != nil {
			return err
		}
	}
	return errStopped
}

// blame returns the damage that an error may come of: a checksum that is wrong says more than a database whose number
// is.
func (r *loadReader) blame(in *PartReader, err error) error {
	var damage *rdb.CorruptError
	if errors.As(err, &damage) {
		return err
	}
	var end error
	for end == nil {
		_, end = r.rd.Next()
	}
	if end == io.EOF {
		end = in.Finish()
	}
	if errors.As(end, &damage) {
		return end
	}
	return err
}

func (r *loadReader) event(ev *rdb.Event) error {
	switch ev.Kind {
	case rdb.EventKey:
		r.j.o.KeyDelay.Wait(r.j.failed.Load)
		return r.loadKey(ev)
	case rdb.EventAux:
		r.noteAux(string(ev.AuxKey), string(ev.AuxValue))
	case rdb.EventSelectDB:
		if n := r.j.set.Databases(); ev.DB >= n {
			return fmt.Errorf("%s: FATAL: Data file was created with a Redis server configured to handle more than %d "+
				"databases. Exiting", r.file, n)
		}
	case rdb.EventResizeDB:
		r.expect(ev)
	case rdb.EventFunction:
		r.functions = append(r.functions, ev.Library())
	case rdb.EventModuleAux:
		r.skipped["data of module "+ev.Module]++
	}
	return nil
}

// leavesOut tells whether a key is left out because its time has come, and counts it.
func (r *loadReader) leavesOut(expireAtMs int64) bool {
	if expireAtMs == 0 || expireAtMs >= r.j.nowMs || r.keepsExpired() {
		return false
	}
	r.j.progress.Expired.Add(1)
	return true
}

// loadShort loads the key in r.short: what loadKey does by way of Begin and String.
func (r *loadReader) loadShort() error {
	e := &r.short
	r.j.o.KeyDelay.Wait(r.j.failed.Load)
	if r.leavesOut(e.ExpireAtMs) {
		return nil
	}
	n := len(e.Key) + len(e.Value)
	if err := r.room(n); err != nil {
		return err
	}
	r.shard = r.j.set.ShardOf(e.Key)
	b, err := r.batch(n)
	if err != nil {
		return err
	}
	b.put(shard.LoadedString{
		Key: r.j.set.Key(e.Key), Value: e.Value, DB: e.DB, ExpireAtMs: e.ExpireAtMs,
		Access: r.j.set.RestoredAccess(-1, -1),
	}, r.offset)
	return nil
}

// loadKey loads a key.
func (r *loadReader) loadKey(ev *rdb.Event) error {
	if r.leavesOut(ev.ExpireAtMs) {
		return nil // Next skips the value
	}
	if _, ok := rdb.TypeOf(ev.Type); !ok {
		r.skipped["value of module "+ev.Module]++
		return nil
	}
	r.key = append(r.key[:0], ev.Key...)
	r.item = shard.LoadedString{
		Key: r.j.set.Key(r.key), DB: ev.DB, ExpireAtMs: ev.ExpireAtMs,
		Access: r.j.set.RestoredAccess(ev.IdleSeconds, ev.Freq),
	}
	r.shard = r.j.set.ShardOf(r.key)
	if err := r.room(len(r.key)); err != nil {
		return err
	}
	err := r.rd.Value(r)
	if r.value != nil {
		return r.endValue(err)
	}
	return r.passEmpty(err)
}

const (
	// roomBytes is how much memory a load that checks has in advance, above what grows before it asks again.
	roomBytes = 16 << 20
	askEvery  = 4 << 20
	// elementBytes is at least what an element takes beside its bytes, and a key.
	elementBytes = 128
)

// room makes sure of memory for a key or an element of n bytes.
func (r *loadReader) room(n int) error {
	if !r.j.o.CheckMemory {
		return nil
	}
	need := int64(n) + int64(n)/4 + elementBytes
	if r.grown += need; r.grown < askEvery {
		return nil
	}
	r.grown = 0
	return r.j.set.Space.Room(roomBytes + need)
}

// passEmpty has collections without elements left out.
func (r *loadReader) passEmpty(err error) error {
	if errors.Is(err, rdb.ErrEmpty) {
		r.empty++
		return nil
	}
	return err
}

// flush has a list of strings added, by somebody else if there is one with nothing to do.
func (r *loadReader) flush(i int) error {
	b := r.batches[i]
	select {
	case r.j.lists <- b:
		r.batches[i] = nil
		return nil
	default:
		return b.add(r.j)
	}
}

// batch returns the list of the running key's shard, with room for n bytes.
func (r *loadReader) batch(n int) (*loadBatch, error) {
	b := r.batches[r.shard]
	if b != nil && !b.fits(n) {
		if err := r.flush(r.shard); err != nil {
			return nil, err
		}
		b = r.batches[r.shard]
	}
	if b == nil {
		select {
		case b = <-r.done:
		default:
			b = newLoadBatch(r.done)
		}
		b.shard, r.batches[r.shard] = r.shard, b
	}
	b.file = r.file
	return b, nil
}
