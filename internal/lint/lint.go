package lint

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
)

// modulePath is the first element of this module's import paths.
const modulePath = "fulmen"

// File is one file of the tree.
type File struct {
	Path string // from the top of the tree, with slashes
	Text []byte
}

// Finding is a place that breaks a rule.
type Finding struct {
	Path string
	Line int // from 1
	Rule string
	Text string
}

// String gives the finding as editors take it, path:line: text [rule].
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s [%s]", f.Path, f.Line, f.Text, f.Rule)
}

// Check applies every rule to a tree and gives what it finds, in the order of paths and lines.
func Check(files []File) []Finding {
	t := &tree{fset: token.NewFileSet()}
	for _, file := range files {
		t.add(file)
	}
	for _, pkg := range t.packages {
		pkg.resolve(t.fset)
	}
	t.checkText()
	t.checkSizes()
	t.checkNames()
	t.checkDocs()
	t.checkImports()
	t.checkCalls()
	t.checkState()
	slices.SortFunc(t.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return t.findings
}

// tree is what the rules look at, and what they have found.
type tree struct {
	fset     *token.FileSet
	files    []File
	sources  []*source  // the Go files
	packages []*pkgTree // the Go files but for tests, by folder
	findings []Finding
}

// source is a parsed Go file.
type source struct {
	path string
	text []byte
	ast  *ast.File
	test bool // its name ends in _test.go
}

// pkgTree is a package without its tests.
type pkgTree struct {
	dir     string
	sources []*source
	scope   *types.Scope
	info    *types.Info
}

func (t *tree) report(file string, line int, rule, format string, args ...any) {
	t.findings = append(t.findings, Finding{Path: file, Line: line, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

func (t *tree) reportAt(pos token.Pos, rule, format string, args ...any) {
	p := t.fset.Position(pos)
	t.report(p.Filename, p.Line, rule, format, args...)
}

// add takes a file into the tree; a Go file is parsed.
func (t *tree) add(file File) {
	t.files = append(t.files, file)
	if path.Ext(file.Path) != ".go" {
		return
	}
	parsed, err := parser.ParseFile(t.fset, file.Path, file.Text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.report(file.Path, 1, "parse", "%v", err)
		return
	}
	src := &source{path: file.Path, text: file.Text, ast: parsed, test: strings.HasSuffix(file.Path, "_test.go")}
	t.sources = append(t.sources, src)
	if src.test {
		return
	}
	dir := path.Dir(file.Path)
	i := slices.IndexFunc(t.packages, func(p *pkgTree) bool { return p.dir == dir })
	if i < 0 {
		t.packages = append(t.packages, &pkgTree{dir: dir})
		i = len(t.packages) - 1
	}
	t.packages[i].sources = append(t.packages[i].sources, src)
}

// resolve finds out what the identifiers of a package stand for. Errors are of no interest: with empty imports, and
// with the files of all build tags at once, there are many.
func (p *pkgTree) resolve(fset *token.FileSet) {
	p.info = &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	config := types.Config{Importer: emptyImporter{}, Error: func(error) {}}
	parsed := make([]*ast.File, len(p.sources))
	for i, src := range p.sources {
		parsed[i] = src.ast
	}
	pkg, _ := config.Check(modulePath+"/"+p.dir, fset, parsed, p.info)
	p.scope = pkg.Scope()
}

// emptyImporter gives every package its usual name and nothing in it.
type emptyImporter struct{}

// Import implements types.Importer.
func (emptyImporter) Import(importPath string) (*types.Package, error) {
	if importPath == "unsafe" {
		return types.Unsafe, nil
	}
	name := path.Base(importPath)
	if majorVersion(name) {
		name = path.Base(path.Dir(importPath))
	}
	pkg := types.NewPackage(importPath, name)
	pkg.MarkComplete()
	return pkg, nil
}

// majorVersion tells the v2 at the end of an import path from a name.
func majorVersion(name string) bool {
	return len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == ""
}

// imported gives the path of the package that expr names, if expr is a package's name.
func (p *pkgTree) imported(expr ast.Expr) (string, bool) {
	ident, ok := expr.(*ast.Ident)
	if !ok {
		return "", false
	}
	name, ok := p.info.Uses[ident].(*types.PkgName)
	if !ok {
		return "", false
	}
	return name.Imported().Path(), true
}

// inside says whether dir is one of the folders, or below one.
func inside(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}
