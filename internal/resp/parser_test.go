package resp

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

// parsed is what a stream comes to: its commands, and the error that ended it.
type parsed struct {
	commands []string
	err      string
	left     int
}

// parseAll parses stream as it arrives in pieces that end at the given places, and checks the promises about Need.
func parseAll(t testing.TB, p Parser, stream []byte, cuts []int) parsed {
	t.Helper()
	var out parsed
	var buf []byte
	var args [][]byte
	for i := range len(cuts) + 1 {
		from, to := 0, len(stream)
		if i > 0 {
			from = cuts[i-1]
		}
		if i < len(cuts) {
			to = cuts[i]
		}
		// A new buffer each time: the parser must not rely on the old one.
		buf = append(bytes.Clone(buf), stream[from:to]...)
		for len(buf) > 0 {
			need := p.Need()
			got, n, err := p.Parse(buf, args[:0])
			args = got[:0]
			if err != nil {
				if n != 0 || len(got) != 0 {
					t.Fatalf("error %v with n = %d, %d args", err, n, len(got))
				}
				out.err = err.Error()
				return out
			}
			if n == 0 {
				if len(got) != 0 || p.Need() <= len(buf) {
					t.Fatalf("incomplete with %d args; need %d of %d", len(got), p.Need(), len(buf))
				}
				break
			}
			if need > len(buf) || p.Need() != 0 {
				t.Fatalf("progress with %d bytes where %d were needed; needs %d now", len(buf), need, p.Need())
			}
			if len(got) > 0 {
				out.commands = append(out.commands, fmt.Sprintf("%q", got))
			}
			buf = buf[n:]
		}
	}
	out.left = len(buf)
	return out
}

func TestParse(t *testing.T) {
	long := strings.Repeat("a", MaxInline)
	for _, c := range []struct {
		in   string
		want string // commands, one a line, or the error
	}{
		{"*1\r\n$4\r\nPING\r\n", `["PING"]`},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", "[\"SET\" \"k\" \"\"]\n[\"PING\"]"},
		{"*2\r\n$3\r\nGET\r\n$12\r\nhello\r\nworld\r\n", `["GET" "hello\r\nworld"]`},
		{"*1\r\n$100\r\n" + long[:100] + "\r\n", `["` + long[:100] + `"]`},
		{"*1\r\n$1000\r\n" + long[:1000] + "\r\n", `["` + long[:1000] + `"]`},
		{"*0\r\n*-1\r\n*-99999999999\r\n\r\n\n \t\n*1\r\n$4\r\nPING\r\n", `["PING"]`},
		// Redis looks neither at the byte after a \r nor at the two after an argument.
		{"*1\rx$4\rxPINGxx*1\r\n$4\r\nPONG\r\n", "[\"PING\"]\n[\"PONG\"]"},

		{"PING\r\n", `["PING"]`},
		{"PING\n  SET  a\tb \r\n", "[\"PING\"]\n[\"SET\" \"a\" \"b\"]"},
		{"PING\rPONG\r\n", `["PING" "PONG"]`},
		{"\"\"\r\n", `[""]`},
		{long + "\n", `["` + long + `"]`},

		{"*2147483648\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*01\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*+1\r\n", "ERR Protocol error: invalid multibulk length"},
		{"* 1\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*abc\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*99999999999999999999\r\n", "ERR Protocol error: invalid multibulk length"},
		{"*1\r\nPING\r\n", "ERR Protocol error: expected '$', got 'P'"},
		{"*1\r\n\r\n", "ERR Protocol error: expected '$', got '\r'"},
		{"*2\r\n$4\r\nECHO\r\n:4\r\n", "ERR Protocol error: expected '$', got ':'"},
		{"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"},
		{"*1\r\n$\r\n", "ERR Protocol error: invalid bulk length"},
		{"*1\r\n$4x\r\n", "ERR Protocol error: invalid bulk length"},
		{"*1\r\n$04\r\nPING\r\n", "ERR Protocol error: invalid bulk length"},
		{"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length"},
		{"*1\r\n$9223372036854775807\r\n", "ERR Protocol error: invalid bulk length"},
		{"\"a\r\n", "ERR Protocol error: unbalanced quotes in request"},
		{long + "a", "ERR Protocol error: too big inline request"},
		{long + "a\n", "ERR Protocol error: too big inline request"},
		{"*" + long, "ERR Protocol error: too big mbulk count string"},
		{"*1\r\n$" + long, "ERR Protocol error: too big bulk count string"},
		// A NUL byte hides the line end.
		{"PI\x00NG\r\n" + long, "ERR Protocol error: too big inline request"},
		{"*1\x00\r\n" + long, "ERR Protocol error: too big mbulk count string"},
		{"*1\r\n$\x004\r\n" + long, "ERR Protocol error: too big bulk count string"},
	} {
		got := parseAll(t, Parser{Authenticated: true}, []byte(c.in), nil)
		if s := strings.Join(got.commands, "\n") + got.err; s != c.want {
			t.Errorf("%.60q:\ngot  %.200s\nwant %.200s", c.in, s, c.want)
		}
		if got.err == "" && got.left != 0 {
			t.Errorf("%.60q: %d bytes left", c.in, got.left)
		}
	}
}

func TestParseUnauthenticated(t *testing.T) {
	arg := func(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }
	for _, c := range []struct{ in, err string }{
		{"*10\r\n" + strings.Repeat(arg(1), 10), ""},
		{"*11\r\n", "ERR Protocol error: unauthenticated multibulk length"},
		{"*11\r\n" + strings.Repeat(arg(1), 11), "ERR Protocol error: unauthenticated multibulk length"},
		{"*1\r\n" + arg(16384), ""},
		{"*1\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length"},
		{"*1\r\n" + arg(16385), "ERR Protocol error: unauthenticated bulk length"},
		{"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length"},
	} {
		if got := parseAll(t, Parser{}, []byte(c.in), nil); got.err != c.err || got.left != 0 && c.err == "" {
			t.Errorf("%.40q: %+.100v", c.in, got)
		}
	}
}

func TestParseMaxBulk(t *testing.T) {
	p := Parser{Authenticated: true, MaxBulk: 5}
	if got := parseAll(t, p, []byte("*1\r\n$5\r\nabcde\r\n*1\r\n$6\r\nabcdef\r\n"), nil); len(got.commands) != 1 ||
		got.err != "ERR Protocol error: invalid bulk length" {
		t.Errorf("%+v", got)
	}
	p.MaxBulk = math.MaxInt64 // a link to a primary
	out, n, err := p.Parse([]byte("*1\r\n$9223372036854775807\r\nabc"), nil)
	if len(out) != 0 || n != 0 || err != nil || p.Need() < 1<<61 {
		t.Errorf("got %q, %d, %v; need %d", out, n, err, p.Need())
	}
}

// An argument list or a big value that only exists as a claim costs nothing.
func TestParseClaimsAllocateNothing(t *testing.T) {
	p := Parser{Authenticated: true}
	for _, in := range []string{
		"*2147483647\r\n$3\r\nSET\r\n", "*2147483647\r\n", "*100000000\r\n", "*2\r\n$536870912\r\nabc",
		"*3\r\n$3\r\nSET\r\n",
	} {
		data := []byte(in)
		args := make([][]byte, 0, 4)
		if n := testing.AllocsPerRun(10, func() {
			p.Reset()
			if _, n, err := p.Parse(data, args); n != 0 || err != nil {
				t.Fatalf("%q: n = %d, err = %v", in, n, err)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", in, n)
		}
	}
}

// A value that arrives in many pieces is not looked at again until it is complete.
func TestParseNeed(t *testing.T) {
	p := Parser{Authenticated: true}
	head := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n"
	data := append([]byte(head), make([]byte, 1_000_002)...)
	if _, n, err := p.Parse(data[:len(head)+7], nil); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if p.Need() != len(data) {
		t.Fatalf("needs %d, want %d", p.Need(), len(data))
	}
	if _, n, err := p.Parse(data[:len(data)-1], nil); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	out, n, err := p.Parse(data, nil)
	if n != len(data) || err != nil || len(out) != 3 || len(out[2]) != 1_000_000 || p.Need() != 0 {
		t.Fatalf("n = %d, err = %v, %d args, need %d", n, err, len(out), p.Need())
	}
}

// A command of many arguments arriving in pieces costs O(n): every piece begins where the last one ended.
func TestParseManyArgumentsInPieces(t *testing.T) {
	const count = 100_000
	data := fmt.Appendf(nil, "*%d\r\n", count)
	for i := range count {
		data = AppendBulk(data, fmt.Append(nil, i))
	}
	p := Parser{Authenticated: true}
	calls := 0
	for have := 100; ; have = max(p.Need(), have+100) {
		calls++
		out, n, err := p.Parse(data[:min(have, len(data))], nil)
		if err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			if n != len(data) || len(out) != count || string(out[count-1]) != "99999" {
				t.Fatalf("n = %d of %d, %d args", n, len(data), len(out))
			}
			break
		}
	}
	if calls > len(data)/100+1 {
		t.Errorf("%d calls for %d bytes", calls, len(data))
	}
}

func TestParseArgumentsAreCapped(t *testing.T) {
	p := Parser{}
	data := []byte("*2\r\n$1\r\na\r\n$1\r\nb\r\n")
	for _, cut := range []int{len(data), 9} { // whole, and in two pieces
		if cut < len(data) {
			p.Parse(data[:cut], nil)
		}
		args, _, _ := p.Parse(data, nil)
		for _, a := range args {
			if cap(a) != len(a) {
				t.Errorf("argument %q has capacity %d", a, cap(a))
			}
		}
	}
	args, _, _ := p.Parse([]byte("a 'b' c\n"), nil)
	for _, a := range args {
		if cap(a) != len(a) {
			t.Errorf("inline argument %q has capacity %d", a, cap(a))
		}
	}
}

func TestParseKeepsArgsGiven(t *testing.T) {
	p := Parser{}
	before := [][]byte{[]byte("x")}
	for _, in := range []string{"*1\r\n$4\r\nPING\r\n", "PING\r\n"} {
		out, n, err := p.Parse([]byte(in), before)
		if n != len(in) || err != nil || fmt.Sprintf("%q", out) != `["x" "PING"]` {
			t.Errorf("%q: %q, %d, %v", in, out, n, err)
		}
	}
	if out, _, _ := p.Parse([]byte("*2\r\n$4\r\nPING\r\n"), before); len(out) != 1 {
		t.Errorf("incomplete: %q", out)
	}
}

// streams are beginnings for the fuzzer and for the test of all cuts.
var streams = []string{
	"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\nPING \"a\\x41\" 'b'\r\n",
	"*0\r\n*-1\r\n\r\nGET k\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
	"*2\r\n$3\r\nGET\r\nx", "*1\r\n$-1\r\n", "*x\r\n", "\"a\"b\r\n", "a'b c'\r\n", "*1\rx$4\rxPINGxxPING\n",
	"PI\x00NG\r\nPING\r\n", "*1\x00\r\n", "*1\r\n\r\n", "*11\r\n$1\r\na\r\n", "*1\r\n$20000\r\n",
	"*1\r\n$7\r\nab\x00\r\ncd\r\n",
}

func TestParseAtEveryCut(t *testing.T) {
	for _, s := range streams {
		for _, auth := range []bool{false, true} {
			p := Parser{Authenticated: auth}
			want := fmt.Sprint(parseAll(t, p, []byte(s), nil))
			every := make([]int, 0, len(s))
			for i := 1; i < len(s); i++ {
				every = append(every, i)
				if got := fmt.Sprint(parseAll(t, p, []byte(s), []int{i})); got != want {
					t.Errorf("%q cut at %d:\ngot  %s\nwant %s", s, i, got, want)
				}
			}
			if got := fmt.Sprint(parseAll(t, p, []byte(s), every)); got != want {
				t.Errorf("%q byte by byte:\ngot  %s\nwant %s", s, got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s), uint(3), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint, auth bool) {
		p := Parser{Authenticated: auth, MaxBulk: 1 << 20}
		want := fmt.Sprint(parseAll(t, p, stream, nil))
		var cuts []int
		for i := int(step%16) + 1; i < len(stream) && len(cuts) < 4096; i += int(step%16) + 1 {
			cuts = append(cuts, i)
		}
		if got := fmt.Sprint(parseAll(t, p, stream, cuts)); got != want {
			t.Fatalf("in steps of %d:\ngot  %s\nwant %s", step%16+1, got, want)
		}
	})
}

func TestParseAllocatesNothing(t *testing.T) {
	args := make([][]byte, 0, 16)
	p := Parser{}
	for _, in := range []string{
		"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nabc\r\n", "SET k v\r\n",
	} {
		data := []byte(in)
		if n := testing.AllocsPerRun(100, func() { p.Parse(bytes.Clone(data), args) }); n > 1 { // the clone
			t.Errorf("%q: %v allocations", in, n-1)
		}
	}
	data := []byte("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nabc\r\n")
	if n := testing.AllocsPerRun(100, func() {
		p.Parse(data[:30], args) // in two pieces
		p.Parse(data, args)
	}); n != 0 {
		t.Errorf("in two pieces: %v allocations", n)
	}
}

func BenchmarkParseSet(b *testing.B) {
	data := AppendCommandStrings(nil, "SET", "key:000000012345", strings.Repeat("x", 64))
	p := Parser{Authenticated: true}
	args := make([][]byte, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		out, n, _ := p.Parse(data, args[:0])
		if n == 0 || len(out) != 3 {
			b.Fatal(n)
		}
	}
}

// BenchmarkParsePipeline is a read of sixteen commands, by the command.
func BenchmarkParsePipeline(b *testing.B) {
	var data []byte
	for range 8 {
		data = AppendCommandStrings(data, "SET", "key:000000012345", strings.Repeat("x", 64))
		data = AppendCommandStrings(data, "GET", "key:000000012345")
	}
	p := Parser{Authenticated: true}
	args := make([][]byte, 0, 64)
	rest, out := data, args
	for b.Loop() {
		if len(rest) == 0 {
			rest, out = data, args
		}
		var n int
		out, n, _ = p.Parse(rest, out)
		rest = rest[n:]
	}
}

func BenchmarkParseGet(b *testing.B) {
	data := AppendCommandStrings(nil, "GET", "key:000000012345")
	p := Parser{Authenticated: true}
	args := make([][]byte, 0, 16)
	for b.Loop() {
		p.Parse(data, args[:0])
	}
}

func BenchmarkParseInline(b *testing.B) {
	data := []byte("SET key:000000012345 value\r\n")
	p := Parser{Authenticated: true}
	args := make([][]byte, 0, 16)
	for b.Loop() {
		p.Parse(data, args[:0])
	}
}
