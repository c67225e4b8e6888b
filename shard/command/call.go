package command

import (
	"errors"

	"fulmen/internal/resp"
)

// CallStat counts the calls of one row.
type CallStat struct {
	Calls, Failed, Rejected, Ns int64
}

// CallStats count calls on one goroutine since its last Flush.
type CallStats struct {
	byRow   []CallStat
	touched []int // rows with counts, by Row.Index
	Errors  map[string]int64
}

// NewCallStats returns empty statistics for a table.
func NewCallStats(t *Table) *CallStats {
	return &CallStats{byRow: make([]CallStat, len(t.All())), Errors: map[string]int64{}}
}

// at returns the counts of a row, which it notes as touched.
func (cs *CallStats) at(row *Row) *CallStat {
	st := &cs.byRow[row.Index]
	if *st == (CallStat{}) {
		cs.touched = append(cs.touched, row.Index)
	}
	return st
}

// Count counts a call that was not made through Call.
func (cs *CallStats) Count(row *Row, ns int64) {
	st := cs.at(row)
	st.Calls++
	st.Ns += ns
}

// Flush gives every row's counts to add and zeroes them.
func (cs *CallStats) Flush(add func(index int, st *CallStat)) {
	for _, i := range cs.touched {
		add(i, &cs.byRow[i])
		cs.byRow[i] = CallStat{}
	}
	cs.touched = cs.touched[:0]
}

// Call executes the row's handler on c.Args, the batons that the route names being held: it runs the
// handler, stages the effect and measures. The reply is appended to c.Out.
func Call(c *Ctx, row *Row) {
	c.Row = row
	c.Dirty, c.effects = 0, false
	mark := len(c.Out)
	quiet := c.NoTouch && !row.Touches
	if quiet {
		c.quiet(true)
	}
	var err error
	if row.Run != nil {
		err = row.Run(c)
	} else {
		err = row.RunSession(c.Session)
	}
	if quiet {
		c.quiet(false)
	}
	if err != nil {
		c.Out = appendFailure(c.Out[:mark], c, row, err)
	} else if c.Dirty > 0 {
		c.logCall()
	}
	began := c.Worker.NowNs
	now := c.Set.Clock.NowNs()
	c.Worker.NowNs = now
	st := c.Calls.at(row)
	st.Calls++
	st.Ns += now - began
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

// Reject counts and replies an error for a command that was not run.
func (c *Ctx) Reject(row *Row, e *resp.Error) {
	if row != nil {
		c.Calls.at(row).Rejected++
	}
	c.Calls.Errors[e.Code]++
	c.Out = resp.AppendError(c.Out, e)
}
