package snapshot

import (
	"sync/atomic"

	"fulmen/persist/rdb"
)

// What a load does before the keys come: indexes of their final size, and memory that is resident, in huge pages. Both
// follow from what files promise, and so both are bounded by how long the files are.

const (
	// aheadFromBytes is how long files must be together for memory to be made resident ahead: a server with little in
	// it does without huge pages.
	aheadFromBytes = 32 << 20
	// aheadEvery is after how many bytes of its file a reader looks for memory again, leadBytes what should then be
	// there for each goroutine: a huge page.
	aheadEvery = 64 << 10
	leadBytes  = 2 << 20
	// promisedBytes is the length in a file of a key with its value, at least, that room in an index is made for; those
	// of files with shorter ones grow.
	promisedBytes = 8
	// promisedStream is the length that a file is taken to have, at most, which is somebody's word.
	promisedStream = 64 << 20
	// reserveFrom is from how many keys on room is made.
	reserveFrom = 1000
	// reservedBytes is about what a key takes in an index.
	reservedBytes = 10
)

// loadAhead is the part of a loadJob that knows what is to come.
type loadAhead struct {
	promises atomic.Int64  // keys that room may still be made for
	expected []atomic.Bool // by database: room has been made for its keys
}

// init says how much there is to read.
func (a *loadAhead) init(j *loadJob) {
	total := int64(0)
	for i := range j.parts {
		size := max(j.parts[i].SizeBytes, 0)
		if j.parts[i].stream != nil {
			size = min(size, promisedStream)
		}
		total += size
	}
	a.promises.Store(total / promisedBytes)
	a.expected = make([]atomic.Bool, j.set.Databases())
}

// prepare sees to it that there is memory for what comes next. No shard may be locked.
func (j *loadJob) prepare(bytes int64) {
	total := j.progress.TotalBytes.Load()
	if left := total - j.progress.ReadBytes.Load(); total >= aheadFromBytes {
		j.set.Space.PrepareBytes(min(left, bytes))
	}
}

// expect makes room for the keys of a database that a file promises (RESIZEDB). A segment of as many as there are
// shards is taken for its shard's; of others all have as much for every shard.
func (r *loadReader) expect(ev *rdb.Event) {
	shards, part := len(r.j.set.Shards), &r.j.parts[r.part]
	if part.segment != nil && len(r.j.parts) == shards {
		r.expectIn(r.part, ev.DB, float64(ev.Keys))
		return
	}
	keys := float64(ev.Keys)
	if part.Keys > 0 { // all files have as much of the database as this one
		all := 0.0
		for i := range r.j.parts {
			all += float64(max(r.j.parts[i].Keys, 0))
		}
		keys *= all / float64(part.Keys)
	}
	done := &r.j.ahead.expected[ev.DB]
	for i := range shards { // readers begin at different ones
		if !done.Load() {
			r.expectIn((r.part+i)%shards, ev.DB, keys/float64(shards))
		}
	}
	done.Store(true)
}

// expectIn makes room for a number of keys in a shard's database, as far as promises are believed.
func (r *loadReader) expectIn(i, db int, promised float64) {
	left := &r.j.ahead.promises
	keys := int64(min(promised, float64(left.Load())))
	if keys < reserveFrom || left.Add(-keys) < 0 {
		return
	}
	if r.j.o.CheckMemory && r.j.set.Space.Room(roomBytes+keys*reservedBytes) != nil {
		return // who needs the memory will say so
	}
	r.j.prepare(keys * reservedBytes)
	r.j.z.Lock(i).Expect(db, int(keys))
	r.j.z.Unlock(i)
}
