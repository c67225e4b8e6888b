package snapshot

import (
	"errors"
	"sync/atomic"

	"fulmen/shard"
)

// Errors of a save.
var (
	// ErrBusy is Begin's: a save is running.
	ErrBusy = errors.New("snapshot: a save is running")
	// ErrCancelled is the result of a save that was cancelled.
	ErrCancelled = errors.New("snapshot: the save was cancelled")
)

// DefaultBudgetBytes is the budget for what a save keeps in memory.
const DefaultBudgetBytes = 64 << 20

// Options configure a Saver.
type Options struct {
	Set *shard.Set
	// BudgetBytes is what a save may keep in memory before writers have to wait; 0: DefaultBudgetBytes. See SetBudget.
	BudgetBytes int64
	// Workers is the number of goroutines that encode and write; 0: 1.
	Workers int
	// Wake is called when there is something to do for the shards' home loops, or when writers that wait may go on:
	// Step should be called soon for every shard. On any goroutine, perhaps with a baton held; it must not block. May
	// be nil.
	Wake func()
	// Beside is called with the number of goroutines that are about to work beside those who call Step, and with its
	// negative when they have ended. May be nil.
	Beside func(n int)
}

// Saver makes snapshots of a set of shards, one at a time.
type Saver struct {
	// immutable
	set   *shard.Set
	o     Options
	walks []shardWalk // by shard

	// changed under all batons
	walkID uint16

	// atomic
	running atomic.Pointer[Save]
	over    atomic.Bool // writers have to wait
	blocked atomic.Bool // some shard's walk waits for room
	pinned  atomic.Int64
	ahead   atomic.Int64 // bytes of chunks in use at which the walk waits
	pool    pool
	delayUs atomic.Int64 // SetKeyDelay

	fault fault
	torn  func() // a test's: called between the shards' shares of a cut
}

// fault is a mistake that a test plants in order to show that it would be noticed.
type fault uint8

const (
	faultNone  fault = iota
	faultTwice       // a chunk is handed over twice
	faultLost        // a chunk is lost
	faultNoPin       // a value made of nodes is not pinned
	faultFlow        // the walk takes no notice of the budget
	faultLate        // no mistake: all comes while a worker has looked for work and not yet begun to wait for it
)

// NewSaver returns a Saver.
func NewSaver(o Options) *Saver {
	o.Workers = max(o.Workers, 1)
	sv := &Saver{set: o.Set, o: o, walks: make([]shardWalk, len(o.Set.Shards))}
	for i, s := range o.Set.Shards {
		sv.walks[i].init(sv, s)
	}
	sv.SetBudget(o.BudgetBytes)
	return sv
}

// SetBudget changes the budget, 0: DefaultBudgetBytes. It is raised to what a save can't do without. Safe from any
// goroutine; a running save takes note of it.
func (sv *Saver) SetBudget(bytes int64) {
	if bytes <= 0 {
		bytes = DefaultBudgetBytes
	}
	sv.pool.budget.Store(max(bytes, int64(8*minChunkBytes*len(sv.walks))))
}

// Running returns the save under way, nil if there is none. Safe from any goroutine.
func (sv *Saver) Running() *Save { return sv.running.Load() }

// The marks of the budget, in eighths. The walk leaves a quarter of it to writers, who copy entries out of turn.
const (
	walkStops = 6 // the walk waits for room
	walkGoes  = 5 // and goes on
	writeGoes = 7 // writers that wait go on
)

// aheadBytes is how much a walk may have copied that has not been written yet, for each worker and one more: enough
// that workers don't run out of work, and so little that chunks stay in the processor's cache and home loops do as much
// as is needed in a time, not all at once.
const aheadBytes = 2 << 20

// used is what the running save keeps in memory: chunks, pins, and nodes that are there for pins.
func (sv *Saver) used() int64 {
	kept, _ := sv.set.KeptBytes()
	return sv.pool.used.Load() + sv.pinned.Load()*pinBytes + kept
}

// goesOn reports whether the walk may go on, if it has not been stopped or has been.
func (sv *Saver) goesOn(stopped bool) bool {
	mark, ahead := int64(walkStops), sv.ahead.Load()
	if stopped {
		mark, ahead = walkGoes, ahead*3/4
	}
	return sv.pool.used.Load() <= ahead && sv.below(mark)
}

func (sv *Saver) below(eighths int64) bool { return sv.used() <= sv.pool.budget.Load()/8*eighths }

// SetKeyDelay has saves that begin from now on take so many microseconds for a key; see KeyDelay. Safe from any
// goroutine.
func (sv *Saver) SetKeyDelay(us int64) { sv.delayUs.Store(us) }

// Overdrawn reports whether a save has used up its budget: whoever is going to write should wait until it has not,
// which Options.Wake tells. A command that is already running never waits. Safe from any goroutine; without a save it
// costs one load.
func (sv *Saver) Overdrawn() bool {
	v := sv.running.Load()
	if v == nil {
		return false
	}
	if sv.over.Load() {
		return true
	}
	if sv.below(8) {
		return false
	}
	sv.throttle(true)
	v.waits.Add(1)
	// It may have been relieved of everything meanwhile, and ended.
	if sv.running.Load() == nil || sv.below(writeGoes) {
		sv.throttle(false)
		return false
	}
	return true
}

// Exhausted reports whether a save keeps half as much again in memory as its budget allows. Reading a key deletes it if
// it has expired, which copies it, so that readers should wait as well. Safe from any goroutine.
func (sv *Saver) Exhausted() bool { return sv.running.Load() != nil && !sv.below(12) }

func (sv *Saver) throttle(on bool) {
	sv.over.Store(on)
	sv.set.Throttle(on)
}

// relax lets those go on that waited for room, if there is some again.
func (sv *Saver) relax() {
	wake := false
	if sv.over.Load() && sv.below(writeGoes) {
		sv.throttle(false)
		wake = true
	}
	if sv.blocked.Load() && sv.goesOn(true) {
		sv.blocked.Store(false)
		wake = true
	}
	if wake {
		sv.wake()
	}
}

func (sv *Saver) wake() {
	if v := sv.running.Load(); v != nil {
		v.wakeHeld()
	}
	if sv.o.Wake != nil {
		sv.o.Wake()
	}
}

// Request says what is to be saved where.
type Request struct {
	// Sinks get what is saved; at least one. They belong to the save until Done has been called.
	Sinks []Sink
	// Aux are written behind the header of every stream, in this order: name, value.
	Aux [][2]string
	// Functions is the code of libraries of functions; the stream of shard 0, or that of all, has them behind Aux.
	Functions [][]byte
	// AskedNs is the clock's reading when somebody asked for the cut and began to wait for the batons; 0: not told.
	AskedNs int64
	// CPUs is the list of processors that workers may run on, as bgsave_cpulist has it; "" = any.
	CPUs string
	// Done is called once with the result, after the last shard is done with the save: another one may begin. On a
	// goroutine of the save's. May be nil.
	Done func(Result)
}

// Result is what became of a save.
type Result struct {
	// Err is nil if all sinks have got everything and have committed. Else ErrCancelled, or the sinks' errors joined.
	Err error
	// Sinks are the errors of the sinks, in the order of the request.
	Sinks []error
	Progress
}

// Phase is what a save is at.
type Phase uint8

// The phases.
const (
	PhaseWalking    Phase = iota // the shards are being walked
	PhaseWriting                 // everything has been copied or pinned, and is being written
	PhaseCommitting              // everything has been written; sinks commit
	PhaseEnding                  // pins are being released
	PhaseDone
)

// Progress says how far a save has come.
type Progress struct {
	Phase       Phase
	CreatedMs   int64  // Unix time of the cut
	LSN         uint64 // of the log at the cut
	ElapsedNs   int64  // since the cut; of a result: all in all
	CutNs       int64  // how long the cut took, all batons held
	WaitNs      int64  // how long the batons were waited for before
	Keys        int64  // at the cut
	Walked      int64  // of these, keys that were copied or pinned
	Saved       int64  // of these, keys that were encoded for all sinks
	Bytes       int64  // that the sinks were given
	CopiedBytes int64  // what writers had copied before they changed something: entries, and nodes of pinned values
	BufferBytes int64  // kept in memory now; of a result: the most there was
	Waits       int64  // how often writers had to wait because the budget was used up
}
