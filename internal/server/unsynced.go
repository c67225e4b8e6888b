package server

import (
	"runtime"
	"sync"
	"sync/atomic"

	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/shard/command"
)

// unsyncedKeys are the keys that were changed behind what is synced, while the Writer fails. A reply usually waits for
// the last commits of the shards that it tells of (reply.go): while nothing can be synced that would be for everything
// in a shard in which one write has met the failure. So then reads that look only at other keys don't wait for what
// they have seen (Session.runHeld).
//
// The keys are what the log says from the LSN on that was synced when the Writer began to fail: nothing else changes
// data. Writes are refused by then, but keys still expire, and a primary's stream goes on; so who asks reads on first.
// What is not of single keys (FLUSHALL, SWAPDB, FUNCTION), and too many keys, make all reads wait. Databases are not
// told apart.
type unsyncedKeys struct {
	srv *Server

	on atomic.Bool // it pays to ask; loops don't come into the way of the first reading

	mu     sync.Mutex
	rows   *applier          // finds those of records
	reader *log.MergedReader // nil: the Writer works
	text   []byte            // of a record that was not read to its end
	all    bool              // anything may have changed
	hashes map[uint64]struct{}
	args   [][]byte // scratch
	idx    []int    // scratch
}

const (
	// maxUnsyncedKeys bounds the memory that they take.
	maxUnsyncedKeys = 1 << 20
	// unsyncedStepBytes is how much of the log is read at a time.
	unsyncedStepBytes = 64 << 10
	// unsyncedSpins is how often a loop looks whether another one's commit is published; that takes less than 0.1 ms.
	unsyncedSpins = 1000
)

// follow begins, or reads on, while the Writer fails.
func (u *unsyncedKeys) follow(w *aof.Writer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reader == nil {
		if u.srv.aof.writer.Load() != w {
			return
		}
		r, err := u.srv.set.Log.Merged(w.SyncedLSN(), nil)
		if err != nil {
			return // it was synced meanwhile; if it fails still, it is asked again soon
		}
		u.rows = newApplier(u.srv, nil, 0)
		u.reader, u.hashes = r, map[uint64]struct{}{}
	}
	for u.step() {
	}
	u.on.Store(true)
}

// end forgets them: the Writer works, or there is none.
func (u *unsyncedKeys) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.on.Store(false)
	if u.reader != nil {
		u.reader.Close()
	}
	u.reader, u.rows, u.text, u.all, u.hashes = nil, nil, nil, false, nil
}

// step reads on, and reports whether there is more.
func (u *unsyncedKeys) step() (more bool) {
	before := len(u.text)
	u.text = u.reader.Append(u.text, unsyncedStepBytes)
	more = len(u.text) == before+unsyncedStepBytes
	at := 0
	for at < len(u.text) && !u.all {
		args, n, err := log.DecodeRecord(u.text[at:], u.args[:0])
		if u.args = args; err != nil {
			u.all = true
		}
		if n == 0 {
			break
		}
		u.add(args)
		at += n
	}
	if u.all {
		at, u.hashes = len(u.text), nil
	}
	rest := copy(u.text, u.text[at:])
	u.text = u.text[:rest]
	return more
}

// add adds the keys that a record changes.
func (u *unsyncedKeys) add(args [][]byte) {
	row := u.rows.find(args)
	if row == nil {
		u.all = true
		return
	}
	switch row.Name {
	case "select", "multi", "exec", "ping", "publish", "spublish", "replconf": // as in applierLane.session
		return
	}
	u.idx = row.KeyIndexes(u.idx[:0], args)
	if len(u.idx) == 0 || row.RouteFor(args) == command.RouteAll {
		u.all = true
		return
	}
	for _, i := range u.idx {
		u.hashes[u.srv.set.Key(args[i]).Hash] = struct{}{}
	}
	u.all = len(u.hashes) > maxUnsyncedKeys
}

// reaches reads on to lsn, the end of a commit whose batons are held. false: that is too far for a loop.
func (u *unsyncedKeys) reaches(lsn uint64) bool {
	for range unsyncedSpins {
		if u.reader.LSN()-uint64(len(u.text)) >= lsn {
			return true
		}
		if u.reader.LagBytes() > unsyncedStepBytes {
			return false
		}
		if !u.step() && u.reader.LSN() < lsn {
			runtime.Gosched() // a commit before it is being published
		}
	}
	return false
}

// spares tells whether a command does nothing but look at its keys, and none of these was changed behind what is
// synced. The batons are held, and the command has not run.
func (u *unsyncedKeys) spares(row *command.Row, args [][]byte, keys []command.Keyed) bool {
	if !u.on.Load() || row.Flags&command.ReadOnly == 0 || row.Flags&command.Write != 0 || row.Run == nil ||
		row.Slices != nil || row.MaySlice || len(keys) == 0 || row.RouteFor(args) == command.RouteAll {
		return false
	}
	if u.srv.gate.fault == sparesAll {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reader == nil {
		return false
	}
	for i := range keys {
		if !u.reaches(keys[i].Shard.LastLSN()) {
			return false
		}
	}
	if u.all {
		return false
	}
	for i := range keys {
		if _, changed := u.hashes[keys[i].Key.Hash]; changed {
			return false
		}
	}
	return true
}

// mayBeSpared is spares for what a session is about to run: also for a queue, of which all must be, and for scripts,
// whose commands are asked about when they are called (scriptRun.call).
func (s *Session) mayBeSpared(row *command.Row, args [][]byte, keys []command.Keyed) bool {
	u := &s.srv.aof.unsynced
	switch {
	case !u.on.Load() || s.primary != nil:
		return false
	case row.RunsQueue && s.multi != nil:
		for i := range s.multi.queue {
			q := &s.multi.queue[i]
			if !q.row.Script.SaysItself() && !u.spares(q.row, q.args, q.keys) {
				return false
			}
		}
		return s.watch.watcher == nil // else it tells whether something has changed
	}
	return row.Script.SaysItself() || u.spares(row, args, keys)
}

// unmark has the batch's replies not wait for what the command has seen that has just run and given its batons back, if
// it has looked at nothing that is not synced. lsn is what they waited for before.
func (l *loop) unmark(lsn uint64) {
	if l.spared {
		l.worker.LSN, l.spared = lsn, false
	}
}
