package command

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// word matches the words of a command in the syntax line of a handler's comment.
var word = regexp.MustCompile(`[A-Z][A-Z0-9]*(?:-[A-Z]+)*`)

// TestSyntaxComments holds the syntax lines in the comments of handlers to what the rows say for COMMAND DOCS: both
// name the command and the same words.
func TestSyntaxComments(t *testing.T) {
	comments := handlerComments(t)
	for _, row := range NewTable(Rows()).All() {
		if row.Run == nil {
			continue
		}
		full := runtime.FuncForPC(reflect.ValueOf(row.Run).Pointer()).Name()
		name := full[strings.LastIndexByte(full, '.')+1:]
		comment, ok := comments[name]
		if !ok {
			continue // a closure: several rows share what makes it
		}
		line := syntaxLine(comment, strings.ToUpper(strings.ReplaceAll(row.FullName, "|", " ")))
		if line == "" {
			t.Errorf("%s has no syntax line of %s", name, row.FullName)
			continue
		}
		got := word.FindAllString(line, -1)
		want := tokens(nil, parseSyntax(row.Args))
		slices.Sort(got)
		slices.Sort(want)
		if row.Name == "bitop" {
			got = nil // Redis documents its operation as any string
		}
		if got, want = slices.Compact(got), slices.Compact(want); !slices.Equal(got, want) {
			t.Errorf("%s: the comment of %s has the words %q, its row %q", row.FullName, name, got, want)
		}
	}
}

// syntaxLine returns what follows the command's name in a comment, up to the end of its paragraph; "" if the name does
// not begin a paragraph.
func syntaxLine(comment, name string) string {
	for _, part := range strings.Split(comment, "\n\n") {
		text := strings.Join(strings.Fields(part), " ")
		for _, one := range strings.Split(text, ", ") {
			if rest, ok := strings.CutPrefix(one+" ", name+" "); ok {
				return " " + rest
			}
		}
	}
	return ""
}

// tokens appends the words that arguments consist of.
func tokens(dst []string, args []argument) []string {
	for _, a := range args {
		if a.hasToken {
			dst = append(dst, word.FindAllString(a.token, -1)...)
		}
		dst = tokens(dst, a.parts)
	}
	return dst
}

// handlerComments returns the comments of the package's functions.
func handlerComments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				all[fn.Name.Name] = fn.Doc.Text()
			}
		}
	}
	return all
}
