package script

import (
	"bytes"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"fulmen/internal/resp"
)

// How replies become Lua values, and Lua values replies, as Redis converts them.
//
//	RESP                          Lua
//	:n                            number
//	$ bulk string                 string
//	$-1 *-1                       false
//	+status                       {ok=…}
//	-error                        {err=…, ignore_error_stats_update=true}
//	* array                       table 1…n
//	_ #                           nil, boolean
//	, ( =                         {double=…} {big_number=…} {verbatim_string={format=…, string=…}}
//	% ~                           {map={…}} {set={…=true}}
//	| attribute                   left out
//
// The other way a table is what its first field of those names says, in the order err, ok, double, big_number,
// verbatim_string, map, set; else it is an array up to its first nil. Numbers are cut to integers.

// readReply makes a Lua value of the reply at the beginning of b, which a Host has returned.
func (r *Runner) readReply(L *lua.LState, b []byte) (v lua.LValue, rest []byte) {
	line, rest := cutLine(b[1:])
	switch resp.Kind(b[0]) {
	case resp.KindInt:
		n, _ := resp.ParseInt(line)
		return lua.LNumber(n), rest
	case resp.KindBulk:
		return readBulk(line, rest)
	case resp.KindSimple:
		return field(L, "ok", lua.LString(line)), rest
	case resp.KindError:
		return countedError(L, string(line)), rest
	case resp.KindArray, resp.KindPush:
		return r.readArray(L, line, rest)
	case resp.KindNull:
		return lua.LNil, rest
	case resp.KindBool:
		return lua.LBool(line[0] == 't'), rest
	case resp.KindDouble:
		n, _ := parseNumber(string(line))
		return field(L, "double", lua.LNumber(n)), rest
	case resp.KindBigNumber:
		return field(L, "big_number", lua.LString(line)), rest
	case resp.KindVerbatim:
		n, _ := resp.ParseInt(line)
		verbatim := L.CreateTable(0, 2)
		verbatim.RawSetString("string", lua.LString(rest[4:n]))
		verbatim.RawSetString("format", lua.LString(rest[:3]))
		return field(L, "verbatim_string", verbatim), rest[n+2:]
	case resp.KindMap:
		return r.readMap(L, line, rest)
	case resp.KindSet:
		return r.readSet(L, line, rest)
	case resp.KindAttribute:
		n, _ := resp.ParseInt(line)
		for range 2 * n {
			_, rest = r.readReply(L, rest)
		}
		return r.readReply(L, rest)
	}
	panic("BUG: a host's reply of kind " + string(b[:1]))
}

// cutLine returns what stands before the next line end, and what behind.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\r')
	return b[:i], b[i+2:]
}

func readBulk(line, rest []byte) (v lua.LValue, behind []byte) {
	n, _ := resp.ParseInt(line)
	if n < 0 {
		return lua.LFalse, rest
	}
	return lua.LString(rest[:n]), rest[n+2:]
}

func (r *Runner) readArray(L *lua.LState, line, rest []byte) (v lua.LValue, behind []byte) {
	n, _ := resp.ParseInt(line)
	if n < 0 {
		return lua.LFalse, rest
	}
	t := L.CreateTable(int(n), 0)
	for i := range int(n) {
		var elem lua.LValue
		elem, rest = r.readReply(L, rest)
		t.RawSetInt(i+1, elem)
	}
	return t, rest
}

func (r *Runner) readMap(L *lua.LState, line, rest []byte) (v lua.LValue, behind []byte) {
	n, _ := resp.ParseInt(line)
	t := L.CreateTable(0, int(n))
	for range n {
		var key, value lua.LValue
		key, rest = r.readReply(L, rest)
		value, rest = r.readReply(L, rest)
		L.RawSet(t, key, value)
	}
	return field(L, "map", t), rest
}

func (r *Runner) readSet(L *lua.LState, line, rest []byte) (v lua.LValue, behind []byte) {
	n, _ := resp.ParseInt(line)
	t := L.CreateTable(0, int(n))
	for range n {
		var key lua.LValue
		key, rest = r.readReply(L, rest)
		L.RawSet(t, key, lua.LTrue)
	}
	return field(L, "set", t), rest
}

// field makes a table of one field.
func field(L *lua.LState, name string, v lua.LValue) *lua.LTable {
	t := L.CreateTable(0, 1)
	t.RawSetString(name, v)
	return t
}

// errorTable makes the table that stands for an error. A message that begins with '-' has its code as first word;
// others get ERR.
func errorTable(L *lua.LState, msg string) *lua.LTable {
	code := "ERR"
	if strings.HasPrefix(msg, "-") {
		msg = msg[1:]
		if before, behind, found := strings.Cut(msg, " "); found {
			code, msg = before, behind
		}
	}
	return field(L, "err", lua.LString(code+" "+strings.Trim(msg, "\r\n")))
}

// countedError is errorTable of an error reply without its '-', which statistics have counted.
func countedError(L *lua.LState, msg string) *lua.LTable {
	t := errorTable(L, "-"+msg)
	t.RawSetString("ignore_error_stats_update", lua.LTrue)
	return t
}

// stackSlots is how many values of Lua's stack a nested table may need before its conversion is given up.
const stackSlots = 8000

// writer appends a script's result to a reply.
type writer struct {
	r     *Runner
	proto int // the client's
	dst   []byte
	limit int // dst must not become longer
	steps int
	err   *resp.Error // why it was given up
}

// write appends v. slot is how much of Lua's stack Redis would have in use, v included.
func (w *writer) write(v lua.LValue, slot int) {
	if w.err != nil {
		return
	}
	if slot+4 > stackSlots {
		w.dst = resp.AppendError(w.dst, resp.Errorf("ERR", "reached lua stack limit"))
		return
	}
	switch v := v.(type) {
	case lua.LString:
		w.dst = resp.AppendBulkString(w.dst, string(v))
	case lua.LNumber:
		w.dst = resp.AppendInt(w.dst, toInt64(float64(v)))
	case lua.LBool:
		switch {
		case w.r.proto >= 3:
			w.dst = resp.AppendBool(w.dst, w.proto, bool(v))
		case bool(v):
			w.dst = resp.AppendInt(w.dst, 1)
		default:
			w.dst = resp.AppendNull(w.dst, w.proto)
		}
	case *lua.LTable:
		w.table(v, slot)
	default:
		w.dst = resp.AppendNull(w.dst, w.proto)
	}
	if w.steps++; w.steps%1024 == 0 && w.r.hook.due() != nil {
		w.err = resp.ParseError(w.r.hook.killed.Error())
	}
	if len(w.dst) > w.limit {
		w.err = resp.ParseError(errMemory.Error())
	}
}

// toInt64 is C's conversion on x86: what is no int64 becomes the smallest.
func toInt64(f float64) int64 {
	if !(f >= -1<<63 && f < 1<<63) {
		return math.MinInt64
	}
	return int64(f)
}

// cString is what C sees of s: what stands before its first NUL.
func cString(s string) string {
	before, _, _ := strings.Cut(s, "\x00")
	return before
}

// blankLines makes blanks of line ends.
var blankLines = strings.NewReplacer("\r", " ", "\n", " ")

func (w *writer) table(t *lua.LTable, slot int) {
	if err, ok := t.RawGetString("err").(lua.LString); ok {
		w.dst = append(append(w.dst, '-'), blankLines.Replace(strings.TrimRight(cString(string(err)), "\r\n"))...)
		w.dst = append(w.dst, '\r', '\n')
		return
	}
	if status, ok := t.RawGetString("ok").(lua.LString); ok {
		w.dst = resp.AppendSimple(w.dst, blankLines.Replace(cString(string(status))))
		return
	}
	if double, ok := t.RawGetString("double").(lua.LNumber); ok {
		w.double(float64(double))
		return
	}
	if digits, ok := t.RawGetString("big_number").(lua.LString); ok {
		w.dst = resp.AppendBigNumber(w.dst, w.proto, blankLines.Replace(string(digits)))
		return
	}
	if verbatim, ok := t.RawGetString("verbatim_string").(*lua.LTable); ok {
		format, isString := verbatim.RawGetString("format").(lua.LString)
		text, alsoString := verbatim.RawGetString("string").(lua.LString)
		if isString && alsoString {
			w.dst = resp.AppendVerbatim(w.dst, w.proto, (cString(string(format)) + "   ")[:3], string(text))
			return
		}
	}
	if pairs, ok := t.RawGetString("map").(*lua.LTable); ok {
		w.dst = resp.AppendMap(w.dst, w.proto, size(pairs))
		for key, value := pairs.Next(lua.LNil); key != lua.LNil; key, value = pairs.Next(key) {
			w.write(key, slot+4)
			w.write(value, slot+3)
		}
		return
	}
	if set, ok := t.RawGetString("set").(*lua.LTable); ok {
		w.dst = resp.AppendSet(w.dst, w.proto, size(set))
		for key, _ := set.Next(lua.LNil); key != lua.LNil; key, _ = set.Next(key) {
			w.write(key, slot+3)
		}
		return
	}
	w.array(t, slot)
}

// double appends a floating-point number; that it is none may have a sign.
func (w *writer) double(f float64) {
	switch {
	case !math.IsNaN(f) || !math.Signbit(f):
		w.dst = resp.AppendDouble(w.dst, w.proto, f)
	case w.proto >= 3:
		w.dst = append(w.dst, ",-nan\r\n"...)
	default:
		w.dst = resp.AppendBulkString(w.dst, "-nan")
	}
}

// size is how many entries a table has.
func size(t *lua.LTable) (n int) {
	for key, _ := t.Next(lua.LNil); key != lua.LNil; key, _ = t.Next(key) {
		n++
	}
	return n
}

func (w *writer) array(t *lua.LTable, slot int) {
	n := 0
	for t.RawGet(lua.LNumber(n+1)) != lua.LNil {
		n++
	}
	w.dst = resp.AppendArray(w.dst, n)
	for i := range n {
		w.write(t.RawGet(lua.LNumber(i+1)), slot+1)
	}
}
