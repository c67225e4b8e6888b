package snapshot

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"fulmen/internal/invariant"
)

// Save is a save under way.
type Save struct {
	// immutable
	sv      *Saver
	request Request
	cut     Cut
	beganNs int64
	cutNs   int64
	waitNs  int64
	keys    int64
	delay   *KeyDelay // nil: none
	outputs []*output
	hash    func(member []byte) uint64

	work chan struct{} // rung for workers; as long as there are workers
	room chan struct{} // of length 1: rung for RunHeld
	quit chan struct{} // closed: no work is left
	read chan struct{} // closed: all streams have ended
	done chan struct{} // closed: result is there

	result Result // before done is closed: the coordinator's

	mu        sync.Mutex
	cancelErr error

	// atomic
	cancelled   atomic.Bool
	shardsWalk  atomic.Int64 // not walked to the end
	shardsRead  atomic.Int64 // not written to the end
	shardsPin   atomic.Int64 // with a part in the save
	phase       atomic.Int64
	walkedKeys  atomic.Int64
	savedKeys   atomic.Int64
	bytes       atomic.Int64
	copied      atomic.Int64
	waits       atomic.Int64
	keptAtBegin int64 // immutable
}

// Begin makes the cut: the save will have everything that is in the set now, as it is now, whatever happens afterwards.
// The batons of all shards are held, and nothing is staged. Everything else follows: Step, for each shard, walks, and
// goroutines of the save's encode and write; Begin itself touches no sink. It returns ErrBusy if a save is running.
func (sv *Saver) Begin(r Request) (*Save, error) {
	if sv.running.Load() != nil {
		return nil, ErrBusy
	}
	invariant.Check(len(r.Sinks) > 0, "snapshot: a save without a sink")
	set, shards := sv.set, len(sv.walks)
	_, ever := set.KeptBytes()
	v := &Save{
		sv: sv, request: r, beganNs: set.Clock.NowNs(), keptAtBegin: ever,
		work: make(chan struct{}, sv.o.Workers), room: make(chan struct{}, 1), quit: make(chan struct{}),
		read: make(chan struct{}), done: make(chan struct{}),
		cut: Cut{
			LSN: set.Log.LSN(), CreatedMs: set.Clock.NowMs(), Version: 10, Shards: shards, Databases: set.Databases(),
			counts: make([]dbCount, shards*set.Databases()),
		},
	}
	v.cut.cancelled = &v.cancelled
	if us := sv.delayUs.Load(); us != 0 {
		v.delay = NewKeyDelay(us, set.Clock)
	}
	v.hash = func(member []byte) uint64 { return set.Key(member).Hash }
	for _, n := range []*atomic.Int64{&v.shardsWalk, &v.shardsRead, &v.shardsPin} {
		n.Store(int64(shards))
	}
	sv.pool.setChunkBytes(shards)
	sv.ahead.Store(int64(max(aheadBytes*(1+sv.o.Workers), 4*shards*sv.pool.chunkBytes)))
	sv.pool.peak.Store(0)
	sv.walkID++
	set.Cut()
	for i := range sv.walks {
		if i > 0 && sv.torn != nil {
			sv.torn()
		}
		sv.walks[i].begin(v, sv.walkID, v.cut.counts[i*v.cut.Databases:][:v.cut.Databases])
	}
	for _, n := range v.cut.counts {
		v.keys += int64(n.keys)
	}
	sv.running.Store(v)
	v.cutNs = set.Clock.NowNs() - v.beganNs
	if r.AskedNs != 0 {
		v.waitNs = max(v.beganNs-r.AskedNs, 0)
	}
	go v.run()
	return v, nil
}

// Cancel gives the save up: its result will be ErrCancelled. It ends soon, when Step has been called for all shards. It
// does nothing if the save has come so far that it commits. Safe from any goroutine.
func (v *Save) Cancel() { v.cancel(ErrCancelled) }

func (v *Save) cancel(err error) {
	v.mu.Lock()
	if v.cancelErr == nil {
		v.cancelErr = err
	}
	v.mu.Unlock()
	v.cancelled.Store(true)
	v.ring()
	v.sv.wake()
}

// why is what the save was cancelled for; nil: it wasn't.
func (v *Save) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cancelErr
}

// RunHeld has the save come to its end while the caller holds the batons of all shards, or while nobody else is there
// to take them, and returns the result. It waits for workers and sinks, that is, for disks: it is for who wants nothing
// else to happen meanwhile (SHUTDOWN, DEBUG RELOAD, a start). Cancel before it makes it short.
func (v *Save) RunHeld() Result {
	const never = 1<<63 - 1
	for {
		for i := range v.sv.walks {
			v.sv.Step(v.sv.walks[i].s, never)
		}
		select {
		case <-v.done:
			return v.result
		case <-v.room:
		}
	}
}

// wakeHeld has RunHeld look again.
func (v *Save) wakeHeld() {
	select {
	case v.room <- struct{}{}:
	default:
	}
}

// Wait waits until the save is over and returns the result. Somebody else calls Step meanwhile.
func (v *Save) Wait() Result {
	<-v.done
	return v.result
}

// Progress says how far the save has come. Safe from any goroutine.
func (v *Save) Progress() Progress {
	_, ever := v.sv.set.KeptBytes()
	p := Progress{
		Phase: Phase(v.phase.Load()), CreatedMs: v.cut.CreatedMs, LSN: v.cut.LSN,
		ElapsedNs: v.sv.set.Clock.NowNs() - v.beganNs, CutNs: v.cutNs, WaitNs: v.waitNs,
		Keys: v.keys, Walked: v.walkedKeys.Load(), Saved: v.savedKeys.Load(), Bytes: v.bytes.Load(),
		CopiedBytes: v.copied.Load() + ever - v.keptAtBegin, BufferBytes: v.sv.used(), Waits: v.waits.Load(),
	}
	return p
}

// ring tells the workers that there is work.
func (v *Save) ring() {
	select {
	case v.work <- struct{}{}:
	default: // each of them has been rung already
	}
}

// shardWalked, shardRead and shardEnds count shards that are done with one thing each.
func (v *Save) shardWalked() {
	if v.shardsWalk.Add(-1) == 0 {
		v.phase.CompareAndSwap(int64(PhaseWalking), int64(PhaseWriting))
	}
}

func (v *Save) shardRead() {
	if v.shardsRead.Add(-1) == 0 {
		close(v.read)
	}
}

func (v *Save) shardEnds() {
	if v.shardsPin.Add(-1) == 0 {
		close(v.quit)
	}
}

// run is the goroutine that coordinates a save.
func (v *Save) run() {
	sv := v.sv
	sv.wake()
	sv.pool.prepare(readyChunks)
	v.openAll()
	v.beside(sv.o.Workers)
	var workers sync.WaitGroup
	for i := range sv.o.Workers {
		workers.Go(func() { v.serve(i) })
	}
	<-v.read // every shard has been walked, and all streams are at their end
	v.phase.Store(int64(PhaseCommitting))
	var commit sync.WaitGroup
	commit.Go(func() { v.confine(); v.commitAll() }) // a file that is replaced is let go of: milliseconds
	commit.Wait()
	v.phase.Store(int64(PhaseEnding))
	sv.wake()
	<-v.quit // every pin has been released
	workers.Wait()
	v.beside(-sv.o.Workers)
	sv.pool.empty()

	v.result.Progress = v.Progress()
	v.result.Phase, v.result.BufferBytes = PhaseDone, sv.pool.peak.Load()
	v.phase.Store(int64(PhaseDone))
	sv.running.Store(nil)
	sv.blocked.Store(false)
	sv.throttle(false)
	close(v.done)
	if sv.o.Wake != nil {
		sv.o.Wake() // for those who wait
	}
	if v.request.Done != nil {
		v.request.Done(v.result)
	}
}

func (v *Save) beside(n int) {
	if v.sv.o.Beside != nil {
		v.sv.o.Beside(n)
	}
}

// commitAll has all sinks that got everything commit, and the others abort.
func (v *Save) commitAll() {
	why := v.why()
	var errs []error
	for i, o := range v.outputs {
		err := o.end(why)
		if err != nil {
			err = fmt.Errorf("snapshot: sink %d: %w", i, err)
			errs = append(errs, err)
		}
		v.result.Sinks = append(v.result.Sinks, err)
	}
	v.result.Err = errors.Join(errs...)
	if errors.Is(why, ErrCancelled) {
		v.result.Err = why
	}
}
