package resp

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name         string
		append       func(dst []byte, proto int) []byte
		resp2, resp3 string // resp3 "" where it is the same
	}{
		{"simple", func(d []byte, _ int) []byte { return AppendSimple(d, "PONG") }, "+PONG\r\n", ""},
		{"ok", func(d []byte, _ int) []byte { return AppendOK(d) }, "+OK\r\n", ""},
		{"queued", func(d []byte, _ int) []byte { return AppendQueued(d) }, "+QUEUED\r\n", ""},
		{"int", func(d []byte, _ int) []byte { return AppendInt(d, 7) }, ":7\r\n", ""},
		{"int 2", func(d []byte, _ int) []byte { return AppendInt(d, 42) }, ":42\r\n", ""},
		{"int 3", func(d []byte, _ int) []byte { return AppendInt(d, 100) }, ":100\r\n", ""},
		{"int -1", func(d []byte, _ int) []byte { return AppendInt(d, -1) }, ":-1\r\n", ""},
		{"int min", func(d []byte, _ int) []byte { return AppendInt(d, math.MinInt64) }, ":-9223372036854775808\r\n",
			""},
		{"bulk", func(d []byte, _ int) []byte { return AppendBulk(d, []byte("a\r\nb")) }, "$4\r\na\r\nb\r\n", ""},
		{"empty bulk", func(d []byte, _ int) []byte { return AppendBulkString(d, "") }, "$0\r\n\r\n", ""},
		{"bulk int", func(d []byte, _ int) []byte { return AppendBulkInt(d, -12) }, "$3\r\n-12\r\n", ""},
		{"bulk head", func(d []byte, _ int) []byte { return AppendBulkHead(d, 123) }, "$123\r\n", ""},
		{"null", AppendNull, "$-1\r\n", "_\r\n"},
		{"null array", AppendNullArray, "*-1\r\n", "_\r\n"},
		{"array", func(d []byte, _ int) []byte { return AppendArray(d, 3) }, "*3\r\n", ""},
		{"map", func(d []byte, p int) []byte { return AppendMap(d, p, 6) }, "*12\r\n", "%6\r\n"},
		{"set", func(d []byte, p int) []byte { return AppendSet(d, p, 3) }, "*3\r\n", "~3\r\n"},
		{"push", func(d []byte, p int) []byte { return AppendPush(d, p, 3) }, "*3\r\n", ">3\r\n"},
		{"attribute", func(d []byte, _ int) []byte { return AppendAttribute(d, 1) }, "|1\r\n", ""},
		{"true", func(d []byte, p int) []byte { return AppendBool(d, p, true) }, ":1\r\n", "#t\r\n"},
		{"false", func(d []byte, p int) []byte { return AppendBool(d, p, false) }, ":0\r\n", "#f\r\n"},
		{"double", func(d []byte, p int) []byte { return AppendDouble(d, p, 3.1) }, "$18\r\n3.1000000000000001\r\n",
			",3.1000000000000001\r\n"},
		{"inf", func(d []byte, p int) []byte { return AppendDouble(d, p, math.Inf(-1)) }, "$4\r\n-inf\r\n",
			",-inf\r\n"},
		{"longest double", func(d []byte, p int) []byte { return AppendDouble(d, p, -math.MaxFloat64) },
			"$24\r\n-1.7976931348623157e+308\r\n", ",-1.7976931348623157e+308\r\n"},
		{"human", func(d []byte, p int) []byte { return AppendHumanDouble(d, p, 1e20) },
			"$21\r\n100000000000000000000\r\n", ",100000000000000000000\r\n"},
		{"big", func(d []byte, p int) []byte { return AppendBigNumber(d, p, "12345678901234567890") },
			"$20\r\n12345678901234567890\r\n", "(12345678901234567890\r\n"},
		{"verbatim", func(d []byte, p int) []byte { return AppendVerbatim(d, p, "txt", "a\nb") }, "$3\r\na\nb\r\n",
			"=7\r\ntxt:a\nb\r\n"},
		{"command", func(d []byte, _ int) []byte { return AppendCommand(d, []byte("GET"), []byte("k")) },
			"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", ""},
		{"command of strings", func(d []byte, _ int) []byte { return AppendCommandStrings(d, "PING") },
			"*1\r\n$4\r\nPING\r\n", ""},
		{"error", func(d []byte, _ int) []byte { return AppendError(d, ErrSyntax) }, "-ERR syntax error\r\n", ""},
		{"error of one word", func(d []byte, _ int) []byte { return AppendError(d, &Error{Code: "STOP"}) },
			"-STOP\r\n", ""},
		{"error with lines", func(d []byte, _ int) []byte {
			return AppendError(d,
				Errorf("ERR", "a\r\nb%s", "\n\r\n"))
		},
			"-ERR a  b\r\n", ""},
	} {
		if c.resp3 == "" {
			c.resp3 = c.resp2
		}
		if got := string(c.append([]byte("\n"), 2)); got != "\n"+c.resp2 {
			t.Errorf("%s, RESP2: %q", c.name, got)
		}
		if got := string(c.append([]byte("\n"), 3)); got != "\n"+c.resp3 {
			t.Errorf("%s, RESP3: %q", c.name, got)
		}
	}
}

func TestErrors(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{ErrWrongArity("client|kill"), "ERR wrong number of arguments for 'client|kill' command"},
		{ErrUnknownCommand([]byte("nope"), [][]byte{[]byte("a"), []byte("b")}),
			"ERR unknown command 'nope', with args beginning with: 'a' 'b' "},
		{ErrUnknownCommand(nil, nil), "ERR unknown command '', with args beginning with: "},
		{ErrUnknownCommand([]byte(long), [][]byte{[]byte("a"), []byte(long), []byte("b")}),
			"ERR unknown command '" + long[:128] +
				"', with args beginning with: 'a' '" + long[:124] + "' "},
		{ErrUnknownCommand([]byte("a\x00b"), [][]byte{[]byte("c\x00d")}),
			"ERR unknown command 'a', with args beginning with: 'c' "},
		{ErrUnknownSubcommand([]byte("client"), []byte("foo")), "ERR unknown subcommand 'foo'. Try CLIENT HELP."},
		{ErrSubcommandSyntax([]byte("debug"), []byte("foo")),
			"ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP."},
		{ErrInvalidExpire("set"), "ERR invalid expire time in 'set' command"},
		{ErrUnsupportedOption([]byte("foo")), "ERR Unsupported option foo"},
		{ErrHelloOption([]byte("foo")), "ERR Syntax error in HELLO option 'foo'"},
		{ErrUnknownClientType([]byte("x")), "ERR Unknown client type 'x'"},
		{ErrConfigUnknown([]byte("nope")), "ERR Unknown option or number of arguments for CONFIG SET - 'nope'"},
		{ErrConfigSet("port", "duplicate parameter"),
			"ERR CONFIG SET failed (possibly related to argument 'port') - duplicate parameter"},
		{ErrExecDiscarded(ErrOOM),
			"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'."},
		{ErrNoPermCommand("get"), "NOPERM this user has no permissions to run the 'get' command"},
		{ErrMisconfAOF("No space left on device"), "MISCONF Errors writing to the AOF file: No space left on device"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("%q, want %q", c.err, c.want)
		}
		if back := ParseError(c.want); *back != *c.err {
			t.Errorf("%q is read back as %+v", c.want, back)
		}
	}
}

func TestRepliesAllocateNothing(t *testing.T) {
	dst, value := make([]byte, 0, 1024), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		d := AppendBulk(AppendOK(AppendInt(dst, 12345)), value)
		d = AppendDouble(AppendNull(d, 2), 3, 3.14)
		d = AppendHumanDouble(d, 2, 3.14)
		AppendError(d, ErrWrongType)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLongReplyCopies: what a long reply allocates while it grows is about twice its length.
func TestLongReplyCopies(t *testing.T) {
	const size, n = 256 << 10, 256
	value := make([]byte, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var reply []byte
	for range n {
		reply = append(AppendBulkHead(reply, size), value...)
		reply = AppendBulk(append(reply, '\r', '\n'), nil)
	}
	runtime.ReadMemStats(&after)
	if got := int(after.TotalAlloc - before.TotalAlloc); got > 3*len(reply) {
		t.Errorf("a reply of %d bytes took %d bytes of memory while it grew", len(reply), got)
	}
}

func BenchmarkAppendBulk64(b *testing.B) {
	dst, value := make([]byte, 0, 128), make([]byte, 64)
	for b.Loop() {
		AppendBulk(dst, value)
	}
}
