package resp

import (
	"slices"
	"strconv"
)

// Every Append function appends one reply, or the head of one, to dst and returns the extended slice. proto is the
// connection's protocol, 2 or 3; functions without it write the same in both.

// AppendSimple appends a simple string such as OK. s must not hold line ends.
func AppendSimple(dst []byte, s string) []byte {
	dst = append(dst, '+')
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

// AppendOK appends +OK.
func AppendOK(dst []byte) []byte { return append(dst, "+OK\r\n"...) }

// AppendQueued appends the reply to a command that MULTI queues.
func AppendQueued(dst []byte) []byte { return append(dst, "+QUEUED\r\n"...) }

// AppendError appends an error reply. Line ends in it become blanks, those at its end are dropped, as in Redis.
func AppendError(dst []byte, e *Error) []byte {
	dst = append(dst, '-')
	from := len(dst)
	dst = append(dst, e.Code...)
	if e.Msg != "" {
		dst = append(dst, ' ')
		dst = append(dst, e.Msg...)
	}
	for len(dst) > from && (dst[len(dst)-1] == '\r' || dst[len(dst)-1] == '\n') {
		dst = dst[:len(dst)-1]
	}
	for i, c := range dst[from:] {
		if c == '\r' || c == '\n' {
			dst[from+i] = ' '
		}
	}
	return append(dst, '\r', '\n')
}

// AppendInt appends an integer.
func AppendInt(dst []byte, n int64) []byte { return appendHead(dst, ':', n) }

// AppendBulk appends a bulk string, which may hold any bytes.
func AppendBulk(dst, b []byte) []byte {
	dst = AppendBulkHead(dst, len(b))
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

// AppendBulkString appends a bulk string, which may hold any bytes.
func AppendBulkString(dst []byte, s string) []byte {
	dst = AppendBulkHead(dst, len(s))
	dst = append(dst, s...)
	return append(dst, '\r', '\n')
}

// AppendBulkInt appends an integer as a bulk string.
func AppendBulkInt(dst []byte, n int64) []byte {
	var buf [20]byte
	return AppendBulk(dst, strconv.AppendInt(buf[:0], n, 10))
}

// AppendBulkHead appends the head of a bulk string of size bytes and makes room for the rest, for a caller that appends
// the bytes and a \r\n itself.
func AppendBulkHead(dst []byte, size int) []byte {
	if n := size + bulkExtra; cap(dst)-len(dst) < n {
		dst = grow(dst, n)
	}
	return appendHead(dst, '$', int64(size))
}

// bulkExtra is what a bulk string is longer than its bytes, at most.
const bulkExtra = len("$") + 20 + len("\r\n\r\n")

// longReply is the length in bytes from which on a reply doubles when it grows.
const longReply = 64 << 10

// grow makes room for n more bytes. append adds a quarter to what is long, which copies a reply of a gigabyte four
// times over, all clients waiting, and it writes to all of the room, which the kernel then has to supply.
func grow(dst []byte, n int) []byte {
	if len(dst) < longReply {
		return slices.Grow(dst, n)
	}
	longer := make([]byte, len(dst), len(dst)+max(n, len(dst)))
	copy(longer, dst)
	return longer
}

// AppendNull appends the reply for something that isn't there: a null bulk string in RESP2.
func AppendNull(dst []byte, proto int) []byte {
	if proto >= 3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "$-1\r\n"...)
}

// AppendNullArray appends the reply for an array that isn't there: a null array in RESP2.
func AppendNullArray(dst []byte, proto int) []byte {
	if proto >= 3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "*-1\r\n"...)
}

// AppendArray appends the head of an array; n elements must follow.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, '*', int64(n)) }

// AppendMap appends the head of a map; n keys, each with its value, must follow. In RESP2 it is an array of 2n.
func AppendMap(dst []byte, proto, n int) []byte {
	if proto >= 3 {
		return appendHead(dst, '%', int64(n))
	}
	return appendHead(dst, '*', 2*int64(n))
}

// AppendSet appends the head of a set; n elements must follow. In RESP2 it is an array.
func AppendSet(dst []byte, proto, n int) []byte {
	if proto >= 3 {
		return appendHead(dst, '~', int64(n))
	}
	return appendHead(dst, '*', int64(n))
}

// AppendPush appends the head of an out-of-band message; n elements must follow. In RESP2 it is an array.
func AppendPush(dst []byte, proto, n int) []byte {
	if proto >= 3 {
		return appendHead(dst, '>', int64(n))
	}
	return appendHead(dst, '*', int64(n))
}

// AppendAttribute appends the head of n pairs about the reply that comes next. RESP2 has no such thing: a caller must
// not send them there.
func AppendAttribute(dst []byte, n int) []byte { return appendHead(dst, '|', int64(n)) }

// AppendBool appends a truth value; in RESP2 it is the integer 1 or 0.
func AppendBool(dst []byte, proto int, b bool) []byte {
	switch {
	case proto >= 3 && b:
		return append(dst, "#t\r\n"...)
	case proto >= 3:
		return append(dst, "#f\r\n"...)
	case b:
		return append(dst, ":1\r\n"...)
	}
	return append(dst, ":0\r\n"...)
}

// AppendDouble appends a floating-point number as FormatDouble writes it; in RESP2 it is a bulk string.
func AppendDouble(dst []byte, proto int, f float64) []byte {
	var buf [maxDouble]byte
	return appendNumber(dst, proto, FormatDouble(buf[:0], f))
}

// AppendHumanDouble appends a floating-point number without exponent, as FormatHumanDouble writes it; in RESP2 it is a
// bulk string.
func AppendHumanDouble(dst []byte, proto int, f float64) []byte {
	var buf [maxHumanDouble]byte
	return appendNumber(dst, proto, FormatHumanDouble(buf[:0], f))
}

// appendNumber appends a double whose digits are given.
func appendNumber(dst []byte, proto int, digits []byte) []byte {
	if proto < 3 {
		return AppendBulk(dst, digits)
	}
	dst = append(dst, ',')
	dst = append(dst, digits...)
	return append(dst, '\r', '\n')
}

// AppendBigNumber appends an integer of any size, given by its decimal digits; in RESP2 it is a bulk string.
func AppendBigNumber(dst []byte, proto int, digits string) []byte {
	if proto < 3 {
		return AppendBulkString(dst, digits)
	}
	dst = append(dst, '(')
	dst = append(dst, digits...)
	return append(dst, '\r', '\n')
}

// AppendVerbatim appends a text for people to read; format is three letters, "txt" or "mkd". In RESP2 it is a bulk
// string without the format.
func AppendVerbatim(dst []byte, proto int, format, text string) []byte {
	if proto < 3 {
		return AppendBulkString(dst, text)
	}
	dst = appendHead(dst, '=', int64(len(text)+len(format)+1))
	dst = append(dst, format...)
	dst = append(dst, ':')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendCommand appends a command as a client, a log or a replication stream writes it: an array of bulk strings.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = AppendArray(dst, len(args))
	for _, a := range args {
		dst = AppendBulk(dst, a)
	}
	return dst
}

// AppendCommandStrings is AppendCommand for strings.
func AppendCommandStrings(dst []byte, args ...string) []byte {
	dst = AppendArray(dst, len(args))
	for _, a := range args {
		dst = AppendBulkString(dst, a)
	}
	return dst
}

// appendHead appends a type byte, a number and a line end. Small numbers, which are nearly all of them, are written
// without a call.
func appendHead(dst []byte, kind byte, n int64) []byte {
	if uint64(n) < 10 {
		return append(dst, kind, byte('0'+n), '\r', '\n')
	}
	if uint64(n) < 100 {
		return append(dst, kind, byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}
