package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"fulmen/persist/aof"
	"fulmen/persist/log"
)

// aofWalk goes through the commits of an append-only file of ours by LSN: those that a start would load if there were
// no ring in memory. With one it is the files after withRing or settle that are gone through.
type aofWalk struct {
	in    *aofInput
	until uint64 // commits that end above are left out
	// untilSec, unless it is 0, is the Unix time of the last commits that are not left out: all are from the first one
	// on that says a later time.
	untilSec int64

	// what was found
	commits, frames, records int64
	end                      uint64 // of the last commit
	begin                    uint64 // of the data that is not in a BASE
	incarnation              uint32 // of the last commit
	missing                  uint64 // bytes that incarnation lacks, within what was walked
	cut                      bool   // commits were left out for until, or untilSec
	dated                    bool   // there are commits that say their time
	stopped                  error  // why there is no more, if that is not the end of all files
	torn                     bool   // … and the next start puts up with it
	lost                     int64  // bytes of the files behind what was walked, if it has stopped
}

// aofCommit is one commit; its slices are valid during the visit.
type aofCommit struct {
	incarnation uint32
	start, end  uint64
	timeSec     int64 // Unix time; 0: that is not said
	parts       [][]byte
	files       []string // of the parts
	offsets     []int64
}

// aofLane is one shard's files.
type aofLane struct {
	w       *aofWalk
	files   []aof.File
	r       *aof.IncrReader
	frame   log.Frame
	timeSec int64 // of frame
	at      int64 // offset of frame
	ok      bool  // there is a frame
	pos     uint64
	tail    error // how the frames of the file at hand end, if not as they should
}

// walk calls visit for each commit.
func (w *aofWalk) walk(visit func(*aofCommit) error) (err error) {
	m := w.in.manifest
	for _, f := range m.Live(aof.Base) {
		w.begin = max(w.begin, f.LSN)
	}
	w.begin = max(w.begin, m.Incarnations[0].StartLSN)
	w.end = w.begin
	for i := range m.Incarnations {
		life := &m.Incarnations[i]
		if w.stopped != nil {
			if err := w.pass(life); err != nil {
				return err
			}
			continue
		}
		if w.cut || life.State != aof.Running && life.EndLSN <= w.begin {
			continue
		}
		if err := w.life(life, visit); err != nil {
			return err
		}
	}
	return nil
}

// life goes through the commits of one incarnation.
func (w *aofWalk) life(life *aof.Incarnation, visit func(*aofCommit) error) (err error) {
	lanes := make([]aofLane, w.in.manifest.Shards)
	for i := range lanes {
		lanes[i].w = w
	}
	for _, f := range w.in.manifest.Live(aof.Incr) {
		if f.Incarnation == life.Number {
			lanes[f.Shard].files = append(lanes[f.Shard].files, f)
		}
	}
	defer func() {
		for i := range lanes {
			if w.stopped != nil {
				err = errors.Join(err, lanes[i].pass())
			}
			err = errors.Join(err, lanes[i].close())
		}
	}()
	for i := range lanes {
		if err := lanes[i].next(); err != nil {
			return err
		}
	}
	w.incarnation, w.missing = life.Number, 0
	at, end := max(life.StartLSN, w.begin), uint64(math.MaxUint64)
	if life.State != aof.Running {
		end = life.EndLSN
	}
	for {
		c, err := w.gather(lanes)
		if err != nil || c == nil || c.start >= end {
			return errors.Join(err, w.ended(lanes, life, at))
		}
		hole := c.start - at
		if c.start < at {
			w.stopped = &aof.CorruptError{File: c.files[0], Offset: c.offsets[0], Reason: "overlaps the commit before"}
			return nil
		}
		if !c.whole() || hole > 0 && (life.State == aof.Running || w.missing+hole > life.MissingBytes) {
			return w.ended(lanes, life, at)
		}
		w.dated = w.dated || c.timeSec > 0
		if c.end > w.until || w.untilSec > 0 && c.timeSec > w.untilSec {
			w.cut = true
			return nil
		}
		w.missing += hole
		at, w.end = c.end, c.end
		w.commits++
		w.frames += int64(len(c.parts))
		if err := visit(c); err != nil {
			return err
		}
		for i := range lanes {
			if lanes[i].ok && lanes[i].frame.TxStart == c.start {
				if err := lanes[i].next(); err != nil {
					return err
				}
			}
		}
	}
}

// ended judges what the walk of an incarnation has ended with.
func (w *aofWalk) ended(lanes []aofLane, life *aof.Incarnation, at uint64) error {
	running := life.State == aof.Running
	if !running && at+(life.MissingBytes-w.missing) >= life.EndLSN {
		w.end = max(w.end, life.EndLSN)
		w.missing = life.MissingBytes
		return nil
	}
	mark, err := w.mark(life)
	if err != nil {
		return err
	}
	left := false
	for i := range lanes {
		left = left || lanes[i].ok
		if w.stopped == nil {
			w.stopped = lanes[i].tail
		}
	}
	if w.stopped == nil && (left || !running || mark > at) {
		w.stopped = &aof.CorruptError{File: w.in.manifestName(), Reason: fmt.Sprintf(
			"what incarnation %d has written at LSN %d is in no file", life.Number, at)}
	}
	w.torn = w.stopped != nil && running && mark <= at
	return nil
}

// mark returns the LSN below which everything that an incarnation has written was on the disk once.
func (w *aofWalk) mark(life *aof.Incarnation) (mark uint64, err error) {
	for _, f := range w.in.manifest.Live(aof.Incr) {
		if f.Incarnation != life.Number {
			continue
		}
		r, err := aof.OpenIncr(w.in.files, f.Path(w.in.dir, w.in.name))
		if errors.Is(err, aof.ErrNoHeader) {
			continue
		}
		if err != nil {
			return 0, err
		}
		mark = max(mark, r.Header.MarkLSN)
		if err := r.Close(); err != nil {
			return 0, err
		}
	}
	return mark, nil
}

// gather returns the next commit, nil if there is none.
func (w *aofWalk) gather(lanes []aofLane) (*aofCommit, error) {
	var c *aofCommit
	for i := range lanes {
		if l := &lanes[i]; l.ok && (c == nil || l.frame.TxStart < c.start) {
			c = &aofCommit{incarnation: l.frame.Incarnation, start: l.frame.TxStart, end: l.frame.TxEnd}
		}
	}
	if c == nil {
		return nil, nil
	}
	for i := range lanes {
		if l := &lanes[i]; l.ok && l.frame.TxStart == c.start {
			c.parts = append(c.parts, l.frame.Records)
			c.timeSec = max(c.timeSec, l.timeSec)
			c.files = append(c.files, l.path())
			c.offsets = append(c.offsets, l.at)
		}
	}
	return c, nil
}

// whole tells whether no piece is missing.
func (c *aofCommit) whole() bool {
	n := uint64(0)
	for _, part := range c.parts {
		n += uint64(len(part))
	}
	return n == c.end-c.start
}

func (l *aofLane) path() string { return l.files[0].Path(l.w.in.dir, l.w.in.name) }

// next reads the next frame that is not in a BASE.
func (l *aofLane) next() error {
	l.ok = false
	for len(l.files) > 0 && l.tail == nil {
		if l.r == nil {
			r, err := aof.OpenIncr(l.w.in.files, l.path())
			if errors.Is(err, aof.ErrNoHeader) {
				l.files = l.files[1:]
				continue
			}
			if err != nil {
				return err
			}
			l.r, l.timeSec = r, 0
			if l.pos != 0 && l.pos != r.Header.Pos {
				l.tail = &aof.CorruptError{File: l.path(), Reason: "doesn't begin where the file before it ends"}
				return nil
			}
		}
		l.at = l.r.Offset()
		f, err := l.r.Next()
		if err == nil && f.TimeSec > 0 {
			l.timeSec = f.TimeSec
		}
		if err == nil && f.TxEnd <= l.w.begin {
			continue
		}
		if err == nil {
			l.frame, l.ok = f, true
			return nil
		}
		if err != io.EOF {
			return err
		}
		tail := l.r.Tail()
		l.pos = l.r.Pos()
		if l.tail = tail.Error(l.path()); l.tail != nil || len(l.files) == 1 {
			return nil // the reader stays for its header
		}
		if err := l.close(); err != nil {
			return err
		}
		l.files = l.files[1:]
	}
	return nil
}

// pass counts what is left of a lane.
func (l *aofLane) pass() error {
	if l.r != nil {
		end, err := l.r.ContentEnd(l.at, l.r.Size())
		if err != nil {
			return err
		}
		l.w.lost += end - l.at
		l.files = l.files[1:]
	}
	return l.w.passFiles(l.files)
}

// pass counts what the files of an incarnation have.
func (w *aofWalk) pass(life *aof.Incarnation) error {
	files := w.in.manifest.Live(aof.Incr)
	return w.passFiles(slices.DeleteFunc(files, func(f aof.File) bool { return f.Incarnation != life.Number }))
}

func (w *aofWalk) passFiles(files []aof.File) error {
	for _, f := range files {
		r, err := aof.OpenIncr(w.in.files, f.Path(w.in.dir, w.in.name))
		var damaged *aof.CorruptError
		if errors.Is(err, aof.ErrNoHeader) || errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
			continue // nothing of it can be read
		}
		if err != nil {
			return err
		}
		end, err := r.ContentEnd(aof.HeaderBytes, r.Size())
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		w.lost += end - aof.HeaderBytes
	}
	return nil
}

func (l *aofLane) close() error {
	if l.r == nil {
		return nil
	}
	err := l.r.Close()
	l.r = nil
	return err
}
