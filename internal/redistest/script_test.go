package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unrecorded is a script of most things that a script can hold, as its author writes it.
const unrecorded = `# What a script can hold.

> SET k "a b\r\n"
> GET k
> GET missing
> SET k
> STRLEN k

# Two connections and a transaction that fails.
> WATCH k
@2 > SET k 1
> MULTI
> INCR k
> EXEC
@2 > APPEND k ""

> MSET a 1 b 2
> MGET a missing k
unordered
> KEYS [ab]
> EXPIRE k 100000
near 5000
> PTTL k
~float
> INCRBYFLOAT f 0.1
any
> TIME
> SETRANGE long 5000 x
> GET long
unordered 2
> CONFIG GET maxmemory*
noreply
> CLIENT REPLY SKIP
noreply
> PING
> PING
@3 > SUBSCRIBE news
> PUBLISH news hello
@3 <
# The end.
`

// recordedScript writes the script into a fresh folder, records it and gives folder and file.
func recordedScript(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "string", "set.txt")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(unrecorded), 0o644); err != nil {
		t.Fatal(err)
	}
	record(t, file)
	return dir, file
}

func record(t *testing.T, file string) {
	t.Helper()
	addr := Redis().Start(t)
	oracle, err := oracleAt(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := recordFile(file, addr, oracle); err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRecordAndReplay(t *testing.T) {
	dir, file := recordedScript(t)
	text := readText(t, file)
	for _, part := range []string{
		"# What a script can hold.\n",
		"oracle redis ",
		"> SET k \"a b\\r\\n\"\n+OK\n> GET k\n\"a b\\r\\n\"\n> GET missing\nnil\n",
		"\n-ERR wrong number of arguments for 'set' command\n> STRLEN k\n:5\n",
		"> EXEC\nRESP2:\nnil-array\nRESP3:\nnil\n@2 > APPEND k \"\"\n:1\n",
		"> MGET a missing k\n*3\n  \"1\"\n  nil\n  \"1\"\n",
		" and so on, 5001 bytes, sha256 ",
		"RESP3:\n%",
		"noreply\n> PING\n> PING\n+PONG\n",
		"@3 <\nRESP2:\n*3\n  \"message\"\n  \"news\"\n  \"hello\"\nRESP3:\n>3\n  \"message\"\n",
		"  \"hello\"\n# The end.\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("not recorded: %q", part)
		}
	}
	record(t, file)
	if again := readText(t, file); again != text {
		t.Errorf("recording twice changed the script to\n%s", again)
	}
	if t.Failed() {
		t.Logf("the script:\n%s", text)
	}
	RunScripts(t, dir, Redis(), Server{Name: "unix", Start: func(t testing.TB) string {
		oracle := StartOracle(t, "--unixsocket", "s")
		return filepath.Join(oracle.Dir, "s")
	}})
}

// TestReplayNotices changes each recorded line in turn, and wants every change noticed but those that are tolerated.
func TestReplayNotices(t *testing.T) {
	_, file := recordedScript(t)
	addr := Redis().Start(t)
	text := readText(t, file)
	for _, change := range []struct{ from, to string }{
		{"\"a b\\r\\n\"\n> GET missing\nnil", "\"a b\\n\"\n> GET missing\nnil"},
		{"> GET missing\nnil", "> GET missing\n\"\""},
		{"> GET missing\nnil", "> GET missing\nnil-array"},
		{"+OK", "\"OK\""},
		{"wrong number", "Wrong number"},
		{":5", ":6"},
		{"nil-array", "nil"},
		{"  nil\n  \"1\"", "  \"1\"\n  nil"},
		{"*2\n  \"", "*2\n  \"x"},
		{"> PTTL k\n:", "> PTTL k\n:1"},
		{"\"0.1\"", "\"0.2\""},
		{"5001 bytes", "5002 bytes"},
		{"+PONG", "+PING"},
		{"\"hello\"", "\"hallo\""},
		{"> TIME\n*2", "> TIME\n~2"},
		{"> STRLEN k\n:5\n", "> STRLEN k\n"},
	} {
		changed := strings.Replace(text, change.from, change.to, 1)
		if changed == text {
			t.Errorf("%q is not in the script", change.from)
			continue
		}
		s, err := parseScript(changed)
		if err != nil {
			t.Errorf("%q: %v", change.to, err)
			continue
		}
		faults := append(s.replay("x", addr, 2, false), s.replay("x", addr, 3, false)...)
		if len(faults) == 0 {
			t.Errorf("%q instead of %q was not noticed", change.to, change.from)
		}
	}
}

func TestReplayNoticesWrongServer(t *testing.T) {
	_, file := recordedScript(t)
	s, err := readScript(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range protocols {
		faults := s.replay(file, wrongServer(func(args []string) []string {
			if args[0] == "APPEND" {
				args[2] = "x"
			}
			return args
		}).Start(t), proto, false)
		if len(faults) != 2 { // APPEND's reply and MGET's
			t.Errorf("RESP%d, wrong APPEND: %v", proto, faults)
		}
		faults = s.replay(file, wrongServer(func(args []string) []string {
			if args[0] == "EXEC" {
				return nil
			}
			return args
		}).Start(t), proto, false)
		if len(faults) != 1 || !strings.Contains(faults[0].Error(), "EXEC") {
			t.Errorf("RESP%d, dead after EXEC: %v", proto, faults)
		}
	}
}

func TestOtherOraclesAreLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "get.txt")
	const text = "oracle redis 99.0.0\n> GET k\n\"v\"\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	record(t, file)
	if got := readText(t, file); got != text {
		t.Errorf("changed to %q", got)
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"redis 7.0.15", "redis 7.0.2", true},
		{"redis 7.0.15", "redis 7.2.0", false},
		{"redis 9.1.0", "valkey 9.1.0", false},
	} {
		if got := sameOracle(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}

func TestScriptErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"+OK\n", "line 1: "},
		{"> SET k v\n+OK\n\n+OK\n", "line 4: "},
		{"> SET \"k\n", "line 1: unbalanced quotes"},
		{"> A\nOK\n> B\n", "line 3: the reply before: \"OK\": not a reply"},
		{"> A\n*2\n  :1\n", "the last reply: a reply is missing or incomplete"},
		{"> A\n*1\n:1\n", "the last reply: \":1\": wants an item indented by 2 blanks"},
		{"> A\n*x\n", "the last reply: \"*x\": wants a count"},
		{"> A\n:1\n:2\n", "the last reply: more than one reply: \":2\""},
		{"> A\n\"a\n", "the last reply: \"\\\"a\": a quote is missing"},
		{"> A\n\"a\"b\n", "the last reply: \"\\\"a\\\"b\": \"b\" behind the string"},
		{"> A\nRESP2:\n:1\n", "the last reply: a reply for RESP2 without one for RESP3"},
		{"noreply\n> A\n:1\n", "the last reply: \":1\" behind noreply"},
		{"near x\n> A\n", "line 1: "},
	} {
		_, err := parseScript(test.text)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %s…", test.text, err, test.want)
		}
	}
}

func TestScriptFaults(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"get":        "> get k\nnil\n",
		"set":        "> GET k\nnil\n",
		"incr":       "> INCR k\n",
		"config-get": "> CONFIG GET x\n*0\n",
		"stray":      "> GET k\nnil\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	faults := fmt.Sprint(scriptFaults(files, []string{"get", "set", "incr", "config|get", "config|set"}))
	for _, part := range []string{
		"set.txt: has no recorded reply to set", "incr.txt: has no recorded reply to incr",
		"stray.txt: there is no such command", "config|set has no script config-set.txt",
	} {
		if !strings.Contains(faults, part) {
			t.Errorf("not reported: %s", part)
		}
		faults = strings.Replace(faults, part, "", 1)
	}
	if strings.Contains(faults, "get") {
		t.Errorf("reported without reason: %s", faults)
	}
}
