package shard

import (
	"fmt"
	"hash/maphash"
	"math"
	"sync/atomic"

	"fulmen/internal/clock"
	"fulmen/internal/crc"
	"fulmen/persist/log"
	"fulmen/shard/arena"
)

// MaxShards is the greatest number of shards: a reference's owner and a scan cursor have 8 bits for it.
const MaxShards = 256

// Options configure a Set.
type Options struct {
	Shards    int
	Databases int
	Space     *arena.Space
	Log       *log.Log // with as many shard logs
	Clock     clock.Clock
	Bell      Bell
	// PackedBytes is the size of a packed collection above which it is put into trees even if it would still fit; 0:
	// as long as it fits. Tests set it, to have trees of a few items.
	PackedBytes int
}

// Set is all shards of the server. Its fields are immutable after NewSet, but for those marked atomic.
type Set struct {
	Shards []*Shard
	Space  *arena.Space
	Log    *log.Log
	Clock  clock.Clock
	seed   maphash.Seed
	mask   uint16 // slot & mask is the shard when their number is a power of two; else 0xffff
	dbs    int
	packed int // Options.PackedBytes
	// listener is told of events; nil: there are none. Set once (Listen).
	listener Listener

	// Atomic.
	access   atomic.Uint64 // the present moment as access clocks have it; access.go
	eviction atomic.Pointer[EvictionParams]
	frozenMs atomic.Int64 // until then expired keys stay
	expiring atomic.Pointer[func(hash uint64)]
	notesOwn atomic.Bool   // NotesOwnExpiries
	readySeq atomic.Uint64 // counts keys that became ready for commands that wait
	seized   atomic.Bool   // seize.go

	throttled atomic.Bool // see Throttle

	eventSwitch
	tracking trackingState

	pins pins
}

// Freeze has expired keys stay until a moment, 0: no longer. They are absent to whoever looks for them. Nobody may
// write meanwhile. It is begun with all batons held; safe from any goroutine otherwise.
func (set *Set) Freeze(untilMs int64) { set.frozenMs.Store(untilMs) }

// Frozen tells whether a command at nowMs must leave the data alone even where it would only note something in it. For
// what a primary or a log says, which is always done, it is the time 0.
func (set *Set) Frozen(nowMs int64) bool { return nowMs != 0 && nowMs < set.frozenMs.Load() }

// WhenExpiring has fn called for each key that goes because its time has come, before that is staged, with the baton of
// its shard; nil: no longer. Safe from any goroutine; a call may be under way afterwards.
func (set *Set) WhenExpiring(fn func(hash uint64)) {
	if fn == nil {
		set.expiring.Store(nil)
		return
	}
	set.expiring.Store(&fn)
}

// NewSet makes n empty shards.
func NewSet(o Options) (*Set, error) {
	if o.Shards < 1 || o.Shards > MaxShards {
		return nil, fmt.Errorf("shard: number of shards %d is not between 1 and %d", o.Shards, MaxShards)
	}
	set := &Set{Space: o.Space, Log: o.Log, Clock: o.Clock, seed: maphash.MakeSeed(), mask: 0xffff, dbs: o.Databases}
	if set.packed = o.PackedBytes; set.packed == 0 {
		set.packed = math.MaxInt
	}
	if o.Shards&(o.Shards-1) == 0 {
		set.mask = uint16(o.Shards - 1)
	}
	set.SetEviction(EvictionParams{Policy: NoEviction, Samples: 5, LFULogFactor: 10, LFUDecayMinutes: 1})
	for i := range o.Shards {
		s := &Shard{ID: i, set: set, arena: o.Space.NewArena(uint8(i)), log: o.Log.Shard(i), bell: o.Bell}
		s.random = uint64(i) + 1
		s.init(o.Databases)
		set.Shards = append(set.Shards, s)
	}
	return set, nil
}

// Databases returns the number of databases.
func (set *Set) Databases() int { return set.dbs }

// ShardOf returns the index of the shard that owns key: its cluster slot modulo the number of shards.
func (set *Set) ShardOf(key []byte) int {
	if set.mask == 0 {
		return 0
	}
	slot := crc.Slot(key)
	if set.mask != 0xffff {
		return int(slot & set.mask)
	}
	return int(slot) % len(set.Shards)
}

// Key returns key with its hash.
func (set *Set) Key(key []byte) Key {
	return Key{Bytes: key, Hash: maphash.Bytes(set.seed, key)}
}

// StageBarrier stages a record that concerns several shards as a whole (FLUSHALL), all of which are held
// by one transaction; shards are ascending. args are copied.
func (set *Set) StageBarrier(shards []int, dbID int, args ...[]byte) {
	if !set.Log.Active() {
		return
	}
	logs := make([]*log.ShardLog, 0, len(shards))
	for _, i := range shards {
		logs = append(logs, set.Shards[i].log)
	}
	set.Log.StageBarrier(logs, dbID, args...)
}
