package redistest

import (
	"bytes"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// read reads a reply from its bytes.
func read(t *testing.T, wire string, proto int) reply {
	t.Helper()
	v, err := resp.NewReader(strings.NewReader(wire)).ReadReply()
	if err != nil {
		t.Fatalf("%q: %v", wire, err)
	}
	return newReply(v, proto)
}

func TestReplyText(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		proto      int
		wire, text string
	}{
		{2, "+OK\r\n", "+OK"},
		{2, "-ERR no\\\t\r\n", `-ERR no\\\t`},
		{2, ":-5\r\n", ":-5"},
		{2, "$4\r\na\"\r\n\r\n", `"a\"\r\n"`},
		{2, "$3\r\n\xff\x00\\\r\n", `"\xff\x00\\"`},
		{2, "$-1\r\n", "nil"},
		{3, "_\r\n", "nil"},
		{3, "$-1\r\n", "null of the other protocol, $-1"},
		{2, "_\r\n", "null of the other protocol, _"},
		{2, "*-1\r\n", "nil-array"},
		{3, "*-1\r\n", "null of the other protocol, *-1"},
		{2, "*0\r\n", "*0"},
		{2, "*2\r\n*1\r\n:1\r\n$0\r\n\r\n", "*2\n  *1\n    :1\n  \"\""},
		{3, "%1\r\n+a\r\n~1\r\n,1.5\r\n", "%1\n  +a\n  ~1\n    ,1.5"},
		{3, ">2\r\n#t\r\n#f\r\n", ">2\n  #t\n  #f"},
		{3, "(123456789012345678901\r\n", "(123456789012345678901"},
		{3, "=6\r\ntxt:ab\r\n", `="txt:ab"`},
		{2, "$300\r\n" + long + "\r\n",
			`"` + long[:32] + `" and so on, 300 bytes, sha256 0d4e2ca9e9cbced7a7a5380e`},
	} {
		r := read(t, test.wire, test.proto)
		if r.String() != test.text {
			t.Errorf("%q at RESP%d: got\n%s\nwant\n%s", test.wire, test.proto, r, test.text)
		}
		if strings.HasPrefix(test.text, "null of") {
			continue // never recorded
		}
		back, err := parseReply(strings.Split(test.text, "\n"))
		if err != nil || back.String() != test.text || !(tolerance{}).equal(r, back) {
			t.Errorf("%s: read back as\n%v, %v", test.text, back, err)
		}
	}
}

func TestTolerances(t *testing.T) {
	for _, test := range []struct {
		name string
		tol  tolerance
		a, b string
		want bool
	}{
		{"the same", tolerance{}, "*1\r\n:1\r\n", "*1\r\n:1\r\n", true},
		{"another number", tolerance{}, ":1\r\n", ":2\r\n", false},
		{"another kind", tolerance{}, "+1\r\n", ":1\r\n", false},
		{"another length", tolerance{}, "*1\r\n:1\r\n", "*0\r\n", false},
		{"another order", tolerance{}, "*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n:1\r\n", false},
		{"unordered", tolerance{unordered: 1}, "*2\r\n:1\r\n:2\r\n", "*2\r\n:2\r\n:1\r\n", true},
		{"unordered, one twice", tolerance{unordered: 1}, "*2\r\n:1\r\n:1\r\n", "*2\r\n:2\r\n:1\r\n", false},
		{"unordered, nested", tolerance{unordered: 1},
			"*2\r\n:0\r\n*2\r\n:1\r\n:2\r\n", "*2\r\n:0\r\n*2\r\n:2\r\n:1\r\n", true},
		{"pairs", tolerance{unordered: 2},
			"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n", true},
		{"pairs torn", tolerance{unordered: 2},
			"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*4\r\n:1\r\n:4\r\n:3\r\n:2\r\n", false},
		{"a map's pairs", tolerance{unordered: 1},
			"%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:3\r\n:4\r\n:1\r\n:2\r\n", true},
		{"a map's pairs torn", tolerance{unordered: 1},
			"%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:3\r\n:2\r\n:1\r\n:4\r\n", false},
		{"near", tolerance{near: 2}, ":10\r\n", ":12\r\n", true},
		{"not near", tolerance{near: 2}, ":10\r\n", ":13\r\n", false},
		{"negative is exact", tolerance{near: 2}, ":-1\r\n", ":-2\r\n", false},
		{"negative is far", tolerance{near: 2}, ":-1\r\n", ":0\r\n", false},
		{"float", tolerance{float: true}, "$3\r\n0.3\r\n", "$19\r\n0.30000000000000004\r\n", true},
		{"not float", tolerance{}, "$3\r\n0.3\r\n", "$19\r\n0.30000000000000004\r\n", false},
		{"another float", tolerance{float: true}, "$3\r\n0.3\r\n", "$6\r\n0.3001\r\n", false},
		{"float and text", tolerance{float: true}, "$3\r\n0.3\r\n", "$1\r\nx\r\n", false},
		{"any", tolerance{any: true}, ":1\r\n", ":2\r\n", true},
		{"any of another kind", tolerance{any: true}, ":1\r\n", "+2\r\n", false},
		{"any, but an error", tolerance{any: true}, "$1\r\na\r\n", "-ERR a\r\n", false},
	} {
		if got := test.tol.equal(read(t, test.a, 2), read(t, test.b, 2)); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// FuzzReplyText reads what may stand in a script, writes it and reads it again.
func FuzzReplyText(f *testing.F) {
	f.Add("*2\n  nil\n  \"a\\x00\"")
	f.Add("%1\n  +a\n  \"b\" and so on, 300 bytes, sha256 00")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReply(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		back, err := parseReply(strings.Split(r.String(), "\n"))
		if err != nil || !(tolerance{}).equal(r, back) {
			t.Errorf("%q was read, written as %q, and then not the same (%v)", text, r, err)
		}
	})
}

// FuzzJoinArgs holds the quoting of commands to what the server's own parser of inline commands reads.
func FuzzJoinArgs(f *testing.F) {
	f.Add("SET", "a b\r\n", "\x00'\"")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		line := joinArgs([]string{a, b, c})
		args, ok := resp.SplitArgs([]byte(line), nil)
		if !ok || len(args) != 3 {
			t.Fatalf("%q: %q, %v", line, args, ok)
		}
		if got := bytes.Join(args, []byte("|")); string(got) != a+"|"+b+"|"+c {
			t.Errorf("%q: got %q", line, got)
		}
	})
}
