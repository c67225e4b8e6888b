package command

import "fulmen/shard"

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

// Looker is a Job whose reply says which keys there are, and nothing else.
type Looker interface {
	Job
	// Looked tells whether what it has found in the shard of its last slice depends on a key of that.
	Looked(k shard.Key) bool
}

// sliceReply is how much reply a job collects in one piece: growing a longer one would take long, and a baton is held.
const sliceReply = 64 << 10

// keptReply is how much memory a Sliced keeps for the next reply.
const keptReply = 4 << 10

// Sliced runs a Job for a session. The zero value is ready for use, and may be used again once the reply is taken.
type Sliced struct {
	row   *Row
	job   Job
	reply Reply // so far
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
		s.reply.Out = appendFailure(s.reply.Out, c, row, err)
		s.ran(c)
		s.count(c)
	}
	return err != nil
}

// GoOn begins what a call of row left to do, whose reply stands in c from a place on.
func (s *Sliced) GoOn(c *Ctx, row *Row, job Job, from Mark) {
	s.row, s.job, s.rest = row, job, true
	c.Move(&s.reply, from)
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

// Looker is the job, if it is one; else nil.
func (s *Sliced) Looker() Looker {
	l, _ := s.job.(Looker)
	return l
}

// Bytes is how much reply has been collected.
func (s *Sliced) Bytes() int { return s.reply.Bytes() }

// Run executes slices until untilNs, at least one, or until another shard is needed. The baton of Shard is held, and
// c.Args are those of Begin. It reports whether the command is done: then take its reply.
func (s *Sliced) Run(c *Ctx, untilNs int64) (done bool) {
	c.Row, c.Dirty = s.row, 0
	c.Reply, s.reply = s.reply, c.Reply
	shard := s.job.Shard()
	for {
		done = s.job.Slice(c)
		if len(c.Out) >= sliceReply {
			c.close()
			c.Out = make([]byte, 0, sliceReply+sliceReply/4)
		}
		done = c.full() || done
		c.Set.Shards[shard].Ran(s.row.FullName, s.ran(c))
		if done || s.job.Shard() != shard || c.Worker.NowNs >= untilNs {
			break
		}
	}
	if c.Dirty != 0 {
		panic("BUG: " + s.row.FullName + " runs in slices and changes data")
	}
	c.Reply, s.reply = s.reply, c.Reply
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

// Finish appends the reply to that of c, and forgets the command.
func (s *Sliced) Finish(c *Ctx) {
	if s.job != nil && !s.reply.Overflow {
		s.job.Head(c)
	}
	s.reply.Move(&c.Reply, Mark{})
	s.Drop()
}

// Drop forgets the command and its reply.
func (s *Sliced) Drop() {
	out := s.reply.Out[:0]
	if cap(out) > keptReply {
		out = nil
	}
	*s = Sliced{reply: Reply{Out: out}}
}

// whole runs a job in one hold of all batons.
func (c *Ctx) whole(row *Row) error {
	job, err := row.Slices(c)
	if err != nil {
		return err
	}
	at := c.Mark()
	for !job.Slice(c) {
		if c.full() {
			return nil
		}
	}
	items := c.Out
	c.Out = c.scratch[:0]
	job.Head(c)
	c.scratch, c.Out = c.Out, items
	c.replace(at, 0, c.scratch)
	return nil
}
