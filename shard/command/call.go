package command

import (
	"errors"
	"math"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/internal/stats"
	"fulmen/shard"
)

// Observers say who wants to know of calls; immutable, replaced as a whole. The server fills them in.
type Observers struct {
	// Tracking: the duration of every call is counted in its row's histogram.
	Tracking bool
	// FromNs is how long a call must have taken for Observe to be told of it: 0 while somebody wants to know of all.
	FromNs int64
	// Begins is told of a call that runs a script before the calls of that; nil: nobody wants to know.
	Begins func(c *Ctx, row *Row)
	// Observe is told of a call that was made, its row and its duration. c is as its handler left it.
	Observe func(c *Ctx, row *Row, ns int64)
}

// NoObservers is for those who execute commands that nobody watches.
func NoObservers() *Observers { return &Observers{FromNs: math.MaxInt64} }

// CallStat counts the calls of one row.
type CallStat struct {
	Calls, Failed, Rejected, Ns int64
}

// CallStats count calls on one goroutine since its last Flush, and their durations since Reset.
type CallStats struct {
	byRow   []CallStat
	touched []int // rows with counts, by Row.Index
	Errors  map[string]int64

	durations []atomic.Pointer[stats.Histogram] // by Row.Index; nil before the first
}

// NewCallStats returns empty statistics for a table.
func NewCallStats(t *Table) *CallStats {
	n := len(t.All())
	return &CallStats{
		byRow: make([]CallStat, n), Errors: map[string]int64{}, durations: make([]atomic.Pointer[stats.Histogram], n),
	}
}

// SumDurations adds the durations of a row's calls to sum. Safe from any goroutine.
func (cs *CallStats) SumDurations(index int, sum *stats.Counts) {
	if h := cs.durations[index].Load(); h != nil {
		sum.Sum(h)
	}
}

// ResetDurations forgets all durations. Safe from any goroutine.
func (cs *CallStats) ResetDurations() {
	for i := range cs.durations {
		cs.durations[i].Store(nil)
	}
}

// at returns the counts of a row, which it notes as touched.
func (cs *CallStats) at(row *Row) *CallStat {
	st := &cs.byRow[row.Index]
	if *st == (CallStat{}) {
		cs.touched = append(cs.touched, row.Index)
	}
	return st
}

// Fail counts a call of a row that failed after it had begun to wait.
func (cs *CallStats) Fail(row *Row) { cs.at(row).Failed++ }

// track counts the duration of a call in the row's histogram.
func (cs *CallStats) track(row *Row, ns int64) {
	h := cs.durations[row.Index].Load()
	if h == nil {
		h = new(stats.Histogram)
		cs.durations[row.Index].Store(h)
	}
	h.Add(ns)
}

// Flush gives every row's counts to add and zeroes them.
func (cs *CallStats) Flush(add func(index int, st *CallStat)) {
	for _, i := range cs.touched {
		add(i, &cs.byRow[i])
		cs.byRow[i] = CallStat{}
	}
	cs.touched = cs.touched[:0]
}

// keptScratch is how much memory in bytes a call leaves for the handlers of the next ones.
const keptScratch = 64 << 10

// Call executes the row's handler on c.Args, the batons that the route names being held: it runs the
// handler, stages the effect and measures. The reply is appended to c.Out.
func Call(c *Ctx, row *Row) {
	c.Row = row
	c.Dirty, c.effects, c.Wait, c.EmptiedAll = 0, false, Wait{}, false
	mark := c.Mark()
	quiet := c.NoTouch && !row.Touches
	if quiet {
		c.quiet(true)
	}
	tracker := c.Tracker
	if tracker != nil {
		c.acting(tracker)
	}
	began := c.Worker.NowNs // before the calls that this one makes, if it runs a script
	var err error
	switch {
	case row.Run != nil:
		err = row.Run(c)
	case row.Slices != nil:
		err = c.whole(row)
	default:
		err = row.RunSession(c.Session)
	}
	if quiet {
		c.quiet(false)
	}
	if tracker != nil {
		c.acting(nil)
		c.remember(row)
	}
	if err != nil {
		c.Cut(mark)
		c.Out = appendFailure(c.Out, c, row, err)
	} else if c.Dirty > 0 {
		c.logCall()
	}
	c.full()
	if cap(c.scratch) > keptScratch {
		c.scratch = nil
	}
	now := c.Set.Clock.NowNs()
	c.Worker.NowNs = now
	if c.Wait.On {
		c.noteWait(row)
		for _, p := range c.Wait.Pins { // executors copy the arguments afterwards
			c.Args[p.Arg] = p.Text
		}
	} else {
		c.Measured(row, now-began)
	}
	if len(c.Keys) > 0 {
		c.Keys[0].Shard.Ran(row.FullName, now-began)
	}
}

// quiet has lookups in the shards of the call's keys leave access clocks alone, or no longer.
func (c *Ctx) quiet(on bool) {
	for i := range c.Keys {
		c.Keys[i].Shard.Quiet(on)
	}
}

// acting says in the shards of the call's keys whose command runs; nil: no longer.
func (c *Ctx) acting(t *shard.Tracker) {
	for i := range c.Keys {
		c.Keys[i].Shard.Acting(t)
	}
}

// remember notes that the session has read the call's keys, if they are to be remembered. Their batons are held.
func (c *Ctx) remember(row *Row) {
	if !c.Remembers || row.Flags&ReadOnly == 0 || row.Script != NoScripts || c.Tracker == nil {
		return
	}
	for i := range c.Keys {
		c.Keys[i].Shard.Remember(c.Keys[i].Key.Bytes, c.Tracker)
	}
}

// Measured counts a call of ns nanoseconds and tells those who observe calls. Call does it itself; it is there for
// what executes other commands and so can't run in Call: EXEC, whose arguments must be in c.Args.
func (c *Ctx) Measured(row *Row, ns int64) {
	st := c.Calls.at(row)
	if !c.Woken { // else it was counted when it began to wait
		st.Calls++
	}
	st.Ns += ns
	o := c.Observers
	if o.Tracking {
		c.Calls.track(row, ns)
	}
	if ns >= o.FromNs {
		o.Observe(c, row, ns)
	}
}

// noteWait counts a call that waits, and tells those who observe calls of it. It is measured when its wait is over.
func (c *Ctx) noteWait(row *Row) {
	if !c.Woken {
		c.Calls.at(row).Calls++
	}
	if o := c.Observers; o.FromNs == 0 && !c.Woken {
		o.Observe(c, row, 0)
	}
}

// logCall counts the changes and stages the command as it came, unless its handler staged effects of its own.
func (c *Ctx) logCall() {
	if len(c.Keys) == 0 {
		if !c.effects {
			panic("BUG: " + c.Row.FullName + " changed data, has no key and stated no effect")
		}
		c.Set.Shards[0].AddDirty(int64(c.Dirty))
		return
	}
	c.Keys[0].Shard.AddDirty(int64(c.Dirty))
	if !c.effects && c.Logging() {
		c.Keys[0].Shard.Stage(c.DBID, c.Args...)
	}
}

func appendFailure(dst []byte, c *Ctx, row *Row, err error) []byte {
	c.Calls.at(row).Failed++
	var e *resp.Error
	if !errors.As(err, &e) {
		panic("BUG: a handler returned an error that is not a reply: " + err.Error())
	}
	c.Calls.Errors[e.Code]++
	return resp.AppendError(dst, e)
}

// Fail counts a call that has been counted already as failed, and replies its error: for one that failed after its
// handler had returned.
func (c *Ctx) Fail(row *Row, err error) { c.Out = appendFailure(c.Out, c, row, err) }

// Reject counts and replies an error for a command that was not run.
func (c *Ctx) Reject(row *Row, e *resp.Error) {
	if row != nil {
		c.Calls.at(row).Rejected++
	}
	c.Calls.Errors[e.Code]++
	c.Out = resp.AppendError(c.Out, e)
}
