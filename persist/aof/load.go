package aof

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// Loading. The caller loads the BASE files (package snapshot), and then Load has everything executed that came after. A
// lane is the files of one shard in order, read by a goroutine of its own. Records of different shards concern
// different keys, so lanes need not wait for each other but where a commit has pieces in several of them: there all of
// them meet, the last one to come has all pieces executed in the order of shards, once, and they go on. That holds
// whatever number of shards the data is loaded into: it is the Applier that knows where a key is.
//
// Nothing may be missing. A frame that is not right ends its lane; whether that is the end of the data, or damage, the
// manifest says: how many bytes each incarnation has. A meeting to which somebody does not come is damage, too.

// Applier executes what is loaded.
type Applier interface {
	// Apply executes records in order: all pieces of one commit that have any, or several commits that are whole. Each
	// part begins in database 0 and has SELECT where it is another one; MULTI and EXEC may stand around the records of
	// a commit. It is called at the same time for different lanes, for each once at a time; what is executed at the
	// same time has no keys in common. parts are valid until it returns. It returns how many parts it has executed, at
	// the next of which the error is, and how many commands.
	Apply(lane int, parts [][]byte) (done, commands int, err error)
}

// LoadOptions say what is loaded.
type LoadOptions struct {
	FS       vfs.FS
	Dir      string // of the files
	Name     string // appendfilename
	Manifest *Manifest
	Applier  Applier
	Index    *Index // is told where frames are; nil: nobody wants to know

	// For tests: whether lanes read ahead, nil: as there are processors; and how many bytes at a time, 0: readBytes.
	ahead  *bool
	atOnce int64
	plant  loadPlant
}

// batchBytes returns how much is read at a time.
func (o *LoadOptions) batchBytes() int64 { return cmp.Or(o.atOnce, readBytes) }

// readsAhead tells whether lanes are to read ahead if there are so many.
func (o *LoadOptions) readsAhead(lanes int) bool {
	if o.ahead != nil {
		return *o.ahead
	}
	return spareProcessors(lanes)
}

// loadPlant lets a test break loading on purpose.
type loadPlant struct {
	piecesMissing bool // nobody waits for pieces
	uncounted     bool // what is missing is not noticed, or what there is too much
	endless       bool // an incarnation's files are loaded beyond its end
	unchecked     bool // frames are not compared with their sums
}

// LoadProgress says how far a load has come. Load adds to it; anybody may read it. A new one is needed for each load.
type LoadProgress struct {
	TotalBytes, ReadBytes atomic.Int64 // of INCR files
	Commands              atomic.Int64
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

// Load has the records of all live INCR files executed that are not in a BASE, up to the ends of their incarnations; of
// one that is running, all. Nobody writes to the files meanwhile. p is told how far it is. After an error, some of the
// records were executed. Damage is a *CorruptError whose text names the command that helps.
func Load(o *LoadOptions, p *LoadProgress) error {
	l := &loader{o: o, p: p, meeting: newMeeting(o.Manifest.Shards, o.Applier)}
	l.meeting.plant = o.plant
	for i := range o.Manifest.Incarnations {
		l.lives = append(l.lives, newLoadedLife(o.Manifest, &o.Manifest.Incarnations[i]))
	}
	lanes := make([]lane, o.Manifest.Shards)
	for i := range lanes {
		lanes[i] = lane{laneReader: laneReader{l: l, shard: i, ends: map[uint32]error{}}}
	}
	busy := 0
	for _, f := range o.Manifest.Live(Incr) {
		n := &lanes[f.Shard]
		if len(n.files) == 0 {
			busy++
		}
		n.files = append(n.files, f)
		if info, err := o.FS.Stat(f.Path(o.Dir, o.Name)); err == nil { // else the lane will say so
			p.TotalBytes.Add(info.Size())
		}
	}
	l.ahead = o.readsAhead(busy)
	var all sync.WaitGroup
	for i := range lanes {
		if len(lanes[i].files) == 0 {
			l.meeting.leave(i)
			continue
		}
		all.Go(func() {
			if err := lanes[i].run(); err != nil {
				l.meeting.fail(err)
			}
			l.meeting.leave(i)
		})
	}
	all.Wait()
	return advise(l.end(lanes), ManifestName(o.Dir, o.Name))
}

// loader is a load under way.
type loader struct {
	o       *LoadOptions
	p       *LoadProgress
	lives   []loadedLife // as in the manifest
	meeting *meeting
	ahead   bool // lanes read ahead
}

// loadedLife is what is loaded of an incarnation: the frames of the range [begin, end).
type loadedLife struct {
	*Incarnation
	begin, end uint64
	want       uint64         // bytes of all their records
	got        *atomic.Uint64 // bytes of those that were executed
}

func newLoadedLife(m *Manifest, i *Incarnation) loadedLife {
	x := loadedLife{Incarnation: i, begin: m.dataStart(i), end: i.EndLSN, got: &atomic.Uint64{}}
	if i.State == Running {
		x.end = math.MaxUint64
	}
	if x.begin < x.end {
		x.want = x.end - x.begin - min(i.MissingBytes, x.end-x.begin)
	}
	return x
}

// end finds out whether all was there.
func (l *loader) end(lanes []lane) error {
	err := l.meeting.failed()
	if errors.Is(err, errPiece) {
		for i := range lanes { // it may be what does not come because of this
			for _, end := range lanes[i].ends {
				return end
			}
		}
	}
	if err != nil {
		return err
	}
	for i := range l.lives {
		x := &l.lives[i]
		if x.State == Running || x.got.Load() == x.want || l.o.plant.uncounted {
			continue
		}
		for j := range lanes {
			if err := lanes[j].ends[x.Number]; err != nil {
				return err
			}
		}
		return &CorruptError{
			File: ManifestName(l.o.Dir, l.o.Name),
			Reason: fmt.Sprintf("the files have %d bytes of incarnation %d, which has written %d", x.got.Load(),
				x.Number, x.want),
		}
	}
	return nil
}

// lane is the files of a shard in order. It belongs to one goroutine, the reader to one that reads ahead meanwhile.
type lane struct {
	laneReader
	commands int64 // of the batch at hand
}

// run loads the files.
func (n *lane) run() error {
	batches := newAhead(n.l.ahead, n.next)
	defer n.close()
	defer batches.stop()
	for {
		b := batches.next()
		err := n.execute(b)
		if err == nil {
			err = b.err
		}
		if err != nil {
			return err
		}
		n.flush(b)
		if b.last {
			return nil
		}
	}
}

// execute executes a batch.
func (n *lane) execute(b *batch) error {
	from := 0
	for i := range b.pieces {
		p := &b.pieces[i]
		if err := n.whole(b, from, p.at); err != nil {
			return err
		}
		commands, err := n.l.meeting.come(n.shard, &p.frame)
		n.commands += int64(commands)
		if errors.Is(err, errPiece) {
			reason := fmt.Sprintf("a transaction at LSN %d misses a piece in another shard's file", p.frame.TxStart)
			return &CorruptError{File: b.path, Offset: b.offsets[p.at], Reason: reason, Err: err}
		}
		if err != nil {
			return b.wrong(p.at, err)
		}
		from = p.at + 1
	}
	return n.whole(b, from, len(b.records))
}

// whole executes frames of a batch that are whole commits.
func (n *lane) whole(b *batch, from, to int) error {
	if from == to {
		return nil
	}
	done, commands, err := n.l.o.Applier.Apply(n.shard, b.records[from:to])
	n.commands += int64(commands)
	if err != nil {
		return b.wrong(from+done, err)
	}
	return nil
}

// wrong is the error of the frame at a place in the batch.
func (b *batch) wrong(at int, err error) error {
	var record *log.CorruptError
	switch {
	case errors.Is(err, errMeetingOver):
		return err
	case errors.As(err, &record), errors.Is(err, log.ErrIncomplete):
		reason := "a record that can't be read: " + err.Error()
		return &CorruptError{File: b.path, Offset: b.offsets[at], Reason: reason, Err: err}
	}
	return fmt.Errorf("aof: %s: the frame at offset %d: %w", b.path, b.offsets[at], err)
}

// flush adds what a batch has brought to what all see.
func (n *lane) flush(b *batch) {
	if b.life != nil {
		b.life.got.Add(b.sum)
	}
	n.l.p.ReadBytes.Add(b.read)
	n.l.p.Commands.Add(n.commands)
	n.commands = 0
}
