package aof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"fulmen/persist/log"
)

// behind returns an error if a shard's frames end where damage must have ended them. It is asked after the end of the
// process alone, when the files have every byte that was written to them. They are written from the front to the back,
// so what follows the last frame is the beginning of another one, or of none, and zeros: whatever else is there tells
// that more was written. Only what the ring has does not count, as a recovery that was broken off may have written it
// there.
func (r *recovery) behind(c *chain) error {
	if !r.killed || r.o.plant.behindIgnored {
		return nil
	}
	gaps := []gap{{c.end, c.end + noRing}}
	if r.ring != nil {
		gaps = gapsOf(&r.ring.Shards[c.shard], c.end)
	}
	if len(gaps) == 0 {
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
		reason, err := r.writtenBehind(f, gaps)
		if err != nil {
			return err
		}
		if reason != "" {
			return f.damaged(reason)
		}
	}
	return nil
}

// gap is a range of positions in a shard's log.
type gap struct{ from, to uint64 }

// noRing is how much a ring lacks that isn't there.
const noRing = 1 << 60

// gapsOf returns what a ring does not have from a position to the tail, ascending.
func gapsOf(s *log.RingShard, pos uint64) (gaps []gap) {
	ranges := slices.Clone(s.Ranges)
	slices.SortFunc(ranges, func(a, b log.RingRange) int { return cmp.Compare(a.Pos, b.Pos) })
	for i := range ranges {
		if ranges[i].Pos > pos {
			gaps = append(gaps, gap{pos, min(ranges[i].Pos, s.Tail)})
		}
		pos = max(pos, rangeEnd(&ranges[i]))
	}
	if pos < s.Tail {
		gaps = append(gaps, gap{pos, s.Tail})
	}
	return gaps
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

// writtenBehind says what tells that more was written to a file behind its last frame than the beginning of the next
// one; empty if nothing does. What the ring does not have are gaps.
func (r *recovery) writtenBehind(f *chainFile, gaps []gap) (reason string, err error) {
	in, err := OpenIncr(r.o.FS, f.path)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // it was only read
	const follows = "what was written behind it is there"
	from, end, to := f.tail.Offset, int64(0), int64(0)
	for i, g := range slices.Backward(gaps) {
		begin := f.offset(g.from)
		to = f.offset(g.to)
		if begin >= f.size {
			continue
		}
		if end, err = in.ContentEnd(begin, min(f.size, to)); err != nil {
			return "", err
		}
		if end > begin && i > 0 {
			return follows, nil
		}
		if end == begin && i == 0 {
			return "", nil
		}
	}
	if end == 0 {
		return "", nil
	}
	_, n, wrong, err := in.frameAt(from, f.tail.LSN)
	if err != nil || wrong == "" && n > 0 { // a server is writing, and has gone on since the frames were read
		return "", err
	}
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
		return "everything below what the ring in memory has was written", nil
	case line > 0 && h.Incarnation != f.header.Incarnation:
		return "nobody else writes to this file", nil
	case line > 0 && h.Len() <= uint64(end-from-int64(line)):
		return "it was written to its end", nil
	case f.tail.NextOffset > 0 && f.tail.NextOffset < end:
		return follows, nil
	}
	return "", nil
}

// offset returns where a position is in the file, or would be.
func (f *chainFile) offset(pos uint64) int64 { return HeaderBytes + int64(pos-f.header.Pos) }

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
