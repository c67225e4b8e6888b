package command

import (
	"strconv"
	"strings"
)

// The notation of Info.Args: arguments separated by blanks. An argument is a name followed by
//
//	:type     unless it is a string, or a key named "key"; see argumentTypes
//	#n        it is a key of the n-th key spec; 0 for one named "key"
//	=TOKEN    the word before it
//	?         optional
//	*         may be repeated
//	+         and its token with it
//	@version  the version that brought it
//	!version  the version that made it out of date
//	(a b)     it is a block of the arguments a and b, which stand one after the other
//	(a|b)     it is one of a and b
//
// in this order. A name in capitals is a word of the command: its name is then the word in lower case. Words with
// signs of the notation in them stand in single quotes.

// argument is an argument of a command as COMMAND DOCS tells of it.
type argument struct {
	name, kind, token, since, until    string
	hasToken                           bool
	keySpec                            int // -1: no key
	optional, multiple, multipleTokens bool
	parts                              []argument
}

// parseSyntax reads the notation of Info.Args. It panics if it can't: rows are our own.
func parseSyntax(text string) []argument {
	if text == "" {
		return nil
	}
	p := syntaxParser{rest: text}
	args := p.list(' ')
	if p.rest != "" {
		panic("BUG: arguments of a command: " + text)
	}
	return args
}

// syntaxParser holds what is not read.
type syntaxParser struct{ rest string }

// skip drops c if it comes next.
func (p *syntaxParser) skip(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// word reads up to the next sign of the notation, or what stands in quotes.
func (p *syntaxParser) word() string {
	if p.skip('\'') {
		word, rest, _ := strings.Cut(p.rest, "'")
		p.rest = rest
		return word
	}
	i := strings.IndexAny(p.rest, " :#=?*+@!()|")
	if i < 0 {
		i = len(p.rest)
	}
	word := p.rest[:i]
	p.rest = p.rest[i:]
	return word
}

func (p *syntaxParser) list(separator byte) []argument {
	args := []argument{p.argument()}
	for p.skip(separator) {
		args = append(args, p.argument())
	}
	return args
}

func (p *syntaxParser) argument() argument {
	a := argument{name: p.word(), kind: "string", keySpec: -1}
	if upper := strings.ToUpper(a.name); a.name == upper {
		a.name, a.token, a.hasToken, a.kind = strings.ToLower(upper), upper, true, "pure-token"
	}
	if a.name == "key" {
		a.kind, a.keySpec = "key", 0
	}
	if p.skip(':') {
		a.kind, a.keySpec = p.word(), -1
	}
	if p.skip('#') {
		a.keySpec, _ = strconv.Atoi(p.word())
	}
	if p.skip('=') {
		a.token, a.hasToken = p.word(), true
	}
	a.optional = p.skip('?')
	a.multiple = p.skip('*')
	a.multipleTokens = p.skip('+')
	if p.skip('@') {
		a.since = p.word()
	}
	if p.skip('!') {
		a.until = p.word()
	}
	if p.skip('(') {
		a.kind = "block"
		a.parts = []argument{p.argument()}
		separator := byte(' ')
		if strings.HasPrefix(p.rest, "|") {
			a.kind, separator = "oneof", '|'
		}
		if p.skip(separator) {
			a.parts = append(a.parts, p.list(separator)...)
		}
		if !p.skip(')') {
			panic("BUG: arguments of a command: unclosed before " + p.rest)
		}
	}
	return a
}
