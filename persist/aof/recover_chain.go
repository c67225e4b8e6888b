package aof

import (
	"errors"
	"fmt"
	"io"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// chain is the files of one shard that the incarnation has written, in order, and how its frames are gone through.
type chain struct {
	shard int
	files []chainFile

	// Of the merge.
	frames chan []seenFrame
	batch  []seenFrame // what is left of the batch at hand
	keep   uint64      // position behind the last frame that is taken
	taken  uint64      // bytes of the records of those
	ended  bool        // there are no more frames, or none that could be taken
	err    error       // why reading has stopped; valid when frames is closed
	end    uint64      // position at which the frames end; likewise; until they are read, at which they begin
	last   uint64      // LSN at which they end; likewise
}

// chainFile is a file of a chain.
type chainFile struct {
	named   File // as the manifest has it
	path    string
	file    vfs.File // nil: not open for writing
	header  Header   // if headed
	headed  bool
	size    int64
	content int64 // the size, without zeros behind the last frame that is whole
	tail    Tail  // of the frames, if they were read to the end
	ringed  bool  // something was written to it from the ring
	cut     bool
	synced  bool
}

// keep returns the size that a file has if the frames before a position are kept. Of a file that begins behind it
// nothing is left: it would tell that the one before it was longer.
func (f *chainFile) keep(pos uint64) int64 {
	switch {
	case f.headed && pos < f.header.Pos:
		return 0
	case !f.headed || pos == f.header.Pos:
		return HeaderBytes
	}
	return min(f.size, HeaderBytes+int64(pos-f.header.Pos))
}

// extra returns how many bytes behind the frames before a position a file has, without the zeros at its end.
func (f *chainFile) extra(pos uint64) int64 { return f.content - max(f.keep(pos), HeaderBytes) }

// openChains looks for the files of all shards.
func (r *recovery) openChains() error {
	r.chains = make([]chain, r.m.Shards)
	for i := range r.chains {
		r.chains[i].shard = i
	}
	last := r.m.Last().Number
	for _, f := range r.m.Live(Incr) {
		if f.Incarnation != last {
			continue
		}
		cf := chainFile{named: f, path: f.Path(r.o.Dir, r.o.Name)}
		err := cf.look(r.o.FS, r.m, &f)
		if err != nil {
			return err
		}
		c := &r.chains[f.Shard]
		if cf.headed && c.headless() {
			c.keep, c.end = cf.header.Pos, cf.header.Pos
		}
		c.files = append(c.files, cf)
		r.mark = max(r.mark, cf.header.MarkLSN)
	}
	return nil
}

// headless reports whether no file of the chain has a header.
func (c *chain) headless() bool {
	for i := range c.files {
		if c.files[i].headed {
			return false
		}
	}
	return true
}

// look reads a file's header and compares it with what the manifest says.
func (cf *chainFile) look(fsys vfs.FS, m *Manifest, f *File) error {
	in, err := fsys.Open(cf.path)
	if err != nil {
		return missingFile(cf.path, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	cf.size = info.Size()
	cf.header, err = ReadHeader(in, cf.path)
	if errors.Is(err, ErrNoHeader) {
		return nil
	}
	cf.headed, cf.content = err == nil, cf.size
	if err != nil {
		return err
	}
	return cf.header.fits(cf.path, m, f)
}

// fits compares a header with what the manifest says of the file.
func (h *Header) fits(path string, m *Manifest, f *File) error {
	if h.DirID != m.DirID || h.Incarnation != f.Incarnation || h.Shard != f.Shard || h.Shards != m.Shards ||
		h.Seq != f.Seq || h.LSN < f.LSN {
		return &CorruptError{File: path, Reason: "the header is of another file than the manifest says"}
	}
	return nil
}

// seenFrame is what the merge needs of a frame.
type seenFrame struct {
	key    uint64 // where its commit begins: the order of the merge
	end    uint64 // … and ends
	size   uint64 // bytes of its own records
	pos    uint64 // position in the shard's log behind it
	shards *log.ShardSet
}

const (
	// seenBatch is how many frames are handed to the merge at a time.
	seenBatch = 512
	// seenAhead is how many batches may wait for it.
	seenAhead = 2
)

// read hands the chain's frames to the merge. It runs in a goroutine of its own.
func (c *chain) read(r *recovery, quit <-chan struct{}) {
	defer close(c.frames)
	c.last = r.begin
	seen := &seenFrames{c: c, quit: quit}
	for i := range c.files {
		f := &c.files[i]
		if !f.headed {
			continue
		}
		if f.header.Pos != c.end {
			if f.header.Pos < c.end {
				c.err = &CorruptError{File: f.path, Reason: "begins before the file before it has ended"}
			}
			break
		}
		if c.err = c.readFile(r, f, seen); c.err != nil {
			break
		}
		if f.tail.Kind != TailWhole {
			break
		}
	}
	seen.send()
}

var errQuit = errors.New("aof: nobody reads")

// readFile reads one file of the chain.
func (c *chain) readFile(r *recovery, f *chainFile, seen *seenFrames) error {
	in, err := OpenIncr(r.o.FS, f.path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	in.unchecked = r.o.plant.sumUnchecked
	for {
		frame, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if frame.TxEnd <= r.begin { // it is in the BASE
			continue
		}
		s := seenFrame{key: frame.TxStart, end: frame.TxEnd, size: frame.Len(), pos: in.Pos()}
		if frame.Piece {
			shards := frame.Shards
			s.shards = &shards
		}
		if !seen.add(s) {
			return errQuit
		}
	}
	f.tail = in.Tail()
	c.end, c.last = f.tail.Pos, f.tail.LSN
	if f.tail.Kind == TailWhole {
		f.content = f.tail.Offset
	}
	return nil
}

// seenFrames gathers frames for the merge.
type seenFrames struct {
	c    *chain
	quit <-chan struct{}
	list []seenFrame
}

func (s *seenFrames) add(f seenFrame) bool {
	if s.list == nil {
		s.list = make([]seenFrame, 0, seenBatch)
	}
	s.list = append(s.list, f)
	return len(s.list) < seenBatch || s.send()
}

// send hands over what was gathered, and reports whether somebody takes it.
func (s *seenFrames) send() bool {
	if len(s.list) == 0 {
		return true
	}
	select {
	case s.c.frames <- s.list:
		s.list = nil
		return true
	case <-s.quit:
		return false
	}
}
