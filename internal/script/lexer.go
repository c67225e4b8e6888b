package script

import (
	"fmt"
	"strings"
)

// token is a kind of token: a byte that stands for itself, or one of these.
type token int

const (
	tokenEOF token = 256 + iota
	tokenName
	tokenString
	tokenNumber
	tokenConcat // ..
	tokenDots   // ...
	tokenEq     // ==
	tokenNe     // ~=
	tokenLe     // <=
	tokenGe     // >=
	tokenAnd    // reserved words from here on
	tokenBreak
	tokenDo
	tokenElse
	tokenElseif
	tokenEnd
	tokenFalse
	tokenFor
	tokenFunction
	tokenIf
	tokenIn
	tokenLocal
	tokenNil
	tokenNot
	tokenOr
	tokenRepeat
	tokenReturn
	tokenThen
	tokenTrue
	tokenUntil
	tokenWhile
)

// tokenNames are the names that errors give tokens, from tokenEOF on.
var tokenNames = [...]string{"<eof>", "<name>", "<string>", "<number>", "..", "...", "==", "~=", "<=", ">=",
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or",
	"repeat", "return", "then", "true", "until", "while"}

var reserved = func() map[string]token {
	words := map[string]token{}
	for t := tokenAnd; t <= tokenWhile; t++ {
		words[tokenNames[t-tokenEOF]] = t
	}
	return words
}()

// String is how errors write a token that has no text of its own.
func (t token) String() string {
	switch {
	case t >= tokenEOF:
		return tokenNames[t-tokenEOF]
	case t < ' ' || t == 127:
		return fmt.Sprintf("char(%d)", int(t))
	}
	return string([]byte{byte(t)})
}

// lexer cuts Lua source into tokens. Its errors are panics with a syntaxError, which the parser's caller recovers.
type lexer struct {
	source string
	name   string // what errors call the source
	at     int    // of the next byte
	line   int    // of the next byte

	// The current token.
	token token
	raw   string // as it stands in the source
	value string // of a string, without quotes and escapes

	lastLine int // of the token before
	ahead    *lookahead
}

// lookahead is the token behind the current one.
type lookahead struct {
	token      token
	raw, value string
	line       int
}

// syntaxError is what is wrong with a source, worded as Lua's.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// fail raises a syntax error at this line.
func (lx *lexer) fail(msg string) {
	panic(syntaxError(fmt.Sprintf("%s:%d: %s", lx.name, lx.line, msg)))
}

// failNear raises a syntax error that quotes a piece of source.
func (lx *lexer) failNear(msg, near string) { lx.fail(fmt.Sprintf("%s near '%s'", msg, cString(near))) }

// failHere raises a syntax error that quotes the current token.
func (lx *lexer) failHere(msg string) {
	switch lx.token {
	case tokenName, tokenString, tokenNumber:
		lx.failNear(msg, lx.raw)
	}
	lx.failNear(msg, lx.token.String())
}

// next goes on to the next token.
func (lx *lexer) next() {
	lx.lastLine = lx.line
	if a := lx.ahead; a != nil {
		lx.token, lx.raw, lx.value, lx.line, lx.ahead = a.token, a.raw, a.value, a.line, nil
		return
	}
	lx.scan()
}

// peek returns the token behind the current one.
func (lx *lexer) peek() token {
	if lx.ahead == nil {
		now := lookahead{lx.token, lx.raw, lx.value, lx.line}
		lx.scan()
		lx.ahead = &lookahead{lx.token, lx.raw, lx.value, lx.line}
		lx.token, lx.raw, lx.value, lx.line = now.token, now.raw, now.value, now.line
	}
	return lx.ahead.token
}

// char returns the byte i bytes on; -1: there is none.
func (lx *lexer) char(i int) int {
	if lx.at+i >= len(lx.source) {
		return -1
	}
	return int(lx.source[lx.at+i])
}

// scan reads a token.
func (lx *lexer) scan() {
	lx.skipBlanks()
	from := lx.at
	c := lx.char(0)
	switch {
	case c < 0:
		lx.token = tokenEOF
	case c == '[' && (lx.char(1) == '[' || lx.char(1) == '='):
		lx.scanBracket()
	case c == '"' || c == '\'':
		lx.scanString(byte(c))
	case digit(c) || c == '.' && digit(lx.char(1)):
		lx.scanNumber()
	case letter(c):
		for lx.at < len(lx.source) && (letter(lx.char(0)) || digit(lx.char(0))) {
			lx.at++
		}
		word := lx.source[from:lx.at]
		t, found := reserved[word]
		if !found {
			t = tokenName
		}
		lx.token, lx.value = t, word
	default:
		lx.scanSign(c)
	}
	lx.raw = lx.source[from:lx.at]
}

// scanSign reads a token of signs.
func (lx *lexer) scanSign(c int) {
	for _, long := range [...]struct {
		text  string
		token token
	}{
		{"...", tokenDots}, {"..", tokenConcat}, {"==", tokenEq}, {"~=", tokenNe}, {"<=", tokenLe}, {">=", tokenGe},
	} {
		if strings.HasPrefix(lx.source[lx.at:], long.text) {
			lx.token = long.token
			lx.at += len(long.text)
			return
		}
	}
	lx.token = token(c)
	lx.at++
}

func digit(c int) bool { return c >= '0' && c <= '9' }

func letter(c int) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// newline steps over a line end, which may be two bytes.
func (lx *lexer) newline() {
	c := lx.char(0)
	lx.at++
	if d := lx.char(0); (d == '\n' || d == '\r') && d != c {
		lx.at++
	}
	lx.line++
}

// skipBlanks steps over blanks and comments.
func (lx *lexer) skipBlanks() {
	for {
		switch c := lx.char(0); {
		case c == '\n' || c == '\r':
			lx.newline()
		case c == ' ' || c == '\t' || c == '\v' || c == '\f':
			lx.at++
		case c == '-' && lx.char(1) == '-':
			lx.skipComment()
		default:
			return
		}
	}
}

func (lx *lexer) skipComment() {
	lx.at += len("--")
	if lx.char(0) == '[' {
		if level := lx.bracket(); level >= 0 {
			lx.longString(level, "comment")
			return
		}
	}
	for c := lx.char(0); c >= 0 && c != '\n' && c != '\r'; c = lx.char(0) {
		lx.at++
	}
}

// bracket returns how many equal signs the long bracket that begins here has; -1: it is none.
func (lx *lexer) bracket() int {
	level := 0
	for lx.char(1+level) == '=' {
		level++
	}
	if lx.char(1+level) != '[' {
		return -1
	}
	return level
}

// scanBracket reads a string in long brackets, which may be malformed.
func (lx *lexer) scanBracket() {
	level := lx.bracket()
	if level < 0 {
		from := lx.at
		for lx.at++; lx.char(0) == '='; {
			lx.at++
		}
		lx.failNear("invalid long string delimiter", lx.source[from:lx.at])
	}
	lx.value = lx.longString(level, "string")
	lx.token = tokenString
}

// longString reads what long brackets of this level enclose.
func (lx *lexer) longString(level int, what string) string {
	lx.at += level + 2
	if c := lx.char(0); c == '\n' || c == '\r' {
		lx.newline()
	}
	var b strings.Builder
	for from := lx.at; ; {
		switch c := lx.char(0); {
		case c < 0:
			lx.failNear("unfinished long "+what, "<eof>")
		case c == '\n' || c == '\r':
			b.WriteString(lx.source[from:lx.at])
			b.WriteByte('\n')
			lx.newline()
			from = lx.at
		case c == ']' && lx.closes(level):
			b.WriteString(lx.source[from:lx.at])
			lx.at += level + 2
			return b.String()
		default:
			lx.at++
		}
	}
}

// closes tells whether the closing long bracket of this level begins here.
func (lx *lexer) closes(level int) bool {
	for i := range level {
		if lx.char(1+i) != '=' {
			return false
		}
	}
	return lx.char(1+level) == ']'
}

// scanString reads a string between quotes.
func (lx *lexer) scanString(quote byte) {
	start := lx.at
	lx.at++
	var b strings.Builder
	for {
		c := lx.char(0)
		switch {
		case c < 0:
			lx.failNear("unfinished string", "<eof>")
		case c == '\n' || c == '\r':
			lx.failNear("unfinished string", lx.source[start:lx.at])
		case c == int(quote):
			lx.at++
			lx.token, lx.value = tokenString, b.String()
			return
		case c == '\\':
			lx.escape(&b, start)
		default:
			b.WriteByte(byte(c))
			lx.at++
		}
	}
}

// escape reads what stands behind a backslash.
func (lx *lexer) escape(b *strings.Builder, start int) {
	lx.at++
	c := lx.char(0)
	switch {
	case c < 0:
		return // the string is unfinished
	case c == '\n' || c == '\r':
		lx.newline()
		b.WriteByte('\n')
		return
	case digit(c):
		n := 0
		for i := 0; i < 3 && digit(lx.char(0)); i++ {
			n = n*10 + lx.char(0) - '0'
			lx.at++
		}
		if n > 255 {
			lx.failNear("escape sequence too large", lx.source[start:lx.at])
		}
		b.WriteByte(byte(n))
		return
	}
	if i := strings.IndexByte("abfnrtv", byte(c)); i >= 0 {
		c = int("\a\b\f\n\r\t\v"[i])
	}
	b.WriteByte(byte(c))
	lx.at++
}

// scanNumber reads a number, or what looks like the beginning of one.
func (lx *lexer) scanNumber() {
	from := lx.at
	for digit(lx.char(0)) || lx.char(0) == '.' {
		lx.at++
	}
	if lx.char(0)|0x20 == 'e' {
		lx.at++
		if c := lx.char(0); c == '+' || c == '-' {
			lx.at++
		}
	}
	for letter(lx.char(0)) || digit(lx.char(0)) {
		lx.at++
	}
	lx.token, lx.value = tokenNumber, lx.source[from:lx.at]
	if _, ok := parseNumber(lx.value); !ok {
		lx.failNear("malformed number", lx.value)
	}
}
