package script

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// The library cjson encodes values as JSON and decodes it, as lua-cjson 2.1.0 does. A table is an array if all its keys
// are integers from 1 on and the biggest one isn't far above their number; the empty table is an object. The order of
// an object's keys is that of next: elements of the array part, then other keys as they were set first. null is a
// userdata, cjson.null.

// jsonConfig is what a table of functions has been told.
type jsonConfig struct {
	sparseConvert  bool // excessively sparse arrays become objects instead of errors
	sparseRatio    int  // how far above the number of its elements an array's last index may be; 0: at any distance
	sparseSafe     int  // last indexes up to this one are never too far
	encodeMaxDepth int
	decodeMaxDepth int
	precision      int
	encodeInvalid  int // what infinities and NaNs become: one of invalidNames
	decodeInvalid  bool
	keepBuffer     bool // has no effect
}

// What encode_invalid_numbers says, in the order of invalidNames.
const (
	invalidRefused = iota
	invalidAsTheyAre
	invalidAsNull
)

var invalidNames = []string{"off", "on", "null"}

// defaultJSONDepth is how deep arrays and objects nest at most unless a script says otherwise.
const defaultJSONDepth = 1000

func newJSONConfig() *jsonConfig {
	c := &jsonConfig{}
	c.reset()
	return c
}

func (c *jsonConfig) reset() {
	*c = jsonConfig{sparseRatio: 2, sparseSafe: 10, encodeMaxDepth: defaultJSONDepth, decodeMaxDepth: defaultJSONDepth,
		precision: 14, decodeInvalid: true, keepBuffer: true}
}

// openCjson makes the table cjson.
func (lb *libs) openCjson(L *lua.LState) *lua.LTable { return lb.newCjson(L, lb.json) }

// newCjson makes a table of functions with a configuration of its own.
func (lb *libs) newCjson(L *lua.LState, c *jsonConfig) *lua.LTable {
	t := newLibrary(L, map[string]lua.LGFunction{
		"decode":                  func(L *lua.LState) int { return lb.jsonDecode(L, c) },
		"decode_invalid_numbers":  c.setDecodeInvalid,
		"decode_max_depth":        func(L *lua.LState) int { return jsonInt(L, &c.decodeMaxDepth, 1, math.MaxInt32) },
		"encode":                  func(L *lua.LState) int { return lb.jsonEncode(L, c) },
		"encode_invalid_numbers":  c.setEncodeInvalid,
		"encode_keep_buffer":      c.setKeepBuffer,
		"encode_max_depth":        func(L *lua.LState) int { return jsonInt(L, &c.encodeMaxDepth, 1, math.MaxInt32) },
		"encode_number_precision": func(L *lua.LState) int { return jsonInt(L, &c.precision, 1, 14) },
		"encode_sparse_array":     c.setSparse,
		"new":                     func(L *lua.LState) int { L.Push(lb.newCjson(L, newJSONConfig())); return 1 },
	})
	t.RawSetString("null", lb.null)
	t.RawSetString("_NAME", lua.LString("cjson"))
	t.RawSetString("_VERSION", lua.LString("2.1.0"))
	return t
}

func checkAtMost(L *lua.LState, n int) {
	if L.GetTop() > n {
		argError(L, n+1, "found too many arguments")
	}
}

// cjson.encode_max_depth([n]) and its like: sets an integer, if there is one, and returns it.
func jsonInt(L *lua.LState, setting *int, low, up int) int {
	checkAtMost(L, 1)
	jsonIntOption(L, 1, setting, low, up)
	pushNumber(L, *setting)
	return 1
}

// jsonIntOption sets an integer, if there is one. Errors count it first, wherever it stands.
func jsonIntOption(L *lua.LState, arg int, setting *int, low, up int) {
	if L.Get(arg) == lua.LNil {
		return
	}
	n := checkInt(L, arg)
	if n < low || n > up {
		argError(L, 1, fmt.Sprintf("expected integer between %d and %d", low, up))
	}
	*setting = n
}

// jsonChoice sets one of names, if there is an argument, and returns it; the first two are false and true, too.
func jsonChoice(L *lua.LState, arg, setting int, names []string) int {
	switch v := L.Get(arg).(type) {
	case *lua.LNilType:
	case lua.LBool:
		setting = 0
		if v {
			setting = 1
		}
	default:
		setting = checkOption(L, arg, names)
	}
	return setting
}

func jsonSwitch(L *lua.LState, arg int, setting *bool) {
	n := 0
	if *setting {
		n = 1
	}
	*setting = jsonChoice(L, arg, n, []string{"off", "on"}) == 1
}

// cjson.encode_sparse_array([convert [, ratio [, safe]]])
func (c *jsonConfig) setSparse(L *lua.LState) int {
	checkAtMost(L, 3)
	jsonSwitch(L, 1, &c.sparseConvert)
	jsonIntOption(L, 2, &c.sparseRatio, 0, math.MaxInt32)
	jsonIntOption(L, 3, &c.sparseSafe, 0, math.MaxInt32)
	L.Push(lua.LBool(c.sparseConvert))
	pushNumber(L, c.sparseRatio)
	pushNumber(L, c.sparseSafe)
	return 3
}

// cjson.encode_invalid_numbers([setting])
func (c *jsonConfig) setEncodeInvalid(L *lua.LState) int {
	checkAtMost(L, 1)
	c.encodeInvalid = jsonChoice(L, 1, c.encodeInvalid, invalidNames)
	if c.encodeInvalid == invalidAsNull {
		L.Push(lua.LString(invalidNames[c.encodeInvalid]))
	} else {
		L.Push(lua.LBool(c.encodeInvalid == invalidAsTheyAre))
	}
	return 1
}

// cjson.decode_invalid_numbers([setting])
func (c *jsonConfig) setDecodeInvalid(L *lua.LState) int {
	checkAtMost(L, 1)
	jsonSwitch(L, 1, &c.decodeInvalid)
	L.Push(lua.LBool(c.decodeInvalid))
	return 1
}

// cjson.encode_keep_buffer([setting])
func (c *jsonConfig) setKeepBuffer(L *lua.LState) int {
	checkAtMost(L, 1)
	jsonSwitch(L, 1, &c.keepBuffer)
	L.Push(lua.LBool(c.keepBuffer))
	return 1
}

// cjson.encode(value)
func (lb *libs) jsonEncode(L *lua.LState, c *jsonConfig) int {
	if L.GetTop() != 1 {
		argError(L, 1, "expected 1 argument")
	}
	e := jsonEncoder{L: L, lb: lb, config: c, buf: lb.takeBuffer(), slots: 1}
	e.value(L.Get(1), 0)
	return lb.pushBuffer(L, e.buf)
}

// jsonEncoder encodes values.
type jsonEncoder struct {
	L      *lua.LState
	lb     *libs
	config *jsonConfig
	buf    []byte
	slots  int // of the stack, as lua-cjson uses it: this bounds the depth, too
}

func (e *jsonEncoder) value(v lua.LValue, depth int) {
	e.lb.spend(e.L, 20)
	switch v := v.(type) {
	case lua.LString:
		e.string(string(v))
	case lua.LNumber:
		e.number(float64(v))
	case lua.LBool:
		if v {
			e.buf = append(e.buf, "true"...)
		} else {
			e.buf = append(e.buf, "false"...)
		}
	case *lua.LTable:
		v = realTable(v)
		e.descend(depth + 1)
		if n := e.arrayLength(v); n > 0 {
			e.array(v, n, depth+1)
		} else {
			e.object(v, depth+1)
		}
	case *lua.LNilType:
		e.buf = append(e.buf, "null"...)
	default:
		if v != lua.LValue(e.lb.null) {
			e.refuse(v, "type not supported")
		}
		e.buf = append(e.buf, "null"...)
	}
	e.lb.checkRoom(e.L, len(e.buf))
}

// refuse raises the error that a value can't be encoded.
func (e *jsonEncoder) refuse(v lua.LValue, why string) {
	raisef(e.L, "Cannot serialise %s: %s", v.Type(), why)
}

// descend raises an error if a table is too deep.
func (e *jsonEncoder) descend(depth int) {
	if depth > e.config.encodeMaxDepth || e.slots+3 > maxStack {
		raisef(e.L, "Cannot serialise, excessive nesting (%d)", depth)
	}
}

// jsonEscapes are the bytes that stand for others in strings, besides control characters.
var jsonEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

func (e *jsonEncoder) string(s string) {
	e.lb.spend(e.L, len(s))
	e.buf = append(e.buf, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		escape := jsonEscapes[c]
		if escape == 0 && c >= ' ' && c != 0x7f {
			continue
		}
		e.buf = append(e.buf, s[from:i]...)
		from = i + 1
		if escape != 0 {
			e.buf = append(e.buf, '\\', escape)
			continue
		}
		const digits = "0123456789abcdef"
		e.buf = append(e.buf, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
	e.buf = append(e.buf, s[from:]...)
	e.buf = append(e.buf, '"')
}

func (e *jsonEncoder) number(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		switch {
		case e.config.encodeInvalid == invalidRefused:
			e.refuse(lua.LNumber(f), "must not be NaN or Inf")
		case e.config.encodeInvalid == invalidAsNull:
			e.buf = append(e.buf, "null"...)
			return
		case f != f:
			e.buf = append(e.buf, "nan"...)
			return
		}
	}
	if e.config.precision == 14 {
		e.buf = appendNumber(e.buf, f)
		return
	}
	spec := formatSpec{precision: e.config.precision, conversion: 'g'}
	e.buf = spec.appendFloat(e.buf, f)
}

// arrayLength is the last index of a table that is an array; 0 or less: it is an object.
func (e *jsonEncoder) arrayLength(t *lua.LTable) int {
	items, biggest, ok := e.lb.integerKeys(e.L, t)
	if !ok {
		return -1
	}
	last := int32From(biggest)
	c := e.config
	if c.sparseRatio > 0 && int(last) > int(int32(items*c.sparseRatio)) && int(last) > c.sparseSafe {
		if !c.sparseConvert {
			e.refuse(t, "excessively sparse array")
		}
		return -1
	}
	return int(last)
}

// int32From is what C on amd64 makes of a double as an int: out of range, the lowest.
func int32From(f float64) int32 {
	if f > math.MinInt32-1 && f < math.MaxInt32+1 {
		return int32(f)
	}
	return math.MinInt32
}

func (e *jsonEncoder) array(t *lua.LTable, n, depth int) {
	e.slots++
	e.buf = append(e.buf, '[')
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.buf = append(e.buf, ',')
		}
		e.value(getIndex(t, i), depth)
	}
	e.buf = append(e.buf, ']')
	e.slots--
}

func (e *jsonEncoder) object(t *lua.LTable, depth int) {
	e.slots += 2
	e.buf = append(e.buf, '{')
	first := true
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if !first {
			e.buf = append(e.buf, ',')
		}
		first = false
		switch k := k.(type) {
		case lua.LNumber:
			e.buf = append(e.buf, '"')
			e.number(float64(k))
			e.buf = append(e.buf, '"')
		case lua.LString:
			e.string(string(k))
		default:
			e.refuse(k, "table key must be a number or string")
		}
		e.buf = append(e.buf, ':')
		e.value(v, depth)
	}
	e.buf = append(e.buf, '}')
	e.slots -= 2
}
