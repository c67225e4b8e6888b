package lint

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// goFile makes a file of a package that breaks no rule but those that its body breaks.
func goFile(path, body string) File {
	name := "x"
	if parts := strings.Split(path, "/"); len(parts) > 1 {
		name = parts[len(parts)-2]
	}
	if inside(path, "cmd") {
		name = "main"
	}
	text := fmt.Sprintf("// Package %s is there for this test.\npackage %s\n\n%s\n", name, name, body)
	return File{Path: path, Text: []byte(text)}
}

// snippet is a tree of one file and the findings it must give, as rule:line with lines counted from the body's first.
type snippet struct {
	name string
	path string // "" is persist/aof/x.go, a package in the middle of the layers
	body string
	want string
}

const bodyLine = 4 // the line of goFile's text where the body begins

func (s snippet) run(t *testing.T) {
	t.Helper()
	if s.path == "" {
		s.path = "persist/aof/x.go"
	}
	var got []string
	for _, f := range Check([]File{goFile(s.path, s.body)}) {
		got = append(got, fmt.Sprintf("%s:%d", f.Rule, f.Line-bodyLine+1))
	}
	if strings.Join(got, " ") != s.want {
		t.Errorf("%s: got %q, want %q", s.name, strings.Join(got, " "), s.want)
	}
}

func repeat(line string, n int) string { return strings.Repeat(line+"\n", n) }

func TestSizeRules(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, s := range []snippet{
		{name: "80 lines", body: "func f() {\n" + repeat("\tg()", 78) + "}"},
		{name: "81 lines", body: "func f() {\n" + repeat("\tg()", 79) + "}", want: "func-size:1"},
		{name: "a method", body: "func (t *T) f() {\n" + repeat("\tg()", 79) + "}", want: "func-size:1"},
		{name: "a test", path: "persist/aof/x_test.go", want: "func-size:1",
			body: "func f() {\n" + repeat("\tg()", 79) + "}"},
		{name: "a literal", body: "var f = func() {\n" + repeat("\tg()", 79) + "}", want: "func-size:1"},
		{name: "a literal within", want: "func-size:1",
			body: "func f() {\n\tgo func() {\n" + repeat("\tg()", 79) + "}()\n}"},
		{name: "997 lines after three", body: strings.TrimSpace(repeat("// x", 997))},
		{name: "998 lines after three", body: strings.TrimSpace(repeat("// x", 998)), want: "file-size:998"},
		{name: "120 columns", body: "// " + long + strings.Repeat("é", 17)},
		{name: "121 columns", body: "// " + long + strings.Repeat("é", 18), want: "line-size:1"},
		{name: "a tab is four columns", body: "\t// " + long + strings.Repeat("x", 14), want: "line-size:1"},
		{name: "assembly", path: "shard/ds/index/x.s", body: "// " + long + long, want: "line-size:1"},
	} {
		s.run(t)
	}
}

func TestLongSwitches(t *testing.T) {
	const allowed = "persist/rdb.decode"
	cases := repeat("\tcase 1:\n\t\tg()", 50)
	flat := "func decode() {\n\tswitch op {\n" + cases + "\t}\n}\n"
	for _, test := range []struct {
		name, body string
		want       int
	}{
		{"a flat switch", flat, 0},
		{"no switch", "func decode() {\n" + repeat("\tg()", 90) + "}\n", 1},
		{"a deep case", strings.Replace(flat, "g()", repeat("g()", 13), 1), 1},
		{"much beside the switch", strings.Replace(flat, "switch", repeat("g()", 80)+"switch", 1), 1},
		{"an entry not needed", "func decode() {\n}\n", 1},
		{"another long one", flat + strings.Replace(flat, "decode", "other", 1), 1},
	} {
		tr := &tree{fset: token.NewFileSet()}
		tr.add(goFile("persist/rdb/x.go", test.body))
		tr.checkFuncSizes(map[string]bool{allowed: true})
		if len(tr.findings) != test.want {
			t.Errorf("%s: got %v, want %d findings", test.name, tr.findings, test.want)
		}
	}
}

func TestNameRules(t *testing.T) {
	for _, name := range []string{"util", "common", "base", "helpers", "types", "manager"} {
		snippet{name: name, path: "shard/ds/" + name + "/x.go", want: "package-name:-1"}.run(t)
	}
	for _, s := range []snippet{
		{name: "a banned folder above", path: "shard/ds/common/index/x.go", want: "package-name:-1"},
		{name: "init", body: "func init() {}", want: "init:1"},
		{name: "init in a test", path: "persist/aof/x_test.go", body: "func init() {}", want: "init:1"},
		{name: "a method init", body: "func (t *T) init() {}"},
	} {
		s.run(t)
	}
}

func TestDocRules(t *testing.T) {
	for _, s := range []snippet{
		{name: "func", body: "func F() {}", want: "exported-comment:1"},
		{name: "func with a comment", body: "// F does.\nfunc F() {}"},
		{name: "a directive is no comment", body: "//go:noinline\nfunc F() {}", want: "exported-comment:2"},
		{name: "method", body: "type t struct{}\n\n// T is.\ntype T struct{}\n\nfunc (t *t) M() {}\nfunc (t *T) M() {}",
			want: "exported-comment:7"},
		{name: "generic method", want: "exported-comment:4",
			body: "// T is.\ntype T[P any] struct{}\n\nfunc (t *T[P]) M() {}"},
		{name: "type", body: "type T int", want: "exported-comment:1"},
		{name: "type in a group", body: "// These are.\ntype (\n\tT int\n)", want: "exported-comment:3"},
		{name: "const", body: "const C = 1", want: "exported-comment:1"},
		{name: "consts of a group", body: "// These are.\nconst (\n\tC = 1\n\tD = 2\n)"},
		{name: "var with a comment behind", body: "var V = 1 // V is."},
		{name: "two vars", body: "var (\n\tv, V = 1, 2\n)", want: "exported-comment:2"},
		{name: "main exports nothing", path: "cmd/fulmen-server/x.go", body: "func F() {}"},
		{name: "tests export nothing", path: "persist/aof/x_test.go", body: "func F() {}"},
	} {
		s.run(t)
	}
	for _, test := range []struct{ text, want string }{
		{"package aof", "persist/aof/a.go:1: persist/aof has no package comment [package-comment]"},
		{"// The package of logs.\npackage aof",
			"persist/aof/a.go:1: the package comment begins with \"Package aof \" [package-comment]"},
	} {
		findings := Check([]File{{Path: "persist/aof/a.go", Text: []byte(test.text)}})
		if len(findings) != 1 || findings[0].String() != test.want {
			t.Errorf("%q: got %v, want %s", test.text, findings, test.want)
		}
	}
	twice := []File{goFile("persist/aof/a.go", ""), goFile("persist/aof/b.go", "")}
	if got := Check(twice); len(got) != 1 || got[0].Rule != "package-comment" || got[0].Path != "persist/aof/b.go" {
		t.Errorf("two package comments: got %v", got)
	}
}

func TestCallRules(t *testing.T) {
	for _, s := range []snippet{
		{name: "clock", body: "import \"time\"\n\nvar x = time.Now()", want: "clock:3"},
		{name: "clock as a value", body: "import \"time\"\n\nvar x = time.Now", want: "clock:3"},
		{name: "clock under another name", body: "import t \"time\"\n\nvar x = t.Since(y)", want: "clock:3"},
		{name: "another package time", body: "import \"x/time\"\n\nvar x = time.Now()"},
		{name: "a variable time", body: "import \"time\"\n\nfunc f(time T) { time.Now() }\n\nvar x time.Time"},
		{name: "in package clock", path: "internal/clock/x.go", body: "import \"time\"\n\nvar x = time.Now()"},
		{name: "in cmd", path: "cmd/fulmen-server/x.go", want: "clock:3",
			body: "import \"time\"\n\nvar x = time.Now()"},
		{name: "in benchmarks", path: "benchmarks/x/x.go",
			body: "import (\n\t\"os\"\n\t\"time\"\n)\n\nvar x = time.Now(os.Open())"},
		{name: "in tests", path: "persist/aof/x_test.go",
			body: "import (\n\t\"os\"\n\t\"time\"\n)\n\nvar x = time.Now(os.Open())"},
		{name: "files", want: "files:5",
			body: "import \"os\"\n\nfunc f() {\n\tgo func() {\n\t\tg(os.Open(\"x\"))\n\t}()\n}"},
		{name: "files by system call", want: "files:3",
			body: "import \"golang.org/x/sys/unix\"\n\nvar x = unix.Fdatasync(3)"},
		{name: "files in vfs", path: "persist/vfs/x.go", body: "import \"os\"\n\nvar x = os.Open(y)"},
		{name: "no file", body: "import \"os\"\n\nvar x = os.Getpid()"},
		{name: "print", body: "import \"fmt\"\n\nfunc f() { fmt.Println() }", want: "print:3"},
		{name: "print in benchmarks", path: "benchmarks/x/x.go", want: "print:3",
			body: "import \"fmt\"\n\nfunc f() { fmt.Printf(\"\") }"},
		{name: "print to a writer", body: "import \"fmt\"\n\nfunc f() { fmt.Fprintln(w) }"},
		{name: "dot import", body: "import . \"time\"\n\nvar x = Now()", want: "dot-import:1"},
	} {
		s.run(t)
	}
}

func TestStateRules(t *testing.T) {
	for _, s := range []snippet{
		{name: "a constant table",
			body: "var t = func() (t [4]int) { t[0] = 1; return t }()\n\nfunc f() int { return t[0] }"},
		{name: "assigned", body: "var v int\n\nfunc f() { v = 1 }", want: "package-state:3"},
		{name: "a local of the same name",
			body: "var v int\n\nfunc f() { v := 1; v = 2; _ = &v }\nfunc g(v int) { v++ }"},
		{name: "an element", body: "var v []struct{ x [2]int }\n\nfunc f() { v[1].x[0]++ }", want: "package-state:3"},
		{name: "through a pointer", body: "var v = flag()\n\nfunc f() { *v += 1 }", want: "package-state:3"},
		{name: "in a closure", body: "var v int\n\nfunc f() { g(func() { v-- }) }", want: "package-state:3"},
		{name: "an argument of an unknown call",
			body: "import \"x\"\n\nvar v int\n\nfunc f() { x.Y(func() { v = 1 }) }",
			want: "package-state:5"},
		{name: "address", body: "var v T\n\nfunc f() { g(&v) }", want: "package-state:3"},
		{name: "address of a field", body: "var v T\n\nfunc f() { g(&v.x) }", want: "package-state:3"},
		{name: "address of a row", body: "var v []T\n\nfunc f() { g(&v[0]) }"},
		{name: "a view", body: "var v []T\n\nfunc f() int {\n\tp := &v[0]\n\treturn p.x + p.y[1]\n}"},
		{name: "a view written", body: "var v []T\n\nfunc f() {\n\tp := &v[0]\n\tp.x = 1\n}", want: "package-state:5"},
		{name: "a view given away", body: "var v T\n\nfunc f() {\n\tp := &v\n\tg(p)\n}", want: "package-state:5"},
		{name: "a view's method", body: "type t struct{ n int }\n\nfunc (t *t) add() {}\n\nvar v t\n\n" +
			"func f() {\n\tp := &v\n\tp.add()\n}", want: "package-state:9"},
		{name: "delete", body: "var v map[int]int\n\nfunc f() { delete(v, 1) }", want: "package-state:3"},
		{name: "copy", body: "var v [4]int\n\nfunc f() { copy(v[:], w) }", want: "package-state:3"},
		{name: "a loop variable", want: "package-state:4",
			body: "var v int\n\nfunc f() {\n\tfor v = range 3 {\n\t}\n}"},
		{name: "a method by address",
			body: "type t struct{ n int }\n\nfunc (t *t) add() {}\n\nvar v t\n\nfunc f() { v.add() }",
			want: "package-state:7"},
		{name: "a row's method", body: "type t struct{ n int }\n\nfunc (t *t) sum() {}\n\nvar v []t\n\n" +
			"func f() {\n\tv[0].sum()\n\tp := &v[0]\n\tp.sum()\n}"},
		{name: "a method by value",
			body: "type t struct{ n int }\n\nfunc (t t) sum() {}\n\nvar v t\n\nfunc f() { v.sum() }"},
		{name: "a lock", body: "import \"sync\"\n\nvar v sync.Mutex", want: "package-state:3"},
		{name: "a pool", body: "import \"sync\"\n\nvar v = &sync.Pool{}", want: "package-state:3"},
		{name: "atomics", body: "import \"sync/atomic\"\n\nvar v [4]atomic.Int64", want: "package-state:3"},
		{name: "a channel", body: "var v = make(chan int)", want: "package-state:1"},
		{name: "a func over channels", body: "var v func(chan int)"},
		{name: "another package's", want: "package-state:3",
			body: "import \"net/http\"\n\nfunc f() { http.DefaultClient = nil }"},
		{name: "in a test", path: "persist/aof/x_test.go", body: "var v int\n\nfunc f() { v = 1 }"},
	} {
		s.run(t)
	}
	other := []File{
		goFile("persist/aof/a.go", "var v int"),
		{Path: "persist/aof/b.go", Text: []byte("package aof\n\nfunc f() { v = 1 }\n")},
	}
	if got := Check(other); len(got) != 1 || got[0].Rule != "package-state" || got[0].Path != "persist/aof/b.go" {
		t.Errorf("a variable of another file: got %v", got)
	}
}

func TestLayerRules(t *testing.T) {
	for _, test := range []struct {
		dir, imports string
		fault        bool
	}{
		{"shard", "fulmen/shard/object", false},
		{"shard", "fulmen/persist/rdb", true},
		{"shard", "fulmen/shard", true},
		{"shard/object", "fulmen/shard", true},
		{"shard/ds/index", "fulmen/shard/arena", false},
		{"shard/ds/index", "fulmen/shard/ds/listpack", true},
		{"internal/resp", "fulmen/internal/glob", true},
		{"internal/server", "fulmen/internal/config", false},
		{"cmd/fulmen-server", "fulmen/internal/server", false},
		{"cmd/fulmen-server", "fulmen/internal/redistest", true},
		{"internal/redistest", "fulmen/internal/resp", false},
		{"internal/redistest", "fulmen/internal/server", true},
		{"internal/lint", "fulmen/internal/redistest", true},
		{"internal/redistest", "fulmen/internal/need", false},
		{"shard", "fulmen/internal/need", true},
		{"benchmarks/load", "fulmen/benchmarks/stat", false},
		{"benchmarks", "fulmen/internal/resp", false},
		{"benchmarks", "fulmen/internal/server", true},
		{"shard", "fulmen/elsewhere", true},
		{"reactor", "github.com/panjf2000/gnet/v2", false},
		{"internal/server", "github.com/panjf2000/gnet/v2", true},
		{"internal/server", "github.com/panjf2000/gnet/v2/pkg/logging", true},
		{"internal/server", "fmt", false},
	} {
		findings := Check([]File{goFile(test.dir+"/x.go", "import _ \""+test.imports+"\"")})
		fault := len(findings) == 1 && findings[0].Rule == "layers"
		if fault != test.fault || !fault && len(findings) > 0 {
			t.Errorf("%s imports %s: got %v", test.dir, test.imports, findings)
		}
	}
	snippet{name: "no layer", path: "internal/newthing/x.go", want: "layers:-1"}.run(t)
	snippet{name: "tests may", path: "shard/x_test.go", body: "import _ \"fulmen/internal/redistest\""}.run(t)
}

func TestTextRules(t *testing.T) {
	for _, dir := range []string{"/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", ".lib" + "rary"} {
		findings := Check([]File{{Path: "README.md", Text: []byte("one\nsee " + dir + "/main for it\n")}})
		if len(findings) != 1 || findings[0].Rule != "machine-path" || findings[0].Line != 2 {
			t.Errorf("%s: got %v", dir, findings)
		}
	}
	for _, text := range []string{"https://redis.io" + "/wo" + "rk/x", "see net/ho" + "me/x", "run/wo" + "rk/"} {
		if got := Check([]File{{Path: "README.md", Text: []byte(text)}}); len(got) > 0 {
			t.Errorf("%s: got %v", text, got)
		}
	}
	for file, limit := range maxDocLines {
		if got := Check([]File{{Path: file, Text: []byte(repeat("x", limit))}}); len(got) > 0 {
			t.Errorf("%s at its limit: got %v", file, got)
		}
		got := Check([]File{{Path: file, Text: []byte(repeat("x", limit+1))}})
		if len(got) != 1 || got[0].Rule != "doc-size" {
			t.Errorf("%s above its limit: got %v", file, got)
		}
	}
	if got := Check([]File{{Path: "shard/x.go", Text: []byte("package\n")}}); len(got) != 1 || got[0].Rule != "parse" {
		t.Errorf("a file that is no Go: got %v", got)
	}
}

func TestReadTreeWithoutGit(t *testing.T) {
	names, err := walkFiles(".")
	if err != nil || !slices.Contains(names, "lint.go") {
		t.Errorf("%q, %v", names, err)
	}
}
