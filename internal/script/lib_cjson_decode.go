package script

import (
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// cjson.decode(text)
func (lb *libs) jsonDecode(L *lua.LState, c *jsonConfig) int {
	if L.GetTop() != 1 {
		argError(L, 1, "expected 1 argument")
	}
	text := checkString(L, 1)
	if len(text) >= 2 && (text[0] == 0 || text[1] == 0) {
		raisef(L, "JSON parser does not support UTF-16 or UTF-32")
	}
	lb.spend(L, len(text))
	d := jsonDecoder{L: L, lb: lb, config: c, source: text, slots: 1}
	d.next()
	v := d.value()
	d.next()
	if d.token != jsonEnd {
		d.fail("the end")
	}
	L.Push(v)
	return 1
}

// jsonToken is a kind of token; its text is what errors call it.
type jsonToken string

// The kinds of tokens.
const (
	jsonObjectBegin jsonToken = "T_OBJ_BEGIN"
	jsonObjectEnd   jsonToken = "T_OBJ_END"
	jsonArrayBegin  jsonToken = "T_ARR_BEGIN"
	jsonArrayEnd    jsonToken = "T_ARR_END"
	jsonString      jsonToken = "T_STRING"
	jsonNumber      jsonToken = "T_NUMBER"
	jsonBoolean     jsonToken = "T_BOOLEAN"
	jsonNull        jsonToken = "T_NULL"
	jsonColon       jsonToken = "T_COLON"
	jsonComma       jsonToken = "T_COMMA"
	jsonEnd         jsonToken = "T_END"
	// What is no token is called by what is wrong with it.
	jsonInvalid     jsonToken = "invalid token"
	jsonBadNumber   jsonToken = "invalid number"
	jsonBadEscape   jsonToken = "invalid escape code"
	jsonBadUnicode  jsonToken = "invalid unicode escape code"
	jsonUnfinished  jsonToken = "unexpected end of string"
	jsonSingleChars           = "{}[]:,"
)

// jsonSingle are the tokens of jsonSingleChars.
var jsonSingle = [...]jsonToken{
	jsonObjectBegin, jsonObjectEnd, jsonArrayBegin, jsonArrayEnd, jsonColon, jsonComma,
}

// jsonDecoder decodes a text, which ends at its first zero byte outside of a token.
type jsonDecoder struct {
	L      *lua.LState
	lb     *libs
	config *jsonConfig
	source string
	at     int // behind the token
	depth  int
	slots  int // of the stack, as lua-cjson uses it: this bounds the depth, too

	token jsonToken
	start int        // where the token, or what is wrong in it, begins
	what  lua.LValue // of a number, a boolean or null
	text  string     // of a string
}

// byteAt is the text's byte at i; 0: it has ended.
func (d *jsonDecoder) byteAt(i int) byte {
	if i < len(d.source) {
		return d.source[i]
	}
	return 0
}

// fail raises the error that something else was expected than the token.
func (d *jsonDecoder) fail(expected string) {
	raisef(d.L, "Expected %s but found %s at character %d", expected, string(d.token), d.start+1)
}

// next reads the next token.
func (d *jsonDecoder) next() {
	d.lb.spend(d.L, 20)
	for c := d.byteAt(d.at); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = d.byteAt(d.at) {
		d.at++
	}
	d.start = d.at
	c := d.byteAt(d.at)
	if i := strings.IndexByte(jsonSingleChars, c); i >= 0 {
		d.at++
		d.token = jsonSingle[i]
		return
	}
	rest := d.source[min(d.at, len(d.source)):]
	switch {
	case c == 0:
		d.token = jsonEnd
	case c == '"':
		d.string()
	case c == '-' || isDigit(c):
		if !d.config.decodeInvalid && isInvalidNumber(rest) {
			d.token = jsonBadNumber
			return
		}
		d.number(rest)
	case strings.HasPrefix(rest, "true"):
		d.word(4, jsonBoolean, lua.LTrue)
	case strings.HasPrefix(rest, "false"):
		d.word(5, jsonBoolean, lua.LFalse)
	case strings.HasPrefix(rest, "null"):
		d.word(4, jsonNull, d.lb.null)
	case d.config.decodeInvalid && strings.IndexByte("iInN+", c) >= 0 && isInvalidNumber(rest):
		d.number(rest)
	default:
		d.token = jsonInvalid
	}
}

func (d *jsonDecoder) word(length int, token jsonToken, v lua.LValue) {
	d.at += length
	d.token, d.what = token, v
}

// isInvalidNumber reports whether something isn't a number in JSON, though strtod may take it: a sign +, leading zeros,
// hexadecimal digits, infinities and NaNs. It may also be no number at all.
func isInvalidNumber(s string) bool {
	if s[0] == '+' {
		return true
	}
	s = strings.TrimPrefix(s, "-")
	if s == "" {
		return false
	}
	if s[0] == '0' {
		return len(s) > 1 && (s[1]|0x20 == 'x' || isDigit(s[1]))
	}
	return nameLength(s, "inf") == 3 || nameLength(s, "nan") == 3
}

func (d *jsonDecoder) number(rest string) {
	f, n := strtod(rest)
	if n == 0 {
		d.token = jsonBadNumber
		return
	}
	d.word(n, jsonNumber, numberValue(f))
}

// string reads a string. One without escapes is a part of the text.
func (d *jsonDecoder) string() {
	d.at++
	from := d.at
	for {
		c := d.byteAt(d.at)
		if c == '"' {
			d.lb.spend(d.L, d.at-from)
			d.token, d.text = jsonString, d.lb.part(d.L, d.source, from, d.at)
			d.at++
			return
		}
		if c == '\\' {
			d.escaped(from)
			return
		}
		if c == 0 {
			d.token, d.start = jsonUnfinished, d.at
			return
		}
		d.at++
	}
}

// escaped goes on reading a string that began at from with its first escape.
func (d *jsonDecoder) escaped(from int) {
	buf := append(d.lb.takeBuffer(), d.source[from:d.at]...)
	for {
		c := d.byteAt(d.at)
		if c == '"' {
			break
		}
		if c == 0 {
			d.token, d.start = jsonUnfinished, d.at
			return
		}
		d.at++
		if c != '\\' {
			buf = append(buf, c)
			continue
		}
		c = d.byteAt(d.at)
		if c == 'u' {
			r, n := unicodeEscape(d.source[d.at-1:])
			if n == 0 {
				d.token, d.start = jsonBadUnicode, d.at-1
				return
			}
			buf = utf8.AppendRune(buf, r)
			d.at += n - 1
			continue
		}
		i := strings.IndexByte(`"\/btnfr`, c)
		if i < 0 || c == 0 {
			d.token, d.start = jsonBadEscape, d.at-1
			return
		}
		buf = append(buf, "\"\\/\b\t\n\f\r"[i])
		d.at++
	}
	d.at++
	d.lb.spend(d.L, 4*len(buf))
	d.token, d.text = jsonString, string(buf)
	d.lb.giveBuffer(buf)
}

// unicodeEscape reads \u and four hexadecimal digits, twice for a pair of surrogates, and says how long that is; 0: it
// is malformed.
func unicodeEscape(s string) (r rune, n int) {
	r = hex4(s[2:])
	if r < 0 {
		return 0, 0
	}
	if r&0xf800 != 0xd800 {
		return r, 6
	}
	if r&0x400 != 0 || !strings.HasPrefix(s[6:], `\u`) {
		return 0, 0
	}
	low := hex4(s[8:])
	if low&^0x3ff != 0xdc00 {
		return 0, 0
	}
	return (r&0x3ff<<10 | low&0x3ff) + 0x10000, 12
}

// hex4 is the value of four hexadecimal digits; -1: there are not so many.
func hex4(s string) rune {
	if len(s) < 4 {
		return -1
	}
	var r rune
	for i := range 4 {
		digit := hexDigit(s[i])
		if digit < 0 {
			return -1
		}
		r = r<<4 | rune(digit)
	}
	return r
}

// value makes the value that begins with the token.
func (d *jsonDecoder) value() lua.LValue {
	switch d.token {
	case jsonString:
		return lua.LString(d.text)
	case jsonNumber, jsonBoolean, jsonNull:
		return d.what
	case jsonObjectBegin:
		return d.object()
	case jsonArrayBegin:
		return d.array()
	}
	d.fail("value")
	return nil
}

// descend enters an array or an object, which takes so many slots of the stack.
func (d *jsonDecoder) descend(slots int) {
	d.depth++
	if d.depth > d.config.decodeMaxDepth || d.slots+slots > maxStack {
		raisef(d.L, "Found too many nested data structures (%d) at character %d", d.depth, d.at)
	}
}

func (d *jsonDecoder) object() lua.LValue {
	d.descend(3)
	d.next()
	if d.token == jsonObjectEnd {
		d.depth--
		return d.L.CreateTable(0, 0)
	}
	t := d.L.CreateTable(0, 4)
	d.slots += 2
	for {
		if d.token != jsonString {
			d.fail("object key string")
		}
		key := d.text
		if d.next(); d.token != jsonColon {
			d.fail("colon")
		}
		d.next()
		t.RawSetString(key, d.value())
		if d.next(); d.token == jsonObjectEnd {
			d.depth--
			d.slots -= 2
			return t
		}
		if d.token != jsonComma {
			d.fail("comma or object end")
		}
		d.next()
	}
}

func (d *jsonDecoder) array() lua.LValue {
	d.descend(2)
	d.next()
	if d.token == jsonArrayEnd {
		d.depth--
		return d.L.CreateTable(0, 0)
	}
	t := d.L.CreateTable(4, 0)
	d.slots++
	for i := 1; ; i++ {
		t.RawSetInt(i, d.value())
		if d.next(); d.token == jsonArrayEnd {
			d.depth--
			d.slots--
			return t
		}
		if d.token != jsonComma {
			d.fail("comma or array end")
		}
		d.next()
	}
}
