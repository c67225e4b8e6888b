package shard

import (
	"sync/atomic"

	"fulmen/persist/log"
	"fulmen/shard/arena"
	"fulmen/shard/ds/tree"
)

// Bell calls the home loop of a shard: it should call Shard.Serve soon. Safe from any goroutine.
type Bell interface {
	Ring(s *Shard)
}

// Stats count what happened in a shard; held with the baton.
type Stats struct {
	ExpiredKeys    int64 // deleted because their time had come
	ExpiredLazily  int64 // of these, found by an access
	ExpiredFields  int64 // fields of hashes deleted because their time had come
	EvictedKeys    int64 // deleted for their memory
	Hits, Misses   int64 // lookups by commands that read
	Drained        int64 // tasks served from the inbox
	HandedOver     int64 // batons given to transactions that waited and kept theirs
	LazyFreed      int64 // objects freed in the background
	ExpireCycleNs  int64
	StalePPM       int64 // of the keys with an expiry, those due when a cycle came to them: average over cycles
	ExpireTimeouts int64 // slices of the active cycle that used up their budget
	Dirty          int64 // changes since the start

	// Of active defragmentation: blocks moved, and looked at for nothing; keys of which something was moved, and
	// others.
	DefragHits, DefragMisses, DefragKeyHits, DefragKeyMisses int64
}

// Add adds what another shard counted.
func (st *Stats) Add(other *Stats) {
	to := st.fields()
	for i, n := range other.fields() {
		*to[i] += *n
	}
}

// Shard is one partition of the keyspace.
type Shard struct {
	// Immutable after New.
	ID    int
	set   *Set
	arena *arena.Arena
	log   *log.ShardLog
	bell  Bell
	plant *plant // set by tests only

	// Atomic.
	_     [64]byte
	baton atomic.Uint32 // 0 free, 1 taken
	inbox inbox
	used  atomic.Int64 // arena bytes in use as of the last release
	_     [40]byte

	// Held with the baton.
	holder   *Worker // who has it
	backlog  nodeList
	hold     holdStats
	Stats    Stats
	watches  watchTable
	waits    blocking
	tracking tracking
	quiet    bool   // lookups leave access clocks alone
	random   uint64 // state of a generator
	evict    evictor
	heap     tree.Heap // what nodes are made with: newHeap, heapOf
	keyspace
}

// Arena returns the shard's allocator; use with the baton held.
func (s *Shard) Arena() *arena.Arena { return s.arena }

// Set returns the set that the shard belongs to.
func (s *Shard) Set() *Set { return s.set }

// Logging tells whether effects must be staged: somebody reads the log. With the baton held.
func (s *Shard) Logging() bool { return s.set.Log.Active() }

// Stage appends one effect to the shard's log, past the published tail; args are copied.
func (s *Shard) Stage(dbID int, args ...[]byte) {
	if s.set.Log.Active() {
		s.log.Stage(dbID, args...)
	}
}

// StageDel stages the effect of a key that expired or was evicted.
func (s *Shard) StageDel(dbID int, key []byte) {
	if s.set.Log.Active() {
		s.log.Stage(dbID, delWord, key)
	}
}

var delWord = []byte("DEL")

// Commit publishes what was staged in this shard alone, as one frame, and raises the worker's LSN to what it returns:
// the end of the shard's last commit.
func (s *Shard) Commit(w *Worker) (lsn uint64) {
	lsn = s.log.Commit(false)
	w.saw(lsn)
	return lsn
}

// LastLSN returns the end of the shard's last commit; with the baton held.
func (s *Shard) LastLSN() uint64 { return s.log.LastLSN() }

// saw notes the end of a commit, with its batons held.
func (w *Worker) saw(lsn uint64) {
	if lsn > w.LSN {
		w.LSN = lsn
	}
	if w.Courier != nil {
		w.Courier.Committed(w)
	}
}

// AddDirty counts changes; with the baton held.
func (s *Shard) AddDirty(n int64) { s.Stats.Dirty += n }

// PublishedBytes returns the bytes in use by keys, values and indexes as of the last release of the baton. Safe
// from any goroutine.
func (s *Shard) PublishedBytes() int64 { return s.used.Load() }

// ResetStats zeroes the counters that CONFIG RESETSTAT zeroes; with the baton held.
func (s *Shard) ResetStats() { s.Stats = Stats{Dirty: s.Stats.Dirty} }
