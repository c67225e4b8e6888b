package aof

import (
	"fmt"
	"math"
	"sync"
)

// nothing is the key of a chain without frames.
const nothing = math.MaxUint64

// merge goes through the frames of all shards by LSN and finds out which are taken, and where the data ends.
func (r *recovery) merge() error {
	quit := make(chan struct{})
	var readers sync.WaitGroup
	for i := range r.chains {
		c := &r.chains[i]
		c.frames = make(chan []seenFrame, seenAhead)
		readers.Go(func() { c.read(r, quit) })
	}
	err := r.take()
	close(quit)
	readers.Wait()
	for i := range r.chains {
		if c := &r.chains[i]; err == nil && c.err != nil && c.err != errQuit {
			err = c.err
		}
	}
	return err
}

// take takes frames until there are no more that can be.
func (r *recovery) take() error {
	at, hole := r.begin, uint64(nothing)
	keys := make([]uint64, len(r.chains))
	for i := range r.chains {
		if err := r.refill(i, keys); err != nil {
			return err
		}
	}
	for {
		i := least(keys)
		key := keys[i]
		if key == nothing {
			break
		}
		if key < at {
			return r.overlap(&r.chains[i], at)
		}
		if key > at {
			hole = min(hole, at)
			if r.stopsAt(keys) {
				break
			}
		}
		f := r.chains[i].batch[0]
		if f.shards == nil {
			r.chains[i].take(&f)
			at = f.end
			if err := r.refill(i, keys); err != nil {
				return err
			}
			continue
		}
		whole, err := r.takePieces(i, keys)
		if err != nil {
			return err
		}
		if whole {
			at = f.end
			continue
		}
		hole = min(hole, key)
		if r.stopsAt(keys) {
			break
		}
	}
	r.found.EndLSN, r.found.HoleLSN = at, min(hole, at)
	r.found.Short = r.ring != nil && r.stopsAt(keys)
	return nil
}

// stopsAt reports whether the data ends at a hole. If the process was killed it doesn't, unless the ring was too small
// and what is missing may be what it had no room for: nobody was answered then before it was written.
func (r *recovery) stopsAt(keys []uint64) bool {
	if r.o.plant.holeIgnored {
		return false
	}
	if r.ring == nil {
		return true
	}
	for i := range r.chains {
		if c := &r.chains[i]; keys[i] == nothing && c.end < r.ring.Shards[i].Tail {
			return true
		}
	}
	return false
}

func least(keys []uint64) int {
	found := 0
	for i, key := range keys {
		if key < keys[found] {
			found = i
		}
	}
	return found
}

// take takes the frame at hand.
func (c *chain) take(f *seenFrame) {
	c.keep = f.pos
	c.taken += f.size
	c.batch = c.batch[1:]
}

// refill sets the key of a chain to that of its next frame.
func (r *recovery) refill(i int, keys []uint64) error {
	c := &r.chains[i]
	keys[i] = nothing
	if c.ended {
		return nil
	}
	for len(c.batch) == 0 {
		batch, ok := <-c.frames
		if !ok {
			c.ended = true
			if c.err != nil {
				return c.err
			}
			if err := r.brokenPromise(c); err != nil {
				return err
			}
			return r.behind(c)
		}
		c.batch = batch
	}
	keys[i] = c.batch[0].key
	return nil
}

// brokenPromise returns an error if a file can't be read although all of it was in the ring, or in a system that was
// not interrupted.
func (r *recovery) brokenPromise(c *chain) error {
	if r.ring == nil || !covers(&r.ring.Shards[c.shard], c.end) {
		return nil
	}
	for i := range c.files {
		if f := &c.files[i]; f.headed && f.tail.Pos == c.end && f.tail.Kind != TailWhole {
			return f.tail.Error(f.path)
		}
	}
	return &CorruptError{
		File:   ManifestName(r.o.Dir, r.o.Name),
		Reason: fmt.Sprintf("the log of shard %d ends at %d in the files, and the ring has more", c.shard, c.end),
	}
}

// takePieces takes a transaction over several shards if all pieces are there, and reports whether it has. i is a shard
// that has one, all frames with lower keys being taken. If one is missing, and the data does not end here, the pieces
// that are there are where the logs of their shards end.
func (r *recovery) takePieces(i int, keys []uint64) (whole bool, err error) {
	key, shards := keys[i], *r.chains[i].batch[0].shards
	pieces, size := 0, uint64(0)
	for j := range r.chains {
		if keys[j] != key || !shards.Has(j) {
			continue
		}
		if f := &r.chains[j].batch[0]; f.shards != nil && *f.shards == shards {
			pieces++
			size += f.size
		}
	}
	missing := pieces < shards.Len() && !r.o.plant.piecesMissing
	if missing && r.stopsAt(keys) {
		return false, nil
	}
	if f := &r.chains[i].batch[0]; !missing && size != f.end-f.key && !r.o.plant.piecesMissing {
		return false, r.overlap(&r.chains[i], f.end)
	}
	for j := range r.chains {
		c := &r.chains[j]
		if keys[j] != key || !shards.Has(j) {
			continue
		}
		if !missing {
			f := c.batch[0]
			c.take(&f)
			if err := r.refill(j, keys); err != nil {
				return false, err
			}
			continue
		}
		if r.ring != nil {
			c.batch = c.batch[1:]
			if err := r.refill(j, keys); err != nil {
				return false, err
			}
			if keys[j] != nothing {
				return false, r.overlap(c, key)
			}
		}
		c.ended, keys[j] = true, nothing
	}
	return !missing, nil
}

// overlap is the error of a frame that can't follow what is taken already.
func (r *recovery) overlap(c *chain, lsn uint64) error {
	for i := len(c.files) - 1; i >= 0; i-- {
		if f := &c.files[i]; f.headed && (f.header.Pos <= c.keep || i == 0) {
			return &CorruptError{
				File: f.path, Offset: f.keep(c.keep),
				Reason: fmt.Sprintf("a frame whose range does not fit in the order of all shards at %d", lsn),
			}
		}
	}
	return &CorruptError{File: ManifestName(r.o.Dir, r.o.Name), Reason: "frames without a file"}
}

// blame says in which file what is missing below the mark should be: in one that can't be read to its end, if there is
// one that ends before the hole.
func (r *recovery) blame() error {
	hole := r.found.HoleLSN
	for i := range r.chains {
		c := &r.chains[i]
		for j := range c.files {
			if f := &c.files[j]; f.headed && f.tail.Kind != TailWhole && f.tail.LSN <= hole {
				return f.tail.Error(f.path)
			}
		}
	}
	at := &CorruptError{File: ManifestName(r.o.Dir, r.o.Name)}
	for i := range r.chains {
		c := &r.chains[i]
		for j := range c.files {
			if f := &c.files[j]; f.headed && c.last <= hole && f.tail.Pos == c.end {
				at.File, at.Offset = f.path, f.tail.Offset
			}
		}
	}
	at.Reason = fmt.Sprintf("the log has nothing at LSN %d, and everything below %d was on the disk once",
		hole, r.mark)
	return at
}
