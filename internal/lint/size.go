package lint

import (
	"bytes"
	"go/ast"
	"path"
	"slices"
	"unicode/utf8"
)

const (
	maxFuncLines   = 80
	maxFileLines   = 1000
	maxLineColumns = 120
	tabColumns     = 4
	maxCaseLines   = 12 // of a case in a long switch
)

// longSwitches names the decoders' functions that may be longer than maxFuncLines because they are one flat switch over
// opcodes: folder and function or Type.method, as in persist/rdb.decoder.value. One a decoder. An entry that nothing
// needs is a finding.
var longSwitches = map[string]bool{}

// checkSizes holds functions, files and lines to their limits, in tests too.
func (t *tree) checkSizes() {
	t.checkFuncSizes(longSwitches)
	for _, file := range t.files {
		if ext := path.Ext(file.Path); ext != ".go" && ext != ".s" {
			continue
		}
		lines := bytes.Split(bytes.TrimSuffix(file.Text, []byte("\n")), []byte("\n"))
		if len(lines) > maxFileLines {
			t.report(file.Path, maxFileLines+1, "file-size", "%d lines, limit %d", len(lines), maxFileLines)
		}
		for i, line := range lines {
			if n := columns(line); n > maxLineColumns {
				t.report(file.Path, i+1, "line-size", "%d columns, limit %d", n, maxLineColumns)
			}
		}
	}
}

func columns(line []byte) int {
	tabs := bytes.Count(line, []byte("\t"))
	return utf8.RuneCount(line) + tabs*(tabColumns-1)
}

func (t *tree) checkFuncSizes(allowed map[string]bool) {
	needed := map[string]bool{}
	for _, src := range t.sources {
		ast.Inspect(src.ast, func(node ast.Node) bool {
			name, body := funcOf(node)
			if body == nil {
				return true
			}
			lines := t.lines(node)
			if lines <= maxFuncLines {
				return false // and so are the literals inside
			}
			key := path.Dir(src.path) + "." + name
			if !allowed[key] {
				t.reportAt(node.Pos(), "func-size", "%s has %d lines, limit %d", name, lines, maxFuncLines)
				return false
			}
			needed[key] = true
			if !t.isFlatSwitch(body) {
				t.reportAt(node.Pos(), "func-size", "%s is allowed to be long as a flat switch, but is none", name)
			}
			return false
		})
	}
	for key := range allowed {
		if !needed[key] {
			t.report("internal/lint/size.go", 1, "func-size", "longSwitches lists %s, which needs it no more", key)
		}
	}
}

// funcOf gives the name and the body of a function's node: a declaration, or a literal outside of any function.
func funcOf(node ast.Node) (string, *ast.BlockStmt) {
	switch f := node.(type) {
	case *ast.FuncDecl:
		if f.Body != nil {
			return funcName(f), f.Body
		}
	case *ast.FuncLit:
		return "func literal", f.Body
	}
	return "", nil
}

// funcName is f or Type.f.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	return receiverName(f.Recv.List[0].Type) + "." + f.Name.Name
}

// receiverName is the type's name in T, *T, T[P] and *T[P].
func receiverName(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiverName(e.X)
	case *ast.IndexExpr:
		return receiverName(e.X)
	case *ast.IndexListExpr:
		return receiverName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func (t *tree) lines(node ast.Node) int {
	return t.fset.Position(node.End()).Line - t.fset.Position(node.Pos()).Line + 1
}

// isFlatSwitch says whether a body would keep the limit if its longest switch were one line, and that switch has only
// short cases.
func (t *tree) isFlatSwitch(body *ast.BlockStmt) bool {
	var longest *ast.SwitchStmt
	ast.Inspect(body, func(node ast.Node) bool {
		s, ok := node.(*ast.SwitchStmt)
		if ok && (longest == nil || t.lines(s) > t.lines(longest)) {
			longest = s
		}
		return true
	})
	if longest == nil || t.lines(body)-t.lines(longest) > maxFuncLines {
		return false
	}
	return !slices.ContainsFunc(longest.Body.List, func(clause ast.Stmt) bool { return t.lines(clause) > maxCaseLines })
}
