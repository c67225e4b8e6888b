package aof

import (
	"bytes"
	"fmt"

	"fulmen/persist/log"
)

// covers reports whether a ring has all from a position to the tail, and there is something.
func covers(s *log.RingShard, pos uint64) bool {
	if pos >= s.Tail {
		return false
	}
	for i := range s.Ranges {
		if end := rangeEnd(&s.Ranges[i]); s.Ranges[i].Pos <= pos && pos < end {
			pos = end
		}
	}
	return pos >= s.Tail
}

func rangeEnd(p *log.RingRange) uint64 { return p.Pos + uint64(len(p.Data)) }

// writeRing writes all that the ring has to the files, where it belongs, written already or not.
func (r *recovery) writeRing() error {
	for i := range r.chains {
		c := &r.chains[i]
		s := &r.ring.Shards[i]
		if c.headless() {
			if err := r.beginFile(c, s); err != nil {
				return err
			}
		}
		for j := range s.Ranges {
			if err := r.writePart(c, &s.Ranges[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePart writes a part of the ring to the files of its shard.
func (r *recovery) writePart(c *chain, p *log.RingRange) error {
	for j := range c.files {
		f := &c.files[j]
		if !f.headed {
			continue
		}
		from, to := max(p.Pos, f.header.Pos), rangeEnd(p)
		for k := j + 1; k < len(c.files); k++ {
			if c.files[k].headed {
				to = min(to, c.files[k].header.Pos)
				break
			}
		}
		if from >= to {
			continue
		}
		file, err := r.openWrite(f)
		if err != nil {
			return err
		}
		offset := HeaderBytes + int64(from-f.header.Pos)
		data := p.Data[from-p.Pos : to-p.Pos]
		if err := file.Allocate(offset, int64(len(data))); err != nil {
			return fmt.Errorf("aof: %w", err)
		}
		if _, err := file.WriteAt(data, offset); err != nil {
			return fmt.Errorf("aof: %w", err)
		}
		end := offset + int64(len(data))
		f.ringed = true
		r.found.RingBytes += max(0, end-max(offset, f.size))
		f.size = max(f.size, end)
		f.content = max(f.content, end)
	}
	return nil
}

// beginFile gives a shard whose files have no frames yet a file that begins with the first frame in the ring: the one
// that the server was about to write to.
func (r *recovery) beginFile(c *chain, s *log.RingShard) error {
	pos := s.Tail
	if len(s.Ranges) > 0 {
		pos = r.firstFrame(s)
	}
	if pos == s.Tail {
		c.first, c.keep = pos, pos
		return nil
	}
	if len(c.files) == 0 {
		return &CorruptError{
			File:   ManifestName(r.o.Dir, r.o.Name),
			Reason: fmt.Sprintf("names no file for what shard %d has committed", c.shard),
		}
	}
	f := &c.files[0]
	f.header = Header{
		DirID: r.m.DirID, Incarnation: r.m.Last().Number, Shard: c.shard, Shards: r.m.Shards, Seq: f.named.Seq,
		Pos: pos, LSN: max(r.begin, f.named.LSN),
	}
	file, err := r.openWrite(f)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(f.header.Append(nil), 0); err != nil {
		return fmt.Errorf("aof: %w", err)
	}
	f.headed, c.first, c.keep = true, pos, pos
	f.size = max(f.size, HeaderBytes)
	return nil
}

// firstFrame finds where the first frame in the ring begins that is not in a BASE. The ring need not begin with a
// frame; what looks like one is one if others follow it without a gap up to the tail. If there is none it returns the
// tail: what is not in a file yet begins in the ring.
func (r *recovery) firstFrame(s *log.RingShard) (pos uint64) {
	p := &s.Ranges[0]
	for _, q := range s.Ranges[1:] { // together, as far as they are
		if q.Pos != rangeEnd(p) {
			break
		}
		p = &log.RingRange{Pos: p.Pos, Data: append(bytes.Clone(p.Data), q.Data...)}
	}
	if rangeEnd(p) != s.Tail { // the ring was too small: nobody was told of what came after the gap
		if _, n, err := log.DecodeFrame(p.Data); err != nil || n == 0 {
			return s.Tail
		}
		return p.Pos
	}
	for at := 0; at < len(p.Data); at++ {
		if p.Data[at] != '#' {
			continue
		}
		if first, ok := r.follow(p.Data[at:]); ok {
			return p.Pos + uint64(at+first)
		}
	}
	return s.Tail
}

// follow goes from frame to frame and returns where the first one is that is not in a BASE. ok is false if they do not
// come to the end of data.
func (r *recovery) follow(data []byte) (first int, ok bool) {
	for at := 0; at < len(data); {
		f, n, err := log.DecodeFrame(data[at:])
		if err != nil || n == 0 || f.Incarnation != r.m.Last().Number {
			return 0, false
		}
		at += n
		if f.TxEnd <= r.begin {
			first = at
		}
	}
	return first, true
}
