package shard

import "fulmen/internal/invariant"

// Spinning and draining bounds. A spin is shorter than handing a task over and back (about 2 µs).
const (
	batonSpins    = 64
	drainTasks    = 64
	drainBudgetNs = 100_000
)

// Worker is a goroutine that executes: an event loop, or a test. It is used by its goroutine only.
type Worker struct {
	// NowNs is the monotonic time of the last reading; whoever executes commands keeps it fresh, so
	// that measuring holds costs no reading of its own.
	NowNs int64
	// Owner is the executing goroutine's own state, for tasks that are served by it.
	Owner any
	// LSN is the greatest that the holds of the worker have come to since somebody set it: the ends of what it has
	// committed and of the last commits of the shards that it has held, so of all that it has seen there. A reply that
	// tells of any of this has to wait for it.
	LSN uint64
	// Courier has what the worker's commands have caused beside the shards; nil: nothing. It is set by whoever causes
	// something, and by nobody else but the Courier itself.
	Courier Courier

	// The last reading of its thread's processor time.
	cpuReadNs, cpuNs, processNs int64
	thread                      int
	wallOnly                    bool // of a test with a clock of its own: processor time is wall time
}

// Courier carries what a worker's commands have caused beside the shards, such as messages. It is told where batons are
// given back, so that whoever causes something need not think of who executes it, and in the order of the commits.
type Courier interface {
	// Committed is told, the batons still held, that what the worker has staged is committed: what it has caused up to
	// now may be seen by others as soon as w.LSN is safe.
	Committed(w *Worker)
	// Released is told that a baton was given back: what takes a system call may be done now.
	Released(w *Worker)
}

func (s *Shard) tryTake() bool {
	return s.baton.Load() == 0 && s.baton.CompareAndSwap(0, 1)
}

// Acquire takes the baton for w; what waits in the inbox runs first. false: somebody else has it, or
// got it from the inbox. Never blocks.
func (s *Shard) Acquire(w *Worker) bool {
	if !s.tryTake() && !s.spin() {
		if invariant.Enabled {
			s.plant.at(stepTaken)
		}
		return false
	}
	s.beginHold(w)
	if s.waiting() {
		left := drainTasks
		return s.drain(w, &left) != handedOver
	}
	return true
}

func (s *Shard) spin() bool {
	for range batonSpins {
		if s.tryTake() {
			return true
		}
	}
	return false
}

// waiting tells whether tasks wait; to be called with the baton held.
func (s *Shard) waiting() bool { return s.backlog.first != nil || !s.inbox.empty() }

// Release commits what is staged, runs what waits and gives the baton back.
func (s *Shard) Release(w *Worker) {
	s.release(w)
	if w.Courier != nil {
		w.Courier.Released(w)
	}
}

func (s *Shard) release(w *Worker) {
	left := drainTasks
	for {
		s.Commit(w)
		end := drained
		if s.waiting() {
			if end = s.drain(w, &left); end == handedOver {
				return
			}
		}
		s.endHold(w)
		if invariant.Enabled {
			s.plant.at(stepReleasing)
		}
		s.baton.Store(0)
		if end == spent {
			s.bell.Ring(s)
			return
		}
		if invariant.Enabled && s.plant.at(stepReleased) {
			return
		}
		if s.inbox.empty() || !s.tryTake() {
			return
		}
		s.beginHold(w)
	}
}

// Enqueue leaves a task for the holder of the baton. When the baton turns out to be free the caller
// runs the inbox itself, so the task may have been served when Enqueue returns.
func (s *Shard) Enqueue(n *Node, w *Worker) {
	s.inbox.push(n)
	if invariant.Enabled && s.plant.at(stepPushed) {
		return
	}
	s.Serve(w)
}

// Serve takes the baton if it is free and runs what waits: the home loop's answer to the bell.
func (s *Shard) Serve(w *Worker) {
	if s.tryTake() {
		s.beginHold(w)
		s.Release(w)
	}
}

// drainEnd says why a drain ended.
type drainEnd int

const (
	drained    drainEnd = iota // nothing waits
	spent                      // the budget is used up, and something waits
	handedOver                 // a task has the baton now
)

// drain runs waiting tasks within its budget, left tasks at most.
func (s *Shard) drain(w *Worker, left *int) drainEnd {
	until := w.NowNs + drainBudgetNs
	for *left > 0 && w.NowNs <= until {
		n := s.backlog.pop()
		if n == nil {
			s.backlog.fill(&s.inbox)
			if n = s.backlog.pop(); n == nil {
				return drained
			}
		}
		*left--
		s.Stats.Drained++
		if n.Task.Serve(s, w) {
			return handedOver
		}
	}
	if s.waiting() {
		return spent
	}
	return drained
}
