package lint

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// bannedNames say nothing of what a package is for.
var bannedNames = []string{"util", "utils", "common", "base", "helper", "helpers", "types", "manager", "managers"}

// checkNames bans empty package names, and init functions, which run unasked and in no visible order.
func (t *tree) checkNames() {
	for _, src := range t.sources {
		name := strings.TrimSuffix(src.ast.Name.Name, "_test")
		for _, word := range append(strings.Split(path.Dir(src.path), "/"), name) {
			if slices.Contains(bannedNames, word) {
				t.reportAt(src.ast.Name.Pos(), "package-name", "a package named %s: name what it is for", word)
				break
			}
		}
		for _, decl := range src.ast.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.reportAt(f.Pos(), "init", "no init: let the caller call it")
			}
		}
	}
}
