package aof

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// The files as a source of the merged stream, for replicas that lack more than memory has. INCR files hold the frames
// of a shard each, with annotations; what a replica gets are the records of all shards in the order of LSNs. So the
// bytes are merged here as log.MergedReader merges them from memory, and can't be left to sendfile.
//
// # What the files have
//
// A life of the server (incarnation) goes on with the one before if it starts where that one has ended: nothing was
// changed in between that is in no file. Within a life the files of a shard follow each other without a gap, from the
// BASE that history goes back to. So the stream is there from the beginning of the first life of such a chain, or from
// the first BASE that is left of it. After a kill there may be holes in what a life has taken: ranges of commits that
// were never published. Nobody was sent them, nor anything behind them under the name that the history had then, so
// what they hold is free to choose: line ends, which every reader of the stream skips, and counts.
//
// # What may be read of files that are being written
//
// A reader loads WrittenLSN before it reads: every frame below is in the files then, whole, and stays as it is. It
// believes no frame that starts at or above that, whatever it has read there, and reads the file anew once there is
// more. New files are named by the manifest before anything is written to them (PrepareAnew's, before there is a Writer
// to read of), and a file has its header before it has frames. So if a file begins at an LSN that is written, the file
// before it has all its frames.
//
// # Why the files stay
//
// A reader holds what it may need, by the number of files, from its opening to its Close: generations from that on are
// not forgotten. Rewriter.forgotten decides that under the lock of the list of readers, and notes there from where on
// files stay, before the manifest follows; nobody is put on the list that needs what is before.

// ErrNoStream is what OpenStream returns if the files don't have the stream from there on.
var ErrNoStream = errors.New("aof: the files don't have that part of the stream")

// StreamReader reads the merged stream from INCR files. One goroutine at a time uses it.
type StreamReader struct {
	r     *Rewriter
	w     *Writer
	needs atomic.Uint64 // no file below this number

	pos     uint64 // LSN of the next byte
	limit   uint64 // everything below was written when it was looked up
	opened  bool
	lanes   []streamLane
	cur     *streamLane // whose frame pos is in; nil: pos is where one begins
	left    uint64      // bytes of it, or of a hole if fills, yet to come
	fills   bool
	err     error
	damaged uint64 // the end of a frame that is not right
	plant   sourcePlant
}

// sourcePlant lets a test break reading on purpose.
type sourcePlant struct {
	skipsFrame bool // a frame of the second lane is left out
	wrongStart bool // the stream begins at the beginning of the frame that the position is in
	beyond     bool // what is not written yet is believed
}

// streams is what a Rewriter knows of the StreamReaders. The lock is held for a few instructions.
type streams struct {
	mu      sync.Mutex
	open    map[*StreamReader]struct{}
	broken  uint64 // the files can't be read at an LSN below
	keptLSN uint64 // nor were they kept below …
	keptSeq uint64 // … which is where the files of this number begin
}

// pinned returns the number below which no reader needs files; with the lock.
func (x *streams) pinned() uint64 {
	seq := uint64(math.MaxUint64)
	for s := range x.open {
		seq = min(seq, s.needs.Load())
	}
	return seq
}

// keep returns the number below which the files of m may go that are not retained: that of a generation's first file.
// From there on readers may be opened.
func (x *streams) keep(m *Manifest, all []generation, retained uint64) (below uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	pinned := x.pinned()
	for i := range all {
		if below = all[i].seq; below >= retained || i+1 < len(all) && pinned < all[i+1].seq {
			break
		}
	}
	for i := range m.Files {
		if f := &m.Files[i]; f.Seq == below && f.Kind == Base && below > m.Files[0].Seq {
			x.keptSeq, x.keptLSN = below, f.LSN
		}
	}
	return below
}

// StreamFrom returns the LSN from which on the files have the stream, as long as there is a Writer; MaxUint64: they
// have nothing of it. Safe from any goroutine, and done without the disk.
func (r *Rewriter) StreamFrom() uint64 {
	r.streams.mu.Lock()
	defer r.streams.mu.Unlock()
	from, _ := r.streams.from(r.Manifest())
	return from
}

// from returns also the number of the first file; with the lock.
func (x *streams) from(m *Manifest) (lsn, seq uint64) {
	if m == nil || len(m.Files) == 0 {
		return math.MaxUint64, 0
	}
	i := len(m.Incarnations) - 1
	for ; i > 0; i-- {
		before := &m.Incarnations[i-1]
		if before.State == Running || before.EndLSN != m.Incarnations[i].StartLSN {
			break
		}
	}
	first := &m.Incarnations[i]
	for j := range m.Files {
		f := &m.Files[j]
		if f.Incarnation < first.Number {
			continue
		}
		lsn = first.StartLSN
		if f.Kind == Base {
			lsn = max(lsn, f.LSN)
		}
		return max(lsn, x.broken, x.keptLSN), max(f.Seq, x.keptSeq)
	}
	return math.MaxUint64, 0
}

// OpenStream returns a reader of the stream from lsn on, as w writes it to the files. The files that it needs stay
// until it is closed. Nothing is read yet, so it is no work for the disk. ErrNoStream: the files don't have it from
// there on. Safe from any goroutine.
func (r *Rewriter) OpenStream(w *Writer, lsn uint64) (*StreamReader, error) {
	r.streams.mu.Lock()
	defer r.streams.mu.Unlock()
	m := r.Manifest()
	from, seq := r.streams.from(m)
	if lsn < from || lsn > w.WrittenLSN() || m.Last().Number != w.o.Incarnation {
		return nil, ErrNoStream
	}
	seq = m.neededFrom(lsn, seq)
	s := &StreamReader{r: r, w: w, pos: lsn, lanes: make([]streamLane, m.Shards)}
	s.needs.Store(seq)
	for i := range s.lanes {
		s.lanes[i] = streamLane{s: s, shard: i, seq: seq - 1}
	}
	r.streams.open[s] = struct{}{}
	return s, nil
}

// neededFrom returns the number of the first file that has something of the stream from lsn on, which is at least seq:
// what was written before a BASE's cut lies in files of lower numbers.
func (m *Manifest) neededFrom(lsn, seq uint64) uint64 {
	for i := range m.Files {
		if f := &m.Files[i]; f.Kind == Base && f.LSN <= lsn {
			seq = max(seq, f.Seq)
		}
	}
	return seq
}

// LSN returns the LSN of the next byte.
func (s *StreamReader) LSN() uint64 { return s.pos }

// Written returns up to where there is something to read now; more tells whether there will be more.
func (s *StreamReader) Written() (lsn uint64, more bool) {
	more = !s.w.closing.Load()
	return s.w.WrittenLSN(), more
}

// Close ends the reader, and what it keeps. Closing twice is allowed.
func (s *StreamReader) Close() {
	s.r.streams.mu.Lock()
	delete(s.r.streams.open, s)
	s.r.streams.mu.Unlock()
	for i := range s.lanes {
		s.lanes[i].close()
	}
}

// Append appends the next bytes of the stream to dst, at most limit; fewer where what is written ends. It blocks on the
// disk. After an error nothing more is read, and the files are not opened any more at this LSN or below.
func (s *StreamReader) Append(dst []byte, limit int) ([]byte, error) {
	to := len(dst) + limit
	for len(dst) < to && s.err == nil {
		if s.left == 0 {
			ok, err := s.turn()
			if err != nil {
				s.fail(err)
			}
			if !ok {
				break
			}
			continue
		}
		before := len(dst)
		var err error
		if dst, err = s.next(dst, int(min(uint64(to-len(dst)), s.left))); err != nil {
			s.fail(err)
		}
		n := uint64(len(dst) - before)
		s.pos += n
		s.left -= n
	}
	return dst, s.err
}

// next appends up to n bytes of the frame or hole that pos is in.
func (s *StreamReader) next(dst []byte, n int) ([]byte, error) {
	if s.fills {
		for range n {
			dst = append(dst, '\n')
		}
		return dst, nil
	}
	p, err := s.cur.take(n)
	return append(dst, p...), err
}

// fail notes that the files can't be read here.
func (s *StreamReader) fail(err error) {
	s.err = fmt.Errorf("aof: the stream at LSN %d: %w", s.pos, err)
	x := &s.r.streams
	x.mu.Lock()
	defer x.mu.Unlock()
	x.broken = max(x.broken, s.pos+1, s.damaged)
}

// turn goes to the frame, or the hole, that begins at pos, or the first time to the one that pos is in; false: pos is
// not written yet.
func (s *StreamReader) turn() (bool, error) {
	s.cur, s.fills = nil, false
	if s.pos >= s.limit {
		if s.limit = s.w.WrittenLSN(); s.pos >= s.limit {
			return false, nil
		}
		s.needs.Store(s.r.Manifest().neededFrom(s.pos, s.needs.Load()))
	}
	if s.plant.beyond {
		s.limit = math.MaxUint64
	}
	if !s.opened {
		if err := s.seek(); err != nil || s.left > 0 {
			return err == nil, err
		}
	}
	for i := range s.lanes {
		if n := &s.lanes[i]; n.known && n.head.Start == s.pos {
			return true, s.begin(n)
		}
	}
	for i := range s.lanes {
		n := &s.lanes[i]
		if n.known {
			continue
		}
		if err := n.fill(); err != nil {
			return false, err
		}
		if n.known && n.head.Start == s.pos {
			return true, s.begin(n)
		}
	}
	return true, s.fillHole()
}

// seek opens the files and goes to where pos is.
func (s *StreamReader) seek() error {
	s.opened = true
	for i := range s.lanes {
		n := &s.lanes[i]
		if err := n.seek(s.pos); err != nil {
			return err
		}
		if !n.known || n.head.Start >= s.pos {
			continue
		}
		skip := s.pos - n.head.Start
		if err := s.begin(n); err != nil {
			return err
		}
		if !s.plant.wrongStart {
			n.offset += int64(skip)
		}
		s.left -= skip
	}
	return nil
}

// begin makes the frame at hand of a lane the current one.
func (s *StreamReader) begin(n *streamLane) error {
	if err := n.check(); err != nil {
		s.damaged = n.head.End
		return err
	}
	n.known = false
	n.offset += int64(n.line)
	s.cur, s.left = n, n.head.Len()
	if s.plant.skipsFrame && n.shard == 1 {
		n.offset += int64(s.left)
		s.plant.skipsFrame, s.left = false, 0
		s.pos = n.head.End
	}
	return nil
}

// fillHole makes the hole at pos the current range: of a life that was killed up to its next frame or its end.
func (s *StreamReader) fillHole() error {
	m := s.r.Manifest()
	to := s.limit
	for i := range s.lanes {
		if n := &s.lanes[i]; n.known {
			to = min(to, n.head.Start)
		}
	}
	i := slices.IndexFunc(m.Incarnations, func(x Incarnation) bool {
		return x.StartLSN <= s.pos && s.pos < x.EndLSN && x.State != Running
	})
	if i < 0 {
		return fmt.Errorf("there is no frame below LSN %d", to)
	}
	s.left, s.fills = min(to, m.Incarnations[i].EndLSN)-s.pos, true
	if s.left > m.Incarnations[i].MissingBytes {
		return fmt.Errorf("there is no frame below LSN %d", to)
	}
	return nil
}
