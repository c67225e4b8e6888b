package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"fulmen/internal/crc"
	"fulmen/internal/lzf"
)

const (
	// windowSize is the length of a Reader's buffer. Strings up to that are given as they stand in it.
	windowSize = 64 << 10
	// keepSize is how much of a buffer for longer strings is kept for the next ones.
	keepSize = 4 << 20
	// maxInt is the longest text of an integer.
	maxInt = 20
)

// source gives the numbers and strings of the input: of a reader, through a window of it, or of bytes in memory.
type source struct {
	in   io.Reader // nil if buf is all there is
	file string

	buf     []byte
	at, end int   // buf[at:end] is still to be read
	base    int64 // where buf[0] is in the input

	settled int    // what was read of buf[:settled] is in sum and tape
	sum     uint64 // CRC-64 of the input, if sums
	sums    bool
	taping  bool // what is read is also kept in tape
	tape    []byte

	long     []byte // a string longer than the window
	unpacked []byte // a string that was compressed
	held     []byte // the first of two strings
	digits   [maxInt]byte

	c container
	e [3]element // of c
}

// offset returns how many bytes of the input have been read.
func (s *source) offset() int64 { return s.base + int64(s.at) }

// corrupt returns the error for what was read at an offset.
func (s *source) corrupt(at int64, reason string) error {
	return &CorruptError{File: s.file, Offset: at, Reason: reason}
}

// settle accounts for what has been read of the window.
func (s *source) settle() {
	read := s.buf[s.settled:s.at]
	if s.sums {
		s.sum = crc.Update64(s.sum, read)
	}
	if s.taping {
		s.tape = append(s.tape, read...)
	}
	s.settled = s.at
}

// need makes sure that the next n bytes, at most windowSize, are in the window.
func (s *source) need(n int) error {
	if s.end-s.at >= n {
		return nil
	}
	return s.fill(n)
}

// fill reads until n bytes, at most windowSize, are in the window. Slices of the window become invalid.
func (s *source) fill(n int) error {
	switch err := s.refill(n); {
	case err == io.EOF:
		return s.truncated()
	case err != nil:
		return s.readFailed(err)
	}
	return nil
}

// refill is fill with the errors of the underlying reader; io.EOF if it ends before n bytes.
func (s *source) refill(n int) error {
	if s.in == nil {
		return io.EOF
	}
	s.settle()
	copy(s.buf, s.buf[s.at:s.end])
	s.base += int64(s.at)
	s.end -= s.at
	s.at, s.settled = 0, 0
	for idle := 0; s.end < n; {
		m, err := s.in.Read(s.buf[s.end:])
		s.end += m
		if s.end >= n {
			return nil
		}
		if err != nil {
			return err
		}
		if idle++; m > 0 {
			idle = 0
		}
		if idle == 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// truncated returns the error for an input that ends too early.
func (s *source) truncated() error {
	return &CorruptError{File: s.file, Offset: s.base + int64(s.end), Reason: "it ends too early",
		Err: io.ErrUnexpectedEOF}
}

// readFailed returns the error for an input that cannot be read. One that says where is left alone.
func (s *source) readFailed(err error) error {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		return err
	}
	return fmt.Errorf("rdb: reading %s at offset %d: %w", s.file, s.base+int64(s.end), err)
}

// byte returns the next byte.
func (s *source) byte() (byte, error) {
	if err := s.need(1); err != nil {
		return 0, err
	}
	b := s.buf[s.at]
	s.at++
	return b, nil
}

// uint64 returns the next 8 bytes, little-endian.
func (s *source) uint64() (uint64, error) {
	if err := s.need(8); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(s.buf[s.at:])
	s.at += 8
	return n, nil
}

// uint32 returns the next 4 bytes, little-endian.
func (s *source) uint32() (uint32, error) {
	if err := s.need(4); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(s.buf[s.at:])
	s.at += 4
	return n, nil
}

// prefix returns a length, or, if special is true, the form of the string that follows.
func (s *source) prefix() (n uint64, special bool, err error) {
	b, err := s.byte()
	if err != nil {
		return 0, false, err
	}
	switch b & lenMask {
	case len6Bits:
		return uint64(b), false, nil
	case len14Bits:
		low, err := s.byte()
		return uint64(b&^lenMask)<<8 | uint64(low), false, err
	case lenString:
		return uint64(b &^ lenMask), true, nil
	}
	switch b {
	case len32Bits:
		if err := s.need(4); err != nil {
			return 0, false, err
		}
		n = uint64(binary.BigEndian.Uint32(s.buf[s.at:]))
		s.at += 4
		return n, false, nil
	case len64Bits:
		if err := s.need(8); err != nil {
			return 0, false, err
		}
		n = binary.BigEndian.Uint64(s.buf[s.at:])
		s.at += 8
		return n, false, nil
	}
	return 0, false, s.corrupt(s.offset()-1, fmt.Sprintf("0x%02x begins no length", b))
}

// length returns a length that is no string's.
func (s *source) length() (uint64, error) {
	at := s.offset()
	n, special, err := s.prefix()
	if special {
		return 0, s.corrupt(at, "a string where a length is due")
	}
	return n, err
}

// string returns the next string. It is valid until the next of this kind, or any byte, is read.
func (s *source) string() ([]byte, error) {
	if s.at < s.end && s.buf[s.at] < len14Bits { // by far most strings: short, and there
		from := s.at + 1
		if to := from + int(s.buf[s.at]); to <= s.end {
			s.at = to
			return s.buf[from:to:to], nil
		}
	}
	at := s.offset()
	n, special, err := s.prefix()
	if err != nil {
		return nil, err
	}
	if !special {
		return s.bytes(n)
	}
	switch n {
	case stringInt8:
		b, err := s.byte()
		return s.decimal(int64(int8(b))), err
	case stringInt16:
		if err := s.need(2); err != nil {
			return nil, err
		}
		v := int16(binary.LittleEndian.Uint16(s.buf[s.at:]))
		s.at += 2
		return s.decimal(int64(v)), nil
	case stringInt32:
		v, err := s.uint32()
		return s.decimal(int64(int32(v))), err
	case stringLZF:
		return s.compressed(at)
	}
	return nil, s.corrupt(at, fmt.Sprintf("%d is no form of a string", n))
}

// decimal returns the text of a number.
func (s *source) decimal(n int64) []byte { return strconv.AppendInt(s.digits[:0], n, 10) }

// compressed returns the string whose LZF form comes; it began at an offset.
func (s *source) compressed(at int64) ([]byte, error) {
	packedLen, err := s.length()
	if err != nil {
		return nil, err
	}
	n, err := s.length()
	if err != nil {
		return nil, err
	}
	packed, err := s.bytes(packedLen)
	if err != nil {
		return nil, err
	}
	s.unpacked, err = lzf.AppendDecompress(reuse(s.unpacked), packed, n)
	if err != nil {
		return nil, s.corrupt(at, "a compressed string cannot be unpacked")
	}
	return s.unpacked, nil
}

// reuse empties a buffer, or lets go of it if it is large.
func reuse(b []byte) []byte {
	if cap(b) > keepSize {
		return nil
	}
	return b[:0]
}

// bytes returns the next n bytes. They are valid until more is read.
func (s *source) bytes(n uint64) ([]byte, error) {
	if n > uint64(s.end-s.at) {
		if s.in == nil {
			return nil, s.truncated()
		}
		if n > uint64(len(s.buf)) {
			return s.longBytes(n)
		}
		if err := s.fill(int(n)); err != nil {
			return nil, err
		}
	}
	from := s.at
	s.at += int(n)
	return s.buf[from:s.at:s.at], nil
}

// longBytes returns n bytes, more than the window has room for. The buffer for them grows with what has arrived.
func (s *source) longBytes(n uint64) ([]byte, error) {
	if n > math.MaxInt/2 {
		return nil, s.corrupt(s.offset(), fmt.Sprintf("a string of %d bytes", n))
	}
	if s.long = reuse(s.long); cap(s.long) < int(n) {
		s.long = make([]byte, 0, min(int(n), 4*windowSize))
	}
	for {
		m := min(int(n), cap(s.long)) - len(s.long)
		m = min(m, s.end-s.at)
		s.long = append(s.long, s.buf[s.at:s.at+m]...)
		s.at += m
		switch {
		case len(s.long) == int(n):
			return s.long, nil
		case len(s.long) == cap(s.long):
			grown := make([]byte, len(s.long), min(int(n), 2*cap(s.long)))
			copy(grown, s.long)
			s.long = grown
		default:
			if err := s.fill(1); err != nil {
				return nil, err
			}
		}
	}
}

// skip passes over n bytes.
func (s *source) skip(n uint64) error {
	for n > uint64(s.end-s.at) {
		n -= uint64(s.end - s.at)
		s.at = s.end
		if err := s.fill(1); err != nil {
			return err
		}
	}
	s.at += int(n)
	return nil
}

// skipString passes over a string.
func (s *source) skipString() error {
	at := s.offset()
	n, special, err := s.prefix()
	if err != nil {
		return err
	}
	if special {
		switch n {
		case stringInt8, stringInt16, stringInt32:
			n = 1 << n
		case stringLZF:
			if n, err = s.length(); err != nil {
				return err
			}
			if _, err = s.length(); err != nil {
				return err
			}
		default:
			return s.corrupt(at, fmt.Sprintf("%d is no form of a string", n))
		}
	}
	return s.skip(n)
}

// skipStrings passes over n strings.
func (s *source) skipStrings(n uint64) error {
	for range n {
		if err := s.skipString(); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps a string while more is read. It is valid until the next hold.
func (s *source) hold(b []byte) []byte {
	s.held = append(reuse(s.held), b...)
	return s.held
}
