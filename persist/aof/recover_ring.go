package aof

import (
	"fmt"

	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// RingName is the path of the running incarnation's ring; empty if it has none, or has ended.
func (m *Manifest) RingName() string {
	life := m.Last()
	if life.RingDir == "" || life.State != Running {
		return ""
	}
	return log.RingName(life.RingDir, m.DirID)
}

// ReadRing reads what the running incarnation has left in its ring; nil if it has none, or has ended. Errors are those
// of log.BootID and log.ReadRing.
func (m *Manifest) ReadRing(fsys vfs.FS) (*log.RingContent, error) {
	name := m.RingName()
	if name == "" {
		return nil, nil
	}
	boot, err := log.BootID(fsys)
	if err != nil {
		return nil, err
	}
	return log.ReadRing(fsys, name, log.RingIdentity{
		Boot: boot, DirID: m.DirID, Incarnation: m.Last().Number, Shards: m.Shards,
	})
}

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
	pos, ok := r.firstFrame(s)
	c.keep, c.end = pos, pos
	if !ok {
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
	f.headed = true
	f.size = max(f.size, HeaderBytes)
	return nil
}

// firstFrame finds where the first frame in the ring begins that is not in a BASE. ok is false if there is none, and
// pos then up to where nothing is missing: the tail, unless the ring was too small.
//
// What is not in a file yet begins in the ring, but the ring need not begin with a frame. What looks like one is one if
// others follow it without a gap up to the tail.
func (r *recovery) firstFrame(s *log.RingShard) (pos uint64, ok bool) {
	if len(s.Ranges) == 0 {
		return 0, false
	}
	p := &s.Ranges[0]
	if rangeEnd(p) != s.Tail { // nobody was told of what came after the gap
		first, _ := r.follow(p.Data)
		_, n, err := log.DecodeFrame(p.Data[first:])
		return p.Pos + uint64(first), err == nil && n > 0
	}
	for at := 0; at < len(p.Data); at++ {
		if p.Data[at] != '#' {
			continue
		}
		if first, ok := r.follow(p.Data[at:]); ok {
			pos = p.Pos + uint64(at+first)
			return pos, pos < s.Tail
		}
	}
	return s.Tail, false
}

// follow goes from frame to frame and returns where the first one is that is not in a BASE. ok tells that they come to
// the end of data.
func (r *recovery) follow(data []byte) (first int, ok bool) {
	for at := 0; at < len(data); {
		f, n, err := log.DecodeFrame(data[at:])
		if err != nil || n == 0 || f.Incarnation != r.m.Last().Number {
			return first, false
		}
		at += n
		if f.TxEnd <= r.begin {
			first = at
		}
	}
	return first, true
}
