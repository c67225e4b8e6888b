package resp

import (
	"bytes"
	"math"
	"slices"
)

const (
	// MaxInline is how many bytes an inline command or a length line may have before its line end.
	MaxInline = 64 << 10
	// DefaultMaxBulk is Redis's default of proto-max-bulk-len, in bytes.
	DefaultMaxBulk = 512 << 20
	// UnauthMaxArgs is how many arguments a command may have before the connection is authenticated.
	UnauthMaxArgs = 10
	// UnauthMaxBulk is how many bytes an argument may have before the connection is authenticated.
	UnauthMaxBulk = 16 << 10

	// minArgBytes is the length of the shortest argument on the wire, "$0\r\n\r\n".
	minArgBytes = 6
)

// Parser turns a connection's byte stream into commands. Its zero value is ready and trusts nobody: set
// Authenticated where no password is needed.
//
// Between commands it holds no state. While a command is incomplete it holds how far its bytes have been understood,
// as offsets from the command's first byte, so the buffer may move and grow between calls. Arguments are not
// remembered: once the last byte is there they are collected in a second pass over the length lines, which costs
// O(arguments) and no memory per argument and connection.
type Parser struct {
	// MaxBulk is the length of the longest argument accepted, in bytes (proto-max-bulk-len); 0 means
	// DefaultMaxBulk. A link to a primary, whose bytes are trusted, sets math.MaxInt64.
	MaxBulk int64
	// Authenticated lifts the limits of UnauthMaxArgs and UnauthMaxBulk.
	Authenticated bool

	// State of an incomplete command; all zero between commands.
	need    int // Parse makes no progress below this many bytes; 0 between commands
	pos     int // bytes understood
	left    int // arguments not yet complete; 0 while the first line is incomplete
	want    int // bytes of the argument that begins at pos, its \r\n included; 0: its length line comes first
	scanned int // no line end between pos and here
}

// Parse parses the command at the head of data and appends its arguments to args.
//
// n is how many bytes the command took. n == 0 without an error means that it is incomplete: call again with the same
// bytes and at least Need() of them in all. n > 0 with no arguments appended is an empty command (an empty line, *0,
// *-1), which gets no reply.
//
// The arguments alias data, each capped to its own bytes; those of an inline command with quotes
// alias a copy. data does not change. err is an *Error to send before closing; the connection can't be parsed further.
func (p *Parser) Parse(data []byte, args [][]byte) (out [][]byte, n int, err error) {
	if len(data) < p.need || len(data) == 0 {
		return args, 0, nil
	}
	if data[0] != '*' {
		return p.parseInline(data, args)
	}
	if p.need != 0 {
		return p.resume(data, args)
	}
	return p.parseWhole(data, args)
}

// Need returns, after an incomplete Parse, the least len(data) with which calling Parse again makes progress; 0
// between commands. It may exceed what the peer will ever send, so it is no size to allocate.
func (p *Parser) Need() int { return p.need }

// Reset forgets an incomplete command. Limits stay.
func (p *Parser) Reset() { p.need, p.pos, p.left, p.want, p.scanned = 0, 0, 0, 0, 0 }

// parseWhole is the fast path: a multibulk command in one piece. Whatever is unusual - incomplete, beyond a limit,
// malformed - is left to resume, beginning with the argument it was met in.
func (p *Parser) parseWhole(data []byte, args [][]byte) ([][]byte, int, error) {
	count, i := shortLength(data, 0)
	if i == 0 || count == 0 || (count > UnauthMaxArgs && !p.Authenticated) {
		return p.resume(data, args)
	}
	if cap(args)-len(args) < count {
		if count > (len(data)-i)/minArgBytes {
			return p.suspend(i, count, data, args)
		}
		args = slices.Grow(args, count)
	}
	maxBulk := int(p.maxBulk())
	if !p.Authenticated {
		maxBulk = min(maxBulk, UnauthMaxBulk)
	}
	base := len(args)
	out := args[:base+count]
	for k := base; k < len(out); k++ {
		s := data[i:]
		if len(s) < minArgBytes || s[0] != '$' {
			return p.suspend(i, len(out)-k, data, args)
		}
		// The length of most arguments has one digit or two.
		size, head := int(s[1]-'0'), 4
		if s[2] != '\r' || size > 9 {
			if e := s[2] - '0'; s[3] == '\r' && size-1 < 9 && size > 0 && e <= 9 {
				size, head = size*10+int(e), 5
			} else if size, head = shortLength(s, 0); head == 0 {
				return p.suspend(i, len(out)-k, data, args)
			}
		}
		end := head + size
		if size > maxBulk || len(s)-2 < end {
			return p.suspend(i, len(out)-k, data, args)
		}
		out[k] = s[head:end:end]
		i += end + 2
	}
	return out, i, nil
}

// shortLength reads the decimal number of up to nine digits that follows data[at], and its line end. next is the index
// behind the line end; 0 if the line is incomplete or anything but that, which resume will judge.
func shortLength(data []byte, at int) (v, next int) {
	for i := at + 1; i < len(data)-1; i++ {
		d := data[i] - '0'
		if d > 9 {
			if data[i] != '\r' || i == at+1 {
				return 0, 0
			}
			return v, i + 2
		}
		if i > at+9 || (v == 0 && i > at+1) {
			return 0, 0 // too long for here, or a leading zero
		}
		v = v*10 + int(d)
	}
	return 0, 0
}

// suspend goes over to the general path where the argument at pos, with left arguments still to come, needs it.
func (p *Parser) suspend(pos, left int, data []byte, args [][]byte) ([][]byte, int, error) {
	p.pos, p.left = pos, left
	return p.resume(data, args)
}

// resume is the general path: it takes up an incomplete multibulk command where it was left.
func (p *Parser) resume(data []byte, args [][]byte) ([][]byte, int, error) {
	if p.left == 0 {
		count, ok, err := p.lengthLine(data, errBigCount)
		switch {
		case err != nil:
			return p.fail(args, err)
		case !ok:
			return args, 0, nil
		case !count.valid || count.n > math.MaxInt32:
			return p.fail(args, errBadCount)
		case count.n > UnauthMaxArgs && !p.Authenticated:
			return p.fail(args, errUnauthCount)
		case count.n <= 0:
			n := p.pos
			p.Reset()
			return args, n, nil
		}
		p.left = int(count.n)
	}
	for ; p.left > 0; p.left-- {
		if p.want == 0 {
			begin := p.pos
			size, ok, err := p.lengthLine(data, errBigBulk)
			switch {
			case err != nil:
				return p.fail(args, err)
			case !ok:
				return args, 0, nil
			case data[begin] != '$':
				return p.fail(args, errExpectedBulk(data[begin]))
			case !size.valid || size.n < 0 || size.n > p.maxBulk():
				return p.fail(args, errBadBulk)
			case size.n > UnauthMaxBulk && !p.Authenticated:
				return p.fail(args, errUnauthBulk)
			}
			p.want = int(min(size.n, math.MaxInt/4)) + 2
		}
		if len(data)-p.pos < p.want {
			p.need = p.pos + p.want
			return args, 0, nil
		}
		p.pos += p.want
		p.want = 0
	}
	n := p.pos
	p.Reset()
	return collect(data[:n], args), n, nil
}

// length is the number of a length line, valid if it is one.
type length struct {
	n     int64
	valid bool
}

// lengthLine reads the line at p.pos: a type byte, a number, \r and a byte that Redis doesn't look at. ok is false if
// it is incomplete, which sets need; tooBig is the error if it has more than MaxInline bytes.
func (p *Parser) lengthLine(data []byte, tooBig *Error) (v length, ok bool, err *Error) {
	end, ok, err := p.lineEnd(data, '\r', tooBig)
	if !ok || err != nil {
		return v, false, err
	}
	if end+1 >= len(data) {
		p.need = len(data) + 1
		return v, false, nil
	}
	// An empty line has no type byte; Redis takes the number to be of length -1, which is not one.
	if end > p.pos {
		v.n, v.valid = ParseInt(data[p.pos+1 : end])
	}
	p.pos, p.scanned = end+2, 0
	return v, true, nil
}

// lineEnd finds the first sep at or after p.pos. As in Redis, which searches with strchr, a NUL byte hides what comes
// after it: such a line never ends, and is refused for its length one day.
func (p *Parser) lineEnd(data []byte, sep byte, tooBig *Error) (end int, ok bool, err *Error) {
	from := max(p.scanned, p.pos)
	window := data[from:min(len(data), p.pos+MaxInline+1)]
	i := bytes.IndexByte(window, sep)
	if i < 0 {
		i = len(window)
	}
	nul := bytes.IndexByte(window[:i], 0)
	switch {
	case nul < 0 && i < len(window):
		p.scanned = from + i
		return from + i, true, nil
	case len(data)-p.pos > MaxInline:
		return 0, false, tooBig
	case nul >= 0:
		p.scanned = from + nul
		p.need = p.pos + MaxInline + 1
	default:
		p.scanned = len(data)
		p.need = len(data) + 1
	}
	return 0, false, nil
}

// parseInline parses an inline command, which is a line of words.
func (p *Parser) parseInline(data []byte, args [][]byte) ([][]byte, int, error) {
	end, ok, err := p.lineEnd(data, '\n', errBigInline)
	if err != nil {
		return p.fail(args, err)
	}
	if !ok {
		return args, 0, nil
	}
	p.Reset()
	line := data[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	if bytes.IndexByte(line, '"') >= 0 || bytes.IndexByte(line, '\'') >= 0 {
		line = bytes.Clone(line) // a command that has to wait is parsed again
	}
	out, ok := SplitArgs(line, args)
	if !ok {
		return p.fail(args, errUnbalanced)
	}
	return out, end + 1, nil
}

// fail ends the stream with an error.
func (p *Parser) fail(args [][]byte, err *Error) ([][]byte, int, error) {
	p.Reset()
	return args, 0, err
}

// collect appends the arguments of data, one complete multibulk command that has been checked, to args.
func collect(data []byte, args [][]byte) [][]byte {
	count, i := checkedLength(data, 0)
	args = slices.Grow(args, count)
	for range count {
		size, head := checkedLength(data, i)
		end := head + size
		args = append(args, data[head:end:end])
		i = end + 2
	}
	return args
}

// checkedLength reads the number that follows data[at] and is known to be one. next is the index behind its line end.
func checkedLength(data []byte, at int) (v, next int) {
	i := at + 1
	for ; data[i] != '\r'; i++ {
		v = v*10 + int(data[i]-'0')
	}
	return v, i + 2
}

// maxBulk returns the limit in force.
func (p *Parser) maxBulk() int64 {
	if p.MaxBulk == 0 {
		return DefaultMaxBulk
	}
	return p.MaxBulk
}
