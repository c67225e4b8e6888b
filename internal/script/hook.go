package script

import (
	"errors"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// hook is asked before every instruction of the virtual machine: it is the context of the Lua states, whose Done the
// machine calls. That is how a script that takes long gives way, and how it is ended.
type hook struct {
	r *Runner
	// left is how many instructions may run until Tick is due.
	left int
	// killed, once set, is raised at every instruction, so that nothing catches it.
	killed error
	// ticked is how often Tick was due in the run.
	ticked int
	// pace is how many instructions run between two ticks: few where the heap grows fast.
	pace int
	// baseBytes is what the heap's objects took when the run was first looked at; -1: not yet. lastBytes is what they
	// took then, and collectBytes from what on a collection shows what of it is garbage.
	baseBytes, lastBytes, collectBytes int64
	collected                          bool // the run has taken so much that it was collected
	sample                             [2]metrics.Sample
}

// How many instructions run between two looks at the clock and the heap: less than 100 µs at most, and so few at first
// and where the heap grows fast. One instruction may add some MiB to a table.
const (
	ticks    = 1000
	minTicks = 64
)

// arm prepares for a run.
func (h *hook) arm() {
	h.left, h.pace, h.ticked, h.killed, h.baseBytes, h.collected = minTicks, minTicks, 0, nil, -1, false
}

// closed is always ready to be received from.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done returns a channel that is ready when the script has to end, and counts.
func (h *hook) Done() <-chan struct{} {
	if h.left--; h.left > 0 {
		return nil
	}
	return h.due()
}

func (h *hook) due() <-chan struct{} {
	if h.killed == nil {
		h.tick()
		h.left = h.pace
	}
	if h.killed != nil {
		h.left = 0
		return closed
	}
	return nil
}

// tick looks at the heap and asks the host.
func (h *hook) tick() {
	h.ticked++
	if h.killed = h.checkHeap(); h.killed == nil {
		h.killed = h.r.host.Tick()
	}
}

// Err is why the script has to end.
func (h *hook) Err() error { return h.killed }

// Deadline and Value make a context of it.
func (h *hook) Deadline() (deadline time.Time, ok bool) { return deadline, false }

// Value returns nothing.
func (h *hook) Value(any) any { return nil }

// errMemory ends a script that takes too much memory.
var errMemory = errors.New("ERR not enough memory")

// checkHeap compares what the process has in use with what it had at the run's first look. Others may have added to it,
// and garbage has: who seems to have too much is only ended if a collection doesn't help.
func (h *hook) checkHeap() error {
	limit := int64(h.r.engine.limits.HeapBytes)
	if h.baseBytes < 0 {
		h.baseBytes = h.firstLook(limit)
		h.lastBytes, h.collectBytes = h.baseBytes, h.baseBytes+limit
	}
	now, _ := h.heapBytes()
	if now-h.lastBytes > limit/64 {
		h.pace = minTicks
	} else {
		h.pace = min(2*h.pace, ticks)
	}
	h.lastBytes = now
	if now <= h.collectBytes {
		return nil
	}
	h.collected = true
	runtime.GC()
	now, _ = h.heapBytes()
	if now-h.baseBytes > limit {
		return errMemory
	}
	h.baseBytes = min(h.baseBytes, now)
	h.lastBytes, h.collectBytes = now, max(now+limit/4, h.baseBytes+limit)
	return nil
}

// firstLook returns what the heap's objects take, without most of the garbage: by as much as is taken for others' the
// run could have more.
func (h *hook) firstLook(limit int64) int64 {
	now, live := h.heapBytes()
	if now-live > limit/4 || h.r.engine.unswept() {
		runtime.GC()
		now, _ = h.heapBytes()
	}
	return now
}

// heapBytes returns what the heap's objects take, garbage included, and what those took that the last collection has
// left.
func (h *hook) heapBytes() (now, live int64) {
	h.sample[0].Name, h.sample[1].Name = "/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes"
	metrics.Read(h.sample[:])
	return int64(h.sample[0].Value.Uint64()), int64(h.sample[1].Value.Uint64())
}

// sweeping collects what big runs have left, in the background.
type sweeping struct {
	big   atomic.Int64 // runs that had to be collected
	swept atomic.Int64 // of these, what they have left is collected
	busy  atomic.Bool
}

// unswept tells whether a big run may have left garbage that the last collection has found in use.
func (e *Engine) unswept() bool { return e.sweeping.big.Load() != e.sweeping.swept.Load() }

// sweep collects what a big run has left, and gives it back to the system.
func (e *Engine) sweep() {
	v := &e.sweeping
	v.big.Add(1)
	if !v.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for {
			n := v.big.Load()
			debug.FreeOSMemory()
			v.swept.Store(n)
			v.busy.Store(false)
			if v.big.Load() == n || !v.busy.CompareAndSwap(false, true) {
				return
			}
		}
	}()
}

// work counts n steps of a function that runs outside of the machine, so that it gives way and can be ended, too.
func (r *Runner) work(L *lua.LState, n int) {
	h := &r.hook
	if h.left -= n; h.left > 0 {
		return
	}
	if h.due() != nil {
		L.Error(lua.LString(h.killed.Error()), 0)
	}
}

// bytesPerStep is how many bytes of a string a step of work makes: memory is looked at for each MB or so.
const bytesPerStep = 1 << 10

// checkString counts the work of making a string of so many bytes, and raises an error if it is longer than a script
// may make.
func (r *Runner) checkString(L *lua.LState, size int) {
	r.work(L, size/bytesPerStep)
	if size > r.engine.limits.StringBytes {
		L.RaiseError("not enough memory")
	}
}
