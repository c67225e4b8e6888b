package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Patterns of Lua 5.1: matching with backtracking, defined by the manual (§5.4.1). A pattern ends at its first zero
// byte, as in C.
//
// Backtracking can take exponential time, so each step of work is accounted for (libs.spend), which ends scripts that
// must end. Depth is bounded too: what nests are items of the pattern, each optional or captured one a level.

// Limits of patterns.
const (
	maxCaptures     = 32     // LUA_MAXCAPTURES
	maxPatternDepth = 20_000 // Redis has none and crashes on too deep ones
)

// Lengths of captures that are none.
const (
	captureUnfinished = -1
	capturePosition   = -2
)

type capture struct{ start, length int }

// matcher matches one pattern at places of one string.
type matcher struct {
	L       *lua.LState
	lb      *libs
	src     string
	pattern string
	depth   int
	level   int // how many captures there are, finished or not
	capture [maxCaptures]capture
}

func newMatcher(L *lua.LState, lb *libs, src, pattern string) matcher {
	return matcher{L: L, lb: lb, src: src, pattern: cString(pattern)}
}

// hasSpecials reports whether a pattern is more than plain text.
func hasSpecials(pattern string) bool {
	for i := range len(pattern) {
		switch pattern[i] {
		case '^', '$', '*', '+', '?', '.', '(', '[', '%', '-':
			return true
		case 0:
			return false
		}
	}
	return false
}

// at is the pattern's byte at p; 0: it has ended.
func (m *matcher) at(p int) byte {
	if p < len(m.pattern) {
		return m.pattern[p]
	}
	return 0
}

// start tries to match at s from the place p of the pattern on and gives the end of the match; -1: there is none.
func (m *matcher) start(s, p int) int {
	m.level, m.depth = 0, 0
	return m.match(s, p)
}

// match matches the pattern from p on at s.
func (m *matcher) match(s, p int) int {
	m.depth++
	if m.depth > maxPatternDepth {
		raisef(m.L, "pattern too complex")
	}
	end := m.matchItems(s, p)
	m.depth--
	return end
}

func (m *matcher) matchItems(s, p int) int {
	for {
		m.lb.spend(m.L, 4)
		switch c := m.at(p); {
		case c == 0:
			return s
		case c == '(':
			if m.at(p+1) == ')' {
				return m.startCapture(s, p+2, capturePosition)
			}
			return m.startCapture(s, p+1, captureUnfinished)
		case c == ')':
			return m.endCapture(s, p+1)
		case c == '$' && m.at(p+1) == 0:
			if s == len(m.src) {
				return s
			}
			return -1
		case c == '%' && m.isSpecialEscape(p+1):
			if s, p = m.matchEscape(s, p+1); s < 0 {
				return -1
			}
		default:
			end := m.classEnd(p)
			matches := s < len(m.src) && m.single(m.src[s], p, end)
			switch m.at(end) {
			case '?':
				if matches {
					if e := m.match(s+1, end+1); e >= 0 {
						return e
					}
				}
				p = end + 1
			case '*':
				return m.maxExpand(s, p, end)
			case '+':
				if !matches {
					return -1
				}
				return m.maxExpand(s+1, p, end)
			case '-':
				return m.minExpand(s, p, end)
			default:
				if !matches {
					return -1
				}
				s, p = s+1, end
			}
		}
	}
}

// isSpecialEscape reports whether a % has something else than a class or a literal behind it, at p.
func (m *matcher) isSpecialEscape(p int) bool {
	c := m.at(p)
	return c == 'b' || c == 'f' || isDigit(c)
}

// matchEscape matches %b, %f or a capture's text, whose letter is at p, and gives the places behind it; s is -1: it
// doesn't match.
func (m *matcher) matchEscape(s, p int) (newS, newP int) {
	switch c := m.at(p); c {
	case 'b':
		return m.balance(s, p+1), p + 3
	case 'f':
		p++
		if m.at(p) != '[' {
			raisef(m.L, "missing '[' after '%%f' in pattern")
		}
		end := m.classEnd(p)
		var before, here byte
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			here = m.src[s]
		}
		if m.inSet(before, p, end-1) || !m.inSet(here, p, end-1) {
			return -1, end
		}
		return s, end
	default:
		return m.matchCapture(s, c), p + 1
	}
}

// classEnd is the place behind the single-character class at p.
func (m *matcher) classEnd(p int) int {
	c := m.pattern[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pattern) {
			raisef(m.L, "malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if m.at(p) == '^' {
			p++
		}
		for { // a ] that comes first is a member
			if p >= len(m.pattern) {
				raisef(m.L, "malformed pattern (missing ']')")
			}
			c := m.pattern[p]
			p++
			if c == '%' && p < len(m.pattern) {
				p++
			}
			if m.at(p) == ']' {
				return p + 1
			}
		}
	}
	return p
}

// single reports whether the class between p and end matches a character.
func (m *matcher) single(c byte, p, end int) bool {
	switch m.pattern[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pattern[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	}
	return m.pattern[p] == c
}

// inSet reports whether a character is in the set from '[' at p to ']' at last.
func (m *matcher) inSet(c byte, p, last int) bool {
	found := true
	p++
	if m.at(p) == '^' {
		found = false
		p++
	}
	m.lb.spend(m.L, (last-p)/4)
	for ; p < last; p++ {
		switch {
		case m.pattern[p] == '%':
			p++
			if inClass(c, m.at(p)) {
				return found
			}
		case m.at(p+1) == '-' && p+2 < last:
			if m.pattern[p] <= c && c <= m.pattern[p+2] {
				return found
			}
			p += 2
		case m.pattern[p] == c:
			return found
		}
	}
	return !found
}

// inClass reports whether a character is in the class that a letter names; a capital letter names its complement, and
// what is no such letter only itself.
func inClass(c, class byte) bool {
	var in bool
	letter := 'a' <= c|0x20 && c|0x20 <= 'z'
	switch class | 0x20 {
	case 'a':
		in = letter
	case 'c':
		in = c < ' ' || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = 'a' <= c && c <= 'z'
	case 'p':
		in = '!' <= c && c <= '~' && !letter && !isDigit(c)
	case 's':
		in = isBlank(c)
	case 'u':
		in = 'A' <= c && c <= 'Z'
	case 'w':
		in = letter || isDigit(c)
	case 'x':
		in = hexDigit(c) >= 0
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if class&0x20 == 0 {
		return !in
	}
	return in
}

// balance matches %bxy, whose x is at p.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pattern) {
		raisef(m.L, "unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pattern[p] {
		return -1
	}
	open, closing := m.pattern[p], m.pattern[p+1]
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		switch m.src[i] {
		case closing:
			depth--
			if depth == 0 {
				m.lb.spend(m.L, i-s)
				return i + 1
			}
		case open:
			depth++
		}
	}
	m.lb.spend(m.L, len(m.src)-s)
	return -1
}

// maxExpand matches as many of a class as it can, then fewer.
func (m *matcher) maxExpand(s, p, end int) int {
	n := 0
	for s+n < len(m.src) && m.single(m.src[s+n], p, end) {
		n++
	}
	m.lb.spend(m.L, n)
	for ; n >= 0; n-- {
		if e := m.match(s+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

// minExpand matches as few of a class as it can, then more.
func (m *matcher) minExpand(s, p, end int) int {
	for {
		if e := m.match(s, end+1); e >= 0 {
			return e
		}
		if s >= len(m.src) || !m.single(m.src[s], p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) startCapture(s, p, length int) int {
	if m.level >= maxCaptures {
		raisef(m.L, "too many captures")
	}
	m.capture[m.level] = capture{s, length}
	m.level++
	e := m.match(s, p)
	if e < 0 {
		m.level--
	}
	return e
}

func (m *matcher) endCapture(s, p int) int {
	l := m.level - 1
	for l >= 0 && m.capture[l].length != captureUnfinished {
		l--
	}
	if l < 0 {
		raisef(m.L, "invalid pattern capture")
	}
	m.capture[l].length = s - m.capture[l].start
	e := m.match(s, p)
	if e < 0 {
		m.capture[l].length = captureUnfinished
	}
	return e
}

// matchCapture matches the text of the capture that a digit names.
func (m *matcher) matchCapture(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.capture[l].length == captureUnfinished {
		raisef(m.L, "invalid capture index")
	}
	c := m.capture[l]
	if c.length == capturePosition {
		return -1
	}
	m.lb.spend(m.L, c.length/8)
	text := m.src[c.start : c.start+c.length]
	if !strings.HasPrefix(m.src[s:], text) {
		return -1
	}
	return s + len(text)
}

// value is what capture l of a match from start to end is; without captures the first one is the whole match.
func (m *matcher) value(l, start, end int) lua.LValue {
	if l >= m.level {
		if l != 0 {
			raisef(m.L, "invalid capture index")
		}
		return lua.LString(m.lb.part(m.L, m.src, start, end))
	}
	c := m.capture[l]
	switch c.length {
	case captureUnfinished:
		raisef(m.L, "unfinished capture")
	case capturePosition:
		return numberValue(c.start + 1)
	}
	return lua.LString(m.lb.part(m.L, m.src, c.start, c.start+c.length))
}

// pushCaptures pushes all captures; without any, the whole match if whole says so. It returns how many it has pushed.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	checkStack(m.L, n, "too many captures")
	for l := range n {
		m.L.Push(m.value(l, start, end))
	}
	return n
}
