package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"fulmen/persist/log"
)

// behind returns an error if a shard's frames end where damage must have ended them. It is asked after the end of the
// process alone, when the files have every byte that was written to them. They are written from the front to the back,
// so what follows the last frame is the beginning of another one, or of none, and zeros: whatever else is there tells
// that more was written. Not so from where the ring begins, which a recovery that was broken off may have written there.
func (r *recovery) behind(c *chain) error {
	if r.ring == nil || r.o.plant.behindIgnored {
		return nil
	}
	s := &r.ring.Shards[c.shard]
	limit := s.Tail
	if len(s.Ranges) > 0 {
		limit = min(limit, s.Ranges[0].Pos)
	}
	if c.end >= limit {
		return nil
	}
	for i := range c.files {
		f := &c.files[i]
		if !f.headed || f.tail.Pos != c.end || f.tail.Offset == 0 {
			continue
		}
		for j := i + 1; j < len(c.files); j++ {
			if later := &c.files[j]; later.headed && later.header.Pos > c.end {
				return f.damaged("the next file was begun, so this one was written to its end")
			}
		}
		reason, err := r.writtenBehind(f, limit)
		if err != nil {
			return err
		}
		if reason != "" {
			return f.damaged(reason)
		}
	}
	return nil
}

// damaged is the error of a file whose frames end too early.
func (f *chainFile) damaged(proof string) error {
	reason := f.tail.Reason
	if reason == "" {
		reason = "there are no more frames"
	}
	return &CorruptError{File: f.path, Offset: f.tail.Offset, Reason: fmt.Sprintf(
		"%s; the process alone was ended, and %s", reason, proof)}
}

// writtenBehind says what tells that more was written to a file behind its last frame, below a position, than the
// beginning of the next one; empty if nothing does.
func (r *recovery) writtenBehind(f *chainFile, limit uint64) (reason string, err error) {
	in, err := OpenIncr(r.o.FS, f.path)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // it was only read
	from := f.tail.Offset
	to := HeaderBytes + int64(limit-f.header.Pos)
	end, err := in.ContentEnd(from, min(f.size, to))
	if err != nil || end == from {
		return "", err
	}
	const follows = "what was written behind it is there"
	data, err := in.window(from, min(log.MaxLine, end-from))
	if err != nil {
		return "", err
	}
	data = data[:min(int64(len(data)), end-from)]
	h, line, err := log.DecodeHeader(data)
	switch {
	case err != nil: // the beginning of a line is short, and not malformed
		return follows, nil
	case end == to:
		return "all was written up to what the ring in memory has", nil
	case line > 0 && h.Incarnation != f.header.Incarnation:
		return "nobody else writes to this file", nil
	case line > 0 && h.Len() <= uint64(end-from-int64(line)):
		return "it was written to its end", nil
	case f.tail.NextOffset > 0 && f.tail.NextOffset < end:
		return follows, nil
	}
	return "", nil
}

// ContentEnd returns the offset behind the last byte of a range of the file that is not zero, or its start if all are.
func (r *IncrReader) ContentEnd(from, to int64) (int64, error) {
	buf := make([]byte, zeroProbe)
	for to > from {
		p := buf[:min(zeroProbe, to-from)]
		n, err := r.file.ReadAt(p, to-int64(len(p)))
		if n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = &CorruptError{File: r.name, Offset: to, Reason: "became shorter while it was read"}
			}
			return 0, fmt.Errorf("aof: %w", err)
		}
		if left := len(bytes.TrimRight(p, "\x00")); left > 0 {
			return to - int64(len(p)-left), nil
		}
		to -= int64(len(p))
	}
	return from, nil
}
