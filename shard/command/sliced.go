package command

import "slices"

// Job is a command under way that runs in slices: each is short, and under the baton of one shard, and between them
// others have their turn. So what it replies is not of one moment. Inside MULTI, and wherever else all batons are
// held, the slices follow each other in one hold.
//
// A job changes nothing. It is used by one goroutine at a time.
type Job interface {
	// Shard is the number of the shard that the next slice is to work on.
	Shard() int
	// Slice does a piece of work, some 10 µs of it, and appends to c.Out what it has to reply. It reports whether the
	// reply is complete.
	Slice(c *Ctx) (done bool)
	// Head appends to c.Out what the reply begins with, once it is complete.
	Head(c *Ctx)
}

// sliceReply is how much reply a job collects in one piece: growing a long one would take long, and a baton is held.
const sliceReply = 64 << 10

// keptReply is how much memory a Sliced keeps for the next reply.
const keptReply = 4 << 10

// Sliced runs a Job for a session. The zero value is ready for use, and may be used again once the reply is taken.
type Sliced struct {
	row   *Row
	job   Job
	out   []byte   // reply bytes so far …
	full  [][]byte // … behind these
	bytes int      // of all of full
	ns    int64
	rest  bool // what a call left to do, which has been counted
}

// Begin begins a command on c.Args, which must stay as they are until it is done; no baton is needed. It reports
// whether it is done already: its arguments are wrong.
func (s *Sliced) Begin(c *Ctx, row *Row) (done bool) {
	c.Row = row
	s.row = row
	job, err := row.Slices(c)
	if err == nil {
		s.job = job
	} else {
		s.out = appendFailure(s.out, c, row, err)
		s.ran(c)
		s.count(c)
	}
	return err != nil
}

// GoOn begins what a call of row left to do. reply is the call's, which the job has nothing to add to.
func (s *Sliced) GoOn(row *Row, job Job, reply []byte) {
	s.row, s.job, s.rest = row, job, true
	s.out = append(s.out, reply...)
}

// TakeThen returns what the last call left to do, nil for nothing.
func (c *Ctx) TakeThen() Job {
	job := c.Then
	if job != nil {
		c.Then = nil
	}
	return job
}

// Shard is the number of the shard whose baton Run needs next.
func (s *Sliced) Shard() int { return s.job.Shard() }

// Bytes is how much reply has been collected.
func (s *Sliced) Bytes() int { return s.bytes + len(s.out) }

// Run executes slices until untilNs, at least one, or until another shard is needed. The baton of Shard is held, and
// c.Args are those of Begin. It reports whether the command is done: then take its reply.
func (s *Sliced) Run(c *Ctx, untilNs int64) (done bool) {
	c.Row, c.Dirty = s.row, 0
	outer := c.Out
	c.Out = s.out
	shard := s.job.Shard()
	for {
		done = s.job.Slice(c)
		if len(c.Out) >= sliceReply {
			s.full = append(s.full, c.Out)
			s.bytes += len(c.Out)
			c.Out = make([]byte, 0, sliceReply+sliceReply/4)
		}
		if c.ReplyLimit > 0 && s.bytes+len(c.Out) > c.ReplyLimit {
			c.Overflow, done = true, true
		}
		c.Set.Shards[shard].Ran(s.row.FullName, s.ran(c))
		if done || s.job.Shard() != shard || c.Worker.NowNs >= untilNs {
			break
		}
	}
	if c.Dirty != 0 {
		panic("BUG: " + s.row.FullName + " runs in slices and changes data")
	}
	s.out, c.Out = c.Out, outer
	if done {
		s.count(c)
	}
	return done
}

// ran reads the clock and adds the time since its last reading to the command's.
func (s *Sliced) ran(c *Ctx) (ns int64) {
	now := c.Set.Clock.NowNs()
	ns = now - c.Worker.NowNs
	c.Worker.NowNs = now
	s.ns += ns
	return ns
}

func (s *Sliced) count(c *Ctx) {
	if !s.rest {
		c.Measured(s.row, s.ns)
	}
}

// Reply appends the reply to c.Out, unless that has become too long (c.Overflow), and forgets the command. A long one
// is given to write instead, all but its end, behind what c.Out had; write may keep what it is given.
func (s *Sliced) Reply(c *Ctx, write func(piece []byte)) {
	if c.Overflow {
		s.Drop()
		return
	}
	if s.job != nil {
		s.job.Head(c)
	}
	if len(s.full) > 0 {
		write(c.Out)
		c.Out = nil
	}
	for _, piece := range s.full {
		write(piece)
	}
	c.Out = append(c.Out, s.out...)
	s.Drop()
}

// Drop forgets the command and its reply.
func (s *Sliced) Drop() {
	out := s.out[:0]
	if cap(out) > keptReply {
		out = nil
	}
	*s = Sliced{out: out}
}

// whole runs a job in one hold of all batons.
func (c *Ctx) whole(row *Row) error {
	job, err := row.Slices(c)
	if err != nil {
		return err
	}
	at := len(c.Out)
	for !job.Slice(c) {
		if c.ReplyLimit > 0 && len(c.Out) > c.ReplyLimit {
			c.Overflow = true
			return nil
		}
	}
	n := len(c.Out)
	job.Head(c)
	head := append(c.scratch[:0], c.Out[n:]...)
	c.Out, c.scratch = slices.Insert(c.Out[:n], at, head...), head
	return nil
}
