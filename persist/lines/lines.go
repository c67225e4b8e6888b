// Package lines reads and writes the small text files that say which other files belong together: manifests.
//
// Such a file is lines in an order that its owner fixes, one space between words, decimal numbers without leading
// zeros, sums of 16 digits in lower-case hexadecimal, each line ended by one line feed, and a last line "checksum" with
// the sum of all lines before. There is one way to write a given content, and what was written in another way is
// refused. What the lines mean, and which may follow which, is the owner's.
//
// The sums are CRC-64/XZ. Redis's CRC-64, the one at the end of an RDB file, won't do for the files that a manifest
// names: over a file that ends in its own sum it comes to 0 whatever is in the file (and with another start value, to
// something that depends on the length only), so one file could stand in for another of the same length.
//
// # Ownership
//
// A Parser belongs to one goroutine. The strings that it returns are copies.
package lines

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
	"strings"
)

// MaxNumber is the greatest number that a line may have.
const MaxNumber = 1<<63 - 1

// ErrChecksum says that the last line doesn't fit those before.
var ErrChecksum = errors.New("wrong checksum")

var sumTable = crc64.MakeTable(crc64.ECMA)

// Sum returns the CRC-64/XZ of some bytes followed by p, sum being that of the former; 0 begins. For much data
// crc.UpdateXZ is faster.
func Sum(sum uint64, p []byte) uint64 { return crc64.Update(sum, sumTable, p) }

// AppendChecksum appends the last line to a text that begins at dst[from].
func AppendChecksum(dst []byte, from int) []byte {
	return fmt.Appendf(dst, "checksum %016x\n", Sum(0, dst[from:]))
}

// ParseNumber takes a decimal number up to MaxNumber as the lines have them.
func ParseNumber(word string) (uint64, bool) {
	n, err := strconv.ParseUint(word, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == word
}

// Error says what is wrong with a text, and where the line begins. Err is io.ErrUnexpectedEOF if the text ends too
// early, ErrChecksum, what Parser.FailWith was given, or nil.
type Error struct {
	Offset int64
	Reason string
	Err    error
}

// Error says where and why.
func (e *Error) Error() string { return fmt.Sprintf("line at offset %d: %s", e.Offset, e.Reason) }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Parser reads a text line by line. After the first error all reading gives zeros.
type Parser struct {
	all   []byte
	rest  []byte
	begin int // offset of the line read last
	err   *Error
}

// NewParser returns a parser that stands before the first line.
func NewParser(text []byte) *Parser { return &Parser{all: text, rest: text} }

// Err returns the first error, or nil.
func (p *Parser) Err() *Error { return p.err }

// Next reports whether there is a line more, and its first word is word.
func (p *Parser) Next(word string) bool {
	rest, ok := bytes.CutPrefix(p.rest, []byte(word))
	return ok && p.err == nil && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\n')
}

// NextIs reports whether the next line is exactly this text.
func (p *Parser) NextIs(text string) bool {
	rest, ok := bytes.CutPrefix(p.rest, []byte(text))
	return ok && p.err == nil && len(rest) > 0 && rest[0] == '\n'
}

// Either is Line for the first of several forms that has as many words as the line, else for the last. Forms with
// different numbers of % tell the caller which it was.
func (p *Parser) Either(forms ...string) []string {
	text, _, _ := bytes.Cut(p.rest, []byte("\n"))
	for _, form := range forms {
		if bytes.Count(text, []byte(" ")) == strings.Count(form, " ") {
			return p.Line(form)
		}
	}
	return p.Line(forms[len(forms)-1])
}

// Line reads a line that has the words of form, where % stands for any word; it returns what stood for each of them,
// as many strings as form has %, also after an error.
func (p *Parser) Line(form string) []string {
	want := strings.Split(form, " ")
	found := make([]string, 0, len(want))
	n := strings.Count(form, "%")
	p.begin = len(p.all) - len(p.rest)
	text, rest, ok := bytes.Cut(p.rest, []byte("\n"))
	if !ok {
		p.FailWith(io.ErrUnexpectedEOF, "ends too early")
		return make([]string, n)
	}
	words := strings.Split(string(text), " ")
	same := len(want) == len(words)
	for i := 0; i < len(want) && same; i++ {
		if want[i] == "%" {
			found = append(found, words[i])
		} else {
			same = want[i] == words[i]
		}
	}
	if !same {
		p.Fail("not the line %q", form)
		return make([]string, n)
	}
	p.rest = rest
	return found
}

// Number reads a line with one number, 0 to most.
func (p *Parser) Number(form string, most uint64) uint64 {
	return p.Decimal(p.Line(form)[0], most)
}

// Decimal takes a word of the line read last for a number, 0 to most.
func (p *Parser) Decimal(word string, most uint64) uint64 {
	n, ok := ParseNumber(word)
	if !ok || n > most {
		p.Fail("not a number that fits here")
		return 0
	}
	return n
}

// Hex takes a word of the line read last for a sum.
func (p *Parser) Hex(word string) uint64 {
	n, err := strconv.ParseUint(word, 16, 64)
	if err != nil || fmt.Sprintf("%016x", n) != word {
		p.Fail("not a sum of 16 digits")
		return 0
	}
	return n
}

// Checksum reads the last line, and wants nothing behind it.
func (p *Parser) Checksum() {
	sum := Sum(0, p.all[:len(p.all)-len(p.rest)])
	if word := p.Line("checksum %"); p.Hex(word[0]) != sum {
		p.FailWith(ErrChecksum, "wrong checksum")
	}
	if len(p.rest) > 0 {
		p.begin = len(p.all) - len(p.rest)
		p.Fail("bytes behind the last line")
	}
}

// Fail notes an error at the line read last, unless there is one already.
func (p *Parser) Fail(reason string, args ...any) { p.FailWith(nil, reason, args...) }

// FailWith is Fail with an error for Error.Err.
func (p *Parser) FailWith(err error, reason string, args ...any) {
	if p.err == nil {
		p.err = &Error{Offset: int64(p.begin), Reason: fmt.Sprintf(reason, args...), Err: err}
	}
}
