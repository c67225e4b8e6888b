package lint

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkDocs wants one package comment a package, and a comment on everything exported.
func (t *tree) checkDocs() {
	for _, pkg := range t.packages {
		t.checkPackageDoc(pkg)
		if pkg.sources[0].ast.Name.Name == "main" {
			continue // nothing can import it
		}
		for _, src := range pkg.sources {
			for _, decl := range src.ast.Decls {
				t.checkDeclDoc(decl)
			}
		}
	}
}

func (t *tree) checkPackageDoc(pkg *pkgTree) {
	found := false
	for _, src := range pkg.sources {
		text := src.ast.Doc.Text()
		if text == "" {
			continue
		}
		if found {
			t.reportAt(src.ast.Doc.Pos(), "package-comment", "a second package comment in %s", pkg.dir)
		}
		found = true
		name := src.ast.Name.Name
		if name != "main" && !strings.HasPrefix(text, "Package "+name+" ") {
			t.reportAt(src.ast.Doc.Pos(), "package-comment", "the package comment begins with \"Package %s \"", name)
		}
	}
	if !found {
		t.reportAt(pkg.sources[0].ast.Name.Pos(), "package-comment", "%s has no package comment", pkg.dir)
	}
}

func (t *tree) checkDeclDoc(decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		exported := d.Name.IsExported()
		if d.Recv != nil && len(d.Recv.List) > 0 {
			exported = exported && ast.IsExported(receiverName(d.Recv.List[0].Type))
		}
		if exported && d.Doc.Text() == "" {
			t.reportAt(d.Pos(), "exported-comment", "%s is exported and has no comment", funcName(d))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			t.checkSpecDoc(d, spec)
		}
	}
}

// checkSpecDoc takes a constant or variable as documented by a comment on it, behind it, or on the group it is in; a
// type needs one of its own.
func (t *tree) checkSpecDoc(d *ast.GenDecl, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		own := s.Doc.Text() + s.Comment.Text()
		if d.Lparen == token.NoPos {
			own += d.Doc.Text()
		}
		if s.Name.IsExported() && own == "" {
			t.reportAt(s.Pos(), "exported-comment", "%s is exported and has no comment", s.Name.Name)
		}
	case *ast.ValueSpec:
		if d.Doc.Text()+s.Doc.Text()+s.Comment.Text() != "" {
			return
		}
		for _, name := range s.Names {
			if name.IsExported() {
				t.reportAt(s.Pos(), "exported-comment", "%s is exported and has no comment", name.Name)
			}
		}
	}
}
