package resp

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// wireReplies are replies as they are sent.
var wireReplies = []string{
	"+OK\r\n", "+\r\n", "-ERR syntax error\r\n", ":42\r\n", ":-1\r\n", "$5\r\nhello\r\n", "$0\r\n\r\n", "$-1\r\n",
	"*-1\r\n",
	"*0\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "_\r\n", "#t\r\n", "#f\r\n", ",3.14\r\n", ",inf\r\n", ",nan\r\n",
	"(12345678901234567890123\r\n", "!9\r\nERR a\r\nbc\r\n", "=7\r\ntxt:a\nb\r\n", "%1\r\n+k\r\n:1\r\n", "%0\r\n",
	"~2\r\n:1\r\n:2\r\n",
	">3\r\n$7\r\nmessage\r\n+c\r\n+m\r\n", "|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n", "*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n",
	"$7\r\na\r\nb\x00\xffc\r\n", "+" + strings.Repeat("x", 100_000) + "\r\n",
	"$200000\r\n" + strings.Repeat("y", 200_000) + "\r\n",
}

func TestReadReplyRoundTrip(t *testing.T) {
	stream := strings.Join(wireReplies, "")
	for name, in := range map[string]io.Reader{
		"whole": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
	} {
		r := NewReader(in)
		for _, want := range wireReplies {
			v, err := r.ReadReply()
			if err != nil {
				t.Fatalf("%s: %.40q: %v", name, want, err)
			}
			if got := string(v.Append(nil)); got != want {
				t.Fatalf("%s: %.40q is written %.40q", name, want, got)
			}
		}
		if _, err := r.ReadReply(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestSkip(t *testing.T) {
	stream := strings.Join(wireReplies, "") + "-ERR " + strings.Repeat("x", 200_000) + "\r\n+last\r\n"
	r := NewReader(iotest.HalfReader(strings.NewReader(stream)))
	if n, err := r.Skip(len(wireReplies) + 1); n != 3 || err != nil {
		t.Fatalf("%d errors, %v", n, err)
	}
	if v, err := r.ReadReply(); err != nil || string(v.Str) != "last" {
		t.Fatalf("%v, %v", v, err)
	}
	if _, err := r.Skip(1); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestReadReplyValues(t *testing.T) {
	read := func(s string) Value {
		v, err := NewReader(strings.NewReader(s)).ReadReply()
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return v
	}
	var e *Error
	if err := read("-WRONGTYPE no\r\n").Err(); !errors.As(err, &e) || e.Code != "WRONGTYPE" || e.Msg != "no" {
		t.Errorf("error: %v", err)
	}
	if err := read("+OK\r\n").Err(); err != nil {
		t.Errorf("no error: %v", err)
	}
	if f, ok := read(",1.5\r\n").Float(); !ok || f != 1.5 {
		t.Errorf("double: %v", f)
	}
	if f, ok := read(",nan\r\n").Float(); !ok || !math.IsNaN(f) {
		t.Errorf("NaN: %v", f)
	}
	v := read("|1\r\n+ttl\r\n:9\r\n#t\r\n")
	if v.Kind != KindBool || v.Int != 1 || len(v.Attrs) != 2 || v.Attrs[1].Int != 9 {
		t.Errorf("attribute: %+v", v)
	}
	if v := read("=5\r\nmkd:x\r\n"); v.Format != "mkd" || string(v.Str) != "x" {
		t.Errorf("verbatim: %+v", v)
	}
	v = read("*4\r\n$1\r\na\r\n:1\r\n_\r\n%1\r\n+k\r\n-E x\r\n")
	if got := v.String(); got != `*[$"a" :1 (nil) %[+"k" -"E x"]]` {
		t.Errorf("String: %s", got)
	}
	if !read("$-1\r\n").Null || !read("*-1\r\n").Null || !read("_\r\n").Null || read("$0\r\n\r\n").Null {
		t.Error("Null is wrong")
	}
}

// badReplies are not replies, or not whole ones.
var badReplies = []string{
	"\r\n", "x\r\n", "+\n", "+OK\n", ":\r\n", ":1x\r\n", ":01\r\n", "$\r\n", "$-2\r\n", "$1\r\nab\r\n",
	"$2147483648\r\n", "*x\r\n",
	"#x\r\n", "_x\r\n", "=2\r\nab\r\n", "=4\r\nabcd\r\n", "%-1\r\n", "~-1\r\n", "!-1\r\n", "?1\r\n",
	"|1\r\n+a\r\n+b\r\n|1\r\n+a\r\n+b\r\n:1\r\n", strings.Repeat("*1\r\n", 1000), "+" + strings.Repeat("x", 2<<20),
}

func TestReadReplyRefuses(t *testing.T) {
	for _, s := range badReplies {
		if v, err := NewReader(strings.NewReader(s)).ReadReply(); !errors.Is(err, ErrBadReply) {
			t.Errorf("%.40q: %v, %v", s, v, err)
		}
	}
	for _, s := range wireReplies {
		for _, n := range []int{1, len(s) / 2, len(s) - 1} {
			if _, err := NewReader(strings.NewReader(s[:n])).ReadReply(); err != io.ErrUnexpectedEOF {
				t.Errorf("%.40q cut at %d: %v", s, n, err)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(broken)).ReadReply(); err != broken {
		t.Errorf("broken stream: %v", err)
	}
}

// What a reply claims to hold is not allocated before it arrives.
func TestReadReplyClaims(t *testing.T) {
	for _, s := range []string{"$2147483647\r\nab", "*2147483647\r\n:1\r\n", "%2147483647\r\n:1\r\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := NewReader(strings.NewReader(s)).ReadReply()
		runtime.ReadMemStats(&after)
		if bytes := after.TotalAlloc - before.TotalAlloc; err != io.ErrUnexpectedEOF || bytes > 1<<20 {
			t.Errorf("%q: %v, %d bytes", s, err, bytes)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range append(wireReplies[:len(wireReplies)-2:len(wireReplies)-2], badReplies[:20]...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := NewReader(strings.NewReader(string(b))).ReadReply()
		if err != nil {
			return
		}
		wire := v.Append(nil)
		again, err := NewReader(strings.NewReader(string(wire))).ReadReply()
		if err != nil || string(again.Append(nil)) != string(wire) {
			t.Fatalf("%q is written %q and read as %v, %v", b, wire, again, err)
		}
		r := NewReader(strings.NewReader(string(wire)))
		if _, err := r.Skip(1); err != nil || r.Buffered() != 0 {
			t.Fatalf("Skip of %q: %v, %d bytes left", wire, err, r.Buffered())
		}
	})
}
