package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openString makes the table string.
func (lb *libs) openString(L *lua.LState) *lua.LTable {
	t := newLibrary(L, map[string]lua.LGFunction{
		"byte": strByte, "char": strChar, "dump": strDump, "find": lb.strFind, "format": lb.strFormat,
		"gmatch": lb.strGmatch, "gsub": lb.strGsub, "len": strLen, "lower": lb.strLower, "match": lb.strMatch,
		"rep": lb.strRep, "reverse": lb.strReverse, "sub": lb.strSub, "upper": lb.strUpper,
	})
	t.RawSetString("gfind", t.RawGetString("gmatch"))
	return t
}

// string.byte(s [, i [, j]])
func strByte(L *lua.LState) int {
	s := checkString(L, 1)
	from := fromEnd(optInteger(L, 2, 1), len(s))
	to := min(fromEnd(optInteger(L, 3, from), len(s)), len(s))
	from = max(from, 1)
	if from > to {
		return 0
	}
	checkStack(L, to-from+1, "string slice too long")
	for i := from; i <= to; i++ {
		pushNumber(L, s[i-1])
	}
	return to - from + 1
}

// fromEnd makes a position that counts from the end of a string, if it is negative, one that counts from its beginning;
// 0: it is before that.
func fromEnd(pos, length int) int {
	if pos < 0 {
		pos += length + 1
	}
	return max(pos, 0)
}

// string.char(…)
func strChar(L *lua.LState) int {
	n := L.GetTop()
	buf := make([]byte, n)
	for i := range n {
		c := checkInt(L, i+1)
		if int(byte(c)) != c {
			argError(L, i+1, "invalid value")
		}
		buf[i] = byte(c)
	}
	L.Push(lua.LString(buf))
	return 1
}

// string.dump(function): there is no byte code that a script may see, so no function has any.
func strDump(L *lua.LState) int {
	checkFunction(L, 1)
	raisef(L, "unable to dump given function")
	return 0
}

// string.len(s)
func strLen(L *lua.LState) int {
	pushNumber(L, len(checkString(L, 1)))
	return 1
}

// string.lower(s)
func (lb *libs) strLower(L *lua.LState) int { return lb.mapBytes(L, lowerByte) }

// string.upper(s)
func (lb *libs) strUpper(L *lua.LState) int { return lb.mapBytes(L, upperByte) }

func (lb *libs) mapBytes(L *lua.LState, f func(byte) byte) int {
	s := checkString(L, 1)
	lb.spend(L, len(s))
	buf := append(lb.takeBuffer(), s...)
	for i, c := range buf {
		buf[i] = f(c)
	}
	return lb.pushBuffer(L, buf)
}

// string.reverse(s)
func (lb *libs) strReverse(L *lua.LState) int {
	s := checkString(L, 1)
	lb.spend(L, len(s))
	buf := lb.takeBuffer()
	for i := len(s) - 1; i >= 0; i-- {
		buf = append(buf, s[i])
	}
	return lb.pushBuffer(L, buf)
}

// string.rep(s, n)
func (lb *libs) strRep(L *lua.LState) int {
	s := checkString(L, 1)
	n := max(checkInt(L, 2), 0)
	if n > 0 && len(s) > lb.stringBytes/n {
		raisef(L, "resulting string too large")
	}
	lb.spend(L, len(s)*n/16)
	L.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}

// string.sub(s, i [, j])
func (lb *libs) strSub(L *lua.LState) int {
	s := checkString(L, 1)
	from := max(fromEnd(checkInteger(L, 2), len(s)), 1)
	to := min(fromEnd(optInteger(L, 3, -1), len(s)), len(s))
	if from > to {
		L.Push(lua.LString(""))
		return 1
	}
	L.Push(lua.LString(lb.part(L, s, from-1, to)))
	return 1
}

// string.find(s, pattern [, init [, plain]])
func (lb *libs) strFind(L *lua.LState) int { return lb.find(L, true) }

// string.match(s, pattern [, init])
func (lb *libs) strMatch(L *lua.LState) int { return lb.find(L, false) }

func (lb *libs) find(L *lua.LState, positions bool) int {
	s, pattern := checkString(L, 1), checkString(L, 2)
	init := min(max(fromEnd(optInteger(L, 3, 1), len(s))-1, 0), len(s))
	if positions && (lua.LVAsBool(L.Get(4)) || !hasSpecials(pattern)) {
		lb.spend(L, (len(s)-init)/8)
		if i := strings.Index(s[init:], pattern); i >= 0 {
			pushNumber(L, init+i+1)
			pushNumber(L, init+i+len(pattern))
			return 2
		}
		L.Push(lua.LNil)
		return 1
	}
	m := newMatcher(L, lb, s, pattern)
	p := 0
	anchored := m.at(0) == '^'
	if anchored {
		p = 1
	}
	for from := init; from <= len(s); from++ {
		if end := m.start(from, p); end >= 0 {
			if !positions {
				return m.pushCaptures(from, end, true)
			}
			pushNumber(L, from+1)
			pushNumber(L, end)
			return 2 + m.pushCaptures(from, end, false)
		}
		if anchored {
			break
		}
	}
	L.Push(lua.LNil)
	return 1
}

// string.gmatch(s, pattern)
func (lb *libs) strGmatch(L *lua.LState) int {
	s, pattern := checkString(L, 1), checkString(L, 2)
	at := 0
	L.Push(L.NewFunction(func(L *lua.LState) int {
		m := newMatcher(L, lb, s, pattern)
		for from := at; from <= len(s); from++ {
			if end := m.start(from, 0); end >= 0 {
				at = end
				if end == from {
					at++
				}
				return m.pushCaptures(from, end, true)
			}
		}
		return 0
	}))
	return 1
}

// string.gsub(s, pattern, replacement [, n])
func (lb *libs) strGsub(L *lua.LState) int {
	s, pattern := checkString(L, 1), checkString(L, 2)
	replacement := L.Get(3)
	limit := optInt(L, 4, len(s)+1)
	switch replacement.(type) {
	case lua.LString, lua.LNumber, *lua.LTable, *lua.LFunction:
	default:
		argError(L, 3, "string/function/table expected")
	}
	g := gsub{matcher: newMatcher(L, lb, s, pattern), replacement: replacement}
	g.text, _ = text(replacement)
	p := 0
	anchored := g.at(0) == '^'
	if anchored {
		p = 1
	}
	buf := lb.takeBuffer()
	at, n := 0, 0
	for n < limit {
		end := g.start(at, p)
		if end >= 0 {
			n++
			buf = g.appendReplacement(buf, at, end)
			lb.checkRoom(L, len(buf))
		}
		if end > at {
			at = end
		} else if at < len(s) {
			buf = append(buf, s[at])
			at++
		} else {
			break
		}
		if anchored {
			break
		}
	}
	if at < len(s) {
		buf = append(buf, s[at:]...)
	}
	lb.pushBuffer(L, buf)
	pushNumber(L, n)
	return 2
}

// gsub replaces matches.
type gsub struct {
	matcher
	replacement lua.LValue
	text        string // of replacement, if it is text
}

// appendReplacement appends what takes the place of a match.
func (g *gsub) appendReplacement(buf []byte, start, end int) []byte {
	var v lua.LValue
	switch r := g.replacement.(type) {
	case *lua.LFunction:
		g.L.Push(r)
		g.L.Call(g.pushCaptures(start, end, true), 1)
		v = g.L.Get(-1)
		g.L.Pop(1)
	case *lua.LTable:
		v = g.L.GetTable(r, g.value(0, start, end))
	default:
		return g.appendText(buf, start, end)
	}
	if !lua.LVAsBool(v) {
		return append(buf, g.src[start:end]...)
	}
	if s, ok := v.(lua.LString); ok {
		return append(buf, s...)
	}
	f, ok := v.(lua.LNumber)
	if !ok {
		raisef(g.L, "invalid replacement value (a %s)", v.Type())
	}
	return appendNumber(buf, float64(f))
}

// appendText appends the replacement text with %0 … %9 replaced. A % at the end has the zero byte behind it that C's
// strings end with.
func (g *gsub) appendText(buf []byte, start, end int) []byte {
	text := g.text
	for {
		g.lb.spend(g.L, 20)
		i := strings.IndexByte(text, '%')
		if i < 0 {
			return append(buf, text...)
		}
		buf = append(buf, text[:i]...)
		if i+1 == len(text) {
			return append(buf, 0)
		}
		c := text[i+1]
		text = text[i+2:]
		switch {
		case !isDigit(c):
			buf = append(buf, c)
		case c == '0':
			buf = append(buf, g.src[start:end]...)
		default:
			switch v := g.value(int(c-'1'), start, end).(type) {
			case lua.LString:
				buf = append(buf, v...)
			case lua.LNumber:
				buf = appendNumber(buf, float64(v))
			}
		}
		g.lb.checkRoom(g.L, len(buf))
	}
}
