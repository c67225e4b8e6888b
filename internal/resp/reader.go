package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Kind is the type byte of a reply.
type Kind byte

// The kinds of replies. RESP2 knows the first five.
const (
	KindSimple    Kind = '+'
	KindError     Kind = '-'
	KindInt       Kind = ':'
	KindBulk      Kind = '$'
	KindArray     Kind = '*'
	KindNull      Kind = '_'
	KindBool      Kind = '#'
	KindDouble    Kind = ','
	KindBigNumber Kind = '('
	KindBulkError Kind = '!'
	KindVerbatim  Kind = '='
	KindMap       Kind = '%'
	KindSet       Kind = '~'
	KindPush      Kind = '>'
	KindAttribute Kind = '|'
)

// Value is a reply as it was read. It owns its memory.
type Value struct {
	Kind Kind
	// Null is true for RESP2's null bulk string ($-1) and null array (*-1), and for RESP3's null.
	Null bool
	// Str holds the bytes of strings, errors (without '-'), verbatim strings (behind the format) and the digits of
	// doubles and big numbers, as they were sent.
	Str []byte
	// Format is the format of a verbatim string, three letters.
	Format string
	// Int holds integers; 1 or 0 for truth values.
	Int int64
	// Elems holds the elements of arrays, sets and pushes; of maps and attributes keys and values in turn.
	Elems []Value
	// Attrs holds the pairs of the attribute that preceded this reply, nil if there was none.
	Attrs []Value
}

// Err returns the error if v is an error reply, else nil.
func (v Value) Err() error {
	if v.Kind != KindError && v.Kind != KindBulkError {
		return nil
	}
	return ParseError(string(v.Str))
}

// Float returns the number of a double.
func (v Value) Float() (float64, bool) {
	if v.Kind == KindDouble && string(v.Str) == "nan" {
		return math.NaN(), true
	}
	return ParseFloat(v.Str)
}

// Append appends v as it was read.
func (v Value) Append(dst []byte) []byte {
	if v.Attrs != nil {
		dst = AppendAttribute(dst, len(v.Attrs)/2)
		dst = appendValues(dst, v.Attrs)
	}
	switch v.Kind {
	case KindNull:
		return append(dst, "_\r\n"...)
	case KindInt:
		return AppendInt(dst, v.Int)
	case KindBool:
		return AppendBool(dst, 3, v.Int != 0)
	case KindBulk, KindBulkError, KindVerbatim:
		if v.Null {
			return append(dst, "$-1\r\n"...)
		}
		size := len(v.Str)
		if v.Kind == KindVerbatim {
			size += len(v.Format) + 1
		}
		dst = appendHead(dst, byte(v.Kind), int64(size))
		if v.Kind == KindVerbatim {
			dst = append(append(dst, v.Format...), ':')
		}
		return append(append(dst, v.Str...), '\r', '\n')
	case KindArray, KindSet, KindPush, KindMap, KindAttribute:
		if v.Null {
			return append(dst, "*-1\r\n"...)
		}
		count := len(v.Elems)
		if v.Kind == KindMap {
			count /= 2
		}
		return appendValues(appendHead(dst, byte(v.Kind), int64(count)), v.Elems)
	}
	dst = append(dst, byte(v.Kind))
	return append(append(dst, v.Str...), '\r', '\n')
}

func appendValues(dst []byte, values []Value) []byte {
	for _, v := range values {
		dst = v.Append(dst)
	}
	return dst
}

// String shows v in one line, for test failures.
func (v Value) String() string {
	if v.Null {
		return "(nil)"
	}
	switch v.Kind {
	case KindInt, KindBool:
		return string(rune(v.Kind)) + strconv.FormatInt(v.Int, 10)
	case KindArray, KindSet, KindPush, KindMap:
		return string(rune(v.Kind)) + fmt.Sprint(v.Elems)
	}
	return string(rune(v.Kind)) + strconv.Quote(string(v.Str))
}

const (
	// maxReplyDepth is how deeply replies may be nested.
	maxReplyDepth = 128
	// maxReplyChunk is how many bytes or elements are allocated before any of them have arrived.
	maxReplyChunk = 64 << 10
	// maxReplyLine is the length of the longest line, which is a simple string, an error or a big number.
	maxReplyLine = 1 << 20
)

// ErrBadReply is what a Reader's error wraps when the bytes are no reply; the stream can't be read further.
var ErrBadReply = errors.New("resp: malformed reply")

// Reader reads replies, RESP2 and RESP3, for tests, tools and clients. It is not for concurrent use.
type Reader struct {
	r *bufio.Reader
}

// NewReader returns a Reader of what r delivers.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Buffered returns how many bytes have been read from the stream and not yet been returned as replies.
func (r *Reader) Buffered() int { return r.r.Buffered() }

// ReadReply reads one reply, pushes included. The error is that of the stream, io.EOF if it ends between replies and
// io.ErrUnexpectedEOF within one, or wraps ErrBadReply. An error reply is a Value, not an error.
func (r *Reader) ReadReply() (Value, error) {
	if _, err := r.r.Peek(1); err != nil {
		return Value{}, err
	}
	v, err := r.read(0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// read reads a reply that is nested in depth others.
func (r *Reader) read(depth int) (v Value, err error) {
	if depth > maxReplyDepth {
		return v, badReply("nested too deeply")
	}
	line, err := r.line()
	if err != nil {
		return v, err
	}
	v.Kind = Kind(line[0])
	body := line[1:]
	switch v.Kind {
	case KindSimple, KindError, KindBigNumber, KindDouble:
		v.Str = body
		return v, nil
	case KindNull:
		v.Null = true
		if len(body) != 0 {
			return v, badReply("null with a value")
		}
		return v, nil
	case KindInt:
		var ok bool
		if v.Int, ok = ParseInt(body); !ok {
			return v, badReply("not an integer")
		}
		return v, nil
	case KindBool:
		if string(body) != "t" && string(body) != "f" {
			return v, badReply("neither true nor false")
		}
		if body[0] == 't' {
			v.Int = 1
		}
		return v, nil
	}
	n, ok := ParseInt(body)
	if !ok || n < -1 || n > math.MaxInt32 {
		return v, badReply("not a length")
	}
	return r.readLong(v, int(n), depth)
}

// readLong reads what follows a line with a length: n bytes, elements or pairs.
func (r *Reader) readLong(v Value, n, depth int) (_ Value, err error) {
	if n < 0 {
		v.Null = v.Kind == KindBulk || v.Kind == KindArray
		if !v.Null {
			return v, badReply("negative length")
		}
		return v, nil
	}
	switch v.Kind {
	case KindBulk, KindBulkError:
		v.Str, err = r.bytes(n)
	case KindVerbatim:
		if v.Str, err = r.bytes(n); err == nil {
			if n < 4 || v.Str[3] != ':' {
				return v, badReply("verbatim string without format")
			}
			v.Format, v.Str = string(v.Str[:3]), v.Str[4:]
		}
	case KindArray, KindSet, KindPush:
		v.Elems, err = r.elems(n, depth)
	case KindMap:
		v.Elems, err = r.elems(2*n, depth)
	case KindAttribute:
		var attrs []Value
		if attrs, err = r.elems(2*n, depth); err == nil {
			if v, err = r.read(depth + 1); v.Attrs != nil {
				return v, badReply("attribute of an attribute")
			}
			v.Attrs = attrs
		}
	default:
		err = badReply("unknown type " + strconv.QuoteRune(rune(v.Kind)))
	}
	return v, err
}

// line reads a line, which has at least a type byte, without its line end.
func (r *Reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(line) > maxReplyLine {
			return nil, badReply("line too long")
		}
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, badReply("line without type or \\r")
	}
	return line[:len(line)-2], nil
}

// bytes reads n bytes and a line end. Memory is allocated as they arrive.
func (r *Reader) bytes(n int) ([]byte, error) {
	b := make([]byte, 0, min(n+2, maxReplyChunk))
	for len(b) < n+2 {
		from := len(b)
		more := min(n+2-from, max(from, maxReplyChunk))
		b = append(b, make([]byte, more)...)
		if _, err := io.ReadFull(r.r, b[from:]); err != nil {
			return nil, err
		}
	}
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, badReply("string without line end")
	}
	return b[:n:n], nil
}

// elems reads n replies. An empty list is not nil.
func (r *Reader) elems(n, depth int) ([]Value, error) {
	elems := make([]Value, 0, min(n, 64))
	for range n {
		v, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		elems = append(elems, v)
	}
	return elems, nil
}

// Skip reads n replies and throws them away, without allocating; errors counts the error replies at the top among
// them. It is what a load generator waits with.
func (r *Reader) Skip(n int) (errors int, err error) {
	for range n {
		isError, err := r.skip(0)
		if err != nil {
			return errors, err
		}
		if isError {
			errors++
		}
	}
	return errors, nil
}

// skip reads over one reply.
func (r *Reader) skip(depth int) (isError bool, err error) {
	if depth > maxReplyDepth {
		return false, badReply("nested too deeply")
	}
	line, err := r.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull { // only texts are so long, and their end is all that matters
		isError = Kind(line[0]) == KindError
		for err == bufio.ErrBufferFull {
			_, err = r.r.ReadSlice('\n')
		}
		return isError, err
	}
	if err != nil {
		return false, err
	}
	if len(line) < 3 {
		return false, badReply("line without type or \\r")
	}
	kind := Kind(line[0])
	switch kind {
	case KindSimple, KindInt, KindNull, KindBool, KindDouble, KindBigNumber:
		return false, nil
	case KindError:
		return true, nil
	}
	n, ok := ParseInt(line[1 : len(line)-2])
	if !ok || n < -1 || n > math.MaxInt32 {
		return false, badReply("not a length")
	}
	switch kind {
	case KindBulk, KindBulkError, KindVerbatim:
		if n >= 0 {
			_, err = r.r.Discard(int(n) + 2)
		}
		return kind == KindBulkError, err
	case KindMap:
		n *= 2
	case KindAttribute:
		n = 2*n + 1
	case KindArray, KindSet, KindPush:
	default:
		return false, badReply("unknown type " + strconv.QuoteRune(rune(kind)))
	}
	for range n {
		if _, err = r.skip(depth + 1); err != nil {
			return false, err
		}
	}
	return false, nil
}

// badReply returns an error that wraps ErrBadReply.
func badReply(reason string) error { return fmt.Errorf("%w: %s", ErrBadReply, reason) }
