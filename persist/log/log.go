package log

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

const cacheLine = 64

// noPending is the value of pending of a shard that is in no commit.
const noPending = math.MaxUint64

// Errors of opening a reader at an LSN.
var (
	ErrInactive = errors.New("log: nobody keeps a log")
	ErrTrimmed  = errors.New("log: LSN is no longer kept")
	ErrFuture   = errors.New("log: LSN is not reached yet")
	ErrMidFrame = errors.New("log: LSN is inside a commit")
)

// Limits bound a log's memory. See SetLimits for the first two.
type Limits struct {
	BacklogBytes int64
	MemoryBytes  int64

	// BelowLimit, if not nil, is called each time memory falls back to MemoryBytes, by whichever
	// goroutine let go of a block; it must neither block nor call into the log. Immutable.
	BelowLimit func()
}

// Log is the log of all shards. See the package comment for who may call what.
type Log struct {
	lsn atomic.Uint64 // bytes of the merged stream taken by commits
	_   [cacheLine - 8]byte

	contiguous atomic.Uint64 // greatest contiguous LSN found so far
	_          [cacheLine - 8]byte

	waiters waiters // on the contiguous LSN
	_       [cacheLine]byte

	// Immutable after New.
	shards []ShardLog
	digits int // of a bitmap of shards

	active  atomic.Bool
	timeSec atomic.Int64 // what time it is; 0: frames don't say

	// Changed only while all batons are held.
	incarnation uint32

	backlog   atomic.Int64
	unwritten atomic.Bool // see KeepUnwritten
	pool      pool
	safety

	mu    sync.Mutex
	users int // open Holds and readers

	plant *plant // tests only
}

// plant lets a test break Commit on purpose and stop it between its steps.
type plant struct {
	pendingLate bool // pending is set after the addition
	tailEarly   bool // tails are published before frames are sealed
	ringEarly   bool // … in the ring only
	entryLate   bool // a block's entry in the ring is written once there is something in it
	at          func(step step)
}

type step int

const (
	stepAdded step = iota
	stepSealed
	stepPublished
)

func (p *plant) reached(s step) {
	if p != nil && p.at != nil {
		p.at(s)
	}
}

// New returns the log of so many shards, 1 to MaxShards, inactive, with LSN 0.
func New(shards int, limits Limits) *Log {
	if shards < 1 || shards > MaxShards {
		panic(fmt.Sprintf("BUG: log: %d shards", shards))
	}
	l := &Log{shards: make([]ShardLog, shards), digits: bitmapWidth(shards)}
	l.pool.below = limits.BelowLimit
	l.SetLimits(limits.BacklogBytes, limits.MemoryBytes)
	for i := range l.shards {
		s := &l.shards[i]
		s.log, s.id = l, i
		s.waiters.shard = s
		s.pending.Store(noPending)
		s.exposedFrom.Store(unexposed)
	}
	l.SetIncarnation(0)
	return l
}

// SetLimits sets how many bytes of the merged stream below the LSN stay readable for readers opened
// later (0: none), and at how many bytes of blocks OverLimit begins to report. The latter is raised to
// two blocks a shard, as a log always has one. Above it the backlog gives way as far as that frees
// memory, oldest first, before writers have to wait. Any goroutine may call it.
func (l *Log) SetLimits(backlogBytes, memoryBytes int64) {
	l.backlog.Store(backlogBytes)
	l.pool.limit.Store(max(memoryBytes/blockBytes, 2*int64(len(l.shards))))
}

// Shard returns the log of shard i.
func (l *Log) Shard(i int) *ShardLog { return &l.shards[i] }

// Shards returns the number of shards.
func (l *Log) Shards() int { return len(l.shards) }

// Active reports whether somebody reads the log. Who holds a baton asks before each effect, and stages
// it only then; asked with a baton held, no turns to yes never, yes to no at any time.
func (l *Log) Active() bool { return l.active.Load() }

// LSN returns the end of the last range taken by a commit, published or not.
func (l *Log) LSN() uint64 { return l.lsn.Load() }

// Contiguous returns an LSN below which every frame is published. It never falls.
func (l *Log) Contiguous() uint64 {
	c := l.lsn.Load() // before the pendings: see the package comment
	for i := range l.shards {
		if p := l.shards[i].pending.Load(); p < c {
			c = p
		}
	}
	for {
		old := l.contiguous.Load()
		if c <= old {
			return old
		}
		if l.contiguous.CompareAndSwap(old, c) {
			return c
		}
	}
}

// Oldest returns the LSN from which on the log can be read; it equals LSN while the log is inactive.
func (l *Log) Oldest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 {
		return l.lsn.Load()
	}
	var oldest uint64
	for i := range l.shards {
		oldest = max(oldest, l.shards[i].oldest())
	}
	return oldest
}

// MemoryBytes returns the size of all blocks, those kept for reuse included. Blocks are resident only
// where they were written.
func (l *Log) MemoryBytes() int64 {
	blocks := l.pool.live.Load() + l.pool.kept.Load()
	if r := l.ring.Load(); r != nil {
		blocks += int64(r.idleBlocks())
	}
	return blocks * blockBytes
}

// OverLimit reports whether the blocks in use exceed the limit, so that writers should wait before they
// take a baton. Whoever is in a command already goes on, and the log takes what it stages.
func (l *Log) OverLimit() bool { return l.pool.live.Load() > l.pool.limit.Load() }

// Trim forgets what lies before the backlog; blocks that a reader needs stay until it has moved on. A
// log trims itself when a block is full; a background task calls Trim for shards that are not written.
func (l *Log) Trim() {
	from := l.keepFrom()
	for i := range l.shards {
		l.shards[i].trim(from)
	}
	l.relieve()
}

// relieve makes the backlog give way while there are more blocks than the limit allows. A block that a
// reader stands in, or before, would not be freed and stays listed: when that reader is given up, what
// it has missed is still there for it to come back to.
func (l *Log) relieve() {
	for l.OverLimit() {
		var oldest *ShardLog
		var lsn uint64 = math.MaxUint64
		for i := range l.shards {
			if at := l.shards[i].freeable(); at < lsn {
				oldest, lsn = &l.shards[i], at
			}
		}
		if oldest == nil {
			return
		}
		oldest.trim(lsn)
	}
}

// Scavenge gives memory of blocks that nobody has needed for some seconds back to the system, a little at a time. Some
// 16 blocks, and one a shard, are kept for reuse. A background task calls it often; nowNs is any monotonic clock's.
func (l *Log) Scavenge(nowNs int64) { l.pool.scavenge(nowNs, int64(16+len(l.shards))) }

func (l *Log) keepFrom() uint64 {
	lsn, backlog := l.lsn.Load(), uint64(max(l.backlog.Load(), 0))
	from := lsn - min(lsn, backlog)
	if l.unwritten.Load() {
		from = min(from, l.written.Load())
	}
	return from
}

// KeepUnwritten says whether what SetWritten has not told of yet stays readable for readers opened later, whatever the
// backlog: then files and memory have no gap between them. It keeps nothing in memory that the writer of the files does
// not, who calls it. (Above the limit of memory a frame that is half written may no longer be readable, until it is
// written.)
func (l *Log) KeepUnwritten(keep bool) { l.unwritten.Store(keep) }

// SetLSN sets the position at which the log will begin, when another history is taken over (a snapshot
// loaded, a full sync finished). It must be called inside a transaction over all shards, and with the
// log inactive.
func (l *Log) SetLSN(lsn uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users != 0 {
		panic("BUG: log: LSN set while the log is read")
	}
	l.lsn.Store(lsn)
	l.contiguous.Store(lsn)
	l.written.Store(0)
	l.found.Store(0)
	for i := range l.shards {
		l.shards[i].last = lsn
	}
}

// SetIncarnation sets the number that frames carry from now on. It must be called inside a transaction
// over all shards, before UseRing.
func (l *Log) SetIncarnation(n uint32) {
	if r := l.ring.Load(); r != nil && r.identity.Incarnation != n {
		panic("BUG: log: incarnation changed with a ring in use")
	}
	l.incarnation = n
	for i := range l.shards {
		putPlain(l.shards[i].plain[:], n)
		l.shards[i].high = 0
	}
}

// SetTime says what time it is, Unix time in seconds. The first frame of each shard that is committed then says it, in
// a line of its own before the other, and so does the first one behind a Hold; those after it are of the same second.
// With 0 frames say no time any more. Any goroutine may call it.
func (l *Log) SetTime(sec int64) {
	if l.timeSec.Load() != sec {
		l.timeSec.Store(sec)
	}
}

// A Hold keeps the log active, and what follows its LSN readable for readers opened through it.
type Hold struct {
	log  *Log
	lsn  uint64
	pos  []uint64 // of each shard; immutable
	mu   sync.Mutex
	pins []cursor // nil once unpinned
	open bool
}

// Attach makes the log active, if it is not, and returns a Hold at the present LSN, which the data that
// the batons guard corresponds to exactly. It must be called inside a transaction over all shards, all
// batons held and nothing staged. If the log was inactive, the LSN moves on by one byte that is part of
// no frame, because data may have changed without it.
func (l *Log) Attach() *Hold { return l.attach(1) }

// Resume is Attach without the gap: for a start-up that knows that no data was changed since the LSN
// that it has recovered and set.
func (l *Log) Resume() *Hold { return l.attach(0) }

func (l *Log) attach(gap uint64) *Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &Hold{log: l, open: true, pins: make([]cursor, len(l.shards)), pos: make([]uint64, len(l.shards))}
	if l.users == 0 {
		l.lsn.Add(gap)
		for i := range l.shards {
			l.shards[i].restart(l.lsn.Load())
		}
		l.active.Store(true)
	}
	l.users++
	h.lsn = l.lsn.Load()
	for i := range l.shards {
		h.pins[i] = l.shards[i].here()
		h.pos[i] = h.pins[i].pos
		l.shards[i].timeSec = 0
	}
	return h
}

// LSN returns the position of the Hold.
func (h *Hold) LSN() uint64 { return h.lsn }

// Pos returns the position of the Hold in the log of shard i, as ChunkReader.Pos counts.
func (h *Hold) Pos(i int) uint64 { return h.pos[i] }

// Unpin lets go of what follows the Hold's LSN. The log stays active; no reader can be opened any more
// through h.
func (h *Hold) Unpin() {
	h.mu.Lock()
	pins := h.pins
	h.pins = nil
	h.mu.Unlock()
	for i := range pins {
		pins[i].close()
	}
}

// Close ends the Hold. The log becomes inactive if no other is open and no reader.
func (h *Hold) Close() {
	h.mu.Lock()
	open := h.open
	h.open = false
	h.mu.Unlock()
	if open {
		h.Unpin()
		h.log.leave()
	}
}

// pin sets dst to the Hold's positions in the logs of shard i and those after it, each with a reference,
// and counts one user more.
func (h *Hold) pin(i int, dst []cursor) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pins == nil {
		return ErrTrimmed
	}
	if err := h.log.enter(); err != nil {
		return err
	}
	for j := range dst {
		dst[j] = h.pins[i+j].clone()
	}
	return nil
}

// Mute has nothing staged until Unmute, for data that changes to what the log has told already. Both must be called
// inside the same transaction over all shards, all batons held and nothing staged; in between there are no commits, and
// the log has no new users.
func (l *Log) Mute() { l.active.Store(false) }

// Unmute ends Mute.
func (l *Log) Unmute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active.Store(l.users > 0)
}

// enter counts a user more of an active log.
func (l *Log) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 {
		return ErrInactive
	}
	l.users++
	return nil
}

// leave counts a user less; the last one makes the log inactive and forgets it.
func (l *Log) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	if l.users > 0 {
		return
	}
	l.active.Store(false)
	for i := range l.shards {
		l.shards[i].forget()
	}
}
