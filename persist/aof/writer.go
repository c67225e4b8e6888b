package aof

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"fulmen/internal/clock"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Policy says when what was written is synced: the parameter appendfsync.
type Policy int32

// The policies.
const (
	EverySec Policy = iota // a sync starts every 250 ms
	Always                 // all the time, each sync covering what has come during the one before
	No                     // only when files are changed and at the end
)

// String gives the policy as the parameter has it.
func (p Policy) String() string { return [...]string{"everysec", "always", "no"}[p] }

// Options say what a Writer writes and where.
type Options struct {
	FS          vfs.FS
	Dir         string // of the files: it exists, and the caller has it locked
	Name        string // appendfilename
	Log         *log.Log
	DirID       uint64
	Incarnation uint32 // as set in Log
	Policy      Policy
	// Prompt has everything written at once, for replies that wait for it; else it may wait for the next sync, or for
	// there to be much, because it is safe from the end of the process where it is.
	Prompt bool
	Clock  clock.Clock
	// Notify, if not nil, is called by the Writer's goroutine when WrittenLSN, SyncedLSN, Err or Switching has changed,
	// but under always not for WrittenLSN alone. It must not block, nor call Close.
	Notify func()
	// Beside, if not nil, is called by the Writer's goroutine with 1 before it makes system calls that may wait for the
	// disk, and with -1 when it has made them. It may block for as long as the Go runtime takes to stop and collect.
	Beside func(n int)
	Logger *slog.Logger // nil: nothing is logged
	Index  *Index       // is told where frames are; nil: nobody wants to know
}

// Writer writes the logs of all shards to INCR files. See the package comment for what may be called when, and by whom.
type Writer struct {
	o Options // immutable

	// Atomic; stored by the Writer's goroutine.
	written       atomic.Uint64
	synced        atomic.Uint64
	unsyncedSince atomic.Int64 // 0: nothing is unsynced
	failed        atomic.Pointer[failure]
	switching     atomic.Bool // there are files besides the newest
	syncing       atomic.Bool // a job is running
	delayed       atomic.Int64
	syncs         atomic.Int64
	newBytes      atomic.Int64 // in the newest files

	// Atomic; stored by others.
	policy     atomic.Int32
	prompt     atomic.Bool
	closing    atomic.Bool
	wanted     atomic.Uint64 // a sync is wanted of all below
	next       atomic.Pointer[change]
	otherBytes atomic.Int64
	baseBytes  atomic.Int64

	mu       sync.Mutex
	prepared []*incrFile // made and not yet begun
	started  bool
	closeErr error // valid once done is closed

	bell chan struct{} // has one place: somebody has something for the goroutine
	done chan struct{} // closed when the goroutine has ended

	// Of the Writer's goroutine.
	waiter     *log.Waiter
	streams    []stream
	syncer     vfs.Syncer
	job        job
	jobDone    chan struct{} // has one place
	nowNs      int64         // of the turn
	pendingNs  int64         // when nothing was pending last
	target     uint64        // all below was written, and not lost since
	targetNs   int64         // when that was the contiguous LSN
	lost       bool          // something has to be written again, whatever the log has
	markOwed   uint64        // all below was synced, and no file says so yet; 0: nothing is owed
	markedNs   int64         // when that was said last
	lastSyncNs int64         // when the last job began
	writeErr   error
	gapErr     error // a part of a file may be missing and can't be written again: SyncedLSN stands still
	syncErr    error
	writeRetry retry
	syncRetry  retry
	zeroBytes  []byte
	marks      []log.Mark
	beside     bool // Options.Beside was called with 1

	// Of tests.
	noZeros atomic.Bool
	inPlace bool // jobs are run by the Writer's goroutine under every policy
	plant   plant
}

// change is a switch to new files. It is complete when it is published.
type change struct {
	files []*incrFile
	pos   []uint64
	lsn   uint64
}

// failure is what does not work.
type failure struct{ err error }

// Open returns a Writer that has no files yet.
func Open(o Options) *Writer {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Notify == nil {
		o.Notify = func() {}
	}
	if o.Beside == nil {
		o.Beside = func(int) {}
	}
	w := &Writer{
		o: o, bell: make(chan struct{}, 1), done: make(chan struct{}), jobDone: make(chan struct{}, 1),
		streams: make([]stream, o.Log.Shards()),
	}
	w.policy.Store(int32(o.Policy))
	w.prompt.Store(o.Prompt)
	return w
}

// Prepare makes new INCR files of this number, above those of all files there, and makes them and their names last; the
// caller then has them named by a manifest (IncrFiles), before Start or Switch. It blocks on the disk. ErrBusy says
// that the files of before are not all synced yet. After an error files may be left, which no manifest names. Files
// that were prepared before and not taken into use are given up.
func (w *Writer) Prepare(seq uint64) error {
	if w.switching.Load() || w.next.Load() != nil {
		return ErrBusy
	}
	if w.closing.Load() {
		return ErrClosed
	}
	files, err := createIncr(&w.o, seq)
	if err != nil {
		return err
	}
	w.mu.Lock()
	old := w.prepared
	w.prepared = files
	w.mu.Unlock()
	closeAll(old)
	return nil
}

// takePrepared returns the files that Prepare has made.
func (w *Writer) takePrepared() []*incrFile {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := w.prepared
	w.prepared = nil
	if files == nil {
		panic("BUG: aof: no files were prepared")
	}
	return files
}

// Start begins writing what follows a Hold's LSN to the files that were prepared. Everything below it is taken for
// written and synced. The Hold may be closed afterwards. The error is log.ErrTrimmed if the Hold is unpinned.
func (w *Writer) Start(h *log.Hold) error {
	if err := w.start(h); err != nil {
		return err
	}
	go w.run()
	return nil
}

func (w *Writer) start(h *log.Hold) error {
	files := w.takePrepared()
	for i := range w.streams {
		if err := w.streams[i].open(h, i, files[i]); err != nil {
			for j := range i {
				w.streams[j].close()
			}
			closeAll(files)
			return fmt.Errorf("aof: %w", err)
		}
	}
	w.syncer = w.o.FS.NewSyncer()
	w.waiter = w.o.Log.NewWaiter(w.ring)
	w.target = h.LSN()
	w.lastSyncNs = w.o.Clock.NowNs() - syncEveryNs
	w.written.Store(w.target)
	w.o.Log.SetWritten(w.target)
	w.o.Log.KeepUnwritten(true)
	w.synced.Store(w.target)
	w.mu.Lock()
	w.started = true
	w.mu.Unlock()
	return nil
}

// Switch has all that follows a Hold's LSN written to the files that were prepared, and nothing of what is before. It
// must be called inside the transaction that the Hold was attached in, all batons held; it does not block.
func (w *Writer) Switch(h *log.Hold) {
	c := &change{files: w.takePrepared(), pos: make([]uint64, len(w.streams)), lsn: h.LSN()}
	for i := range c.pos {
		c.pos[i] = h.Pos(i)
	}
	if !w.next.CompareAndSwap(nil, c) {
		panic("BUG: aof: a switch during a switch")
	}
	w.ring()
}

// Switching reports whether the files before the last Switch are still being written or synced.
func (w *Writer) Switching() bool { return w.switching.Load() || w.next.Load() != nil }

// WrittenLSN returns an LSN below which everything was written to the files, so that it outlives the process.
func (w *Writer) WrittenLSN() uint64 { return w.written.Load() }

// SyncedLSN returns an LSN below which everything was synced in the files of all shards, so that it outlives a power
// cut.
func (w *Writer) SyncedLSN() uint64 { return w.synced.Load() }

// UnsyncedSinceNs returns a moment of the Clock's NowNs at which everything was synced that had been committed, or 0 if
// there is nothing to sync. So what is not synced is not older than that, but for the time that the Writer's goroutine
// takes to wake up when something is committed after a rest. It is 0 as well while nothing is synced by policy. No
// Notify tells of a change.
func (w *Writer) UnsyncedSinceNs() int64 {
	if Policy(w.policy.Load()) == No {
		return 0
	}
	return w.unsyncedSince.Load()
}

// Err returns what keeps the Writer from writing or syncing, nil if it works. It wraps the system's error.
func (w *Writer) Err() error {
	if f := w.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// SetPolicy changes the policy, from the next sync on.
func (w *Writer) SetPolicy(p Policy) {
	w.policy.Store(int32(p))
	w.ring()
}

// SetPrompt changes Options.Prompt.
func (w *Writer) SetPrompt(prompt bool) {
	w.prompt.Store(prompt)
	w.ring()
}

// Sync asks for a sync of all below an LSN, whatever the policy, and does not wait for it.
func (w *Writer) Sync(lsn uint64) {
	for {
		old := w.wanted.Load()
		if lsn <= old || w.wanted.CompareAndSwap(old, lsn) {
			break
		}
	}
	w.ring()
}

// Close writes and syncs all that the log has, closes the files and lets go of the log. Nobody commits any more. After
// nil everything is on the disk; after an error SyncedLSN says up to where it is.
func (w *Writer) Close() error {
	w.closing.Store(true)
	w.mu.Lock()
	started := w.started
	prepared := w.prepared
	w.prepared = nil
	w.mu.Unlock()
	closeAll(prepared)
	if !started {
		return nil
	}
	w.ring()
	<-w.done
	return w.closeErr
}

// ring wakes the Writer's goroutine.
func (w *Writer) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// Stats are figures for INFO.
type Stats struct {
	CurrentBytes int64  // of the files that loading would read: aof_current_size
	BaseBytes    int64  // what that was after the last rewrite or start: aof_base_size
	BufferBytes  uint64 // of the merged stream, not yet written: aof_buffer_length
	Syncing      bool   // aof_pending_bio_fsync
	Syncs        int64  // syncs so far, each of all files
	DelayedSyncs int64  // of them those that were due while the one before was not done: aof_delayed_fsync
}

// Stats returns figures of this moment.
func (w *Writer) Stats() Stats {
	written := w.written.Load()
	return Stats{
		CurrentBytes: w.newBytes.Load() + w.otherBytes.Load(), BaseBytes: w.baseBytes.Load(),
		BufferBytes: w.o.Log.LSN() - written, Syncing: w.syncing.Load(), Syncs: w.syncs.Load(),
		DelayedSyncs: w.delayed.Load(),
	}
}

// SetSizes says how many bytes the files have that loading would read besides the newest INCR files, and what
// Stats.BaseBytes is. It is called after a load, and when a rewrite has succeeded.
func (w *Writer) SetSizes(otherBytes, baseBytes int64) {
	w.otherBytes.Store(otherBytes)
	w.baseBytes.Store(baseBytes)
}
