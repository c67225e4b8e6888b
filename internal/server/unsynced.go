package server

import (
	"runtime"
	"sync"
	"sync/atomic"

	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/shard"
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
//
// A key whose time has come meanwhile is no changed one: it would be as absent if its DEL had never been logged. (What
// has changed its expiry behind what is synced is in the log, too.) KEYS and SCAN go on where no changed key is among
// those that they could have found. What counts keys, or picks one at random, waits: whether a change has made or
// removed a key the log doesn't say.
type unsyncedKeys struct {
	srv *Server

	on atomic.Bool // it pays to ask; loops don't come into the way of the first reading

	mu     sync.Mutex
	rows   *applier          // finds those of records
	reader *log.MergedReader // nil: the Writer works
	text   []byte            // of a record that was not read to its end
	all    bool              // anything may have changed
	keys   map[uint64]string // that were changed, by hash
	bytes  int               // of the names
	args   [][]byte          // scratch
	idx    []int             // scratch

	expiredMu sync.Mutex     // taken last
	expired   map[uint64]int // how many DEL of a key in the log are of its expiry, by hash
}

const (
	// maxUnsyncedKeys and maxUnsyncedBytes bound the memory that they take.
	maxUnsyncedKeys  = 1 << 20
	maxUnsyncedBytes = 64 << 20
	// maxUnsyncedLooks is with how many of them a slice of KEYS or SCAN is compared, at 0.1 µs each.
	maxUnsyncedLooks = 256
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
		u.reader, u.keys, u.bytes = r, map[uint64]string{}, 0
		u.expiredMu.Lock() // somebody may still be telling of those of before
		u.expired = map[uint64]int{}
		u.expiredMu.Unlock()
		u.srv.set.WhenExpiring(u.noteExpired)
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
	u.reader, u.rows, u.text, u.all, u.keys = nil, nil, nil, false, nil
	u.srv.set.WhenExpiring(nil)
	u.expiredMu.Lock()
	defer u.expiredMu.Unlock()
	u.expired = nil
}

// noteExpired notes that a DEL of a key that will be in the log says that its time has come. The baton of its shard is
// held, so who asks about the key afterwards has read that DEL on first.
func (u *unsyncedKeys) noteExpired(hash uint64) {
	u.expiredMu.Lock()
	defer u.expiredMu.Unlock()
	if u.expired != nil && len(u.expired) < maxUnsyncedKeys {
		u.expired[hash]++
	}
}

// takeExpired reports whether a DEL of a key is one that noteExpired has told of. If another one comes before it that
// is taken for it, the key counts as changed when this one comes.
func (u *unsyncedKeys) takeExpired(hash uint64) bool {
	u.expiredMu.Lock()
	defer u.expiredMu.Unlock()
	n := u.expired[hash]
	if n > 1 {
		u.expired[hash] = n - 1
	} else {
		delete(u.expired, hash)
	}
	return n > 0 || u.srv.gate.fault == sparesDels
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
		at, u.keys = len(u.text), nil
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
		hash := u.srv.set.Key(args[i]).Hash
		if row.Name == "del" && len(u.idx) == 1 && u.takeExpired(hash) {
			continue
		}
		name, have := u.keys[hash]
		if !have {
			u.keys[hash] = string(args[i])
			u.bytes += len(args[i])
		}
		u.all = u.all || have && name != string(args[i])
	}
	u.all = u.all || len(u.keys) > maxUnsyncedKeys || u.bytes > maxUnsyncedBytes
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
	for i := range keys {
		if !u.unchanged(keys[i].Shard, keys[i].Key.Hash) {
			return false
		}
	}
	return true
}

// unchanged tells whether a key was not changed behind what is synced. The baton of its shard and the mutex are held.
func (u *unsyncedKeys) unchanged(s *shard.Shard, hash uint64) bool {
	if !u.knows(s) {
		return false
	}
	_, changed := u.keys[hash]
	return !changed
}

// knows tells whether the keys are known that a shard's commits have changed, and not all are. Its baton and the mutex
// are held.
func (u *unsyncedKeys) knows(s *shard.Shard) bool {
	return u.reader != nil && u.reaches(s.LastLSN()) && !u.all
}

// sparesSlices is spares for what a command in slices has looked at since it has had the baton of a shard, which is
// held; job is nil if it doesn't say.
func (u *unsyncedKeys) sparesSlices(number int, job command.Looker) bool {
	if !u.on.Load() || job == nil {
		return false
	}
	if u.srv.gate.fault == sparesAll {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.knows(u.srv.set.Shards[number]) || len(u.keys) > maxUnsyncedLooks {
		return false
	}
	for hash, name := range u.keys {
		k := shard.Key{Bytes: []byte(name), Hash: hash}
		if u.srv.set.ShardOf(k.Bytes) == number && job.Looked(k) {
			return false
		}
	}
	return true
}

// sparesFunction tells whether a function is one that is synced: what it calls is asked about when it does. It takes
// all batons to change functions, so any shard knows of that.
func (u *unsyncedKeys) sparesFunction(keys []command.Keyed) bool {
	if !u.on.Load() || len(keys) == 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.knows(keys[0].Shard)
}

// sparesWatches tells whether what has become of a session's watched keys is synced.
func (u *unsyncedKeys) sparesWatches(s *Session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range s.watch.keys {
		if w := &s.watch.keys[i]; !u.unchanged(w.shard, w.key.Hash) {
			return false
		}
	}
	return true
}

// mayBeSpared is spares for what a session is about to run: also for a queue, of which all must be, and for scripts,
// whose commands are asked about when they are called (scriptRun.call).
func (s *Session) mayBeSpared(row *command.Row, args [][]byte, keys []command.Keyed) bool {
	u := &s.srv.aof.unsynced
	if !u.on.Load() || s.primary != nil {
		return false
	}
	if !row.RunsQueue || s.multi == nil {
		return u.sparesCall(row, args, keys)
	}
	for i := range s.multi.queue {
		if q := &s.multi.queue[i]; !u.sparesCall(q.row, q.args, q.keys) {
			return false
		}
	}
	return u.sparesWatches(s)
}

// sparesCall is spares also for scripts, and for what tells nothing.
func (u *unsyncedKeys) sparesCall(row *command.Row, args [][]byte, keys []command.Keyed) bool {
	switch {
	case row.TellsNothing || row.Script.SaysItself():
		return true
	case row.Script == command.ScriptByName:
		return u.sparesFunction(keys)
	}
	return u.spares(row, args, keys)
}

// unmark has the batch's replies not wait for what the command has seen that has just run and given its batons back, if
// it has looked at nothing that is not synced. lsn is what they waited for before.
func (l *loop) unmark(lsn uint64) {
	if l.spared {
		l.worker.LSN, l.spared = lsn, false
	}
}
