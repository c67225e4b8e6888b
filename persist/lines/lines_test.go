package lines

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func text(body string) []byte { return AppendChecksum([]byte(body), 0) }

func TestParser(t *testing.T) {
	// The check value of CRC-64/XZ.
	if got := Sum(Sum(0, []byte("1234")), []byte("56789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("Sum is not CRC-64/XZ: %x", got)
	}
	p := NewParser(text("one 1\npair a b\nsum 00000000000000ff\nlong 1 2\nnone\n"))
	if n := p.Number("one %", 1); n != 1 || p.Next("on") || !p.Next("pair") || p.NextIs("pair a") {
		t.Error("one", n)
	}
	if words := p.Line("pair % %"); words[0] != "a" || words[1] != "b" {
		t.Error(words)
	}
	if sum := p.Hex(p.Line("sum %")[0]); sum != 255 {
		t.Error(sum)
	}
	if words := p.Either("long %", "long % %"); len(words) != 2 {
		t.Error(words)
	}
	if !p.NextIs("none") {
		t.Error("none")
	}
	p.Line("none")
	p.Checksum()
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func TestParserRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
		err  error
	}{
		{"", "offset 0: ends too early", io.ErrUnexpectedEOF},
		{"n 1", "offset 0: ends too early", io.ErrUnexpectedEOF},
		{string(text("n 11\n")), "offset 0: not a number", nil},
		{string(text("n 01\n")), "offset 0: not a number", nil},
		{string(text("n -1\n")), "offset 0: not a number", nil},
		{string(text("n  1\n")), `offset 0: not the line "n %"`, nil},
		{string(text("m 1\n")), `offset 0: not the line "n %"`, nil},
		{string(text("n 1\nm 1\n")), `offset 4: not the line "checksum %"`, nil},
		{string(text("n 1\n")) + "x", "offset 30: bytes behind", nil},
		{strings.Replace(string(text("n 1\n")), "n 1", "n 2", 1), "offset 4: wrong checksum", ErrChecksum},
		{"n 1\nchecksum 00\n", "offset 4: not a sum", nil},
	} {
		p := NewParser([]byte(c.text))
		p.Number("n %", 10)
		p.Checksum()
		err := p.Err()
		if err == nil || !strings.Contains(err.Error(), c.want) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	if _, ok := ParseNumber("9223372036854775808"); ok {
		t.Error("2⁶³ is taken")
	}
}
