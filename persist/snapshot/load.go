package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
	"fulmen/shard"
)

// Loading. Each file of a snapshot is read by a goroutine of its own, as many at a time as there are processors; where
// there are fewer files than that, the others add to the shards what is read. The shards are seized: shard.Seizure. A
// short string goes into a list of its shard (loadBatch), and the list to the shard when it is full; any other value is
// built where it is going to stay while it is being decoded. So it doesn't matter how many shards the snapshot was
// made of.

// LoadOptions say what is loaded, and how.
type LoadOptions struct {
	// KeepExpired loads keys whose time has come, too: a replica waits for its primary to delete them.
	KeepExpired bool
	// KeepPlaced is KeepExpired for a snapshot that says where in a history the data is (repl-id): the key's end is a
	// part of what follows.
	KeepPlaced bool
	// Merge has keys of the snapshot take the place of those that are there; otherwise a key that is there is an error.
	Merge bool
	// Goroutines is how many work at the same time; 0: as many as there are processors for the program.
	Goroutines int
	// Failed is told that there is an error, perhaps more than once, while other parts may still wait for what a stream
	// brings; nil: nobody is. It must not block.
	Failed func()
	// CheckMemory has a load end with an error when there is no memory for more, where otherwise the process would.
	CheckMemory bool
	// KeyDelay is waited for with each key; nil: nothing is.
	KeyDelay *KeyDelay
	// Limits are the thresholds of encodings, by which values are named. They must be given.
	Limits *shard.BuildLimits
}

// LoadProgress says how far a load has come. Load adds to it; anybody may read it. A new one is needed for each load.
type LoadProgress struct {
	TotalBytes, ReadBytes atomic.Int64 // of the files
	Keys, Expired         atomic.Int64 // as in LoadResult
	// SavedMemory is the memory that the server used which made the snapshot, 0 while it is unknown.
	SavedMemory atomic.Int64
}

// ETASeconds estimates how long the load is going to take from now on, given how long it has taken so far. In the
// first second it is 1, as Redis has it.
func (p *LoadProgress) ETASeconds(elapsedSeconds int64) int64 {
	if elapsedSeconds <= 0 {
		return 1
	}
	read := p.ReadBytes.Load()
	return int64(float64(elapsedSeconds) * float64(p.TotalBytes.Load()-read) / float64(read+1))
}

// LoadResult says what was loaded.
type LoadResult struct {
	Keys    int64 // loaded
	Expired int64 // left out because their time has come
	Empty   int64 // collections without elements, left out
	// Skipped counts what there is no place for, by what it is: "value of module …", "data of …".
	Skipped map[string]int64
	// Functions is the code of libraries of functions, as FUNCTION LOAD takes it.
	Functions [][]byte
	Aux       map[string]string // facts about the snapshot: redis-ver, ctime, repl-id …
	// EndOffset is where an EmbeddedPart ends in its file.
	EndOffset int64
}

// Load reads a snapshot into shards that the caller has seized. p is told how far it is. After an error the shards hold
// some of the snapshot. Nothing is evicted: as in Redis, what exceeds maxmemory goes when commands come.
//
// An error that says that the snapshot is damaged wraps *rdb.CorruptError or ErrDamaged, and names the command to run.
func Load(fsys vfs.FS, src *Source, z *shard.Seizure, o LoadOptions, p *LoadProgress) (LoadResult, error) {
	if o.Goroutines <= 0 {
		o.Goroutines = runtime.GOMAXPROCS(0)
	}
	j := &loadJob{
		fs: fsys, z: z, set: z.Set(), o: o, progress: p, nowMs: z.Set().Clock.NowMs(), lists: make(chan *loadBatch),
		parts:  src.Parts,
		result: LoadResult{Skipped: map[string]int64{}, Aux: map[string]string{}},
	}
	for i := range src.Parts {
		p.TotalBytes.Add(max(src.Parts[i].SizeBytes, 0))
	}
	j.ahead.init(j)
	j.run()
	j.result.Keys, j.result.Expired = p.Keys.Load(), p.Expired.Load()
	return j.result, j.err
}

// loadJob is a load: what its goroutines share.
type loadJob struct {
	// immutable
	fs       vfs.FS
	z        *shard.Seizure
	set      *shard.Set
	o        LoadOptions
	progress *LoadProgress
	nowMs    int64
	parts    []Part
	lists    chan *loadBatch // full lists, to whoever has nothing else to do

	ahead  loadAhead
	next   atomic.Int64 // the part that is read next
	failed atomic.Bool  // err is set: stop

	mu     sync.Mutex
	err    error
	result LoadResult
}

// run reads all parts.
func (j *loadJob) run() {
	workers := j.o.Goroutines
	readers := min(workers, len(j.parts))
	var reading, adding sync.WaitGroup
	for range readers {
		reading.Go(func() {
			r := newLoadReader(j)
			for i := j.next.Add(1) - 1; i < int64(len(j.parts)) && !j.failed.Load(); i = j.next.Add(1) - 1 {
				if err := r.read(int(i)); err != nil {
					j.fail(err)
				}
			}
			j.note(r)
		})
	}
	for range workers - readers {
		adding.Go(func() {
			for b := range j.lists {
				if err := b.add(j); err != nil {
					j.fail(err)
				}
				b.done <- b
			}
		})
	}
	reading.Wait()
	close(j.lists)
	adding.Wait()
}

// fail keeps the first error and has all goroutines stop.
func (j *loadJob) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.err != nil:
	case j.parts[0].stream != nil:
		j.err = err // there is no file to look at
	default:
		j.err = WithAdvice(err)
	}
	if j.o.Failed != nil {
		j.o.Failed()
	}
	j.failed.Store(true)
}

// note takes what a reader has found besides keys.
func (j *loadJob) note(r *loadReader) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for what, n := range r.skipped {
		j.result.Skipped[what] += n
	}
	maps.Copy(j.result.Aux, r.aux)
	j.result.Functions = append(j.result.Functions, r.functions...)
	j.result.Empty += r.empty
	j.result.EndOffset = max(j.result.EndOffset, r.end)
}

// WithAdvice adds what to do about a damaged file to an error of Find. Those of Load have it.
func WithAdvice(err error) error {
	var corrupt *rdb.CorruptError
	if errors.As(err, &corrupt) && !errors.Is(err, rdb.ErrVersion) {
		return fmt.Errorf("%w. `fulmen-check verify %s` says what is damaged, `fulmen-check repair %s` saves what can "+
			"be saved to a new file", err, corrupt.File, corrupt.File)
	}
	return err
}

// errStopped ends a reader because another one has failed.
var errStopped = errors.New("snapshot: load stopped")
