package redistest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// reply is a reply of a server, or the textual form of one.
//
// kind is the type byte of RESP: + - : $ * % ~ > , # ( = and, for null, _; nullArray for RESP2's null array; and
// wrongNull for a null that is not one of the connection's protocol.
type reply struct {
	kind   byte
	text   string  // of everything but nulls and aggregates; a number is as it came
	items  []reply // of aggregates; key, value, key, value … in a map
	digest string  // of a bulk string read from its shortened form, whose text is then only its beginning
}

const (
	nullArray = 'A'
	wrongNull = 'W'
)

const (
	maxShownBulk   = 256 // longer bulk strings are written in their shortened form
	shownOfLong    = 32  // bytes of it
	digestTextMark = " and so on, "
)

// short gives a long bulk or verbatim string in its shortened form, everything else as it is.
func (r reply) short() reply {
	if r.kind != '$' && r.kind != '=' || r.digest != "" || len(r.text) <= maxShownBulk {
		return r
	}
	sum := sha256.Sum256([]byte(r.text))
	r.digest = fmt.Sprintf("%d bytes, sha256 %x", len(r.text), sum[:12])
	r.text = r.text[:shownOfLong]
	return r
}

// String gives the textual form, lines without a line end behind the last.
func (r reply) String() string {
	return strings.Join(r.lines(nil, ""), "\n")
}

func (r reply) lines(out []string, indent string) []string {
	switch r.kind {
	case '_':
		return append(out, indent+"nil")
	case nullArray:
		return append(out, indent+"nil-array")
	case wrongNull:
		return append(out, indent+"null of the other protocol, "+r.text)
	case '$', '=':
		if r.kind == '=' {
			indent += "="
		}
		r = r.short()
		line := indent + quote(r.text)
		if r.digest != "" {
			line += digestTextMark + r.digest
		}
		return append(out, line)
	case '*', '~', '>', '%', '|':
		n := len(r.items)
		if r.kind == '%' || r.kind == '|' {
			n /= 2
		}
		out = append(out, indent+string(r.kind)+strconv.Itoa(n))
		for _, item := range r.items {
			out = item.lines(out, indent+"  ")
		}
		return out
	default:
		return append(out, indent+string(r.kind)+escape(r.text, ""))
	}
}

// quote writes a string as redis-cli does and as resp.SplitArgs reads it: printable ASCII in double quotes.
func quote(s string) string { return `"` + escape(s, `"`) + `"` }

// escape writes what is not printable ASCII, backslashes and the characters in special with a backslash.
func escape(s, special string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '\\' || strings.IndexByte(special, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape reads what escape has written up to the first byte of stop, or all if stop is 0, and gives what is behind.
func unescape(s string, stop byte) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == stop && stop != 0 {
			return b.String(), s[i+1:], nil
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(s) {
			return "", "", errors.New("a backslash at the end")
		}
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'x':
			if i+3 > len(s) {
				return "", "", errors.New(`\x without two digits`)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", "", err
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	if stop != 0 {
		return "", "", errors.New("a quote is missing")
	}
	return b.String(), "", nil
}

// parseReply reads the textual form from its lines; all of them must belong to the one reply.
func parseReply(lines []string) (reply, error) {
	r, rest, err := parseLines(lines, "")
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("more than one reply: %q", rest[0])
	}
	return r, err
}

func parseLines(lines []string, indent string) (reply, []string, error) {
	if len(lines) == 0 {
		return reply{}, nil, errors.New("a reply is missing or incomplete")
	}
	line, ok := strings.CutPrefix(lines[0], indent)
	if !ok || line == "" {
		return reply{}, nil, fmt.Errorf("%q: wants an item indented by %d blanks", lines[0], len(indent))
	}
	r := reply{kind: line[0], text: line[1:]}
	var err error
	switch {
	case line == "nil":
		r = reply{kind: '_'}
	case line == "nil-array":
		r = reply{kind: nullArray}
	case r.kind == '"':
		r, err = parseBulk(r.text)
	case r.kind == '=':
		r, err = parseBulk(strings.TrimPrefix(r.text, `"`))
		r.kind = '='
	case strings.IndexByte("*~>%|", r.kind) >= 0:
		return parseItems(r, lines, indent)
	case strings.IndexByte("+-:,#(", r.kind) >= 0:
		r.text, _, err = unescape(r.text, 0)
	default:
		err = errors.New("not a reply")
	}
	if err != nil {
		return reply{}, nil, fmt.Errorf("%q: %w", lines[0], err)
	}
	return r, lines[1:], nil
}

// parseBulk reads a quoted string from behind its first quote.
func parseBulk(s string) (reply, error) {
	text, rest, err := unescape(s, '"')
	if err != nil {
		return reply{}, err
	}
	digest, ok := strings.CutPrefix(rest, digestTextMark)
	if !ok && rest != "" {
		return reply{}, fmt.Errorf("%q behind the string", rest)
	}
	return reply{kind: '$', text: text, digest: digest}, nil
}

// parseItems reads the items of an aggregate whose head is lines[0].
func parseItems(r reply, lines []string, indent string) (reply, []string, error) {
	n, err := strconv.Atoi(r.text)
	if err != nil || n < 0 {
		return reply{}, nil, fmt.Errorf("%q: wants a count", lines[0])
	}
	if r.kind == '%' || r.kind == '|' {
		n *= 2
	}
	r.text, lines = "", lines[1:]
	for range n {
		var item reply
		if item, lines, err = parseLines(lines, indent+"  "); err != nil {
			return reply{}, nil, err
		}
		r.items = append(r.items, item)
	}
	return r, lines, nil
}

// tolerance says which differences between two replies don't count. The zero value allows none.
type tolerance struct {
	any       bool  // only the kinds must be the same
	float     bool  // numbers in strings may differ in the 15th digit
	near      int64 // integers that are not negative may differ by that
	unordered int   // 0: items come in order; n: groups of n items come in any order
	// field: of INFO's text only this one counts.
	field string
	// idle: in arrays of so many numbers and strings the n-th, from 1, is a time that has passed.
	idle idleItem
}

// idleItem says which item of arrays of how many.
type idleItem struct{ nth, of int }

const floatTolerance = 1e-14 // of the greater one

// equal says whether two replies are the same but for what is tolerated.
func (t tolerance) equal(a, b reply) bool {
	if a.kind != b.kind || len(a.items) != len(b.items) && !t.any {
		return false
	}
	if t.any {
		return true
	}
	switch {
	case t.field != "" && (a.kind == '$' || a.kind == '='):
		return infoField(a.text, t.field) == infoField(b.text, t.field)
	case a.kind == ':' && t.near != 0:
		return t.nearby(a.text, b.text)
	case t.float && strings.IndexByte("$+,", a.kind) >= 0 && closeFloats(a.text, b.text):
		return true
	case len(a.items) > 0:
		return t.equalItems(a, b)
	}
	a, b = a.short(), b.short()
	return a.text == b.text && a.digest == b.digest
}

// infoField gives the line of a field of INFO.
func infoField(text, field string) string {
	for line := range strings.SplitSeq(text, "\r\n") {
		if strings.HasPrefix(line, field+":") {
			return line
		}
	}
	return ""
}

func (t tolerance) nearby(a, b string) bool {
	m, errA := strconv.ParseInt(a, 10, 64)
	n, errB := strconv.ParseInt(b, 10, 64)
	if errA != nil || errB != nil || m < 0 || n < 0 {
		return a == b
	}
	return max(m, n)-min(m, n) <= t.near
}

func closeFloats(a, b string) bool {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	return errA == nil && errB == nil && math.Abs(x-y) <= floatTolerance*max(math.Abs(x), math.Abs(y))
}

// equalItems finds for each group of items of a one of b that no other has found, near its own place first.
func (t tolerance) equalItems(a, b reply) bool {
	size := t.unordered
	if a.kind == '%' {
		size = max(size, min(size, 1)*2) // a map's items are pairs
	}
	if size == 0 || len(a.items)%size != 0 {
		size = len(a.items)
	}
	taken := make([]bool, len(b.items)/size)
	for i := range taken {
		found := false
		for k := range taken {
			j := (i + k) % len(taken)
			if !taken[j] && t.equalRun(a.items[i*size:][:size], b.items[j*size:][:size]) {
				taken[j], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (t tolerance) equalRun(a, b []reply) bool {
	flat := t.idle.of == len(a) && !slices.ContainsFunc(a, func(r reply) bool { return len(r.items) > 0 })
	for i := range a {
		if flat && i+1 == t.idle.nth && (tolerance{near: nearMs}).equal(a[i], b[i]) {
			continue
		}
		if !t.equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
