package snapshot

import (
	"io"
	"sync/atomic"

	"fulmen/persist/rdb"
)

// Sink is where a save goes: files, or a replica. Its methods are called one after the other, except that what Open
// returned is written to by several goroutines, one at a time for each. An error of any of them ends this sink's part
// in the save; others go on.
type Sink interface {
	// Begin is called once, first, soon after the cut.
	Begin(c *Cut) (Form, error)
	// Open returns where stream i goes: an RDB file complete in itself with what the stream's shards hold. It is called
	// for all streams before anything is written. A writer that is an io.Closer is closed behind the last byte of its
	// stream, if that has come; others may take much longer.
	Open(i int) (io.Writer, error)
	// Commit is called when all streams have been written in whole; keys are the numbers of keys in them. When it
	// returns nil the save will last.
	Commit(keys []int64) error
	// Abort is called instead of Commit, or after Commit failed, unless Begin failed: nothing must be left. why says
	// what happened.
	Abort(why error)
}

// Form is how a sink wants to have it.
type Form struct {
	// Streams is how many there are, at most one for each shard: shard i goes to stream i modulo that. 0: one for each.
	Streams int
	// Options of encoding. Version 0 is Cut.Version.
	rdb.WriteOptions
}

// Cut is the moment that a save shows. Immutable, but for whether the save is cancelled.
type Cut struct {
	LSN       uint64
	CreatedMs int64
	// Version is the lowest RDB version that can express everything.
	Version   int
	Shards    int
	Databases int
	counts    []dbCount // by shard and database
	cancelled *atomic.Bool
}

// Cancelled tells whether the save has been cancelled: a sink that waits for something need not go on. Safe from any
// goroutine.
func (c *Cut) Cancelled() bool { return c.cancelled.Load() }

// dbCount are the numbers of keys, and of those with an expiry, in one database of one shard.
type dbCount struct{ keys, expires int }

// Keys returns the number of keys in a database, and of those that have an expiry, expired ones that were still there
// included; of one shard or, if that is below 0, of all.
func (c *Cut) Keys(shard, db int) (keys, expires int) {
	if shard >= 0 {
		n := c.counts[shard*c.Databases+db]
		return n.keys, n.expires
	}
	for s := range c.Shards {
		n := c.counts[s*c.Databases+db]
		keys += n.keys
		expires += n.expires
	}
	return keys, expires
}
