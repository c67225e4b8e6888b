package aof

import (
	"fulmen/persist/log"
)

// maxWriteBytes bounds a write(2). A block of the log is as long, so none is copied to be written in one piece.
const maxWriteBytes = 1 << 20

// stream is the way of one shard's log to its files. It belongs to the Writer's goroutine.
type stream struct {
	read  *log.ChunkReader // stands behind rest
	keep  *log.ChunkReader // stands at what may have to be written again, and keeps it in memory
	rest  []byte           // was read and is not written yet
	pos   uint64           // of rest
	noted uint64           // the index has frames up to this position
	files []*incrFile      // not yet synced to their end, oldest first; the last one is the newest file of the shard
}

// open begins reading at a Hold.
func (s *stream) open(h *log.Hold, shard int, f *incrFile) error {
	keep, err := h.Chunks(shard, nil)
	if err != nil {
		return err
	}
	s.keep, s.read = keep, keep.Copy(nil)
	s.pos = keep.Pos()
	f.begin(s.pos, h.LSN())
	s.files = append(s.files, f)
	return nil
}

func (s *stream) close() {
	s.read.Close()
	s.keep.Close()
}

// newest returns the shard's newest file.
func (s *stream) newest() *incrFile { return s.files[len(s.files)-1] }

// at returns the file that the byte at pos belongs to.
func (s *stream) at(pos uint64) *incrFile {
	for _, f := range s.files {
		if pos < f.end {
			return f
		}
	}
	panic("BUG: aof: no file for a position")
}

// switchTo makes f the newest file, from pos on.
func (s *stream) switchTo(f *incrFile, pos, lsn uint64) {
	f.begin(pos, lsn)
	s.newest().end = pos
	s.files = append(s.files, f)
}

// writeTo writes what lies before the position to.
func (s *stream) writeTo(to uint64, w *Writer) error {
	for s.pos < to {
		if len(s.rest) == 0 {
			s.rest = s.read.Next(int(min(maxWriteBytes, to-s.pos)))
			s.note(w)
		}
		f := s.at(s.pos)
		p := s.rest[:min(uint64(len(s.rest)), f.end-s.pos)]
		f.mark(w.markLSN(), w.nowNs)
		before := f.size
		n, err := f.write(s.pos, p, w.zeros())
		if f == s.newest() {
			w.newBytes.Add(f.size - before)
		} else {
			w.otherBytes.Add(f.size - before)
		}
		s.rest = s.rest[n:]
		s.pos += uint64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// note tells the index where frames begin in what was just read.
func (s *stream) note(w *Writer) {
	if w.o.Index == nil {
		return
	}
	w.marks, s.noted = s.read.Marks(s.noted, w.marks[:0])
	for _, m := range w.marks {
		for _, f := range s.files {
			if m.Pos >= f.header.Pos && m.Pos < f.end {
				w.o.Index.add(fileKey{f.header.Seq, f.header.Shard}, place{m.LSN, f.offset(m.Pos)})
			}
		}
	}
}

// syncedTo returns the position up to which all has lasted.
func (s *stream) syncedTo() uint64 {
	for _, f := range s.files {
		if f.synced < f.end {
			return f.synced
		}
	}
	return s.pos
}

// rewind goes back to what may have been lost, to write it again, and returns how many bytes it can't.
func (s *stream) rewind() (gone uint64) {
	s.rest = nil
	s.read.Close()
	s.read = s.keep.Copy(nil)
	s.pos = s.keep.Pos()
	for _, f := range s.files {
		gone += f.lose(s.pos)
	}
	return gone
}

// release lets go of the log before pos.
func (s *stream) release(pos uint64) {
	for s.keep.Pos() < pos {
		s.keep.Next(int(min(maxWriteBytes, pos-s.keep.Pos())))
	}
}
