package log

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

const (
	multiRecord = "*1\r\n$5\r\nMULTI\r\n"
	execRecord  = "*1\r\n$4\r\nEXEC\r\n"
)

// recordBound returns at least the bytes that putRecord needs for args.
func recordBound(args [][]byte) int {
	n := countBound + (countBound+2)*len(args)
	for _, a := range args {
		n += len(a)
	}
	return n
}

// putRecord writes args as a RESP array of bulk strings to dst, which has recordBound's bytes, and
// returns its length.
func putRecord(dst []byte, args [][]byte) int {
	rest := dst[putCount(dst, '*', len(args)):]
	for _, a := range args {
		if len(a) < len(shortCounts) { // putCount, which is too big to be inlined
			word := shortCounts[len(a)]
			binary.LittleEndian.PutUint64(rest, word)
			rest = rest[word>>56:]
		} else {
			rest = rest[putLongCount(rest, '$', len(a)):]
		}
		copy(rest, a)
		rest = rest[len(a):]
		binary.LittleEndian.PutUint16(rest, '\r'|'\n'<<8)
		rest = rest[2:]
	}
	return len(dst) - len(rest)
}

const countBound = 16 // bytes for a type byte, a length that fits in memory, and \r\n

// shortCounts holds, for each small n, `$n\r\n` in its low bytes and their number in its highest.
var shortCounts = func() (t [256]uint64) {
	for n := range t {
		var text [8]byte
		text[7] = byte(copy(text[:7], "$"+strconv.Itoa(n)+"\r\n"))
		t[n] = binary.LittleEndian.Uint64(text[:])
	}
	return t
}()

// putCount writes a type byte, n and the end of a line to dst, which has countBound's bytes.
func putCount(dst []byte, kind byte, n int) int {
	if n < len(shortCounts) {
		word := shortCounts[n]
		binary.LittleEndian.PutUint64(dst, word-'$'+uint64(kind))
		return int(word >> 56)
	}
	return putLongCount(dst, kind, n)
}

func putLongCount(dst []byte, kind byte, n int) int {
	dst[0] = kind
	end := strconv.AppendInt(dst[:1], int64(n), 10)
	return len(append(end, '\r', '\n'))
}

// appendCount is putCount that appends.
func appendCount(dst []byte, kind byte, n int) []byte {
	var text [countBound]byte
	return append(dst, text[:putCount(text[:], kind, n)]...)
}

// appendSelect appends a SELECT record.
func appendSelect(dst []byte, db int) []byte {
	var text [20]byte
	digits := strconv.AppendInt(text[:0], int64(db), 10)
	dst = append(dst, "*2\r\n$6\r\nSELECT\r\n"...)
	dst = appendCount(dst, '$', len(digits))
	dst = append(dst, digits...)
	return append(dst, '\r', '\n')
}

// ForEachRecord calls fn for each effect in frame, which is one whole frame as a reader returns it or a
// file holds it. SELECT records are passed on (a frame starts in database 0); MULTI and EXEC are left
// out, as the frame, or with its other pieces the commit, is the unit. args alias frame; the slice that
// holds them is reused for the next record. It returns ErrIncomplete, a *CorruptError, or fn's error.
func ForEachRecord(frame []byte, fn func(args [][]byte) error) error {
	f, n, err := DecodeFrame(frame)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrIncomplete
	}
	if n != len(frame) {
		return &CorruptError{int64(n), "bytes behind the frame"}
	}
	return ForEachIn(f.Records, func(args [][]byte) error {
		if len(args) == 1 && (bytes.Equal(args[0], multiName) || bytes.Equal(args[0], execName)) {
			return nil
		}
		return fn(args)
	})
}

var (
	multiName = []byte("MULTI")
	execName  = []byte("EXEC")
)

// ForEachIn calls fn for each record in records, bytes of the merged stream between two commits or the
// Records of a frame, MULTI, EXEC and SELECT included. args alias records; the slice that holds them is
// reused. It returns ErrIncomplete if records ends inside one, a *CorruptError, or fn's error.
func ForEachIn(records []byte, fn func(args [][]byte) error) error {
	var args [][]byte
	for at := 0; at < len(records); {
		var n int
		var err error
		args, n, err = DecodeRecord(records[at:], args[:0])
		if err != nil {
			err.(*CorruptError).Offset += int64(at)
			return err
		}
		if n == 0 {
			return ErrIncomplete
		}
		if err = fn(args); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// DecodeRecord decodes the record that data begins with and appends its arguments, which alias data, to
// args. n is its length; n == 0 without an error says that data ends before the record does. Errors are
// *CorruptError. Only what Stage writes is accepted: arrays of at least one bulk string, canonical
// numbers.
func DecodeRecord(data []byte, args [][]byte) (out [][]byte, n int, err error) {
	count, at, ok := decodeCount(data, '*')
	if !ok || count == 0 && at > 0 {
		return args, 0, &CorruptError{0, "malformed record"}
	}
	if at == 0 {
		return args, 0, nil
	}
	out = args
	for ; count > 0; count-- {
		size, n, ok := decodeCount(data[at:], '$')
		if !ok {
			return args, 0, &CorruptError{int64(at), "malformed record"}
		}
		if n == 0 || len(data)-at-n < size+2 {
			return args, 0, nil
		}
		at += n
		if data[at+size] != '\r' || data[at+size+1] != '\n' {
			return args, 0, &CorruptError{int64(at + size), "malformed record"}
		}
		out = append(out, data[at:at+size:at+size])
		at += size + 2
	}
	return out, at, nil
}

// decodeCount decodes a type byte, a number and the end of a line. n == 0 with ok: data is too short.
func decodeCount(data []byte, kind byte) (v, n int, ok bool) {
	const maxDigits = 12
	if len(data) == 0 {
		return 0, 0, true
	}
	if data[0] != kind {
		return 0, 0, false
	}
	for i := 1; i < len(data); i++ {
		c := data[i]
		switch {
		case c >= '0' && c <= '9' && i <= maxDigits && !(i == 2 && data[1] == '0'):
			v = v*10 + int(c-'0')
		case c == '\r' && i > 1:
			if i+1 == len(data) {
				return 0, 0, true
			}
			return v, i + 2, data[i+1] == '\n'
		default:
			return 0, 0, false
		}
	}
	return 0, 0, true
}
