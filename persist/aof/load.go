package aof

import (
	"errors"
	"fmt"
	"io"
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
	// Apply executes the records of one commit: parts are the pieces that have any, in order; each begins in database 0
	// and has SELECT where it is another one, and MULTI and EXEC may stand around them all. It is called for different
	// commits at the same time, for each lane once at a time; commits at the same time have no keys in common. parts
	// are valid until it returns. It returns how many commands it has executed.
	Apply(lane int, parts [][]byte) (commands int, err error)
}

// LoadOptions say what is loaded.
type LoadOptions struct {
	FS       vfs.FS
	Dir      string // of the files
	Name     string // appendfilename
	Manifest *Manifest
	Applier  Applier
	Index    *Index // is told where frames are; nil: nobody wants to know

	plant loadPlant
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
		lanes[i] = lane{l: l, shard: i}
	}
	for _, f := range o.Manifest.Live(Incr) {
		lanes[f.Shard].files = append(lanes[f.Shard].files, f)
		if info, err := o.FS.Stat(f.Path(o.Dir, o.Name)); err == nil { // else the lane will say so
			p.TotalBytes.Add(info.Size())
		}
	}
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

// lane is the files of a shard in order. It belongs to one goroutine.
type lane struct {
	l     *loader
	shard int
	files []File
	ends  map[uint32]error // how the frames of incarnations end, if not as they should

	// Of the incarnation at hand.
	life *loadedLife
	pos  uint64 // behind the last frame; 0: there was no file yet
	over bool   // its end is reached

	sum      uint64 // what is not added to life.got yet
	commands int64  // … and to the progress
	read     int64
	parts    [1][]byte
}

// run loads the files.
func (n *lane) run() error {
	n.ends = map[uint32]error{}
	for i := range n.files {
		f := &n.files[i]
		if n.life == nil || n.life.Number != f.Incarnation {
			n.flush()
			n.pos, n.over = 0, false
			for j := range n.l.lives {
				if n.l.lives[j].Number == f.Incarnation {
					n.life = &n.l.lives[j]
				}
			}
		}
		if err := n.file(f); err != nil {
			return err
		}
	}
	n.flush()
	return nil
}

// file loads a file.
func (n *lane) file(f *File) error {
	path := f.Path(n.l.o.Dir, n.l.o.Name)
	r, err := OpenIncr(n.l.o.FS, path)
	if errors.Is(err, ErrNoHeader) {
		return nil
	}
	if err != nil {
		return missingFile(path, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	r.unchecked = n.l.o.plant.unchecked
	if err := r.Header.fits(path, n.l.o.Manifest, f); err != nil {
		return err
	}
	if n.over {
		return nil
	}
	if n.pos != 0 && n.pos != r.Header.Pos {
		return n.gap(path, r.Header.Pos)
	}
	before := r.Offset()
	n.read += before
	noted := int64(0)
	for {
		frame, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil && frame.TxStart >= n.life.end && !n.l.o.plant.endless {
			n.over = true // what an incarnation has written beyond its end is no part of the data
			break
		}
		if err == nil {
			if before >= noted {
				n.l.o.Index.add(fileKey{f.Seq, f.Shard}, place{frame.Start, before})
				noted = before + indexStride
			}
			err = n.frame(&frame, path, before)
		}
		if err != nil {
			return err
		}
		n.read += r.Offset() - before
		before = r.Offset()
		if n.read >= 1<<18 {
			n.flush()
		}
	}
	n.read += r.Size() - before
	n.pos = r.Pos()
	if tail := r.Tail(); !n.over && tail.Kind != TailWhole && n.ends[f.Incarnation] == nil {
		n.ends[f.Incarnation] = tail.Error(path)
	}
	return nil
}

// gap is the error of a file that does not begin where the one before it has ended.
func (n *lane) gap(path string, pos uint64) error {
	if err := n.ends[n.life.Number]; err != nil {
		return err
	}
	return &CorruptError{
		File:   path,
		Reason: fmt.Sprintf("begins at %d in the log of its shard, and the file before ends at %d", pos, n.pos),
	}
}

// frame executes a frame, or waits until others have.
func (n *lane) frame(f *log.Frame, path string, offset int64) error {
	if f.TxEnd <= n.life.begin { // it is in the BASE
		return nil
	}
	corrupt := func(reason string, err error) error {
		return &CorruptError{File: path, Offset: offset, Reason: reason, Err: err}
	}
	if f.TxStart < n.life.begin || f.TxEnd > n.life.end && !n.l.o.plant.endless {
		return corrupt("a commit that lies half in the range of its incarnation", nil)
	}
	n.sum += f.Len()
	var err error
	var commands int
	if f.Piece && !n.l.o.plant.piecesMissing {
		commands, err = n.l.meeting.come(n.shard, f)
	} else if f.Len() > 0 {
		n.parts[0] = f.Records
		commands, err = n.l.o.Applier.Apply(n.shard, n.parts[:])
	}
	n.commands += int64(commands)
	var record *log.CorruptError
	if errors.Is(err, errPiece) {
		return corrupt(fmt.Sprintf("a transaction at LSN %d misses a piece in another shard's file", f.TxStart), err)
	}
	if errors.As(err, &record) || errors.Is(err, log.ErrIncomplete) {
		return corrupt("a record that can't be read: "+err.Error(), err)
	}
	if err != nil && !errors.Is(err, errMeetingOver) {
		return fmt.Errorf("aof: %s: the frame at offset %d: %w", path, offset, err)
	}
	return err
}

// flush adds what the lane has counted to what all see.
func (n *lane) flush() {
	if n.life != nil {
		n.life.got.Add(n.sum)
	}
	n.l.p.ReadBytes.Add(n.read)
	n.l.p.Commands.Add(n.commands)
	n.sum, n.read, n.commands = 0, 0, 0
}
