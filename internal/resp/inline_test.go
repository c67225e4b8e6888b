package resp

import (
	"fmt"
	"strings"
	"testing"
)

func TestSplitArgs(t *testing.T) {
	for _, c := range []struct {
		line, want string // "" where quotes are unbalanced
	}{
		{"", "[]"}, {" \t\v\f\r\n ", "[]"}, {"a", `["a"]`}, {"  SET  a\tb ", `["SET" "a" "b"]`},
		{`""`, `[""]`}, {`''`, `[""]`}, {`a ""`, `["a" ""]`},
		{`"a b" c`, `["a b" "c"]`}, {`'a b' c`, `["a b" "c"]`}, {`a"b c"`, `["ab c"]`}, {`a'b c' d`, `["ab c" "d"]`},
		{`"\n\r\t\b\a\q\\\""`, `["\n\r\t\b\aq\\\""]`}, {`"\x41\x0a\xfF"`, `["A\n\xff"]`}, {`"\x4"`, `["x4"]`},
		{`"\x4g"`, `["x4g"]`},
		{`'\n\x41\''`, `["\\n\\x41'"]`}, {`"'" '"'`, `["'" "\""]`},
		{`a\b`, `["a\\b"]`}, {"a\vb", `["a\vb"]`}, {"\"a\nb\"", `["a\nb"]`}, {"\"a\"\vb", `["a" "b"]`},
		{"\xff \x01", `["\xff" "\x01"]`}, {"a\x00b", `["a\x00b"]`},

		{`"`, ""}, {`'`, ""}, {`"a`, ""}, {`'a`, ""}, {`a"`, ""}, {`"a"b`, ""}, {`'a'b`, ""}, {`"a"'b'`, ""},
		{`"\"`, ""},
		{`"a\`, ""}, {`'\'`, ""}, {`'\\'`, ""}, {`"\x4`, ""}, {`b "a`, ""},
	} {
		got := ""
		if args, ok := SplitArgs([]byte(c.line), nil); ok {
			got = fmt.Sprintf("%q", args)
		} else if args != nil {
			t.Errorf("%q: arguments of a bad line: %q", c.line, args)
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.line, got, c.want)
		}
	}
}

// quote writes any bytes as one word.
func quote(word []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range word {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	b.WriteByte('"')
	return b.String()
}

func FuzzSplitArgs(f *testing.F) {
	f.Add([]byte(`SET a "b\x41\n" 'c'`))
	f.Add([]byte(`a"b`))
	f.Fuzz(func(t *testing.T, line []byte) {
		words := fmt.Sprintf("%q", line)
		args, ok := SplitArgs([]byte(quote(line)+" "+quote(line)), nil)
		if want := "[" + words + " " + words + "]"; !ok || fmt.Sprintf("%q", args) != want {
			t.Fatalf("quoted: %q, %v", args, ok)
		}
		SplitArgs(line, nil) // no panic
	})
}
